// A part of the page that is fetched anew before its code ends: data-renew (seconds until then), data-left (seconds that
// the code lives, counted down). Without this script the visitor's page reloads itself.
"use strict";

const part = () => document.querySelector("[data-renew]");
let renewAt = 0;
let endsAt = Infinity;
let asking = false;

function begin() {
  const now = Date.now();
  const { renew, left } = part()?.dataset ?? {};
  renewAt = renew ? now + 1000 * Number(renew) : Infinity;
  endsAt = left ? now + 1000 * Number(left) : Infinity;
  tick();
}

async function renew() {
  if (asking) return;
  asking = true;
  const old = part();
  try {
    const answer = await fetch(location.pathname, { headers: { "x-part": old.id }, cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(old.id);
    if (fresh) {
      old.replaceWith(fresh);
      begin();
    } else if (answer.ok) location.reload();
    else renewAt = Date.now() + 3000;
  } catch {
    renewAt = Date.now() + 3000; // no network: the code that is shown may still be good
  }
  asking = false;
}

function tick() {
  const here = part();
  if (!here) return;
  const left = Math.max(0, Math.ceil((endsAt - Date.now()) / 1000));
  const count = here.querySelector("[data-count]");
  if (count) count.textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
  here.classList.toggle("ended", left === 0);
  if (Date.now() >= renewAt && !document.hidden) renew();
}

// The screen stays bright while the code is held up, where the browser can do that.
async function stayAwake() {
  if (document.hidden || !document.querySelector("[data-awake]")) return;
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // refused, such as by a battery that is low
  }
}

begin();
stayAwake();
setInterval(tick, 500);
document.addEventListener("visibilitychange", () => {
  tick();
  stayAwake();
});
