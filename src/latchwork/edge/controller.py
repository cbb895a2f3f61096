"""The controller: what is presented at a reader becomes a decision, an entry in the journal, and then an open door.

Order, always: clock, verify, gather, decide, journal, strike. Only fire and requests to exit act first (design §1).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, Literal, NamedTuple, TypeVar

from latchwork.edge.clock import Clock, Reading
from latchwork.edge.door import Input
from latchwork.edge.doors import LiveDoor
from latchwork.edge.drivers.door import DriverFactory
from latchwork.edge.journal import Journal, Marks, Use
from latchwork.edge.refusals import Refusals
from latchwork.edge.snapshot import gather
from latchwork.edge.store import Store
from latchwork.policy.decide import LEEWAY, decide
from latchwork.policy.model import (
    Attempt,
    BrokenPass,
    CardRead,
    Decision,
    Degraded,
    Direction,
    Evidence,
    Snapshot,
    VerifiedPass,
    VerifiedPhoneCode,
)
from latchwork.policy.reasons import Reason
from latchwork.wire.facts import (
    AccessDecided,
    AnyFact,
    ControllerStarted,
    RecordRejected,
    StrikeWithheld,
)
from latchwork.wire.link import Record
from latchwork.wire.pass_ import verify

log = logging.getLogger(__name__)

Done = TypeVar("Done")

COMMIT_SECONDS: Final = 0.25
"""How long a door waits for its journal."""


class Answer(NamedTuple):
    """What a reader is told; `at` is the controller's view of time, seconds since the epoch."""

    decision: Decision
    at: float


class Controller:
    """The doors of one controller. Event loop's thread only."""

    def __init__(self, store: Store, journal: Journal, clock: Clock, drivers: DriverFactory) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._drivers = drivers
        self._fire = False
        self._under_way: set[asyncio.Task[Any]] = set()
        self._refusals = Refusals(self._note)
        self.doors: dict[int, LiveDoor] = {}
        store.on_applied = self._take_over_doors
        store.on_unreadable = self._report_unreadable
        self._take_over_doors()

    def started(self, version: str) -> None:
        """Journals that the program started; a door works even if this cannot be written."""
        reading = self._clock.read()
        self._note(ControllerStarted(at=reading.at, version=version, clock_trusted=reading.trusted))

    async def close(self) -> None:
        """Ends the attempts under way, writes what was counted and locks every door."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        self._refusals.flush()
        for door in self.doors.values():
            door.close()
        self.doors.clear()

    async def present(
        self, door: int, direction: Direction, *, qr: str | None = None, card: int | None = None
    ) -> Answer:
        """Decides about what somebody shows at a reader. Never raises; what goes wrong is a refusal.

        Once begun, an attempt is carried to its end even if the caller goes away.
        """
        return await asyncio.shield(self._carry_out(self._present_safely(door, direction, qr, card)))

    def fire(self, on: bool) -> None:
        """The fire input: releases every door at once, and locks none while it lasts."""
        self._fire = on
        for door in self.doors.values():
            door.handle(Input.FIRE_ON if on else Input.FIRE_OFF)
        self._take_over_doors()

    def mark(self) -> Future[int]:
        """Remembers the clock and when the cloud last spoke, and forgets uses that have expired; once a minute."""
        reading = self._clock.read()
        return self._journal.mark(Marks(reading.base, self._clock.heard_base), min(reading.base, reading.at))

    # An attempt

    async def _present_safely(self, door: int, direction: Direction, qr: str | None, card: int | None) -> Answer:
        try:
            return await self._present_in_turn(door, direction, qr, card)
        except Exception as error:
            log.error("an attempt at door %d failed: %s", door, _where(error))
            return Answer(Decision(Reason.UNKNOWN_DOOR), self._clock.read().at)

    async def _present_in_turn(self, door: int, direction: Direction, qr: str | None, card: int | None) -> Answer:
        live = self.doors.get(door)
        if live is None:
            return await self._present(None, door, direction, qr, card)
        async with live.turn:
            live.last = answer = await self._present(live, door, direction, qr, card)
            return answer

    async def _present(
        self, live: LiveDoor | None, door: int, direction: Direction, qr: str | None, card: int | None
    ) -> Answer:
        reading = self._clock.read()
        attempt = Attempt(door, direction, self._evidence(qr, card), reading.at, reading.trusted)
        snapshot = gather(self._store, self._journal, attempt, self._clock.heard_at)
        decision = decide(snapshot, attempt)
        if live is None and decision.granted:
            decision = Decision(Reason.UNKNOWN_DOOR)
        if live is None or not decision.granted:
            await self._journal_refusal(attempt, decision, reading)
            return Answer(decision, reading.at)
        decision = await self._journal_grant(live, snapshot, attempt, decision, reading)
        if decision.granted:
            live.handle(Input.GRANTED)
        return Answer(decision, reading.at)

    def _evidence(self, qr: str | None, card: int | None) -> Evidence:
        if card is not None:
            return CardRead(card)
        if qr is None:
            return BrokenPass(Reason.PASS_UNREADABLE)
        try:
            return verify(qr, self._store.key)
        except sqlite3.Error as error:
            log.error("the keys cannot be read: %s", error)
            return BrokenPass(Reason.PASS_UNKNOWN_KEY)

    async def _journal_grant(
        self, live: LiveDoor, snapshot: Snapshot, attempt: Attempt, decision: Decision, reading: Reading
    ) -> Decision:
        """The decision once it is durable; within `COMMIT_SECONDS` if it is not, what the door's degraded mode says.

        A door that was taken away meanwhile does not open.
        """
        entry = self._journal.submit(_fact(attempt, decision), reading.base, _use(attempt))
        durable = await _is_durable(entry)
        if self.doors.get(attempt.access_point) is not live:
            return self._withhold(entry, attempt, Decision(Reason.UNKNOWN_DOOR))
        if not durable and (snapshot.door is None or snapshot.door.degraded is not Degraded.ADMIT):
            return self._withhold(entry, attempt, Decision(Reason.JOURNAL_UNAVAILABLE))
        if not durable:
            log.error("door %d opens without its journal, as it was told to", attempt.access_point)
        return decision

    def _withhold(self, entry: Future[int], attempt: Attempt, refused: Decision) -> Decision:
        """The refusal, after seeing to it that the journal tells it too, now or when it can."""
        entry.cancel()
        self._carry_out(self._tell_withheld(entry, attempt, refused))
        return refused

    async def _tell_withheld(self, entry: Future[int], attempt: Attempt, refused: Decision) -> None:
        """The door did not open on this grant; says so, and takes back the use of its pass if that was remembered."""
        late = asyncio.wrap_future(entry)
        await asyncio.wait({late})
        if _failed(late):
            self._note(_fact(attempt, refused))
            return
        reading = self._clock.read()
        withheld = StrikeWithheld(at=reading.at, door=attempt.access_point, number=late.result())
        self._journal.withhold(withheld, reading.base)

    def _carry_out(self, begun: Coroutine[None, None, Done]) -> asyncio.Task[Done]:
        """Something that goes on whoever stops waiting for it, and that `close` waits for."""
        task = asyncio.create_task(begun)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _journal_refusal(self, attempt: Attempt, decision: Decision, reading: Reading) -> None:
        fact = _fact(attempt, decision)
        if not self._refusals.is_repeated(fact):
            await _is_durable(self._journal.submit(fact, reading.base))

    # What is journalled after it happened

    def _note(self, fact: AnyFact) -> None:
        """Journals without waiting; a failure is logged by the journal."""
        self._journal.submit(fact, self._clock.read().base)

    def _report_unreadable(self, records: list[Record]) -> None:
        at = self._clock.read().at
        for record in records:
            log.error("record %s/%.40s of revision %d cannot be used", record.kind, record.key, record.revision)
            self._note(RecordRejected(at=at, kind=record.kind, key=record.key, revision=record.revision))

    # Doors

    def _take_over_doors(self) -> None:
        """The live doors become those of the store; a door that is gone is locked, but never while there is a fire."""
        records = self._store.doors()
        for door in self.doors.keys() - records.keys():
            if not self._fire:
                self.doors.pop(door).close()
        for door, record in records.items():
            if door in self.doors:
                self.doors[door].record = record
            else:
                self._add_door(door)

    def _add_door(self, door: int) -> None:
        record = self._store.doors()[door]
        try:
            live = LiveDoor(door, record, self._drivers(door), lambda: self._clock.read().at, self._note)
        except Exception:
            log.exception("door %d has no working driver and stays shut", door)
            return
        self.doors[door] = live
        if self._fire:
            live.handle(Input.FIRE_ON)


async def _is_durable(entry: Future[int]) -> bool:
    """True when the entry is committed within `COMMIT_SECONDS`; an entry still under way goes on."""
    waited = asyncio.wrap_future(entry)
    waited.add_done_callback(_failed)
    await asyncio.wait({waited}, timeout=COMMIT_SECONDS)
    return waited.done() and not _failed(waited)


def _failed(entry: asyncio.Future[int]) -> bool:
    return entry.cancelled() or entry.exception() is not None


def _fact(attempt: Attempt, decision: Decision) -> AccessDecided:
    shown = attempt.evidence
    visit = shown if isinstance(shown, VerifiedPass) else None
    return AccessDecided(
        at=attempt.at,
        door=attempt.access_point,
        direction=attempt.direction.value,
        reason=decision.reason.value,
        credential=_credential(shown),
        visitor=visit.visitor if visit else None,
        meeting=visit.meeting if visit else None,
        pass_id=visit.pass_id if visit else None,
        shared_suspected=decision.shared_suspected,
    )


def _credential(shown: Evidence) -> Literal["qr", "card", "phone"]:
    if isinstance(shown, CardRead):
        return "card"
    return "phone" if isinstance(shown, VerifiedPhoneCode) else "qr"


def _use(attempt: Attempt) -> Use | None:
    """What to remember of a grant; a pass need not be remembered once no door takes it any more."""
    shown = attempt.evidence
    if not isinstance(shown, VerifiedPass):
        return None
    return Use(shown.pass_id, attempt.access_point, attempt.direction, attempt.at, shown.expires_at + LEEWAY)


def _where(error: Exception) -> str:
    """The kind and place of an error, without its text, which may hold what was shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "nowhere" if trace is None else f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
    return f"{type(error).__name__} in {place}"
