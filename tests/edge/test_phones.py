"""Promises of a door to phones that prove themselves over Bluetooth: who opens it, how it is steered, what is told."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.edge.cast import (
    BOB,
    BOBS_CARD,
    ENTRY,
    FRONT,
    LAB,
    NOW,
    Dora,
    Organisation,
    Phone,
    converse,
    delta,
    door,
    gone,
    grant,
    mode,
    person,
)
from tests.edge.site import Site

from latchwork.edge.attempts import COMMIT_SECONDS, OutcomeUnknown
from latchwork.edge.enrol import own_key
from latchwork.edge.tap import Place
from latchwork.policy.model import Ask, Direction
from latchwork.wire import p256
from latchwork.wire.facts import AccessDecided, DoorChanged, StrikeWithheld, codec
from latchwork.wire.link import Record
from latchwork.wire.tap import RSSI_UNKNOWN, Request, TapFailed, TapFailure

WAYS = ("mobile", "card", "remote", "tap")
CLICK = Request(from_afar=True)
HOLD, LOCK, NORMAL = (Request(ask) for ask in (Ask.HOLD_OPEN, Ask.LOCK, Ask.NORMAL))


@pytest.fixture
def bob(alice: Organisation) -> Phone:
    return Phone(alice)


def bobs(dora: Dora, bob: Phone, **changes: object) -> list[Record]:
    """Bob, who may open the front door with his phone, and both doors' readers."""
    values: dict[str, object] = {"ways": WAYS, "click_range": 5}
    readers = [bob.owner.certify(dora.reader_key.public_key(), at, issued_at=NOW) for at in (FRONT, LAB)]
    return [door(), door(LAB), person(BOB, **values | changes), grant(BOB), *bob.records, *readers]


async def access(dora: Dora) -> list[AccessDecided]:
    await dora.written()
    return [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, AccessDecided)]


async def test_a_phone_opens_where_its_user_has_a_permission_and_nowhere_else(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    assert await dora.hold(bob, at=LAB) == "no_permission"
    assert not dora.wiring(LAB).strike_is_on
    assert await dora.hold(bob) == "granted"
    assert dora.wiring(FRONT).strike_is_on


async def test_the_journal_tells_whose_phone_it_was_and_how_it_was_used(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await dora.hold(bob)
    await dora.hold(bob, CLICK)
    await dora.hold(bob, replace(LOCK, from_afar=True))
    await dora.hold(Phone(bob.owner))
    tap, click, lock, stranger = await access(dora)
    assert (tap.credential, tap.user, tap.phone, tap.manner, tap.ask) == ("phone", BOB, bob.tap_kid, "tap", "open")
    assert (click.manner, click.ask, click.reason) == ("click", "open", "granted")
    assert (lock.manner, lock.ask, lock.reason) == ("click", "lock", "granted")
    assert (stranger.credential, stranger.user, stranger.phone, stranger.reason) == ("phone", None, None, "lockdown")


@pytest.mark.parametrize(
    ("changes", "request_", "rssi", "reason"),
    [
        ({}, Request(), RSSI_UNKNOWN, "granted"),
        ({}, Request(), -64, "granted"),
        ({}, Request(), -66, "too_far"),
        ({}, Request(rssi=-66), -40, "too_far"),
        ({}, Request(rssi=-66), RSSI_UNKNOWN, "too_far"),
        ({}, Request(rssi=-40), -66, "too_far"),
        ({}, CLICK, -66, "granted"),
        ({}, CLICK, -80, "too_far"),
        ({}, CLICK, RSSI_UNKNOWN, "too_far"),
        ({"click_range": 10}, CLICK, RSSI_UNKNOWN, "granted"),
        ({"click_range": 0}, CLICK, -50, "way_off"),
        ({"click_range": 0}, Request(), -50, "granted"),
        ({"ways": ("mobile",)}, Request(), -50, "way_off"),
        ({"ways": ("mobile",)}, CLICK, -50, "granted"),
        ({"ways": ("tap",)}, Request(), -50, "way_off"),
        ({"is_active": False}, Request(), -50, "deactivated"),
        ({"expires_at": int(NOW)}, Request(), -50, "access_expired"),
        ({}, HOLD, -50, "not_your_role"),
        ({"steers": (2,)}, LOCK, -50, "not_your_role"),
        ({"steers": (1,)}, HOLD, -50, "granted"),
        ({"steers_everywhere": True}, HOLD, -50, "granted"),
        ({}, Request(access_point=3), -50, "unknown_door"),
        ({}, Request(access_point=2**64 - 1), -50, "unknown_door"),
        ({}, Request(access_point=FRONT), -50, "granted"),
    ],
)
async def test_a_phone_is_used_as_its_user_may(
    dora: Dora, bob: Phone, changes: dict[str, object], request_: Request, rssi: int, reason: str
) -> None:
    await dora.learn(*bobs(dora, bob, **changes))
    assert await dora.hold(bob, request_, rssi=rssi) == reason
    assert dora.wiring(FRONT).strike_is_on is (reason == "granted")


async def test_a_reader_is_asked_for_another_door_from_afar_only(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, click_range=0), grant(BOB, LAB))
    other = Request(access_point=LAB)
    assert await dora.hold(bob, other) == "way_off", "it is held to another door's reader"
    await dora.store.apply(delta(person(BOB, ways=WAYS, click_range=5)))
    assert await dora.hold(bob, other) == "granted"
    assert dora.wiring(LAB).strike_is_on
    assert not dora.wiring(FRONT).strike_is_on
    assert [fact.manner for fact in await access(dora)] == ["click", "click"]


async def test_a_removed_phone_a_strangers_and_another_organisations_open_nothing(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    strangers = Phone(bob.owner)
    assert await dora.hold(strangers) == "unknown_credential"
    await dora.store.apply(delta(*gone(*bob.records)))
    assert await dora.hold(bob) == "unknown_credential"
    charlies = Phone(Organisation())
    with pytest.raises(TapFailed) as failed:
        await dora.hold(charlies)
    assert failed.value.failure is TapFailure.NOT_TRUSTED, (
        "who does not know the organisation does not say who they are"
    )


async def test_a_key_that_only_shares_a_phones_kid_is_not_that_phone(
    dora: Dora, bob: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kid has 8 bytes: with many phones about, somebody patient finds a key with the kid of one of them."""
    await dora.learn(*bobs(dora, bob))
    kid, of_readers = bytes.fromhex(bob.tap_kid), p256.kid(p256.public_bytes(bob.owner.readers_key.public_key()))
    readers = p256.public_bytes(bob.owner.readers_key.public_key())
    monkeypatch.setattr(p256, "kid", lambda point: of_readers if point == readers else kid)
    assert await dora.hold(Phone(bob.owner)) == "unknown_credential"
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.hold(bob) == "granted"


async def test_each_of_a_phones_keys_is_good_for_its_purpose_only(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    swapped = Phone(bob.owner, BOB, bob.code_key, bob.tap_key)
    assert await dora.hold(swapped) == "unknown_credential"
    assert await dora.show(swapped.code()) == "pass_unknown_key"


async def test_nothing_is_left_of_a_phone_that_was_removed(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    secret = p256.public_bytes(bob.tap_key.public_key())
    assert any(secret in file.read_bytes() for file in dora.folder.rglob("state*"))
    await dora.store.apply(delta(*gone(*bob.records)))
    assert not any(secret in file.read_bytes() for file in dora.folder.rglob("*") if file.is_file())


async def test_a_lost_link_and_a_restart_change_nothing(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    await dora.restart()
    assert await dora.hold(bob) == "granted"


# Readers


async def test_a_reader_without_a_certificate_talks_to_nobody(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    assert dora.readers.begin(Place(FRONT, Direction.EXIT)) is None
    assert dora.readers.begin(Place(77, ENTRY)) is None
    assert dora.readers.certified() == {Place(FRONT, ENTRY), Place(LAB, ENTRY)}
    await dora.store.apply(delta(Record("reader", f"{FRONT}.entry", 2)))
    assert dora.readers.begin(Place(FRONT, ENTRY)) is None


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({}, None),
        ({"issued_at": NOW - 400 * 86400}, TapFailure.NOT_TRUSTED),
        ({"issued_at": NOW + 301}, TapFailure.NOT_TRUSTED),
        ({"issued_at": NOW + 299}, None),
        ({"issued_at": NOW - 1000, "lives": 701}, None),
        ({"issued_at": NOW - 1000, "lives": 700}, TapFailure.NOT_TRUSTED),
        ({"site": 2}, TapFailure.NOT_TRUSTED),
        ({"organisation": 2}, TapFailure.NOT_TRUSTED),
        ({"direction": Direction.EXIT}, TapFailure.NOT_TRUSTED),
        ({"door": LAB}, TapFailure.NOT_TRUSTED),
    ],
)
async def test_a_phone_says_nothing_to_a_reader_without_a_good_certificate(
    dora: Dora, bob: Phone, changes: dict[str, object], failure: TapFailure | None
) -> None:
    made = bob.owner.certify(dora.reader_key.public_key(), **{"issued_at": NOW} | changes)  # type: ignore[arg-type]
    await dora.learn(*bobs(dora, bob)[:-2], Record("reader", f"{FRONT}.entry", 1, made.body))
    if failure is None:
        assert await dora.hold(bob) == "granted"
        return
    with pytest.raises(TapFailed) as failed:
        await dora.hold(bob)
    assert failed.value.failure is failure
    assert not dora.wiring(FRONT).strike_is_on


async def test_a_reader_with_another_key_than_its_certificate_is_found_out(dora: Dora, bob: Phone) -> None:
    stolen = bob.owner.certify(p256.new_key().public_key(), issued_at=NOW)
    await dora.learn(*bobs(dora, bob)[:-2], stolen)
    with pytest.raises(TapFailed) as failed:
        await dora.hold(bob)
    assert failed.value.failure is TapFailure.FORGED


async def test_who_is_certified_by_somebody_else_is_not_trusted(dora: Dora, bob: Phone) -> None:
    forged = Organisation().certify(dora.reader_key.public_key(), issued_at=NOW)
    await dora.learn(*bobs(dora, bob)[:-2], forged)
    with pytest.raises(TapFailed) as failed:
        await dora.hold(bob)
    assert failed.value.failure is TapFailure.NOT_TRUSTED


# Local modes


async def changes(dora: Dora) -> list[str]:
    await dora.written()
    return [fact.change for fact in map(codec.decode, dora.bodies()) if isinstance(fact, DoorChanged)]


async def test_a_door_that_is_held_open_stays_so_until_it_is_normal_again(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    assert await dora.hold(bob, HOLD) == "granted"
    assert dora.wiring(FRONT).strike_is_on
    assert await dora.hold(bob, LOCK) == "granted"
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.hold(bob) == "lockdown"
    assert await dora.hold(bob, HOLD) == "lockdown", "a lockdown is ended first"
    assert await dora.hold(bob, NORMAL) == "granted"
    assert not dora.wiring(FRONT).strike_is_on, "it decides by attempt, and opens for nobody by itself"
    assert await dora.hold(bob) == "granted"
    assert await changes(dora) == ["held_open", "locked_down", "normal"]


async def test_a_phones_mode_goes_over_the_clouds_until_the_cloud_has_taken_it_over(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)), mode(FRONT, "unlocked"))
    assert await dora.hold(bob, LOCK) == "granted"
    assert not dora.wiring(FRONT).strike_is_on
    await dora.store.apply(delta(mode(FRONT, "unlocked", NOW + 600), person(77)))
    for _ in range(3):
        dora.controller.hear(ticked=True)
    assert not dora.wiring(FRONT).strike_is_on, "the cloud does not know of it yet"
    dora.commit()
    taken_over = Record("mode", str(FRONT), 9, mode(FRONT, "locked").body)
    await dora.store.apply(delta(taken_over, revision=3))
    assert await dora.hold(bob) == "lockdown"
    await dora.store.apply(delta(*gone(taken_over, revision=4), revision=4))
    assert await dora.hold(bob) == "granted", "what the cloud says holds again"


async def test_a_mode_that_somebody_set_later_in_the_cloud_holds_when_the_fact_is_there(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await dora.hold(bob, LOCK)
    await dora.written()
    await dora.store.apply(delta(replace_revision(mode(FRONT, "unlocked"), 2)))
    assert not dora.wiring(FRONT).strike_is_on
    dora.commit()
    dora.controller.hear(ticked=True)
    assert dora.wiring(FRONT).strike_is_on


async def test_what_was_set_before_a_phone_asked_and_is_heard_of_later_never_holds(dora: Dora, bob: Phone) -> None:
    """While the door was out of reach somebody let it stand open, and then Bob locked it with his phone."""
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await dora.hold(bob, LOCK)
    await dora.written()
    await dora.store.apply(delta(replace_revision(mode(FRONT, "unlocked"), 2)))
    dora.commit(revision=3)
    dora.controller.hear(ticked=False)
    await dora.store.apply(delta(person(77), revision=2))
    assert not dora.wiring(FRONT).strike_is_on, "what became of Bob's request is still under way"
    await dora.store.apply(delta(replace_revision(mode(FRONT, "locked"), 3), revision=3))
    assert await dora.hold(bob) == "lockdown"
    await dora.store.apply(delta(*gone(replace_revision(mode(FRONT, "locked"), 4), revision=4), revision=4))
    assert await dora.hold(bob) == "granted", "it is the cloud's again"


@pytest.mark.parametrize("asked", [HOLD, NORMAL])
async def test_a_lockdown_that_comes_after_a_phone_was_here_holds_at_once(
    dora: Dora, bob: Phone, asked: Request
) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)), mode(FRONT, "locked"))
    await dora.hold(bob, NORMAL)
    await dora.hold(bob, asked)
    assert await dora.hold(bob) == "granted", "a lockdown that they knew of is over"
    await dora.store.apply(delta(replace_revision(mode(FRONT, "locked"), 2)))
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.hold(bob) == "lockdown"
    await dora.restart()
    assert await dora.hold(bob) == "lockdown"
    assert await dora.hold(bob, NORMAL) == await dora.hold(bob) == "granted", "until somebody who knows of it ends it"


async def test_what_the_cloud_has_taken_over_ends_in_the_cloud_whatever_comes_first(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await dora.hold(bob, HOLD)
    await dora.written()
    taken_over = replace_revision(mode(FRONT, "unlocked"), 2)
    await dora.store.apply(delta(taken_over))
    dora.commit()
    dora.controller.hear(ticked=False)
    assert dora.wiring(FRONT).strike_is_on
    await dora.store.apply(delta(*gone(taken_over, revision=3), revision=3))
    assert not dora.wiring(FRONT).strike_is_on


def replace_revision(record: Record, revision: int) -> Record:
    return Record(record.kind, record.key, revision, record.body)


async def test_where_the_cloud_sets_nothing_a_phones_mode_ends_with_the_second_tick(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await dora.hold(bob, HOLD)
    dora.controller.hear(ticked=True)
    dora.controller.hear(ticked=True)
    assert dora.wiring(FRONT).strike_is_on, "the cloud has no fact yet"
    dora.commit()
    dora.controller.hear(ticked=True)
    assert dora.wiring(FRONT).strike_is_on, "what it makes of it may be under way"
    dora.controller.hear(ticked=True)
    assert not dora.wiring(FRONT).strike_is_on


@pytest.mark.parametrize("sets", [True, False])
async def test_over_the_link_a_phones_mode_becomes_the_clouds(bob: Phone, tmp_path: Path, sets: bool) -> None:
    site, place = Site(tmp_path), Place(FRONT, ENTRY)
    site.furnish(bob.owner)
    reader = own_key(tmp_path / "reader.key").public_key()
    who = person(BOB, ways=WAYS, steers_everywhere=True)
    for record in [who, grant(BOB), *bob.records, bob.owner.certify(reader)]:
        site.peer.put(record.kind, record.key, record.body)
    site.peer.publish()
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        door = site.wiring(FRONT)
        assert await converse(edge.readers, place, bob.side(HOLD)) == "granted"
        await site.peer.until_fact(AccessDecided)
        assert door.strike_is_on
        if sets:
            for body in (mode(FRONT, "unlocked").body, None):
                site.peer.put("mode", FRONT, body)
                site.peer.publish()
                await site.peer.until_applied()
                assert door.strike_is_on is (body is not None)
            return
        await site.peer.tick()
        await asyncio.sleep(0.1)
        assert door.strike_is_on
        await site.peer.tick()
        async with asyncio.timeout(30):
            while door.strike_is_on:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_phones_mode_survives_a_restart_without_the_cloud(dora: Dora, bob: Phone, taken: bool) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)), grant(BOB, LAB))
    await dora.hold(bob, HOLD)
    await dora.hold(bob, LOCK, at=LAB)
    if taken:
        dora.commit()
        await dora.written()
    await dora.restart()
    assert dora.wiring(FRONT).strike_is_on
    assert await dora.hold(bob, at=LAB) == "lockdown"
    dora.commit()
    dora.controller.hear(ticked=True)
    dora.controller.hear(ticked=True)
    assert not dora.wiring(FRONT).strike_is_on
    await dora.written()
    await dora.restart()
    assert not dora.wiring(FRONT).strike_is_on, "an ended one is forgotten"


async def test_the_latest_of_several_modes_counts_after_a_restart(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    for asked in (HOLD, LOCK, NORMAL, HOLD):
        assert await dora.hold(bob, asked) == "granted"
    await dora.restart()
    assert dora.wiring(FRONT).strike_is_on


async def test_a_door_is_not_held_open_for_longer_than_it_may_be_offline(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,))[1:], door(offline_limit=600))
    await dora.hold(bob, HOLD)
    assert dora.wiring(FRONT).strike_is_on
    dora.time.elapsed += 601
    await asyncio.sleep(1.1)
    assert not dora.wiring(FRONT).strike_is_on


@pytest.mark.parametrize("degraded", ["refuse", "admit"])
async def test_a_mode_that_cannot_be_written_down_in_time_never_holds(
    dora: Dora, bob: Phone, degraded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchwork.edge.attempts.MODE_SECONDS", 0.3)
    await dora.close()
    dora.start(commit_delay=0.6)
    await dora.learn(*bobs(dora, bob, steers=(1,))[1:], door(degraded=degraded))
    await dora.written()
    assert await dora.hold(bob, HOLD) == "journal_unavailable"
    assert not dora.wiring(FRONT).strike_is_on
    await dora.controller.close()
    await dora.restart()
    assert not dora.wiring(FRONT).strike_is_on
    assert _told(dora) == [("journal_unavailable", "hold_open")], "there is nothing for the cloud to take over"


def _told(dora: Dora) -> list[tuple[str, str]]:
    """Every reason and what was asked, as the cloud hears of it, or would if the power failed now."""
    told = [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, AccessDecided | StrikeWithheld)]
    return [(fact.reason, fact.ask) if isinstance(fact, AccessDecided) else ("withheld", "") for fact in told]


async def _stall(dora: Dora, seconds: float) -> None:
    """The journal's next commit is the last one for so long."""
    await dora.written()
    await asyncio.sleep(0.05)  # its thread has also told of that one

    def stall() -> None:
        dora.journal.on_appended = lambda: None
        dora.journal._commit_delay = seconds

    dora.journal.on_appended = stall


async def test_a_journal_that_stalls_on_a_mode_itself_splits_door_and_cloud_neither_now_nor_after_a_crash(
    dora: Dora, bob: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchwork.edge.attempts.MODE_SECONDS", 0.2)
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await _stall(dora, 1.0)
    with pytest.raises(OutcomeUnknown):
        await dora.hold(bob, HOLD)
    assert not dora.wiring(FRONT).strike_is_on
    assert _told(dora) == []
    assert await dora.hold(bob) == "journal_unavailable", "others need not wait for it"
    async with asyncio.timeout(30):
        while not dora.wiring(FRONT).strike_is_on:
            await asyncio.sleep(0.01)
    assert _told(dora)[0] == ("granted", "hold_open")
    dora.journal._commit_delay = 0
    await dora.restart()
    assert dora.wiring(FRONT).strike_is_on
    assert ("withheld", "") not in _told(dora)


async def test_a_mode_that_has_not_got_to_the_disk_yet_is_taken_back(
    dora: Dora, bob: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latchwork.edge.attempts.MODE_SECONDS", 0.3)
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await _stall(dora, 0.9)
    dora.journal._commit_delay = 0.1
    asked = asyncio.create_task(dora.hold(bob, HOLD))
    await asyncio.sleep(0.05)
    dora.controller.mark()
    time.sleep(0.2)
    assert await asked == "journal_unavailable"
    dora.journal._commit_delay = 0
    await dora.restart()
    assert not dora.wiring(FRONT).strike_is_on
    assert _told(dora) == [("journal_unavailable", "hold_open")]


@pytest.mark.parametrize("at", [0, 1], ids=["before it is written", "while it is written"])
async def test_a_lockdown_that_comes_meanwhile_holds_and_the_phone_hears_of_it(dora: Dora, bob: Phone, at: int) -> None:
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    await dora.written()
    dora.journal._commit_delay = 0.3
    asked = asyncio.create_task(dora.hold(bob, HOLD))
    await asyncio.sleep(0.15 + at * 0.3)
    await dora.store.apply(delta(replace_revision(mode(FRONT, "locked"), 2)))
    assert await asked == "lockdown"
    dora.journal._commit_delay = 0
    assert not dora.wiring(FRONT).strike_is_on
    await dora.restart()
    assert await dora.hold(bob) == "lockdown"
    assert ("withheld", "") not in _told(dora)


async def test_a_slow_disk_delays_a_mode_and_does_not_split_door_and_cloud(dora: Dora, bob: Phone) -> None:
    await dora.close()
    dora.start(commit_delay=2 * COMMIT_SECONDS)
    await dora.learn(*bobs(dora, bob, steers=(1,)))
    assert await dora.hold(bob) == "journal_unavailable"
    assert await dora.hold(bob, HOLD) == "granted"
    assert dora.wiring(FRONT).strike_is_on


# Codes


@pytest.mark.parametrize(
    ("age", "reason"),
    [(-6, "pass_from_future"), (-5, "granted"), (0, "granted"), (34, "granted"), (35, "pass_expired")],
)
async def test_a_phones_code_opens_from_5_seconds_before_to_35_after(
    dora: Dora, bob: Phone, age: int, reason: str
) -> None:
    await dora.learn(*bobs(dora, bob))
    assert await dora.show(bob.code(NOW - age)) == reason
    [fact] = await access(dora)
    assert (fact.credential, fact.manner, fact.user, fact.phone) == ("phone", "code", BOB, bob.code_kid)


async def test_a_phones_code_opens_once_whichever_door_and_over_a_restart(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob), grant(BOB, LAB))
    code = bob.code()
    assert await dora.show(code) == "granted"
    assert await dora.show(code) == "already_used"
    assert await dora.show(code, at=LAB, direction=Direction.EXIT) == "already_used"
    await dora.restart()
    dora.clock.hear(NOW + 20, 0)
    assert await dora.show(code) == "already_used"
    assert await dora.show(bob.code(NOW + 20)) == "granted"


async def test_a_code_that_opened_nothing_is_not_used_up(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    code = bob.code()
    assert await dora.show(code, at=LAB) == "no_permission"
    assert await dora.show(code) == "granted"


async def test_a_code_shown_at_two_doors_at_once_opens_one(dora: Dora, bob: Phone) -> None:
    await dora.close()
    dora.start(commit_delay=0.05)
    await dora.learn(*bobs(dora, bob), grant(BOB, LAB))
    code = bob.code()
    told = await asyncio.gather(*(dora.show(code, at=at) for at in (FRONT, LAB, FRONT, LAB)))
    assert sorted(told) == ["already_used"] * 3 + ["granted"]


async def test_nobody_uses_up_the_code_of_another_phone(dora: Dora, bob: Phone) -> None:
    other = Phone(bob.owner, 41)
    await dora.learn(*bobs(dora, bob), person(41), grant(41), *other.records)
    same = b"8 bytes."
    assert await dora.show(other.code(pass_id=same)) == "granted"
    assert await dora.show(bob.code(pass_id=same)) == "granted"


async def test_a_code_is_forgotten_when_it_could_open_nothing_any_more(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob))
    await dora.show(bob.code())
    dora.time.elapsed += 41
    await dora.written()
    [(uses,)] = dora.journal._reader.execute("select count(*) from uses").fetchall()
    assert uses == 0


async def test_a_phones_ways_hold_for_its_code(dora: Dora, bob: Phone) -> None:
    await dora.learn(*bobs(dora, bob, ways=("card", "tap")))
    assert await dora.show(bob.code()) == "way_off"
    assert await dora.tap(BOBS_CARD) == "unknown_credential"
