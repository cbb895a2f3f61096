// Harbour Desk's own backend: the member's log-in, rooms and visits. Doors are the SDK's affair (key.js).

const PATIENCE_MS = 10_000;
const NO_NETWORK = "There is no network right now. Please try again when there is.";
const TOO_SLOW = "The network is too slow right now: no answer came. Please try again.";

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.code = "refused";
    this.status = status;
  }
}

/** A log-in whose answer was lost is none. */
export async function logIn(email, password) {
  await finishLogOut();
  return call("POST", "/api/log-in", { email, password }).catch(async (error) => {
    if (error.status === 0) await logOut();
    throw error;
  });
}

/** Without a network it is finished later. */
export async function logOut() {
  localStorage.setItem("loggingOut", "yes");
  await finishLogOut().catch(() => null);
}

/** Ends the log-in of whoever logged out while there was no network. */
export async function finishLogOut() {
  if (!localStorage.getItem("loggingOut")) return;
  await call("POST", "/api/log-out", {});
  localStorage.removeItem("loggingOut");
}

export const config = () => call("GET", "/config.json");
export const me = () => call("GET", "/api/me");
export const rooms = () => call("GET", "/api/rooms");
export const visits = () => call("GET", "/api/visits");
export const invite = (draft) => call("POST", "/api/visits", draft);
export const cancel = (visit) => call("DELETE", `/api/visits/${visit}`);
export const ownVisit = (link) => call("POST", "/api/visit", { link });
/** A one-time token with which the SDK begins its session. */
export const beginAppSession = async () => (await call("POST", "/api/app-session", {})).token;

async function call(method, path, body) {
  const headers = body && { "content-type": "application/json" };
  const init = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS) };
  const { ok, status, told } = await answered(path, init).catch((error) => {
    throw new Refused(0, error.name === "TimeoutError" ? TOO_SLOW : NO_NETWORK);
  });
  if (!ok) throw new Refused(status, told?.sentence ?? "Harbour Desk does not answer as it should.");
  return told;
}

/** An answer counts when all of it has come; `told`: what it says in JSON. */
async function answered(path, init) {
  const answer = await fetch(path, init);
  const text = await answer.text();
  return { ok: answer.ok, status: answer.status, told: read(text) };
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
