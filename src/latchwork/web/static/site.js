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

// <form data-ask="Really?">
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !window.confirm(question)) event.preventDefault();
});

// <… id data-again="2">: this part of the page is fetched anew every so many seconds, until it comes without that.
async function again(id) {
  const old = document.getElementById(id);
  if (!old?.dataset.again) return;
  if (!document.hidden && !old.contains(document.activeElement)) {
    const answer = await fetch(location.pathname, { headers: { "x-part": id } }).catch(() => null);
    if (answer?.ok) {
      const parts = document.createElement("template");
      parts.innerHTML = await answer.text();
      const part = parts.content.getElementById(id);
      if (part) old.replaceWith(part);
    }
  }
  setTimeout(again, old.dataset.again * 1000, id);
}
for (const part of document.querySelectorAll("[data-again]")) setTimeout(again, part.dataset.again * 1000, part.id);

// <form data-busy="Waiting …">: what its button says while the answer takes its time.
document.addEventListener("submit", (event) => {
  const busy = event.target.dataset.busy;
  if (!busy || event.defaultPrevented) return;
  event.submitter.textContent = busy;
  event.submitter.disabled = true;
});

// <input data-select>: one click selects all of it, to copy.
document.addEventListener("focusin", (event) => {
  if (event.target.matches("[data-select]")) event.target.select();
});
