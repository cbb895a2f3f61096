"""Promises of a door to the people who work there: cards, PINs, permissions, schedules, all of it offline."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from random import Random

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
    holidays,
    mode,
    person,
    schedule,
    snapshot,
)

from latchwork.edge import store as stores
from latchwork.edge.records import unreadable
from latchwork.edge.store import Store
from latchwork.policy.model import Direction
from latchwork.wire import state
from latchwork.wire.facts import AccessDecided, RecordRejected, codec
from latchwork.wire.link import Changes, Record
from latchwork.wire.state import GrantRecord, PersonRecord, ScheduleRecord

ALWAYS = (((0, 1440),),) * 7
NEVER = ((),) * 7
BOBS = [card(BOBS_KEY, BOBS_CARD, BOB), person(BOB), grant(BOB)]


async def access(dora: Dora) -> list[AccessDecided]:
    await dora.written()
    return [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, AccessDecided)]


async def test_a_card_opens_where_its_holder_has_a_permission_and_nowhere_else(dora: Dora) -> None:
    await dora.learn(door(), door(LAB), *BOBS)
    assert await dora.tap(BOBS_CARD, at=LAB) == "no_permission"
    assert not dora.wiring(LAB).strike_is_on
    assert await dora.tap(BOBS_CARD) == "granted"
    assert dora.wiring(FRONT).strike_is_on


async def test_the_journal_tells_who_it_was_and_never_the_number(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    await dora.tap(BOBS_CARD)
    await dora.tap(BOBS_CARD ^ 1)
    known, unknown = await access(dora)
    assert (known.credential, known.user, known.card) == ("card", BOB, BOBS_KEY)
    assert (unknown.credential, unknown.user, unknown.card) == ("card", None, None)
    for body in dora.bodies():
        assert not holds(body, BOBS_CARD)
        assert not holds(body, BOBS_CARD ^ 1)


async def test_several_cards_of_one_person_open_alike(dora: Dora) -> None:
    await dora.learn(door(), *BOBS, card("9002", 17, BOB))
    assert [await dora.tap(number) for number in (BOBS_CARD, 17)] == ["granted", "granted"]
    assert [fact.card for fact in await access(dora)] == [BOBS_KEY, "9002"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_active": False}, "deactivated"),
        ({"expires_at": int(NOW)}, "access_expired"),
        ({"ways": ("mobile", "remote")}, "way_off"),
        ({"ways": ()}, "way_off"),
        ({"ways": ("card", "levitation")}, "granted"),
        ({"expires_at": int(NOW) + 1}, "granted"),
    ],
)
async def test_a_person_is_refused_whatever_they_may_open(dora: Dora, changes: dict[str, object], reason: str) -> None:
    await dora.learn(door(), card(BOBS_KEY, BOBS_CARD, BOB), grant(BOB), person(BOB, **changes))
    assert await dora.tap(BOBS_CARD) == reason


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"starts_at": int(NOW) + 1}, "permission_not_begun"),
        ({"ends_at": int(NOW)}, "permission_ended"),
        ({"starts_at": int(NOW), "ends_at": int(NOW) + 1}, "granted"),
        ({"schedule": 1}, "granted"),
        ({"schedule": 2}, "outside_schedule"),
        ({"schedule": 3}, "no_permission"),
    ],
)
async def test_a_permission_holds_in_its_time(dora: Dora, limits: dict[str, int], reason: str) -> None:
    people = [card(BOBS_KEY, BOBS_CARD, BOB), person(BOB), grant(BOB, **limits)]
    await dora.learn(door(), schedule(1, ALWAYS), schedule(2, NEVER), *people)
    assert await dora.tap(BOBS_CARD) == reason


async def test_a_schedule_is_told_in_the_sites_time_and_a_holiday_replaces_its_day(dora: Dora) -> None:
    """NOW is Friday, 15 January 2027, 08:00 UTC: 17:00 in Tokyo, where Lab stands."""
    evenings = tuple(((1020, 1080),) for _ in range(7))
    people = [card(BOBS_KEY, BOBS_CARD, BOB), person(BOB), grant(BOB, schedule=1), grant(BOB, LAB, schedule=1)]
    doors = [door(), door(LAB, site=2, timezone="Asia/Tokyo")]
    await dora.learn(*doors, *people, schedule(1, evenings))
    assert await dora.tap(BOBS_CARD) == "outside_schedule"
    assert await dora.tap(BOBS_CARD, at=LAB) == "granted"
    await dora.store.apply(delta(holidays(2, date(2027, 1, 15).toordinal())))
    assert await dora.tap(BOBS_CARD, at=LAB) == "outside_schedule"
    await dora.store.apply(delta(*gone(holidays(2)), schedule(1, NEVER), revision=3))
    assert await dora.tap(BOBS_CARD, at=LAB) == "outside_schedule", "a changed schedule holds at once"


async def test_a_door_that_needs_a_pin_opens_for_card_and_pin_only(dora: Dora) -> None:
    await dora.learn(door(needs_pin=True), door(LAB), *BOBS[::2], grant(BOB, LAB), person(BOB, pin="4711"))
    assert await dora.tap(BOBS_CARD) == "pin_needed"
    assert await dora.tap(BOBS_CARD, "4712") == "pin_wrong"
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.tap(BOBS_CARD, "4711") == "granted"
    assert await dora.tap(BOBS_CARD, "4712", at=LAB) == "granted", "where none is needed none is looked at"


async def test_people_come_and_go_while_the_door_is_offline_and_restarts(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    await dora.restart()
    assert await dora.tap(BOBS_CARD) == "granted", "a permission without a time needs no clock"
    dora.clock._system = lambda: NOW + 86400.0
    assert await dora.tap(BOBS_CARD) == "granted"
    await dora.store.apply(delta(person(BOB, is_active=False)))
    await dora.restart()
    assert await dora.tap(BOBS_CARD) == "deactivated"


async def test_a_permission_with_a_time_waits_for_the_clock(dora: Dora) -> None:
    await dora.learn(
        door(), door(LAB, degraded="admit"), *BOBS[:2], grant(BOB, ends_at=int(NOW) + 9), grant(BOB, LAB, schedule=1)
    )
    await dora.restart()
    assert await dora.tap(BOBS_CARD) == "clock_untrusted"
    assert await dora.tap(BOBS_CARD, at=LAB) == "no_permission", "even a door that admits in doubt wants its schedule"


async def test_a_card_taken_from_one_and_given_to_another_is_the_others(dora: Dora) -> None:
    await dora.learn(door(), *BOBS, person(41), grant(41))
    await dora.store.apply(delta(*gone(BOBS[0]), card("9002", BOBS_CARD, 41)))
    assert await dora.tap(BOBS_CARD) == "granted"
    assert (await access(dora))[0].user == 41


async def test_a_card_whose_number_is_changed_is_found_by_the_new_one_only(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    await dora.store.apply(delta(card(BOBS_KEY, 77, BOB)))
    assert [await dora.tap(number) for number in (BOBS_CARD, 77)] == ["unknown_credential", "granted"]


@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("is_snapshot", [True, False])
async def test_two_cards_with_one_number_open_nothing_and_are_reported(
    dora: Dora, is_snapshot: bool, chunks: int
) -> None:
    double = card("9002", BOBS_CARD, 41)
    base = [door(), *BOBS, person(41), grant(41)]
    await dora.learn(*base)
    records = [*base, double] if is_snapshot else [double]
    for number in range(chunks):
        part = records[number::chunks]
        await dora.store.apply(Changes(2, b"m", part, is_snapshot, number == 0, number == chunks - 1))
    assert await dora.tap(BOBS_CARD) == "unknown_credential"
    await dora.written()
    rejected = [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, RecordRejected)]
    assert {(fact.kind, fact.key) for fact in rejected} == {("card", BOBS_KEY), ("card", "9002")}
    await dora.store.apply(delta(*gone(double, revision=3), revision=3))
    assert await dora.tap(BOBS_CARD) == "granted"


@pytest.mark.parametrize("number", [-1, 2**63, 2**64, 2**80])
async def test_a_number_that_no_card_can_have_is_unknown(dora: Dora, number: int) -> None:
    await dora.learn(door(), *BOBS)
    assert await dora.tap(number) == "unknown_credential"


MALFORMED = [
    (Record("person", str(BOB), 1, b"?"), "unknown_credential"),
    (Record("person", str(BOB), 1, door().body), "unknown_credential"),
    (Record("card", BOBS_KEY, 1, b"?"), "unknown_credential"),
    (card(BOBS_KEY, -5, BOB), "unknown_credential"),
    (card(BOBS_KEY, 2**63, BOB), "unknown_credential"),
    (card(BOBS_KEY, BOBS_CARD, -1), "unknown_credential"),
    (Record("grant", f"{BOB}.{FRONT}", 1, b"?"), "no_permission"),
    (Record("grant", f"{BOB}.{FRONT}", 1, person(BOB).body), "no_permission"),
    (Record("schedule", "1", 1, b"?"), "no_permission"),
    (schedule(1, ALWAYS[:6]), "no_permission"),
    (schedule(1, (*ALWAYS[:6], ((-1, 5),))), "no_permission"),
    (schedule(1, (*ALWAYS[:6], ((0, 2881),))), "no_permission"),
    (schedule(1, (*ALWAYS[:6], ((600, 600),))), "no_permission"),
    (Record("holidays", "1", 1, b"?"), "no_permission"),
    (holidays(1, 0), "no_permission"),
    (holidays(1, 2**40), "no_permission"),
    (Record("mode", str(FRONT), 1, b"?"), "lockdown"),
    (Record("mode", str(FRONT), 1, b"\x82\xa4type\xa4mode\xa4mode\xa6ajarrr"), "lockdown"),
]


@pytest.mark.parametrize(("record", "reason"), MALFORMED, ids=lambda each: getattr(each, "kind", each))
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_malformed_record_denies_its_subject_and_is_reported(
    dora: Dora, record: Record, reason: str, trusted: bool
) -> None:
    good = {
        (each.kind, each.key): each
        for each in (
            door(degraded="admit"),
            *BOBS[:2],
            grant(BOB, schedule=1),
            schedule(1, ALWAYS),
            holidays(1),
            mode(FRONT, "access_control"),
        )
    }
    await dora.learn(*(good | {(record.kind, record.key): record}).values())
    if not trusted:
        await dora.restart()
    assert await dora.tap(BOBS_CARD) == reason
    assert not dora.wiring(FRONT).strike_is_on
    await dora.written()
    rejected = [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, RecordRejected)]
    assert [(fact.kind, fact.key) for fact in rejected] == [(record.kind, record.key)]


def test_grants_and_people_under_strange_keys_are_unreadable() -> None:
    body, who = state.codec.encode(GrantRecord()), state.codec.encode(PersonRecord())
    strange = [
        Record("grant", key, 1, body) for key in ("", "40", "40.", ".1", "040.1", "40.1.2", "40.x", "٤.1", "40.-1")
    ]
    strange += [Record("person", key, 1, who) for key in ("", "bob", "040", "-4", "9" * 40)]
    strange += [Record("schedule", "x", 1, state.codec.encode(ScheduleRecord(ALWAYS)))]
    assert unreadable(strange) == strange


# Gone is gone


def holds(content: bytes, number: int) -> bool:
    """True when a number is there in any form that msgpack, SQLite or a text would give it."""
    size = (number.bit_length() + 7) // 8
    whole = [number.to_bytes(size, order) for order in ("big", "little")]
    return any(form in content for form in (*whole, str(number).encode(), f"{number:x}".encode()))


def files_holding(folder: Path, number: int) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and holds(file.read_bytes(), number)]


async def test_no_byte_of_the_files_holds_the_number_of_a_card_that_was_removed(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    assert await dora.tap(BOBS_CARD) == "granted"
    assert files_holding(dora.folder, BOBS_CARD) == [], "not even while it opens doors"
    await dora.store.apply(delta(*gone(*BOBS)))
    await dora.written()
    assert files_holding(dora.folder, BOBS_CARD) == []
    again = delta(*BOBS[:1], Record("revocation", str(BOBS_CARD), 3, b"?"), revision=3)
    await dora.store.apply(again)
    assert files_holding(dora.folder, BOBS_CARD), "else this test would find nothing"


PIN = bytes.fromhex("5be1d10c9a3e47f08c2d6b1f90e7a4d3")
WITH_PIN = person(BOB, pin_salt=bytes(16), pin_hash=PIN)
PIN_NUMBER = int.from_bytes(PIN, "big")


async def test_nothing_is_left_of_a_person_after_a_removal_a_change_or_a_snapshot_without_them(dora: Dora) -> None:
    await dora.learn(door(), WITH_PIN)
    assert files_holding(dora.folder, PIN_NUMBER)
    await dora.store.apply(delta(person(BOB)))
    assert files_holding(dora.folder, PIN_NUMBER) == []
    await dora.store.apply(delta(WITH_PIN, revision=3))
    await dora.store.apply(delta(*gone(WITH_PIN), revision=4))
    assert files_holding(dora.folder, PIN_NUMBER) == []
    await dora.store.apply(delta(WITH_PIN, revision=5))
    await dora.store.apply(snapshot(door(), revision=6))
    assert files_holding(dora.folder, PIN_NUMBER) == []
    await dora.store.apply(Changes(7, b"m", [WITH_PIN], first=True, last=False))
    await dora.store.apply(Changes(7, b"m", gone(WITH_PIN), first=False, last=True))
    assert files_holding(dora.folder, PIN_NUMBER) == []


async def test_what_was_only_staged_is_gone_with_the_next_batch(dora: Dora) -> None:
    await dora.learn(door())
    await dora.store.apply(Changes(9, b"m", [WITH_PIN, BOBS[0]], True, first=True, last=False))
    assert files_holding(dora.folder, PIN_NUMBER)
    await dora.restart()
    assert await dora.tap(BOBS_CARD) == "unknown_credential"
    await dora.store.apply(delta(door(LAB)))
    assert files_holding(dora.folder, PIN_NUMBER) == []


async def test_a_large_file_is_tidied_later_and_also_after_a_restart(
    dora: Dora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_SMALL", 0)
    monkeypatch.setattr(stores, "TIDY_SECONDS", 0.05)
    await dora.learn(door(), WITH_PIN)
    await dora.store.apply(delta(*gone(WITH_PIN)))
    await dora.restart()
    assert untidy(dora)
    dora.store.tidy_later()
    await asyncio.sleep(0.1)
    await dora.store.settled()
    assert not untidy(dora)
    assert list(dora.store.doors()) == [FRONT]


def untidy(dora: Dora) -> bool:
    return bool(dora.store._reader.execute("select untidy from held").fetchall()[0][0])


async def test_a_file_that_was_set_aside_goes_when_a_snapshot_has_replaced_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.apply_now(snapshot(door(), WITH_PIN))
    store.close()
    content = (tmp_path / "state.db").read_bytes()
    (tmp_path / "state.db").write_bytes(b"?" * 100 + content[100:])
    again = Store(tmp_path / "state.db")
    assert files_holding(tmp_path, PIN_NUMBER)
    again.apply_now(snapshot(door()))
    assert files_holding(tmp_path, PIN_NUMBER) == []
    again.close()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_and_goes_around_it_nothing_is_left_of_a_removed_person(tmp_path: Path, seed: int) -> None:
    """Pages split and merge while thousands come and go; SQLite overwrites less than one would think."""
    random, live, removed = Random(seed), {}, set()
    store = Store(tmp_path / "state.db")
    for revision in range(1, 25):
        come = {random.getrandbits(40): random.randbytes(16) for _ in range(150)}
        leave = random.sample(sorted(live), min(len(live), 140))
        people = [person(user, pin_salt=bytes(16), pin_hash=pin) for user, pin in come.items()]
        tombstones = [Record("person", str(user), revision, None) for user in leave]
        store.apply_now(Changes(revision, b"m", people + tombstones))
        removed |= {live.pop(key) for key in leave}
        live |= come
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [pin for pin in live.values() if pin not in content] == []
    assert [pin for pin in removed if pin in content] == []
    store.close()


# Guessing


async def test_ten_unknown_cards_slow_the_reader_for_a_while(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(), door(LAB), *BOBS, grant(BOB, LAB))
    for number in range(10):
        assert await dora.tap(number) == "unknown_credential"
    assert await dora.tap(BOBS_CARD) == "slowed_down"
    assert await dora.tap(BOBS_CARD, at=LAB) == "granted", "another reader"
    assert await dora.tap(BOBS_CARD, direction=Direction.EXIT) == "granted", "the reader on the other side"
    assert await dora.show(alice.invite()) == "granted", "a signature is not guessed"
    dora.time.elapsed += 29
    assert await dora.tap(BOBS_CARD) == "slowed_down"
    dora.time.elapsed += 1
    assert await dora.tap(BOBS_CARD) == "granted"


async def test_a_few_unknown_cards_now_and_then_slow_nobody(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    for number in range(40):
        dora.time.elapsed += 7
        assert await dora.tap(number) == "unknown_credential"
    assert await dora.tap(BOBS_CARD) == "granted"


async def test_whoever_shows_unknown_cards_again_and_again_never_shuts_the_reader_for_longer(dora: Dora) -> None:
    await dora.learn(door(), *BOBS)
    for _ in range(5):
        while await dora.tap(5) == "unknown_credential":
            pass
        dora.time.elapsed += 29
        assert await dora.tap(BOBS_CARD) == "slowed_down"
        dora.time.elapsed += 1
        assert await dora.tap(BOBS_CARD) == "granted"


PIN_DOORS = [door(needs_pin=True), door(LAB, needs_pin=True), *BOBS[::2], grant(BOB, LAB), person(BOB, pin="4711")]


async def test_five_wrong_pins_slow_the_card_at_every_door_even_for_its_holder(dora: Dora) -> None:
    await dora.learn(*PIN_DOORS, card("9002", 77, 41), person(41, pin="1111"), grant(41))
    for attempt in range(5):
        assert await dora.tap(BOBS_CARD, f"000{attempt}", at=(FRONT, LAB)[attempt % 2]) == "pin_wrong"
    for at in (FRONT, LAB):
        assert await dora.tap(BOBS_CARD, "4711", at=at) == "slowed_down"
    assert await dora.tap(77, "1111") == "granted", "another card"
    dora.time.elapsed += 30
    assert await dora.tap(BOBS_CARD, "0006") == "pin_wrong"
    dora.time.elapsed += 59
    assert await dora.tap(BOBS_CARD, "4711") == "slowed_down"
    dora.time.elapsed += 1
    assert await dora.tap(BOBS_CARD, "4711") == "granted"
    assert await dora.tap(BOBS_CARD, "0007") == "pin_wrong"
    assert await dora.tap(BOBS_CARD, "4711") == "granted", "the right one forgave the others"


async def test_wrong_pins_shut_no_door_that_asks_for_none(dora: Dora) -> None:
    await dora.learn(door(needs_pin=True), door(LAB), *BOBS[::2], grant(BOB, LAB), person(BOB, pin="4711"))
    for _ in range(6):
        await dora.tap(BOBS_CARD, "0000")
    assert await dora.tap(BOBS_CARD, "4711") == "slowed_down"
    assert await dora.tap(BOBS_CARD, at=LAB) == "granted"


async def test_who_has_no_pin_is_told_so_and_slowed_by_nothing(dora: Dora) -> None:
    await dora.learn(door(needs_pin=True), *BOBS)
    for _ in range(8):
        assert await dora.tap(BOBS_CARD, "0000") == "pin_not_set"
    assert dora.journal.misses() == {}


async def test_a_power_cut_makes_nobody_guess_faster(dora: Dora) -> None:
    await dora.learn(*PIN_DOORS)
    for attempt in range(5):
        assert await dora.tap(BOBS_CARD, f"000{attempt}") == "pin_wrong"
        await dora.restart()
    assert await dora.tap(BOBS_CARD, "4711") == "slowed_down"
    await dora.restart()
    dora.clock.hear(NOW + 31, 0)
    assert await dora.tap(BOBS_CARD, "4711") == "granted"
    await dora.restart()
    assert await dora.tap(BOBS_CARD, "0000") == "pin_wrong"
    assert await dora.tap(BOBS_CARD, "4711") == "granted"


async def test_a_wrong_pin_is_on_the_disk_before_the_reader_says_so(dora: Dora) -> None:
    await dora.learn(*PIN_DOORS)
    for attempt in range(3):  # within the second in which equal refusals are one fact
        assert await dora.tap(BOBS_CARD, "0000") == "pin_wrong"
        assert dora.journal.misses()[BOBS_KEY].count == attempt + 1


async def test_wrong_pins_at_two_doors_at_once_all_count(dora: Dora) -> None:
    await dora.learn(*PIN_DOORS)
    told = await asyncio.gather(*(dora.tap(BOBS_CARD, "0000", at=(FRONT, LAB)[n % 2]) for n in range(12)))
    assert told.count("pin_wrong") == 5
    assert told.count("slowed_down") == 7


async def test_wrong_pins_are_forgotten_after_a_day(dora: Dora) -> None:
    await dora.learn(*PIN_DOORS)
    for _ in range(4):
        await dora.tap(BOBS_CARD, "0000")
    dora.time.elapsed += 86401
    await dora.written()
    assert dora.journal.misses() == {}
    assert await dora.tap(BOBS_CARD, "0000") == "pin_wrong"
    assert await dora.tap(BOBS_CARD, "4711") == "granted"


async def test_a_forgotten_pin_is_no_wrong_one(dora: Dora) -> None:
    await dora.learn(*PIN_DOORS)
    for _ in range(8):
        assert await dora.tap(BOBS_CARD) == "pin_needed"
    assert await dora.tap(BOBS_CARD, "4711") == "granted"


async def test_a_clock_that_was_far_ahead_slows_nobody_for_ever(dora: Dora) -> None:
    await dora.learn(*PIN_DOORS)
    dora.clock.advance(10 * 366 * 86400)
    for _ in range(6):
        await dora.tap(BOBS_CARD, "0000")
    for number in range(10):
        await dora.tap(number)
    dora.clock.advance(-10 * 366 * 86400)
    assert await dora.tap(BOBS_CARD, "4711") == "granted"
