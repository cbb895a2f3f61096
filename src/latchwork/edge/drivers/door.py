"""What a door's wiring must offer to the controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from latchwork.edge.door import Input


class DoorDriver(Protocol):
    """The strike, contact and exit button of one door. Everything is called on the event loop's thread."""

    def strike(self, on: bool) -> None:
        """Releases (on) or locks (off) the door; must not block."""

    def leaf_is_open(self) -> bool:
        """What the contact says now; False where there is no contact."""

    def listen(self, tell: Callable[[Input], None]) -> None:
        """From now on `tell` is called with OPENED, CLOSED and REQUEST_TO_EXIT as they happen."""

    def close(self) -> None:
        """Lets go of the wiring; the strike was switched off before."""


DriverFactory = Callable[[int], DoorDriver]
"""The wiring of the access point with this id."""
