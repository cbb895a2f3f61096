"""A reader's certificate: its vectors, other libraries', and that nothing else is ever accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cwt import COSE, COSEKey
from hypothesis import given, settings
from hypothesis import strategies as st

from latchwork.wire import certificate, p256
from latchwork.wire.certificate import BYTES, ReaderCertificate

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "tap-vectors.json").read_text())
NOW = 1_800_000_000
ALICE, CHARLIE, READER = (p256.load_private(bytes([number]) * 32) for number in (1, 2, 3))
POINT = p256.public_bytes(READER.public_key())
SAID = ReaderCertificate(certificate.site_id(3, 11), certificate.reader_id(42, False), POINT, NOW, NOW + 366 * 86_400)


def kid(key: p256.PrivateKey) -> bytes:
    return p256.kid(p256.public_bytes(key.public_key()))


def read(data: bytes) -> ReaderCertificate | None:
    return certificate.read(data, {kid(ALICE): ALICE.public_key()}.get)


GENUINE = certificate.certify(SAID, kid(ALICE), ALICE)

ids = st.integers(0, 2**63 - 1)
instants = st.integers(0, 2**32 - 1)
certificates = st.builds(
    ReaderCertificate,
    site=st.builds(certificate.site_id, ids, ids),
    reader=st.builds(certificate.reader_id, ids, st.booleans()),
    public_key=st.integers(1, 2**255).map(
        lambda scalar: p256.public_bytes(p256.load_private(scalar.to_bytes(32, "big")).public_key())
    ),
    issued_at=instants,
    expires_at=instants,
)


@settings(deadline=None)
@given(certificates)
def test_a_certificate_is_read_as_it_was_meant_and_is_always_the_same(said: ReaderCertificate) -> None:
    data = certificate.certify(said, kid(ALICE), ALICE)
    assert read(data) == said
    assert len(data) == BYTES
    assert data == certificate.certify(said, kid(ALICE), ALICE)


@settings(deadline=None)
@given(ids, ids, ids, st.booleans())
def test_ids_tell_every_site_and_every_reader_apart(organisation: int, site: int, door: int, is_exit: bool) -> None:
    assert certificate.site_id(organisation, site) == organisation.to_bytes(8, "big") + site.to_bytes(8, "big")
    assert certificate.reader_id(door, is_exit) != certificate.reader_id(door, not is_exit)


@pytest.mark.parametrize(
    "wrong",
    [
        {"site": b"15 bytes, a site"[1:]},
        {"reader": bytes(17)},
        {"public_key": POINT[:-1]},
        {"public_key": POINT + b"\0"},
    ],
    ids=str,
)
def test_what_could_not_be_read_is_not_signed(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        certificate.certify(replace(SAID, **wrong), kid(ALICE), ALICE)


@pytest.mark.parametrize("wrong", [{"issued_at": -1}, {"expires_at": 2**32}], ids=str)
def test_an_instant_that_does_not_fit_is_not_signed(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, OverflowError)):
        certificate.certify(replace(SAID, **wrong), kid(ALICE), ALICE)


# Other people's libraries


def cose_key() -> COSEKey:
    point = p256.public_bytes(ALICE.public_key())
    secret = p256.private_bytes(ALICE)
    return COSEKey.new({1: 2, 2: kid(ALICE), 3: -7, -1: 1, -2: point[1:33], -3: point[33:], -4: secret})


CLAIMS = {
    4: SAID.expires_at,
    6: SAID.issued_at,
    8: {1: {1: 2, -1: 1, -2: POINT[1:33], -3: POINT[33:]}},
    -65538: [SAID.site, SAID.reader],
}


def test_a_certificate_of_ours_is_verified_by_another_library() -> None:
    payload = COSE.new(verify_kid=True).decode(GENUINE, keys=cose_key())
    assert cbor2.loads(payload) == CLAIMS


def test_a_certificate_of_another_library_is_verified_by_ours() -> None:
    protected = {1: -7, 4: kid(ALICE)}
    data = COSE.new().encode_and_sign(cbor2.dumps(CLAIMS), cose_key(), protected=protected, unprotected={})
    assert read(data) == SAID


# Nothing else


@pytest.mark.parametrize("place", range(BYTES))
def test_no_certificate_survives_the_flip_of_any_bit(place: int) -> None:
    for bit in range(8):
        altered = bytearray(GENUINE)
        altered[place] ^= 1 << bit
        assert read(bytes(altered)) is None


def test_no_certificate_survives_a_cut() -> None:
    assert all(read(GENUINE[:length]) is None for length in range(BYTES))
    assert all(read(GENUINE[length:]) is None for length in range(1, BYTES))


def test_nobody_elses_signature_counts() -> None:
    assert read(certificate.certify(SAID, kid(CHARLIE), CHARLIE)) is None
    assert read(certificate.certify(SAID, kid(ALICE), CHARLIE)) is None


@settings(deadline=None)
@given(st.binary(max_size=300) | st.binary(min_size=BYTES, max_size=BYTES))
def test_no_other_bytes_are_accepted_and_none_raise(data: bytes) -> None:
    assert read(data) is None


@settings(deadline=None)
@given(st.integers(0, BYTES), st.binary(max_size=40))
def test_no_certificate_survives_other_bytes_inside(at: int, other: bytes) -> None:
    altered = GENUINE[:at] + other + GENUINE[at + len(other) :]
    assert read(altered) == (SAID if altered == GENUINE else None)


@pytest.mark.parametrize("vector", VECTORS["certificates"], ids=lambda vector: vector["name"])
def test_a_vector_is_read_as_it_says(vector: dict[str, Any]) -> None:
    signer = VECTORS["readersSigningKey"]
    known = {bytes.fromhex(signer["kid"]): p256.load_public(bytes.fromhex(signer["publicKey"]))}
    got = certificate.read(bytes.fromhex(vector["certificate"]), known.get)
    if vector["result"] == "refused":
        assert got is None
    else:
        site, reader, public_key = (bytes.fromhex(vector[name]) for name in ("site", "reader", "publicKey"))
        assert got == ReaderCertificate(site, reader, public_key, vector["issuedAt"], vector["expiresAt"])
