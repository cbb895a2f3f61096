"""A door without wiring: the controller decides and journals, and nothing moves."""

from __future__ import annotations

import logging
from collections.abc import Callable

from latchwork.edge.door import Input

log = logging.getLogger(__name__)


class UnwiredDoor:
    """Stands in for a door whose outputs are not configured on this machine, and says so."""

    def __init__(self, door: int) -> None:
        log.warning("door %d has no wiring on this machine: it decides, but nothing will move", door)

    def strike(self, on: bool) -> None:
        """Nothing to move."""

    def leaf_is_open(self) -> bool:
        return False

    def listen(self, tell: Callable[[Input], None]) -> None:
        """Nothing to tell."""

    def close(self) -> None:
        """Nothing to let go of."""
