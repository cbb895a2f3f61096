"""A reader as a browser's Bluetooth sees it: Chromium's emulated adapter before it, `wire.tap` behind it.

Chromium's emulation cannot notify, so a phone writes and reads the answer. Nor does it tell of a page that disconnects
and connects again: whoever reads once more after the answer begins a new exchange.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import Callable
from typing import Any

from bumble.core import AdvertisingData
from playwright.async_api import Browser, CDPSession, Page

from latchwork.edge.drivers.bluetooth import advertising, scan_response
from latchwork.wire import advert
from latchwork.wire.advert import Advert
from latchwork.wire.tap import Answer, Proven, ReaderIdentity, ReaderSide, TapFailed

SWITCHES = ("--enable-features=WebBluetooth", "--enable-experimental-web-platform-features")
ADDRESS = "0A:0A:0A:0A:0A:0A"
_UUID = "0000{:04x}-0000-1000-8000-00805f9b34fb"
SERVICE = _UUID.format(advert.SERVICE)
NAME = "Front door"


def _seen() -> dict[str, Any]:
    """What a browser knows of a reader before it connects: what stands in what the reader says on the air."""
    said = AdvertisingData.from_bytes(advertising(Advert(1, 1, False)) + scan_response(NAME))
    services: Any = said.get(AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, raw=True) or b""
    name: Any = said.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME, raw=True)
    listed = [_UUID.format(each) for (each,) in struct.iter_unpack("<H", services)]
    return {"name": name.decode(), "manufacturerData": [], "knownServiceUuids": listed}


class Peripheral:
    """One reader near the browser; its user chooses it whenever they are asked."""

    def __init__(self, air: CDPSession, chooser: CDPSession, identity: ReaderIdentity) -> None:
        self._air = air
        self._chooser = chooser
        self._identity = identity
        self._side: ReaderSide | None = None
        self._says = b""
        self._is_answered = False
        self._running: set[asyncio.Task[None]] = set()
        self._prompts: set[str] = set()
        self.decide: Callable[[Proven], Answer] = lambda proven: Answer(True, "granted")
        self.proven: list[Proven] = []
        self.heard = b""
        """All that a phone has written."""
        self.is_chosen = True
        """False: the user closes the chooser."""

    @classmethod
    async def near(cls, browser: Browser, page: Page, identity: ReaderIdentity) -> Peripheral:
        air, chooser = await browser.new_browser_cdp_session(), await page.context.new_cdp_session(page)
        reader = cls(air, chooser, identity)
        await air.send("BluetoothEmulation.enable", {"state": "powered-on", "leSupported": True})
        await chooser.send("DeviceAccess.enable")
        await air.send("BluetoothEmulation.simulatePreconnectedPeripheral", {"address": ADDRESS} | _seen())
        service = await air.send("BluetoothEmulation.addService", {"address": ADDRESS, "serviceUuid": SERVICE})
        for characteristic, properties in ((advert.WRITE, {"write": True}), (advert.NOTIFY, {"read": True})):
            added = {"serviceId": service["serviceId"], "characteristicUuid": characteristic, "properties": properties}
            await air.send("BluetoothEmulation.addCharacteristic", added)
        air.on("BluetoothEmulation.gattOperationReceived", reader._soon(reader._gatt))
        air.on("BluetoothEmulation.characteristicOperationReceived", reader._soon(reader._operation))
        chooser.on("DeviceAccess.deviceRequestPrompted", reader._soon(reader._choose))
        return reader

    async def switch(self, state: str) -> None:
        """The browser's Bluetooth: `powered-on`, `powered-off` (it says so itself) or `absent`."""
        await self._air.send("BluetoothEmulation.setSimulatedCentralState", {"state": state})

    def _soon(self, handle: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
        def run(event: dict[str, Any]) -> None:
            task = asyncio.ensure_future(handle(event))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        return run

    async def _choose(self, event: dict[str, Any]) -> None:
        if event["id"] in self._prompts or (self.is_chosen and not event["devices"]):
            return  # told again when the list of readers has changed
        self._prompts.add(event["id"])
        if self.is_chosen:
            said = {"id": event["id"], "deviceId": event["devices"][0]["id"]}
            await self._chooser.send("DeviceAccess.selectPrompt", said)
        else:
            await self._chooser.send("DeviceAccess.cancelPrompt", {"id": event["id"]})

    async def _gatt(self, event: dict[str, Any]) -> None:
        if event["type"] == "connection":
            self._begin()
        said = {"address": ADDRESS, "type": event["type"], "code": 0}
        await self._air.send("BluetoothEmulation.simulateGATTOperationResponse", said)

    async def _operation(self, event: dict[str, Any]) -> None:
        said = {"characteristicId": event["characteristicId"], "type": event["type"], "code": 0}
        if event["type"] == "read":
            said["data"] = base64.b64encode(self._says).decode()
            if self._is_answered:
                self._begin()
        else:
            await self._written(base64.b64decode(event["data"]))
        await self._air.send("BluetoothEmulation.simulateCharacteristicOperationResponse", said)

    def _begin(self) -> None:
        self._side, self._is_answered = ReaderSide(self._identity, time.monotonic()), False
        self._says = self._side.opening

    async def _written(self, data: bytes) -> None:
        assert self._side is not None
        self.heard += data
        try:
            got = self._side.receive(data, time.monotonic())
        except TapFailed:
            await self._air.send("BluetoothEmulation.simulateGATTDisconnection", {"address": ADDRESS})
            return
        if isinstance(got, Proven):
            self.proven.append(got)
            got, self._is_answered = self._side.answer(self.decide(got)), True
        self._says = got or b""
