"""What a door does, as a table. No I/O, no clock, no timers: `handle(input, now) -> effects`.

Rules:
1. The strike is on in RELEASED, OPEN_RELEASED, UNLOCKED, UNLOCKED_OPEN, LOCKDOWN_RELEASED, FIRE and FIRE_OPEN, and in
   no other state.
2. A door that opens without a grant or a request to exit is FORCED until it closes or somebody is granted.
3. Opening a released door takes the strike back; a grant while it stands open releases it for the next to close it.
4. A door open for longer than its held time is HELD until it closes or somebody is granted.
5. Fire releases from every state, and while it lasts nothing locks; afterwards the door is what its leaf is.
6. A request to exit lets out like a grant, but does not excuse a door that was forced.
7. HOLD releases the strike until LOCK or NORMAL; meanwhile nothing is forced, and nothing stands open for too long.
8. LOCK takes every release back at once, and until HOLD or NORMAL a grant is not heard. A request to exit is: lockdown
   keeps people out, and nobody in.
9. NORMAL gives the door back to its leaf: locked, or open with a new held time.
10. A mode set during a fire waits for its end, and a fire's end gives the door back to its mode.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import Final

from latchwork.wire.facts import DoorChanged


class State(StrEnum):
    LOCKED = "locked"
    RELEASED = "released"
    OPEN = "open"
    OPEN_RELEASED = "open_released"
    """Open, and somebody else was granted meanwhile."""
    HELD = "held"
    FORCED = "forced"
    FIRE = "fire"
    FIRE_OPEN = "fire_open"
    UNLOCKED = "unlocked"
    """Stands released for everybody."""
    UNLOCKED_OPEN = "unlocked_open"
    LOCKDOWN = "lockdown"
    LOCKDOWN_RELEASED = "lockdown_released"
    """In lockdown, and somebody inside asked to leave."""
    LOCKDOWN_OPEN = "lockdown_open"


class Input(StrEnum):
    GRANTED = "granted"
    REQUEST_TO_EXIT = "request_to_exit"
    STRIKE_OVER = "strike_over"
    HELD_OVER = "held_over"
    OPENED = "opened"
    CLOSED = "closed"
    FIRE_ON = "fire_on"
    FIRE_OFF = "fire_off"
    HOLD = "hold"
    LOCK = "lock"
    NORMAL = "normal"


class Effect(StrEnum):
    """What the shell does. A start of a timer that runs starts it anew."""

    STRIKE_ON = "strike_on"
    STRIKE_OFF = "strike_off"
    START_STRIKE = "start_strike_timer"
    STOP_STRIKE = "stop_strike_timer"
    START_HELD = "start_held_timer"
    STOP_HELD = "stop_held_timer"


class Report(StrEnum):
    """What the journal is told: the changes of `wire.facts.DoorChanged`."""

    OPENED = "opened"
    CLOSED = "closed"
    FORCED = "forced"
    HELD = "held"
    UNFORCED = "unforced"
    REQUEST_TO_EXIT = "request_to_exit"
    FIRE_RELEASE = "fire_release"
    FIRE_CLEAR = "fire_clear"
    HELD_OPEN = "held_open"
    LOCKED_DOWN = "locked_down"
    NORMAL = "normal"


STRIKE_IS_ON: Final = frozenset(
    {
        State.RELEASED,
        State.OPEN_RELEASED,
        State.UNLOCKED,
        State.UNLOCKED_OPEN,
        State.LOCKDOWN_RELEASED,
        State.FIRE,
        State.FIRE_OPEN,
    }
)
LEAF_IS_OPEN: Final = frozenset(
    {
        State.OPEN,
        State.OPEN_RELEASED,
        State.HELD,
        State.FORCED,
        State.UNLOCKED_OPEN,
        State.LOCKDOWN_OPEN,
        State.FIRE_OPEN,
    }
)
MODES: Final = frozenset({Input.HOLD, Input.LOCK, Input.NORMAL})

Step = tuple[State, tuple[Effect | Report, ...]]

_LET_PASS: Final = (Effect.STRIKE_ON, Effect.START_STRIKE)
_LET_PASS_OPEN: Final = (*_LET_PASS, Effect.START_HELD)
_LOCK: Final = (Effect.STRIKE_OFF, Effect.STOP_STRIKE)
_FIRE: Final = (Effect.STRIKE_ON, Effect.STOP_STRIKE, Effect.STOP_HELD, Report.FIRE_RELEASE)
_HOLD: Final = (Effect.STRIKE_ON, Effect.STOP_STRIKE, Effect.STOP_HELD, Report.HELD_OPEN)
_LOCK_DOWN: Final = (*_LOCK, Report.LOCKED_DOWN)
_LOCK_DOWN_OPEN: Final = (*_LOCK, Effect.START_HELD, Report.LOCKED_DOWN)

_CHANGES: Final[dict[tuple[State, Input], Step]] = {
    (State.LOCKED, Input.GRANTED): (State.RELEASED, _LET_PASS),
    (State.LOCKED, Input.REQUEST_TO_EXIT): (State.RELEASED, (*_LET_PASS, Report.REQUEST_TO_EXIT)),
    (State.LOCKED, Input.OPENED): (State.FORCED, (Report.FORCED,)),
    (State.LOCKED, Input.FIRE_ON): (State.FIRE, _FIRE),
    (State.LOCKED, Input.HOLD): (State.UNLOCKED, _HOLD),
    (State.LOCKED, Input.LOCK): (State.LOCKDOWN, _LOCK_DOWN),
    #
    (State.RELEASED, Input.GRANTED): (State.RELEASED, _LET_PASS),
    (State.RELEASED, Input.REQUEST_TO_EXIT): (State.RELEASED, (*_LET_PASS, Report.REQUEST_TO_EXIT)),
    (State.RELEASED, Input.STRIKE_OVER): (State.LOCKED, (Effect.STRIKE_OFF,)),
    (State.RELEASED, Input.OPENED): (State.OPEN, (*_LOCK, Effect.START_HELD, Report.OPENED)),
    (State.RELEASED, Input.FIRE_ON): (State.FIRE, _FIRE),
    (State.RELEASED, Input.HOLD): (State.UNLOCKED, _HOLD),
    (State.RELEASED, Input.LOCK): (State.LOCKDOWN, _LOCK_DOWN),
    #
    (State.OPEN, Input.GRANTED): (State.OPEN_RELEASED, _LET_PASS_OPEN),
    (State.OPEN, Input.REQUEST_TO_EXIT): (State.OPEN_RELEASED, (*_LET_PASS_OPEN, Report.REQUEST_TO_EXIT)),
    (State.OPEN, Input.HELD_OVER): (State.HELD, (Report.HELD,)),
    (State.OPEN, Input.CLOSED): (State.LOCKED, (Effect.STOP_HELD, Report.CLOSED)),
    (State.OPEN, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    (State.OPEN, Input.HOLD): (State.UNLOCKED_OPEN, _HOLD),
    (State.OPEN, Input.LOCK): (State.LOCKDOWN_OPEN, _LOCK_DOWN_OPEN),
    #
    (State.OPEN_RELEASED, Input.GRANTED): (State.OPEN_RELEASED, _LET_PASS_OPEN),
    (State.OPEN_RELEASED, Input.REQUEST_TO_EXIT): (
        State.OPEN_RELEASED,
        (*_LET_PASS_OPEN, Report.REQUEST_TO_EXIT),
    ),
    (State.OPEN_RELEASED, Input.STRIKE_OVER): (State.OPEN, (Effect.STRIKE_OFF,)),
    (State.OPEN_RELEASED, Input.HELD_OVER): (State.HELD, (*_LOCK, Report.HELD)),
    (State.OPEN_RELEASED, Input.CLOSED): (State.RELEASED, (Effect.STOP_HELD, Report.CLOSED)),
    (State.OPEN_RELEASED, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    (State.OPEN_RELEASED, Input.HOLD): (State.UNLOCKED_OPEN, _HOLD),
    (State.OPEN_RELEASED, Input.LOCK): (State.LOCKDOWN_OPEN, _LOCK_DOWN_OPEN),
    #
    (State.HELD, Input.GRANTED): (State.OPEN_RELEASED, _LET_PASS_OPEN),
    (State.HELD, Input.REQUEST_TO_EXIT): (State.OPEN_RELEASED, (*_LET_PASS_OPEN, Report.REQUEST_TO_EXIT)),
    (State.HELD, Input.CLOSED): (State.LOCKED, (Report.CLOSED,)),
    (State.HELD, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    (State.HELD, Input.HOLD): (State.UNLOCKED_OPEN, _HOLD),
    (State.HELD, Input.LOCK): (State.LOCKDOWN_OPEN, _LOCK_DOWN_OPEN),
    #
    (State.FORCED, Input.GRANTED): (State.OPEN_RELEASED, (*_LET_PASS_OPEN, Report.UNFORCED)),
    (State.FORCED, Input.REQUEST_TO_EXIT): (State.FORCED, (Report.REQUEST_TO_EXIT,)),
    (State.FORCED, Input.CLOSED): (State.LOCKED, (Report.CLOSED,)),
    (State.FORCED, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    (State.FORCED, Input.HOLD): (State.UNLOCKED_OPEN, _HOLD),
    (State.FORCED, Input.LOCK): (State.LOCKDOWN_OPEN, _LOCK_DOWN_OPEN),
    #
    (State.UNLOCKED, Input.REQUEST_TO_EXIT): (State.UNLOCKED, (Report.REQUEST_TO_EXIT,)),
    (State.UNLOCKED, Input.OPENED): (State.UNLOCKED_OPEN, (Report.OPENED,)),
    (State.UNLOCKED, Input.FIRE_ON): (State.FIRE, _FIRE),
    (State.UNLOCKED, Input.LOCK): (State.LOCKDOWN, _LOCK_DOWN),
    (State.UNLOCKED, Input.NORMAL): (State.LOCKED, (Effect.STRIKE_OFF, Report.NORMAL)),
    #
    (State.UNLOCKED_OPEN, Input.REQUEST_TO_EXIT): (State.UNLOCKED_OPEN, (Report.REQUEST_TO_EXIT,)),
    (State.UNLOCKED_OPEN, Input.CLOSED): (State.UNLOCKED, (Report.CLOSED,)),
    (State.UNLOCKED_OPEN, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    (State.UNLOCKED_OPEN, Input.LOCK): (State.LOCKDOWN_OPEN, _LOCK_DOWN_OPEN),
    (State.UNLOCKED_OPEN, Input.NORMAL): (State.OPEN, (Effect.STRIKE_OFF, Effect.START_HELD, Report.NORMAL)),
    #
    (State.LOCKDOWN, Input.REQUEST_TO_EXIT): (State.LOCKDOWN_RELEASED, (*_LET_PASS, Report.REQUEST_TO_EXIT)),
    (State.LOCKDOWN, Input.OPENED): (State.LOCKDOWN_OPEN, (Effect.START_HELD, Report.FORCED)),
    (State.LOCKDOWN, Input.FIRE_ON): (State.FIRE, _FIRE),
    (State.LOCKDOWN, Input.HOLD): (State.UNLOCKED, _HOLD),
    (State.LOCKDOWN, Input.NORMAL): (State.LOCKED, (Report.NORMAL,)),
    #
    (State.LOCKDOWN_RELEASED, Input.REQUEST_TO_EXIT): (
        State.LOCKDOWN_RELEASED,
        (*_LET_PASS, Report.REQUEST_TO_EXIT),
    ),
    (State.LOCKDOWN_RELEASED, Input.STRIKE_OVER): (State.LOCKDOWN, (Effect.STRIKE_OFF,)),
    (State.LOCKDOWN_RELEASED, Input.OPENED): (State.LOCKDOWN_OPEN, (*_LOCK, Effect.START_HELD, Report.OPENED)),
    (State.LOCKDOWN_RELEASED, Input.FIRE_ON): (State.FIRE, _FIRE),
    (State.LOCKDOWN_RELEASED, Input.HOLD): (State.UNLOCKED, _HOLD),
    (State.LOCKDOWN_RELEASED, Input.NORMAL): (State.RELEASED, (Report.NORMAL,)),
    #
    (State.LOCKDOWN_OPEN, Input.REQUEST_TO_EXIT): (State.LOCKDOWN_OPEN, (Report.REQUEST_TO_EXIT,)),
    (State.LOCKDOWN_OPEN, Input.HELD_OVER): (State.LOCKDOWN_OPEN, (Report.HELD,)),
    (State.LOCKDOWN_OPEN, Input.CLOSED): (State.LOCKDOWN, (Effect.STOP_HELD, Report.CLOSED)),
    (State.LOCKDOWN_OPEN, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    (State.LOCKDOWN_OPEN, Input.HOLD): (State.UNLOCKED_OPEN, _HOLD),
    (State.LOCKDOWN_OPEN, Input.NORMAL): (State.OPEN, (Effect.START_HELD, Report.NORMAL)),
    #
    (State.FIRE, Input.REQUEST_TO_EXIT): (State.FIRE, (Report.REQUEST_TO_EXIT,)),
    (State.FIRE, Input.OPENED): (State.FIRE_OPEN, (Report.OPENED,)),
    (State.FIRE, Input.NORMAL): (State.FIRE, (Report.NORMAL,)),
    (State.FIRE, Input.FIRE_OFF): (State.LOCKED, (Effect.STRIKE_OFF, Report.FIRE_CLEAR)),
    #
    (State.FIRE_OPEN, Input.REQUEST_TO_EXIT): (State.FIRE_OPEN, (Report.REQUEST_TO_EXIT,)),
    (State.FIRE_OPEN, Input.CLOSED): (State.FIRE, (Report.CLOSED,)),
    (State.FIRE_OPEN, Input.NORMAL): (State.FIRE_OPEN, (Report.NORMAL,)),
    (State.FIRE_OPEN, Input.FIRE_OFF): (
        State.OPEN,
        (Effect.STRIKE_OFF, Effect.START_HELD, Report.FIRE_CLEAR),
    ),
}

TABLE: Final[dict[tuple[State, Input], Step]] = {
    (state, given): _CHANGES.get((state, given), (state, ())) for state, given in product(State, Input)
}
"""Every state and input; what is not written above changes nothing."""


class DoorMachine:
    """One door's state, moved by `handle` alone."""

    def __init__(self, door: int) -> None:
        self.door = door
        self.state = State.LOCKED
        self._mode = Input.NORMAL

    def begin(self, leaf_is_open: bool) -> tuple[Effect, ...]:
        """The state after a start: locked, or open when the leaf is (nobody knows why, so nobody is accused)."""
        self.state = State.OPEN if leaf_is_open else State.LOCKED
        return (Effect.STRIKE_OFF, Effect.START_HELD) if leaf_is_open else (Effect.STRIKE_OFF,)

    def handle(self, given: Input, now: float) -> list[Effect | DoorChanged]:
        """What is to be done, in this order; `now` is what the facts say (seconds since the epoch)."""
        if given in MODES:
            self._mode = given
        effects = self._step(given)
        if given is Input.FIRE_OFF:
            effects += self._step(self._mode)
        return [
            each if isinstance(each, Effect) else DoorChanged(at=now, door=self.door, change=each.value)
            for each in effects
        ]

    def _step(self, given: Input) -> tuple[Effect | Report, ...]:
        self.state, effects = TABLE[self.state, given]
        return effects
