"""What a controller's readers say to phones: one exchange of `wire.tap` per connection, decided like any attempt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from latchwork.edge.controller import Controller
from latchwork.edge.store import Store
from latchwork.policy.model import Direction, PhoneProof
from latchwork.policy.reasons import Reason
from latchwork.wire import advert, certificate, p256
from latchwork.wire.advert import POWER, Advert
from latchwork.wire.tap import (
    RSSI_UNKNOWN,
    Answer,
    Proven,
    ReaderIdentity,
    ReaderSide,
    Request,
    TapFailed,
)

Decide = Callable[[Proven, int], Awaitable[Answer]]
"""What the door says to a phone that has proved itself and is heard with so many dBm."""


class Place(NamedTuple):
    """Where a reader is: its door and the side of it."""

    door: int
    direction: Direction


class Readers:
    """The readers of one controller that phones may trust. Event loop's thread only."""

    def __init__(
        self,
        organisation: int,
        key: p256.PrivateKey,
        store: Store,
        controller: Controller,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`elapsed`: seconds of a clock that nobody sets."""
        self._elapsed = elapsed
        self._organisation = organisation
        self._key = key
        self._store = store
        self._controller = controller

    def certified(self) -> frozenset[Place]:
        """Those that the organisation has certified; raises sqlite3.Error."""
        return frozenset(Place(*place) for place in self._store.readers())

    def advert(self, place: Place, power: int = POWER) -> Advert:
        """How a reader makes itself known; `power`: dBm at which a phone one metre away hears it."""
        return Advert(self._organisation, place.door, place.direction is Direction.EXIT, power)

    def begin(self, place: Place, power: int = POWER) -> TapSession | None:
        """A phone has connected to this reader; None: the reader has nothing to prove itself with.

        Raises sqlite3.Error.
        """
        proof, door = self._store.readers().get(place), self._store.doors().get(place.door)
        if proof is None or door is None:
            return None
        identity = ReaderIdentity(
            certificate.site_id(self._organisation, door.site),
            certificate.reader_id(place.door, place.direction is Direction.EXIT),
            self._key,
            proof,
        )
        return TapSession(identity, lambda proven, rssi: self._decide(place, power, proven, rssi), self._elapsed)

    async def _decide(self, place: Place, power: int, proven: Proven, rssi: int) -> Answer:
        """What is asked of a door that is not this controller's is asked of nobody, and is not journalled."""
        asked = proven.request
        door = asked.access_point or place.door
        if door not in self._controller.doors:
            return Answer(False, Reason.UNKNOWN_DOOR.value)
        proof = PhoneProof(
            key=proven.public_key,
            ask=asked.ask,
            from_afar=asked.from_afar or door != place.door,
            metres=metres(rssi, asked, power),
        )
        decision, _ = await self._controller.present(door, place.direction, phone=proof)
        return Answer(decision.granted, decision.reason.value)


class TapSession:
    """One connection of a phone to a reader."""

    def __init__(self, identity: ReaderIdentity, decide: Decide, elapsed: Callable[[], float]) -> None:
        self._side = ReaderSide(identity, elapsed())
        self._decide = decide
        self._elapsed = elapsed
        self._turn = asyncio.Lock()
        self._failed: TapFailed | None = None
        self.is_decided_on = False
        """The phone has proved itself, and the door has not answered yet."""

    @property
    def opening(self) -> bytes:
        """What the reader says first."""
        return self._side.opening

    async def receive(self, data: bytes, rssi: int = RSSI_UNKNOWN) -> bytes | None:
        """What to say to this, or None while it is not a whole message.

        `rssi`: dBm at which the reader hears the phone. Raises TapFailed, and from then on always.
        """
        async with self._turn:
            if self._failed is not None:
                raise TapFailed(self._failed.failure)
            try:
                said = self._side.receive(data, self._elapsed())
            except TapFailed as error:
                self._failed = error
                raise
            if not isinstance(said, Proven):
                return said
            self.is_decided_on = True
            try:
                return self._side.answer(await self._decide(said, rssi))
            finally:
                self.is_decided_on = False


def metres(measured: int, asked: Request, power: int) -> float | None:
    """How far away a phone is: the larger of what the reader measures and what the phone says; None: nobody knows."""
    heard = [rssi for rssi in (measured, asked.rssi) if rssi != RSSI_UNKNOWN]
    return advert.metres(min(heard), power) if heard else None
