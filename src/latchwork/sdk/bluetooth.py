"""A radio for phones on `bumble`: a Bluetooth adapter of this machine, or the virtual building's.

Needs the extra `latchwork[bluetooth]`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration, Peer
from bumble.gatt_client import CharacteristicProxy
from bumble.hci import Address, HCI_LE_Create_Connection_Cancel_Command, HCI_LE_Set_Random_Address_Command
from bumble.transport import open_transport
from bumble.transport.common import Transport

from latchwork.sdk.radio import Heard, LinkLost, RadioOff
from latchwork.wire import advert

MTU: Final = 517
"""The largest that Bluetooth has: every message in one piece."""
CONNECT_SECONDS: Final = 5.0
ADAPTER_SECONDS: Final = 5.0
"""That an adapter has to do as it is told."""

_SERVICE: Final = UUID.from_16_bits(advert.SERVICE)
_WRITE, _NOTIFY = UUID(advert.WRITE), UUID(advert.NOTIFY)
_LOST: Final = b""

Done = TypeVar("Done")

logging.getLogger("bumble").setLevel(logging.CRITICAL)


class BumbleRadio:
    """One adapter, as a phone uses it (`sdk.radio.Radio`)."""

    def __init__(self, transport: str, *, reads: bool = False) -> None:
        """`transport`: bumble's name of the adapter, such as `hci-socket:0`, `usb:0` or `tcp-client:127.0.0.1:9001`.

        `reads`: fetch what the reader says by reading, as phones do that cannot be notified.
        """
        self._name = transport
        self._reads = reads
        self._transport: Transport | None = None
        self._device: Device | None = None
        self._turn = asyncio.Lock()

    async def scan(self, seconds: float, enough: Callable[[Heard], bool] = lambda heard: False) -> list[Heard]:
        """The readers heard, the nearest first; raises RadioOff."""
        found: dict[str, Heard] = {}
        done = asyncio.Event()

        def hear(said: Advertisement) -> None:
            heard = _heard(said)
            if heard is not None:
                found[heard.address] = heard
                if enough(heard):
                    done.set()

        async with self._turn:
            device = await self._opened()
            device.on(Device.EVENT_ADVERTISEMENT, hear)
            try:
                await _or_off(device.start_scanning(active=False))
                with suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), seconds)
            finally:
                device.remove_listener(Device.EVENT_ADVERTISEMENT, hear)
                await _or_off(device.stop_scanning())
        return sorted(found.values(), key=lambda heard: -heard.rssi)

    async def connect(self, heard: Heard) -> BumbleLink:
        """A link under a new random address: nobody on the air can follow a phone. Raises RadioOff or LinkLost.

        Whoever wants the adapter next waits until the link is closed.
        """
        await self._turn.acquire()
        try:
            return await self._linked(heard)
        except BaseException:
            self._turn.release()
            raise

    async def _linked(self, heard: Heard) -> BumbleLink:
        device = await self._opened()
        await _or_off(_take_new_address(device))
        try:
            connection = await device.connect_le(Address(heard.address), timeout=CONNECT_SECONDS)
        except (BaseBumbleError, TimeoutError, OSError) as error:
            raise LinkLost("the reader did not answer") from error
        except asyncio.CancelledError:
            await _or_off(device.send_sync_command(HCI_LE_Create_Connection_Cancel_Command()))
            raise
        link = BumbleLink(connection, self._reads)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await link.begin()
        except TimeoutError:
            await link.close()
            raise LinkLost("the reader does not answer") from None
        except BaseException:
            await link.close()
            raise
        link.when_closed(self._turn.release)
        return link

    async def close(self) -> None:
        """Lets go of the adapter."""
        transport, self._transport, self._device = self._transport, None, None
        if transport is not None:
            await transport.close()

    async def _opened(self) -> Device:
        if self._transport is not None and self._transport.source.terminated.done():
            await self.close()
        if self._device is None:
            try:
                self._transport = await open_transport(self._name)
                self._device = _device(self._transport)
                await asyncio.wait_for(self._device.power_on(), ADAPTER_SECONDS)
            except Exception as error:  # what a transport raises is its own
                await self.close()
                raise RadioOff(f"Bluetooth cannot be used: {error or type(error).__name__}") from error
        return self._device


class BumbleLink:
    """A connection to a reader (`sdk.radio.Link`)."""

    def __init__(self, connection: Connection, reads: bool) -> None:
        self._connection = connection
        self._reads = reads
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        self._write: CharacteristicProxy[bytes]
        self._notify: CharacteristicProxy[bytes]
        self._is_up = True
        self._closed: Callable[[], None] = lambda: None
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)

    async def begin(self) -> None:
        """Finds the reader's service; raises LinkLost when it has none."""
        peer = Peer(self._connection)
        await self._or_lost(peer.request_mtu(MTU))
        services = await self._or_lost(peer.discover_service(_SERVICE))
        if not services:
            raise LinkLost("this is no reader")
        found = {each.uuid: each for each in await self._or_lost(services[0].discover_characteristics())}
        if not {_WRITE, _NOTIFY} <= found.keys():
            raise LinkLost("this is no reader")
        self._write, self._notify = found[_WRITE], found[_NOTIFY]
        if not self._reads:
            await self._or_lost(self._notify.subscribe(self._said.put_nowait))

    async def receive(self) -> bytes:
        if self._reads:
            return await self._or_lost(self._notify.read_value())
        said = await self._said.get()
        if said == _LOST:
            self._said.put_nowait(_LOST)
            raise LinkLost("the reader has hung up")
        return said

    async def send(self, data: bytes) -> None:
        size = self._connection.att_mtu - 3
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            await self._or_lost(self._write.write_value(piece, with_response=self._reads))

    def when_closed(self, do: Callable[[], None]) -> None:
        """Calls this once, when the link has been closed."""
        self._closed = do

    async def close(self) -> None:
        try:
            await self._hang_up()
        finally:
            closed, self._closed = self._closed, lambda: None
            closed()

    async def _hang_up(self) -> None:
        if not self._is_up:
            return
        hanging_up = asyncio.ensure_future(self._connection.disconnect())
        await asyncio.wait({hanging_up}, timeout=CONNECT_SECONDS)
        if not hanging_up.done():
            hanging_up.cancel()
        elif not hanging_up.cancelled():
            hanging_up.exception()

    def _on_disconnection(self, _: int) -> None:
        self._is_up = False
        self._said.put_nowait(_LOST)

    async def _or_lost(self, doing: Awaitable[Done]) -> Done:
        """What comes of it, or LinkLost when the connection ends first."""
        going = asyncio.ensure_future(doing)
        if not self._is_up:
            going.cancel()
        try:
            return await self._connection.cancel_on_disconnection(going)
        except (BaseBumbleError, TimeoutError, OSError) as error:
            raise LinkLost("the reader has hung up") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise LinkLost("the reader has hung up") from error


def _device(transport: Transport) -> Device:
    config = DeviceConfiguration(name="", address=Address.generate_static_address(), keystore=None)
    return Device.from_config_with_hci(config, transport.source, transport.sink)


def _heard(said: Advertisement) -> Heard | None:
    """A reader of ours, or None: others use the same service, too."""
    for data in said.data.get_all(AdvertisingData.Type.SERVICE_DATA_16_BIT_UUID, raw=True):
        found = advert.read(data[2:]) if data[:2] == _SERVICE.to_bytes() else None
        if found is not None:
            return Heard(found, said.rssi, said.address.to_string())
    return None


async def _take_new_address(device: Device) -> None:
    device.random_address = Address.generate_private_address()
    await device.send_sync_command(HCI_LE_Set_Random_Address_Command(random_address=device.random_address))


async def _or_off(doing: Awaitable[Done]) -> Done:
    try:
        return await asyncio.wait_for(doing, ADAPTER_SECONDS)
    except (BaseBumbleError, TimeoutError, OSError) as error:
        raise RadioOff(f"Bluetooth does not work: {error or type(error).__name__}") from error
