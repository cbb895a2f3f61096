"""Who is there: Dora the controller, her front door, Vic the visitor and the organisation that signs Vic's pass."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from latchwork.edge.clock import Clock
from latchwork.edge.controller import Controller
from latchwork.edge.journal import Journal
from latchwork.edge.store import Store
from latchwork.edge.tap import Place, Readers
from latchwork.policy import pins
from latchwork.policy.model import Direction
from latchwork.sim.doors import VirtualWiring
from latchwork.wire import p256, state
from latchwork.wire.certificate import ReaderCertificate, certify, reader_id, site_id
from latchwork.wire.link import Changes, Record
from latchwork.wire.pass_ import Visit, sign_phone_code, sign_visit
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
)
from latchwork.wire.tap import Answer as TapAnswer
from latchwork.wire.tap import PhoneIdentity, PhoneSide, Request

FRONT, LAB = 1, 2
NOW = 1_800_000_000.0
MEETING, VIC = 70, 7
BOB, BOBS_CARD, BOBS_KEY = 40, 0x1E5A_93C7_2B4D_6F18, "9001"
"""Bob works here; the key of his card's record says nothing of its number."""
ENTRY = Direction.ENTRY
OPEN = Request()


@dataclass
class Organisation:
    """Signs passes."""

    key: p256.PrivateKey = field(default_factory=p256.new_key)
    readers_key: p256.PrivateKey = field(default_factory=p256.new_key)
    """Signs readers' certificates."""

    @property
    def point(self) -> bytes:
        return p256.public_bytes(self.key.public_key())

    @property
    def kid(self) -> bytes:
        return p256.kid(self.point)

    @property
    def key_record(self) -> Record:
        return Record("key", self.kid.hex(), 1, state.codec.encode(KeyRecord("organisation", self.point)))

    def find_readers_key(self, kid: bytes) -> p256.PublicKey | None:
        """The key for readers with this kid, as a phone's keyring tells it."""
        public = self.readers_key.public_key()
        return public if p256.kid(p256.public_bytes(public)) == kid else None

    def certify(
        self,
        reader_key: p256.PublicKey,
        door: int = FRONT,
        direction: Direction = ENTRY,
        *,
        site: int = 1,
        organisation: int = 1,
        issued_at: float | None = None,
        lives: int = 366 * 86400,
        revision: int = 1,
    ) -> Record:
        """The record of a reader's certificate, from now on."""
        at = int(time.time() if issued_at is None else issued_at)
        said = ReaderCertificate(
            site_id(organisation, site),
            reader_id(door, direction is Direction.EXIT),
            p256.public_bytes(reader_key),
            at,
            at + lives,
        )
        signed = certify(said, p256.kid(p256.public_bytes(self.readers_key.public_key())), self.readers_key)
        return Record("reader", f"{door}.{direction}", revision, state.codec.encode(ReaderRecord(signed)))

    def invite(self, now: float = NOW, **changes: object) -> str:
        """Vic's pass for the front door: made now, good for a minute."""
        visit = Visit(VIC, MEETING, 1, (FRONT,), int(now), int(now) - 600, int(now) + 60, os.urandom(8))
        return sign_visit(replace(visit, **changes), self.kid, self.key)  # type: ignore[arg-type]


@dataclass
class Phone:
    """A user's phone: two keys, and what it carries of Alice's organisation."""

    owner: Organisation
    user: int = BOB
    tap_key: p256.PrivateKey = field(default_factory=p256.new_key)
    code_key: p256.PrivateKey = field(default_factory=p256.new_key)

    @property
    def tap_kid(self) -> str:
        return p256.kid(p256.public_bytes(self.tap_key.public_key())).hex()

    @property
    def code_kid(self) -> str:
        return p256.kid(p256.public_bytes(self.code_key.public_key())).hex()

    @property
    def records(self) -> list[Record]:
        return [
            _phone(self.tap_key, self.user, "tap"),
            _phone(self.code_key, self.user, "code"),
        ]

    def code(self, at: float = NOW, pass_id: bytes | None = None) -> str:
        """The user's own code, made at this instant."""
        return sign_phone_code(pass_id or os.urandom(8), int(at), bytes.fromhex(self.code_kid), self.code_key)

    def side(self, request: Request = OPEN, now: float | None = None, reader: bytes | None = None) -> PhoneSide:
        """Its side of one exchange."""
        identity = PhoneIdentity(self.tap_key, int(NOW))
        at = time.time() if now is None else now
        return PhoneSide(identity, request, lambda site: True, self.owner.find_readers_key, at, reader)


def _phone(key: p256.PrivateKey, user: int, purpose: Literal["tap", "code"]) -> Record:
    point = p256.public_bytes(key.public_key())
    return Record("phone", p256.kid(point).hex(), 1, state.codec.encode(PhoneRecord(user, purpose, point)))


def door(key: int = FRONT, revision: int = 1, **changes: object) -> Record:
    record = DoorRecord(**{"name": "Front door", "site": 1, "entry_reader": "r1", "exit_reader": "r2"} | changes)  # type: ignore[arg-type]
    return Record("door", str(key), revision, state.codec.encode(record))


def revocation(meeting: int, refuse_below: int, revision: int = 1) -> Record:
    return Record("revocation", str(meeting), revision, state.codec.encode(RevocationRecord(refuse_below)))


def person(user: int, revision: int = 1, pin: str | None = None, **changes: object) -> Record:
    values: dict[str, object] = {"ways": ("mobile", "card", "remote")}
    if pin is not None:
        salt = user.to_bytes(pins.SALT_BYTES, "big")
        values |= {"pin_salt": salt, "pin_hash": pins.hash_pin(pin, salt)}
    return Record("person", str(user), revision, state.codec.encode(PersonRecord(**values | changes)))  # type: ignore[arg-type]


def card(key: str, number: int, user: int, revision: int = 1) -> Record:
    return Record("card", key, revision, state.codec.encode(CardRecord(number, user)))


def grant(user: int, door: int = FRONT, revision: int = 1, **changes: int | None) -> Record:
    return Record("grant", f"{user}.{door}", revision, state.codec.encode(GrantRecord(**changes)))


def schedule(key: int, week: tuple[tuple[tuple[int, int], ...], ...], revision: int = 1) -> Record:
    return Record("schedule", str(key), revision, state.codec.encode(ScheduleRecord(week)))


def holidays(site: int, *days: int, revision: int = 1) -> Record:
    return Record("holidays", str(site), revision, state.codec.encode(HolidaysRecord(days)))


def mode(door: int, mode: Literal["access_control", "unlocked", "locked"], until: float | None = None) -> Record:
    record = ModeRecord(mode, None if until is None else int(until))
    return Record("mode", str(door), 1, state.codec.encode(record))


def gone(*records: Record, revision: int = 2) -> list[Record]:
    """Their tombstones."""
    return [Record(record.kind, record.key, revision, None) for record in records]


def snapshot(*records: Record, revision: int = 1, mark: bytes = b"snapshot") -> Changes:
    return Changes(revision, mark, list(records), snapshot=True)


def delta(*records: Record, revision: int = 2, mark: bytes = b"delta---") -> Changes:
    return Changes(revision, mark, list(records))


async def converse(readers: Readers, place: Place, phone: PhoneSide, rssi: int = -50) -> str:
    """The reason with which a reader answers a phone."""
    session = readers.begin(place)
    assert session is not None
    said: bytes | None = session.opening
    while said is not None:
        told = phone.receive(said)
        if isinstance(told, TapAnswer):
            return told.reason
        said = None if told is None else await session.receive(told, rssi)
    raise AssertionError("a side waits for ever")


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.elapsed = 1000.0

    def __call__(self) -> float:
        return self.elapsed


class Dora:
    """A controller with its files in one folder; `restart` is what a power cut leaves."""

    def __init__(self, folder: Path, commit_delay: float = 0, max_bytes: int = 1 << 30) -> None:
        self.folder = folder
        self.time = Time()
        self.reader_key = p256.new_key()
        self.start(commit_delay, max_bytes)

    def start(self, commit_delay: float = 0, max_bytes: int = 1 << 30) -> None:
        self.store = Store(self.folder / "state.db")
        self.journal = Journal(self.folder / "journal.db", commit_delay=commit_delay, max_bytes=max_bytes)
        marks = self.journal.marks
        self.clock = Clock(marks.base_clock, marks.heard_at, elapsed=self.time)
        self.wiring = VirtualWiring()
        self.controller = Controller(self.store, self.journal, self.clock, self.wiring)
        self.readers = Readers(1, self.reader_key, self.store, self.controller, self.time)

    async def close(self) -> None:
        await self.controller.close()
        await self.store.settled()
        self.store.close()
        self.journal.close()

    async def restart(self) -> None:
        await self.close()
        self.start()

    async def learn(self, *records: Record, at: float = NOW) -> None:
        """The cloud speaks, and sends a snapshot."""
        self.clock.hear(at, 0)
        self.controller.mark()
        await self.store.apply(snapshot(*records))

    async def show(self, qr: str, at: int = FRONT, direction: Direction = ENTRY) -> str:
        """The reason with which the door answers."""
        decision, _ = await self.controller.present(at, direction, qr=qr)
        return decision.reason.value

    async def tap(self, number: int, pin: str | None = None, at: int = FRONT, direction: Direction = ENTRY) -> str:
        """The reason with which the door answers a card."""
        decision, _ = await self.controller.present(at, direction, card=number, pin=pin)
        return decision.reason.value

    async def hold(
        self, phone: Phone, request: Request = OPEN, at: int = FRONT, direction: Direction = ENTRY, rssi: int = -50
    ) -> str:
        """The reason with which the reader answers a phone that proves itself there."""
        side = phone.side(request, self.clock.read().at)
        return await converse(self.readers, Place(at, direction), side, rssi)

    def commit(self, revision: int = 0) -> None:
        """The cloud has every fact, and this revision of the state holds what followed."""
        page = self.journal.page(100_000, 1 << 30)
        if page is not None:
            self.journal.committed(page, revision)

    def bodies(self) -> list[bytes]:
        page = self.journal.page(100_000, 1 << 30)
        return page.bodies if page else []

    async def written(self) -> None:
        """Returns when everything submitted to the journal so far is in it."""
        await asyncio.wrap_future(self.controller.mark())
