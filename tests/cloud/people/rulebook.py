"""The house rules told once more, in plain words: who may open which door when. It shares no line with the product.

It answers every true refusal at once, in no order: which of them a door names is the product's affair, that the door
names one of them is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

Intervals = list[list[int]]


@dataclass
class Week:
    days: list[Intervals]
    holiday: Intervals


@dataclass
class Allowed:
    """A permission: from, until, schedule."""

    starts: int | None = None
    ends: int | None = None
    schedule: int | None = None


@dataclass
class Worker:
    is_active: bool = True
    expires: int | None = None
    ways: set[str] = field(default_factory=lambda: {"card"})
    pin: str | None = None
    cards: set[int] = field(default_factory=set)
    doors: dict[int, Allowed] = field(default_factory=dict)


@dataclass
class Entrance:
    site: int
    controller: int | None
    needs_pin: bool = False
    has_exit_reader: bool = True
    locked_until: float | None = None
    """From always; None: it is not locked."""


@dataclass
class House:
    workers: dict[int, Worker] = field(default_factory=dict)
    entrances: dict[int, Entrance] = field(default_factory=dict)
    weeks: dict[int, Week] = field(default_factory=dict)
    zones: dict[int, str] = field(default_factory=dict)
    """By site."""
    holidays: dict[int, set[date]] = field(default_factory=dict)

    def holder(self, card: int) -> Worker | None:
        return next((worker for worker in self.workers.values() if card in worker.cards), None)

    def refusals(self, door: int, direction: str, card: int, pin: str | None, at: float) -> set[str]:
        """Everything that speaks against a card; nothing does: the door opens."""
        worker, entrance = self.holder(card), self.entrances[door]
        found = self._against(worker, "card", door, at)
        if direction == "exit" and not entrance.has_exit_reader:
            found.add("no_reader")
        if entrance.needs_pin and worker is not None and (pin is None or pin != worker.pin):
            found.add("pin_not_set" if worker.pin is None else "pin_needed" if pin is None else "pin_wrong")
        return found

    def refusals_from_afar(self, door: int, user: int, at: float) -> set[str]:
        """Everything that speaks against opening a door because this user asks for it."""
        return self._against(self.workers.get(user), "remote", door, at)

    def _is_known_at(self, worker: Worker, controller: int | None) -> bool:
        """A controller knows those who may open one of its doors, if only at another time, and nobody else."""
        return controller is None or any(self.entrances[door].controller == controller for door in worker.doors)

    def _against(self, worker: Worker | None, way: str, door: int, at: float) -> set[str]:
        entrance = self.entrances[door]
        found = {"lockdown"} if entrance.locked_until is not None and at < entrance.locked_until else set()
        if worker is None or not self._is_known_at(worker, entrance.controller):
            return found | {"unknown_credential"}
        if not worker.is_active:
            found.add("deactivated")
        if worker.expires is not None and at >= worker.expires:
            found.add("access_expired")
        if way not in worker.ways:
            found.add("way_off")
        allowed = worker.doors.get(door)
        return found | ({"no_permission"} if allowed is None else self._untimely(allowed, entrance.site, at))

    def _untimely(self, allowed: Allowed, site: int, at: float) -> set[str]:
        found = set()
        if allowed.starts is not None and at < allowed.starts:
            found.add("permission_not_begun")
        if allowed.ends is not None and at >= allowed.ends:
            found.add("permission_ended")
        if allowed.schedule is not None and not self.is_inside(self.weeks[allowed.schedule], site, at):
            found.add("outside_schedule")
        return found

    def is_inside(self, week: Week, site: int, at: float) -> bool:
        """Whether the clock on the site's wall shows a time between the hands' two positions of some interval."""
        wall = datetime.fromtimestamp(at, UTC).astimezone(_zone(self.zones[site])).replace(tzinfo=None)
        for day in (wall.date(), wall.date() - timedelta(days=1)):
            midnight = datetime(day.year, day.month, day.day)
            is_holiday = day in self.holidays.get(site, ())
            for start, end in week.holiday if is_holiday else week.days[day.isoweekday() - 1]:
                if midnight + timedelta(minutes=start) <= wall < midnight + timedelta(minutes=end):
                    return True
        return False


@cache
def _zone(name: str) -> ZoneInfo:
    """From the tzdata package: the machine's own may be older."""
    with resources.files("tzdata").joinpath("zoneinfo", name).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
