"""From a phone's connection to a reader to the strike's release: Bluetooth's service found, both sides proved, decided,
journalled.

Phone, virtual radio, controller and journal are all in this process. The clock starts when the reader sees the
connection: how long a phone waits for that is the radio's choice (`ADVERTISED_MS`), not the program's.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.doors import FRONT, TimedDoor
from benchmarks.figures import Figure, Figures, percentile
from latchwork.edge.config import Config
from latchwork.edge.enrol import own_key
from latchwork.edge.runner import Edge, running
from latchwork.edge.tap import Place, Readers, TapSession
from latchwork.policy.model import Direction
from latchwork.sdk.bluetooth import BumbleRadio
from latchwork.sdk.radio import Heard, exchange
from latchwork.sim.building import loopback_socket
from latchwork.sim.radio import VirtualRadio
from latchwork.wire import p256, state
from latchwork.wire.advert import POWER
from latchwork.wire.certificate import ReaderCertificate, certify, reader_id, site_id
from latchwork.wire.link import Changes, Record
from latchwork.wire.state import DoorRecord, GrantRecord, PersonRecord, PhoneRecord, ReaderRecord, StateRecord
from latchwork.wire.tap import PhoneIdentity, PhoneSide, Request

NAMES = ("tap_ms_p50", "tap_ms_p99")

_TAPS, _WARM = 400, 20
_BOB = 40


def run() -> Figures:
    times = asyncio.run(_measure())
    return {
        NAMES[0]: Figure(percentile(times, 50), "ms", 15.0),
        NAMES[1]: Figure(percentile(times, 99), "ms", 40.0),
    }


async def _measure() -> list[float]:
    """How long each tap took, in milliseconds."""
    door = TimedDoor()
    with tempfile.TemporaryDirectory() as name:
        config = Config("http://127.0.0.1:9", 1, 1, "Dora", bytes(16).hex(), "", Path(name))
        async with running(config, lambda _: door, has_radio=True) as edge:
            edge.link.up = False
            phone = _Bob()
            readers = own_key(config.reader_key).public_key()
            await edge.controller._store.apply(Changes(1, b"snapshot", phone.records(readers), snapshot=True))
            edge.clock.hear(time.time(), 0)
            async with _air(edge) as (air, connected):
                times = []
                for _ in range(_WARM + _TAPS):
                    await _tap(air, phone)
                    times.append((door.released_at - connected.at) * 1e3)
    return times[_WARM:]


class _Connections:
    """When a reader was last connected to."""

    at = 0.0

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self.certified, self.advert, self.name = readers.certified, readers.advert, readers.name

    def begin(self, place: Place, power: int = POWER) -> TapSession | None:
        self.at = time.perf_counter()
        return self._readers.begin(place, power)


@asynccontextmanager
async def _air(edge: Edge) -> AsyncIterator[tuple[BumbleRadio, _Connections]]:
    connected = _Connections(edge.readers)
    virtual = VirtualRadio(connected)  # type: ignore[arg-type]
    radio: BumbleRadio | None = None
    with loopback_socket("127.0.0.1", 0) as listening:
        try:
            radio = BumbleRadio(await virtual.open(listening))
            yield radio, connected
        finally:
            if radio is not None:
                await radio.close()
            await virtual.close()


async def _tap(radio: BumbleRadio, phone: _Bob) -> None:
    heard = await radio.scan(5, lambda heard: True)
    link = await radio.connect(heard[0])
    answer = await exchange(link, phone.side(heard[0]))
    assert answer.opened, answer
    await link.close()


class _Bob:
    """A phone that opens the front door, and the organisation that says so."""

    def __init__(self) -> None:
        self._key, self._signs = p256.new_key(), p256.new_key()

    def records(self, readers: p256.PublicKey) -> list[Record]:
        point, now = p256.public_bytes(self._key.public_key()), int(time.time())
        said = ReaderCertificate(site_id(1, 1), reader_id(FRONT, False), p256.public_bytes(readers), now, now + 86400)
        signed = certify(said, p256.kid(p256.public_bytes(self._signs.public_key())), self._signs)
        return [
            _record("door", str(FRONT), DoorRecord("Front door", 1, entry_reader="entry")),
            _record("reader", f"{FRONT}.{Direction.ENTRY}", ReaderRecord(signed)),
            _record("person", str(_BOB), PersonRecord(ways=("mobile", "tap"))),
            _record("grant", f"{_BOB}.{FRONT}", GrantRecord()),
            _record("phone", p256.kid(point).hex(), PhoneRecord(_BOB, "tap", point)),
        ]

    def side(self, heard: Heard) -> PhoneSide:
        identity, request = PhoneIdentity(self._key, int(time.time())), Request(rssi=heard.rssi)
        return PhoneSide(identity, request, lambda _: True, lambda _: self._signs.public_key(), time.time())


def _record(kind: str, key: str, body: StateRecord) -> Record:
    return Record(kind, key, 1, state.codec.encode(body))
