// Me: who I am here, my phones, and where I have been.
import { leave } from "/entrance.js";
import { access } from "/key.js";
import { button, element, icon, moment, say, sentence } from "/view.js";

export async function mePage(onward) {
  const phones = element("ul", { class: "lines" });
  const past = element("ul", { class: "lines" });
  fill(phones, () => access.phones(), (phone) => line(phones, phone, onward));
  fill(past, () => access.history(), passage);
  return element(
    "section",
    {},
    element("h1", {}, access.keyring.userName),
    element("div", { class: "card" }, element("h2", {}, "My phones"), phones),
    element("div", { class: "card" }, element("h2", {}, "Where I have been"), past),
    button("Log out", () => leave(onward), { class: "quiet wide" }),
    element("p", { class: "quiet-text" }, "Logging out takes the keys off this phone."),
  );
}

async function fill(list, ask, show) {
  try {
    const found = await ask();
    list.replaceChildren(...(found.length ? found.map(show) : [element("li", {}, "Nothing yet.")]));
  } catch (error) {
    list.replaceChildren(element("li", {}, sentence(error)));
  }
}

function line(list, phone, onward) {
  const isThis = phone.id === access.phone?.id;
  const remove = async () => {
    await access.removePhone(phone.id);
    if (isThis) return leave(onward);
    say(`${phone.name} opens nothing any more.`);
    return fill(list, () => access.phones(), (each) => line(list, each, onward));
  };
  return element(
    "li",
    {},
    element("div", {}, phone.name, element("small", {}, isThis ? "This phone" : "Another phone")),
    button("Remove", remove, { class: "bad", "aria-label": `Remove ${phone.name}` }),
  );
}

const WAYS = { qr: "code", phone: "tap", remote: "from afar", card: "card" };

function passage(each) {
  const what = each.granted ? `${moment(each.at, each.timezone ?? undefined)} · ${WAYS[each.credential] ?? ""}` : each.sentence;
  return element(
    "li",
    { class: each.granted ? "yes" : "no" },
    icon(each.granted ? "done" : "stop"),
    element("div", {}, each.accessPointName, element("small", {}, what)),
  );
}
