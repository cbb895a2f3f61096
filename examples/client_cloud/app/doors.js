// My doors: tap at the reader in front of me, or open one of them from here.
import { access, canTap } from "/key.js";
import { button, element, icon, say } from "/view.js";

const AGAIN_MS = 2000;
const NO_BLUETOOTH = "This browser has no Bluetooth, so it cannot tap. Show your code at the reader, or open a door from here.";
const AT_THE_DOOR = `At the door, ${canTap ? "tap the reader or show your code" : "show your code"}: that needs no network.`;
const AWAY = ["offline", "door_offline"];
const NO_DOOR = "No door is yours yet. The front desk can change that.";

export async function doorsPage() {
  const list = element("ul", { class: "cards" });
  const hello = element("h1", {}, `${greeting()}, ${localStorage.getItem("name") ?? "you"}`);
  const cannot = !canTap && element("p", { class: "notice" }, NO_BLUETOOTH);
  const offline = element("p", { class: "notice while-offline" }, `You are offline. ${AT_THE_DOOR}`);
  const page = element("section", {}, hello, offline, cannot, list, tapping());
  list.replaceChildren(...cards());
  keepFresh(page, list);
  return page;
}

/** Asks the cloud what has changed, and again until every door knows this phone. Without a network all stays as it was. */
async function keepFresh(page, list) {
  const before = JSON.stringify(access.doors());
  await access.refresh().catch(() => null);
  if (access.status !== "ready") return; // another page is shown
  if (JSON.stringify(access.doors()) !== before) list.replaceChildren(...cards());
  if (access.doors().some((door) => !door.isReady)) setTimeout(() => page.isConnected && keepFresh(page, list), AGAIN_MS);
}

function cards() {
  const doors = access.doors();
  return doors.length ? doors.map(card) : [element("li", { class: "empty" }, NO_DOOR)];
}

function card(door) {
  const can = (use) => door.allows.includes(use);
  const isNearby = canTap && ["click", "hold_open", "lock"].some(can);
  return element(
    "li",
    { class: "card" },
    element(
      "div",
      { class: "row" },
      element("div", {}, element("h2", {}, door.name), element("p", {}, hint(door))),
      can("remote") && fromAfar(door),
    ),
    isNearby && nearby(door.accessPointId, can),
  );
}

function fromAfar(door) {
  const unlock = () =>
    access.unlock(door.accessPointId).catch((error) => {
      if (AWAY.includes(error.code)) error.message += ` ${AT_THE_DOOR}`;
      throw error;
    });
  return ask(["Open", element("small", {}, "from afar")], unlock, "soft remote", `Open ${door.name} from afar`);
}

/** Over Bluetooth, without walking up to the reader; some may also steer the door. */
function nearby(id, can) {
  return element(
    "details",
    {},
    element("summary", {}, "When you are near"),
    element(
      "div",
      { class: "actions" },
      can("click") && ask("Open over Bluetooth", () => access.click(id)),
      can("hold_open") && ask("Hold open", () => access.holdOpen(id)),
      can("lock") && ask("Lock", () => access.lock(id), "bad"),
      (can("hold_open") || can("lock")) && ask("Back to normal", () => access.normal(id)),
    ),
  );
}

function tapping() {
  const showCode = element("a", { class: "button", href: "#code" }, icon("code"), "Show my code");
  return element("div", { class: "thumb" }, canTap ? ask([icon("waves"), "Tap the reader"], () => access.tap(), "") : showCode);
}

/** A button that asks a door for something, and says what it answered. */
function ask(label, start, look = "quiet", name = null) {
  const told = async () => {
    const door = await start().catch(unlessClosed);
    if (door) say(`${door.name}: ${door.sentence}`);
  };
  return button(label, told, { class: look, "aria-label": name });
}

/** Whoever closes the browser's list of readers knows it. */
function unlessClosed(error) {
  if (error.code === "cancelled") return null;
  throw error;
}

function hint(door) {
  const where = [door.zone, door.schedule ?? "any time"].filter(Boolean).join(" · ");
  return door.isReady ? where : [where, element("br"), element("span", { class: "tag" }, "Getting ready")];
}

function greeting() {
  const hour = new Date().getHours();
  return hour < 5 || hour >= 18 ? "Good evening" : hour < 12 ? "Good morning" : "Good afternoon";
}
