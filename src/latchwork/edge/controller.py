"""The controller: what is presented at a reader, or asked for from afar, becomes a decision and then an open door.

Order, always: clock, verify, and then what `attempts.py` says. Only fire and requests to exit act first (design §1).
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, NamedTuple

from latchwork.edge.attempts import Attempts, OutcomeUnknown
from latchwork.edge.clock import Clock
from latchwork.edge.commands import Commands
from latchwork.edge.door import Input
from latchwork.edge.doors import LiveDoor
from latchwork.edge.drivers.door import DriverFactory
from latchwork.edge.journal import Journal, Marks
from latchwork.edge.modes import Modes, effective, is_running_out
from latchwork.edge.store import Store
from latchwork.policy.model import Attempt, BrokenPass, CardRead, Decision, Direction, Evidence, PhoneProof
from latchwork.policy.reasons import Reason
from latchwork.wire.facts import ControllerStarted, RecordRejected
from latchwork.wire.link import Command, Record
from latchwork.wire.pass_ import verify

log = logging.getLogger(__name__)

_MODE_SECONDS: Final = 1.0
"""How often doors whose mode runs out are looked at; the clock may have been set meanwhile."""


class Answer(NamedTuple):
    """What a reader is told; `at` is the controller's view of time, seconds since the epoch."""

    decision: Decision
    at: float


class Shown(NamedTuple):
    """What somebody shows at a reader: the text of a code, or a card's number and the PIN entered behind it, if any, or
    a phone that has proved itself."""

    qr: str | None = None
    card: int | None = None
    pin: str | None = None
    phone: PhoneProof | None = None


class Controller:
    """The doors of one controller. Event loop's thread only."""

    def __init__(self, store: Store, journal: Journal, clock: Clock, drivers: DriverFactory) -> None:
        self._store = store
        self._journal = journal
        self._clock = clock
        self._drivers = drivers
        self._fire = False
        self._next_look: asyncio.TimerHandle | None = None
        self.doors: dict[int, LiveDoor] = {}
        self._modes = Modes(store, journal)
        self._modes.on_begun = self.follow_modes
        self._attempts = Attempts(store, journal, self._modes, clock, self.doors)
        self._commands = Commands(self._attempts, journal, clock, self.doors)
        self.on_records: Callable[[], None] = lambda: None
        """Called when the records have changed and the doors are what they say."""
        store.on_applied = self._take_over_doors
        store.on_unreadable = self._report_unreadable
        self._take_over_doors()

    def started(self, version: str) -> None:
        """Journals that the program started; a door works even if this cannot be written."""
        reading = self._clock.read()
        self._attempts.note(ControllerStarted(at=reading.at, version=version, clock_trusted=reading.trusted))

    async def close(self) -> None:
        """Ends the attempts under way, writes what was counted and locks every door."""
        self._commands.close()
        await self._attempts.close()
        self._stop_looking()
        for door in self.doors.values():
            door.close()
        self.doors.clear()

    async def present(
        self,
        door: int,
        direction: Direction,
        *,
        qr: str | None = None,
        card: int | None = None,
        pin: str | None = None,
        phone: PhoneProof | None = None,
    ) -> Answer:
        """Decides about what somebody shows at a reader; what goes wrong is a refusal.

        Raises nothing but OutcomeUnknown, where a phone asks for another mode of the door.
        Once begun, an attempt is carried to its end even if the caller goes away.
        """
        began = self._present_safely(door, direction, Shown(qr, card, pin, phone))
        return await asyncio.shield(self._attempts.carry_out(began))

    async def obey(self, command: Command, arrived: float) -> str:
        """Carries out a command of the cloud that arrived at this instant of the monotonic clock (`Clock.elapsed`).

        Answers what became of it, as `wire.link.Outcome` says it. Never raises.
        """
        return await asyncio.shield(self._attempts.carry_out(self._obey_safely(command, arrived)))

    def fire(self, on: bool) -> None:
        """The fire input: releases every door at once, and locks none while it lasts."""
        self._fire = on
        for door in self.doors.values():
            door.handle(Input.FIRE_ON if on else Input.FIRE_OFF)
        self._take_over_doors()

    def hear(self, ticked: bool) -> None:
        """The cloud has taken facts, or says that time goes on: local modes that it has taken over end."""
        if self._give_back_modes(ticked):
            self.follow_modes()

    def mark(self) -> Future[int]:
        """Remembers the clock and when the cloud last spoke, and forgets what is over; once a minute."""
        reading = self._clock.read()
        self._attempts.forget_old(reading.at)
        return self._journal.mark(Marks(reading.base, self._clock.heard_base), min(reading.base, reading.at))

    def follow_modes(self) -> None:
        """Brings every door into the mode that holds now; when the records, or the clock, have changed."""
        self._stop_looking()
        for door, live in self.doors.items():
            self._follow_mode(door, live)
        reading = self._clock.read()
        if any(is_running_out(live.set_mode, reading, self._cut_off_at(live)) for live in self.doors.values()):
            self._next_look = asyncio.get_running_loop().call_later(_MODE_SECONDS, self.follow_modes)

    # Attempts and commands

    async def _present_safely(self, door: int, direction: Direction, shown: Shown) -> Answer:
        try:
            return await self._present_in_turn(door, direction, shown)
        except OutcomeUnknown:
            raise
        except Exception as error:
            log.error("an attempt at door %d failed: %s", door, _where(error))
            return Answer(Decision(Reason.READER_FAULT), self._clock.read().at)

    async def _present_in_turn(self, door: int, direction: Direction, shown: Shown) -> Answer:
        live = self.doors.get(door)
        if live is None:
            return await self._present(None, door, direction, shown)
        async with live.turn:
            live.last = answer = await self._present(live, door, direction, shown)
            return answer

    async def _present(self, live: LiveDoor | None, door: int, direction: Direction, shown: Shown) -> Answer:
        if live is not None:
            self._follow_mode(door, live)
        reading = self._clock.read()
        if shown.card is not None and (taken := await self._commands.take_card(door, shown.card, reading)):
            return Answer(Decision(taken), reading.at)
        attempt = Attempt(door, direction, self._evidence(shown), reading.at, reading.trusted)
        return Answer(await self._attempts.decide(live, attempt, reading), reading.at)

    def _evidence(self, shown: Shown) -> Evidence:
        if shown.phone is not None:
            return shown.phone
        if shown.card is not None:
            return CardRead(shown.card, shown.pin)
        if shown.qr is None:
            return BrokenPass(Reason.PASS_UNREADABLE)
        try:
            return verify(shown.qr, self._store.key)
        except sqlite3.Error as error:
            log.error("the keys cannot be read: %s", error)
            return BrokenPass(Reason.READER_FAULT)

    async def _obey_safely(self, command: Command, arrived: float) -> str:
        try:
            return await self._commands.obey(command, arrived)
        except Exception as error:
            log.error("command %d failed: %s", command.id, _where(error))
            return Reason.READER_FAULT.value

    def _report_unreadable(self, records: list[Record]) -> None:
        at = self._clock.read().at
        for record in records:
            log.error("record %s/%.40s of revision %d cannot be used", record.kind, record.key, record.revision)
            self._attempts.note(RecordRejected(at=at, kind=record.kind, key=record.key, revision=record.revision))

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
        self._give_back_modes(ticked=False)
        self.follow_modes()
        self.on_records()

    def _add_door(self, door: int) -> None:
        record = self._store.doors()[door]
        try:
            live = LiveDoor(door, record, self._drivers(door), lambda: self._clock.read().at, self._attempts.note)
        except Exception:
            log.exception("door %d has no working driver and stays shut", door)
            return
        self.doors[door] = live
        if self._fire:
            live.handle(Input.FIRE_ON)

    def _give_back_modes(self, ticked: bool) -> bool:
        """Whether some ended."""
        try:
            return self._modes.give_back(ticked)
        except sqlite3.Error as error:
            log.error("the modes cannot be read: %s", error)
            return False

    def _follow_mode(self, door: int, live: LiveDoor) -> None:
        """A mode that the store cannot tell now stays what it was."""
        try:
            live.set_mode = self._modes.of(door)
        except sqlite3.Error as error:
            log.error("the mode of door %d cannot be read: %s", door, error)
        reading = self._clock.read()
        live.follow(effective(live.set_mode, reading, self._cut_off_at(live)))

    def _cut_off_at(self, live: LiveDoor) -> float | None:
        """When this door has been offline for as long as it may, should it hear nothing more; None: for ever."""
        limit, heard_at = live.record.offline_limit, self._clock.heard_at
        if limit is None:
            return None
        return -math.inf if heard_at is None else heard_at + limit

    def _stop_looking(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None


def _where(error: Exception) -> str:
    """The kind and place of an error, without its text, which may hold what was shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "nowhere" if trace is None else f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
    return f"{type(error).__name__} in {place}"
