"""Promises of a door that decides: real store, journal, clock and passes; virtual strikes; time moves when told."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.edge.cast import ENTRY, FRONT, LAB, MEETING, NOW, VIC, Dora, Organisation, delta, door, revocation, snapshot

from latchwork.edge.door import Input, State
from latchwork.policy.model import Direction
from latchwork.sim.doors import VirtualDoor
from latchwork.wire import base45, p256
from latchwork.wire.facts import AccessDecided, AnyFact, DoorChanged, RecordRejected, StrikeWithheld, codec
from latchwork.wire.link import Record
from latchwork.wire.pass_ import sign_phone_code


async def facts(dora: Dora, kind: type[AnyFact] = AccessDecided) -> list[AnyFact]:
    await dora.written()
    return [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, kind)]


async def test_a_visitor_is_let_in_and_it_is_in_the_journal_before_the_strike_moves(
    dora: Dora, alice: Organisation
) -> None:
    await dora.learn(alice.key_record, door())
    virtual = dora.wiring(FRONT)
    seen: list[list[bytes]] = []
    virtual.strike = lambda on: seen.append(dora.bodies())  # type: ignore[method-assign]
    decision, at = await dora.controller.present(FRONT, ENTRY, qr=alice.invite())
    assert decision.granted
    assert at == NOW
    [fact] = [codec.decode(body) for body in seen[0]]
    assert isinstance(fact, AccessDecided)
    assert (fact.reason, fact.visitor, fact.meeting, fact.at) == ("granted", VIC, MEETING, NOW)


async def test_a_controller_that_knows_nothing_opens_nothing(dora: Dora, alice: Organisation) -> None:
    assert await dora.show(alice.invite()) == "unknown_door"


async def test_a_door_whose_clock_nobody_set_refuses(dora: Dora, alice: Organisation) -> None:
    await dora.store.apply(snapshot(alice.key_record, door()))
    assert await dora.show(alice.invite()) == "not_synced"
    await dora.learn(alice.key_record, door())
    await dora.restart()
    assert await dora.show(alice.invite()) == "clock_untrusted"


async def test_an_offline_door_goes_on_after_a_restart_once_it_knows_the_time(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door())
    await dora.restart()
    dora.clock._system = lambda: NOW + 30
    assert await dora.show(alice.invite(NOW + 30)) == "granted"


async def test_an_offline_door_stops_where_its_organisation_wants_that(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(offline_limit=3600))
    dora.time.elapsed += 3500
    assert await dora.show(alice.invite(NOW + 3500)) == "granted"
    dora.time.elapsed += 200
    assert await dora.show(alice.invite(NOW + 3700)) == "offline_too_long"


async def test_time_passes_at_the_door(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door())
    text = alice.invite()
    dora.time.elapsed += 64
    assert await dora.show(text) == "granted"
    dora.time.elapsed += 1
    assert await dora.show(text) == "pass_expired"
    dora.clock.advance(-3600)
    assert await dora.show(text) == "pass_from_future"


def bad_codes(alice: Organisation) -> dict[str, tuple[str, str]]:
    """Every way to be wrong at the front door, and the reason for each."""
    good = alice.invite()
    raw = base45.decode(good[4:])
    forged = "LW1:" + base45.encode(raw[:-1] + bytes([raw[-1] ^ 1]))
    stranger = Organisation()
    phone = p256.new_key()
    return {
        "empty": ("", "pass_unreadable"),
        "another text": ("https://example.org/ticket/42", "pass_unreadable"),
        "prefix only": ("LW1:", "pass_unreadable"),
        "cut": (good[:-3], "pass_unreadable"),
        "one more character": (good + "0", "pass_unreadable"),
        "lower case": (good.lower(), "pass_unreadable"),
        "nul": (good + "\0", "pass_unreadable"),
        "surrogate": (good + "\ud800", "pass_unreadable"),
        "too long": ("LW1:" + "0" * 10_000, "pass_too_long"),
        "forged": (forged, "pass_forged"),
        "another organisation": (stranger.invite(), "pass_unknown_key"),
        "a phone's claims under the organisation's key": (
            sign_phone_code(os.urandom(8), int(NOW), alice.kid, alice.key), "pass_wrong_claims",
        ),
        "unknown phone": (
            sign_phone_code(os.urandom(8), int(NOW), p256.kid(p256.public_bytes(phone.public_key())), phone),
            "pass_unknown_key",
        ),
        "expired": (alice.invite(NOW - 1000), "pass_expired"),
        "from the future": (alice.invite(NOW + 1000), "pass_from_future"),
        "before the visit": (alice.invite(not_before=int(NOW) + 600, expires_at=int(NOW) + 60), "pass_not_yet_valid"),
        "another door": (alice.invite(doors=(LAB,)), "pass_wrong_door"),
        "revoked": (alice.invite(meeting=MEETING + 1), "pass_revoked"),
    }  # fmt: skip


async def test_every_bad_code_is_refused_with_its_reason_and_the_door_stays_shut(
    dora: Dora, alice: Organisation
) -> None:
    await dora.learn(alice.key_record, door(), revocation(MEETING + 1, 2))
    for name, (text, reason) in bad_codes(alice).items():
        assert await dora.show(text) == reason, name
        assert not dora.wiring(FRONT).strike_is_on, name
        assert dora.controller.doors[FRONT].state is State.LOCKED


async def test_cards_nothing_at_all_and_sides_without_a_reader_are_refused(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(exit_reader=None))
    assert (await dora.controller.present(FRONT, ENTRY, card=12345)).decision.reason == "unknown_credential"
    assert (await dora.controller.present(FRONT, ENTRY)).decision.reason == "pass_unreadable"
    assert await dora.show(alice.invite(), direction=Direction.EXIT) == "no_reader"


async def test_a_revocation_works_as_soon_as_it_is_applied(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door())
    text = alice.invite()
    assert await dora.show(text) == "granted"
    await dora.store.apply(delta(revocation(MEETING, 2)))
    assert await dora.show(text) == "pass_revoked"
    assert await dora.show(alice.invite(version=2)) == "granted"


async def test_a_revocation_that_cannot_be_read_revokes_every_pass_of_its_meeting(
    dora: Dora, alice: Organisation
) -> None:
    await dora.learn(alice.key_record, door(), Record("revocation", str(MEETING), 1, b"?"))
    assert await dora.show(alice.invite(version=2**63 - 1)) == "pass_revoked"
    [rejected] = await facts(dora, RecordRejected)
    assert rejected == RecordRejected(at=NOW, kind="revocation", key=str(MEETING), revision=1)


async def test_a_pass_held_still_opens_once_more_and_a_shared_one_is_noticed(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door())
    text = alice.invite()
    for wait in (0, 3, 10):
        dora.time.elapsed += wait
        assert await dora.show(text) == "granted"
    assert [fact.shared_suspected for fact in await facts(dora)] == [False, False, True]  # type: ignore[union-attr]


async def test_a_single_use_pass_is_refused_later_even_after_a_restart(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(single_use=True))
    text = alice.invite()
    assert await dora.show(text) == "granted"
    dora.time.elapsed += 10
    assert await dora.show(text) == "already_used"
    assert await dora.show(text, direction=Direction.EXIT) == "granted"
    await dora.restart()
    dora.clock.hear(NOW + 20, 0)
    assert await dora.show(text) == "already_used"


async def test_attempts_at_one_door_are_decided_one_after_the_other(tmp_path: Path, alice: Organisation) -> None:
    """Two who show a single-use pass 10 seconds apart, while the journal of the first is still being written."""
    dora = Dora(tmp_path, commit_delay=0.05)
    await dora.learn(alice.key_record, door(single_use=True))
    text = alice.invite()
    first = asyncio.create_task(dora.show(text))
    await asyncio.sleep(0.01)
    dora.time.elapsed += 10
    assert [await dora.show(text), await first] == ["already_used", "granted"]
    await dora.close()


@pytest.fixture
async def slow(tmp_path: Path, alice: Organisation) -> Dora:
    """A controller whose journal takes 400 ms for a commit."""
    dora = Dora(tmp_path)
    await dora.learn(alice.key_record, door(), door(LAB, degraded="admit"))
    await dora.written()
    dora.journal._commit_delay = 0.4
    return dora


async def test_a_journal_slower_than_the_door_can_wait_refuses_and_says_that_the_strike_was_withheld(
    slow: Dora, alice: Organisation
) -> None:
    text = alice.invite()
    loop = asyncio.get_running_loop()
    began = loop.time()
    slow.journal._commit_delay = 2
    assert await slow.show(text) == "journal_unavailable"
    assert loop.time() - began < 1.8
    assert not slow.wiring(FRONT).strike_is_on
    slow.journal._commit_delay = 0
    while not (withheld := await facts(slow, StrikeWithheld)):
        await asyncio.sleep(0.05)
    granted = await facts(slow, AccessDecided)
    assert [fact.reason for fact in granted] == ["granted"]  # type: ignore[union-attr]
    assert withheld == [StrikeWithheld(at=NOW, door=FRONT, number=1)]
    slow.time.elapsed += 10
    assert await slow.show(text) == "granted"
    assert not (await facts(slow))[-1].shared_suspected  # type: ignore[union-attr]
    await slow.close()


async def test_a_door_that_is_to_admit_opens_though_its_journal_is_slow(slow: Dora, alice: Organisation) -> None:
    assert await slow.show(alice.invite(doors=(LAB,)), at=LAB) == "granted"
    assert slow.wiring(LAB).strike_is_on
    slow.journal._commit_delay = 0
    assert await facts(slow, StrikeWithheld) == []
    await slow.close()


async def test_a_grant_that_still_waited_is_taken_back_and_the_refusal_is_written(
    slow: Dora, alice: Organisation
) -> None:
    before = asyncio.create_task(slow.show("x", at=LAB))
    await asyncio.sleep(0.05)
    assert await slow.show(alice.invite()) == "journal_unavailable"
    await before
    slow.journal._commit_delay = 0
    assert [fact.reason for fact in await facts(slow)] == ["pass_unreadable", "journal_unavailable"]  # type: ignore[union-attr]
    assert await facts(slow, StrikeWithheld) == []
    await slow.close()


async def test_a_full_journal_refuses_and_leaves_no_gap(tmp_path: Path, alice: Organisation) -> None:
    dora = Dora(tmp_path, max_bytes=60_000)
    await dora.learn(alice.key_record, door(), door(LAB, degraded="admit"))
    reasons = [await dora.show(alice.invite()) for _ in range(600)]
    granted = reasons.count("granted")
    assert reasons == ["granted"] * granted + ["journal_unavailable"] * (600 - granted)
    assert 0 < granted < 600
    assert dora.journal.next == len(dora.bodies()) + 1
    assert await dora.show(alice.invite(doors=(LAB,)), at=LAB) == "granted"
    everything = dora.journal.page(100_000, 1 << 30)
    assert everything is not None
    dora.journal.committed(everything)
    assert await dora.show(alice.invite()) == "granted"
    await dora.close()


async def test_identical_refusals_count_as_one_fact_per_second(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(), door(LAB))
    for _ in range(20):
        await dora.show("no pass")
    await dora.show("no pass", at=LAB)
    assert [(fact.door, fact.count) for fact in await facts(dora)] == [(FRONT, 1), (LAB, 1)]  # type: ignore[union-attr]
    await asyncio.sleep(1.1)
    assert [(fact.door, fact.count) for fact in await facts(dora)][2:] == [(FRONT, 19)]  # type: ignore[union-attr]
    await dora.show("no pass")
    await asyncio.sleep(1.1)
    assert sum(fact.count for fact in await facts(dora)) == 22  # type: ignore[union-attr]


async def test_counted_refusals_are_written_when_the_program_ends(dora: Dora) -> None:
    await dora.learn(door())
    for _ in range(5):
        await dora.show("no pass")
    await dora.restart()
    assert sum(codec.decode(body).count for body in dora.bodies()) == 5  # type: ignore[union-attr]


async def test_grants_are_never_counted_together(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door())
    text = alice.invite()
    for _ in range(3):
        await dora.show(text)
    assert [fact.count for fact in await facts(dora)] == [1, 1, 1]  # type: ignore[union-attr]


async def test_the_strike_locks_again_after_its_time(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(strike_seconds=0.05))
    await dora.show(alice.invite())
    assert dora.wiring(FRONT).strike_is_on
    await asyncio.sleep(0.1)
    assert not dora.wiring(FRONT).strike_is_on


async def test_what_the_door_does_is_journalled(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door(held_seconds=0.05))
    leaf = dora.wiring(FRONT)
    leaf.push(True)
    leaf.push(False)
    await dora.show(alice.invite())
    leaf.push(True)
    await asyncio.sleep(0.1)
    leaf.push(False)
    leaf.press_exit_button()
    changes = [fact.change for fact in await facts(dora, DoorChanged)]  # type: ignore[union-attr]
    assert changes == ["forced", "closed", "opened", "held", "closed", "request_to_exit"]


async def test_fire_releases_every_door_at_once_though_the_journal_is_slow(slow: Dora, alice: Organisation) -> None:
    slow.controller.fire(True)
    assert slow.wiring(FRONT).strike_is_on
    assert slow.wiring(LAB).strike_is_on
    await slow.store.apply(delta(Record("door", str(LAB), 2, None), door(3)))
    assert slow.wiring(LAB).strike_is_on, "a door that is taken away stays released while there is a fire"
    assert slow.wiring(3).strike_is_on
    slow.controller.fire(False)
    assert not any(slow.wiring(each).strike_is_on for each in (FRONT, LAB, 3))
    assert LAB not in slow.controller.doors
    slow.journal._commit_delay = 0
    await slow.close()


async def test_a_door_that_is_taken_away_is_locked_and_unknown(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door())
    await dora.show(alice.invite())
    assert dora.wiring(FRONT).strike_is_on
    await dora.store.apply(delta(Record("door", str(FRONT), 2, None)))
    assert not dora.wiring(FRONT).strike_is_on
    assert await dora.show(alice.invite()) == "unknown_door"


async def test_a_door_taken_away_while_its_grant_is_written_does_not_open(slow: Dora, alice: Organisation) -> None:
    slow.journal._commit_delay = 0.1
    virtual = slow.wiring(FRONT)
    attempt = asyncio.create_task(slow.show(alice.invite()))
    await asyncio.sleep(0.03)
    await slow.store.apply(delta(Record("door", str(FRONT), 2, None)))
    assert await attempt == "unknown_door"
    assert not virtual.strike_is_on
    await asyncio.sleep(0.02)
    assert await facts(slow, StrikeWithheld) == [StrikeWithheld(at=NOW, door=FRONT, number=1)]
    await slow.close()


async def test_a_program_that_ends_while_a_grant_comes_late_still_says_that_the_strike_was_withheld(
    slow: Dora, alice: Organisation
) -> None:
    assert await slow.show(alice.invite()) == "journal_unavailable"
    await slow.restart()
    assert [type(codec.decode(body)) for body in slow.bodies()] == [AccessDecided, StrikeWithheld]
    await slow.close()


async def test_a_door_without_working_wiring_opens_for_nobody(dora: Dora, alice: Organisation) -> None:
    def no_wiring(door: int) -> VirtualDoor:
        raise OSError("no such pin")

    dora.controller._drivers = no_wiring
    await dora.learn(alice.key_record, door())
    assert await dora.show(alice.invite()) == "reader_fault"
    assert [fact.reason for fact in await facts(dora)] == ["reader_fault"]  # type: ignore[union-attr]


async def test_a_caller_who_goes_away_does_not_leave_a_grant_without_an_opening(
    slow: Dora, alice: Organisation
) -> None:
    slow.journal._commit_delay = 0.1
    attempt = asyncio.create_task(slow.show(alice.invite()))
    await asyncio.sleep(0.02)
    attempt.cancel()
    await asyncio.sleep(0.2)
    assert slow.wiring(FRONT).strike_is_on
    await slow.close()


async def test_an_unexpected_failure_refuses_and_logs_nothing_that_was_shown(
    dora: Dora, alice: Organisation, caplog: pytest.LogCaptureFixture
) -> None:
    await dora.learn(alice.key_record, door())
    text = alice.invite()

    def broken(meeting: int) -> int:
        raise RuntimeError(f"something about {text}")

    dora.store.refuse_below = broken  # type: ignore[method-assign]
    with caplog.at_level(logging.DEBUG):
        assert await dora.show(text) == "reader_fault"
    assert not dora.wiring(FRONT).strike_is_on
    assert "RuntimeError" in caplog.text
    assert text not in caplog.text
    assert text[4:40] not in caplog.text


async def test_a_state_file_that_breaks_while_running_refuses(dora: Dora, alice: Organisation) -> None:
    await dora.learn(alice.key_record, door())
    dora.store._conn.execute("drop table records")
    assert await dora.show(alice.invite()) == "reader_fault"
    assert await dora.tap(4711) == "reader_fault"
    assert [fact.reason for fact in await facts(dora)] == ["reader_fault"] * 2  # type: ignore[union-attr]
    assert not dora.wiring(FRONT).strike_is_on


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(max_size=700), prefix=st.sampled_from(["", "LW1:"]), at=st.integers() | st.just(FRONT))
def test_no_text_at_any_door_raises_or_opens(
    tmp_path_factory: pytest.TempPathFactory, text: str, prefix: str, at: int
) -> None:
    async def attempt() -> None:
        dora = Dora(tmp_path_factory.mktemp("dora"))
        await dora.learn(Organisation().key_record, door())
        assert await dora.show(prefix + text, at=at) != "granted"
        assert not dora.wiring(FRONT).strike_is_on
        await dora.close()

    asyncio.run(attempt())


async def test_a_failing_strike_or_wiring_stops_nothing_else(dora: Dora, alice: Organisation) -> None:
    def broken(on: bool) -> None:
        raise OSError("no such pin")

    await dora.learn(alice.key_record, door(), door(LAB))
    dora.wiring(FRONT).strike = broken  # type: ignore[method-assign]
    assert await dora.show(alice.invite()) == "granted"
    assert await dora.show(alice.invite(doors=(LAB,)), at=LAB) == "granted"
    assert dora.wiring(LAB).strike_is_on
    dora.controller.doors[LAB].handle(Input.OPENED)
