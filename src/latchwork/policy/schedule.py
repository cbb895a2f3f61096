"""When a weekly schedule holds. `docs/schedules.md` tells it to those who write schedules.

THE RULE. Take what the clock on the site's wall shows at the instant: a date and a time of day. The schedule holds when
an interval of that date covers the time of day, or an interval of the date before does with 24 hours added. The
intervals of a date are those of its weekday, or those for holidays when the date is one. From is inside, to is not.

All else follows from it, and nothing else is said anywhere:
- An interval belongs to the day on which it starts: the evening before a holiday reaches into the holiday, and a
  holiday's own interval reaches into the day after.
- Local times that do not exist (clocks go forward) are never shown, so a bound in the gap takes effect as the gap ends.
  A whole date that a zone has skipped is such a gap.
- Local times that come twice (clocks go back) are inside both times or neither. An interval that ends between them
  therefore holds again when its last part is shown again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from latchwork.policy.model import Schedule

Interval = tuple[int, int]

DAY: Final = 1440
"""Minutes on the dial; a day on which the clocks change has as many."""
_LAST_DAY: Final = 253_402_214_400
"""9999-12-31: from then on not every zone has a date."""
_DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def holds(schedule: Schedule, timezone: str, holidays: frozenset[int], at: float) -> bool:
    """Whether the schedule holds at an instant; never in an unknown time zone or for a week that has not seven days."""
    zone = find_zone(timezone)
    if zone is None or len(schedule.week) != 7 or not 0 <= at < _LAST_DAY:
        return False
    shown = datetime.fromtimestamp(int(at), zone)
    date, minute = shown.toordinal(), shown.hour * 60 + shown.minute
    return _covers(_intervals(schedule, holidays, date), minute) or _covers(
        _intervals(schedule, holidays, date - 1), minute + DAY
    )


def problems(schedule: Schedule) -> list[str]:
    """What is wrong with a schedule, in sentences; [] when it can be used."""
    if len(schedule.week) != 7:
        return [f"A week has seven days, Monday first; this one has {len(schedule.week)}."]
    days = [*zip(_DAY_NAMES, schedule.week, strict=True), ("Holidays", schedule.holiday)]
    if not any(intervals for _, intervals in days):
        return ["This schedule never opens: no day has an interval."]
    return [f"{name}: {sentence}" for name, intervals in days for sentence in _problems_of_a_day(intervals)]


def is_timezone(name: str) -> bool:
    """True for the IANA names of the pinned tzdata package."""
    return name in _timezones()


@lru_cache(maxsize=1024)
def find_zone(name: str) -> ZoneInfo | None:
    """The zone as the tzdata package has it, never the machine's own: edge and cloud must read the same clock."""
    if not is_timezone(name):
        return None
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _intervals(schedule: Schedule, holidays: frozenset[int], date: int) -> tuple[Interval, ...]:
    return schedule.holiday if date in holidays else schedule.week[(date - 1) % 7]  # 0001-01-01 was a Monday


def _covers(intervals: tuple[Interval, ...], minute: int) -> bool:
    return any(start <= minute < end for start, end in intervals)


def _problems_of_a_day(intervals: tuple[Interval, ...]) -> Iterable[str]:
    for start, end in intervals:
        if not 0 <= start < DAY:
            yield f"an interval starts within its day, at minute 0 to {DAY - 1}, not at {start}."
        elif not start < end:
            yield f"{_time(start)}–{_time(end)} ends before it has begun; past midnight, add 24:00 to its end."
        elif end - start > DAY:
            yield f"{_time(start)}–{_time(end)} is longer than 24 hours."
    for (start, end), (next_start, next_end) in pairwise(sorted(intervals)):
        if next_start < end:
            yield f"{_time(start)}–{_time(end)} and {_time(next_start)}–{_time(next_end)} overlap."


def _time(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@cache
def _timezones() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())
