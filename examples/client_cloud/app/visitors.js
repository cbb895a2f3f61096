// Visitors: who comes, and the form that invites somebody.
import * as desk from "/desk.js";
import { button, confirmed, element, field, form, icon, say, span } from "/view.js";

const NOBODY = "Nobody is expected. Invite somebody, and they get a code for the doors on their way to you.";
const NOWHERE = "There is no room yet to which you may invite. Please ask the front desk: all doors on the way there must be yours.";
const DAY_MS = 86_400_000;

export async function visitorsPage() {
  const list = element("ul", { class: "cards" });
  show(list, await desk.visits());
  const invite = element("a", { class: "button", href: "#invite" }, icon("guest"), "Invite a visitor");
  return element("section", {}, element("h1", {}, "Visitors"), list, element("div", { class: "thumb" }, invite));
}

function show(list, visits) {
  const nobody = [element("li", { class: "empty" }, NOBODY)];
  list.replaceChildren(...(visits.length ? visits.map((visit) => card(list, visit)) : nobody));
}

function card(list, visit) {
  const remove = async () => {
    await desk.cancel(visit.id);
    show(list, await desk.visits());
    say(`${visit.visitor}’s visit is cancelled. Their code opens nothing any more.`);
  };
  return element(
    "li",
    { class: "card" },
    element("h2", {}, visit.visitor),
    element("p", {}, span(visit.startsAt, visit.endsAt, visit.timezone), element("br"), visit.room),
    handOver(visit),
    confirmed("Cancel this visit", "Yes, cancel it", remove),
  );
}

/** The link is the invitation: it is shared as the phone shares things, or copied. */
function handOver(visit) {
  const when = span(visit.startsAt, visit.endsAt, visit.timezone);
  const message = { title: "Your visit to Harbour Desk", text: `Your code for ${visit.room}, ${when}:`, url: visit.url };
  const share = () => navigator.share(message).catch((error) => error.name !== "AbortError" && Promise.reject(error));
  const copy = async () => {
    await navigator.clipboard.writeText(visit.url);
    say("The link is copied. Send it to your visitor.");
  };
  return element(
    "div",
    { class: "actions" },
    navigator.share ? button("Send link", share) : button("Copy link", copy),
    element("a", { class: "button quiet", href: visit.url, target: "_blank", rel: "noopener" }, "Their page"),
  );
}

export async function invitePage() {
  const rooms = await desk.rooms();
  const page = element("section", {}, element("h1", {}, "Invite a visitor"));
  page.append(rooms.length ? invitation(page, rooms) : element("p", { class: "empty" }, NOWHERE));
  return page;
}

function invitation(page, rooms) {
  const draft = drafts();
  const [date, starts, ends] = soon(rooms[0].timezone);
  const choices = rooms.map((room) => element("option", { value: room.id }, room.name));
  const day = element("input", { name: "day", type: "date", required: true, value: date, min: date, max: later(date, 365) });
  const from = element("input", { name: "from", type: "time", required: true, value: starts });
  const until = element("input", { name: "until", type: "time", required: true, value: ends });
  const ending = element("output", {});
  const tell = () => (ending.value = until.value && until.value < from.value ? "on the next day" : "");
  const back = element("a", { class: "button quiet", href: "#visitors" }, "Back");
  const made = form(
    (fields) => book(page, rooms, draft(fields), fields),
    field("Who comes?", element("input", { name: "visitor", required: true, maxlength: 80, autocomplete: "off" })),
    field("To which room?", element("select", { name: "room" }, choices)),
    field("On which day?", day),
    element("div", { class: "pair" }, field("From", from), field("Until", until, ending)),
    element("div", { class: "thumb" }, element("button", {}, "Invite"), back),
  );
  made.addEventListener("input", tell);
  tell();
  return made;
}

/** A draft's id: the same for as long as the form says the same, so that sending it again books nothing twice. */
function drafts() {
  let id, sent;
  return (fields) => {
    const said = JSON.stringify(fields);
    if (said !== sent) [id, sent] = [crypto.randomUUID(), said];
    return id;
  };
}

/** A visit that ends before it starts ends on the next day. */
async function book(page, rooms, draft, { visitor, room, day, from, until }) {
  const ends = `${until < from ? later(day, 1) : day}T${until}`;
  const visit = await desk.invite({ draft, visitor, room: Number(room), starts: `${day}T${from}`, ends });
  const { address } = rooms.find((each) => each.id === Number(room));
  page.replaceChildren(
    element("h1", { tabindex: "-1" }, `${visit.visitor} is invited`),
    element("p", {}, span(visit.startsAt, visit.endsAt, visit.timezone), element("br"), `${visit.room}, ${address}`),
    element("p", {}, "Now send them the link. It shows a code that opens the doors on their way, new every minute."),
    handOver(visit),
    element("p", { class: "link" }, visit.url),
    element("a", { class: "button quiet wide", href: "#visitors" }, "All visitors"),
  );
  page.querySelector("h1").focus();
}

/** 2026-11-22, some days later. */
function later(day, days) {
  return new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Today, the last full five minutes and two hours later, as the room's clock shows them. */
function soon(timezone) {
  const shown = { dateStyle: "short", timeStyle: "short", timeZone: timezone };
  const local = (ms) => new Intl.DateTimeFormat("sv-SE", shown).format(ms).split(" "); // 2026-11-22 14:05
  const now = Math.floor(Date.now() / 300_000) * 300_000;
  const [date, starts] = local(now);
  const [, ends] = local(now + 7_200_000);
  return [date, starts, ends];
}
