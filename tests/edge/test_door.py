"""Promises of the door's table."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from latchwork.edge.door import LEAF_IS_OPEN, MODES, STRIKE_IS_ON, TABLE, DoorMachine, Effect, Input, State
from latchwork.wire.facts import DoorChanged

inputs = st.lists(st.sampled_from(Input), max_size=60)
LET = (Input.GRANTED, Input.REQUEST_TO_EXIT)


class Shell:
    """Does what the effects say; its strike, timers and leaf are booleans."""

    def __init__(self) -> None:
        self.machine = DoorMachine(1)
        self.strike = self.strike_timer = self.held_timer = self.leaf = self.fire = False
        self.mode = Input.NORMAL
        self.reports: list[str] = []

    def tell(self, given: Input) -> None:
        """Passes an input on when it can happen now."""
        if not self.can_happen(given):
            return
        self.leaf = given is Input.OPENED or (self.leaf and given is not Input.CLOSED)
        self.mode = given if given in MODES else self.mode
        self.fire = given is Input.FIRE_ON or (self.fire and given is not Input.FIRE_OFF)
        self.strike_timer = self.strike_timer and given is not Input.STRIKE_OVER
        self.held_timer = self.held_timer and given is not Input.HELD_OVER
        for effect in self.machine.handle(given, 5.0):
            self.do(effect)

    def can_happen(self, given: Input) -> bool:
        return {
            Input.OPENED: not self.leaf,
            Input.CLOSED: self.leaf,
            Input.FIRE_ON: not self.fire,
            Input.FIRE_OFF: self.fire,
            Input.STRIKE_OVER: self.strike_timer,
            Input.HELD_OVER: self.held_timer,
            Input.HOLD: self.mode is not Input.HOLD,
            Input.LOCK: self.mode is not Input.LOCK,
            Input.NORMAL: self.mode is not Input.NORMAL,
        }.get(given, True)

    def do(self, effect: Effect | DoorChanged) -> None:
        match effect:
            case Effect.STRIKE_ON | Effect.STRIKE_OFF:
                self.strike = effect is Effect.STRIKE_ON
            case Effect.START_STRIKE | Effect.STOP_STRIKE:
                self.strike_timer = effect is Effect.START_STRIKE
            case Effect.START_HELD | Effect.STOP_HELD:
                self.held_timer = effect is Effect.START_HELD
            case DoorChanged(at=at, door=door, change=change):
                assert (at, door) == (5.0, 1)
                self.reports.append(change)


def test_every_state_answers_every_input() -> None:
    assert set(TABLE) == set(product(State, Input))


@given(inputs)
def test_strike_and_leaf_are_what_the_state_says(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        shell.tell(each)
        assert shell.strike is (shell.machine.state in STRIKE_IS_ON)
        assert shell.leaf is (shell.machine.state in LEAF_IS_OPEN)


@given(inputs)
def test_a_released_door_always_has_a_timer_that_ends_it_unless_a_fire_or_a_mode_holds_it(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        shell.tell(each)
        if shell.strike and not shell.fire and shell.mode is not Input.HOLD:
            assert shell.strike_timer
        if shell.machine.state in (State.OPEN, State.OPEN_RELEASED):
            assert shell.held_timer


@given(inputs)
def test_nothing_locks_while_there_is_a_fire(told: list[Input]) -> None:
    shell = Shell()
    shell.tell(Input.FIRE_ON)
    for each in told:
        if each is not Input.FIRE_OFF:
            shell.tell(each)
            assert shell.strike


@given(inputs)
def test_a_door_that_is_held_stays_released_and_one_in_lockdown_hears_no_grant(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        strike, mode = shell.strike, shell.mode
        shell.tell(each)
        if shell.mode is Input.HOLD:
            assert shell.strike
        if shell.mode is Input.LOCK and not shell.fire and mode is not Input.LOCK:
            assert not shell.strike
        if mode is Input.LOCK and each is Input.GRANTED:
            assert shell.strike is strike


@given(inputs)
def test_a_fires_end_gives_the_door_back_to_its_mode(told: list[Input]) -> None:
    shell = Shell()
    for each in [*told, Input.FIRE_ON, Input.FIRE_OFF]:
        shell.tell(each)
    expected = {
        Input.HOLD: {State.UNLOCKED, State.UNLOCKED_OPEN},
        Input.LOCK: {State.LOCKDOWN, State.LOCKDOWN_OPEN},
        Input.NORMAL: {State.LOCKED, State.OPEN},
    }
    assert shell.machine.state in expected[shell.mode]


@given(inputs)
def test_the_strike_is_never_on_without_a_grant_a_request_to_exit_a_mode_or_a_fire(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        if each not in (*LET, Input.FIRE_ON, Input.HOLD):
            shell.tell(each)
            assert not shell.strike


@given(inputs)
def test_a_door_is_forced_exactly_when_it_opens_while_locked(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        was, count = shell.machine.state, shell.reports.count("forced")
        opens_now = each is Input.OPENED and shell.can_happen(each)
        shell.tell(each)
        assert (shell.reports.count("forced") > count) is (opens_now and was in (State.LOCKED, State.LOCKDOWN))


def test_a_door_that_is_open_at_the_start_is_not_called_forced() -> None:
    machine = DoorMachine(1)
    assert machine.begin(leaf_is_open=True) == (Effect.STRIKE_OFF, Effect.START_HELD)
    assert machine.state is State.OPEN


def test_somebody_granted_while_the_door_stands_open_finds_it_released_when_it_closes() -> None:
    shell = Shell()
    for each in (Input.GRANTED, Input.OPENED, Input.GRANTED, Input.CLOSED):
        shell.tell(each)
    assert shell.machine.state is State.RELEASED
    assert shell.reports == ["opened", "closed"]


def test_a_request_to_exit_does_not_excuse_a_forced_door() -> None:
    shell = Shell()
    for each in (Input.OPENED, Input.REQUEST_TO_EXIT):
        shell.tell(each)
    assert shell.machine.state is State.FORCED
    assert shell.reports == ["forced", "request_to_exit"]


def test_a_lockdown_keeps_nobody_in() -> None:
    shell = Shell()
    for each in (Input.GRANTED, Input.LOCK):
        shell.tell(each)
    assert not shell.strike
    shell.tell(Input.REQUEST_TO_EXIT)
    assert shell.strike
    shell.tell(Input.STRIKE_OVER)
    assert (shell.machine.state, shell.strike) == (State.LOCKDOWN, False)


def test_a_door_that_is_held_is_neither_forced_nor_open_too_long() -> None:
    shell = Shell()
    for each in (Input.HOLD, Input.OPENED, Input.HELD_OVER, Input.CLOSED, Input.NORMAL):
        shell.tell(each)
    assert shell.reports == ["held_open", "opened", "closed", "normal"]
    assert not shell.strike


def test_a_door_left_open_when_its_hold_ends_has_its_held_time() -> None:
    shell = Shell()
    for each in (Input.HOLD, Input.OPENED, Input.NORMAL, Input.HELD_OVER):
        shell.tell(each)
    assert shell.reports == ["held_open", "opened", "normal", "held"]
    assert shell.machine.state is State.HELD
