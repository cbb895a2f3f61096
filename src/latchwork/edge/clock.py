"""Controller time (design §9): a monotonic clock plus what a trusted source said.

Rules:
1. The link's time, once it has spoken since the program started, is the source; until then a synchronised system clock.
   Until one of them has spoken the clock is untrusted: it runs on from the floor, which is too early, never too late.
2. The base clock never falls below the floor: what the journal remembers, and every reading handed out since. A source
   that says less is believed once it has caught up; until then time stands still, and an expired pass stays expired.
3. A message of the link is never early, only late, by however long it was under way. So of the last few the one that
   says the most is the most recent truth, and a slow network does not set the clock back.
4. The virtual building's `advance` is added after all this. It moves what the doors see (`at`), never the base clock.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_SAMPLES: Final = 8
_LONGEST_HALF: Final = 1.0
"""A slower answer says more about the cloud's load than about the way back."""
_END_OF_TIME: Final = 2**34
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the clock: `base` is remembered as the floor, `at` is what doors and facts go by."""

    base: float
    at: float
    trusted: bool


def monotonic() -> float:
    """Seconds that also count while the machine sleeps, where the system offers such a clock."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)


class Clock:
    """Controller time. Not for several threads."""

    def __init__(
        self,
        floor: float,
        heard_at: float | None = None,
        *,
        system: Callable[[], float | None] = lambda: None,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        """`system` answers the system clock's time when it is synchronised, else None."""
        self._floor = floor
        self._system = system
        self._elapsed = elapsed
        self._untrusted_offset = floor - elapsed()
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._advance = 0.0
        self.heard_base: float | None = heard_at
        """The base clock when the cloud last spoke; None: never."""
        self.heard_at: float | None = heard_at
        """The same instant as the doors saw it."""

    def hear(self, cloud_time: float, round_trip: float) -> None:
        """The cloud says what time it is; `round_trip` (seconds): how long a question and its answer take.

        What no clock has ever shown (NaN, the year 3000) is not heard.
        """
        if not 0 <= cloud_time < _END_OF_TIME:
            return
        self._samples.append(cloud_time + min(round_trip / 2, _LONGEST_HALF) - self._elapsed())
        reading = self.read()
        self.heard_base, self.heard_at = reading.base, reading.at

    def read(self) -> Reading:
        """The time now; never below an earlier reading's base."""
        known = self._known()
        base = self._elapsed() + self._untrusted_offset if known is None else known
        self._floor = max(self._floor, base)
        return Reading(self._floor, self._floor + self._advance, known is not None)

    @property
    def is_own(self) -> bool:
        """Whether the machine knows the time without the cloud."""
        return self._system() is not None

    def elapsed(self) -> float:
        """Seconds on the monotonic clock, which nobody sets."""
        return self._elapsed()

    def advance(self, seconds: float) -> float:
        """Moves the virtual building's time on (or back, when negative); the whole advance so far."""
        self._advance += seconds
        return self._advance

    def _known(self) -> float | None:
        return self._elapsed() + max(self._samples) if self._samples else self._system()


def synchronised_system_clock() -> float | None:
    """The system clock's time when the kernel says that it is synchronised (Linux, adjtimex(2)); else None."""
    return time.time() if _is_synchronised() else None


def _is_synchronised() -> bool:
    if _adjtimex is None:
        return False
    state = _Timex()
    answer = _adjtimex(ctypes.byref(state))
    return answer not in (-1, _TIME_ERROR) and not state.status & _STA_UNSYNC


class _Timex(ctypes.Structure):
    """struct timex as far as we read it, with room for the rest; modes 0 asks and sets nothing."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def _find_adjtimex() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "adjtimex", None)


_adjtimex: Final = _find_adjtimex()
