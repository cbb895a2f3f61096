// Harbour Desk's own backend: the member's log-in, rooms and visits. Doors are the SDK's affair (key.js).

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.code = "refused";
    this.status = status;
  }
}

export async function logIn(email, password) {
  await finishLogOut();
  return call("POST", "/api/log-in", { email, password });
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

export const me = () => call("GET", "/api/me");
export const rooms = () => call("GET", "/api/rooms");
export const visits = () => call("GET", "/api/visits");
export const invite = (draft) => call("POST", "/api/visits", draft);
export const cancel = (visit) => call("DELETE", `/api/visits/${visit}`);
export const ownVisit = (link) => call("POST", "/api/visit", { link });
/** A one-time token with which the SDK begins its session. */
export const beginAppSession = async () => (await call("POST", "/api/app-session", {})).token;

async function call(method, path, body) {
  const init = { method, headers: body && { "content-type": "application/json" }, body: body && JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Refused(0, "There is no network right now. Please try again when there is.");
  }
  const told = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(answer.status, told?.sentence ?? "Harbour Desk does not answer as it should.");
  return told;
}
