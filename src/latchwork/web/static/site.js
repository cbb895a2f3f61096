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
    if (part) document.getElementById(into).replaceWith(part);
    history.replaceState(null, "", url);
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 120);
  });
}

// On a phone the menu is scrolled sideways: to where one is.
document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

// <form data-ask="Really?">
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !window.confirm(question)) event.preventDefault();
});

// <input list="id" data-suggest="/path">: what is typed is looked up, and the answer takes the list's place.
for (const field of document.querySelectorAll("input[data-suggest]")) {
  let timer;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const answer = await fetch(field.dataset.suggest + "?" + new URLSearchParams({ search: field.value }));
      if (!answer.ok) return;
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

async function renew(part) {
  const answer = await fetch(location.href, { headers: { "x-part": part.id } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(part.id);
  if (fresh && bare(fresh) !== bare(part)) part.replaceWith(fresh);
}

for (const part of document.querySelectorAll("[data-again]")) again(part.id);

// A form is sent once, however often its button is pressed. <form data-busy="Waiting …">: what the button says meanwhile.
document.addEventListener("submit", (event) => {
  const { busy, sent } = event.target.dataset;
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (sent) event.preventDefault();
  event.target.dataset.sent = "yes";
  if (sent || !busy) return;
  event.submitter.textContent = busy;
  event.submitter.disabled = true;
});

addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach((form) => delete form.dataset.sent));

// <input data-select>: one click selects all of it, to copy.
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-select]")) event.target.select();
});
