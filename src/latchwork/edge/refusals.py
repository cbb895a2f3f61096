"""Identical refusals at a reader count as one fact per second, so that nobody can fill the journal by insisting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from latchwork.wire.facts import AccessDecided

WINDOW: Final = 1.0
"""Seconds."""


@dataclass(slots=True)
class _Repeated:
    latest: AccessDecided
    count: int = 0


class Refusals:
    """Which refusals were journalled less than a second ago, and how often they were repeated since."""

    def __init__(self, write: Callable[[AccessDecided], None]) -> None:
        self._write = write
        self._repeated: dict[AccessDecided, _Repeated] = {}
        self._timers: dict[AccessDecided, asyncio.TimerHandle] = {}

    def is_repeated(self, fact: AccessDecided) -> bool:
        """True when this refusal was counted and will be written at the end of its second; False: write it now."""
        kind = msgspec.structs.replace(fact, at=0.0)
        repeated = self._repeated.get(kind)
        if repeated is not None:
            repeated.count += 1
            repeated.latest = fact
            return True
        self._open(kind, fact)
        return False

    def flush(self) -> None:
        """Writes what was counted; before the program ends."""
        for timer in self._timers.values():
            timer.cancel()
        for repeated in self._repeated.values():
            self._write_counted(repeated)
        self._repeated.clear()
        self._timers.clear()

    def _open(self, kind: AccessDecided, latest: AccessDecided) -> None:
        self._repeated[kind] = _Repeated(latest)
        self._timers[kind] = asyncio.get_running_loop().call_later(WINDOW, self._over, kind)

    def _over(self, kind: AccessDecided) -> None:
        del self._timers[kind]
        repeated = self._repeated.pop(kind)
        if repeated.count:
            self._write_counted(repeated)
            self._open(kind, repeated.latest)

    def _write_counted(self, repeated: _Repeated) -> None:
        if repeated.count:
            self._write(msgspec.structs.replace(repeated.latest, count=repeated.count))
