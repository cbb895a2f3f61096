"""What the desired-state records say to this controller. One that makes no sense is None, and denies its subject."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from latchwork.policy.model import Degraded, Direction, Door, DoorMode, Mode, Person, Schedule, Way
from latchwork.wire import p256, state
from latchwork.wire.link import Record
from latchwork.wire.state import (
    CardRecord,
    DoorRecord,
    GrantRecord,
    HolidaysRecord,
    KeyRecord,
    ModeRecord,
    PersonRecord,
    PhoneRecord,
    ReaderRecord,
    RevocationRecord,
    ScheduleRecord,
    StateRecord,
)

LARGEST: Final = 2**63 - 1
"""What an SQLite integer can hold; no id and no card's number is larger."""

Body = TypeVar("Body", bound=StateRecord)
Interval = tuple[int, int]

_KINDS: Final[dict[str, type[StateRecord]]] = {
    "door": DoorRecord,
    "key": KeyRecord,
    "revocation": RevocationRecord,
    "mode": ModeRecord,
    "person": PersonRecord,
    "card": CardRecord,
    "grant": GrantRecord,
    "schedule": ScheduleRecord,
    "holidays": HolidaysRecord,
    "phone": PhoneRecord,
    "reader": ReaderRecord,
}
_WAYS: Final = frozenset(Way)
_TWO_DAYS: Final = 2880
_LAST_DATE: Final = date.max.toordinal()


def unreadable(records: Iterable[Record]) -> list[Record]:
    """Those of the records that this controller cannot read or does not know the kind of; tombstones are never."""
    return [
        record
        for record in records
        if record.body is not None and not _is_readable(record.kind, record.key, record.body)
    ]


def read(wanted: type[Body], key: str, body: bytes) -> Body | None:
    """The record in a body when it is of the wanted type and makes sense under its key, else None."""
    try:
        record = state.codec.decode(body)
        return record if isinstance(record, wanted) and _makes_sense(record, key) else None
    except (msgspec.MsgspecError, ValueError):
        return None


def door_of(door: int, record: DoorRecord) -> Door:
    sides = ((Direction.ENTRY, record.entry_reader), (Direction.EXIT, record.exit_reader))
    return Door(
        id=door,
        name=record.name,
        readers=frozenset(side for side, reader in sides if reader is not None),
        degraded=Degraded(record.degraded),
        single_use=record.single_use,
        offline_limit=record.offline_limit,
        needs_pin=record.needs_pin,
        timezone=record.timezone,
        site=record.site,
    )


def mode_of(record: ModeRecord) -> DoorMode:
    return DoorMode(Mode(record.mode), record.until)


def person_of(user: int, record: PersonRecord) -> Person:
    """Ways that this controller does not know stay closed."""
    return Person(
        id=user,
        is_active=record.is_active,
        ways=_known_ways(record.ways),
        expires_at=record.expires_at,
        pin_salt=record.pin_salt,
        pin_hash=record.pin_hash,
        click_range=record.click_range,
        steers=frozenset(record.steers),
        steers_everywhere=record.steers_everywhere,
    )


def schedule_of(record: ScheduleRecord) -> Schedule:
    return Schedule(record.week, record.holiday)


def is_id(key: str) -> bool:
    """True for an id as we write them: decimal, no sign, no leading zero."""
    return key.isascii() and key.isdigit() and len(key) <= 19 and str(int(key)) == key


def _is_readable(kind: str, key: str, body: bytes) -> bool:
    wanted = _KINDS.get(kind)
    return wanted is not None and read(wanted, key, body) is not None


def _makes_sense(record: StateRecord, key: str) -> bool:
    """True when every value is one that can be acted on; may raise ValueError instead of answering False."""
    match record:
        case GrantRecord():
            user, _, door = key.partition(".")
            return is_id(user) and is_id(door)
        case CardRecord():
            return 0 <= record.number <= LARGEST and 0 <= record.user <= LARGEST
        case PhoneRecord():
            p256.load_public(record.public_key)
            return p256.kid(record.public_key).hex() == key and 0 <= record.user <= LARGEST
        case ReaderRecord():
            door, _, side = key.partition(".")
            return is_id(door) and side in tuple(Direction)
        case KeyRecord():
            p256.load_public(record.public_key)
            return p256.kid(record.public_key).hex() == key
        case DoorRecord():
            return is_id(key) and _is_door(record)
        case ScheduleRecord():
            return is_id(key) and _is_schedule(record)
        case HolidaysRecord():
            return is_id(key) and all(0 < day <= _LAST_DATE for day in record.days)
        case RevocationRecord():
            return is_id(key) and record.refuse_below >= 0
        case PersonRecord() | ModeRecord():
            return is_id(key)


def _is_door(record: DoorRecord) -> bool:
    seconds = (record.strike_seconds, record.held_seconds)
    limited = record.offline_limit is None or record.offline_limit >= 0
    return limited and all(math.isfinite(each) and 0 < each <= 86400 for each in seconds)


def _is_schedule(record: ScheduleRecord) -> bool:
    days = (*record.week, record.holiday)
    return len(record.week) == 7 and all(0 <= start < end <= _TWO_DAYS for day in days for start, end in day)


@lru_cache(maxsize=256)
def _known_ways(ways: tuple[str, ...]) -> frozenset[Way]:
    return frozenset(Way(way) for way in ways if way in _WAYS)
