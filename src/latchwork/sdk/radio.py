"""What the Access SDK asks of Bluetooth: to hear readers, and to exchange bytes with one of them.

`latchwork.sdk.bluetooth` does it with a Linux adapter or a virtual radio; an app may bring its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from latchwork.wire.advert import Advert, metres


class RadioOff(Exception):
    """There is no Bluetooth here, or it is switched off."""


class LinkLost(Exception):
    """The connection to a reader ended, or never began."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A reader within reach of the radio."""

    advert: Advert
    rssi: int
    """dBm."""
    address: str

    @property
    def metres(self) -> float:
        """How far away it is, roughly."""
        return metres(self.rssi, self.advert.power)


class Link(Protocol):
    """A connection to one reader. Every method raises LinkLost when it is gone."""

    async def receive(self) -> bytes:
        """The next bytes that the reader sends: a message, or a part of one."""
        ...

    async def send(self, data: bytes) -> None: ...

    async def close(self) -> None:
        """Ends the connection; never raises."""
        ...


class Radio(Protocol):
    """Raises RadioOff where there is no Bluetooth."""

    async def scan(self, seconds: float) -> list[Heard]:
        """The readers that advertise meanwhile, each once, by its latest strength."""
        ...

    async def connect(self, heard: Heard) -> Link:
        """Raises LinkLost when it does not answer."""
        ...
