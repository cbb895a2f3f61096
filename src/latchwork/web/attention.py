"""What needs somebody's attention now, in a few sentences with a way there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from latchwork.web.catalogue import Say
from latchwork.web.places import Places
from latchwork.web.standing import hour, mode_sentence
from latchwork.wire.api.events import Event
from latchwork.wire.api.passages import DoorState

PATIENCE: Final = 300
"""Seconds for which changes may wait for a controller that is in touch without a word."""
_NAMED: Final = 3
"""Doors that a sentence names; more are counted."""


@dataclass(frozen=True, slots=True)
class Need:
    """A sentence, and the page where it can be seen to."""

    kind: Literal["bad", "wait", ""]
    """Empty: it is as somebody wanted it."""
    sentence: str
    path: str


def needs(states: Iterable[DoorState], where: Places, say: Say, now: float, deeds: Iterable[Event] = ()) -> list[Need]:
    """The doors' own alarms first, what is the matter with their controllers, doors held open or locked; empty: none.

    `deeds`: what somebody did with doors, the latest first, as far back as is known.
    """
    here = [state for state in states if state.access_point_id in where.doors]
    return [*_alarms(here, where, say), *_links(here, where, say, now), *_modes(here, where, say, deeds)]


def _modes(states: Sequence[DoorState], where: Places, say: Say, deeds: Iterable[Event]) -> Iterator[Need]:
    """Who did it is said where it is the latest that somebody did with the door's mode."""
    changes: dict[str, Event] = {}
    for deed in deeds:
        if deed.type == "door_mode_changed":
            changes.setdefault(deed.subject, deed)
    for state in states:
        if state.mode == "access_control":
            continue
        id, site = state.access_point_id, _site(state, where)
        sentence = say("now.mode", door=_name(state, where), stands=mode_sentence(state, say, where, site))
        change = changes.get(f"access_point/{id}")
        if change is not None and (change.after or {}).get("mode") == state.mode:
            sentence += " " + say("now.mode_by", name=change.actor.name, when=hour(change.at, where, site, say))
        yield Need("", sentence, f"/doors/{id}")


def _alarms(states: Sequence[DoorState], where: Places, say: Say) -> Iterator[Need]:
    for state in states:
        for alarm in ([state.alarm] if state.alarm else []) + (["fire"] if state.fire else []):
            when = "" if state.told_at is None else hour(state.told_at, where, _site(state, where), say)
            sentence = say(f"now.needs_{alarm}", doors=_name(state, where), when=when)
            yield Need("bad", sentence, f"/doors/{state.access_point_id}")


def _links(states: Sequence[DoorState], where: Places, say: Say, now: float) -> Iterator[Need]:
    """One sentence for all doors of a controller."""
    for trouble, doors in _by_trouble(states, where, now).items():
        name, controller = trouble
        first = doors[0]
        since = first.pending_since if name == "pending" else first.last_seen_at
        when = "" if since is None else hour(since, where, _site(first, where), say)
        path = f"/controllers/{controller}" if controller in where.controllers else f"/doors/{first.access_point_id}"
        sentence = say(f"now.needs_{name}", doors=_names(doors, where, say), when=when)
        yield Need("wait", sentence, path)


def _by_trouble(
    states: Sequence[DoorState], where: Places, now: float
) -> Mapping[tuple[str, int | None], list[DoorState]]:
    """Doors by what is the matter with their controller, and by that controller."""
    found: dict[tuple[str, int | None], list[DoorState]] = {}
    for state in states:
        if trouble := _trouble(state, now):
            controller = where.doors[state.access_point_id].controller_id
            found.setdefault((trouble, controller), []).append(state)
    return found


def _trouble(state: DoorState, now: float) -> str:
    if state.link != "online":
        return state.link
    is_late = state.pending_since is not None and now - state.pending_since > PATIENCE
    return "pending" if is_late else ""


def _names(states: Sequence[DoorState], where: Places, say: Say) -> str:
    named = ", ".join(_name(state, where) for state in states[:_NAMED])
    return say("now.and_more", doors=named, n=len(states) - _NAMED) if len(states) > _NAMED else named


def _name(state: DoorState, where: Places) -> str:
    return where.doors[state.access_point_id].name


def _site(state: DoorState, where: Places) -> int:
    return where.doors[state.access_point_id].site_id
