"""What a visit says to people: where it stands, when it is, and what a form about it asks for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Final, Literal

from latchwork.web.catalogue import Say
from latchwork.web.clocks import in_words
from latchwork.web.places import Places
from latchwork.wire.api.problems import FieldError
from latchwork.wire.api.sites import AccessPoint
from latchwork.wire.api.visitors import Meeting, Pass, Visitor

State = Literal["expected", "here", "overdue", "left", "missed"]
"""`overdue`: came, was not checked out, and the visit is over. `missed`: over, and nobody came."""
TONE: Final[Mapping[State, str]] = {"expected": "", "here": "good", "overdue": "wait", "left": "", "missed": ""}
WHO: Final = ("name", "company", "email", "phone", "host")
"""What is asked of a visitor, in the form and in the API."""
QUARTER: Final = 900
USUAL: Final = 7_200
"""Seconds for which a visit is booked unless somebody says otherwise."""
SOON: Final = 300
"""A code that lives no longer has its seconds counted."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when until when, as a site's clock shows it."""

    day: str
    start: str
    end: str
    """With its day when that is another."""
    machine: str
    zone: str


@dataclass(frozen=True, slots=True)
class Row:
    """One visit in a list."""

    meeting: Meeting
    state: State
    when: Span
    came: str
    left: str
    site: str


@dataclass(frozen=True, slots=True)
class Where:
    """The doors that visits can lead to, and their sites."""

    places: Places
    doors: Mapping[int, AccessPoint]

    def site(self, doors: Iterable[int]) -> int | None:
        """The site of the first of these doors."""
        return next((self.doors[door].site_id for door in doors if door in self.doors), None)

    def zone(self, doors: Iterable[int]) -> tzinfo:
        return self.places.zone(self.site(doors))

    @property
    def by_site(self) -> list[tuple[str, list[AccessPoint]]]:
        """Doors under their sites' names."""
        ordered = sorted(self.doors.values(), key=lambda door: (door.site_id, door.name, door.id))
        return [
            (self.places.sites[site].name if site in self.places.sites else "", list(doors))
            for site, doors in groupby(ordered, key=lambda door: door.site_id)
        ]

    @property
    def zones(self) -> list[str]:
        """The names of the sites' time zones, each once."""
        return list(dict.fromkeys(site.timezone for site in self.places.sites.values()))


def state_of(meeting: Meeting, now: int) -> State:
    """Where a visit stands."""
    if meeting.checked_out_at is not None:
        return "left"
    if meeting.checked_in_at is not None:
        return "here" if meeting.end_time > now else "overdue"
    return "expected" if meeting.end_time > now else "missed"


def span(start: int, end: int, zone: tzinfo, say: Say) -> Span:
    """A visit's time on the clock of a zone."""
    first, last = datetime.fromtimestamp(start, zone), datetime.fromtimestamp(end, zone)
    same_day = first.date() == last.date()
    return Span(
        day=in_words("weekday", first, say),
        start=f"{first:%H:%M}",
        end=f"{last:%H:%M}" if same_day else f"{last:%H:%M}, {in_words('weekday', last, say)}",
        machine=first.isoformat(timespec="minutes"),
        zone=f"{first:%Z}",
    )


def clock(at: int | None, zone: tzinfo, now: int, say: Say) -> str:
    """An instant's time of day, with its day unless that is today; empty: there is none."""
    if at is None:
        return ""
    local = datetime.fromtimestamp(at, zone)
    is_today = local.date() == datetime.fromtimestamp(now, zone).date()
    return f"{local:%H:%M}" if is_today else f"{local:%H:%M}, {in_words('weekday', local, say)}"


def row_of(meeting: Meeting, where: Where, now: int, say: Say) -> Row:
    zone = where.zone(meeting.access_points)
    return Row(
        meeting=meeting,
        state=state_of(meeting, now),
        when=span(meeting.start_time, meeting.end_time, zone, say),
        came=clock(meeting.checked_in_at, zone, now, say),
        left=clock(meeting.checked_out_at, zone, now, say),
        site=where.places.site_name(where.site(meeting.access_points)),
    )


def by_day(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    """Rows under their days, in their order."""
    return [(day, list(each)) for day, each in groupby(rows, key=lambda row: row.when.day)]


def midnights(now: int, zone: tzinfo) -> tuple[int, int]:
    """When today began in a zone, and when it ends."""
    today = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    tomorrow = (today.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)
    return int(today.timestamp()), int(tomorrow.timestamp())


def days(where: Where, now: int) -> tuple[list[int], list[int]]:
    """When today begins, and when it ends, at each of the sites."""
    begins, ends = zip(*(midnights(now, where.places.zone(site)) for site in where.places.sites or [None]), strict=True)
    return list(begins), list(ends)


def day_of(meeting: Meeting, where: Where, now: int) -> Literal["past", "today", "later"]:
    """By the clock of the visit's own site."""
    begins, ends = midnights(now, where.zone(meeting.access_points))
    return "past" if meeting.end_time <= begins else "later" if meeting.start_time >= ends else "today"


# ------------------------------------------------------------------------------------------------- codes


@dataclass(frozen=True, slots=True)
class Code:
    """A code as a page shows it."""

    is_shown: bool
    """False: it would open nothing, not even later."""
    left: int | None
    """Seconds until it ends, when they are worth counting."""
    renew: int
    """Seconds after which the page fetches the next."""

    @property
    def clock(self) -> str:
        """What is left, such as 1:05; empty: not counted."""
        return f"{self.left // 60}:{self.left % 60:02}" if self.left else ""


def code_of(issued: Pass, now: int) -> Code:
    """A code that ends before the visit begins is not shown; the next one comes well before one ends."""
    left = max(1, issued.expires_at - now)
    if issued.expires_at <= issued.valid_from:
        return Code(False, None, min(60, max(1, issued.valid_from - now)))
    spare = max(2, min(15, left // 3))
    return Code(True, left if left <= SOON else None, max(1, min(60, left - spare)))


# ------------------------------------------------------------------------------------------------- forms

_FIELDS: Final = {"startTime": "from", "endTime": "until", "accessPoints": "doors"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a form about a visit holds, and what is wrong with it."""

    values: Mapping[str, str]
    doors: Collection[int]
    errors: Mapping[str, str] = field(default_factory=dict)
    """A sentence for each field; `""`: for the whole."""

    def value(self, name: str) -> str:
        return self.values.get(name, "")

    def refused(self, errors: Sequence[FieldError], sentence: str) -> Asked:
        """The same form with what the cloud says of it."""
        named = {_field(error.field): error.detail for error in errors}
        unplaced = named.keys() - {*WHO, "from", "until", "doors"}
        if not named or unplaced:
            named[""] = next((named[name] for name in unplaced), sentence)
        return Asked(self.values, self.doors, named)


def asked(fields: Sequence[tuple[str, str]]) -> Asked:
    """A form as it was sent."""
    doors = [int(text) for name, text in fields if name == "door" and text.isdecimal() and len(text) < 10]
    return Asked({name: text.strip() for name, text in fields}, doors)


def suggested(where: Where, now: int, before: Meeting | None = None) -> Asked:
    """A new visit: from this quarter of an hour on, to the usual doors; with what is known of who comes again."""
    doors = before.access_points if before else _usual_doors(where)
    start = now - now % QUARTER
    times = local_times(start, start + USUAL, where.zone(doors))
    if before is None:
        return Asked(times, doors)
    return Asked({**known(before.visitor), **times}, doors)


def known(visitor: Visitor) -> dict[str, str]:
    """Of a visitor, by the names of the fields."""
    return {name: getattr(visitor, name) for name in WHO}


def _usual_doors(where: Where) -> list[int]:
    """Every user's default doors; the only door there is."""
    doors = list(where.doors.values())
    return [door.id for door in doors if door.is_default] or ([doors[0].id] if len(doors) == 1 else [])


def local_times(start: int, end: int, zone: tzinfo) -> dict[str, str]:
    """As `<input type=datetime-local>` writes them."""
    return {
        name: f"{datetime.fromtimestamp(at, zone):%Y-%m-%dT%H:%M}" for name, at in (("from", start), ("until", end))
    }


def instant(text: str, zone: tzinfo) -> int | None:
    """The instant of a local time; None for whatever is none."""
    try:
        local = datetime.fromisoformat(text)
        return int(local.replace(tzinfo=zone).astimezone(UTC).timestamp()) if local.tzinfo is None else None
    except (ValueError, OverflowError):
        return None


def _field(name: str) -> str:
    return _FIELDS.get(name, name.removeprefix("visitor."))
