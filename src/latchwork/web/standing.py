"""How a door and its controller stand, in a few words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from latchwork.web.catalogue import Say
from latchwork.web.clocks import in_words
from latchwork.web.places import Places
from latchwork.wire.api.controllers import Controller
from latchwork.wire.api.passages import DoorState
from latchwork.wire.api.people import Interval, Permission, Schedule

Kind = Literal["good", "wait", "bad", ""]
Link = Literal["none", "waiting", "offline", "frozen", "online"]

_LINKS: Final[dict[Link, Kind]] = {"online": "good", "offline": "wait", "frozen": "wait", "waiting": "wait", "none": ""}


@dataclass(frozen=True, slots=True)
class Tag:
    """A word in a pill."""

    kind: Kind
    text: str


def link_tag(link: Link, say: Say) -> Tag:
    return Tag(_LINKS[link], say(f"doors.link_{link}"))


def link_of(controller: Controller) -> Link:
    if controller.enrolled_at is None:
        return "waiting"
    if not controller.online:
        return "offline"
    return "frozen" if controller.frozen else "online"


def alarm_tags(state: DoorState, say: Say) -> list[Tag]:
    """What is wrong with the door itself; empty: nothing."""
    alarms = [state.alarm] if state.alarm else []
    return [Tag("bad", say(f"doors.alarm_{alarm}")) for alarm in [*alarms, *(["fire"] if state.fire else [])]]


def mode_tags(state: DoorState, say: Say) -> list[Tag]:
    """A mode other than the normal one, and whether the door has it; empty: as always."""
    mode = (
        [] if state.mode == "access_control" else [Tag("bad" if state.mode == "locked" else "wait", _mode(state, say))]
    )
    return [*mode, Tag("wait", say("doors.pending_mode"))] if state.confirmed is False else mode


def _mode(state: DoorState, say: Say) -> str:
    return say(f"doors.mode_{state.mode}")


Stand = Literal["assigned", "pending", "removing", "over", "early"]


def stand_of(given: Permission, now: float) -> Stand:
    """Where a permission has arrived, and whether it holds now: `over` ended, `early` has not begun yet."""
    if given.state == "removing":
        return "removing"
    if given.ends_at is not None and given.ends_at <= now:
        return "over"
    is_early = given.state == "assigned" and given.starts_at is not None and given.starts_at > now
    return "early" if is_early else given.state


def mode_sentence(state: DoorState, say: Say, where: Places, site: int) -> str:
    """How the door stands, and until when."""
    sentence = say(f"doors.stands_{state.mode}")
    if state.until is None:
        return sentence
    return say("doors.until", what=sentence, when=hour(state.until, where, site, say))


def hour(at: float, where: Places, site: int | None, say: Say) -> str:
    """An instant in the time to come, as people say it: 14:30, or with its day when that is not today."""
    zone = where.zone(site)
    local = datetime.fromtimestamp(at, zone)
    is_today = local.date() == datetime.now(zone).date()
    return f"{local:%H:%M}" if is_today else f"{local:%H:%M}, {in_words('day', local, say)}"


def minutes_left(until: float, now: float) -> int:
    """Whole minutes, rounded up; 0: over."""
    return max(0, -int(-(until - now) // 60))


@dataclass(frozen=True, slots=True)
class Days:
    """Days that are alike, and their hours."""

    days: str
    hours: str


def week(schedule: Schedule, say: Say) -> list[Days]:
    """A schedule in words: days in a row that are alike stand together; holidays last."""
    names = say("doors.days").split()
    rows: list[Days] = []
    first = 0
    for day in range(1, 8):
        if day == 7 or schedule.week[day] != schedule.week[first]:
            span = names[first] if day - first == 1 else f"{names[first]}–{names[day - 1]}"
            rows.append(Days(span, _hours(schedule.week[first], say)))
            first = day
    return [*rows, Days(say("doors.holidays"), _hours(schedule.holiday, say))]


def _hours(intervals: Sequence[Interval], say: Say) -> str:
    if not intervals:
        return say("doors.never")
    return ", ".join(f"{_clock(each.start)}–{_clock(each.end)}" for each in intervals)


def _clock(minute: int) -> str:
    """Minutes after midnight; what lies beyond 24:00 is the next day's."""
    return "24:00" if minute == 1440 else f"{minute // 60 % 24:02}:{minute % 60:02}"


@dataclass(frozen=True, slots=True)
class Health:
    """A controller's facts, in words; a `Tag` says which of them need somebody."""

    link: Tag
    state: Tag
    backlog: Tag
    clock: Tag
    version: str


CLOCK_GOOD: Final = 2.0
"""Seconds that a door's clock may differ from the cloud's without a word."""


def health(controller: Controller, say: Say) -> Health:
    behind = controller.revision - controller.confirmed_revision
    is_known = controller.last_seen_at is not None
    return Health(
        link_tag(link_of(controller), say),
        Tag("wait", say("controllers.behind", n=behind)) if behind > 0 else Tag("good", say("controllers.in_step")),
        _backlog(controller.backlog, say),
        _clock_tag(controller, say),
        (controller.version or "?") if is_known else say("controllers.unknown"),
    )


def _backlog(backlog: int | None, say: Say) -> Tag:
    if backlog is None:
        return Tag("", say("controllers.unknown"))
    return Tag("wait", say("controllers.waiting", n=backlog)) if backlog else Tag("good", say("controllers.all_told"))


def _clock_tag(controller: Controller, say: Say) -> Tag:
    offset = controller.clock_offset
    if offset is None:
        return Tag("", say("controllers.unknown"))
    if abs(offset) > CLOCK_GOOD:
        which = "ahead" if offset > 0 else "behind"
        return Tag("bad", say(f"controllers.clock_{which}", seconds=f"{abs(offset):,.0f}"))
    return Tag("good", say("controllers.clock_right"))
