// The visitor's own page: the secret behind the # of its address is all that it needs. The code lives for a minute; a
// new one is fetched well before that is over, so that nobody stands at the door with one that has ended.
import { ownVisit } from "/desk.js";
import { drawQr } from "/sdk/qr.js";
import { codeCard, element, sentence, span, stayAwake, time } from "/view.js";

const EARLY = 15; // seconds before a code's end at which a new one is fetched
const AGAIN = 3; // seconds between tries while there is no network
const IDLE = 30; // seconds between looks at a visit that has not begun

const main = document.getElementById("main");
const now = () => Date.now() / 1000;
let card = null;
let life = 60; // seconds for which a code is shown
let endsAt = Infinity; // of the code that is shown; these instants are on this phone's clock, which may be wrong
let askAt = 0;
let hasFailed = false;
let hasShown = false;

async function renew() {
  askAt = Infinity;
  try {
    const visit = await ownVisit(location.hash.slice(1));
    hasFailed = false;
    endsAt = visit.code ? now() + visit.code.expiresAt - visit.now : Infinity;
    life = visit.code ? Math.max(1, endsAt - now() - EARLY) : Math.min(IDLE, Math.max(1, visit.startsAt - visit.now));
    askAt = now() + life;
    show(visit);
  } catch (error) {
    const isOver = error.status >= 400 && error.status < 500;
    hasFailed = true;
    askAt = isOver ? Infinity : now() + AGAIN;
    if (isOver || !hasShown) refuse(sentence(error));
  }
}

function show(visit) {
  hasShown = true;
  document.title = `${visit.visitor} · Harbour Desk`;
  card = visit.code && codeCard();
  main.replaceChildren(
    element("p", { class: "hello" }, "Welcome,"),
    element("h1", {}, visit.visitor),
    card ? card.element : element("p", { class: "notice" }, `Your code appears here at ${time(visit.startsAt, visit.timezone)}. Keep this page.`),
    element(
      "dl",
      {},
      ...fact("When", span(visit.startsAt, visit.endsAt, visit.timezone)),
      ...fact("Where", visit.room, element("br"), visit.address),
      ...fact("You visit", visit.host),
    ),
  );
  if (card) drawQr(card.picture, visit.code.text);
  tick();
}

function fact(name, ...values) {
  return [element("dt", {}, name), element("dd", {}, ...values)];
}

function refuse(text) {
  card = null;
  endsAt = Infinity;
  main.replaceChildren(element("h1", {}, "Your visit"), element("p", { class: "notice", role: "alert" }, text));
}

function tick() {
  if (now() >= endsAt) refuse("Your code has ended, and there is no network for a new one. It comes by itself when there is.");
  if (now() >= askAt && !document.hidden) renew();
  if (hasFailed) card?.count("No network. This code is good for ", endsAt - now(), life);
  else if (askAt < Infinity) card?.count("A new code in ", askAt - now(), life);
}

renew();
stayAwake();
setInterval(tick, 500);
document.addEventListener("visibilitychange", () => {
  tick();
  stayAwake();
});
