"""Schedules: the rule against a wall painted minute by minute, and each of its consequences by example."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latchwork.policy.model import Schedule
from latchwork.policy.schedule import DAY, Interval, holds, is_timezone, problems

MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = range(7)
NO_HOLIDAYS: frozenset[int] = frozenset()


def at(text: str) -> float:
    """An instant told with its offset."""
    return datetime.fromisoformat(text).timestamp()


def clock(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def span(text: str) -> Interval:
    """An interval told as 22:00-30:00."""
    start, end = text.split("-")
    return clock(start), clock(end)


def weekly(holiday: str = "", **days: str) -> Schedule:
    """A schedule told as mon="08:00-12:00 13:00-17:00"; `every` is every day of the week."""
    told = [days.get(name, days.get("every", "")) for name in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")]
    return Schedule(tuple(_spans(day) for day in told), _spans(holiday))


def _spans(text: str) -> tuple[Interval, ...]:
    return tuple(span(interval) for interval in text.split())


def in_berlin(schedule: Schedule, text: str, *holidays: str) -> bool:
    days = frozenset(date.fromisoformat(day).toordinal() for day in holidays)
    return holds(schedule, "Europe/Berlin", days, at(text))


# By example. 2027-06-07 is a Monday.


def test_a_day_may_have_several_intervals() -> None:
    office = weekly(mon="08:00-12:00 13:00-17:00")
    assert in_berlin(office, "2027-06-07T11:59:59+02:00")
    assert not in_berlin(office, "2027-06-07T12:30:00+02:00")
    assert in_berlin(office, "2027-06-07T13:00:00+02:00")
    assert not in_berlin(office, "2027-06-08T09:00:00+02:00")


def test_from_is_inside_and_to_is_not_to_the_last_fraction() -> None:
    schedule = weekly(mon="08:00-12:00")
    start, end = at("2027-06-07T08:00:00+02:00"), at("2027-06-07T12:00:00+02:00")
    tick = 2.5e-7  # two floats of today apart
    assert [holds(schedule, "Europe/Berlin", NO_HOLIDAYS, moment) for moment in (start - tick, start)] == [False, True]
    assert [holds(schedule, "Europe/Berlin", NO_HOLIDAYS, moment) for moment in (end - tick, end)] == [True, False]


def test_an_interval_past_midnight_ends_on_the_next_day() -> None:
    night = weekly(sun="22:00-30:00")
    assert in_berlin(night, "2027-06-06T23:00:00+02:00")
    assert in_berlin(night, "2027-06-07T05:59:00+02:00")
    assert not in_berlin(night, "2027-06-07T06:00:00+02:00")
    assert not in_berlin(night, "2027-06-06T05:00:00+02:00")


def test_a_whole_day_ends_where_the_next_begins() -> None:
    monday = weekly(mon="00:00-24:00")
    assert not in_berlin(monday, "2027-06-06T23:59:59+02:00")
    assert in_berlin(monday, "2027-06-07T00:00:00+02:00")
    assert in_berlin(monday, "2027-06-07T23:59:59+02:00")
    assert not in_berlin(monday, "2027-06-08T00:00:00+02:00")


def test_a_holiday_replaces_its_day() -> None:
    schedule = weekly(mon="08:00-12:00", holiday="10:00-11:00")
    assert in_berlin(schedule, "2027-06-07T08:30:00+02:00")
    assert not in_berlin(schedule, "2027-06-07T08:30:00+02:00", "2027-06-07")
    assert in_berlin(schedule, "2027-06-07T10:30:00+02:00", "2027-06-07")
    assert not in_berlin(weekly(mon="08:00-12:00"), "2027-06-07T08:30:00+02:00", "2027-06-07")


def test_a_night_shift_belongs_to_the_day_on_which_it_starts() -> None:
    nights = weekly(every="22:00-30:00", holiday="20:00-26:00")
    early_on_the_holiday, early_after_it = "2027-06-07T05:00:00+02:00", "2027-06-08T01:30:00+02:00"
    assert in_berlin(nights, early_on_the_holiday, "2027-06-07"), "the night before the holiday goes on into it"
    assert in_berlin(nights, early_after_it, "2027-06-07"), "the holiday's night goes on into the day after"
    assert not in_berlin(nights, "2027-06-08T02:00:00+02:00", "2027-06-07")
    assert in_berlin(nights, "2027-06-08T02:00:00+02:00")


def test_a_bound_that_no_clock_shows_counts_from_the_end_of_the_gap() -> None:
    """Berlin, 2027-03-28: 01:59:59 +01:00 is followed by 03:00:00 +02:00."""
    begins, ends = weekly(sun="02:30-04:00"), weekly(sun="01:00-02:30")
    assert not in_berlin(begins, "2027-03-28T01:59:59+01:00")
    assert in_berlin(begins, "2027-03-28T03:00:00+02:00")
    assert in_berlin(ends, "2027-03-28T01:59:59+01:00")
    assert not in_berlin(ends, "2027-03-28T03:00:00+02:00")


def test_an_interval_inside_the_gap_does_not_happen() -> None:
    schedule = weekly(sun="02:00-03:00")
    day = int(at("2027-03-28T00:00:00+01:00"))
    assert not any(holds(schedule, "Europe/Berlin", NO_HOLIDAYS, moment) for moment in range(day, day + 23 * 3600, 60))


def test_an_hour_that_comes_twice_is_inside_twice() -> None:
    """Berlin, 2027-10-31: 02:59:59 +02:00 is followed by 02:00:00 +01:00."""
    night = weekly(sun="02:00-03:00")
    for offset in ("+02:00", "+01:00"):
        assert in_berlin(night, f"2027-10-31T02:30:00{offset}")
    half = weekly(sun="01:00-02:30")
    told = {f"{time}{offset}": in_berlin(half, f"2027-10-31T{time}:00{offset}") for time, offset in TWICE}
    assert told == {"02:15+02:00": True, "02:45+02:00": False, "02:15+01:00": True, "02:45+01:00": False}


TWICE = [("02:15", "+02:00"), ("02:45", "+02:00"), ("02:15", "+01:00"), ("02:45", "+01:00")]


def test_a_date_that_a_zone_skipped_is_a_gap() -> None:
    """Apia went from Thursday 2011-12-29 24:00 to Saturday 2011-12-31 00:00."""
    first_of_saturday = at("2011-12-31T00:00:00+14:00")
    for schedule, opens in [
        (weekly(thu="22:00-30:00"), False),
        (weekly(fri="00:00-24:00"), False),
        (weekly(fri="22:00-30:00"), True),
        (weekly(sat="00:00-01:00"), True),
    ]:
        assert holds(schedule, "Pacific/Apia", NO_HOLIDAYS, first_of_saturday) is opens
    assert holds(weekly(thu="22:00-30:00"), "Pacific/Apia", NO_HOLIDAYS, first_of_saturday - 1)


def test_a_schedule_follows_the_site_and_not_the_machine() -> None:
    schedule = weekly(mon="08:00-09:00")
    moment = at("2027-06-07T08:30:00+05:45")
    assert holds(schedule, "Asia/Kathmandu", NO_HOLIDAYS, moment)
    assert not holds(schedule, "Europe/Berlin", NO_HOLIDAYS, moment)


ALWAYS = weekly(every="00:00-24:00", holiday="00:00-24:00")


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "europe/berlin", "\ud800"])
def test_an_unknown_time_zone_opens_nothing(zone: str) -> None:
    assert not holds(ALWAYS, zone, NO_HOLIDAYS, at("2027-06-07T12:00:00+00:00"))
    assert not is_timezone(zone)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Argentina/ComodRivadavia", "Etc/GMT+12"])
def test_a_known_time_zone_opens(zone: str) -> None:
    assert holds(ALWAYS, zone, NO_HOLIDAYS, at("2027-06-07T12:00:00+00:00"))
    assert is_timezone(zone)


@pytest.mark.parametrize("week", [(), ((span("00:00-24:00"),),) * 6, ((span("00:00-24:00"),),) * 8])
def test_a_week_of_other_than_seven_days_opens_nothing(week: tuple[tuple[Interval, ...], ...]) -> None:
    assert not any(holds(Schedule(week), "UTC", NO_HOLIDAYS, day * 86_400.0) for day in range(14))


@pytest.mark.parametrize("zone", ["Etc/GMT+12", "UTC", "Pacific/Kiritimati"])
def test_the_ends_of_time_are_instants_like_others(zone: str) -> None:
    last = at("9999-12-30T23:59:59+00:00")
    assert holds(ALWAYS, zone, NO_HOLIDAYS, 0.0)
    assert holds(ALWAYS, zone, NO_HOLIDAYS, last)
    for none in (float("nan"), float("inf"), float("-inf"), -1.0, 2.0**53, 10**400):
        assert not holds(ALWAYS, zone, NO_HOLIDAYS, none)


# By the page for users

PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("interval", "moment", "answer"), re.findall(r"^\| (\d\d:.*?) \| (20.*?) \| (yes|no) \|$", PAGE, re.MULTILINE)
)
def test_the_pages_table_is_true(interval: str, moment: str, answer: str) -> None:
    assert in_berlin(weekly(sun=interval.replace("–", "-")), moment) is (answer == "yes")


def test_the_pages_example_is_a_good_schedule() -> None:
    told = json.loads(PAGE.split("```json")[1].split("```")[0])
    assert problems(msgspec.convert({"week": told["week"], "holiday": told["holiday"]}, Schedule)) == []


# Against the painted wall


@dataclass(frozen=True)
class Change:
    """Where a zone's clocks change, as an almanac tells it: independent of any time zone library."""

    zone: str
    instant: str
    before: int
    """Minutes east of Greenwich."""
    after: int


CHANGES = [
    Change("Europe/Berlin", "2027-03-28T01:00:00+00:00", 60, 120),
    Change("Europe/Berlin", "2027-10-31T01:00:00+00:00", 120, 60),
    Change("America/New_York", "2027-03-14T07:00:00+00:00", -300, -240),
    Change("America/New_York", "2027-11-07T06:00:00+00:00", -240, -300),
    Change("Australia/Lord_Howe", "2027-10-02T15:30:00+00:00", 630, 660),
    Change("Australia/Lord_Howe", "2027-04-03T15:00:00+00:00", 660, 630),
    Change("Africa/Cairo", "2027-04-29T22:00:00+00:00", 120, 180),  # at midnight: the day begins at 01:00
    Change("Africa/Cairo", "2027-10-28T21:00:00+00:00", 180, 120),  # at midnight: the date comes twice
    Change("Asia/Kathmandu", "1985-12-31T18:30:00+00:00", 330, 345),
    Change("Pacific/Apia", "2011-12-30T10:00:00+00:00", -600, 840),
    Change("Pacific/Apia", "2021-04-03T14:00:00+00:00", 840, 780),
    Change("Africa/Casablanca", "2024-03-10T02:00:00+00:00", 60, 0),  # for Ramadan, and back
    Change("Africa/Casablanca", "2024-04-14T02:00:00+00:00", 0, 60),
]
AROUND = 2 * DAY


@cache
def shown(change: Change) -> list[tuple[int, int]]:
    """(instant, minutes that the wall shows since the ordinal date 0) for each minute around a change."""
    instant = int(at(change.instant))
    epoch = date(1970, 1, 1).toordinal() * DAY
    return [
        (moment, epoch + moment // 60 + (change.before if moment < instant else change.after))
        for moment in range(instant - AROUND * 60, instant + AROUND * 60, 60)
    ]


def painted(schedule: Schedule, holidays: frozenset[int], first: int, last: int) -> set[int]:
    """Every minute of the wall that an interval of a date covers, painted one by one."""
    minutes: set[int] = set()
    for day in range(first, last + 1):
        intervals = schedule.holiday if day in holidays else schedule.week[date.fromordinal(day).weekday()]
        for start, end in intervals:
            minutes.update(day * DAY + minute for minute in range(start, end))
    return minutes


bounds = st.sampled_from([0, 1, 30, 60, 90, 120, 121, 150, 180, 1380, 1425, 1439]) | st.integers(0, DAY - 1)
lengths = st.sampled_from([1, 30, 60, 61, 480, DAY]) | st.integers(1, DAY)
intervals = st.builds(lambda start, length: (start, start + length), bounds, lengths)
days = st.lists(intervals, max_size=3).map(tuple)
schedules = st.builds(Schedule, week=st.tuples(*[days] * 7), holiday=days)


@settings(deadline=None, max_examples=250)
@given(st.sampled_from(CHANGES), schedules, st.sets(st.integers(-2, 2), max_size=3))
def test_a_schedule_holds_when_the_wall_clock_is_inside_it(change: Change, schedule: Schedule, near: set[int]) -> None:
    walls = shown(change)
    first, last = walls[0][1] // DAY, walls[-1][1] // DAY
    holidays = frozenset((first + last) // 2 + days for days in near)
    paint = painted(schedule, holidays, first - 2, last)
    found = [holds(schedule, change.zone, holidays, moment) for moment, _ in walls]
    assert found == [minute in paint for _, minute in walls]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.zone} {change.instant[:10]}")
def test_every_bound_around_a_change_is_settled(change: Change) -> None:
    """Each quarter of an hour of the changed day as a bound, each way round."""
    walls = shown(change)
    day = next(minute for moment, minute in walls if moment >= at(change.instant)) // DAY
    for quarter in range(0, DAY, 15):
        for interval in ((quarter, DAY), (0, quarter or 1)):
            week = [()] * 7
            schedule = Schedule((*week[: (day - 1) % 7], (interval,), *week[(day - 1) % 7 + 1 :]))
            paint = painted(schedule, NO_HOLIDAYS, day, day)
            middle = walls[AROUND - 240 : AROUND + 240 : 5]
            found = [holds(schedule, change.zone, NO_HOLIDAYS, moment) for moment, _ in middle]
            assert found == [minute in paint for _, minute in middle]


instants = st.floats() | st.integers(-(2**70), 2**70) | st.integers(0, 2**32)
zones = st.sampled_from([change.zone for change in CHANGES]) | st.text(max_size=9)
wild_days = st.lists(st.tuples(st.integers(), st.integers()), max_size=3).map(tuple)
wild_schedules = st.builds(Schedule, week=st.lists(wild_days, max_size=9).map(tuple), holiday=wild_days)


@settings(deadline=None)
@given(wild_schedules | schedules, zones, st.frozensets(st.integers()), instants)
@example(ALWAYS, "Pacific/Kiritimati", NO_HOLIDAYS, 253_402_214_399)
def test_every_question_has_an_answer(schedule: Schedule, zone: str, holidays: frozenset[int], moment: float) -> None:
    assert holds(schedule, zone, holidays, moment) in (True, False)


@settings(deadline=None)
@given(schedules, st.integers(0, 7), st.sampled_from(CHANGES))
def test_an_interval_less_never_opens(schedule: Schedule, day: int, change: Change) -> None:
    week = [*schedule.week, schedule.holiday]
    week[day] = week[day][1:]
    fewer = Schedule(week=tuple(week[:7]), holiday=week[7])
    for moment, minute in shown(change)[::37]:
        if holds(fewer, change.zone, frozenset({minute // DAY}), moment):
            assert holds(schedule, change.zone, frozenset({minute // DAY}), moment)


# What is wrong with a schedule


@pytest.mark.parametrize(
    "schedule",
    [
        ALWAYS,
        weekly(mon="08:00-12:00 12:00-17:00"),
        weekly(mon="13:00-17:00 08:00-12:00"),
        weekly(fri="22:00-30:00", sat="05:00-08:00"),
        weekly(holiday="10:00-12:00"),
        weekly(sun="23:59-47:59"),
    ],
)
def test_a_good_schedule_has_no_problems(schedule: Schedule) -> None:
    assert problems(schedule) == []


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (weekly(), "This schedule never opens: no day has an interval."),
        (Schedule(((),) * 6), "A week has seven days, Monday first; this one has 6."),
        (weekly(mon="24:00-25:00"), "Monday: an interval starts within its day, at minute 0 to 1439, not at 1440."),
        (
            Schedule((((-1, 5),), *((),) * 6)),
            "Monday: an interval starts within its day, at minute 0 to 1439, not at -1.",
        ),
        (
            weekly(tue="22:00-06:00"),
            "Tuesday: 22:00–06:00 ends before it has begun; past midnight, add 24:00 to its end.",
        ),
        (
            weekly(sun="08:00-08:00"),
            "Sunday: 08:00–08:00 ends before it has begun; past midnight, add 24:00 to its end.",
        ),
        (weekly(wed="08:00-32:01"), "Wednesday: 08:00–32:01 is longer than 24 hours."),
        (weekly(thu="08:00-12:00 11:59-13:00"), "Thursday: 08:00–12:00 and 11:59–13:00 overlap."),
        (weekly(mon="08:00-12:00", holiday="1:00-3:00 2:00-4:00"), "Holidays: 01:00–03:00 and 02:00–04:00 overlap."),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(schedule: Schedule, sentence: str) -> None:
    assert problems(schedule) == [sentence]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    assert len(problems(weekly(mon="12:00-08:00", fri="08:00-10:00 09:00-11:00 10:30-12:00"))) == 3


@settings(deadline=None)
@given(wild_schedules | schedules)
def test_a_schedule_without_problems_opens_some_time(schedule: Schedule) -> None:
    if problems(schedule):
        return
    monday = int(at("2027-06-07T00:00:00+00:00"))
    holiday = frozenset({date(2027, 6, 16).toordinal()})
    minutes = range(monday, monday + 10 * 86_400, 60)
    assert any(holds(schedule, "UTC", holiday, minute) for minute in minutes)
