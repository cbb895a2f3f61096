// The visitor's own page: the secret behind the # of its address is all that it needs. The code lives for a minute; a
// new one is fetched well before that is over, so that nobody stands at the door with one that has ended.
import { ownVisit } from "/desk.js";
import { drawQr } from "/sdk/qr.js";
import { codeCard, element, loading, moment, sentence, span, stayAwake } from "/view.js";

const EARLY = 15; // seconds before a code's end at which a new one is fetched
const AGAIN = 3; // seconds between tries while there is no network
const IDLE = 30; // seconds between looks at a visit that has not begun

const main = document.getElementById("main");
const now = () => Date.now() / 1000;
let card = null;
let place = null; // where the code stands, or what is told instead of it
let life = 60; // seconds for which a code is shown
let endsAt = Infinity; // of the code that is shown; these instants are on this phone's clock, which may be wrong
let askAt = 0;
let hasFailed = false;
let hasShown = false;

async function renew() {
  askAt = Infinity;
  const link = location.hash;
  const isLeft = () => link !== location.hash; // for another visitor's, in the same tab
  try {
    const visit = await ownVisit(link.slice(1));
    if (isLeft()) return;
    hasFailed = false;
    endsAt = visit.code ? now() + visit.code.expiresAt - visit.now : Infinity;
    life = visit.code ? Math.max(1, endsAt - now() - EARLY) : Math.min(IDLE, Math.max(1, visit.startsAt - visit.now));
    askAt = now() + life;
    show(visit);
  } catch (error) {
    if (isLeft()) return;
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
  place = card ? card.element : early(visit);
  const facts = element(
    "dl",
    {},
    ...fact("When", span(visit.startsAt, visit.endsAt, visit.timezone)),
    ...fact("Where", visit.room, element("br"), visit.address),
    ...fact("You visit", visit.host),
  );
  const hello = element("p", { class: "hello" }, "Welcome,");
  main.replaceChildren(element("section", { class: "held" }, hello, element("h1", {}, visit.visitor), place, facts));
  if (card) drawQr(card.picture, visit.code.text);
  tick();
}

function early({ startsAt, timezone }) {
  const when = moment(startsAt, timezone);
  return element("p", { class: "notice" }, `Your code appears here when your visit begins: ${when}. Keep this page.`);
}

function fact(name, ...values) {
  return [element("dt", {}, name), element("dd", {}, ...values)];
}

function notice(text) {
  return element("p", { class: "notice", role: "alert" }, text);
}

function refuse(text) {
  forget();
  main.replaceChildren(element("h1", {}, "Your visit"), notice(text));
}

function forget() {
  card = null;
  endsAt = Infinity;
}

/** The code goes; when and where the visit is stays. */
function expire() {
  forget();
  place.replaceWith(notice("Your code has ended, and there is no network for a new one. It comes by itself when there is."));
}

/** Nothing of one visitor stays for the next. */
function begin() {
  forget();
  hasFailed = hasShown = false;
  document.title = "Your visit · Harbour Desk";
  main.replaceChildren(loading());
  renew();
}

function tick() {
  if (now() >= endsAt) expire();
  if (now() >= askAt && !document.hidden) renew();
  if (hasFailed) card?.count("No network. This code is good for ", endsAt - now(), life);
  else if (askAt < Infinity) card?.count("A new code in ", askAt - now(), life);
}

begin();
stayAwake();
addEventListener("hashchange", begin);
setInterval(tick, 500);
document.addEventListener("visibilitychange", () => {
  tick();
  stayAwake();
});
