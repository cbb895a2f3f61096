"""One live door: its state machine, its wiring, its two timers, and what it tells the journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from latchwork.edge.door import STRIKE_IS_ON, DoorMachine, Effect, Input, State
from latchwork.edge.drivers.door import DoorDriver
from latchwork.edge.known import BY_ATTEMPT
from latchwork.edge.modes import INPUTS
from latchwork.policy.model import Decision, Mode
from latchwork.wire.facts import DoorChanged
from latchwork.wire.state import DoorRecord

log = logging.getLogger(__name__)


class LiveDoor:
    """Carries out what the machine says. Event loop's thread only."""

    def __init__(
        self,
        door: int,
        record: DoorRecord,
        driver: DoorDriver,
        now: Callable[[], float],
        report: Callable[[DoorChanged], None],
    ) -> None:
        self.record = record
        self.last: tuple[Decision, float] | None = None
        """The last decision here and when it was made."""
        self.set_mode = BY_ATTEMPT
        """What somebody set, until when."""
        self.mode = Mode.ACCESS_CONTROL
        """What of it holds now."""
        self.turn = asyncio.Lock()
        """Held by the one attempt that is being decided."""
        self._machine = DoorMachine(door)
        self._driver = driver
        self._now = now
        self._report = report
        self._strike_timer: asyncio.TimerHandle | None = None
        self._held_timer: asyncio.TimerHandle | None = None
        for effect in self._machine.begin(driver.leaf_is_open()):
            self._do(effect)
        driver.listen(self.handle)

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def strike_is_on(self) -> bool:
        return self._machine.state in STRIKE_IS_ON

    def handle(self, given: Input) -> None:
        """Something happened at this door; acts first and reports afterwards. A failing output stops nothing else."""
        for effect in self._machine.handle(given, self._now()):
            if isinstance(effect, Effect):
                self._do(effect)
            else:
                self._report(effect)

    def follow(self, mode: Mode) -> None:
        """From now on this mode holds."""
        if mode is not self.mode:
            self.mode = mode
            self.handle(INPUTS[mode])

    def close(self) -> None:
        """Locks the door, unless there is a fire, and lets go of its wiring."""
        self._stop_timers()
        if self.state not in (State.FIRE, State.FIRE_OPEN):
            self._do(Effect.STRIKE_OFF)
        self._driver.close()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Effect.STRIKE_ON | Effect.STRIKE_OFF:
                self._strike(effect is Effect.STRIKE_ON)
            case Effect.START_STRIKE | Effect.STOP_STRIKE:
                seconds = self.record.strike_seconds if effect is Effect.START_STRIKE else None
                self._strike_timer = self._timer(self._strike_timer, seconds, Input.STRIKE_OVER)
            case Effect.START_HELD | Effect.STOP_HELD:
                seconds = self.record.held_seconds if effect is Effect.START_HELD else None
                self._held_timer = self._timer(self._held_timer, seconds, Input.HELD_OVER)

    def _strike(self, on: bool) -> None:
        try:
            self._driver.strike(on)
        except Exception:
            log.exception("the strike of door %d does not obey", self._machine.door)

    def _timer(
        self, running: asyncio.TimerHandle | None, seconds: float | None, over: Input
    ) -> asyncio.TimerHandle | None:
        """Stops the running timer and, given seconds, starts it anew."""
        if running is not None:
            running.cancel()
        return None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.handle, over)

    def _stop_timers(self) -> None:
        for timer in (self._strike_timer, self._held_timer):
            if timer is not None:
                timer.cancel()
