// Visitors: who comes, and the form that invites somebody.
import * as desk from "/desk.js";
import { button, element, field, form, icon, say, span } from "/view.js";

export async function visitorsPage() {
  const list = element("ul", { class: "cards" });
  show(list, await desk.visits());
  const invite = element("a", { class: "button", href: "#invite" }, icon("guest"), "Invite a visitor");
  return element("section", {}, element("h1", {}, "Visitors"), list, element("div", { class: "thumb" }, invite));
}

function show(list, visits) {
  const nobody = element("li", { class: "empty" }, "Nobody is expected. Invite somebody, and they get a code for the doors on their way to you.");
  list.replaceChildren(...(visits.length ? visits.map((visit) => card(list, visit)) : [nobody]));
}

function card(list, visit) {
  const remove = async () => {
    await desk.cancel(visit.id);
    show(list, await desk.visits());
    say(`${visit.visitor}’s visit is cancelled. Their code opens nothing any more.`);
  };
  return element(
    "li",
    { class: "card" },
    element("h2", {}, visit.visitor),
    element("p", {}, span(visit.startsAt, visit.endsAt, visit.timezone), element("br"), visit.room),
    handOver(visit),
    element("details", {}, element("summary", {}, "Cancel this visit"), button("Yes, cancel it", remove, { class: "bad" })),
  );
}

/** The link is the invitation: it is shared as the phone shares things, or copied. */
function handOver(visit) {
  const message = { title: "Your visit to Harbour Desk", text: `Your code for ${visit.room}, ${span(visit.startsAt, visit.endsAt, visit.timezone)}:`, url: visit.url };
  const share = () => navigator.share(message).catch((error) => error.name !== "AbortError" && Promise.reject(error));
  const copy = async () => {
    await navigator.clipboard.writeText(visit.url);
    say("The link is copied. Send it to your visitor.");
  };
  return element(
    "div",
    { class: "actions" },
    navigator.share ? button("Send link", share) : button("Copy link", copy),
    element("a", { class: "button quiet", href: visit.url, target: "_blank", rel: "noopener" }, "Their page"),
  );
}

export async function invitePage() {
  const rooms = await desk.rooms();
  const page = element("section", {}, element("h1", {}, "Invite a visitor"));
  const draft = crypto.randomUUID(); // one for this form, however often it has to be sent
  const [date, starts, ends] = soon(rooms[0].timezone);
  page.append(
    form(
      (fields) => book(page, rooms, draft, fields),
      field("Who comes?", element("input", { name: "visitor", required: true, maxlength: 80, autocomplete: "off", autocapitalize: "words" })),
      field("To which room?", element("select", { name: "room" }, rooms.map((room) => element("option", { value: room.id }, room.name)))),
      field("On which day?", element("input", { name: "day", type: "date", required: true, value: date, min: date })),
      element(
        "div",
        { class: "pair" },
        field("From", element("input", { name: "from", type: "time", required: true, value: starts })),
        field("Until", element("input", { name: "until", type: "time", required: true, value: ends })),
      ),
      element("div", { class: "thumb" }, element("button", {}, "Invite"), element("a", { class: "button quiet", href: "#visitors" }, "Back")),
    ),
  );
  return page;
}

async function book(page, rooms, draft, { visitor, room, day, from, until }) {
  const visit = await desk.invite({ draft, visitor, room: Number(room), starts: `${day}T${from}`, ends: `${day}T${until}` });
  const { address } = rooms.find((each) => each.id === Number(room));
  page.replaceChildren(
    element("h1", { tabindex: "-1" }, `${visit.visitor} is invited`),
    element("p", {}, span(visit.startsAt, visit.endsAt, visit.timezone), element("br"), `${visit.room}, ${address}`),
    element("p", {}, "Now send them the link. It shows a code that opens the doors on their way, new every minute."),
    handOver(visit),
    element("p", { class: "link" }, visit.url),
    element("a", { class: "button quiet wide", href: "#visitors" }, "All visitors"),
  );
  page.querySelector("h1").focus();
}

/** Today, the last full five minutes and two hours later, as the room's clock shows them; never past midnight. */
function soon(timezone) {
  const parts = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: timezone };
  const local = (ms) => new Intl.DateTimeFormat("sv-SE", parts).format(ms).split(" ");
  const now = Math.floor(Date.now() / 300_000) * 300_000;
  const [date, starts] = local(now);
  const [laterDate, later] = local(now + 7_200_000);
  return [date, starts, laterDate === date ? later : "23:59"];
}
