// Me: my phones, and where I have been.
import { logOut } from "/entrance.js";
import { access } from "/key.js";
import { button, element, icon, moment, say, sentence } from "/view.js";

const WAYS = { qr: "with a code", phone: "with a phone", remote: "from afar", card: "with a card" };

export async function mePage() {
  const phones = element("ul", { class: "lines" });
  const past = element("ul", { class: "lines" });
  fill(phones, () => phoneLines(phones));
  fill(past, async () => (await access.history()).map(passage));
  return element(
    "section",
    {},
    element("h1", {}, localStorage.getItem("name") ?? "Me"),
    element("div", { class: "card" }, element("h2", {}, "My phones"), phones),
    element("div", { class: "card" }, element("h2", {}, "Where I have been"), past),
    button("Log out", logOut, { class: "quiet wide" }),
    element("p", { class: "quiet-text" }, "Logging out takes the keys off this phone."),
  );
}

async function fill(list, lines) {
  try {
    const found = await lines();
    list.replaceChildren(...(found.length ? found : [element("li", {}, "Nothing yet.")]));
  } catch (error) {
    list.replaceChildren(element("li", {}, sentence(error)));
  }
}

async function phoneLines(list) {
  const [phones, keyring] = await Promise.all([access.phones(), access.refresh()]);
  return phones.map((phone) => phoneLine(list, phone, phone.id === keyring.phone?.id));
}

function phoneLine(list, phone, isThis) {
  const remove = async () => {
    await access.remove(phone.id);
    await fill(list, () => phoneLines(list));
    say(`${phone.name} opens nothing any more.`);
  };
  return element(
    "li",
    {},
    element("div", {}, phone.name, element("small", {}, isThis ? "This phone" : "Another phone")),
    !isThis && button("Remove", remove, { class: "bad", "aria-label": `Remove ${phone.name}` }),
  );
}

function passage(each) {
  const what = each.granted ? `${moment(each.at, each.timezone ?? undefined)}, ${WAYS[each.credential]}` : each.sentence;
  return element(
    "li",
    { class: each.granted ? "yes" : "no" },
    icon(each.granted ? "done" : "stop"),
    element("div", {}, each.accessPointName, element("small", {}, what)),
  );
}
