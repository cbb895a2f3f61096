"""A day's hours as people write them: "08:00-12:00, 13:00-18:00"; and a week of them as it is drawn. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from latchwork.wire.api.people import Interval

DAY: Final = 1440
_SPAN = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*(?:-|–|—|to|until)\s*(\d{1,2})(?:[:.](\d{2}))?", re.IGNORECASE)
_ALWAYS: Final = ("always", "all day", "24h", "24 h")
_NEVER: Final = ("", "never", "closed", "-", "–")


class NoHours(ValueError):
    """A part of what was written is no span of time, or (`overlap`) runs into another one.

    `midnight`: it would pass midnight, which has to be `written` out; `midnight_or`: perhaps `meant` otherwise.
    """

    def __init__(self, part: str, reason: str = "no_span", **more: str) -> None:
        super().__init__(part)
        self.reason, self.values = reason, {"part": part, **more}


def read(text: str) -> list[Interval]:
    """Minutes after midnight, in order; what ends before it begins ends on the next day. Raises NoHours."""
    text = text.strip().lower()
    if text in _NEVER:
        return []
    if text in _ALWAYS:
        return [Interval(0, DAY)]
    found = sorted((_interval(part.strip()) for part in re.split(r"[,;]|\band\b", text)), key=lambda each: each.start)
    for one, other in pairwise(found):
        if other.start < one.end:
            raise NoHours(f"{write([one])}, {write([other])}", "overlap")
    return found


def _interval(part: str) -> Interval:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise NoHours(part)
    hour, minute, last_hour, last_minute = (int(group or 0) for group in match.groups())
    start, end = hour * 60 + minute, last_hour * 60 + last_minute
    end += DAY if end < start else 0
    if max(minute, last_minute) > 59 or start >= DAY or not start < end <= start + DAY:
        raise NoHours(part)
    if end > DAY and None in (match[2], match[4]):
        raise _passing_midnight(part, start, end)
    return Interval(start, end)


def _passing_midnight(part: str, start: int, end: int) -> NoHours:
    """ "9-5" is the day's work to many, and twenty hours by the clock."""
    written, afternoon = write([Interval(start, end)]), end - DAY + DAY // 2
    if not start < afternoon < DAY:
        return NoHours(part, "midnight", written=written)
    return NoHours(part, "midnight_or", written=written, meant=write([Interval(start, afternoon)]))


def write(intervals: Sequence[Interval]) -> str:
    """As `read` reads it."""
    return ", ".join(f"{_clock(each.start)}-{_clock(each.end)}" for each in sorted(intervals, key=lambda i: i.start))


def _clock(minute: int) -> str:
    """What lies beyond 24:00 is the next day's."""
    return "24:00" if minute == DAY else f"{minute // 60 % 24:02}:{minute % 60:02}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a drawn day, in minutes; `is_from_before`: the day before goes on."""

    start: int
    length: int
    is_from_before: bool = False


def drawn(week: Sequence[Sequence[Interval]], holiday: Sequence[Interval]) -> list[list[Bar]]:
    """Seven days and the holiday: what reaches past midnight is drawn on the day after, of a holiday not at all."""
    return [[*_over(week[day - 1]), *_own(week[day])] for day in range(7)] + [_own(holiday)]


def _own(intervals: Sequence[Interval]) -> list[Bar]:
    return [Bar(each.start, min(each.end, DAY) - each.start) for each in intervals]


def _over(intervals: Sequence[Interval]) -> list[Bar]:
    return [Bar(0, each.end - DAY, is_from_before=True) for each in intervals if each.end > DAY]
