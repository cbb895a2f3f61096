"""The decision about people: cards, phones' own codes and requests from afar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

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
    DoorMode,
    Evidence,
    Grant,
    Mode,
    Person,
    RemoteUnlock,
    Schedule,
    Snapshot,
    VerifiedPass,
    VerifiedPhoneCode,
    Way,
)
from latchwork.policy.pins import hash_pin
from latchwork.policy.reasons import Reason
from latchwork.policy.schedule import holds

NOW = 1_800_000_000  # Friday 2027-01-15, 09:00 in Berlin
SALT = b"sixteen of salt!"
DOOR = Door(id=1, name="Lab", readers=frozenset({Direction.ENTRY}), timezone="Europe/Berlin")
BOB = Person(id=5, is_active=True, ways=frozenset(Way), pin_salt=SALT, pin_hash=hash_pin("0042", SALT))
ALWAYS = Schedule(((((0, 1440)),),) * 7)
NEVER = Schedule(((),) * 7)
MAY = Snapshot(door=DOOR, person=BOB, grant=Grant(), synced_at=NOW - 1.0)
LOCKDOWN = DoorMode(Mode.LOCKED)

CARD = CardRead(1234)
CODE = VerifiedPhoneCode(pass_id=b"8 bytes.", key=b"kid kid.", issued_at=NOW)
BOBS_REQUEST = RemoteUnlock(BOB.id)
CLIENTS_REQUEST = RemoteUnlock(None)
BOBS_WAYS: list[Evidence] = [CARD, CODE, BOBS_REQUEST]
VICS = VerifiedPass(b"vic pass", 7, 70, 3, (1,), issued_at=NOW, not_before=NOW, expires_at=NOW + 60)


def shown(evidence: Evidence = CARD, at: float = NOW, clock_trusted: bool = True) -> Attempt:
    return Attempt(1, Direction.ENTRY, evidence, at, clock_trusted)


def door(snapshot: Snapshot = MAY, /, **differs: Any) -> Snapshot:
    return replace(snapshot, door=snapshot.door and replace(snapshot.door, **differs))


def person(snapshot: Snapshot = MAY, /, **differs: Any) -> Snapshot:
    return replace(snapshot, person=snapshot.person and replace(snapshot.person, **differs))


def grant(snapshot: Snapshot = MAY, /, **differs: Any) -> Snapshot:
    return replace(snapshot, grant=snapshot.grant and replace(snapshot.grant, **differs))


def reason(snapshot: Snapshot, attempt: Attempt) -> Reason:
    return decide(snapshot, attempt).reason


every_way = pytest.mark.parametrize("evidence", BOBS_WAYS, ids=["card", "phone", "remote"])


# Who


@every_way
def test_who_has_a_permission_comes_in_each_way(evidence: Evidence) -> None:
    assert reason(MAY, shown(evidence)) is Reason.GRANTED


@every_way
def test_what_belongs_to_nobody_is_unknown(evidence: Evidence) -> None:
    assert reason(replace(MAY, person=None), shown(evidence)) is Reason.UNKNOWN_CREDENTIAL


def test_a_request_is_judged_by_the_records_of_whoever_asks() -> None:
    assert reason(MAY, shown(RemoteUnlock(BOB.id + 1))) is Reason.UNKNOWN_CREDENTIAL


@every_way
def test_without_a_permission_a_door_stays_shut(evidence: Evidence) -> None:
    assert reason(replace(MAY, grant=None), shown(evidence)) is Reason.NO_PERMISSION


@every_way
@pytest.mark.parametrize("trusted", [True, False])
def test_a_deactivated_person_stays_out_even_where_the_door_admits_in_doubt(evidence: Evidence, trusted: bool) -> None:
    switched_off = door(person(is_active=False), degraded=Degraded.ADMIT)
    assert reason(switched_off, shown(evidence, clock_trusted=trusted)) is Reason.DEACTIVATED


@pytest.mark.parametrize(
    ("evidence", "way"), [(CARD, Way.CARD), (CODE, Way.MOBILE), (BOBS_REQUEST, Way.REMOTE)], ids=str
)
def test_a_way_that_is_switched_off_is_closed_and_no_other(evidence: Evidence, way: Way) -> None:
    assert reason(person(ways=frozenset(Way) - {way}), shown(evidence)) is Reason.WAY_OFF
    assert reason(person(ways=frozenset({way})), shown(evidence)) is Reason.GRANTED


def test_a_visitor_needs_no_person() -> None:
    assert reason(replace(MAY, person=None, grant=None), shown(VICS)) is Reason.GRANTED


# When


@every_way
@pytest.mark.parametrize(("at", "expected"), [(NOW - 0.001, Reason.GRANTED), (NOW, Reason.ACCESS_EXPIRED)])
def test_access_ends_at_its_expiry(evidence: Evidence, at: float, expected: Reason) -> None:
    assert reason(person(expires_at=NOW), shown(evidence, at)) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW - 10.001, Reason.PERMISSION_NOT_BEGUN),
        (NOW - 10, Reason.GRANTED),
        (NOW + 9.999, Reason.GRANTED),
        (NOW + 10, Reason.PERMISSION_ENDED),
    ],
)
def test_a_permission_holds_from_its_beginning_to_before_its_end(at: float, expected: Reason) -> None:
    assert reason(grant(starts_at=NOW - 10, ends_at=NOW + 10), shown(at=at)) is expected


def test_a_permission_holds_within_its_schedule_in_the_sites_time() -> None:
    friday_at_nine = Schedule((*((),) * 4, ((540, 541),), (), ()))
    assert reason(grant(schedule=friday_at_nine), shown()) is Reason.GRANTED
    assert reason(grant(schedule=friday_at_nine), shown(at=NOW + 60)) is Reason.OUTSIDE_SCHEDULE
    assert reason(door(grant(schedule=friday_at_nine), timezone="UTC"), shown()) is Reason.OUTSIDE_SCHEDULE
    holiday = replace(grant(schedule=friday_at_nine), holidays=frozenset({739_996}))
    assert reason(holiday, shown()) is Reason.OUTSIDE_SCHEDULE


def test_a_site_in_no_time_zone_has_no_schedules() -> None:
    assert reason(door(grant(schedule=ALWAYS), timezone="Mars/Olympus"), shown()) is Reason.OUTSIDE_SCHEDULE
    assert reason(door(timezone="Mars/Olympus"), shown()) is Reason.GRANTED


LIMITED = {
    "expiry": person(expires_at=NOW + 999),
    "beginning": grant(starts_at=NOW - 999),
    "end": grant(ends_at=NOW + 999),
    "schedule": grant(schedule=ALWAYS),
}


@pytest.mark.parametrize("snapshot", LIMITED.values(), ids=LIMITED.keys())
def test_without_the_time_what_has_a_time_waits_unless_the_door_is_told_to_admit(snapshot: Snapshot) -> None:
    blind = shown(clock_trusted=False)
    assert reason(snapshot, shown()) is Reason.GRANTED
    assert reason(snapshot, blind) is Reason.CLOCK_UNTRUSTED
    assert reason(door(snapshot, degraded=Degraded.ADMIT), blind) is Reason.GRANTED


def test_what_has_no_time_needs_no_clock() -> None:
    for evidence in (CARD, BOBS_REQUEST, CLIENTS_REQUEST):
        assert reason(MAY, shown(evidence, clock_trusted=False)) is Reason.GRANTED


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (person(is_active=False), Reason.DEACTIVATED),
        (person(expires_at=NOW), Reason.ACCESS_EXPIRED),
        (person(ways=frozenset({Way.MOBILE})), Reason.WAY_OFF),
        (replace(MAY, grant=None), Reason.NO_PERMISSION),
        (door(needs_pin=True), Reason.PIN_NEEDED),
        (grant(starts_at=NOW + 1, ends_at=NOW - 1, schedule=NEVER), Reason.GRANTED),
    ],
)
def test_a_door_told_to_admit_in_doubt_doubts_nothing_but_the_time(snapshot: Snapshot, expected: Reason) -> None:
    """An untrusted clock is too early, never too late: who has expired by it has expired."""
    assert reason(door(snapshot, degraded=Degraded.ADMIT), shown(clock_trusted=False)) is expected


# A phone's own code


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOW - 5.001, Reason.PASS_FROM_FUTURE),
        (NOW - 5, Reason.GRANTED),
        (NOW + 34.999, Reason.GRANTED),
        (NOW + 35, Reason.PASS_EXPIRED),
    ],
)
def test_a_phones_code_opens_for_thirty_five_seconds(at: float, expected: Reason) -> None:
    assert reason(MAY, shown(CODE, at)) is expected


@pytest.mark.parametrize("since", [0.0, 1.0, 600.0])
def test_a_phones_code_opens_once(since: float) -> None:
    assert reason(replace(MAY, first_used_at=NOW - since), shown(CODE)) is Reason.ALREADY_USED


def test_a_phones_code_has_a_time() -> None:
    late = shown(CODE, at=NOW + 999, clock_trusted=False)
    admitting = door(degraded=Degraded.ADMIT)
    assert reason(MAY, late) is Reason.CLOCK_UNTRUSTED
    assert reason(admitting, late) is Reason.GRANTED
    assert reason(replace(admitting, first_used_at=0.0), late) is Reason.ALREADY_USED


def test_an_old_code_tells_nothing_about_its_owner() -> None:
    snapshots = [MAY, person(is_active=False), person(ways=frozenset()), replace(MAY, grant=None)]
    assert {reason(snapshot, shown(CODE, at=NOW + 99)) for snapshot in snapshots} == {Reason.PASS_EXPIRED}


# From afar


def test_a_client_opens_where_the_door_lets_anybody() -> None:
    assert reason(Snapshot(door=DOOR, synced_at=0.0), shown(CLIENTS_REQUEST)) is Reason.GRANTED


def test_a_request_from_afar_needs_no_reader() -> None:
    bare = door(readers=frozenset())
    assert reason(bare, shown()) is Reason.NO_READER
    assert reason(bare, shown(BOBS_REQUEST)) is Reason.GRANTED
    assert reason(bare, shown(CLIENTS_REQUEST)) is Reason.GRANTED


# What refuses everybody

ANYBODY: list[Evidence] = [*BOBS_WAYS, CLIENTS_REQUEST, VICS]
anybody = pytest.mark.parametrize("evidence", ANYBODY, ids=["card", "phone", "remote", "client", "visitor"])


@anybody
def test_a_lockdown_opens_for_nobody(evidence: Evidence) -> None:
    assert reason(replace(MAY, mode=LOCKDOWN), shown(evidence)) is Reason.LOCKDOWN
    assert reason(replace(MAY, mode=LOCKDOWN), shown(evidence, clock_trusted=False)) is Reason.LOCKDOWN


@anybody
def test_a_lockdown_ends_when_it_is_told_to(evidence: Evidence) -> None:
    locked = replace(MAY, mode=DoorMode(Mode.LOCKED, until=NOW))
    assert reason(locked, shown(evidence, at=NOW - 0.001)) is Reason.LOCKDOWN
    assert reason(locked, shown(evidence)) is Reason.GRANTED


@pytest.mark.parametrize("mode", [Mode.UNLOCKED, Mode.ACCESS_CONTROL])
def test_a_door_that_stands_open_decides_as_ever(mode: Mode) -> None:
    assert reason(replace(MAY, mode=DoorMode(mode)), shown()) is Reason.GRANTED
    assert reason(replace(MAY, mode=DoorMode(mode), grant=None), shown()) is Reason.NO_PERMISSION


@anybody
def test_too_many_tries_are_slowed_down(evidence: Evidence) -> None:
    slowed = replace(MAY, slowed_until=float(NOW))
    assert reason(slowed, shown(evidence, at=NOW - 0.001)) is Reason.SLOWED_DOWN
    assert reason(slowed, shown(evidence)) is Reason.GRANTED


@anybody
def test_a_door_that_knows_nothing_or_was_offline_for_too_long_refuses(evidence: Evidence) -> None:
    assert reason(replace(MAY, door=None), shown(evidence)) is Reason.UNKNOWN_DOOR
    assert reason(replace(MAY, synced_at=None), shown(evidence)) is Reason.NOT_SYNCED
    assert reason(door(offline_limit=0), shown(evidence)) is Reason.OFFLINE_TOO_LONG


def test_what_refuses_everybody_is_told_in_its_order() -> None:
    snapshot = replace(MAY, synced_at=None, mode=LOCKDOWN, slowed_until=NOW + 9.0)
    attempt = replace(shown(BrokenPass(Reason.PASS_FORGED)), direction=Direction.EXIT)
    told = [reason(snapshot, attempt)]
    snapshot = replace(snapshot, synced_at=NOW - 9.0)
    told.append(reason(snapshot, attempt))
    attempt = replace(attempt, direction=Direction.ENTRY)
    told.append(reason(snapshot, attempt))
    snapshot = door(replace(snapshot, mode=DoorMode(Mode.ACCESS_CONTROL)), offline_limit=5)
    told.append(reason(snapshot, attempt))
    told.append(reason(snapshot, shown(at=float("nan"))))
    told.append(reason(snapshot, shown()))
    told.append(reason(door(snapshot, offline_limit=None), shown()))
    assert told == [
        Reason.NOT_SYNCED,
        Reason.NO_READER,
        Reason.LOCKDOWN,
        Reason.PASS_FORGED,
        Reason.CLOCK_UNTRUSTED,
        Reason.OFFLINE_TOO_LONG,
        Reason.SLOWED_DOWN,
    ]


# The PIN behind a card


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        (None, Reason.PIN_NEEDED),
        ("", Reason.PIN_NEEDED),
        ("0042", Reason.GRANTED),
        ("0043", Reason.PIN_WRONG),
        ("00420", Reason.PIN_WRONG),
        ("٠٠٤٢", Reason.PIN_WRONG),
    ],
)
def test_a_door_that_asks_for_a_pin_wants_the_holders(pin: str | None, expected: Reason) -> None:
    assert reason(door(needs_pin=True), shown(CardRead(1234, pin))) is expected


def test_who_has_no_pin_does_not_get_through_a_door_that_asks_for_one() -> None:
    without = door(person(pin_salt=b"", pin_hash=b""), needs_pin=True)
    assert reason(without, shown()) is Reason.PIN_NOT_SET
    assert reason(without, shown(CardRead(1234, "0000"))) is Reason.PIN_NOT_SET


def test_only_a_card_needs_a_pin() -> None:
    for evidence in (CODE, BOBS_REQUEST, CLIENTS_REQUEST, VICS):
        assert reason(door(needs_pin=True), shown(evidence)) is Reason.GRANTED


def test_a_door_that_asks_for_none_does_not_look_at_a_pin() -> None:
    assert reason(MAY, shown(CardRead(1234, "9999"))) is Reason.GRANTED


# What holds whatever is asked


def mostly(usual: Any, *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """So that a door opens often enough for the last of many rules to be asked."""
    return st.sampled_from([*[st.just(usual)] * 6, *others]).flatmap(lambda chosen: chosen)


near = st.integers(NOW - 40, NOW + 40)
maybe_near = mostly(None, near)
ways = mostly(frozenset(Way), st.frozensets(st.sampled_from(Way)))
friday_mornings = Schedule((*((),) * 4, ((540, 541),), (), ()), holiday=((0, 540),))
likely_people = st.builds(
    Person,
    id=mostly(5, st.just(6)),
    is_active=mostly(True, st.just(False)),
    ways=ways,
    expires_at=maybe_near,
    pin_salt=st.just(SALT),
    pin_hash=mostly(BOB.pin_hash, st.just(b"")),
)
likely_grants = st.builds(
    Grant,
    starts_at=maybe_near,
    ends_at=maybe_near,
    schedule=st.sampled_from([None, None, ALWAYS, NEVER, friday_mornings]),
)
likely_doors = st.builds(
    Door,
    id=st.just(1),
    name=st.just("Lab"),
    readers=mostly(frozenset({Direction.ENTRY}), st.just(frozenset())),
    degraded=st.sampled_from(Degraded),
    single_use=st.booleans(),
    offline_limit=mostly(None, st.integers(0, 100)),
    needs_pin=st.booleans(),
    timezone=mostly("Europe/Berlin", st.sampled_from(["UTC", "Mars/Olympus"])),
)
likely_snapshots = st.builds(
    Snapshot,
    door=likely_doors,
    refuse_below=st.integers(0, 4),
    first_used_at=mostly(None, near.map(float)),
    mode=mostly(DoorMode(Mode.ACCESS_CONTROL), st.builds(DoorMode, st.sampled_from(Mode), st.none() | near)),
    person=mostly(BOB, st.none(), likely_people, likely_people, likely_people, likely_people),
    grant=mostly(Grant(), st.none(), likely_grants, likely_grants, likely_grants, likely_grants),
    holidays=mostly(frozenset(), st.just(frozenset({739_996}))),
    slowed_until=mostly(None, near.map(float)),
    synced_at=near.map(lambda at: at - 50.0),
)
shown_pins = st.sampled_from([None, "", "0042", "0042", "0043", "nonsense"])
persons_evidence = st.one_of(
    st.builds(CardRead, st.just(1234), shown_pins),
    st.builds(RemoteUnlock, st.just(5)),
    st.builds(replace, st.just(CODE), issued_at=near),
)
likely_evidence = (
    persons_evidence
    | st.just(CLIENTS_REQUEST)
    | st.builds(replace, st.just(VICS), issued_at=near, version=st.integers(0, 4))
)
persons_attempts = st.builds(shown, persons_evidence, near.map(float), st.booleans())
likely_attempts = st.builds(shown, likely_evidence, near.map(float), st.booleans())


def may_open(snapshot: Snapshot, attempt: Attempt) -> bool:
    """All that must be true for a person to get in, said again as one conjunction without an order."""
    door, person, grant, shown, at = snapshot.door, snapshot.person, snapshot.grant, attempt.evidence, attempt.at
    if door is None or snapshot.synced_at is None:
        return False
    anybody = (
        door.id == attempt.access_point,
        isinstance(shown, RemoteUnlock) or attempt.direction in door.readers,
        snapshot.mode.mode is not Mode.LOCKED or (snapshot.mode.until is not None and snapshot.mode.until <= at),
        0 <= at < 2**53 and 0 <= snapshot.synced_at < 2**53,
        door.offline_limit is None or at - snapshot.synced_at <= door.offline_limit,
        snapshot.slowed_until is None or snapshot.slowed_until <= at,
    )
    if shown == CLIENTS_REQUEST:
        return all(anybody)
    if person is None or grant is None:
        return False
    blind = not attempt.clock_trusted
    untimed = not isinstance(shown, VerifiedPhoneCode) and grant == Grant() and person.expires_at is None
    named = (
        not isinstance(shown, RemoteUnlock) or shown.user == person.id,
        person.is_active,
        person.expires_at is None or at < person.expires_at,
        {CardRead: Way.CARD, RemoteUnlock: Way.REMOTE, VerifiedPhoneCode: Way.MOBILE}.get(type(shown)) in person.ways,
        not blind or untimed or door.degraded is Degraded.ADMIT,
        blind or grant.starts_at is None or grant.starts_at <= at,
        blind or grant.ends_at is None or at < grant.ends_at,
        blind or grant.schedule is None or holds(grant.schedule, door.timezone, snapshot.holidays, at),
        not isinstance(shown, VerifiedPhoneCode) or snapshot.first_used_at is None,
        not isinstance(shown, VerifiedPhoneCode) or blind or shown.issued_at - 5 <= at < shown.issued_at + 35,
        not isinstance(shown, CardRead) or not door.needs_pin or (shown.pin == "0042" and person.pin_hash != b""),
    )
    return all(anybody) and all(named)


@settings(deadline=None, max_examples=1000)
@given(likely_snapshots, persons_attempts | st.just(shown(CLIENTS_REQUEST)))
def test_a_person_gets_in_when_all_of_it_is_true_and_only_then(snapshot: Snapshot, attempt: Attempt) -> None:
    assert decide(snapshot, attempt).granted is may_open(snapshot, attempt)


Less = Callable[[Snapshot, Attempt], tuple[Snapshot, Attempt]]

LESS: dict[str, Less] = {
    "no door": lambda s, a: (replace(s, door=None), a),
    "never synced": lambda s, a: (replace(s, synced_at=None), a),
    "no person": lambda s, a: (replace(s, person=None), a),
    "no permission": lambda s, a: (replace(s, grant=None), a),
    "deactivated": lambda s, a: (person(s, is_active=False), a),
    "expires": lambda s, a: (person(s, expires_at=NOW), a) if s.person and s.person.expires_at is None else (s, a),
    "expires earlier": lambda s, a: (person(s, expires_at=NOW - 40), a),
    "no card": lambda s, a: (_without(s, Way.CARD), a),
    "no phone": lambda s, a: (_without(s, Way.MOBILE), a),
    "no remote": lambda s, a: (_without(s, Way.REMOTE), a),
    "no PIN of one's own": lambda s, a: (person(s, pin_hash=b""), a),
    "a later beginning": lambda s, a: (grant(s, starts_at=NOW + 40), a),
    "an earlier end": lambda s, a: (grant(s, ends_at=NOW - 40), a),
    "a schedule": lambda s, a: (grant(s, schedule=ALWAYS), a) if s.grant and s.grant.schedule is None else (s, a),
    "a schedule that never holds": lambda s, a: (grant(s, schedule=NEVER), a),
    "a lockdown": lambda s, a: (replace(s, mode=LOCKDOWN), a),
    "slowed down": lambda s, a: (replace(s, slowed_until=NOW + 99.0), a),
    "used": lambda s, a: (replace(s, first_used_at=NOW - 99.0), a),
    "a PIN asked for": lambda s, a: (door(s, needs_pin=True), a),
    "no readers": lambda s, a: (door(s, readers=frozenset()), a),
    "no time zone": lambda s, a: (door(s, timezone=""), a),
    "refusing in doubt": lambda s, a: (door(s, degraded=Degraded.REFUSE), a),
    "a shorter offline limit": lambda s, a: (door(s, offline_limit=0), a),
    "an unknown time": lambda s, a: (door(s, degraded=Degraded.REFUSE), replace(a, clock_trusted=False)),
    "no PIN shown": lambda s, a: (s, replace(a, evidence=CARD) if isinstance(a.evidence, CardRead) else a),
}


def _without(snapshot: Snapshot, way: Way) -> Snapshot:
    return person(snapshot, ways=snapshot.person.ways - {way} if snapshot.person else frozenset())


@pytest.mark.parametrize("less", LESS.values(), ids=LESS.keys())
@settings(deadline=None, max_examples=60)
@given(likely_snapshots, likely_attempts)
def test_taking_something_away_never_opens(less: Less, snapshot: Snapshot, attempt: Attempt) -> None:
    if not decide(snapshot, attempt).granted:
        assert not decide(*less(snapshot, attempt)).granted


@settings(deadline=None)
@given(likely_snapshots, persons_attempts, likely_grants)
def test_deactivation_removal_and_expiry_beat_every_permission(
    snapshot: Snapshot, attempt: Attempt, any_grant: Grant
) -> None:
    granted = replace(snapshot, grant=any_grant)
    for gone in (
        person(granted, is_active=False),
        person(granted, expires_at=int(attempt.at)),
        replace(granted, person=None),
        replace(granted, grant=None),
    ):
        assert not decide(gone, attempt).granted


@settings(deadline=None)
@given(likely_snapshots, likely_attempts)
def test_a_lockdown_beats_everything(snapshot: Snapshot, attempt: Attempt) -> None:
    assert not decide(replace(snapshot, mode=LOCKDOWN), attempt).granted
    assert not decide(replace(snapshot, mode=DoorMode(Mode.LOCKED, attempt.at + 1)), attempt).granted


@settings(deadline=None, max_examples=300)
@given(likely_snapshots, near.map(float), st.booleans(), shown_pins)
def test_a_pin_tried_tells_of_nothing_but_itself(snapshot: Snapshot, at: float, trusted: bool, pin: str | None) -> None:
    right = decide(snapshot, shown(CardRead(1234, "0042"), at, trusted))
    tried = decide(snapshot, shown(CardRead(1234, pin), at, trusted))
    if not right.granted and right.reason is not Reason.PIN_WRONG:
        assert tried == right


# Records that make no sense

anything = st.integers(-(2**70), 2**70) | near
instants = near.map(float) | st.floats()
wild_days = st.lists(st.tuples(anything, anything), max_size=2).map(tuple)
wild_schedules = st.builds(Schedule, st.lists(wild_days, max_size=8).map(tuple), wild_days)
wild_people = st.builds(
    Person,
    id=anything,
    is_active=st.booleans(),
    ways=ways,
    expires_at=st.none() | anything,
    pin_salt=st.binary(max_size=70),
    pin_hash=st.binary(max_size=70),
)
wild_doors = st.builds(
    Door,
    id=st.just(1),
    name=st.text(),
    readers=st.just(frozenset(Direction)),
    degraded=st.sampled_from(Degraded),
    offline_limit=st.none() | anything,
    needs_pin=st.booleans(),
    timezone=st.text() | st.just("Europe/Berlin"),
)
wild_snapshots = st.builds(
    Snapshot,
    door=wild_doors,
    first_used_at=st.none() | instants,
    mode=st.builds(DoorMode, st.sampled_from(Mode), st.none() | instants),
    person=st.none() | wild_people,
    grant=st.none() | st.builds(Grant, st.none() | anything, st.none() | anything, st.none() | wild_schedules),
    holidays=st.frozensets(anything),
    slowed_until=st.none() | instants,
    synced_at=instants,
)
wild_evidence = st.one_of(
    likely_evidence,
    st.builds(CardRead, anything, st.none() | st.text()),
    st.builds(RemoteUnlock, anything),
    st.builds(replace, st.just(CODE), issued_at=anything),
    st.builds(BrokenPass, st.sampled_from(Reason)),
)


@settings(deadline=None, max_examples=500)
@given(wild_snapshots, st.builds(shown, wild_evidence, instants | anything, st.booleans()))
def test_every_question_has_an_answer(snapshot: Snapshot, attempt: Attempt) -> None:
    decision = decide(snapshot, attempt)
    assert isinstance(decision.reason, Reason)
    if decision.granted and not isinstance(attempt.evidence, VerifiedPass | CardRead):
        assert may_open(snapshot, attempt)


@settings(deadline=None)
@given(wild_snapshots, st.builds(shown, wild_evidence, st.just(float("nan")), st.booleans()))
def test_an_instant_that_is_none_opens_nothing(snapshot: Snapshot, attempt: Attempt) -> None:
    assert not decide(snapshot, attempt).granted
