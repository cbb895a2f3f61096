"""One attempt from its gathering to the strike.

Order, always: gather, decide, count, journal, strike. Between the first three nothing else runs, so that nobody guesses
twice at once; a grant is durable before the strike moves (design §1).
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from latchwork.edge.clock import Clock, Reading
from latchwork.edge.door import Input
from latchwork.edge.doors import LiveDoor
from latchwork.edge.journal import Journal, LocalMode, Marks
from latchwork.edge.modes import Modes
from latchwork.edge.refusals import Refusals
from latchwork.edge.slowdown import Slowdown
from latchwork.edge.snapshot import Gathered, gather_all
from latchwork.edge.store import Store
from latchwork.edge.tried import Tried
from latchwork.policy.decide import decide, leaves_it_shut
from latchwork.policy.model import Attempt, CardRead, Decision, Degraded, Mode, Snapshot
from latchwork.policy.reasons import Reason
from latchwork.wire.facts import AccessDecided, AnyFact, StrikeWithheld

log = logging.getLogger(__name__)

Done = TypeVar("Done")

COMMIT_SECONDS: Final = 0.25
"""How long a door waits for its journal."""
MODE_SECONDS: Final = 2.0
"""How long when a phone asks for another mode."""


class OutcomeUnknown(Exception):
    """The journal does not say in time whether it has made a mode durable; the mode holds as soon as it has."""


class Attempts:
    """Carries attempts to their end. Event loop's thread only."""

    def __init__(
        self, store: Store, journal: Journal, modes: Modes, clock: Clock, doors: Mapping[int, LiveDoor]
    ) -> None:
        self._store = store
        self._journal = journal
        self._modes = modes
        self._clock = clock
        self._doors = doors
        self._under_way: set[asyncio.Task[Any]] = set()
        self._refusals = Refusals(self.note)
        self._slowdown = Slowdown(journal.misses())

    def carry_out(self, begun: Coroutine[None, None, Done]) -> asyncio.Task[Done]:
        """Something that goes on whoever stops waiting for it, and that `close` waits for."""
        task = asyncio.create_task(begun)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def close(self) -> None:
        """Ends the attempts under way and writes what was counted."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        self._refusals.flush()

    def note(self, fact: AnyFact) -> None:
        """Journals without waiting; a failure is logged by the journal."""
        self._journal.submit(fact, self._clock.read().base)

    def forget_old(self, at: float) -> None:
        """Forgets wrong PINs that are forgiven."""
        self._slowdown.forget_before(at)

    async def decide(
        self,
        live: LiveDoor | None,
        attempt: Attempt,
        reading: Reading,
        command: int | None = None,
        deadline: float = math.inf,
    ) -> Decision:
        """Decides, journals and, when granted, releases the door or begins the mode that a phone asks for.

        Not after `deadline` on the monotonic clock. Raises OutcomeUnknown.
        """
        (snapshot, holder), decision = self._judge(attempt)
        if live is None and decision.granted:
            decision = Decision(Reason.READER_FAULT)
        tried = Tried(attempt, holder, command, snapshot.mode.mode is Mode.LOCKED)
        counted = self._count(tried, snapshot, decision)
        if live is None or not decision.granted:
            await self._journal_refusal(tried.fact(decision), reading, counted)
            return decision
        local = self._modes.asked(attempt.access_point, attempt.evidence)
        if local is not None:
            return await self._journal_mode(live, tried, decision, reading, local)
        decision = await self._journal_grant(live, snapshot, tried, decision, reading, deadline)
        if decision.granted:
            live.handle(Input.GRANTED)
        return decision

    def _judge(self, attempt: Attempt) -> tuple[Gathered, Decision]:
        """What is known, and what follows from it; from records that cannot be read, nothing but a refusal."""
        try:
            found = gather_all(self._store, self._journal, self._modes, attempt, self._clock.heard_at, self._slowdown)
        except sqlite3.Error as error:
            log.error("the records cannot be read: %s", error)
            return Gathered(Snapshot()), Decision(Reason.READER_FAULT)
        return found, decide(found.snapshot, attempt)

    # Guessing

    def _count(self, tried: Tried, snapshot: Snapshot, decision: Decision) -> Future[int] | None:
        """Counts what was wrong; a wrong PIN is also written down, and the answer waits for that."""
        attempt, card = tried.attempt, tried.card
        if not isinstance(attempt.evidence, CardRead):
            return None
        if card is None:
            if decision.reason is Reason.UNKNOWN_CREDENTIAL:
                self._slowdown.unknown_card((attempt.access_point, attempt.direction), attempt.at)
            return None
        if decision.reason is Reason.PIN_WRONG:
            return self._journal.remember_misses(card, self._slowdown.wrong_pin(card, attempt.at))
        asked = snapshot.door is not None and snapshot.door.needs_pin
        if decision.granted and asked and self._slowdown.right_pin(card):
            self._journal.forget_misses(card)
        return None

    # Journalling

    async def _journal_refusal(self, fact: AccessDecided, reading: Reading, counted: Future[int] | None) -> None:
        if not self._refusals.is_repeated(fact):
            await is_durable(self._journal.submit(fact, reading.base))
        if counted is not None:
            await is_durable(counted)

    async def _journal_grant(
        self,
        live: LiveDoor,
        snapshot: Snapshot,
        tried: Tried,
        decision: Decision,
        reading: Reading,
        deadline: float,
    ) -> Decision:
        """The decision once it is durable; if it is not in time, what the door's degraded mode says.

        What has changed meanwhile counts: a door taken away or in lockdown does not open, nor does one too late.
        """
        entry = self._journal.submit(tried.fact(decision), reading.base, tried.use())
        durable = await is_durable(entry)
        overtaken = self._overtaken(live, tried.attempt)
        if overtaken is not None:
            return self._withhold(entry, tried, overtaken)
        admits = snapshot.door is not None and snapshot.door.degraded is Degraded.ADMIT
        if not (durable or admits) or self._clock.elapsed() >= deadline:
            return self._withhold(entry, tried, Decision(Reason.JOURNAL_UNAVAILABLE))
        if not durable:
            log.error("door %d opens without its journal, as it was told to", tried.attempt.access_point)
        return decision

    async def _journal_mode(
        self, live: LiveDoor, tried: Tried, decision: Decision, reading: Reading, local: LocalMode
    ) -> Decision:
        """The decision once the mode is durable with its fact, from which the cloud takes it over.

        So it is never withheld: whoever is refused has changed nothing, whatever crashes or comes late. Before it is
        written the journal shows that it keeps pace; should it stall in that very moment, OutcomeUnknown is raised.
        """
        if not await is_durable(self._journal.mark(Marks(reading.base, None), 0), MODE_SECONDS):
            return self._refuse(tried, Decision(Reason.JOURNAL_UNAVAILABLE))
        overtaken = self._overtaken(live, tried.attempt)
        if overtaken is not None:
            return self._refuse(tried, overtaken)
        entry = self._journal.submit(tried.fact(decision), reading.base, local=local)
        begun = self.carry_out(self._begin_mode(entry, local))
        await asyncio.wait({begun}, timeout=MODE_SECONDS)
        if not begun.done() and not entry.cancel():
            raise OutcomeUnknown
        if not await begun:
            return self._refuse(tried, Decision(Reason.JOURNAL_UNAVAILABLE))
        return self._overtaken(live, tried.attempt) or decision

    async def _begin_mode(self, entry: Future[int], local: LocalMode) -> bool:
        """Whether it became durable, however late; then it holds."""
        if not await is_durable(entry, None):
            return False
        self._modes.begin(local, entry.result())
        return True

    def _overtaken(self, live: LiveDoor, attempt: Attempt) -> Decision | None:
        """The refusal that has become due since the decision; None: it stands."""
        if self._doors.get(attempt.access_point) is not live:
            return Decision(Reason.UNKNOWN_DOOR)
        if live.mode is Mode.LOCKED and not leaves_it_shut(attempt.evidence):
            return Decision(Reason.LOCKDOWN)
        return None

    def _refuse(self, tried: Tried, refused: Decision) -> Decision:
        """The refusal, which the journal tells when it can."""
        self.note(tried.fact(refused))
        return refused

    def _withhold(self, entry: Future[int], tried: Tried, refused: Decision) -> Decision:
        """The refusal, after seeing to it that the journal tells it too, now or when it can."""
        entry.cancel()
        self.carry_out(self._tell_withheld(entry, tried, refused))
        return refused

    async def _tell_withheld(self, entry: Future[int], tried: Tried, refused: Decision) -> None:
        """The door did not open on this grant; says so, and takes back the use of its pass if that was remembered."""
        late = asyncio.wrap_future(entry)
        await asyncio.wait({late})
        if _failed(late):
            self.note(tried.fact(refused))
            return
        reading = self._clock.read()
        withheld = StrikeWithheld(at=reading.at, door=tried.attempt.access_point, number=late.result())
        self._journal.withhold(withheld, reading.base)


async def is_durable(entry: Future[int], seconds: float | None = COMMIT_SECONDS) -> bool:
    """True when the entry is committed in time (None: whenever it is); an entry still under way goes on."""
    waited = asyncio.wrap_future(entry)
    waited.add_done_callback(_failed)
    await asyncio.wait({waited}, timeout=seconds)
    return waited.done() and not _failed(waited)


def _failed(entry: asyncio.Future[int]) -> bool:
    return entry.cancelled() or entry.exception() is not None
