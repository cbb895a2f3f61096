"""What a door does, as a table. No I/O, no clock, no timers: `handle(input, now) -> effects`.

Rules:
1. The strike is on in RELEASED, OPEN_RELEASED, FIRE and FIRE_OPEN, and in no other state.
2. A door that opens without a grant or a request to exit is FORCED until it closes or somebody is granted.
3. Opening a released door takes the strike back; a grant while it stands open releases it for the next to close it.
4. A door open for longer than its held time is HELD until it closes or somebody is granted.
5. Fire releases from every state, and while it lasts nothing locks; afterwards the door is what its leaf is.
6. A request to exit lets out like a grant, but does not excuse a door that was forced.
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


class Input(StrEnum):
    GRANTED = "granted"
    REQUEST_TO_EXIT = "request_to_exit"
    STRIKE_OVER = "strike_over"
    HELD_OVER = "held_over"
    OPENED = "opened"
    CLOSED = "closed"
    FIRE_ON = "fire_on"
    FIRE_OFF = "fire_off"


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


STRIKE_IS_ON: Final = frozenset({State.RELEASED, State.OPEN_RELEASED, State.FIRE, State.FIRE_OPEN})
LEAF_IS_OPEN: Final = frozenset({State.OPEN, State.OPEN_RELEASED, State.HELD, State.FORCED, State.FIRE_OPEN})

Step = tuple[State, tuple[Effect | Report, ...]]

_LET_PASS: Final = (Effect.STRIKE_ON, Effect.START_STRIKE)
_LET_PASS_OPEN: Final = (*_LET_PASS, Effect.START_HELD)
_LOCK: Final = (Effect.STRIKE_OFF, Effect.STOP_STRIKE)
_FIRE: Final = (Effect.STRIKE_ON, Effect.STOP_STRIKE, Effect.STOP_HELD, Report.FIRE_RELEASE)

_CHANGES: Final[dict[tuple[State, Input], Step]] = {
    (State.LOCKED, Input.GRANTED): (State.RELEASED, _LET_PASS),
    (State.LOCKED, Input.REQUEST_TO_EXIT): (State.RELEASED, (*_LET_PASS, Report.REQUEST_TO_EXIT)),
    (State.LOCKED, Input.OPENED): (State.FORCED, (Report.FORCED,)),
    (State.LOCKED, Input.FIRE_ON): (State.FIRE, _FIRE),
    #
    (State.RELEASED, Input.GRANTED): (State.RELEASED, _LET_PASS),
    (State.RELEASED, Input.REQUEST_TO_EXIT): (State.RELEASED, (*_LET_PASS, Report.REQUEST_TO_EXIT)),
    (State.RELEASED, Input.STRIKE_OVER): (State.LOCKED, (Effect.STRIKE_OFF,)),
    (State.RELEASED, Input.OPENED): (State.OPEN, (*_LOCK, Effect.START_HELD, Report.OPENED)),
    (State.RELEASED, Input.FIRE_ON): (State.FIRE, _FIRE),
    #
    (State.OPEN, Input.GRANTED): (State.OPEN_RELEASED, _LET_PASS_OPEN),
    (State.OPEN, Input.REQUEST_TO_EXIT): (State.OPEN_RELEASED, (*_LET_PASS_OPEN, Report.REQUEST_TO_EXIT)),
    (State.OPEN, Input.HELD_OVER): (State.HELD, (Report.HELD,)),
    (State.OPEN, Input.CLOSED): (State.LOCKED, (Effect.STOP_HELD, Report.CLOSED)),
    (State.OPEN, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
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
    #
    (State.HELD, Input.GRANTED): (State.OPEN_RELEASED, _LET_PASS_OPEN),
    (State.HELD, Input.REQUEST_TO_EXIT): (State.OPEN_RELEASED, (*_LET_PASS_OPEN, Report.REQUEST_TO_EXIT)),
    (State.HELD, Input.CLOSED): (State.LOCKED, (Report.CLOSED,)),
    (State.HELD, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    #
    (State.FORCED, Input.GRANTED): (State.OPEN_RELEASED, (*_LET_PASS_OPEN, Report.UNFORCED)),
    (State.FORCED, Input.REQUEST_TO_EXIT): (State.FORCED, (Report.REQUEST_TO_EXIT,)),
    (State.FORCED, Input.CLOSED): (State.LOCKED, (Report.CLOSED,)),
    (State.FORCED, Input.FIRE_ON): (State.FIRE_OPEN, _FIRE),
    #
    (State.FIRE, Input.REQUEST_TO_EXIT): (State.FIRE, (Report.REQUEST_TO_EXIT,)),
    (State.FIRE, Input.OPENED): (State.FIRE_OPEN, (Report.OPENED,)),
    (State.FIRE, Input.FIRE_OFF): (State.LOCKED, (Effect.STRIKE_OFF, Report.FIRE_CLEAR)),
    #
    (State.FIRE_OPEN, Input.REQUEST_TO_EXIT): (State.FIRE_OPEN, (Report.REQUEST_TO_EXIT,)),
    (State.FIRE_OPEN, Input.CLOSED): (State.FIRE, (Report.CLOSED,)),
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

    def begin(self, leaf_is_open: bool) -> tuple[Effect, ...]:
        """The state after a start: locked, or open when the leaf is (nobody knows why, so nobody is accused)."""
        self.state = State.OPEN if leaf_is_open else State.LOCKED
        return (Effect.STRIKE_OFF, Effect.START_HELD) if leaf_is_open else (Effect.STRIKE_OFF,)

    def handle(self, given: Input, now: float) -> list[Effect | DoorChanged]:
        """What is to be done, in this order; `now` is what the facts say (seconds since the epoch)."""
        self.state, effects = TABLE[self.state, given]
        return [
            each if isinstance(each, Effect) else DoorChanged(at=now, door=self.door, change=each.value)
            for each in effects
        ]
