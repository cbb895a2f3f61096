// My code: made on this phone, new every 30 seconds, with or without a network.
import { access } from "/key.js";
import { drawQr } from "/sdk/qr.js";
import { button, codeCard, element, sentence, stayAwake } from "/view.js";

const HINT =
  "This phone makes it by itself, also without a network. It opens your doors, so show it to nobody but the reader, " +
  "and make a new one for the next door.";

export async function codePage() {
  const card = codeCard();
  const page = element(
    "section",
    { class: "held" },
    element("h1", {}, "My code"),
    card.element,
    button("New code", () => access.code({ fresh: true }), { class: "quiet wide" }),
    element("p", { class: "quiet-text" }, HINT),
  );
  let nextAt = 0;
  const show = (code) => {
    nextAt = code.nextAt;
    drawQr(card.picture, code.text);
    tick();
  };
  const stop = access.showCode(show, (error) => page.replaceChildren(element("p", { class: "notice" }, sentence(error))));
  const tick = () => card.count("A new code in ", nextAt - Date.now() / 1000, 30);
  const ticking = setInterval(tick, 500);
  stayAwake();
  page.leave = () => {
    stop();
    clearInterval(ticking);
  };
  return page;
}
