"""A person's month as a sheet: every day, when they first came in and last went out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from latchwork.web.catalogue import Say
from latchwork.web.clocks import in_words
from latchwork.web.lines import Moment, moment_in
from latchwork.web.passages import zone_of
from latchwork.wire.api.passages import Attendance, AttendanceDay, AttendanceMark

COLUMNS: Final = ("day", "first_in", "first_door", "last_out", "last_door", "between")
"""Of a sheet; their names are texts."""


@dataclass(frozen=True, slots=True)
class Mark:
    when: Moment
    door: str


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    first_in: Mark | None
    last_out: Mark | None
    between: str
    """Hours and minutes from the one to the other; empty: one of them is missing, or they are the wrong way round."""

    def name(self, say: Say) -> str:
        return in_words("in_month", self.day, say)

    @property
    def is_weekend(self) -> bool:
        return self.day.weekday() > 4


@dataclass(frozen=True, slots=True)
class Sheet:
    user: int
    name: str
    month: str
    title: str
    """October 2026."""
    days: Sequence[Day]
    total: str
    present: int
    """Days on which they came or went."""
    before: str
    after: str
    """The months beside it."""


def sheet_of(found: Attendance, say: Say) -> Sheet:
    """Every day of the month, also those on which nobody came."""
    first = date.fromisoformat(f"{found.month}-01")
    following = (first + timedelta(days=31)).replace(day=1)
    told = {each.day: each for each in found.days}
    days = [_day(day, told.get(day.isoformat())) for day in _days(first, following)]
    return Sheet(
        user=found.user_id,
        name=found.user_name,
        month=found.month,
        title=in_words("month", first, say),
        days=days,
        total=_clock(sum(_seconds(each) for each in found.days)),
        present=len(found.days),
        before=f"{first - timedelta(days=1):%Y-%m}",
        after=f"{following:%Y-%m}",
    )


def cells(sheet: Sheet) -> list[list[object]]:
    """Lines under COLUMNS."""
    return [
        [
            day.day.isoformat(),
            day.first_in.when.clock if day.first_in else "",
            day.first_in.door if day.first_in else "",
            day.last_out.when.clock if day.last_out else "",
            day.last_out.door if day.last_out else "",
            day.between,
        ]
        for day in sheet.days
    ]


def _days(first: date, until: date) -> Iterator[date]:
    for n in range((until - first).days):
        yield first + timedelta(days=n)


def _day(day: date, told: AttendanceDay | None) -> Day:
    if told is None:
        return Day(day, None, None, "")
    seconds = _seconds(told)
    return Day(day, _mark(told.first_in), _mark(told.last_out), _clock(seconds) if seconds else "")


def _mark(mark: AttendanceMark | None) -> Mark | None:
    return Mark(moment_in(mark.at, zone_of(mark.timezone)), mark.access_point_name) if mark else None


def _seconds(day: AttendanceDay) -> float:
    """Between first in and last out."""
    if day.first_in is None or day.last_out is None:
        return 0.0
    return max(0.0, day.last_out.at - day.first_in.at)


def _clock(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60}:{minutes % 60:02}"
