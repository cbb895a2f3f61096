"""Promises of the door's table."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from latchwork.edge.door import LEAF_IS_OPEN, STRIKE_IS_ON, TABLE, DoorMachine, Effect, Input, State
from latchwork.wire.facts import DoorChanged

inputs = st.lists(st.sampled_from(Input), max_size=60)
LET = (Input.GRANTED, Input.REQUEST_TO_EXIT)


class Shell:
    """Does what the effects say; its strike, timers and leaf are booleans."""

    def __init__(self) -> None:
        self.machine = DoorMachine(1)
        self.strike = self.strike_timer = self.held_timer = self.leaf = self.fire = False
        self.reports: list[str] = []

    def tell(self, given: Input) -> None:
        """Passes an input on when it can happen now."""
        if not self.can_happen(given):
            return
        self.leaf = given is Input.OPENED or (self.leaf and given is not Input.CLOSED)
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
def test_a_released_door_always_has_a_timer_that_ends_it_unless_there_is_a_fire(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        shell.tell(each)
        if shell.strike and not shell.fire:
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
def test_the_strike_is_never_on_without_a_grant_a_request_to_exit_or_a_fire(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        if each not in (*LET, Input.FIRE_ON):
            shell.tell(each)
            assert not shell.strike


@given(inputs)
def test_a_door_is_forced_exactly_when_it_opens_while_locked(told: list[Input]) -> None:
    shell = Shell()
    for each in told:
        was, count = shell.machine.state, shell.reports.count("forced")
        opens_now = each is Input.OPENED and shell.can_happen(each)
        shell.tell(each)
        assert (shell.reports.count("forced") > count) is (opens_now and was is State.LOCKED)


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
