// The app: which page is shown, and to whom. It opens without a network: then tap and code work as ever.
import { codePage } from "/code.js";
import { finishLogOut } from "/desk.js";
import { doorsPage } from "/doors.js";
import { enrolPage, logInAgain, logInPage } from "/entrance.js";
import { access } from "/key.js";
import { mePage } from "/me.js";
import { element, hush, sentence } from "/view.js";
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

let showing = 0;

async function show() {
  const turn = ++showing;
  const name = location.hash.slice(1) in PAGES ? location.hash.slice(1) : "doors";
  const [title, make] = BEFORE[access.status] ?? PAGES[name];
  const page = await make().catch((error) => failed(title, error));
  if (turn !== showing) return page.leave?.(); // another page was asked for meanwhile
  main.firstElementChild?.leave?.();
  main.replaceChildren(page);
  document.title = `${title} · Harbour Desk`;
  mark(name);
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
  const instead = error.status === 401 ? logInAgain(show) : element("p", { class: "notice", role: "alert" }, sentence(error));
  return element("section", { class: "failed" }, element("h1", {}, title), instead);
}

function network() {
  document.getElementById("network").textContent = navigator.onLine ? "" : "Offline";
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
navigator.serviceWorker?.register("/service-worker.js");
access.onStatus(show);
network();
finishLogOut().catch(() => null);
show();
