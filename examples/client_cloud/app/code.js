// My code: made on this phone, new every 30 seconds, with or without a network.
import { access } from "/key.js";
import { draw } from "/sdk/qr.js";
import { element, sentence, stayAwake } from "/view.js";

export async function codePage() {
  const picture = element("div", { class: "qr", role: "img", "aria-label": "Your code, as a picture for the reader" });
  const bar = element("progress", { max: 30, value: 30, "aria-label": "Until the next code" });
  const count = element("b", {});
  const card = element(
    "div",
    { class: "code" },
    picture,
    bar,
    element("p", { class: "count" }, "A new code in ", count),
    element("p", { class: "how" }, "Hold it to the reader at the door."),
  );
  let nextAt = 0;
  const tick = async () => {
    if (!page.isConnected && nextAt) return clearInterval(ticking); // another page is shown
    if (document.hidden) return;
    if (Date.now() / 1000 >= nextAt) {
      const code = await access.code();
      nextAt = code.nextAt;
      picture.replaceChildren(draw(code.text));
    }
    const left = Math.max(0, Math.ceil(nextAt - Date.now() / 1000));
    bar.value = left;
    count.textContent = `0:${String(left).padStart(2, "0")}`;
  };
  const show = () => tick().catch((error) => card.replaceChildren(element("p", { role: "alert" }, sentence(error))));
  const ticking = setInterval(show, 500);
  const page = element(
    "section",
    {},
    element("h1", {}, "My code"),
    card,
    element("p", { class: "quiet-text" }, "This phone makes it by itself: it needs no network. It opens your doors, once, so do not pass it on."),
  );
  show();
  stayAwake();
  return page;
}
