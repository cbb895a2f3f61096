// The visitor's own page: the secret behind the # of its address is all that it needs. The code lives for a minute; a
// new one is fetched well before that is over, so that nobody stands at the door with one that has ended.
import { ownVisit } from "/desk.js";
import { draw } from "/sdk/qr.js";
import { element, span, stayAwake, time } from "/view.js";

const EARLY = 15; // seconds before a code's end at which a new one is fetched
const AGAIN = 3; // seconds between tries while there is no network
const IDLE = 30; // seconds between looks at a visit that has not begun

const main = document.getElementById("main");
const now = () => Date.now() / 1000;
let endsAt = Infinity; // of the code that is shown; these instants are on this phone's clock, which may be wrong
let askAt = 0;
let failed = false;

async function renew() {
  askAt = Infinity;
  try {
    const visit = await ownVisit(location.hash.slice(1));
    failed = false;
    endsAt = visit.code ? now() + visit.code.expiresAt - visit.now : Infinity;
    askAt = visit.code ? Math.max(now() + 1, endsAt - EARLY) : now() + Math.min(IDLE, Math.max(1, visit.startsAt - visit.now));
    show(visit);
  } catch (error) {
    const isOver = error.status >= 400 && error.status < 500;
    failed = true;
    askAt = isOver ? Infinity : now() + AGAIN;
    if (isOver || !main.querySelector(".code")) refuse(error.sentence);
  }
}

function show(visit) {
  document.title = `${visit.visitor} · Harbour Desk`;
  main.replaceChildren(
    element("p", { class: "hello" }, "Welcome,"),
    element("h1", {}, visit.visitor),
    visit.code ? code(visit.code) : element("p", { class: "notice" }, `Your code appears here at ${time(visit.startsAt, visit.timezone)}. Keep this page.`),
    element(
      "dl",
      {},
      ...fact("When", span(visit.startsAt, visit.endsAt, visit.timezone)),
      ...fact("Where", visit.room, element("br"), visit.address),
      ...fact("You visit", visit.host),
    ),
  );
  tick();
}

function code({ text, expiresAt }) {
  return element(
    "div",
    { class: "code" },
    element("div", { class: "qr", role: "img", "aria-label": "Your code, as a picture for the reader", "data-ends": expiresAt }, draw(text)),
    element("progress", { max: Math.max(1, Math.round(askAt - now())), value: 0, "aria-label": "Until the next code" }),
    element("p", { class: "count" }),
    element("p", { class: "how" }, "Hold it to the reader at the door."),
  );
}

function fact(name, ...values) {
  return [element("dt", {}, name), element("dd", {}, ...values)];
}

function refuse(sentence) {
  endsAt = Infinity;
  main.replaceChildren(element("h1", {}, "Your visit"), element("p", { class: "notice", role: "alert" }, sentence));
}

function tick() {
  if (now() >= endsAt) refuse("Your code has ended, and there is no network for a new one. It comes by itself when there is.");
  if (now() >= askAt && !document.hidden) renew();
  const count = main.querySelector(".count");
  if (!count) return;
  const until = failed ? endsAt : askAt;
  const left = Number.isFinite(until) ? Math.max(0, Math.ceil(until - now())) : 0;
  const clock = element("b", {}, `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`);
  count.replaceChildren(failed ? "No network. This code is good for " : "A new code in ", clock);
  main.querySelector("progress").value = left;
}

renew();
stayAwake();
setInterval(tick, 500);
document.addEventListener("visibilitychange", () => {
  tick();
  stayAwake();
});
