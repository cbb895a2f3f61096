"""The decision: what each rule says, and what holds whatever is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latchwork.policy.decide import decide
from latchwork.policy.model import (
    Attempt,
    BrokenPass,
    CardRead,
    Degraded,
    Direction,
    Door,
    Evidence,
    Snapshot,
    VerifiedPass,
    VerifiedPhoneCode,
)
from latchwork.policy.reasons import Reason

NOW = 1_800_000_000
DOOR = Door(id=1, name="Front door", readers=frozenset({Direction.ENTRY}))
SYNCED = Snapshot(door=DOOR, refuse_below=3, synced_at=NOW - 1.0)
VICS = VerifiedPass(
    pass_id=b"vic pass",
    visitor=7,
    meeting=70,
    version=3,
    doors=(1, 4),
    issued_at=NOW,
    not_before=NOW - 600,
    expires_at=NOW + 60,
)


def shown(evidence: Evidence = VICS, at: float = NOW, **other: bool) -> Attempt:
    return Attempt(access_point=1, direction=Direction.ENTRY, evidence=evidence, at=at, **other)


def at_a_door_that(**differs: object) -> Snapshot:
    return replace(SYNCED, door=replace(DOOR, **differs))  # type: ignore[arg-type]


def test_a_good_pass_opens() -> None:
    decision = decide(SYNCED, shown())
    assert decision.granted
    assert not decision.shared_suspected


def test_a_controller_that_knows_nothing_opens_nothing() -> None:
    assert decide(Snapshot(), shown()).reason is Reason.UNKNOWN_DOOR
    assert decide(Snapshot(door=DOOR), shown()).reason is Reason.NOT_SYNCED


def test_the_records_of_another_door_open_nothing() -> None:
    assert decide(at_a_door_that(id=4), shown()).reason is Reason.UNKNOWN_DOOR


def test_a_side_without_a_reader_has_no_say() -> None:
    assert decide(SYNCED, replace(shown(), direction=Direction.EXIT)).reason is Reason.NO_READER


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.GRANTED])
def test_a_broken_pass_is_refused_with_its_own_reason(reason: Reason) -> None:
    assert decide(SYNCED, shown(BrokenPass(reason), clock_trusted=False)).reason is reason


def test_a_broken_pass_cannot_grant_itself() -> None:
    assert not decide(SYNCED, shown(BrokenPass(Reason.GRANTED))).granted


@pytest.mark.parametrize("evidence", [CardRead(12345), VerifiedPhoneCode(b"8 bytes.", b"kid kid.", NOW)])
def test_cards_and_phones_are_unknown(evidence: Evidence) -> None:
    assert decide(SYNCED, shown(evidence)).reason is Reason.UNKNOWN_CREDENTIAL


def test_a_door_goes_on_offline_for_as_long_as_it_may() -> None:
    assert decide(replace(SYNCED, synced_at=0.0), shown()).granted
    snapshot = at_a_door_that(offline_limit=3600)
    assert decide(replace(snapshot, synced_at=NOW - 3600.0), shown()).granted
    assert decide(replace(snapshot, synced_at=NOW - 3600.1), shown()).reason is Reason.OFFLINE_TOO_LONG


def test_a_door_without_the_time_refuses_unless_it_is_told_to_admit() -> None:
    late = shown(at=NOW + 10_000, clock_trusted=False)
    assert decide(SYNCED, late).reason is Reason.CLOCK_UNTRUSTED
    assert decide(at_a_door_that(degraded=Degraded.ADMIT), late).granted


def test_a_door_told_to_admit_still_judges_all_but_the_time() -> None:
    admitting = at_a_door_that(degraded=Degraded.ADMIT)
    blind = shown(clock_trusted=False)
    assert decide(replace(admitting, refuse_below=4), blind).reason is Reason.PASS_REVOKED
    assert decide(admitting, replace(blind, evidence=replace(VICS, doors=(4,)))).reason is Reason.PASS_WRONG_DOOR
    assert decide(replace(admitting, first_used_at=NOW - 60.0), blind).shared_suspected
    once = at_a_door_that(degraded=Degraded.ADMIT, single_use=True)
    assert decide(replace(once, first_used_at=NOW - 60.0), blind).reason is Reason.ALREADY_USED


def test_a_door_told_to_admit_with_a_trusted_clock_judges_the_time() -> None:
    assert decide(at_a_door_that(degraded=Degraded.ADMIT), shown(at=NOW + 65)).reason is Reason.PASS_EXPIRED


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (NOW - 5.001, Reason.PASS_FROM_FUTURE),
        (NOW - 5, Reason.GRANTED),
        (NOW + 64.999, Reason.GRANTED),
        (NOW + 65, Reason.PASS_EXPIRED),
    ],
)
def test_clocks_may_differ_by_five_seconds(at: float, reason: Reason) -> None:
    assert decide(SYNCED, shown(at=at)).reason is reason


def test_a_pass_made_before_its_visit_is_too_early_until_the_visit_begins() -> None:
    early = replace(VICS, not_before=NOW + 600)
    assert decide(SYNCED, shown(early)).reason is Reason.PASS_NOT_YET_VALID
    assert decide(SYNCED, shown(early, at=NOW + 594.9)).reason is Reason.PASS_NOT_YET_VALID
    assert decide(SYNCED, shown(early, at=NOW + 595)).reason is Reason.PASS_EXPIRED


def test_a_pass_of_a_changed_visit_says_so_whatever_else_is_wrong_with_it() -> None:
    old = replace(VICS, version=2)
    moved = replace(old, doors=(9,), not_before=NOW + 86_400)
    for evidence in (old, moved):
        assert decide(SYNCED, shown(evidence)).reason is Reason.PASS_REVOKED


@pytest.mark.parametrize("since", [-5.0, 0.0, 5.0])
def test_a_phone_held_still_is_not_shared(since: float) -> None:
    snapshot = replace(at_a_door_that(single_use=True), first_used_at=NOW - since)
    decision = decide(snapshot, shown())
    assert decision.granted
    assert not decision.shared_suspected


@pytest.mark.parametrize("since", [-5.1, 5.1, 60.0])
def test_a_pass_shown_again_later_is_suspected_and_refused_where_passes_are_for_one_use(since: float) -> None:
    used = replace(SYNCED, first_used_at=NOW - since)
    assert decide(used, shown()).granted
    assert decide(used, shown()).shared_suspected
    once = decide(replace(used, door=replace(DOOR, single_use=True)), shown())
    assert once.reason is Reason.ALREADY_USED
    assert once.shared_suspected


@pytest.mark.parametrize("at", [float("nan"), float("inf"), float("-inf"), -1.0])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_time_that_is_none_opens_nothing(at: float, trusted: bool) -> None:
    attempt = shown(at=at, clock_trusted=trusted)
    assert decide(at_a_door_that(degraded=Degraded.ADMIT), attempt).reason is Reason.CLOCK_UNTRUSTED
    assert decide(replace(SYNCED, synced_at=at), shown()).reason is Reason.NOT_SYNCED


# What holds whatever is asked

near = st.integers(NOW - 100, NOW + 100)
whole = near | st.integers(-(2**70), 2**70)
instants = near.map(float) | st.floats()
ids = st.integers(0, 3) | st.integers(-(2**70), 2**70)
passes = st.builds(
    VerifiedPass,
    pass_id=st.binary(max_size=9),
    visitor=ids,
    meeting=ids,
    version=ids,
    doors=st.lists(ids, max_size=4).map(tuple),
    issued_at=whole,
    not_before=whole,
    expires_at=whole,
)
doors = st.builds(
    Door,
    id=ids,
    name=st.just("A door"),
    readers=st.frozensets(st.sampled_from(Direction)),
    degraded=st.sampled_from(Degraded),
    single_use=st.booleans(),
    offline_limit=st.none() | whole,
)
snapshots = st.builds(
    Snapshot,
    door=st.none() | doors,
    refuse_below=ids,
    first_used_at=st.none() | instants,
    synced_at=st.none() | instants,
)
evidence = (
    passes
    | st.builds(BrokenPass, st.sampled_from(Reason))
    | st.builds(CardRead, ids)
    | st.builds(VerifiedPhoneCode, st.binary(max_size=9), st.binary(max_size=9), whole)
)
attempts = st.builds(
    Attempt,
    access_point=ids,
    direction=st.sampled_from(Direction),
    evidence=evidence,
    at=instants | whole,
    clock_trusted=st.booleans(),
)
likely_passes = st.builds(
    VerifiedPass,
    pass_id=st.just(b"vic pass"),
    visitor=st.just(7),
    meeting=st.just(70),
    version=st.integers(0, 3),
    doors=st.sampled_from([(), (1,), (2,), (1, 2)]),
    issued_at=near,
    not_before=near,
    expires_at=near,
)
likely_snapshots = st.builds(
    Snapshot,
    door=st.builds(
        Door,
        id=st.just(1),
        name=st.just("Front door"),
        readers=st.just(frozenset(Direction)),
        degraded=st.sampled_from(Degraded),
        single_use=st.booleans(),
        offline_limit=st.none() | st.integers(0, 200),
    ),
    refuse_below=st.integers(0, 3),
    first_used_at=st.none() | near.map(float),
    synced_at=near.map(float),
)
likely_attempts = st.builds(shown, likely_passes, near.map(float), clock_trusted=st.booleans())


@settings(deadline=None, max_examples=500)
@given(snapshots, attempts)
def test_every_question_has_an_answer_and_only_a_listed_door_opens(snapshot: Snapshot, attempt: Attempt) -> None:
    decision = decide(snapshot, attempt)
    if not decision.granted:
        return
    assert isinstance(attempt.evidence, VerifiedPass)
    assert snapshot.door is not None
    assert attempt.access_point == snapshot.door.id
    assert snapshot.door.id in attempt.evidence.doors
    assert attempt.direction in snapshot.door.readers
    assert attempt.evidence.version >= snapshot.refuse_below


@settings(deadline=None, max_examples=500)
@given(likely_snapshots, likely_attempts)
def test_a_pass_opens_in_its_time_at_its_doors_while_it_is_not_revoked(snapshot: Snapshot, attempt: Attempt) -> None:
    pass_, door = attempt.evidence, snapshot.door
    assert isinstance(pass_, VerifiedPass)
    assert door is not None
    if decide(snapshot, attempt).granted:
        assert attempt.clock_trusted or door.degraded is Degraded.ADMIT
        if attempt.clock_trusted:
            assert max(pass_.issued_at, pass_.not_before) - 5 <= attempt.at < pass_.expires_at + 5
        assert 1 in pass_.doors
        assert pass_.version >= snapshot.refuse_below


LESS: list[Callable[[Snapshot, Attempt], tuple[Snapshot, Attempt]]] = [
    lambda s, a: (replace(s, door=None), a),
    lambda s, a: (replace(s, synced_at=None), a),
    lambda s, a: (replace(s, synced_at=(s.synced_at or 0) - 50), a),
    lambda s, a: (replace(s, refuse_below=s.refuse_below + 1), a),
    lambda s, a: (of_door(s, readers=frozenset()), a),
    lambda s, a: (of_door(s, degraded=Degraded.REFUSE), a),
    lambda s, a: (of_door(s, single_use=True), a),
    lambda s, a: (of_door(s, offline_limit=0), a),
    lambda s, a: (s, of_pass(a, doors=())),
    lambda s, a: (s, of_pass(a, doors=(2,))),
    lambda s, a: (s, of_pass(a, version=0)),
    lambda s, a: (s, of_pass(a, not_before=NOW + 100)),
    lambda s, a: (s, of_pass(a, expires_at=NOW - 100)),
]


def of_door(snapshot: Snapshot, **differs: object) -> Snapshot:
    assert snapshot.door is not None
    return replace(snapshot, door=replace(snapshot.door, **differs))  # type: ignore[arg-type]


def of_pass(attempt: Attempt, **differs: object) -> Attempt:
    assert isinstance(attempt.evidence, VerifiedPass)
    return replace(attempt, evidence=replace(attempt.evidence, **differs))  # type: ignore[arg-type]


@settings(deadline=None, max_examples=500)
@given(likely_snapshots, likely_attempts, st.sampled_from(LESS))
def test_taking_something_away_never_opens(
    snapshot: Snapshot, attempt: Attempt, less: Callable[[Snapshot, Attempt], tuple[Snapshot, Attempt]]
) -> None:
    if not decide(snapshot, attempt).granted:
        assert not decide(*less(snapshot, attempt)).granted


@settings(deadline=None)
@given(likely_snapshots, likely_attempts)
def test_a_revocation_beats_everything(snapshot: Snapshot, attempt: Attempt) -> None:
    assert isinstance(attempt.evidence, VerifiedPass)
    revoked = replace(snapshot, refuse_below=attempt.evidence.version + 1)
    assert not decide(revoked, attempt).granted
