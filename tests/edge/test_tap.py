"""Promises of a reader to whoever is on the air: what is altered, repeated, relayed or made up opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.edge.cast import BOB, ENTRY, FRONT, LAB, NOW, Dora, Organisation, Phone, door, grant, person

from latchwork.edge.journal import CODE_USES, Use, code_id
from latchwork.edge.snapshot import gather
from latchwork.edge.tap import Place, TapSession
from latchwork.policy.model import (
    Ask,
    Attempt,
    DoorMode,
    Evidence,
    Grant,
    Mode,
    Person,
    PhoneProof,
    Snapshot,
    VerifiedPhoneCode,
    Way,
)
from latchwork.wire import certificate, p256, state, tap
from latchwork.wire.facts import AccessDecided, codec
from latchwork.wire.link import Record
from latchwork.wire.state import ModeRecord, PersonRecord
from latchwork.wire.tap import (
    ANSWER_SECONDS,
    EXCHANGE_SECONDS,
    VERSION,
    Answer,
    PhoneSide,
    TapFailed,
    TapFailure,
)

Message = tuple[str, int, bytes]
"""Who says it ("reader" or "phone"), its number, and its bytes."""
Meddle = Callable[[Message], bytes]


@pytest.fixture
async def bob(dora: Dora, alice: Organisation) -> Phone:
    """Bob, who may open both doors, for both of which there is a reader."""
    bob = Phone(alice)
    readers = [alice.certify(dora.reader_key.public_key(), at, issued_at=NOW) for at in (FRONT, LAB)]
    who = person(BOB, ways=("mobile", "tap"))
    await dora.learn(door(), door(LAB), who, grant(BOB), grant(BOB, LAB), *bob.records, *readers)
    return bob


def begun(dora: Dora, at: int = FRONT) -> TapSession:
    session = dora.readers.begin(Place(at, ENTRY))
    assert session is not None
    return session


def side(phone: Phone, reader: bytes | None = None) -> PhoneSide:
    return phone.side(now=NOW, reader=reader)


async def converse(session: TapSession, phone: PhoneSide, meddle: Meddle = lambda message: message[2]) -> list[Message]:
    """What was said, through somebody in the middle, until an answer or a wait without end; raises TapFailed."""
    said: bytes | None = session.opening
    heard: list[Message] = []
    for number in range(4):
        if said is None:
            break
        heard.append(("reader", number, said))
        told = phone.receive(meddle(heard[-1]))
        if told is None or isinstance(told, Answer):
            break
        heard.append(("phone", number, told))
        said = await session.receive(meddle(heard[-1]))
    return heard


async def granted(dora: Dora) -> int:
    await dora.written()
    found = [fact for fact in map(codec.decode, dora.bodies()) if isinstance(fact, AccessDecided)]
    return sum(fact.reason == "granted" for fact in found)


async def test_an_exchange_altered_in_any_byte_opens_nothing(dora: Dora, bob: Phone) -> None:
    """Except for the version, which means nothing, the sign of the reader's transient key, of which only x counts, and
    for what is said when the door is open already."""
    genuine = await converse(begun(dora), side(bob))
    assert [(who, number) for who, number, _ in genuine] == [
        ("reader", 0),
        ("phone", 0),
        ("reader", 1),
        ("phone", 1),
        ("reader", 2),
    ]
    opened = 1
    for who, number, data in genuine[:-1]:
        for place in range(len(data)):
            if place in _meaningless(data):
                continue

            def alter(message: Message, who: str = who, number: int = number, place: int = place) -> bytes:
                if message[:2] != (who, number):
                    return message[2]
                return message[2][:place] + bytes((message[2][place] ^ 0x01,)) + message[2][place + 1 :]

            try:
                heard = await converse(begun(dora), side(bob), alter)
                assert len(heard) < 5, (who, number, place)
            except TapFailed as error:
                assert error.failure in TapFailure
    assert await granted(dora) == opened


def _meaningless(data: bytes) -> set[int]:
    version = data.find(bytes((0x0C, len(VERSION))) + VERSION)
    if version < 0:
        return set()
    places = set(range(version + 2, version + 2 + len(VERSION)))
    return places | {data.index(b"\x02\x21") + 2} if version == 0 else places


async def test_what_was_said_once_is_worth_nothing_again(dora: Dora, bob: Phone) -> None:
    genuine = await converse(begun(dora), side(bob))
    first, second = (data for who, _, data in genuine if who == "phone")
    again = begun(dora)
    assert await again.receive(first) is not None
    with pytest.raises(TapFailed) as failed:
        await again.receive(second)
    assert failed.value.failure is TapFailure.FORGED
    with pytest.raises(TapFailed):
        await begun(dora).receive(second)
    assert await granted(dora) == 1


async def test_an_exchange_that_is_over_hears_nothing_more(dora: Dora, bob: Phone) -> None:
    session = begun(dora)
    genuine = await converse(session, side(bob))
    for data in (genuine[1][2], genuine[3][2], b""):
        with pytest.raises(TapFailed):
            await session.receive(data)
    assert await granted(dora) == 1


async def test_what_is_said_to_one_reader_opens_no_other_door(dora: Dora, bob: Phone) -> None:
    """Somebody before the lab relays to it what Bob's phone says at the front door, under either reader's name."""
    front, lab = begun(dora), begun(dora, LAB)
    phone = side(bob)
    proof = await _relayed(front, lab, phone, lambda opening: opening)
    assert proof is TapFailure.NOT_TRUSTED, "the lab's certificate does not say that it is the front door"
    renamed = certificate.reader_id(LAB, False)
    named = certificate.reader_id(FRONT, False)
    proof = await _relayed(begun(dora), begun(dora, LAB), side(bob), lambda opening: opening.replace(named, renamed))
    assert proof is TapFailure.FORGED, "the lab signed another exchange"
    assert await granted(dora) == 0


async def _relayed(
    shown: TapSession, meant: TapSession, phone: PhoneSide, rename: Callable[[bytes], bytes]
) -> TapFailure:
    """The phone hears the opening of one reader and everything else from the other."""
    first = phone.receive(rename(shown.opening))
    assert isinstance(first, bytes)
    proof = await meant.receive(first)
    assert proof is not None
    with pytest.raises(TapFailed) as failed:
        phone.receive(proof)
    return failed.value.failure


async def test_a_phone_that_means_one_door_does_not_open_another(dora: Dora, bob: Phone) -> None:
    with pytest.raises(TapFailed) as failed:
        await converse(begun(dora, LAB), side(bob, certificate.reader_id(FRONT, False)))
    assert failed.value.failure is TapFailure.WRONG_READER
    assert await granted(dora) == 0


@pytest.mark.parametrize(("seconds", "is_in_time"), [(ANSWER_SECONDS, True), (ANSWER_SECONDS + 0.01, False)])
async def test_who_relays_from_afar_is_too_late(dora: Dora, bob: Phone, seconds: float, is_in_time: bool) -> None:
    await _late(dora, bob, 1, seconds, is_in_time)


@pytest.mark.parametrize(("seconds", "is_in_time"), [(EXCHANGE_SECONDS, True), (EXCHANGE_SECONDS + 0.01, False)])
async def test_an_exchange_has_its_time(dora: Dora, bob: Phone, seconds: float, is_in_time: bool) -> None:
    await _late(dora, bob, 0, seconds, is_in_time)


async def _late(dora: Dora, bob: Phone, number: int, seconds: float, is_in_time: bool) -> None:
    def dawdle(message: Message) -> bytes:
        if message[:2] == ("phone", number):
            dora.time.elapsed += seconds
        return message[2]

    if is_in_time:
        assert len(await converse(begun(dora), side(bob), dawdle)) == 5
    else:
        with pytest.raises(TapFailed) as failed:
            await converse(begun(dora), side(bob), dawdle)
        assert failed.value.failure is TapFailure.LATE
    assert await granted(dora) == is_in_time


async def test_nothing_that_tells_a_phone_from_another_is_said_in_clear(dora: Dora, bob: Phone) -> None:
    air = b"".join(data for _, _, data in await converse(begun(dora), side(bob)))
    point = p256.public_bytes(bob.tap_key.public_key())
    for secret in (
        point,
        point[1:33],
        point[33:],
        bytes.fromhex(bob.tap_kid),
        p256.compressed(bob.tap_key.public_key()),
    ):
        assert secret not in air
    assert b"granted" not in air, "nor why a door opened or not"


# Whatever comes


@dataclass(frozen=True)
class _Said:
    """Bytes of somebody's own, or what a genuine phone would say now, cut and altered."""

    data: bytes
    genuine: bool = False
    cut: int = 10_000
    at: int = 0
    flip: int = 0


_RECORD = st.builds(
    lambda tag, value: bytes((tag, len(value))) + value,
    st.sampled_from((0x01, 0x03, 0x04, 0x07, 0x09, 0x0C, 0x40, 0xF1, 0xFF)),
    st.binary(max_size=80) | st.binary(min_size=65, max_size=65),
)
_SAYINGS = st.lists(
    st.builds(_Said, st.binary(max_size=200))
    | st.builds(_Said, st.lists(_RECORD, max_size=4).map(b"".join))
    | st.builds(_Said, st.just(b""), st.just(True), st.integers(0, 300), st.integers(0, 300), st.integers(1, 255)),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(sayings=_SAYINGS)
async def test_whatever_comes_ends_the_exchange_or_waits_and_opens_nothing(
    dora: Dora, bob: Phone, sayings: list[_Said]
) -> None:
    session, phone = begun(dora), side(bob)
    said: bytes | None = session.opening
    for each in sayings:
        try:
            said = await session.receive(_altered(phone, said, each) if each.genuine and said else each.data)
        except TapFailed:
            break
    assert not dora.wiring(FRONT).strike_is_on


def _altered(phone: PhoneSide, said: bytes, how: _Said) -> bytes:
    told = phone.receive(said)
    assert isinstance(told, bytes)
    data = told[: how.cut]
    at = how.at % len(data) if data else 0
    return data[:at] + bytes((data[at] ^ how.flip,)) + data[at + 1 :] if data else data


_SEALED = st.lists(
    st.tuples(st.sampled_from((0x01, 0x03, 0x09, 0xF1)), st.binary(max_size=70) | st.just(b"bob's"))
    | st.tuples(st.just(0x03), st.binary(min_size=64, max_size=64))
    | st.tuples(st.just(0xF1), st.binary(min_size=11, max_size=11)),
    max_size=3,  # that fit into one record
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(records=_SEALED)
async def test_whoever_seals_something_else_than_a_proof_opens_nothing(
    dora: Dora, bob: Phone, records: list[tuple[int, bytes]]
) -> None:
    """A stranger who keeps to the flow, and knows Bob's public key."""
    session, transient = begun(dora), p256.new_key()
    point = p256.public_bytes(bob.tap_key.public_key())
    readers = p256.load_compressed(session.opening[9:42])
    await session.receive(b"\x07\x41" + p256.public_bytes(transient.public_key()) + b"\x0c\x05" + VERSION)
    said = [(tag, point if value == b"bob's" else value) for tag, value in records]
    sealed = tap._seal(transient, readers).encrypt(tap._FROM_PHONE, tap._records(said), None)
    with pytest.raises(TapFailed):
        await session.receive(b"\x40" + bytes((len(sealed),)) + sealed)
    assert not dora.wiring(FRONT).strike_is_on


# Gathering


@dataclass(frozen=True)
class _World:
    """What there is to know of Bob's phone at the front door."""

    is_known: bool
    purpose_fits: bool
    person: PersonRecord | None
    has_grant: bool
    mode: Mode
    local: Mode | None
    used: bool
    site: int


_WORLDS = st.builds(
    _World,
    st.booleans(),
    st.booleans(),
    st.none()
    | st.builds(
        PersonRecord,
        is_active=st.booleans(),
        ways=st.lists(st.sampled_from(("mobile", "tap", "card", "remote", "levitation")), unique=True).map(tuple),
        expires_at=st.none() | st.integers(int(NOW) - 2, int(NOW) + 2),
        click_range=st.integers(0, 20),
        steers=st.lists(st.integers(1, 3), unique=True).map(sorted).map(tuple),
        steers_everywhere=st.booleans(),
    ),
    st.booleans(),
    st.sampled_from(Mode),
    st.none() | st.sampled_from(Mode),
    st.booleans(),
    st.integers(1, 3),
)
_EVIDENCE = st.sampled_from((Ask.OPEN, Ask.LOCK)).map(lambda ask: PhoneProof(b"", ask)) | st.just(
    VerifiedPhoneCode(b"8 bytes.", b"", int(NOW))
)
_LOCAL = {Mode.UNLOCKED: Ask.HOLD_OPEN, Mode.LOCKED: Ask.LOCK, Mode.ACCESS_CONTROL: Ask.NORMAL}


@settings(deadline=None, max_examples=80)
@given(world=_WORLDS, shown=_EVIDENCE)
async def test_what_is_gathered_of_a_phone_is_what_the_records_say(
    tmp_path_factory: pytest.TempPathFactory, world: _World, shown: PhoneProof | VerifiedPhoneCode
) -> None:
    dora, bob = Dora(tmp_path_factory.mktemp("world")), Phone(Organisation())
    try:
        is_tap = isinstance(shown, PhoneProof)
        key = p256.public_bytes((bob.tap_key if is_tap is world.purpose_fits else bob.code_key).public_key())
        proof = replace(shown, key=key if is_tap else p256.kid(key))
        await _learn(dora, bob, world, proof)
        attempt = Attempt(FRONT, ENTRY, proof, NOW)
        told = gather(dora.store, dora.journal, attempt, NOW)
        assert told == _expected(dora, world, proof)
    finally:
        await dora.close()


async def _learn(dora: Dora, bob: Phone, world: _World, shown: Evidence) -> None:
    records = [door(site=world.site)]
    records += bob.records if world.is_known else []
    records += [grant(BOB)] if world.has_grant else []
    if world.mode is not Mode.ACCESS_CONTROL:
        records.append(Record("mode", str(FRONT), 1, state.codec.encode(ModeRecord(world.mode.value))))
    if world.person is not None:
        records.append(Record("person", str(BOB), 1, state.codec.encode(world.person)))
    await dora.learn(*records)
    if world.local is not None:
        asked = dora.controller._modes.asked(FRONT, PhoneProof(b"", _LOCAL[world.local]))
        fact = AccessDecided(at=NOW, door=FRONT, direction="entry", reason="granted", credential="phone")
        dora.journal.submit(fact, NOW, local=asked)
    if world.used and isinstance(shown, VerifiedPhoneCode):
        fact = AccessDecided(at=NOW, door=LAB, direction="exit", reason="granted", credential="phone")
        dora.journal.submit(fact, NOW, Use(code_id(shown), *CODE_USES, NOW - 1, NOW + 40))
    await dora.written()


def _expected(dora: Dora, world: _World, shown: Evidence) -> Snapshot:
    """The note on phones, in a few lines: a known key of the right purpose leads to its user; the nearest mode holds; a
    code is used once at the controller."""
    is_bobs = world.is_known and world.purpose_fits
    who = world.person if is_bobs else None
    return Snapshot(
        door=dora.store.door(FRONT),
        first_used_at=NOW - 1 if world.used and isinstance(shown, VerifiedPhoneCode) else None,
        mode=DoorMode(world.local or world.mode),
        person=None
        if who is None
        else Person(
            id=BOB,
            is_active=who.is_active,
            ways=frozenset(Way(way) for way in who.ways if way != "levitation"),
            expires_at=who.expires_at,
            click_range=who.click_range,
            steers=frozenset(who.steers),
            steers_everywhere=who.steers_everywhere,
        ),
        grant=Grant() if is_bobs and world.has_grant else None,
        synced_at=NOW,
    )
