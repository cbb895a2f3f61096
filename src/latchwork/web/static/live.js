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

function follow(after) {
  const source = new EventSource("/live?after=" + encodeURIComponent(after));
  source.onopen = () => say("up", lines.dataset.up);
  source.onmessage = (event) => show(event.data);
  source.onerror = () => {
    say("down", source.readyState === EventSource.CLOSED ? lines.dataset.over : lines.dataset.down);
  };
}

// What is nobody's event (whether controllers are online), and what an alarm changes: the rest of the page is looked at again.
async function lookAgain() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { "x-part": "live" } });
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

follow(lines.dataset.after);
setInterval(lookAgain, 20000);
document.addEventListener("visibilitychange", lookAgain);
