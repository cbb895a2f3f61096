"""The doors by site, each with its controller's state and who was there last. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from latchwork.web.catalogue import Say
from latchwork.web.lines import Line, Moment, line_of_passage, moment
from latchwork.web.places import Places
from latchwork.web.standing import Link, Tag, mode_tags
from latchwork.wire.api.events import Event
from latchwork.wire.api.passages import DoorState
from latchwork.wire.api.sites import AccessPoint, Site


@dataclass(frozen=True, slots=True)
class DoorCard:
    id: int
    name: str
    zone: str
    state: Link
    sentence: str
    last_seen: Moment | None
    tags: Sequence[Tag]
    """How it stands other than as always."""
    alarm: str
    """What is wrong with the door itself now; empty: nothing."""
    last: Line | None
    """The latest entry or refusal."""


@dataclass(frozen=True, slots=True)
class SiteCard:
    site: Site
    doors: Sequence[DoorCard]


_ALARMS: Final = {"door_forced": "forced", "door_held": "held", "door_closed": "", "door_secured": ""}
"""The alarm that each event leaves a door in."""


def alarm_after(event: Event, say: Say) -> tuple[int, str] | None:
    """The door and its alarm after an event; None: the event says nothing about that."""
    door = event.data.get("accessPointId")
    if event.type not in _ALARMS or not isinstance(door, int):
        return None
    alarm = _ALARMS[event.type]
    return door, say(f"doors.alarm_{alarm}") if alarm else ""


def cards(places: Places, states: Iterable[DoorState], say: Say) -> list[SiteCard]:
    """Every site with its doors, in the order of their names."""
    by_id = {state.access_point_id: state for state in states}
    by_name = sorted(places.doors.values(), key=lambda door: door.name.casefold())
    return [
        SiteCard(
            site,
            [_card(places, door, by_id[door.id], say) for door in by_name if door.site_id == id and door.id in by_id],
        )
        for id, site in sorted(places.sites.items(), key=lambda item: item[1].name.casefold())
    ]


def _card(places: Places, door: AccessPoint, state: DoorState, say: Say) -> DoorCard:
    seen = state.last_seen_at if state.link == "offline" else None
    return DoorCard(
        id=door.id,
        name=door.name,
        zone=door.zone,
        state=state.link,
        sentence=say(f"now.link_{state.link}"),
        last_seen=moment(seen, places, door.site_id) if seen is not None else None,
        tags=[*([Tag("", say("now.open"))] if state.is_open else []), *mode_tags(state, say)],
        alarm=say(f"doors.alarm_{state.alarm}") if state.alarm else "",
        last=line_of_passage(state.last_passage, places, say) if state.last_passage else None,
    )
