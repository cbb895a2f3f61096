"""What an event says to people: one line of the feed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
    what: str
    why: str
    door: int | None
    """The access point it happened at; None: not at a door."""
    where: str
    site: str
    when: Moment
    count: int


_TOLD: Final[dict[str, tuple[Kind, str, str]]] = {
    "door_forced": ("alarm", "Door forced open", "It opened although nobody had been let in."),
    "door_held": ("alarm", "Door held open", "It has been standing open for too long."),
    "pass_shared_suspected": ("alarm", "Code perhaps shared", "The same code was shown here twice."),
    "cloud_rolled_back": (
        "alarm",
        "Cloud is older than its doors",
        "It was restored from a backup. The doors keep what they know until an administrator accepts a snapshot.",
    ),
    "controller_cloned": ("alarm", "Controller copied", "Two programs take turns with the same controller's key."),
    "fire_released": ("alarm", "Released by the fire alarm", "The door stays open until the alarm is over."),
    "strike_withheld": ("alarm", "Door stayed shut", "An entry was granted, but could not be written down in time."),
    "journal_gap": ("alarm", "Entries are missing", "A part of this controller's journal never arrived."),
    "door_secured": ("note", "Forced door accounted for", "Somebody with a right to enter was there."),
    "fire_cleared": ("note", "Fire alarm over", "The door locks again."),
}
"""Kind, title and sentence of each event that is not about a person."""

_SENTENCES: Final = {reason.value: reason.sentence for reason in Reason}
_CREDENTIALS: Final = {"qr": "QR code", "card": "card", "phone": "phone"}
_DECISIONS: Final = ("access_granted", "access_refused")


def is_told(event: Event) -> bool:
    """Whether the feed has a line for it."""
    return event.type in _TOLD or event.type in _DECISIONS


def line_of(event: Event, places: Places) -> Line:
    """The line of an event that `is_told`."""
    kind, who, what, why = _decision(event) if event.type in _DECISIONS else _happening(event)
    site = event.data.get("siteId")
    return Line(
        number=event.number,
        kind=kind,
        who=who,
        what=what,
        why=why,
        door=event.data.get("accessPointId"),
        where=_where(event, places),
        site=places.site_name(site),
        when=moment(event.at, places, site),
        count=event.data.get("count", 1),
    )


def moment(at: float, places: Places, site: int | None) -> Moment:
    """An instant on the clock of a site."""
    local = datetime.fromtimestamp(at, places.zone(site))
    return Moment(
        machine=local.isoformat(timespec="seconds"),
        clock=f"{local:%H:%M:%S}",
        day=f"{local.day} {local:%b}",
        full=f"{local:%A}, {local.day} {local:%B %Y}, {local:%H:%M:%S %Z}",
    )


def _decision(event: Event) -> tuple[Kind, str, str, str]:
    """Kind, who, what and why of an entry or a refusal."""
    leaves = event.data.get("direction") == "exit"
    if event.type == "access_granted":
        means = _CREDENTIALS.get(event.data.get("credential", ""), "")
        return "granted", _who(event.data), "left" if leaves else "came in", f"with a {means}" if means else ""
    return "refused", _who(event.data), "was not let out" if leaves else "was refused", _sentence(event.data)


def _happening(event: Event) -> tuple[Kind, str, str, str]:
    kind, title, sentence = _TOLD[event.type]
    name = event.data.get("visitorName") or event.data.get("visitorKey")
    return kind, "", title, f"{sentence} It was made for {name}." if name else sentence


def _who(data: dict[str, Any]) -> str:
    """A visitor's name, else the client's key of them, else what they held in their hand."""
    means = _CREDENTIALS.get(data.get("credential", ""), "credential")
    return data.get("visitorName") or data.get("visitorKey") or f"Somebody with a {means}"


def _sentence(data: dict[str, Any]) -> str:
    """The reason as the person at the door was told; a reason of a newer controller by its code."""
    code = str(data.get("reason", ""))
    return _SENTENCES.get(code) or code.replace("_", " ").capitalize()


def _where(event: Event, places: Places) -> str:
    kind, _, number = event.subject.partition("/")
    if kind == "access_point":
        return event.data.get("accessPointName") or f"Door {number}"
    controller = places.controllers.get(int(number)) if number.isdecimal() else None
    return controller.name if controller else f"Controller {number}"
