"""What the cloud asks for now or never: let somebody in from afar, or wait for a card to enrol.

Rules:
1. A command's time to live is counted on the monotonic clock from its arrival, and ends when the cloud says, as far as
   the controller knows what time it is (docs/decisions/0006). Once it is over nothing opens.
2. A remote unlock is an attempt like any other: decided here, on what is known here, and journalled before the strike.
3. While a door waits for a card, the next card shown there is reported by its number and opens nothing, whoever it
   belongs to. A later command for the same door takes the earlier one's place.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from latchwork.edge.attempts import Attempts, is_durable
from latchwork.edge.clock import Clock, Reading
from latchwork.edge.doors import LiveDoor
from latchwork.edge.journal import Journal
from latchwork.edge.records import LARGEST
from latchwork.policy.model import Attempt, Direction, RemoteUnlock
from latchwork.policy.reasons import Reason
from latchwork.wire.facts import CardPresented
from latchwork.wire.link import Command

log = logging.getLogger(__name__)

LATE: Final = "command_late"
LONGEST_WAIT: Final = 3600.0
"""Seconds that a reader waits for a card at most."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    command: int
    outcome: asyncio.Future[str]

    def end(self, outcome: str) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Commands:
    """Carries out commands at live doors. Event loop's thread only."""

    def __init__(self, attempts: Attempts, journal: Journal, clock: Clock, doors: Mapping[int, LiveDoor]) -> None:
        self._attempts = attempts
        self._journal = journal
        self._clock = clock
        self._doors = doors
        self._waiting: dict[int, _Waiting] = {}

    async def obey(self, command: Command, arrived: float) -> str:
        """What became of it, as `wire.link.Outcome` says it; `arrived` on the monotonic clock."""
        seconds = self._seconds_left(command)
        if not 0 < seconds < math.inf:
            return LATE
        deadline = arrived + seconds
        if command.verb == "enrol_card":
            return await self._wait_for_card(command, deadline)
        live = self._doors.get(command.door)
        if live is None:
            return await self._unlock(None, command, deadline)
        async with live.turn:
            return await self._unlock(live, command, deadline)

    async def take_card(self, door: int, number: int, reading: Reading) -> Reason | None:
        """What a reader that waited for a card says of it; None when it did not wait, and is to decide."""
        waiting = self._waiting.pop(door, None) if 0 <= number <= LARGEST else None
        if waiting is None:
            return None
        fact = CardPresented(at=reading.at, door=door, command=waiting.command, number=number)
        durable = await is_durable(self._journal.submit(fact, reading.base))
        waiting.end((Reason.GRANTED if durable else Reason.JOURNAL_UNAVAILABLE).value)
        return Reason.READ_FOR_ASSIGNMENT if durable else Reason.JOURNAL_UNAVAILABLE

    def close(self) -> None:
        """No reader waits any more."""
        for waiting in self._waiting.values():
            waiting.end(LATE)

    def _seconds_left(self, command: Command) -> float:
        reading = self._clock.read()
        if command.until is None or not reading.trusted:
            return command.seconds
        return min(command.until - reading.base, command.seconds)

    async def _unlock(self, live: LiveDoor | None, command: Command, deadline: float) -> str:
        if self._clock.elapsed() >= deadline:
            return LATE
        reading = self._clock.read()
        shown = RemoteUnlock(command.user)
        attempt = Attempt(command.door, Direction.ENTRY, shown, reading.at, reading.trusted)
        decision = await self._attempts.decide(live, attempt, reading, command.id, deadline)
        late = decision.reason is Reason.JOURNAL_UNAVAILABLE and self._clock.elapsed() >= deadline
        return LATE if late else decision.reason.value

    async def _wait_for_card(self, command: Command, deadline: float) -> str:
        if command.door not in self._doors:
            return Reason.UNKNOWN_DOOR.value
        waiting = _Waiting(command.id, asyncio.get_running_loop().create_future())
        earlier = self._waiting.pop(command.door, None)
        if earlier is not None:
            earlier.end(LATE)
        self._waiting[command.door] = waiting
        seconds = min(deadline - self._clock.elapsed(), LONGEST_WAIT)
        await asyncio.wait({waiting.outcome}, timeout=seconds)
        if self._waiting.get(command.door) is waiting:
            del self._waiting[command.door]
            waiting.end(LATE)
        return await waiting.outcome  # or a card is just being journalled
