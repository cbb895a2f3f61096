"""The tap: its vectors, that both sides come to the same end however the bytes arrive, and that nothing else does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire import make_tap_vectors

from latchwork.policy.model import Ask
from latchwork.wire import certificate, p256
from latchwork.wire.api import phones
from latchwork.wire.certificate import ReaderCertificate
from latchwork.wire.tap import (
    ANSWER_SECONDS,
    EXCHANGE_SECONDS,
    LEEWAY,
    MOST_BYTES,
    Answer,
    PhoneIdentity,
    PhoneSide,
    Proven,
    ReaderIdentity,
    ReaderSide,
    Request,
    TapFailed,
    TapFailure,
)

FILE = Path(__file__).parents[2] / "docs" / "tap-vectors.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text())
NOW = 1_800_000_000
YEAR = 366 * 86_400


def key(number: int) -> p256.PrivateKey:
    return p256.load_private(bytes([number]) * 32)


def point(private: p256.PrivateKey) -> bytes:
    return p256.public_bytes(private.public_key())


def kid(private: p256.PrivateKey) -> bytes:
    return p256.kid(point(private))


ALICES, CHARLIES, FRONT_KEY, BACK_KEY, BOB = key(1), key(2), key(3), key(4), key(5)
SITE = certificate.site_id(3, 11)
FRONT, BACK = certificate.reader_id(42, False), certificate.reader_id(43, True)
BOBS_PHONE = PhoneIdentity(BOB, NOW)
KNOWN = {kid(ALICES): ALICES.public_key()}


def certified(signer: p256.PrivateKey = ALICES, begins: int = NOW, **other: Any) -> bytes:
    said = ReaderCertificate(SITE, FRONT, point(FRONT_KEY), begins, begins + YEAR)
    return certificate.certify(replace(said, **other), kid(signer), signer)


FRONT_READER = ReaderIdentity(SITE, FRONT, FRONT_KEY, certified())
BACK_READER = ReaderIdentity(SITE, BACK, BACK_KEY, certified(reader=BACK, public_key=point(BACK_KEY)))


def phone(request: Request | None = None, now: float = NOW, **other: Any) -> PhoneSide:
    return PhoneSide(BOBS_PHONE, request or Request(), {SITE}.__contains__, KNOWN.get, now, **other)


@dataclass
class Tap:
    """One tap through the air, where somebody may alter or cut what is said."""

    reader: ReaderSide = field(default_factory=lambda: ReaderSide(FRONT_READER, 0))
    phone: PhoneSide = field(default_factory=phone)
    size: int = MOST_BYTES
    flip: tuple[int, int] | None = None
    """(which message, which of its bits)."""
    air: list[bytes] = field(default_factory=list)
    proven: Proven | None = None
    told: Answer | None = None

    def run(self, answer: Answer | None = None) -> Tap:
        """Until the phone is answered or both wait for more."""
        said = self.to_phone(self.reader.opening)
        while isinstance(said, bytes):
            heard = self.to_reader(said)
            if isinstance(heard, Proven):
                self.proven = heard
                heard = self.reader.answer(answer or Answer(True, "granted"))
            said = None if heard is None else self.to_phone(heard)
        return self

    def to_phone(self, message: bytes) -> bytes | None:
        said: bytes | Answer | None = None
        for part in self.parts(message):
            assert said is None
            said = self.phone.receive(part)
        if isinstance(said, Answer):
            self.told = said
            return None
        return said

    def to_reader(self, message: bytes) -> bytes | Proven | None:
        heard: bytes | Proven | None = None
        for part in self.parts(message):
            assert heard is None
            heard = self.reader.receive(part, 0)
        return heard

    def parts(self, message: bytes) -> Iterator[bytes]:
        if self.flip is not None and self.flip[0] == len(self.air):
            message = flipped(message, self.flip[1])
        self.air.append(message)
        return (message[at : at + self.size] for at in range(0, len(message), self.size))


def flipped(data: bytes, bit: int) -> bytes:
    altered = bytearray(data)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


def refusal(side: PhoneSide | ReaderSide, *messages: bytes, now: float = 0) -> TapFailure:
    """How a side refuses the last of these; those before it must be good."""
    *before, last = messages
    for message in before:
        hear(side, message, now)
    with pytest.raises(TapFailed) as refused:
        hear(side, last, now)
    return refused.value.failure


def hear(side: PhoneSide | ReaderSide, message: bytes, now: float = 0) -> Any:
    return side.receive(message) if isinstance(side, PhoneSide) else side.receive(message, now)


# The whole tap

requests = st.builds(
    Request,
    ask=st.sampled_from(Ask),
    from_afar=st.booleans(),
    access_point=st.integers(0, 2**63 - 1),
    rssi=st.integers(-128, 127),
)
answers = st.builds(Answer, st.booleans(), st.from_regex(r"[a-z_]{1,64}", fullmatch=True))


@settings(deadline=None)
@given(requests, answers, st.integers(1, MOST_BYTES))
def test_what_the_phone_asks_reaches_the_reader_and_its_answer_the_phone(
    request: Request, answer: Answer, size: int
) -> None:
    tap = Tap(phone=phone(request), size=size).run(answer)
    assert tap.proven == Proven(point(BOB), request)
    assert tap.told == answer


@pytest.mark.parametrize("size", range(1, 260))
def test_a_tap_comes_through_in_fragments_of_every_size(size: int) -> None:
    tap = Tap(size=size).run()
    assert (tap.proven, tap.told) == (Proven(point(BOB), Request()), Answer(True, "granted"))


def test_nothing_of_the_phone_or_of_the_answer_crosses_the_air_in_clear() -> None:
    air = b"".join(Tap().run(Answer(False, "outside_schedule")).air)
    for secret in (point(BOB), point(BOB)[1:33], kid(BOB), NOW.to_bytes(4, "big"), b"outside_schedule"):
        assert secret not in air.replace(FRONT_READER.certificate, b"")


def test_no_two_taps_of_one_phone_have_anything_in_common() -> None:
    one, other = Tap().run().air, Tap().run().air
    for mine in (1, 3):
        runs = {one[mine][at : at + 8] for at in range(2, len(one[mine]) - 16)}
        assert not any(run in other[mine] for run in runs if run != bytes(8))


def test_a_messages_size_does_not_tell_what_is_asked() -> None:
    asked = (Request(), Request(Ask.LOCK, True, 2**63 - 1, -90))
    assert len({len(Tap(phone=phone(request)).run().air[3]) for request in asked}) == 1


# Each message, bit by bit

SAYS_NOTHING: dict[int, set[int]] = {
    0: {*range(2 * 8, 7 * 8), 9 * 8},
    1: set(range(69 * 8, 74 * 8)),
    4: set(range(2 * 8, 3 * 8)),
}
"""Bits by message: the version's value, which nobody goes by; whether the reader's point or its mirror image is meant,
since both sides use x alone; and the answer in clear beside the sealed one, which counts."""


@pytest.mark.parametrize("message", range(5))
def test_no_alteration_of_any_bit_goes_through(message: int) -> None:
    size = len(Tap().run().air[message])
    came_through = {bit for bit in range(size * 8) if outcome(Tap(flip=(message, bit)))}
    assert came_through == SAYS_NOTHING.get(message, set())


def outcome(tap: Tap) -> bool:
    """True when all went as if nobody had altered anything; else somebody refused, and nobody learned or did more."""
    with suppress(TapFailed):
        tap.run()
    assert tap.told in (None, Answer(True, "granted"))
    assert tap.proven in (None, Proven(point(BOB), Request()))
    went_through = tap.told is not None
    assert went_through or tap.proven is None or len(tap.air) == 5, "only the answer may be lost once somebody proved"
    return went_through


# Who listens, and comes back


def recorded() -> list[bytes]:
    return Tap().run().air


def test_what_was_said_in_one_tap_is_worth_nothing_in_the_next() -> None:
    _, begin, _, say, _ = recorded()
    assert refusal(ReaderSide(FRONT_READER, 0), begin, say) is TapFailure.FORGED


def test_a_reader_that_only_repeats_what_it_heard_another_say_is_refused() -> None:
    opening, _, proof, _, _ = recorded()
    assert refusal(phone(), opening, proof) is TapFailure.FORGED


def test_an_answer_that_was_recorded_is_refused() -> None:
    answer = recorded()[4]
    reader, bobs = ReaderSide(FRONT_READER, 0), phone()
    proof = reader.receive(said(bobs.receive(reader.opening)), 0)
    bobs.receive(said(proof))
    assert refusal(bobs, answer) is TapFailure.FORGED


def said(message: object) -> bytes:
    assert isinstance(message, bytes)
    return message


def test_a_whole_tap_happens_once() -> None:
    tap = Tap().run()
    assert refusal(tap.reader, tap.air[1]) is TapFailure.MALFORMED
    assert refusal(tap.reader, tap.air[3]) is TapFailure.MALFORMED


def test_a_reader_between_phone_and_reader_learns_nothing_and_opens_nothing() -> None:
    """Somebody stands before the front door with the back door's reader, and relays what each of both says."""
    back, bobs, front = ReaderSide(BACK_READER, 0), phone(), ReaderSide(FRONT_READER, 0)
    begin = said(bobs.receive(back.opening))
    bobs_words = said(bobs.receive(said(back.receive(begin, 0))))
    front.receive(begin, 0)
    assert refusal(front, bobs_words) is TapFailure.FORGED


def test_a_reader_of_ones_own_site_cannot_pretend_to_be_another() -> None:
    """Who holds the back reader's key opens nothing at the front: the phone's signature names the reader it saw."""
    impostor = ReaderSide(replace(FRONT_READER, key=BACK_KEY), 0)
    bobs = phone()
    begin = said(bobs.receive(impostor.opening))
    assert refusal(bobs, said(impostor.receive(begin, 0))) is TapFailure.FORGED


# Time


def test_a_phone_that_takes_longer_than_somebody_who_is_here_is_refused() -> None:
    for seconds, is_late in ((ANSWER_SECONDS, False), (ANSWER_SECONDS + 0.01, True)):
        reader, bobs = ReaderSide(FRONT_READER, 100), phone()
        proof = reader.receive(said(bobs.receive(reader.opening)), 101)
        words = said(bobs.receive(said(proof)))
        if is_late:
            assert refusal(reader, words, now=101 + seconds) is TapFailure.LATE
        else:
            assert isinstance(reader.receive(words, 101 + seconds), Proven)


def test_an_exchange_ends_however_slowly_somebody_speaks() -> None:
    reader, bobs = ReaderSide(FRONT_READER, 0), phone()
    begin = said(bobs.receive(reader.opening))
    assert reader.receive(begin[:10], EXCHANGE_SECONDS) is None
    assert refusal(reader, begin[10:], now=EXCHANGE_SECONDS + 0.01) is TapFailure.LATE


def test_beginning_late_gives_no_more_time_in_all() -> None:
    reader, bobs = ReaderSide(FRONT_READER, 0), phone()
    proof = reader.receive(said(bobs.receive(reader.opening)), EXCHANGE_SECONDS - 1)
    assert refusal(reader, said(bobs.receive(said(proof))), now=EXCHANGE_SECONDS + 0.01) is TapFailure.LATE


# Whom the phone trusts


@pytest.mark.parametrize(
    "shown",
    [
        certified(CHARLIES),
        certified(reader=BACK),
        certified(site=certificate.site_id(3, 12)),
        certified(site=certificate.site_id(4, 11)),
        certified(begins=NOW - YEAR - LEEWAY),
        certified(begins=NOW + LEEWAY + 1),
        b"",
        bytes(216),
    ],
    ids=["Charlie's", "another reader's", "another site's", "another number's", "old", "early", "none", "zeros"],
)
def test_a_reader_without_a_certificate_that_holds_here_and_now_learns_nothing(shown: bytes) -> None:
    reader, bobs = ReaderSide(replace(FRONT_READER, certificate=shown), 0), phone()
    proof = said(reader.receive(said(bobs.receive(reader.opening)), 0))
    assert refusal(bobs, proof) is TapFailure.NOT_TRUSTED


@pytest.mark.parametrize("now", [NOW - LEEWAY, NOW + YEAR + LEEWAY - 1])
def test_clocks_may_differ_by_a_little(now: int) -> None:
    assert Tap(phone=phone(now=now)).run().told == Answer(True, "granted")


def test_a_phone_does_not_even_begin_at_a_site_where_it_opens_nothing() -> None:
    stranger = PhoneSide(BOBS_PHONE, Request(), set[bytes]().__contains__, KNOWN.get, NOW)
    assert refusal(stranger, ReaderSide(FRONT_READER, 0).opening) is TapFailure.UNKNOWN_SITE


def test_a_phone_that_means_one_reader_speaks_to_no_other() -> None:
    assert Tap(phone=phone(reader=FRONT)).run().told is not None
    assert refusal(phone(reader=BACK), ReaderSide(FRONT_READER, 0).opening) is TapFailure.WRONG_READER


def test_nobody_is_answered_before_they_proved_themselves() -> None:
    reader = ReaderSide(FRONT_READER, 0)
    with pytest.raises(RuntimeError):
        reader.answer(Answer(True, "granted"))
    reader.receive(recorded()[1], 0)
    with pytest.raises(RuntimeError):
        reader.answer(Answer(True, "granted"))


# Other makers' phones: PKOC without our request


@pytest.mark.parametrize("opened", [True, False])
def test_another_makers_phone_opens_the_readers_own_door(opened: bool) -> None:
    reader, transient = ReaderSide(FRONT_READER, 0), p256.new_key()
    readers = p256.load_compressed(reader.opening[9:42])
    reader.receive(b"\x07\x41" + point(transient) + b"\x0c\x05\x03\0\0\0\x01", 0)
    signature = p256.sign(BOB, SITE + FRONT + point(transient)[1:33] + p256.compressed(readers)[1:])
    words = b"\x01\x41" + point(BOB) + b"\x03\x40" + signature
    seal = AESCCM(sha256(p256.shared_secret(transient, readers)).digest())
    sealed = seal.encrypt(bytes(7) + b"\x01\0\0\0\x01", words, None)
    got = reader.receive(b"\x40" + bytes([len(sealed)]) + sealed, 0)
    assert got == Proven(point(BOB), Request())
    assert reader.answer(Answer(opened, "granted")) == b"\x04\x01" + bytes([opened])


# Whatever comes

records = st.builds(
    lambda tag, value: bytes([tag, len(value)]) + value,
    st.sampled_from([0x01, 0x02, 0x03, 0x04, 0x07, 0x09, 0x0C, 0x0D, 0x0E, 0x10, 0x40, 0xF1, 0xF2])
    | st.integers(0, 255),
    st.sampled_from([b"", SITE, FRONT, point(BOB), p256.compressed(BOB.public_key()), certified(), bytes(64)])
    | st.binary(max_size=255),
)
noise = st.binary(max_size=600) | st.lists(records, max_size=8).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(st.lists(noise, max_size=6), st.integers(0, 2))
def test_a_phone_tells_nobody_who_it_is_whatever_they_say(heard: list[bytes], genuine: int) -> None:
    """After `genuine` good messages, anything: raises TapFailed, waits, or says what it says to everybody."""
    tap, bobs = Tap(phone=phone()), phone()
    if genuine:
        begin = said(bobs.receive(tap.reader.opening))
        assert len(begin) == 74
    if genuine == 2:
        bobs.receive(said(tap.reader.receive(begin, 0)))
    for message in heard:
        try:
            got = bobs.receive(message)
        except TapFailed:
            break
        assert got is None or (isinstance(got, bytes) and len(got) == 74 and genuine == 0)
        genuine = 1 if got is not None else genuine


@settings(deadline=None, max_examples=300)
@given(st.lists(noise, max_size=6), st.booleans(), st.sampled_from([0.0, 1.0, 3.0, 11.0]))
def test_a_reader_believes_nobody_whatever_they_say(heard: list[bytes], has_begun: bool, now: float) -> None:
    reader = ReaderSide(FRONT_READER, 0)
    if has_begun:
        reader.receive(said(phone().receive(reader.opening)), 0)
    for message in heard:
        try:
            got = reader.receive(message, now)
        except TapFailed:
            break
        assert not isinstance(got, Proven)


@settings(deadline=None, max_examples=200)
@given(st.lists(records, max_size=5).map(b"".join) | st.binary(max_size=300))
def test_whoever_knows_the_seal_still_has_to_sign(words: bytes) -> None:
    """A stranger may begin an exchange with keys of its own; what it seals then is read by the same rules."""
    reader, transient = ReaderSide(FRONT_READER, 0), key(9)
    reader.receive(b"\x07\x41" + point(transient) + b"\x0c\x05\x03\0\0\0\x01", 0)
    secret = p256.shared_secret(transient, p256.load_compressed(reader.opening[9:42]))
    sealed = AESCCM(sha256(secret).digest()).encrypt(bytes(7) + b"\x01\0\0\0\x01", words[:230], None)
    with pytest.raises(TapFailed):
        reader.receive(b"\x40" + bytes([len(sealed)]) + sealed, 0)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=64), min_size=12))
def test_no_side_collects_more_than_a_message(parts: list[bytes]) -> None:
    """A record that never ends is given up when more has come than a message may hold."""
    bobs = phone()
    endless = b"\x0c\xff" + bytes(255) + b"\x0d\xff"
    with pytest.raises(TapFailed) as refused:
        for part in (endless, *parts, bytes(MOST_BYTES)):
            assert bobs.receive(part) is None
    assert refused.value.failure is TapFailure.MALFORMED


# The vectors, and the page that explains them


def block(kind: str) -> str:
    match = re.search(rf"```hex {kind}\n(.*?)\n```", (FILE.parent / "tap.md").read_text(), re.DOTALL)
    assert match is not None
    return match[1].replace("\n", "")


def test_the_worked_example_is_the_vector() -> None:
    first = VECTORS["exchanges"][0]
    assert [block(kind) for kind in ("opening", "begin", "proof", "identity", "answer")] == first["messages"]
    said = [block(kind) for kind in ("sealKey", "sealed identity", "sealed answer")]
    assert said == [first["sealKey"], first["identity"], first["answer"]]


def test_every_failure_is_explained() -> None:
    page = (FILE.parent / "tap.md").read_text()
    assert all(f"| `{failure}` |" in page for failure in TapFailure)


def test_the_vectors_are_those_of_their_script() -> None:
    assert FILE.read_text() == make_tap_vectors.rendered()


def load(text: str) -> p256.PrivateKey:
    return p256.load_private(bytes.fromhex(text))


def vectors_phone(now: int, request: Request, wanted: str | None, transient: str) -> PhoneSide:
    signer = VECTORS["readersSigningKey"]
    known = {bytes.fromhex(signer["kid"]): p256.load_public(bytes.fromhex(signer["publicKey"]))}
    identity = PhoneIdentity(load(VECTORS["phoneKey"]["privateKey"]), VECTORS["updatedAt"])
    sites = {bytes.fromhex(VECTORS["site"])}
    reader = None if wanted is None else bytes.fromhex(wanted)
    return PhoneSide(identity, request, sites.__contains__, known.get, now, reader, load(transient))


def vectors_reader(transient: str) -> ReaderSide:
    parts = (bytes.fromhex(VECTORS[name]) for name in ("site", "reader"))
    own, shown = load(VECTORS["readerKey"]["privateKey"]), bytes.fromhex(VECTORS["certificate"])
    return ReaderSide(ReaderIdentity(*parts, own, shown), 0, load(transient))


def asked(said: dict[str, Any] | None) -> Request:
    if said is None:
        return Request()
    return Request(Ask(said["ask"]), said["fromAfar"], said["accessPoint"], said["rssi"])


def by_name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", VECTORS["exchanges"], ids=by_name)
def test_a_reader_takes_the_vectors_phone_and_says_what_the_vector_says(vector: dict[str, Any]) -> None:
    opening, begin, proof, say, answer = map(bytes.fromhex, vector["messages"])
    reader = vectors_reader(vector["readerTransient"])
    assert reader.opening == opening
    assert said(reader.receive(begin, 0))[:-64] == proof[:-64]
    got = reader.receive(say, 1)
    assert got == Proven(bytes.fromhex(VECTORS["phoneKey"]["publicKey"]), asked(vector["request"]))
    told = vector["response"]
    assert reader.answer(Answer(told["opened"], told.get("reason", ""))) == answer


@pytest.mark.parametrize("vector", [each for each in VECTORS["exchanges"] if each["request"]], ids=by_name)
def test_a_phone_takes_the_vectors_reader_and_says_what_the_vector_says(vector: dict[str, Any]) -> None:
    opening, begin, proof, say, answer = map(bytes.fromhex, vector["messages"])
    bobs = vectors_phone(VECTORS["now"], asked(vector["request"]), VECTORS["reader"], vector["phoneTransient"])
    assert bobs.receive(opening) == begin
    words = AESCCM(bytes.fromhex(vector["sealKey"])).decrypt(NONCE, said(bobs.receive(proof))[2:], None)
    signature, identity = bytes.fromhex(vector["identitySignature"]), bytes.fromhex(vector["identity"])
    assert (words[:69], words[133:]) == (identity[:69], identity[133:]), "all but the signature, which is random"
    assert identity[69:133] == signature
    assert AESCCM(bytes.fromhex(vector["sealKey"])).encrypt(NONCE, identity, None) == say[2:]
    assert bobs.receive(answer) == Answer(vector["response"]["opened"], vector["response"]["reason"])


NONCE = bytes.fromhex("000000000000000100000001")


@pytest.mark.parametrize("vector", VECTORS["refusedByPhone"], ids=by_name)
def test_a_phone_refuses_as_the_vector_says(vector: dict[str, Any]) -> None:
    first = VECTORS["exchanges"][0]
    now = vector.get("now", VECTORS["now"])
    bobs = vectors_phone(now, asked(first["request"]), vector.get("wanted"), first["phoneTransient"])
    assert refusal(bobs, *map(bytes.fromhex, vector["receives"])) == vector["reason"]


@pytest.mark.parametrize("vector", VECTORS["refusedByReader"], ids=by_name)
def test_a_reader_refuses_as_the_vector_says(vector: dict[str, Any]) -> None:
    reader = vectors_reader(VECTORS["exchanges"][0]["readerTransient"])
    *before, last = [(bytes.fromhex(each["data"]), each["after"]) for each in vector["receives"]]
    for data, after in before:
        reader.receive(data, after)
    with pytest.raises(TapFailed) as refused:
        reader.receive(*last)
    assert refused.value.failure == vector["reason"]


def test_the_proofs_of_enrolment_are_over_the_bytes_that_the_vector_says() -> None:
    enrolled = VECTORS["enrolment"]
    tap_key, code_key = bytes.fromhex(enrolled["tapKey"]), bytes.fromhex(enrolled["codeKey"])
    message = phones.proof_bytes(enrolled["user"], tap_key, code_key)
    assert message.hex() == enrolled["proofBytes"]
    for own, proof in ((tap_key, enrolled["tapProof"]), (code_key, enrolled["codeProof"])):
        assert p256.verify(p256.load_public(own), bytes.fromhex(proof), message)
