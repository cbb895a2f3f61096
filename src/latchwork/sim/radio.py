"""The virtual radio: every certified reader of the building is on it, and phones of other processes join over TCP.

A phone's process speaks HCI to an adapter of its own here (bumble's `tcp-client:`), as it would to one on a USB port.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

from bumble.controller import Controller
from bumble.hci import (
    HCI_REMOTE_USER_TERMINATED_CONNECTION_ERROR,
    Address,
    HCI_AclDataPacket,
    HCI_Command,
    HCI_ErrorCode,
    HCI_LE_Extended_Advertising_Report_Event,
    HCI_Packet,
    HCI_Read_RSSI_Command,
    HCI_Read_RSSI_ReturnParameters,
)
from bumble.link import LocalLink
from bumble.ll import AdvertisingPdu, TerminateInd
from bumble.transport.common import AsyncPipeSink, StreamPacketSink, StreamPacketSource

from latchwork.edge.drivers.bluetooth import Peripheral
from latchwork.edge.tap import Place, Readers

NEAR: Final = -50
"""dBm, about a third of a metre."""
_SCAN_RESPONSE: Final = HCI_LE_Extended_Advertising_Report_Event.EventType.SCAN_RESPONSE
_PACKET_BYTES: Final = 251
"""Of one packet on the air, as today's adapters have it (Core 5.4, vol 6 part B §4.5.10)."""


class VirtualRadio:
    """The air in the building. Event loop's thread only."""

    def __init__(self, readers: Readers) -> None:
        self.rssi = NEAR
        """With how many dBm everybody hears everybody."""
        self._readers = readers
        self._link = LocalLink()  # type: ignore[no-untyped-call]
        self._peripherals: dict[Place, Peripheral] = {}
        self._adapters: dict[Place, Adapter] = {}
        self._turn = asyncio.Lock()
        self._following: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._phones: set[asyncio.WriteTransport] = set()

    async def open(self, listening: socket.socket) -> str:
        """Lets phones join at this socket, and puts the readers on the air; the name of a phone's adapter."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Phone(self), sock=listening)
        await self._follow()
        host, port = listening.getsockname()[:2]
        return f"tcp-client:{host}:{port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for phone in tuple(self._phones):
            phone.close()
        for task in tuple(self._following):
            task.cancel()
        async with self._turn:
            for place in tuple(self._peripherals):
                await self._remove(place)

    def follow(self) -> None:
        """Brings the readers in line with what the controller knows now."""
        task = asyncio.create_task(self._follow())
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    def join(self, phone: asyncio.WriteTransport) -> Adapter:
        """A phone's process is there; its adapter."""
        self._phones.add(phone)
        return self.adapter()

    def leave(self, phone: asyncio.WriteTransport, adapter: Adapter) -> None:
        """It is gone."""
        self._phones.discard(phone)
        adapter.leave()

    def adapter(self) -> Adapter:
        """A new adapter on the air; whoever uses it becomes its `host`."""
        return Adapter(self._link, lambda: self.rssi)

    async def _follow(self) -> None:
        async with self._turn:
            wanted = self._readers.certified()
            for place in self._peripherals.keys() - wanted:
                await self._remove(place)
            for place in wanted - self._peripherals.keys():
                await self._add(place)
            for reader in self._peripherals.values():
                await reader.refresh()

    async def _add(self, place: Place) -> None:
        adapter = self._adapters[place] = self.adapter()
        peripheral = self._peripherals[place] = Peripheral(
            adapter,
            AsyncPipeSink(adapter),
            self._readers.advert(place),
            lambda: self._readers.name(place),
            lambda: self._readers.begin(place),
        )
        await peripheral.start()

    async def _remove(self, place: Place) -> None:
        await self._peripherals.pop(place).stop()
        self._adapters.pop(place).leave()


class Adapter(Controller):
    """One adapter on the virtual radio."""

    le_acl_data_packet_length = _PACKET_BYTES

    terminated: asyncio.Future[Any]

    def __init__(self, link: LocalLink, rssi: Callable[[], int]) -> None:
        super().__init__("adapter", link=link)
        self._rssi = rssi
        self._is_answered = False
        """Somebody connects upon the last advertisement."""

    def leave(self) -> None:
        """Off the air, as when the power is cut; whoever was connected is told."""
        for connection in tuple(self.le_connections.values()):
            connection.send_ll_control_pdu(TerminateInd(HCI_REMOTE_USER_TERMINATED_CONNECTION_ERROR))
        self.host = None
        for advertised in self.advertising_sets.values():
            advertised.stop()
        self.le_legacy_advertiser.stop()
        self.link.remove_controller(self)

    def create_le_connection(self, peer_address: Address) -> None:
        """As inherited, but of all who wait for an advertisement one gets the connection, as on a real radio."""
        advertiser = self.link.find_le_controller(peer_address)
        if isinstance(advertiser, Adapter) and not advertiser._is_answered:
            advertiser._is_answered = True
            super().create_le_connection(peer_address)

    def send_advertising_pdu(self, packet: AdvertisingPdu) -> None:
        self._is_answered = False
        super().send_advertising_pdu(packet)

    def on_hci_packet(self, packet: HCI_Packet) -> None:
        """As inherited, without putting every packet into words for a log that nobody keeps."""
        if isinstance(packet, HCI_AclDataPacket):
            self.on_hci_acl_data_packet(packet)
        elif isinstance(packet, HCI_Command):
            self.on_hci_command_packet(packet)

    def _answer_of(self, address: Address) -> bytes:
        """What somebody who advertises says to those who ask for more; inherited, it would be the same once more."""
        advertiser = self.link.find_le_controller(address)
        sets = advertiser.advertising_sets.values() if advertiser else ()
        return b"".join(bytes(each.scan_response_data) for each in sets if each.address == address)

    def send_hci_packet(self, packet: HCI_Packet) -> None:
        if isinstance(packet, HCI_LE_Extended_Advertising_Report_Event):
            for report in packet.reports:
                report.rssi = self._rssi()
                if report.event_type & _SCAN_RESPONSE:
                    report.data = self._answer_of(report.address)
        if self.host is not None:
            asyncio.get_running_loop().call_soon(self.host.on_packet, bytes(packet))

    def on_hci_read_rssi_command(self, command: HCI_Read_RSSI_Command) -> HCI_Read_RSSI_ReturnParameters:
        """Core 5.4, vol 4 part E §7.5.4."""
        return HCI_Read_RSSI_ReturnParameters(HCI_ErrorCode.SUCCESS, command.handle, self._rssi())


class _Phone(StreamPacketSource):
    """A phone of another process, which has an adapter for as long as it is connected."""

    def __init__(self, radio: VirtualRadio) -> None:
        super().__init__()
        self._radio = radio
        self._transport: asyncio.WriteTransport
        self._adapter: Adapter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport, self._adapter = transport, self._radio.join(transport)
        self._adapter.host = StreamPacketSink(transport)
        self.set_packet_sink(self._adapter)

    def connection_lost(self, error: Exception | None) -> None:
        self._radio.leave(self._transport, self._adapter)
