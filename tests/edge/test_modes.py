"""Promises of a door's modes: they hold offline and across restarts, and end when their time is over."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Literal

import pytest
from tests.edge.cast import (
    BOB,
    BOBS_CARD,
    BOBS_KEY,
    FRONT,
    LAB,
    NOW,
    Dora,
    Organisation,
    card,
    delta,
    door,
    gone,
    grant,
    mode,
    person,
    snapshot,
)

from latchwork.edge.clock import Reading
from latchwork.edge.door import State
from latchwork.edge.modes import effective
from latchwork.policy.decide import decide
from latchwork.policy.model import Attempt, Direction, Door, DoorMode, Grant, Mode, Person, RemoteUnlock, Snapshot, Way
from latchwork.policy.reasons import Reason
from latchwork.wire.facts import DoorChanged, StrikeWithheld, codec

BOBS = [card(BOBS_KEY, BOBS_CARD, BOB), person(BOB), grant(BOB)]


async def changes(dora: Dora, at: int = FRONT) -> list[str]:
    await dora.written()
    found = [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, DoorChanged)]
    return [fact.change for fact in found if fact.door == at]


async def test_an_unlocked_door_stands_open_for_everybody_until_it_is_normal_again(dora: Dora) -> None:
    await dora.learn(door(strike_seconds=0.05), *BOBS)
    unlocked = mode(FRONT, "unlocked")
    await dora.store.apply(delta(unlocked))
    assert dora.wiring(FRONT).strike_is_on
    assert await dora.tap(BOBS_CARD) == "granted"
    await asyncio.sleep(0.1)
    assert dora.wiring(FRONT).strike_is_on, "a grant does not end it"
    await dora.store.apply(delta(*gone(unlocked), revision=3))
    assert not dora.wiring(FRONT).strike_is_on
    assert await changes(dora) == ["held_open", "normal"]


async def test_a_lockdown_shuts_at_once_and_opens_for_nobody_but_whoever_leaves(
    dora: Dora, alice: Organisation
) -> None:
    await dora.learn(alice.key_record, door(), *BOBS)
    assert await dora.tap(BOBS_CARD) == "granted"
    await dora.store.apply(delta(mode(FRONT, "locked")))
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.tap(BOBS_CARD) == "lockdown"
    assert await dora.show(alice.invite()) == "lockdown"
    assert not dora.wiring(FRONT).strike_is_on
    dora.wiring(FRONT).press_exit_button()
    assert dora.wiring(FRONT).strike_is_on
    assert await changes(dora) == ["locked_down", "request_to_exit"]


@pytest.mark.parametrize("kind", ["unlocked", "locked"])
async def test_a_mode_ends_at_its_time_on_the_controllers_clock(
    dora: Dora, kind: Literal["unlocked", "locked"]
) -> None:
    await dora.learn(door(), *BOBS, mode(FRONT, kind, NOW + 600))
    assert dora.wiring(FRONT).strike_is_on is (kind == "unlocked")
    dora.time.elapsed += 599
    await asyncio.sleep(1.1)
    assert dora.wiring(FRONT).strike_is_on is (kind == "unlocked")
    dora.time.elapsed += 1
    await asyncio.sleep(1.1)
    assert dora.controller.doors[FRONT].state is State.LOCKED
    assert (await changes(dora))[-1] == "normal"
    assert await dora.tap(BOBS_CARD) == "granted"


async def test_an_attempt_does_not_wait_for_the_next_look_at_the_clock(dora: Dora) -> None:
    await dora.learn(door(), *BOBS, mode(FRONT, "locked", NOW + 600))
    assert await dora.tap(BOBS_CARD) == "lockdown"
    dora.time.elapsed += 600
    assert await dora.tap(BOBS_CARD) == "granted"
    assert dora.wiring(FRONT).strike_is_on


async def test_modes_hold_across_a_restart_and_offline(dora: Dora) -> None:
    await dora.learn(door(), door(LAB), *BOBS, mode(FRONT, "unlocked"), mode(LAB, "locked"))
    await dora.restart()
    assert not dora.clock.read().trusted
    assert dora.wiring(FRONT).strike_is_on
    assert await dora.tap(BOBS_CARD, at=LAB) == "lockdown"


async def test_a_clock_that_nobody_set_holds_no_door_open_but_keeps_it_shut(dora: Dora) -> None:
    await dora.learn(door(), door(LAB), *BOBS, mode(FRONT, "unlocked", NOW + 600), mode(LAB, "locked", NOW + 600))
    assert dora.wiring(FRONT).strike_is_on
    await dora.restart()
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.tap(BOBS_CARD, at=LAB) == "lockdown"
    dora.clock.hear(NOW + 500, 0)
    await asyncio.sleep(1.1)
    assert dora.wiring(FRONT).strike_is_on, "the clock is trusted now, and the time is not over"
    dora.clock.hear(NOW + 600, 0)
    await asyncio.sleep(1.1)
    assert not dora.wiring(FRONT).strike_is_on
    assert dora.controller.doors[LAB].state is State.LOCKED


@pytest.mark.parametrize("until", [None, NOW + 10_000])
async def test_a_door_that_is_offline_for_too_long_is_not_held_open_until_it_hears_again(
    dora: Dora, until: float | None
) -> None:
    await dora.learn(door(offline_limit=600), door(LAB), *BOBS, mode(FRONT, "unlocked", until), mode(LAB, "unlocked"))
    dora.time.elapsed += 599
    await asyncio.sleep(1.1)
    assert dora.wiring(FRONT).strike_is_on
    dora.time.elapsed += 2
    await asyncio.sleep(1.1)
    assert not dora.wiring(FRONT).strike_is_on
    assert dora.wiring(LAB).strike_is_on, "this one may be offline for ever"
    assert await dora.tap(BOBS_CARD) == "offline_too_long"
    dora.clock.hear(NOW + 601, 0)
    await asyncio.sleep(1.1)
    assert dora.wiring(FRONT).strike_is_on
    assert await changes(dora) == ["held_open", "normal", "held_open"]


async def test_a_lockdown_goes_on_however_long_the_door_is_offline(dora: Dora) -> None:
    await dora.learn(door(offline_limit=600), *BOBS, mode(FRONT, "locked"))
    dora.time.elapsed += 10_000
    await asyncio.sleep(1.1)
    assert await dora.tap(BOBS_CARD) == "lockdown"


async def test_a_door_with_an_offline_limit_is_not_held_open_before_it_knows_the_time(dora: Dora) -> None:
    await dora.learn(door(offline_limit=600), mode(FRONT, "unlocked"))
    await dora.restart()
    assert not dora.wiring(FRONT).strike_is_on
    dora.clock.hear(NOW + 10, 0)
    dora.controller.follow_modes()
    assert dora.wiring(FRONT).strike_is_on


async def test_a_mode_that_ended_while_the_power_was_off_is_over(dora: Dora) -> None:
    await dora.learn(door(), *BOBS, mode(FRONT, "unlocked", NOW + 600))
    await dora.close()
    dora.start()
    dora.clock.hear(NOW + 601, 0)
    dora.controller.follow_modes()
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.tap(BOBS_CARD) == "granted"


async def test_a_fire_opens_a_door_in_lockdown_and_gives_it_back_to_its_mode(dora: Dora) -> None:
    await dora.learn(door(), door(LAB), mode(FRONT, "locked"), mode(LAB, "unlocked"))
    dora.controller.fire(True)
    assert all(dora.wiring(each).strike_is_on for each in (FRONT, LAB))
    await dora.store.apply(delta(mode(LAB, "locked")))
    assert dora.wiring(LAB).strike_is_on
    dora.controller.fire(False)
    assert not any(dora.wiring(each).strike_is_on for each in (FRONT, LAB))
    assert [dora.controller.doors[each].state for each in (FRONT, LAB)] == [State.LOCKDOWN, State.LOCKDOWN]


async def test_a_grant_on_its_way_to_the_journal_opens_no_door_that_goes_into_lockdown(tmp_path: Path) -> None:
    dora = Dora(tmp_path)
    await dora.learn(door(), *BOBS)
    await dora.written()
    dora.journal._commit_delay = 0.1
    attempt = asyncio.create_task(dora.tap(BOBS_CARD))
    await asyncio.sleep(0.03)
    await dora.store.apply(delta(mode(FRONT, "locked")))
    assert await attempt == "lockdown"
    assert not dora.wiring(FRONT).strike_is_on
    dora.journal._commit_delay = 0
    await dora.written()
    await dora.written()
    assert [fact.number for fact in map(codec.decode, dora.bodies()) if isinstance(fact, StrikeWithheld)] == [1]
    await dora.close()


async def test_a_mode_for_a_door_that_comes_later_is_its_mode(dora: Dora) -> None:
    await dora.learn(door(), mode(LAB, "unlocked"))
    await dora.store.apply(delta(door(LAB)))
    assert dora.wiring(LAB).strike_is_on
    await dora.store.apply(snapshot(door(), revision=3))
    assert not dora.wiring(LAB).strike_is_on


@pytest.mark.parametrize("until", [None, NOW - 1, NOW, NOW + 1])
@pytest.mark.parametrize("trusted", [True, False])
def test_the_door_is_in_lockdown_exactly_when_the_decision_says_so(until: float | None, trusted: bool) -> None:
    asked = Attempt(FRONT, Direction.ENTRY, RemoteUnlock(BOB), NOW, trusted)
    for kind in Mode:
        known = Snapshot(
            door=Door(FRONT, "Front door", frozenset(Direction)),
            mode=DoorMode(kind, until),
            person=Person(BOB, True, frozenset(Way)),
            grant=Grant(),
            synced_at=NOW,
        )
        refused = decide(known, asked).reason is Reason.LOCKDOWN
        assert (effective(known.mode, Reading(NOW, NOW, trusted)) is Mode.LOCKED) is refused


async def test_a_lockdown_holds_though_the_disk_is_full_right_after_it_was_taken_over(
    dora: Dora, tmp_path: Path
) -> None:
    staff = [person(user) for user in range(1_000, 6_000)]
    await dora.learn(door(), person(BOB), card(BOBS_KEY, BOBS_CARD, BOB), grant(BOB), *staff)
    assert await dora.tap(BOBS_CARD) == "granted"
    full = (tmp_path / "state.db").stat().st_size
    news = [mode(FRONT, "locked"), *gone(staff[0]), *(person(user) for user in range(6_000, 7_000))]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, limits[1]))
    try:
        assert await dora.store.apply(delta(*news)) == dora.store.held
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert dora.controller.doors[FRONT].mode is Mode.LOCKED
    assert await dora.tap(BOBS_CARD) == "lockdown"
