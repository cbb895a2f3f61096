// The way in: log in to Harbour Desk, which hands over a session for the doors; then make this phone a key.
import * as desk from "/desk.js";
import { access } from "/key.js";
import { button, element, field, form } from "/view.js";

export async function logInPage(onward) {
  return element(
    "section",
    { class: "welcome" },
    element("h1", {}, "Good to see you."),
    element("p", { class: "quiet-text" }, "Your desk by the harbour: log in, and this phone opens its doors."),
    form(
      async ({ email, password }) => {
        await desk.logIn(email, password);
        await access.logIn(await desk.beginAppSession());
        await onward();
      },
      field("E-mail", element("input", { name: "email", type: "email", required: true, autocomplete: "username" })),
      field("Password", element("input", { name: "password", type: "password", required: true, autocomplete: "current-password" })),
      element("div", { class: "thumb" }, element("button", {}, "Log in")),
    ),
  );
}

export async function enrolPage(onward) {
  const phones = await access.phones();
  const enrol = (name, replaces) => access.enrol(name, replaces).then(onward);
  const page = element(
    "section",
    { class: "welcome" },
    element("h1", {}, "Make this phone your key"),
    element("p", { class: "quiet-text" }, "Its keys are made here and never leave it. You can take them away at any time."),
    form(
      ({ name, replaces }) => enrol(name, replaces ? Number(replaces) : null),
      field("What do you call this phone?", element("input", { name: "name", required: true, maxlength: 60, value: guess() })),
      phones.length > 0 && replacing(phones),
      element("div", { class: "thumb" }, element("button", {}, "Enrol this phone"), button("Log out", () => leave(onward), { class: "quiet" })),
    ),
  );
  return page;
}

export async function leave(onward) {
  await desk.logOut().catch(() => null); // without a network the phone still forgets its keys
  await access.logOut();
  await onward();
}

function replacing(phones) {
  const options = phones.map((phone) => element("option", { value: phone.id }, phone.name));
  return field(
    "Does it replace another?",
    element("select", { name: "replaces" }, element("option", { value: "" }, "No, I use both"), options),
    "A phone that is replaced opens nothing any more.",
  );
}

function guess() {
  const known = ["iPhone", "iPad", "Android", "Windows", "Mac", "Linux"].find((name) => navigator.userAgent.includes(name));
  return known ? `My ${known}` : "My phone";
}
