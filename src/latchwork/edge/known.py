"""What a decision asks of the records held. Event loop's thread only; one statement reads one committed state."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final, TypeVar

from latchwork.edge.records import LARGEST, door_of, mode_of, person_of, read, schedule_of
from latchwork.policy.model import Direction, Door, DoorMode, Grant, Mode, Person, Schedule
from latchwork.wire import p256
from latchwork.wire.pass_ import PassKey
from latchwork.wire.state import (
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
)

REFUSE_EVERY_VERSION: Final = 2**63
"""Above every version that a pass can carry."""
BY_ATTEMPT: Final = DoorMode(Mode.ACCESS_CONTROL)
LOCKDOWN: Final = DoorMode(Mode.LOCKED)

_BY_CARD: Final = """
select c.key, c.holder, p.body, g.body
from records c
    left join records p on p.kind = 'person' and p.key = c.holder
    left join records g on g.kind = 'grant' and g.key = c.holder || '.' || ?2
where c.number = ?1 limit 2
"""
_BY_USER: Final = """
select
    (select body from records where kind = 'person' and key = ?1),
    (select body from records where kind = 'grant' and key = ?1 || '.' || ?2)
"""
_CACHED: Final = 1024

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever a card, a phone or a request belongs to, as far as one door is concerned."""

    user: int
    person: Person | None
    grant: Grant | None
    card: str | None = None
    """The key of the card's record; None: no card was shown."""
    phone: str | None = None
    """The key of the phone's record; None: no phone was shown."""


@dataclass(slots=True)
class _Read:
    """What was read since the last batch; of the large kinds nothing."""

    doors: dict[int, DoorRecord] | None = None
    policy_doors: dict[int, Door] = field(default_factory=dict)
    modes: dict[str, DoorMode] | None = None
    keys: dict[bytes, PassKey] = field(default_factory=dict)
    schedules: dict[int, Schedule] = field(default_factory=dict)
    holidays: dict[int, frozenset[int] | None] = field(default_factory=dict)
    readers: dict[tuple[int, Direction], bytes] | None = None


class Known:
    """The records held, as the decision knows them."""

    def __init__(self, reader: sqlite3.Connection) -> None:
        self._reader = reader
        self._secret: bytes = reader.execute("select secret from held").fetchall()[0][0]
        self._read = _Read()

    def forget_what_was_read(self) -> None:
        """After every batch."""
        self._read = _Read()

    def doors(self) -> dict[int, DoorRecord]:
        """Every readable door by its id."""
        if self._read.doors is None:
            rows = self._reader.execute("select key, body from records where kind = 'door'").fetchall()
            records = ((key, read(DoorRecord, key, body)) for key, body in rows)
            self._read.doors = {int(key): record for key, record in records if record is not None}
        return self._read.doors

    def door(self, door: int) -> Door | None:
        """The door as the decision knows it, or None."""
        known = self._read.policy_doors.get(door)
        record = self.doors().get(door) if known is None else None
        if record is not None:
            known = self._read.policy_doors[door] = door_of(door, record)
        return known

    def mode(self, door: int) -> DoorMode:
        """The mode that somebody set for a door; one that cannot be read is a lockdown."""
        if self._read.modes is None:
            rows = self._reader.execute("select key, body from records where kind = 'mode'").fetchall()
            self._read.modes = {key: _mode(key, body) for key, body in rows}
        return self._read.modes.get(str(door), BY_ATTEMPT)

    def holidays(self, door: int) -> frozenset[int] | None:
        """The holidays of a door's site; None when they cannot be read."""
        record = self.doors().get(door)
        if record is None:
            return frozenset()
        if record.site not in self._read.holidays:
            self._read.holidays[record.site] = self._find_holidays(str(record.site))
        return self._read.holidays[record.site]

    def holder(self, number: int, door: int) -> Holder | None:
        """Whoever the one card with this number belongs to, and may do at this door; None: no such card, or several."""
        if not 0 <= number <= LARGEST:
            return None
        rows = self._reader.execute(_BY_CARD, (hashed(number, self._secret), str(door))).fetchall()
        if len(rows) != 1:
            return None
        card, user, person, grant = rows[0]
        return Holder(int(user), _person(user, person), self._grant(user, door, grant), card)

    def tapping(self, key: bytes, door: int) -> Holder | None:
        """Whoever the phone with this tap key belongs to, and may do at this door; None: no such phone.

        The whole key counts: its kid is short enough that somebody may find a key of their own with the same one.
        """
        kid = p256.kid(key)
        record = self._phone(kid)
        if record is None or (record.purpose, record.public_key) != ("tap", key):
            return None
        return self._owner(kid, record, door)

    def showing(self, kid: bytes, door: int) -> Holder | None:
        """As `tapping`, for the kid of the code key that has signed a code."""
        record = self._phone(kid)
        if record is None or record.purpose != "code":
            return None
        return self._owner(kid, record, door)

    def user(self, user: int, door: int) -> Holder:
        """What a user may do at a door."""
        [(person, grant)] = self._reader.execute(_BY_USER, (str(user), str(door))).fetchall()
        return Holder(user, _person(str(user), person), self._grant(str(user), door, grant))

    def key(self, kid: bytes) -> PassKey | None:
        """The key that may sign under this kid, or None."""
        known = self._read.keys.get(kid)
        if known is None:
            found = self._find_key(kid)
            known = None if found is None else _remember(self._read.keys, kid, found)
        return known

    def readers(self) -> dict[tuple[int, Direction], bytes]:
        """The certificate of every reader that has one, by its door and side."""
        if self._read.readers is None:
            rows = self._reader.execute("select key, body from records where kind = 'reader'").fetchall()
            records = ((key, read(ReaderRecord, key, body)) for key, body in rows)
            self._read.readers = {_reader(key): record.certificate for key, record in records if record is not None}
        return self._read.readers

    def mode_revision(self, door: int) -> int:
        """The revision of the mode that somebody set for a door; 0 without one."""
        rows = self._reader.execute("select revision from records where kind = 'mode' and key = ?", (str(door),))
        return next((revision for (revision,) in rows.fetchall()), 0)

    def refuse_below(self, meeting: int) -> int:
        """Passes of this meeting with a version below the answer are revoked."""
        body = self._body("revocation", str(meeting))
        if body is None:
            return 0
        record = read(RevocationRecord, str(meeting), body)
        return REFUSE_EVERY_VERSION if record is None else record.refuse_below

    def _grant(self, user: str, door: int, body: bytes | None) -> Grant | None:
        """The permission in a body; None without one that can be read completely, schedule and holidays included."""
        record = None if body is None else read(GrantRecord, f"{user}.{door}", body)
        if record is None:
            return None
        if record.schedule is None:
            return Grant(record.starts_at, record.ends_at)
        schedule = self._schedule(record.schedule)
        if schedule is None or self.holidays(door) is None:
            return None
        return Grant(record.starts_at, record.ends_at, schedule)

    def _schedule(self, schedule: int) -> Schedule | None:
        known = self._read.schedules.get(schedule)
        if known is None:
            body = self._body("schedule", str(schedule))
            record = None if body is None else read(ScheduleRecord, str(schedule), body)
            known = None if record is None else _remember(self._read.schedules, schedule, schedule_of(record))
        return known

    def _find_holidays(self, site: str) -> frozenset[int] | None:
        body = self._body("holidays", site)
        if body is None:
            return frozenset()
        record = read(HolidaysRecord, site, body)
        return None if record is None else frozenset(record.days)

    def _find_key(self, kid: bytes) -> PassKey | None:
        body = self._body("key", kid.hex())
        if body is None:
            return self._find_phones_key(kid)
        record = read(KeyRecord, kid.hex(), body)
        return None if record is None else PassKey(kid, record.kind, p256.load_public(record.public_key))

    def _owner(self, kid: bytes, record: PhoneRecord, door: int) -> Holder:
        return replace(self.user(record.user, door), phone=kid.hex())

    def _find_phones_key(self, kid: bytes) -> PassKey | None:
        record = self._phone(kid)
        if record is None or record.purpose != "code":
            return None
        return PassKey(kid, "phone", p256.load_public(record.public_key))

    def _phone(self, kid: bytes) -> PhoneRecord | None:
        body = self._body("phone", kid.hex())
        return None if body is None else read(PhoneRecord, kid.hex(), body)

    def _body(self, kind: str, key: str) -> bytes | None:
        rows = self._reader.execute("select body from records where kind = ? and key = ?", (kind, key)).fetchall()
        return rows[0][0] if rows else None


def hashed(number: int, secret: bytes) -> int:
    """What the index of cards knows of a number."""
    digest = blake2b(number.to_bytes(8, "big"), key=secret, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _reader(key: str) -> tuple[int, Direction]:
    door, _, side = key.partition(".")
    return int(door), Direction(side)


def _mode(key: str, body: bytes) -> DoorMode:
    record = read(ModeRecord, key, body)
    return LOCKDOWN if record is None else mode_of(record)


def _person(user: str, body: bytes | None) -> Person | None:
    record = None if body is None else read(PersonRecord, user, body)
    return None if record is None else person_of(int(user), record)


def _remember(cache: dict[Key, Value], key: Key, value: Value) -> Value:
    """The value, kept; a full cache begins anew."""
    if len(cache) >= _CACHED:
        cache.clear()
    cache[key] = value
    return value
