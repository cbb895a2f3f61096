"""One organisation with a front door, as its controller holds it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from latchwork.sim.doors import VirtualDoor
from latchwork.wire import p256, state
from latchwork.wire.link import Changes, Record
from latchwork.wire.pass_ import Visit, sign_visit
from latchwork.wire.state import DoorRecord, KeyRecord, RevocationRecord

FRONT = 1


@dataclass
class Organisation:
    """Signs passes."""

    key: p256.PrivateKey = field(default_factory=p256.new_key)

    @property
    def point(self) -> bytes:
        return p256.public_bytes(self.key.public_key())

    def invite(self, now: float) -> str:
        """A pass for the front door and three others: made now, good for a minute."""
        at = int(now)
        visit = Visit(7, 70, 1, (FRONT, 2, 5, 9), at, at - 600, at + 60, os.urandom(8))
        return sign_visit(visit, p256.kid(self.point), self.key)


class TimedDoor(VirtualDoor):
    """Remembers when its strike was last released."""

    released_at = 0.0

    def strike(self, on: bool) -> None:
        super().strike(on)
        if on:
            self.released_at = time.perf_counter()


def furniture(point: bytes) -> list[Record]:
    """The organisation's key and its door."""
    return [
        Record("key", p256.kid(point).hex(), 1, state.codec.encode(KeyRecord("organisation", point))),
        Record("door", str(FRONT), 1, state.codec.encode(DoorRecord("Front door", 1, entry_reader="entry"))),
    ]


def revocations(count: int, revision: int) -> list[Record]:
    """As many records of the smallest kind, about other meetings."""
    body = state.codec.encode(RevocationRecord(2))
    return [Record("revocation", str(1_000_000 + number), revision, body) for number in range(count)]


def snapshot(alice: Organisation, meetings: int) -> Changes:
    """Everything a controller has to know, in one batch."""
    return Changes(1, b"snapshot", [*furniture(alice.point), *revocations(meetings, 1)], snapshot=True)
