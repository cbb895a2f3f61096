"""What an event says to people: one line of the feed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, Literal

from latchwork.policy.reasons import Reason
from latchwork.web.places import Places
from latchwork.wire.api.events import Event

Kind = Literal["granted", "refused", "alarm", "note"]


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as a site's clock shows it."""

    machine: str
    """RFC 3339, for `<time datetime>`."""
    clock: str
    day: str
    full: str


@dataclass(frozen=True, slots=True)
class Line:
    """Who, what, where, when and why."""

    number: int
    kind: Kind
    who: str
    who_path: str
    """The page of a user or a visit; empty: there is none."""
    what: str
    why: str
    door: int | None
    """The access point it happened at; None: not at a door."""
    where: str
    where_path: str
    """The page of a door or a controller; empty: there is none."""
    site: str
    when: Moment
    count: int


_HAPPENED: Final[dict[str, tuple[Kind, str, str]]] = {
    "pass_shared_suspected": ("alarm", "Code perhaps shared", "The same code was shown here twice."),
    "strike_withheld": ("alarm", "Door stayed shut", "An entry was granted, but could not be written down in time."),
    "card_presented": ("note", "Card read for assignment", "It opened nothing."),
    "door_forced": ("alarm", "Door forced open", "It opened although nobody had been let in."),
    "door_held": ("alarm", "Door held open", "It has been standing open for too long."),
    "door_secured": ("note", "Forced door accounted for", "Somebody with a right to enter was there."),
    "door_unlocked": ("note", "Door unlocked", "It stays open for everybody until it goes back to normal."),
    "door_locked_down": ("alarm", "Door in lockdown", "It opens for nobody until it goes back to normal."),
    "door_back_to_normal": ("note", "Door back to normal", "It opens for those who may enter."),
    "fire_released": ("alarm", "Released by the fire alarm", "The door stays open until the alarm is over."),
    "fire_cleared": ("note", "Fire alarm over", "The door locks again."),
    "controller_started": ("note", "Controller started", "Its doors decide by themselves again."),
    "controller_enrolled": ("note", "Controller enrolled", "Its doors work as soon as it is linked."),
    "controller_cloned": ("alarm", "Controller copied", "Two programs take turns with the same controller's key."),
    "cloud_rolled_back": (
        "alarm",
        "Cloud is older than its doors",
        "It was restored from a backup. The doors keep what they know until an administrator accepts a snapshot.",
    ),
    "snapshot_accepted": ("note", "Snapshot accepted", "The doors take over what the cloud knows."),
    "journal_gap": ("alarm", "Entries are missing", "A part of this controller's journal never arrived."),
    "record_rejected": ("alarm", "Record not understood", "Whoever it is about is refused at this controller's doors."),
    "unreadable_fact": ("alarm", "Entry not understood", "This controller reported something that cannot be read."),
}
"""Kind, title and sentence of what happened at a door or a controller, and is not about a person."""

_DONE: Final = {
    "door_mode_changed": "set the door to {mode}",
    "alarm_acknowledged": "acknowledged: {alarm}",
    "unlock_requested": "asked the door to open",
    "card_enrolment_requested": "asked for a card to be shown here",
    "user_created": "added {name}",
    "user_changed": "changed {name}",
    "user_activated": "activated {name}",
    "user_deactivated": "deactivated {name}",
    "user_deleted": "deleted {name}",
    "permission_granted": "gave {name} a permission for {door}",
    "permission_changed": "changed the permission of {name} for {door}",
    "permission_withdrawn": "took the permission for {door} from {name}",
    "card_assigned": "gave {name} the card that ends in {digits}",
    "card_unassigned": "took the card that ends in {digits} from {name}",
    "phone_enrolled": "enrolled the phone {phone}",
    "phone_removed": "took the phone {phone} from {name}",
}
"""What somebody did with a door, or about who may enter."""
_OWN_PHONE_REMOVED: Final = "removed their phone {phone}"

_MODES: Final = {"access_control": "normal", "unlocked": "unlocked", "locked": "lockdown"}
_SENTENCES: Final = {reason.value: reason.sentence for reason in Reason}
_CREDENTIALS: Final = {"qr": "QR code", "card": "card", "phone": "phone"}
_MANNERS: Final = {
    "tap": "by tapping a phone",
    "click": "with a phone, from a distance",
    "code": "with the code on a phone",
}
_ASKED: Final = {"hold_open": "held the door open", "lock": "locked the door", "normal": "set the door back to normal"}
"""What somebody did with a phone who did not come in."""
_DECISIONS: Final = ("access_granted", "access_refused")

LEFT_OUT: Final[frozenset[str]] = frozenset(
    {
        *("door_opened", "door_closed", "request_to_exit"),  # every entry and every exit brings them
        *("visitor_created", "visitor_changed", "visitor_deleted"),  # a visit is told when the visitor comes
        *("meeting_created", "meeting_changed", "meeting_deleted", "meeting_ended", "visit_link_made"),
        *("visitor_checked_in", "visitor_checked_out"),  # the desk has a page of its own
        *("organisation_created", "organisation_changed", "term_created", "term_deleted"),
        *("site_created", "site_changed", "site_deleted", "holidays_changed"),
        *("schedule_created", "schedule_changed", "schedule_deleted"),
        *("access_point_created", "access_point_changed", "access_point_deleted"),
        *("controller_created", "controller_changed", "controller_deleted", "enrolment_code_created"),
        *("client_created", "client_changed", "client_secret_rotated", "client_revoked"),
        *("pass_key_created", "pass_key_activated", "pass_key_deleted"),
        *("user_invited", "session_begun", "session_ended", "password_changed", "account_removed"),
        *("app_session_begun", "app_session_ended"),
        *("identity_provider_changed", "identity_provider_removed"),
    }
)
"""What the feed leaves to the log: what goes without saying, and how the organisation is set up."""


def is_told(event: Event) -> bool:
    """Whether the feed has a line for it."""
    return event.type in _HAPPENED or event.type in _DONE or event.type in _DECISIONS


def line_of(event: Event, places: Places) -> Line:
    """The line of an event that `is_told`."""
    kind, who, what, why = _told(event, places)
    site = _site(event, places)
    return Line(
        number=event.number,
        kind=kind,
        who=who,
        who_path=_who_path(event),
        what=what,
        why=why,
        door=event.data.get("accessPointId"),
        where=_where(event, places),
        where_path=_where_path(event),
        site=places.site_name(site),
        when=moment(event.at, places, site),
        count=event.data.get("count", 1),
    )


def moment(at: float, places: Places, site: int | None) -> Moment:
    """An instant on the clock of a site."""
    return moment_in(at, places.zone(site))


def moment_in(at: float, zone: tzinfo) -> Moment:
    """An instant on the clock of a zone."""
    local = datetime.fromtimestamp(at, zone)
    return Moment(
        machine=local.isoformat(timespec="seconds"),
        clock=f"{local:%H:%M:%S}",
        day=f"{local.day} {local:%b}",
        full=f"{local:%A}, {local.day} {local:%B %Y}, {local:%H:%M:%S %Z}",
    )


def _told(event: Event, places: Places) -> tuple[Kind, str, str, str]:
    """Kind, who, what and why."""
    if event.type in _DECISIONS:
        return _decision(event)
    if event.type in _HAPPENED:
        return _happening(event)
    return "note", event.actor.name, _deed(event, places), str(event.data.get("note", ""))


def _decision(event: Event) -> tuple[Kind, str, str, str]:
    """Of an entry or a refusal."""
    leaves = event.data.get("direction") == "exit"
    if event.type == "access_refused":
        return "refused", _who(event.data), "was not let out" if leaves else "was refused", _sentence(event.data)
    if event.data.get("credential") == "remote":
        return "granted", _who(event.data), "opened the door from afar", ""
    did = _ASKED.get(event.data.get("ask", ""), "left" if leaves else "came in")
    return "granted", _who(event.data), did, _means(event.data)


def _means(data: dict[str, Any]) -> str:
    """By what somebody was let in; of a phone, how it was used."""
    means = _CREDENTIALS.get(data.get("credential", ""), "")
    return _MANNERS.get(data.get("manner", "")) or (f"with a {means}" if means else "")


def _happening(event: Event) -> tuple[Kind, str, str, str]:
    kind, title, sentence = _HAPPENED[event.type]
    name = event.data.get("visitorName") or event.data.get("visitorKey")
    return kind, "", title, f"{sentence} It was made for {name}." if name else sentence


def _deed(event: Event, places: Places) -> str:
    door, mode = event.data.get("accessPointId"), (event.after or {}).get("mode", "")
    is_own = event.actor.kind == "user" and event.subject == f"user/{event.actor.id}"
    said = _OWN_PHONE_REMOVED if is_own and event.type == "phone_removed" else _DONE[event.type]
    return said.format(
        name=_subject_name(event),
        door=_door_name(door, places),
        digits=event.data.get("lastDigits"),
        phone=event.data.get("phoneName"),
        mode=_MODES.get(mode, mode),
        alarm=_alarm(event.data.get("alarm", "")),
    )


def _alarm(fact: str) -> str:
    """An alarm's title; of a type of a newer cloud its name."""
    return _HAPPENED[fact][1] if fact in _HAPPENED else fact.replace("_", " ")


def _subject_name(event: Event) -> str:
    """As it is called in the event, else by its id."""
    said = (event.data.get("userName"), event.data.get("name"), (event.after or {}).get("name"))
    return next((str(name) for name in said if name), event.subject.replace("/", " "))


def _who(data: dict[str, Any]) -> str:
    """A person's name, else the client's key of a visitor, else who asked from afar, else what they held."""
    asked = data.get("requestedBy") or {}
    means = _CREDENTIALS.get(data.get("credential", ""), "credential")
    names = (data.get("userName"), data.get("visitorName"), data.get("visitorKey"), asked.get("name"))
    return next((str(name) for name in names if name), f"Somebody with a {means}")


def _who_path(event: Event) -> str:
    """Of whoever stands before the sentence: who came, or the user who did something."""
    if event.type not in _DECISIONS:
        return f"/people/{event.actor.id}" if event.actor.kind == "user" else ""
    user, meeting = event.data.get("userId"), event.data.get("meetingId")
    return f"/people/{user}" if user is not None else f"/visitors/{meeting}" if meeting is not None else ""


def _where_path(event: Event) -> str:
    kind, _, number = event.subject.partition("/")
    return {"access_point": f"/doors/{number}", "controller": f"/controllers/{number}"}.get(kind, "")


def _sentence(data: dict[str, Any]) -> str:
    """The reason as the person at the door was told; a reason of a newer controller by its code."""
    code = str(data.get("reason", ""))
    return _SENTENCES.get(code) or code.replace("_", " ").capitalize()


def _site(event: Event, places: Places) -> int | None:
    """Where it happened, as the event says, else as its door stands now."""
    kind, _, number = event.subject.partition("/")
    door = places.doors.get(int(number)) if kind == "access_point" and number.isdecimal() else None
    site: int | None = event.data.get("siteId", door.site_id if door else None)
    return site


def _where(event: Event, places: Places) -> str:
    """The door or controller it is about; empty: neither."""
    kind, _, number = event.subject.partition("/")
    if kind == "access_point":
        return event.data.get("accessPointName") or _door_name(int(number), places)
    if kind != "controller":
        return ""
    controller = places.controllers.get(int(number))
    return controller.name if controller else f"Controller {number}"


def _door_name(id: int | None, places: Places) -> str:
    door = places.doors.get(id) if id is not None else None
    return door.name if door else f"Door {id}"
