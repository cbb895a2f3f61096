"""What a phone needs of a radio: to hear readers, to connect to one, and to carry an exchange (`wire.tap`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from latchwork.wire.advert import Advert, metres
from latchwork.wire.tap import EXCHANGE_SECONDS, RSSI_UNKNOWN, Answer, PhoneSide


class RadioFailed(Exception):
    """The radio could not do what was asked; the text says why, for people."""


class RadioOff(RadioFailed):
    """There is no radio, or it may not be used."""


class LinkLost(RadioFailed):
    """The reader is out of reach, or has hung up."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A reader that can be heard."""

    advert: Advert
    rssi: int
    """dBm; `wire.tap.RSSI_UNKNOWN`: the radio cannot tell."""
    address: str
    """Where to connect to, as the radio that heard it understands it."""

    @property
    def metres(self) -> float:
        """How far away it is, roughly; 0 where nobody can tell."""
        return 0.0 if self.rssi == RSSI_UNKNOWN else metres(self.rssi, self.advert.power)


class Link(Protocol):
    """A connection to a reader."""

    async def receive(self) -> bytes:
        """What the reader says next, whole messages or pieces of them; raises LinkLost."""

    async def send(self, data: bytes) -> None:
        """Says this to the reader; raises LinkLost."""

    async def close(self) -> None:
        """Hangs up, whatever has happened before."""


class Radio(Protocol):
    async def scan(self, seconds: float, enough: Callable[[Heard], bool] = ...) -> list[Heard]:
        """The readers heard meanwhile, each once and the nearest first; ends at once when one is `enough`.

        Raises RadioOff.
        """

    async def connect(self, heard: Heard) -> Link:
        """Connects to a reader; raises RadioOff or LinkLost."""

    async def close(self) -> None:
        """Lets go of the radio."""


async def exchange(link: Link, phone: PhoneSide) -> Answer:
    """What the reader at the other end decides. Raises TapFailed, LinkLost, or TimeoutError after EXCHANGE_SECONDS."""
    async with asyncio.timeout(EXCHANGE_SECONDS):
        while True:
            said = phone.receive(await link.receive())
            if isinstance(said, Answer):
                return said
            if said is not None:
                await link.send(said)
