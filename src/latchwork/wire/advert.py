"""How a reader makes itself known over Bluetooth: its GATT service, and what it advertises.

PKOC's service and two characteristics. A phone writes to one and is notified by the other; a phone that cannot be
notified reads the answer from it after each write, and the opening before the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from latchwork.wire.certificate import reader_id

SERVICE: Final = 0xFFF0
WRITE: Final = "fe278a85-89ae-191f-5dde-841202693835"
NOTIFY: Final = "e5b1b3b5-3cca-3f76-cd86-a884cc239692"
"""Notifies, and can be read."""
BYTES: Final = 18
POWER: Final = -59
"""dBm at which most phones hear most adapters from one metre away."""


@dataclass(frozen=True, slots=True)
class Advert:
    """The service data that a reader advertises: whose it is and which door it is at, before anybody connects."""

    organisation: int
    access_point: int
    is_exit: bool
    power: int = POWER
    """dBm at which a phone one metre away hears it."""

    @property
    def reader(self) -> bytes:
        """The id with which it begins an exchange."""
        return reader_id(self.access_point, self.is_exit)

    def encode(self) -> bytes:
        """18 bytes: organisation and access point as 8 bytes each, big-endian; 0 entry, 1 exit; the power, signed."""
        ids = self.organisation.to_bytes(8, "big") + self.access_point.to_bytes(8, "big")
        return ids + bytes((self.is_exit,)) + self.power.to_bytes(1, "big", signed=True)


def read(data: bytes) -> Advert | None:
    """What service data says; None when it is not a reader's of ours."""
    if len(data) != BYTES or data[16] > 1:
        return None
    power = int.from_bytes(data[17:], "big", signed=True)
    return Advert(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:16], "big"), data[16] == 1, power)


def metres(rssi: int, power: int) -> float:
    """How far away somebody is who is heard with `rssi` dBm, in free air (a path loss exponent of 2)."""
    return float(10 ** ((power - rssi) / 20))
