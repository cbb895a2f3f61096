// This browser as a key: with the SDK's bundle it becomes one of the user's phones, and draws their code until it is forgotten.
"use strict";

const panel = document.getElementById("key");
const wrong = panel.querySelector("[data-wrong]");
const begin = document.getElementById("key-begin");
const forget = document.getElementById("key-forget");
let renewAt = 0;

function show(state) {
  for (const part of panel.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== state;
}

// What the API or the SDK says, and what to do about it.
function tell(error) {
  const hint = panel.querySelector(`[data-hint="${error.code}"]`) ?? panel.querySelector("[data-hint=other]");
  wrong.textContent = error.code && !("alone" in hint.dataset) ? `${error.message} ${hint.textContent}` : hint.textContent;
  wrong.hidden = false;
}

// This browser's phone as it was left, unless it is somebody else's or was never finished: that is forgotten.
async function kept() {
  const { Access, IndexedDbWallet } = await import(panel.dataset.access);
  const wallet = new IndexedDbWallet();
  const held = await wallet.load();
  const access = await Access.open(location.origin, { wallet });
  const phone = held?.keyring?.userId === Number(panel.dataset.user) ? held.keyring.phone : null;
  if (held && !phone) await access.logOut();
  return { access, phone };
}

async function enrol(access) {
  const answer = await fetch(begin.action, { method: "POST", body: new FormData(begin) });
  if (!answer.ok) throw new Error();
  try {
    await access.logIn((await answer.json()).token);
    await access.enrol(panel.dataset.name);
  } catch (error) {
    await access.logOut();
    throw error;
  }
}

async function showCode(access, phone) {
  const { drawQr } = await import(panel.dataset.qr);
  const row = document.querySelector(`[data-phone="${phone.id}"] [data-this]`);
  if (row) row.hidden = false;
  forget.action = `/mine/phones/${phone.id}/remove`;
  const stop = access.showCode((code) => {
    drawQr(panel.querySelector("canvas"), code.text);
    renewAt = code.nextAt;
    show("ready");
  }, tell);
  document.getElementById("key-fresh").addEventListener("click", () => access.code({ fresh: true }).catch(tell));
  access.onStatus((status) => {
    stop();
    show("none");
    if (status === "session_over") tell({ code: status });
  });
  access.refresh().catch(() => {}); // without a network the code is as good
}

function count() {
  const left = Math.max(0, Math.ceil(renewAt - Date.now() / 1000));
  panel.querySelector("[data-count]").textContent = `0:${String(left).padStart(2, "0")}`;
}

async function start() {
  if (!window.isSecureContext) return show("insecure");
  const { access, phone } = await kept();
  begin.addEventListener("submit", async (event) => {
    event.preventDefault();
    begin.querySelector("button").disabled = true;
    try {
      await enrol(access);
      location.reload();
    } catch (error) {
      tell(error);
      begin.querySelector("button").disabled = false;
    }
  });
  if (!phone) return show("none");
  setInterval(count, 250);
  await showCode(access, phone);
}

start().catch(tell);
