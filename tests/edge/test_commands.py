"""Promises about what the cloud asks for now or never: remote unlocks and cards to enrol."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.edge.cast import (
    BOB,
    BOBS_CARD,
    BOBS_KEY,
    ENTRY,
    FRONT,
    LAB,
    NOW,
    Dora,
    Organisation,
    card,
    door,
    grant,
    mode,
    person,
)
from tests.edge.site import Site
from tests.edge.test_people import files_holding

from latchwork.edge.runner import Edge
from latchwork.wire.facts import AccessDecided, AnyFact, CardPresented, StrikeWithheld, codec
from latchwork.wire.link import Command

BOBS = [card(BOBS_KEY, BOBS_CARD, BOB), person(BOB), grant(BOB)]


def unlock(seconds: float = 5.0, at: int = FRONT, user: int | None = BOB, number: int = 1) -> Command:
    return Command(number, at, "unlock", seconds, user)


def enrol(seconds: float = 5.0, at: int = FRONT, number: int = 1) -> Command:
    return Command(number, at, "enrol_card", seconds)


async def obeyed(dora: Dora, command: Command) -> str:
    return await dora.controller.obey(command, dora.clock.elapsed())


async def facts(dora: Dora, kind: type[AnyFact] = AccessDecided) -> list[AnyFact]:
    await dora.written()
    return [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, kind)]


async def test_a_remote_unlock_is_journalled_before_the_strike_moves(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    seen: list[list[bytes]] = []
    dora.wiring(FRONT).strike = lambda on: seen.append(dora.bodies())  # type: ignore[method-assign]
    assert await obeyed(dora, unlock(number=77)) == "granted"
    [fact] = [codec.decode(body) for body in seen[0]]
    assert isinstance(fact, AccessDecided)
    assert (fact.reason, fact.credential, fact.user, fact.command) == ("granted", "remote", BOB, 77)
    assert (fact.card, fact.door, fact.at) == (None, FRONT, NOW)


@pytest.mark.parametrize(
    ("user", "records", "reason"),
    [
        (None, [], "granted"),
        (BOB, [], "unknown_credential"),
        (BOB, [person(BOB)], "no_permission"),
        (BOB, [person(BOB, ways=("card",)), grant(BOB)], "way_off"),
        (BOB, [person(BOB, is_active=False), grant(BOB)], "deactivated"),
        (BOB, [person(BOB), grant(BOB), mode(FRONT, "locked")], "lockdown"),
        (None, [mode(FRONT, "locked")], "lockdown"),
        (BOB, [person(BOB), grant(BOB), door(entry_reader=None, exit_reader=None)], "granted"),
    ],
)
async def test_a_remote_unlock_is_decided_like_any_attempt(
    dora: Dora, user: int | None, records: list[object], reason: str
) -> None:
    await dora.learn(door(), *records)  # type: ignore[arg-type]
    assert await obeyed(dora, unlock(user=user)) == reason
    assert dora.wiring(FRONT).strike_is_on is (reason == "granted")
    [fact] = await facts(dora)
    assert isinstance(fact, AccessDecided)
    assert (fact.reason, fact.command, fact.user) == (reason, 1, user)


async def test_an_unknown_door_is_said_to_be_unknown(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    assert await obeyed(dora, unlock(at=LAB)) == "unknown_door"
    assert await obeyed(dora, enrol(at=LAB)) == "unknown_door"


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, -math.inf, math.inf])
async def test_a_command_without_time_to_live_does_nothing(dora: Dora, seconds: float) -> None:
    await dora.learn(door(), *BOBS)
    assert await obeyed(dora, unlock(seconds)) == "command_late"
    assert await obeyed(dora, enrol(seconds)) == "command_late"
    assert not dora.wiring(FRONT).strike_is_on


async def test_a_command_that_waited_too_long_opens_nothing(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    arrived = dora.clock.elapsed()
    dora.clock.advance(-3600)
    dora.time.elapsed += 5
    assert await dora.controller.obey(unlock(5), arrived) == "command_late"
    assert not dora.wiring(FRONT).strike_is_on
    assert await facts(dora) == []


async def test_a_command_that_was_held_back_on_its_way_opens_nothing(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    for until in (NOW, NOW - 30, math.nan, -math.inf):
        assert await obeyed(dora, msgspec.structs.replace(unlock(), until=until)) == "command_late"
        assert await obeyed(dora, msgspec.structs.replace(enrol(), until=until)) == "command_late"
    assert not dora.wiring(FRONT).strike_is_on
    assert await obeyed(dora, msgspec.structs.replace(unlock(), until=NOW + 0.1)) == "granted"


async def test_a_command_whose_time_is_over_when_the_journal_has_it_opens_nothing(tmp_path: Path) -> None:
    dora = Dora(tmp_path)
    await dora.learn(door(), *BOBS)
    await dora.written()
    dora.journal._commit_delay = 0.1
    asked = asyncio.create_task(obeyed(dora, unlock(5)))
    await asyncio.sleep(0.03)
    dora.time.elapsed += 5
    assert await asked == "command_late"
    assert not dora.wiring(FRONT).strike_is_on
    await dora.written()
    assert await facts(dora, StrikeWithheld) == [StrikeWithheld(at=NOW + 5, door=FRONT, number=1)]
    await dora.close()


async def test_a_card_to_enrol_is_reported_by_its_number_and_opens_nothing_whoever_it_belongs_to(dora: Dora) -> None:
    await dora.learn(door(), door(LAB), *BOBS, grant(BOB, LAB))
    waiting = asyncio.create_task(obeyed(dora, enrol(number=9)))
    await asyncio.sleep(0.01)
    assert await dora.tap(BOBS_CARD, at=LAB) == "granted", "another door does not wait"
    assert await dora.tap(BOBS_CARD) == "read_for_assignment"
    assert not dora.wiring(FRONT).strike_is_on
    assert await waiting == "granted"
    assert await facts(dora, CardPresented) == [CardPresented(at=NOW, door=FRONT, command=9, number=BOBS_CARD)]
    assert await dora.tap(BOBS_CARD) == "granted", "the reader is its old self again"


async def test_cards_to_enrol_slow_no_reader_down(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    for number in range(1, 13):
        waiting = asyncio.create_task(obeyed(dora, enrol(number=number)))
        await asyncio.sleep(0.01)
        assert await dora.tap(1_000 + number) == "read_for_assignment"
        await waiting
    assert await dora.tap(BOBS_CARD) == "granted"


async def test_a_command_that_fails_says_so(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)

    def broken(door: int) -> None:
        raise RuntimeError

    dora.store.mode = broken  # type: ignore[method-assign, assignment]
    assert await obeyed(dora, unlock()) == "reader_fault"
    assert not dora.wiring(FRONT).strike_is_on


async def test_a_code_is_decided_as_ever_while_a_reader_waits_for_a_card(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(), *BOBS)
    waiting = asyncio.create_task(obeyed(dora, enrol(0.1)))
    await asyncio.sleep(0.01)
    assert await dora.show(alice.invite()) == "granted"
    assert await waiting == "command_late"
    assert await dora.tap(BOBS_CARD) == "granted"
    assert await facts(dora, CardPresented) == []


async def test_a_card_shown_in_the_last_moment_counts(tmp_path: Path) -> None:
    dora = Dora(tmp_path)
    await dora.learn(door())
    await dora.written()
    dora.journal._commit_delay = 0.15
    waiting = asyncio.create_task(obeyed(dora, enrol(0.05)))
    await asyncio.sleep(0.02)
    await dora.tap(5)
    assert await waiting == "granted"
    await dora.close()


async def test_a_later_wish_to_enrol_takes_the_earlier_ones_place(dora: Dora) -> None:
    await dora.learn(door())
    first = asyncio.create_task(obeyed(dora, enrol(number=1)))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(obeyed(dora, enrol(number=2)))
    assert await first == "command_late"
    await dora.tap(5)
    assert await second == "granted"
    assert [fact.command for fact in await facts(dora, CardPresented)] == [2]  # type: ignore[union-attr]


async def test_a_program_that_ends_does_not_wait_for_a_card(dora: Dora) -> None:
    await dora.learn(door())
    waiting = asyncio.create_task(obeyed(dora, enrol(600)))
    await asyncio.sleep(0.01)
    async with asyncio.timeout(2):
        await dora.restart()
    assert await waiting == "command_late"


async def test_nothing_is_left_of_an_enrolled_cards_number_once_the_cloud_has_it(dora: Dora) -> None:
    await dora.learn(door())
    for restarts in (False, True):
        waiting = asyncio.create_task(obeyed(dora, enrol()))
        await asyncio.sleep(0.01)
        await dora.tap(BOBS_CARD)
        await waiting
        await dora.written()
        assert files_holding(dora.folder, BOBS_CARD)
        if restarts:
            await dora.restart()
            assert files_holding(dora.folder, BOBS_CARD)
        while (page := dora.journal.page(1_000, 1_000_000)) is not None:
            dora.journal.committed(page)
        await dora.written()
        assert files_holding(dora.folder, BOBS_CARD) == []


# Over the link


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@asynccontextmanager
async def linked(site: Site, alice: Organisation) -> AsyncIterator[Edge]:
    site.furnish(alice)
    for record in BOBS:
        site.peer.put(record.kind, record.key, record.body)
    site.peer.publish()
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        yield edge


async def test_the_cloud_hears_what_became_of_its_commands(site: Site, alice: Organisation) -> None:
    async with linked(site, alice):
        await site.peer.send(unlock(number=1))
        await site.peer.send(unlock(at=99, number=2))
        await site.peer.send(unlock(user=999, number=3))
        await site.peer.send(enrol(0.05, number=4))
        outcomes = await site.peer.until_outcomes(4)
        assert dict(outcomes) == {1: "granted", 2: "unknown_door", 3: "unknown_credential", 4: "command_late"}
        assert site.wiring(FRONT).strike_is_on
        found = await site.peer.until_fact(AccessDecided, 3)
        assert {fact.command for fact in found} == {1, 2, 3}  # type: ignore[union-attr]


async def test_a_command_that_comes_twice_acts_once(site: Site, alice: Organisation) -> None:
    async with linked(site, alice):
        for _ in range(3):
            await site.peer.send(unlock(number=1))
        await site.peer.send(unlock(number=2))
        await site.peer.until_fact(AccessDecided, 2)
        await asyncio.sleep(0.1)
        assert [fact.command for fact in site.peer.facts() if isinstance(fact, AccessDecided)] == [1, 2]
        assert site.peer.outcomes == [(1, "granted"), (2, "granted")]


async def test_a_reader_that_waits_for_a_card_holds_nothing_else_up(site: Site, alice: Organisation) -> None:
    async with linked(site, alice) as edge:
        await site.peer.send(enrol(5, number=1))
        await site.peer.send(unlock(number=2))
        assert await site.peer.until_outcomes(1) == [(2, "granted")]
        await edge.controller.present(FRONT, ENTRY, card=5)
        assert await site.peer.until_outcomes(2) == [(2, "granted"), (1, "granted")]
        [fact] = await site.peer.until_fact(CardPresented)
        assert isinstance(fact, CardPresented)
        assert (fact.command, fact.number) == (1, 5)


async def test_a_link_that_breaks_ends_no_unlock_halfway_and_repeats_none(site: Site, alice: Organisation) -> None:
    async with linked(site, alice) as edge:
        for number in range(1, 9):
            await site.peer.until_linked(number)
            await site.peer.send(unlock(number=number))
            await asyncio.sleep(0.002 * number)
            edge.link.up = False
            edge.link.up = True
        await site.peer.until_linked(9)
        await asyncio.sleep(0.3)
        told = [fact for fact in site.peer.facts() if isinstance(fact, AccessDecided)]
        assert len({fact.command for fact in told}) == len(told)
        assert {fact.reason for fact in told} <= {"granted"}
        assert {number for number, _ in site.peer.outcomes} <= {fact.command for fact in told}
