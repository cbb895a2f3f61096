"""Guessing takes time: many unknown cards slow their reader, wrong PINs slow their card.

Rules:
1. Ten unknown cards at a reader within a minute slow it for FIRST_PAUSE seconds, and never for longer: it is the reader
   of everybody, and ten cards are soon shown. This is forgotten by a restart.
2. The fifth wrong PIN behind a card slows the card for FIRST_PAUSE, each further one for twice as long, up to
   LONGEST_PAUSE, at every door of the controller that asks for a PIN. The right PIN ends it, or a day without a wrong
   one. This is in the journal's file before the reader answers: cutting the power makes nobody guess faster.
3. While something is slowed it is not looked at, so being refused for that counts as nothing.
4. An instant that lies further ahead than the longest pause was written by a clock that was wrong; it slows nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from latchwork.policy.model import Direction

UNKNOWN_CARDS: Final = 10
WITHIN: Final = 60.0
"""Seconds."""
WRONG_PINS: Final = 5
FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 900.0
FORGOTTEN_AFTER: Final = 86400.0
"""Seconds without a wrong PIN."""

Reader = tuple[int, Direction]


@dataclass(frozen=True, slots=True)
class Misses:
    """Wrong PINs behind one card, since the right one."""

    count: int
    last_at: float

    @property
    def slowed_until(self) -> float:
        return self.last_at + (_pause(self.count - WRONG_PINS) if self.count >= WRONG_PINS else 0)


@dataclass(slots=True)
class _AtReader:
    seen_at: deque[float] = field(default_factory=lambda: deque(maxlen=UNKNOWN_CARDS))
    slowed_until: float = 0.0


class Slowdown:
    """What is slowed until when. All instants are those of the controller's clock."""

    def __init__(self, misses: dict[str, Misses]) -> None:
        self._misses = misses
        self._readers: dict[Reader, _AtReader] = {}

    def until(self, reader: Reader, card: str | None, at: float) -> float | None:
        """When this reader will look again at this card, or None: at once.

        `card`: its record's key; None where no PIN is asked for, or nobody knows the card.
        """
        known, misses = self._readers.get(reader), self._misses.get(card) if card else None
        until = max(known.slowed_until if known else 0.0, misses.slowed_until if misses else 0.0)
        return until if 0 < until - at <= LONGEST_PAUSE else None

    def unknown_card(self, reader: Reader, at: float) -> None:
        """Somebody showed a card that nobody knows."""
        known = self._readers.setdefault(reader, _AtReader())
        known.seen_at.append(at)
        if len(known.seen_at) < UNKNOWN_CARDS or not 0 <= at - known.seen_at[0] <= WITHIN:
            return
        known.slowed_until = at + FIRST_PAUSE
        known.seen_at.clear()

    def wrong_pin(self, card: str, at: float) -> Misses:
        """What is to be remembered of this card now."""
        before = self._misses.get(card)
        recent = before is not None and abs(at - before.last_at) < FORGOTTEN_AFTER
        misses = Misses(before.count + 1 if before is not None and recent else 1, at)
        self._misses[card] = misses
        return misses

    def right_pin(self, card: str) -> bool:
        """True when there is something to forget."""
        return self._misses.pop(card, None) is not None

    def forget_before(self, at: float) -> None:
        """Forgets the cards whose last wrong PIN was a day before."""
        for card in [card for card, misses in self._misses.items() if at - misses.last_at >= FORGOTTEN_AFTER]:
            del self._misses[card]


def _pause(times: int) -> float:
    """Seconds: doubling from the first to the longest."""
    return min(FIRST_PAUSE * 2.0 ** min(times, 10), LONGEST_PAUSE)
