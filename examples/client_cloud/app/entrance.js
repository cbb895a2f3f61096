// The way in: log in to Harbour Desk, which hands over a session for the doors; then make this phone a key.
import * as desk from "/desk.js";
import { access } from "/key.js";
import { button, element, field, form, moment } from "/view.js";

export async function logInPage() {
  return element(
    "section",
    { class: "welcome" },
    element("h1", {}, "Good to see you."),
    access.status === "session_over"
      ? element("p", { class: "notice" }, "Your session is over. Please log in again, and make this phone your key anew.")
      : element("p", { class: "quiet-text" }, "Your desk by the harbour: log in, and this phone opens its doors."),
    credentials(logIn),
  );
}

/** Harbour Desk's own log-in ended before the phone's; the phone stays a key, unless somebody else logs in. */
export function logInAgain(onward) {
  return credentials(async ({ email, password }) => {
    const member = await desk.logIn(email, password);
    if (member.email !== localStorage.getItem("email")) await beginAt(member);
    await onward();
  });
}

function credentials(start) {
  return form(
    start,
    field("E-mail", element("input", { name: "email", type: "email", required: true, autocomplete: "username" })),
    field("Password", element("input", { name: "password", type: "password", required: true, autocomplete: "current-password" })),
    element("button", { class: "wide large" }, "Log in"),
  );
}

/** Two log-ins in one: ours by password, the doors' with a token that our backend fetches for this member. */
async function logIn({ email, password }) {
  await beginAt(await desk.logIn(email, password));
}

/** Both log-ins are one member's, or there is neither. */
async function beginAt({ name, email }) {
  try {
    await access.logIn(await desk.beginAppSession());
  } catch (error) {
    await desk.logOut();
    throw error;
  }
  localStorage.setItem("name", name);
  localStorage.setItem("email", email);
}

export async function logOut() {
  localStorage.removeItem("name");
  localStorage.removeItem("email");
  await Promise.all([desk.logOut(), access.logOut()]); // without a network this phone forgets its keys all the same
}

export async function enrolPage() {
  const phones = (await access.phones()).sort((a, b) => a.lastUsedAt - b.lastUsedAt); // null, a session that is over, first
  const replaces = replacing(phones);
  const enrol = ({ name }) =>
    access.enrol(name, Number(replaces.value) || null).catch((error) => {
      if (error.code === "phone_limit_reached") replaces.value = phones[0].id;
      throw error;
    });
  return element(
    "section",
    { class: "welcome" },
    element("h1", {}, "Make this phone your key"),
    element("p", { class: "quiet-text" }, "The keys are made on it and never leave it. You can take them away at any time."),
    form(
      enrol,
      field("What do you call this phone?", element("input", { name: "name", required: true, maxlength: 60, value: guess() })),
      phones.length > 0 && field("Does it replace another?", replaces, "A phone that is replaced opens nothing any more."),
      element("button", { class: "wide large" }, "Enrol this phone"),
      button("Log out", logOut, { class: "quiet wide" }),
    ),
  );
}

function replacing(phones) {
  const options = phones.map((phone) => element("option", { value: phone.id }, `${phone.name}, ${lastSeen(phone)}`));
  return element("select", {}, element("option", { value: "" }, "No, I use both"), options);
}

/** Tells phones of one name apart. */
export function lastSeen(phone) {
  return phone.lastUsedAt ? `used ${moment(phone.lastUsedAt)}` : `a key since ${moment(phone.createdAt)}`;
}

function guess() {
  const known = ["iPhone", "iPad", "Android", "Windows", "Mac", "Linux"].find((name) => navigator.userAgent.includes(name));
  return known ? `My ${known}` : "My phone";
}
