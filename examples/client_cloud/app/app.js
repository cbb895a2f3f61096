// The app: which page is shown, and to whom. It opens without a network: then tap and code work as ever.
import { codePage } from "/code.js";
import { finishLogOut } from "/desk.js";
import { doorsPage } from "/doors.js";
import { enrolPage, logInAgain, logInPage } from "/entrance.js";
import { access, openKey } from "/key.js";
import { mePage } from "/me.js";
import { button, element, hush, loading, sentence } from "/view.js";
import { invitePage, visitorsPage } from "/visitors.js";

const main = document.getElementById("main");
const tabs = document.getElementById("tabs");

const PAGES = {
  doors: ["Doors", doorsPage],
  code: ["My code", codePage],
  visitors: ["Visitors", visitorsPage],
  invite: ["Invite a visitor", invitePage],
  me: ["Me", mePage],
};
const BEFORE = {
  logged_out: ["Log in", logInPage],
  session_over: ["Log in", logInPage],
  not_enrolled: ["Make this phone your key", enrolPage],
};

const QUICK_MS = 150; // what comes sooner is not announced

let showing = 0;

/** Where no key can be kept there is nothing to show but why. */
async function start() {
  try {
    await openKey();
  } catch (error) {
    return put("Harbour Desk cannot open", failed("Harbour Desk cannot open", error));
  }
  access.onStatus(show);
  await show();
}

async function show() {
  if (!access) return start();
  const turn = ++showing;
  const name = location.hash.slice(1) in PAGES ? location.hash.slice(1) : "doors";
  const [title, make] = BEFORE[access.status] ?? PAGES[name];
  mark(name);
  const waiting = setTimeout(() => turn === showing && put(title, loading(title)), QUICK_MS);
  const page = await make().catch((error) => failed(title, error));
  clearTimeout(waiting);
  if (turn !== showing) return page.leave?.(); // another page was asked for meanwhile
  put(title, page);
}

function put(title, page) {
  main.firstElementChild?.leave?.();
  main.replaceChildren(page);
  document.title = `${title} · Harbour Desk`;
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

function mark(name) {
  tabs.hidden = access.status !== "ready";
  for (const tab of tabs.children) {
    if (tab.hash === (name === "invite" ? "#visitors" : `#${name}`)) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
}

function failed(title, error) {
  const why = element("p", { class: "notice", role: "alert" }, sentence(error));
  const onward = error.status === 401 ? logInAgain(show) : button("Try again", show, { class: "quiet wide" });
  return element("section", { class: "failed" }, element("h1", {}, title), why, onward);
}

function network() {
  document.getElementById("network").textContent = navigator.onLine ? "" : "Offline";
  document.body.classList.toggle("offline", !navigator.onLine);
  if (navigator.onLine && main.querySelector(".failed")) show();
}

addEventListener("hashchange", () => {
  hush();
  show();
});
tabs.addEventListener("click", (event) => {
  if (event.target.closest("a")?.hash === location.hash) show(); // where one is already: it is asked for anew
});
addEventListener("online", network);
addEventListener("online", () => finishLogOut().catch(() => null));
addEventListener("offline", network);
navigator.serviceWorker?.register("/service-worker.js").catch(() => null);
network();
finishLogOut().catch(() => null);
show();
