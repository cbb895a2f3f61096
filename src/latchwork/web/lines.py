"""What an event says to people: one line of the feed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal, get_args

from latchwork.web.catalogue import Say, reason
from latchwork.web.clocks import in_words
from latchwork.web.places import Places
from latchwork.wire.api.events import DEEDS, Actor, Event
from latchwork.wire.api.passages import Manner, ModeName, Passage

Kind = Literal["granted", "refused", "alarm", "note"]


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant as a site's clock shows it."""

    local: datetime

    @property
    def machine(self) -> str:
        """RFC 3339, for `<time datetime>`."""
        return self.local.isoformat(timespec="seconds")

    @property
    def clock(self) -> str:
        return f"{self.local:%H:%M:%S}"

    @property
    def zone(self) -> str:
        """UTC where that stands for a place's own zone, which is not known; else empty."""
        return f"{self.local:%Z}" if self.local.tzinfo is UTC else ""

    def day(self, say: Say) -> str:
        return in_words("day", self.local, say)

    def full(self, say: Say) -> str:
        return in_words("full", self.local, say)


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


_HAPPENED: Final[dict[str, Kind]] = {
    "pass_shared_suspected": "alarm",
    "strike_withheld": "alarm",
    "card_presented": "note",
    "door_forced": "alarm",
    "door_held": "alarm",
    "door_secured": "note",
    "door_unlocked": "note",
    "door_locked_down": "alarm",
    "door_back_to_normal": "note",
    "fire_released": "alarm",
    "fire_cleared": "note",
    "controller_started": "note",
    "controller_enrolled": "note",
    "controller_cloned": "alarm",
    "cloud_rolled_back": "alarm",
    "snapshot_accepted": "note",
    "journal_gap": "alarm",
    "record_rejected": "alarm",
    "unreadable_fact": "alarm",
}
"""What happened at a door or a controller, and is not about a person; title and sentence by these names."""

_DONE: Final = frozenset(DEEDS["doors"])
"""What somebody did with a door; `did_` before the name of its text."""

_MEANS: Final = ("qr", "card", "phone", *(f"phone_{manner}" for manner in get_args(Manner)))
_ASKED: Final = ("hold_open", "lock", "normal")
"""What somebody did with a phone who did not come in."""
_DECISIONS: Final = ("access_granted", "access_refused")

LEFT_OUT: Final[frozenset[str]] = frozenset(
    {
        *("door_opened", "door_closed", "request_to_exit"),  # every entry and every exit brings them
        *DEEDS["people"],
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
        *("app_session_begun", "app_session_ended", "app_session_contested"),
        *("identity_provider_changed", "identity_provider_removed"),
    }
)
"""What the feed leaves to the log: what goes without saying, and how the organisation is run."""


def is_told(event: Event) -> bool:
    """Whether the feed has a line for it."""
    return event.type in _HAPPENED or event.type in _DONE or event.type in _DECISIONS


def line_of(event: Event, places: Places, say: Say) -> Line:
    """The line of an event that `is_told`."""
    kind, who, what, why = _told(event, say)
    site = _site(event, places)
    return Line(
        number=event.number,
        kind=kind,
        who=who,
        who_path=_who_path(event),
        what=what,
        why=why,
        door=event.data.get("accessPointId"),
        where=_where(event, places, say),
        where_path=_where_path(event),
        site=places.site_name(site),
        when=moment(event.at, places, site),
        count=event.data.get("count", 1),
    )


def line_of_passage(passage: Passage, places: Places, say: Say) -> Line:
    """The line of the event that it is."""
    user, visitor, asked = passage.user, passage.visitor, passage.requested_by
    data = {
        "accessPointId": passage.access_point_id,
        "accessPointName": passage.access_point_name,
        "siteId": passage.site_id,
        "direction": passage.direction,
        "reason": passage.reason,
        "credential": passage.credential,
        "ask": passage.ask,
        "count": passage.count,
        **({"manner": passage.manner} if passage.manner else {}),
        **({"userId": user.id, "userName": user.name} if user else {}),
        **(
            {"visitorName": visitor.name, "visitorKey": visitor.key, "meetingId": visitor.meeting_id} if visitor else {}
        ),
        **({"requestedBy": {"name": asked.name}} if asked else {}),
    }
    about, kind = f"access_point/{passage.access_point_id}", "granted" if passage.granted else "refused"
    nobody = Actor("controller", "", "")
    event = Event(passage.number, f"access_{kind}", passage.at, passage.recorded_at, nobody, about, data)
    return line_of(event, places, say)


def moment(at: float, places: Places, site: int | None) -> Moment:
    """An instant on the clock of a site."""
    return moment_in(at, places.zone(site))


def moment_in(at: float, zone: tzinfo) -> Moment:
    """An instant on the clock of a zone."""
    return Moment(datetime.fromtimestamp(at, zone))


def _told(event: Event, say: Say) -> tuple[Kind, str, str, str]:
    """Kind, who, what and why."""
    if event.type in _DECISIONS:
        return _decision(event, say)
    if event.type in _HAPPENED:
        return _happening(event, say)
    return "note", event.actor.name, _deed(event, say), str(event.data.get("note", ""))


def _decision(event: Event, say: Say) -> tuple[Kind, str, str, str]:
    """Of an entry or a refusal."""
    way = "exit" if event.data.get("direction") == "exit" else "entry"
    if event.type == "access_refused":
        return "refused", _who(event.data, say), say(f"lines.{way}_refused"), _sentence(event.data, say)
    if event.data.get("credential") == "remote":
        return "granted", _who(event.data, say), say("lines.remote_granted"), ""
    ask = event.data.get("ask")
    did = say(f"lines.asked_{ask}") if ask in _ASKED else say(f"lines.{way}_granted")
    return "granted", _who(event.data, say), did, _means(event.data, say)


def _means(data: dict[str, Any], say: Say) -> str:
    """By what somebody was let in; of a phone, how it was used."""
    means = "_".join(str(data[name]) for name in ("credential", "manner") if name in data)
    return say(f"lines.with_{means}") if means in _MEANS else ""


def _happening(event: Event, say: Say) -> tuple[Kind, str, str, str]:
    title, sentence = say(f"lines.{event.type}"), say(f"lines.{event.type}_why")
    name = event.data.get("visitorName") or event.data.get("visitorKey")
    made_for = say("lines.made_for", name=name) if name else ""
    return _HAPPENED[event.type], "", title, f"{sentence} {made_for}".rstrip()


def _deed(event: Event, say: Say) -> str:
    mode = (event.after or {}).get("mode", "")
    return say(
        f"lines.did_{event.type}",
        mode=say(f"lines.mode_{mode}") if mode in get_args(ModeName) else mode,
        alarm=_alarm(event.data.get("alarm", ""), say),
    )


def _alarm(fact: str, say: Say) -> str:
    """An alarm's title; of a type of a newer cloud its name."""
    return say(f"lines.{fact}") if fact in _HAPPENED else fact.replace("_", " ")


def _who(data: dict[str, Any], say: Say) -> str:
    """A person's name, else the client's key of a visitor, else who asked from afar, else what they held."""
    asked, means = data.get("requestedBy") or {}, data.get("credential")
    names = (data.get("userName"), data.get("visitorName"), data.get("visitorKey"), asked.get("name"))
    nobody = say(f"lines.somebody_{means}") if means in _MEANS else say("lines.somebody")
    return next((str(name) for name in names if name), nobody)


def _who_path(event: Event) -> str:
    """Of whoever stands before the sentence: who came, or the user who did something."""
    if event.type not in _DECISIONS:
        return f"/people/{event.actor.id}" if event.actor.kind == "user" else ""
    user, meeting = event.data.get("userId"), event.data.get("meetingId")
    return f"/people/{user}" if user is not None else f"/visitors/{meeting}" if meeting is not None else ""


def _where_path(event: Event) -> str:
    kind, _, number = event.subject.partition("/")
    return {"access_point": f"/doors/{number}", "controller": f"/controllers/{number}"}.get(kind, "")


def _sentence(data: dict[str, Any], say: Say) -> str:
    """The reason as the person at the door was told; a reason of a newer controller by its code."""
    code = str(data.get("reason", ""))
    return reason(say, code, code.replace("_", " ").capitalize())


def _site(event: Event, places: Places) -> int | None:
    """Where it happened, as the event says, else as its door stands now."""
    kind, _, number = event.subject.partition("/")
    door = places.doors.get(int(number)) if kind == "access_point" and number.isdecimal() else None
    site: int | None = event.data.get("siteId", door.site_id if door else None)
    return site


def _where(event: Event, places: Places, say: Say) -> str:
    """The door or controller it is about; empty: neither."""
    kind, _, number = event.subject.partition("/")
    if kind == "access_point":
        return event.data.get("accessPointName") or _door_name(int(number), places, say)
    if kind != "controller":
        return ""
    controller = places.controllers.get(int(number))
    return controller.name if controller else say("lines.controller", id=number)


def _door_name(id: int | None, places: Places, say: Say) -> str:
    door = places.doors.get(id) if id is not None else None
    return door.name if door else say("lines.door", id=id)
