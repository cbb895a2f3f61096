// What a page does more with scripts than without: lists that follow what is typed, and questions before what cannot be undone.
"use strict";

// <form data-into="id">: while somebody types, the part of the page with this id is fetched as the form would load it.
for (const form of document.querySelectorAll("form[data-into]")) {
  const into = form.dataset.into;
  let asked = 0;
  let timer;
  const ask = async () => {
    const turn = ++asked;
    const url = form.getAttribute("action") + "?" + new URLSearchParams(new FormData(form));
    const answer = await fetch(url, { headers: { "x-part": into } });
    if (!answer.ok || turn !== asked) return;
    const parts = document.createElement("template");
    parts.innerHTML = await answer.text();
    const part = parts.content.getElementById(into);
    if (answer.redirected || !part) return location.assign(url); // logged out meanwhile
    document.getElementById(into).replaceWith(part);
    history.replaceState(null, "", url);
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 120);
  });
}

// The answer to a form stands, for Back and reload, where the form stood: nothing is sent again.
if (document.body.dataset.here) history.replaceState(null, "", document.body.dataset.here);

// On a phone the menu is scrolled sideways: to where one is.
document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// <form data-ask="Really?">
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !window.confirm(question)) event.preventDefault();
});

// <form data-key="the SDK's bundle">: it ends that this browser is a key, which is forgotten first, if it is one.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.key || event.defaultPrevented) return;
  event.preventDefault();
  const forgotten = import(form.dataset.key)
    .then(({ Access }) => Access.open(location.origin))
    .then((access) => access.logOut());
  await Promise.race([forgotten, new Promise((late) => setTimeout(late, 3000))]).catch(() => {});
  form.submit();
});

// <input list="id" data-suggest="/path">: what is typed is looked up, and the answer takes the list's place.
for (const field of document.querySelectorAll("input[data-suggest]")) {
  let timer;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const answer = await fetch(field.dataset.suggest + "?" + new URLSearchParams({ search: field.value }));
      if (!answer.ok || answer.redirected) return;
      const parts = document.createElement("template");
      parts.innerHTML = await answer.text();
      field.list.replaceChildren(...parts.content.firstElementChild.children);
    }, 150);
  });
}

// <div id="x" data-again="3">: while the page is seen, this part is fetched anew every so many seconds, for as long as it says so.
function again(id) {
  const part = document.getElementById(id);
  if (!part || !part.dataset.again) return;
  setTimeout(async () => {
    try {
      if (!document.hidden && !part.contains(document.activeElement)) await renew(part);
    } catch {
      // The next turn tries again.
    }
    again(id);
  }, part.dataset.again * 1000);
}

// What there is to see: the forms' proofs change each time.
const bare = (part) => part.outerHTML.replace(/name="csrf" value="\w+"/g, "");

// The page as it is now: parts that ask at the same time share one answer.
let looking;
function looked() {
  looking ??= fetch(location.href, { headers: { "x-part": "again" } })
    .then((answer) => (answer.ok ? answer.text() : ""))
    .finally(() => (looking = null));
  return looking;
}

async function renew(part) {
  const page = new DOMParser().parseFromString(await looked(), "text/html");
  const fresh = page.getElementById(part.id);
  if (fresh && bare(fresh) !== bare(part)) part.replaceWith(fresh);
}

for (const part of document.querySelectorAll("[data-again]")) again(part.id);

// A form is sent once, however often its button is pressed, until it could be stuck: somebody stopped it, or no answer comes.
// <form data-busy="Waiting …">: it takes up to half a minute, and what the button says meanwhile.
document.addEventListener("submit", (event) => {
  const { busy, sent } = event.target.dataset;
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
  setTimeout(release, busy ? 40000 : 5000, event.target);
  if (!busy) return;
  event.submitter.dataset.says = event.submitter.textContent;
  event.submitter.textContent = busy;
  event.submitter.disabled = true;
});

function release(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("[data-says]")) {
    button.textContent = button.dataset.says;
    button.disabled = false;
    delete button.dataset.says;
  }
}

addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach(release));

// <input data-select>: one click selects all of it, to copy.
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-select]")) event.target.select();
});
