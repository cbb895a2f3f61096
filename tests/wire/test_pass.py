"""The pass: its vectors, its documentation, other libraries' passes, and that nothing else is ever accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cwt import COSE, COSEKey
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.wire import make_pass_vectors

from latchwork.policy.model import BrokenPass, VerifiedPass, VerifiedPhoneCode
from latchwork.policy.reasons import Reason
from latchwork.wire import base45, p256, pass_
from latchwork.wire.pass_ import PassKey, Visit

DOCS = Path(__file__).parents[2] / "docs"
VECTORS: dict[str, Any] = json.loads((DOCS / "pass-vectors.json").read_text())
BY_NAME: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in VECTORS["vectors"]}
NOW = 1_800_000_000
N = make_pass_vectors.ORDER

ALICE = p256.load_private(b"\x01" * 32)
BOBS_PHONE = p256.load_private(b"\x02" * 32)
CHARLIE = p256.load_private(b"\x03" * 32)


def key_of(private: p256.PrivateKey, kind: Any) -> PassKey:
    public = private.public_key()
    return PassKey(p256.kid(p256.public_bytes(public)), kind, public)


ALICES_KEY = key_of(ALICE, "organisation")
BOBS_KEY = key_of(BOBS_PHONE, "phone")
KNOWN = {key.kid: key for key in (ALICES_KEY, BOBS_KEY)}
VICS_VISIT = Visit(
    visitor=7,
    meeting=70,
    version=3,
    doors=(1, 2, 5, 12),
    issued_at=NOW,
    not_before=NOW - 600,
    expires_at=NOW + 60,
    pass_id=b"vic pass",
)


def read(text: str) -> VerifiedPass | VerifiedPhoneCode | BrokenPass:
    return pass_.verify(text, KNOWN.get)


def bytes_of(text: str) -> bytes:
    return base45.decode(text.removeprefix("LW1:"))


def text_of(data: bytes) -> str:
    return "LW1:" + base45.encode(data)


def twin(text: str) -> str:
    """The same pass with its other genuine signature (r, n − s)."""
    return text_of(make_pass_vectors.twin(bytes_of(text)))


# The vectors


def point_of(jwk: dict[str, str]) -> bytes:
    return b"\x04" + p256.from_b64url(jwk["x"]) + p256.from_b64url(jwk["y"])


def keys_of_the_vectors() -> dict[bytes, PassKey]:
    known = [record for record in VECTORS["keys"] if record["known"]]
    points = [(point_of(record["jwk"]), record["kind"]) for record in known]
    return {p256.kid(point): PassKey(p256.kid(point), kind, p256.load_public(point)) for point, kind in points}


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: vector["name"])
def test_a_vector_is_read_as_it_says(vector: dict[str, Any]) -> None:
    got = pass_.verify(vector["text"], keys_of_the_vectors().get)
    if vector["result"] == "refused":
        assert got == BrokenPass(Reason(vector["reason"]))
    else:
        assert claims_of(got) == vector["claims"]
        assert bytes_of(vector["text"]).hex() == vector["cose"]


def claims_of(got: VerifiedPass | VerifiedPhoneCode | BrokenPass) -> dict[str, Any]:
    assert not isinstance(got, BrokenPass)
    claims: dict[str, Any] = {"6": got.issued_at, "7": got.pass_id.hex()}
    if isinstance(got, VerifiedPhoneCode):
        return claims
    steps = [high - low for low, high in zip((0, *got.doors), got.doors, strict=False)]
    meeting = [got.visitor, got.meeting, got.version, steps]
    return {**claims, "4": got.expires_at, "5": got.not_before, "-65537": meeting}


def test_the_vectors_are_those_of_their_script() -> None:
    assert (DOCS / "pass-vectors.json").read_text() == make_pass_vectors.rendered()


@pytest.mark.parametrize("record", VECTORS["keys"], ids=lambda record: record["owner"])
def test_a_key_is_published_under_its_thumbprint(record: dict[str, Any]) -> None:
    assert pass_.jwk(point_of(record["jwk"])) == record["jwk"]


# The documentation


def block(kind: str) -> str:
    match = re.search(rf"```{kind}\n(.*?)\n```", (DOCS / "pass.md").read_text(), re.DOTALL)
    assert match is not None
    return match[1]


def test_the_worked_example_is_the_vector() -> None:
    vector = BY_NAME["four doors"]
    assert block("text") == vector["text"]
    assert block("hex").replace("\n", "") == vector["cose"]
    assert json.loads(block("json claims")) == vector["claims"]
    assert json.loads(block("json key")) == VECTORS["keys"][0]["jwk"]


def test_the_documented_check_works() -> None:
    said: dict[str, Any] = {"text": block("text"), "jwk": json.loads(block("json key"))}
    exec(block("python"), said)
    assert make_pass_vectors.readable(said["claims"]) == BY_NAME["four doors"]["claims"]


# Our passes and other people's libraries


def cose_key(private: p256.PrivateKey, kid: bytes) -> COSEKey:
    point = p256.public_bytes(private.public_key())
    secret = p256.private_bytes(private)
    return COSEKey.new({1: 2, 2: kid, 3: -7, -1: 1, -2: point[1:33], -3: point[33:], -4: secret})


def test_a_pass_of_ours_is_verified_by_another_library() -> None:
    text = pass_.sign_visit(VICS_VISIT, ALICES_KEY.kid, ALICE)
    payload = COSE.new(verify_kid=True).decode(bytes_of(text), keys=cose_key(ALICE, ALICES_KEY.kid))
    expected = {4: NOW + 60, 5: NOW - 600, 6: NOW, 7: b"vic pass", -65537: [7, 70, 3, [1, 1, 3, 7]]}
    assert cbor2.loads(payload) == expected


def test_a_pass_of_another_library_is_verified_by_ours() -> None:
    claims = {4: NOW + 60, 5: NOW - 600, 6: NOW, 7: b"vic pass", -65537: [7, 70, 3, [1, 1, 3, 7]]}
    protected = {1: -7, 4: ALICES_KEY.kid}
    key = cose_key(ALICE, ALICES_KEY.kid)
    data = COSE.new().encode_and_sign(cbor2.dumps(claims), key, protected=protected, unprotected={})
    got = read(text_of(data))
    assert isinstance(got, VerifiedPass)
    assert (got.visitor, got.meeting, got.version, got.doors) == (7, 70, 3, (1, 2, 5, 12))


# What can be signed can be read, and only that

uints = st.integers(0, 300) | st.integers(0, 2**63 - 1)
instants = st.integers(2**16, 2**32 - 1)
visits = st.builds(
    Visit,
    visitor=uints,
    meeting=uints,
    version=uints,
    doors=st.sets(st.integers(1, 70_000), max_size=64).map(lambda doors: tuple(sorted(doors))),
    issued_at=instants,
    not_before=instants,
    expires_at=instants,
    pass_id=st.binary(min_size=8, max_size=8),
)


@settings(deadline=None)
@given(visits)
def test_a_signed_visit_is_read_as_it_was_meant(visit: Visit) -> None:
    assert read(pass_.sign_visit(visit, ALICES_KEY.kid, ALICE)) == VerifiedPass(
        pass_id=visit.pass_id,
        visitor=visit.visitor,
        meeting=visit.meeting,
        version=visit.version,
        doors=visit.doors,
        issued_at=visit.issued_at,
        not_before=visit.not_before,
        expires_at=visit.expires_at,
    )


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=8), instants)
def test_a_signed_phone_code_is_read_as_it_was_meant(pass_id: bytes, issued_at: int) -> None:
    text = pass_.sign_phone_code(pass_id, issued_at, BOBS_KEY.kid, BOBS_PHONE)
    assert read(text) == VerifiedPhoneCode(pass_id=pass_id, key=BOBS_KEY.kid, issued_at=issued_at)


@pytest.mark.parametrize(
    "wrong",
    [
        {"visitor": -1},
        {"version": True},
        {"meeting": 2**63},
        {"doors": (2, 1)},
        {"doors": (1, 1)},
        {"doors": (0,)},
        {"doors": tuple(range(1, 66))},
        {"doors": tuple(door << 40 for door in range(1, 65))},
        {"issued_at": NOW * 1000},
        {"expires_at": 0},
        {"pass_id": b"7 bytes"},
    ],
    ids=str,
)
def test_what_could_not_be_read_is_not_signed(wrong: dict[str, Any]) -> None:
    said = {name: getattr(VICS_VISIT, name) for name in Visit.__slots__}
    with pytest.raises(ValueError):
        pass_.sign_visit(Visit(**{**said, **wrong}), ALICES_KEY.kid, ALICE)


def test_a_phones_code_is_not_signed_either_when_it_could_not_be_read() -> None:
    for pass_id, issued_at, kid in [
        (b"7 bytes", NOW, BOBS_KEY.kid),
        (b"8 bytes.", -1, BOBS_KEY.kid),
        (b"8 bytes.", NOW, b""),
    ]:
        with pytest.raises(ValueError):
            pass_.sign_phone_code(pass_id, issued_at, kid, BOBS_PHONE)


# No text is accepted that nobody signed: a text that is accepted is one of these, or one of these with the other of its
# two genuine signatures (r, n − s), and then it says the same.

SIGNED = [
    pass_.sign_visit(VICS_VISIT, ALICES_KEY.kid, ALICE),
    pass_.sign_visit(Visit(8, 70, 3, (1,), NOW, NOW, NOW + 60, b"8 bytes."), ALICES_KEY.kid, ALICE),
    pass_.sign_phone_code(b"8 bytes.", NOW, BOBS_KEY.kid, BOBS_PHONE),
]
GENUINE = {text: read(text) for text in SIGNED} | {twin(text): read(text) for text in SIGNED}
FOREIGN = [
    pass_.sign_visit(VICS_VISIT, key_of(CHARLIE, "organisation").kid, CHARLIE),
    pass_.sign_visit(VICS_VISIT, ALICES_KEY.kid, CHARLIE),
    pass_.sign_visit(VICS_VISIT, ALICES_KEY.kid, BOBS_PHONE),
    pass_.sign_visit(VICS_VISIT, BOBS_KEY.kid, BOBS_PHONE),
    pass_.sign_phone_code(b"8 bytes.", NOW, ALICES_KEY.kid, ALICE),
]


def check_that_only_the_genuine_is_accepted(text: str) -> None:
    got = read(text)
    assert isinstance(got, BrokenPass) or got == GENUINE[text]


def test_the_genuine_is_accepted_with_either_signature() -> None:
    assert len(GENUINE) == 2 * len(SIGNED)
    for text, said in GENUINE.items():
        assert not isinstance(said, BrokenPass)
        assert read(text) == said


@pytest.mark.parametrize("text", SIGNED)
def test_no_pass_survives_the_flip_of_any_bit(text: str) -> None:
    data = bytes_of(text)
    for place in range(len(data) * 8):
        altered = bytearray(data)
        altered[place // 8] ^= 1 << place % 8
        assert isinstance(read(text_of(bytes(altered))), BrokenPass)


@pytest.mark.parametrize("text", SIGNED)
def test_no_pass_survives_a_cut(text: str) -> None:
    for length in range(len(text)):
        assert isinstance(read(text[:length]), BrokenPass)
    data = bytes_of(text)
    for length in range(len(data)):
        assert isinstance(read(text_of(data[:length])), BrokenPass)
        assert isinstance(read(text_of(data[length + 1 :])), BrokenPass)


@pytest.mark.parametrize("text", SIGNED)
def test_no_pass_survives_another_character(text: str) -> None:
    for place in range(len(text)):
        for character in "0Z:a\0\udcff☃":
            check_that_only_the_genuine_is_accepted(text[:place] + character + text[place + 1 :])


@settings(deadline=None)
@given(st.sampled_from([*SIGNED, *FOREIGN]), st.sampled_from([*SIGNED, *FOREIGN]), st.data())
def test_no_two_passes_can_be_spliced(one: str, other: str, data: st.DataObject) -> None:
    head, tail = bytes_of(one), bytes_of(other)
    cut, resume = data.draw(st.integers(0, len(head))), data.draw(st.integers(0, len(tail)))
    check_that_only_the_genuine_is_accepted(text_of(head[:cut] + tail[resume:]))


@settings(deadline=None)
@given(st.sampled_from(SIGNED), st.data(), st.binary(max_size=70))
def test_no_pass_survives_other_bytes_inside(text: str, data: st.DataObject, other: bytes) -> None:
    genuine = bytes_of(text)
    start = data.draw(st.integers(0, len(genuine)))
    end = data.draw(st.integers(start, len(genuine)))
    check_that_only_the_genuine_is_accepted(text_of(genuine[:start] + other + genuine[end:]))


@pytest.mark.parametrize("text", FOREIGN)
def test_no_pass_of_another_signer_or_for_another_purpose_is_accepted(text: str) -> None:
    assert isinstance(read(text), BrokenPass)


@settings(deadline=None)
@given(st.text() | st.text().map("LW1:".__add__) | st.binary(max_size=390).map(text_of))
@example("LW1:" + "0" * 65531)
def test_no_other_text_is_accepted_and_none_raises(text: str) -> None:
    assert isinstance(read(text), BrokenPass)


structures = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.binary(max_size=9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from([1, 4, 5, 6, 7, -65537, "exp"]), inner)
        | st.builds(cbor2.CBORTag, st.sampled_from([0, 1, 2, 4, 18, 28, 30, 35, 61, 258]), inner)
    ),
    max_leaves=10,
)


@settings(deadline=None)
@given(structures)
def test_no_other_payload_is_accepted_even_when_its_signature_is_genuine(payload: Any) -> None:
    text = text_of(make_pass_vectors.cose(payload, make_pass_vectors.ALICE))
    got = pass_.verify(text, keys_of_the_vectors().get)
    assert got in (BrokenPass(Reason.PASS_WRONG_CLAIMS), BrokenPass(Reason.PASS_TOO_LONG))
