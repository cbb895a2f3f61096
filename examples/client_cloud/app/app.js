// The app: which page is shown, and to whom. It opens without a network: then tap and code work as ever.
import { codePage } from "/code.js";
import { doorsPage } from "/doors.js";
import { enrolPage, logInPage } from "/entrance.js";
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
  me: ["Me", () => mePage(show)],
};

async function show() {
  const name = location.hash.slice(1) in PAGES ? location.hash.slice(1) : "doors";
  const isIn = access.status !== "logged_out" && access.phone;
  const [title, page] = isIn ? PAGES[name] : ["Welcome", welcome];
  document.title = `${title} · Harbour Desk`;
  tabs.hidden = !isIn;
  for (const tab of tabs.children) {
    if (tab.hash === (name === "invite" ? "#visitors" : `#${name}`)) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  main.replaceChildren(await page().catch((error) => failed(title, error)));
  scrollTo(0, 0);
}

function welcome() {
  return access.status === "logged_out" ? logInPage(show) : enrolPage(show);
}

function failed(title, error) {
  return element("section", {}, element("h1", {}, title), element("p", { class: "notice" }, sentence(error)));
}

function network() {
  document.getElementById("network").textContent = navigator.onLine ? "" : "Offline";
}

addEventListener("hashchange", () => {
  hush();
  show().then(() => main.focus());
});
addEventListener("online", network);
addEventListener("offline", network);
navigator.serviceWorker?.register("/service-worker.js");
network();
await show();
