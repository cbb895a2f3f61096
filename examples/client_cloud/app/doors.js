// My doors: tap at the reader in front of me, or open one of them from here.
import { access, canTap } from "/key.js";
import { button, element, icon, say } from "/view.js";

export async function doorsPage() {
  const list = element("ul", { class: "cards" });
  const draw = (doors) => list.replaceChildren(...(doors.length ? doors.map(card) : [nothing()]));
  draw(await access.doors());
  access.refresh().then(draw, () => null); // without a network the doors are those of the last time
  return element("section", {}, element("h1", {}, `${greeting()}, ${access.keyring.userName}`), list, tapping());
}

function tapping() {
  if (!canTap) {
    return element(
      "p",
      { class: "notice" },
      "This browser has no Bluetooth, so it cannot tap. ",
      element("a", { href: "#code" }, "Show your code"),
      " at the reader, or open a door from afar.",
    );
  }
  const start = async () => say((await access.tap()).sentence ?? "The door is open.");
  return element("div", { class: "thumb" }, button([icon("waves"), "Tap the reader"], start));
}

function card(door) {
  const id = door.accessPointId;
  const can = (use) => door.allows.includes(use);
  const opened = `${door.name} is open.`;
  const ways = [
    can("remote") && button("Open", () => access.unlock(id).then(() => say(opened)), { "aria-label": `Open ${door.name} from afar` }),
    can("click") && canTap && button("Open nearby", () => access.click(id).then(() => say(opened)), { class: "quiet", "aria-label": `Open ${door.name} over Bluetooth, within ${door.clickRange} metres` }),
  ];
  return element(
    "li",
    { class: "card" },
    element("h2", {}, door.name),
    element("p", {}, hint(door)),
    ways.some(Boolean) && element("div", { class: "actions" }, ways),
    canTap && (can("hold_open") || can("lock")) && steering(door, can),
  );
}

/** For whoever may steer doors, standing near them. */
function steering(door, can) {
  const id = door.accessPointId;
  const ask = (label, start, told, attributes) => button(label, () => start().then(() => say(told)), attributes);
  return element(
    "details",
    {},
    element("summary", {}, "Hold open or lock"),
    element(
      "div",
      { class: "actions" },
      can("hold_open") && ask("Hold open", () => access.holdOpen(id), `${door.name} stays open for everybody.`, { class: "quiet" }),
      can("lock") && ask("Lock", () => access.lock(id), `${door.name} is locked for everybody.`, { class: "bad" }),
      ask("Back to normal", () => access.normal(id), `${door.name} decides again.`, { class: "quiet" }),
    ),
  );
}

function hint(door) {
  const where = [door.zone, door.schedule ?? "any time"].filter(Boolean).join(" · ");
  return door.isReady ? where : [where, element("br"), element("span", { class: "tag" }, "Getting ready: the door learns it now")];
}

function nothing() {
  return element("li", { class: "empty" }, "No door is yours yet. The front desk can change that.");
}

function greeting() {
  const hour = new Date().getHours();
  return hour < 5 ? "Good night" : hour < 12 ? "Good morning" : hour < 18 ? "Good afternoon" : "Good evening";
}
