// How pages are built: plain elements, text only ever as text, and one place where things are said.

/** An element: `on…` attributes are listeners, null and false ones are left out. Children are text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== false));
  return made;
}

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

export function field(label, input, hint = null) {
  return element("label", {}, label, input, hint && element("small", {}, hint));
}

/** A button that is busy until what it starts has ended; what fails is said. */
export function button(label, start, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", () => busy(made, start));
  return made;
}

/** What cannot be undone is asked once more. */
export function confirmed(question, answer, start) {
  return element("details", {}, element("summary", {}, question), button(answer, start, { class: "bad" }));
}

/** What stands there until a page has come. */
export function loading(title = null) {
  return element("section", { "aria-busy": "true" }, title && element("h1", {}, title), element("p", { class: "quiet-text" }, "Loading…"));
}

/** A form that does not leave the page. `start` gets its fields by name. */
export function form(start, ...children) {
  const made = element("form", {}, children);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(made.querySelector("button:not([type=button])"), () => start(Object.fromEntries(new FormData(made))));
  });
  return made;
}

async function busy(control, start) {
  if (control.getAttribute("aria-busy") === "true") return;
  control.setAttribute("aria-busy", "true");
  hush();
  try {
    await start();
  } catch (error) {
    say(sentence(error), "bad");
  } finally {
    control.removeAttribute("aria-busy");
  }
}

/** What went wrong, for people: whatever has a code, Harbour Desk's own refusals and the SDK's, carries a sentence. */
export function sentence(error) {
  if (typeof error?.code === "string") return error.message;
  console.error(error);
  return "Something went wrong. Please try again.";
}

let hushing = 0;

/** Says something where it covers no button: above the one at the thumb, or below the page. Good news goes away by itself. */
export function say(text, kind = "good") {
  clearTimeout(hushing);
  const said = document.getElementById("said");
  said.replaceChildren(
    element(
      "p",
      { class: kind },
      icon(kind === "good" ? "done" : "stop"),
      element("span", {}, text),
      element("button", { type: "button", class: "plain", "aria-label": "Close", onclick: hush }, "×"),
    ),
  );
  said.scrollIntoView({ block: "nearest" });
  if (kind === "good") hushing = setTimeout(hush, 7000);
}

export function hush() {
  clearTimeout(hushing);
  document.getElementById("said").replaceChildren();
}

/** "Today, 14:00 – 15:00", on the clock of the place. Instants are seconds since the epoch. */
export function span(startsAt, endsAt, timezone) {
  const sameDay = day(startsAt, timezone) === day(endsAt, timezone);
  const end = sameDay ? time(endsAt, timezone) : `${day(endsAt, timezone)}, ${time(endsAt, timezone)}`;
  return `${day(startsAt, timezone)}, ${time(startsAt, timezone)} – ${end}`;
}

export function moment(at, timezone) {
  return `${day(at, timezone)}, ${time(at, timezone)}`;
}

export function time(at, timezone) {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", timeZone: timezone }).format(at * 1000);
}

function day(at, timezone) {
  const shown = { weekday: "short", day: "numeric", month: "short", timeZone: timezone };
  const text = (ms) => new Intl.DateTimeFormat(undefined, shown).format(ms);
  const now = Date.now();
  if (text(at * 1000) === text(now)) return "Today";
  if (text(at * 1000) === text(now + 86_400_000)) return "Tomorrow";
  return text(at * 1000);
}

/** A card with a code to hold up: `picture` to draw on, and `count` to count down with a bar. */
export function codeCard() {
  const picture = element("canvas", { role: "img", "aria-label": "Your code, as a picture for the reader" });
  const bar = element("progress", { max: 1, value: 1, "aria-label": "Time until the next code" });
  const line = element("p", { class: "count" });
  const count = (what, seconds, of) => {
    const left = Math.max(0, Math.ceil(seconds));
    bar.value = left / of;
    line.replaceChildren(what, element("b", {}, `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`));
  };
  const how = element("p", { class: "how" }, "Hold it to the reader.");
  return { element: element("div", { class: "code" }, picture, bar, line, how), picture, count };
}

/** The screen stays bright while a code is held up, where the browser can do that. */
export async function stayAwake() {
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // refused, such as by a battery that is low
  }
}
