"""Readers for phones over Bluetooth, on `bumble`: a peripheral with `wire.advert`'s service.

What the reader says is notified in pieces that fit, and the same bytes are there to be read, whole, until it says more:
a phone that cannot be notified reads the opening, and then the answer after each write.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from bumble.att import ATT_Error, Attribute, AttributeValue, ErrorCode
from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, Service
from bumble.hci import Address, HCI_Read_BD_ADDR_Command, HCI_Read_RSSI_Command
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport
from bumble.transport.common import TransportSink, TransportSource

from latchwork.edge import config
from latchwork.edge.tap import Place, Readers, TapSession
from latchwork.wire import advert
from latchwork.wire.advert import Advert
from latchwork.wire.tap import ANSWER_SECONDS, EXCHANGE_SECONDS, RSSI_UNKNOWN, TapFailed

log = logging.getLogger(__name__)
logging.getLogger("bumble").setLevel(logging.CRITICAL)

MOST_CONNECTIONS: Final = 8
"""At once, at one reader; one more takes the place of the one that has been silent longest."""
ADVERTISED_MS: Final = 30.0
"""Milliseconds between two advertisements: a phone that is held there finds the reader at once."""
ROOM_SECONDS: Final = 0.25
"""After which the reader is on the air again for the next phone, if the last one is still connected."""
LOOK_SECONDS: Final = 30.0
"""Between two looks whether an adapter still answers."""
AGAIN_SECONDS: Final = 10.0
"""Until an adapter that does not work is tried again."""

_HANG_UP_SECONDS: Final = 1.0
"""That an adapter has for what takes no time."""
_FAILURES: Final = (BaseBumbleError, OSError, TimeoutError)

Begin = Callable[[], TapSession | None]


async def keep_on_air(wanted: config.BluetoothReader, readers: Readers) -> None:
    """Keeps an adapter of this machine on the air as a reader, until cancelled; a door works without it."""
    place = Place(wanted.door, wanted.direction)
    while True:
        try:
            await _serve(wanted, place, readers)
            log.error("the adapter %s is gone", wanted.transport)
        except Exception as error:  # what a transport raises is its own
            log.error(
                "the adapter %s cannot be used: %s: %s; is it down, bluetoothd stopped, and CAP_NET_ADMIN given?",
                wanted.transport,
                type(error).__name__,
                error,
            )
        await asyncio.sleep(AGAIN_SECONDS)


async def _serve(wanted: config.BluetoothReader, place: Place, readers: Readers) -> None:
    async with await open_transport(wanted.transport) as (source, sink):
        reader = Peripheral(
            source, sink, readers.advert(place, wanted.power), lambda: readers.begin(place, wanted.power)
        )
        try:
            await reader.start()
            while not source.terminated.done():
                await asyncio.wait({source.terminated}, timeout=LOOK_SECONDS)
                await reader.check()
        finally:
            await reader.stop()


class Peripheral:
    """One reader on the air. Event loop's thread only."""

    def __init__(self, source: TransportSource, sink: TransportSink, said: Advert, begin: Begin) -> None:
        """`begin`: a phone has connected; None: this reader talks to nobody now."""
        self._begin = begin
        self._advertised = _advertising(said)
        self._exchanges: dict[Connection, _Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_on_air = False
        self._is_heard = False
        """It advertises: phones can find it."""
        self._turn = asyncio.Lock()
        self._notify: Characteristic[bytes] = Characteristic(
            UUID(advert.NOTIFY),
            Characteristic.Properties.NOTIFY | Characteristic.Properties.READ,
            Attribute.READABLE,
            AttributeValue(read=self._read),
        )
        self._device = self._made(source, sink)

    async def start(self) -> None:
        """Goes on the air; raises what the adapter raises."""
        await self._device.power_on()
        self._is_on_air = True
        await self._advertise()

    async def check(self) -> None:
        """Advertises again should that have failed; raises what an adapter raises that does not answer any more."""
        await asyncio.wait_for(self._device.send_sync_command(HCI_Read_BD_ADDR_Command()), _HANG_UP_SECONDS)
        if not self._is_heard:
            await self._advertise()

    async def stop(self) -> None:
        """Hangs up and goes off the air."""
        self._is_on_air = False
        await asyncio.gather(*map(_hang_up, tuple(self._exchanges)))
        for task in tuple(self._tasks):
            task.cancel()
        async with self._turn:
            with suppress(*_FAILURES):
                await asyncio.wait_for(self._device.stop_advertising(), _HANG_UP_SECONDS)

    def _made(self, source: TransportSource, sink: TransportSink) -> Device:
        settings = DeviceConfiguration(name="", address=Address.generate_static_address())
        device = Device.from_config_with_hci(settings, source, sink)
        device.pairing_config_factory = lambda _: PairingConfig(delegate=_Unpaired())
        write: Characteristic[bytes] = Characteristic(
            UUID(advert.WRITE),
            Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
            Attribute.WRITEABLE,
            AttributeValue(write=self._write),
        )
        device.add_service(Service(UUID.from_16_bits(advert.SERVICE), [write, self._notify]))
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        self._notify.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        return device

    async def _advertise(self) -> None:
        """On the air for the next phone; connecting takes a reader off it."""
        async with self._turn:
            if not self._is_on_air:
                return
            try:
                await self._device.start_advertising(
                    advertising_data=self._advertised,
                    scan_response_data=b"",
                    advertising_interval_min=ADVERTISED_MS,
                    advertising_interval_max=ADVERTISED_MS,
                )
                self._is_heard = True
            except _FAILURES as error:
                log.warning("a reader cannot be on the air now: %s", error)
                self._carry_out(self._make_way())

    # What phones do

    def _on_connection(self, connection: Connection) -> None:
        connection.on(Connection.EVENT_DISCONNECTION, lambda _: self._on_disconnection(connection))
        self._is_heard = False
        session = self._begun() if len(self._exchanges) < MOST_CONNECTIONS or self._dismiss() else None
        if session is None:
            log.info("a reader hung up on a phone: it has no certificate, or too many phones at once")
            self._carry_out(_hang_up(connection))
            return
        exchange = _Exchange(connection, session, lambda: self._carry_out(_hang_up(connection)))
        self._exchanges[connection] = exchange
        self._carry_out(self._accompany(exchange))

    def _dismiss(self) -> bool:
        """Takes the place of whoever has been silent longest; False: nobody is."""
        waiting = (exchange for exchange in self._exchanges.values() if not exchange.is_decided_on)
        silent = min(waiting, key=lambda exchange: exchange.silent_since, default=None)
        if silent is not None:
            self._leave(silent.connection)
            self._carry_out(_hang_up(silent.connection))
        return silent is not None

    def _begun(self) -> TapSession | None:
        try:
            return self._begin()
        except sqlite3.Error as error:
            log.error("a reader's certificate cannot be read: %s", error)
            return None

    def _on_disconnection(self, connection: Connection) -> None:
        self._leave(connection)
        self._carry_out(self._advertise())

    def _leave(self, connection: Connection) -> None:
        exchange = self._exchanges.pop(connection, None)
        if exchange is not None:
            exchange.end()

    def _on_subscription(self, connection: Connection, notified: bool, _: bool) -> None:
        exchange = self._exchanges.get(connection)
        if exchange is not None and notified:
            self._carry_out(self._notified(exchange))

    def _read(self, connection: Connection) -> bytes:
        return self._exchange(connection).said

    async def _write(self, connection: Connection, data: bytes) -> None:
        exchange = self._exchange(connection)
        try:
            if await exchange.hear(data):
                await self._notified(exchange)
        except TapFailed as failed:
            log.info("an exchange with a phone ended: %s", failed)
            self._carry_out(_hang_up(connection))
        except Exception as error:  # which may hold what was said
            log.error("an exchange with a phone failed: %s", type(error).__name__)
            self._carry_out(_hang_up(connection))

    def _exchange(self, connection: Connection) -> _Exchange:
        try:
            return self._exchanges[connection]
        except KeyError:
            raise ATT_Error(ErrorCode.UNLIKELY_ERROR) from None

    # What happens beside

    async def _accompany(self, exchange: _Exchange) -> None:
        """Listens how near the phone is, and goes on the air for the next one."""
        with suppress(*_FAILURES):
            asked = HCI_Read_RSSI_Command(handle=exchange.connection.handle)
            exchange.rssi = (await self._device.send_sync_command(asked)).rssi
        if not await exchange.is_over(ROOM_SECONDS):
            await self._advertise()

    async def _make_way(self) -> None:
        """Some adapters advertise only while they have room for one connection more."""
        await asyncio.sleep(ANSWER_SECONDS)
        if not self._is_heard and len(self._exchanges) > 1:
            self._dismiss()

    async def _notified(self, exchange: _Exchange) -> None:
        size = exchange.connection.att_mtu - 3
        for start in range(0, len(exchange.said), size):
            await self._device.notify_subscriber(exchange.connection, self._notify, exchange.said[start : start + size])

    def _carry_out(self, begun: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(begun)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Exchange:
    """One phone that is connected."""

    def __init__(self, connection: Connection, session: TapSession, hang_up: Callable[[], None]) -> None:
        self.connection = connection
        self.rssi = RSSI_UNKNOWN
        self._session = session
        self._hang_up = hang_up
        self._over = asyncio.Event()
        self._say(session.opening, EXCHANGE_SECONDS)

    @property
    def is_decided_on(self) -> bool:
        """The door is deciding, or the answer is on its way."""
        return self._session.is_decided_on

    def end(self) -> None:
        """The phone is gone, or has to go."""
        self._over.set()
        self._patience.cancel()

    async def is_over(self, seconds: float) -> bool:
        """Whether the connection ends within so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)
        return self._over.is_set()

    async def hear(self, data: bytes) -> bool:
        """True when the reader has something new to say; raises TapFailed."""
        said = await self._session.receive(data, self.rssi)
        if said is not None and not self._over.is_set():
            self._patience.cancel()
            self._say(said, ANSWER_SECONDS)
        return said is not None

    def _say(self, said: bytes, seconds: float) -> None:
        """From now on the phone is silent until it has said all of the next message, or has hung up after the answer.

        Within so many seconds: pieces of a message buy no time.
        """
        loop = asyncio.get_running_loop()
        self.said = said
        """What the reader said last."""
        self.silent_since = loop.time()
        self._patience = loop.call_later(seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        if not self.is_decided_on:
            self._hang_up()


class _Unpaired(PairingDelegate):
    """Nobody is paired: what is said proves itself."""

    async def accept(self) -> bool:
        return False


def _advertising(said: Advert) -> bytes:
    service = advert.SERVICE.to_bytes(2, "little")
    return bytes(
        AdvertisingData(
            [
                (AdvertisingData.Type.FLAGS, b"\x06"),  # general discoverable, no BR/EDR
                (AdvertisingData.Type.SERVICE_DATA_16_BIT_UUID, service + said.encode()),
            ]
        )
    )


async def _hang_up(connection: Connection) -> None:
    with suppress(*_FAILURES):
        await asyncio.wait_for(connection.disconnect(), _HANG_UP_SECONDS)
