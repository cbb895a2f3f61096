"""The doors by site, each with its controller's state and who was there last. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from latchwork.web.lines import Line, Moment, moment
from latchwork.web.places import Places
from latchwork.wire.api.controllers import Controller
from latchwork.wire.api.events import Event
from latchwork.wire.api.sites import AccessPoint, Site

State = Literal["online", "offline", "frozen", "waiting", "none"]

SENTENCES: Final[dict[State, str]] = {
    "online": "online",
    "offline": "offline, decides by itself",
    "frozen": "keeps older state",
    "waiting": "controller not enrolled yet",
    "none": "no controller",
}


@dataclass(frozen=True, slots=True)
class DoorCard:
    id: int
    name: str
    zone: str
    state: State
    sentence: str
    last_seen: Moment | None
    alarm: str
    """What is wrong with the door itself now; empty: nothing."""
    last: Line | None
    """The latest entry or refusal."""


@dataclass(frozen=True, slots=True)
class SiteCard:
    site: Site
    doors: Sequence[DoorCard]


_ALARMS: Final = {
    "door_forced": "forced open",
    "door_held": "held open",
    "door_closed": "",
    "door_secured": "",
    "access_granted": "",
}
"""What each event leaves a door in."""


def alarm_after(event: Event) -> tuple[int, str] | None:
    """The door and its alarm after an event; None: the event says nothing about that."""
    door = event.data.get("accessPointId")
    return (door, _ALARMS[event.type]) if event.type in _ALARMS and isinstance(door, int) else None


def cards(places: Places, lines: Sequence[Line], events: Iterable[Event]) -> list[SiteCard]:
    """Every site with its doors, in the order of their names; `lines` and `events` oldest first."""
    last = {line.door: line for line in lines if line.kind in ("granted", "refused")}
    alarms = dict(found for event in events if (found := alarm_after(event)))
    by_name = sorted(places.doors.values(), key=lambda door: door.name.casefold())
    return [
        SiteCard(
            site,
            [_card(places, door, alarms.get(door.id, ""), last.get(door.id)) for door in by_name if door.site_id == id],
        )
        for id, site in sorted(places.sites.items(), key=lambda item: item[1].name.casefold())
    ]


def _card(places: Places, door: AccessPoint, alarm: str, last: Line | None) -> DoorCard:
    controller = places.controllers.get(door.controller_id) if door.controller_id is not None else None
    state = _state(controller)
    seen = controller.last_seen_at if controller and state == "offline" else None
    last_seen = moment(seen, places, door.site_id) if seen is not None else None
    return DoorCard(door.id, door.name, door.zone, state, SENTENCES[state], last_seen, alarm, last)


def _state(controller: Controller | None) -> State:
    if controller is None:
        return "none"
    if controller.enrolled_at is None:
        return "waiting"
    if not controller.online:
        return "offline"
    return "frozen" if controller.frozen else "online"
