// Me: my phones, and where I have been.
import { lastSeen, logOut } from "/entrance.js";
import { access } from "/key.js";
import { button, confirmed, element, icon, moment, say, sentence } from "/view.js";

const WAYS = {
  qr: "with a code",
  code: "with a code",
  tap: "with a tap",
  click: "over Bluetooth",
  phone: "with a phone",
  remote: "from afar",
  card: "with a card",
};

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
  list.replaceChildren(element("li", {}, "Loading…"));
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
  const seen = element("small", {}, isThis ? "This phone" : `Another phone, ${lastSeen(phone)}`);
  return element("li", {}, element("div", {}, phone.name, seen, !isThis && confirmed("Remove it", "Yes, remove it", remove)));
}

function passage(each) {
  const when = moment(each.at, each.timezone ?? undefined);
  const how = WAYS[each.manner] ?? WAYS[each.credential];
  return element(
    "li",
    { class: each.granted ? "yes" : "no" },
    icon(each.granted ? "done" : "stop"),
    element(
      "div",
      {},
      each.accessPointName,
      element("small", {}, `${when}, ${how}`),
      !each.granted && element("small", {}, each.sentence),
    ),
  );
}
