// The live feed: puts what the server renders in its place. Without this script the page shows the latest on load.
"use strict";

const MOST_LINES = 200;
const lines = document.getElementById("lines");
const link = document.getElementById("link");

// Parts that exist are replaced; a new line goes to the top of the feed.
function show(html) {
  const parts = document.createElement("template");
  parts.innerHTML = html;
  for (const part of [...parts.content.children]) {
    const old = document.getElementById(part.id);
    if (old) old.replaceWith(part);
    else if (part.matches(".line")) prepend(part);
    if (part.matches(".alarm, .note")) lookSoon();
  }
}

let soon;
function lookSoon() {
  clearTimeout(soon);
  soon = setTimeout(lookAgain, 300);
}

function prepend(line) {
  line.classList.add("new");
  lines.prepend(line);
  while (lines.children.length > MOST_LINES) lines.lastElementChild.remove();
}

function say(state, text) {
  link.className = "link " + state;
  link.textContent = text;
}

// A browser has six connections for a host in all its tabs: only a tab that is looked at takes one. Seen again, it goes on where it was.
let last = lines.dataset.after;
let source;
function follow() {
  source?.close();
  if (document.hidden) return;
  source = new EventSource("/live?after=" + encodeURIComponent(last));
  source.onopen = () => say("up", lines.dataset.up);
  source.onmessage = (event) => {
    last = event.lastEventId;
    show(event.data);
  };
  source.addEventListener("gap", () => lines.replaceChildren());
  source.onerror = () => {
    const isOver = source.readyState === EventSource.CLOSED;
    say("down", isOver ? lines.dataset.over : lines.dataset.down);
    if (isOver) lookAgain();
  };
}

function loggedOut() {
  source.close();
  say("down", "");
  link.append(document.getElementById("logged-out").content.cloneNode(true));
}

// What is nobody's event (whether controllers are online), and what an alarm changes: the rest of the page is looked at again.
async function lookAgain() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { "x-part": "live" } });
    if (new URL(answer.url).pathname === "/log-in") return loggedOut();
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(part.id);
      const isUsed = part.contains(document.activeElement) || part.querySelector("details[open]");
      if (fresh && !isUsed && fresh.outerHTML !== part.outerHTML) part.replaceWith(fresh);
    }
  } catch {
    // The line above the page says already that the server is away.
  }
}

follow();
setInterval(lookAgain, 20000);
document.addEventListener("visibilitychange", () => {
  follow();
  lookAgain();
});
