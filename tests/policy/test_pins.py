"""PINs: what is one, and whose it is."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.policy.model import Person
from latchwork.policy.pins import hash_pin, is_pin, pin_matches

SALT = bytes(range(16))
BOB = Person(id=5, is_active=True, ways=frozenset(), pin_salt=SALT, pin_hash=hash_pin("0042", SALT))

pins = st.text("0123456789", min_size=4, max_size=8)


@pytest.mark.parametrize("text", ["0000", "123456", "99999999"])
def test_four_to_eight_digits_are_a_pin(text: str) -> None:
    assert is_pin(text)


@pytest.mark.parametrize(
    "text", ["", "123", "123456789", "12a4", "1234\n", " 1234", "١٢٣٤", "12³4", "\ud800\ud800\ud800\ud800"]
)
def test_anything_else_is_none(text: str) -> None:
    assert not is_pin(text)
    assert not pin_matches(BOB, text)
    with pytest.raises(ValueError, match="4 to 8 digits"):
        hash_pin(text, SALT)


@pytest.mark.parametrize("salt", [b"", SALT[1:], SALT + b"!"])
def test_a_salt_has_sixteen_bytes(salt: bytes) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        hash_pin("0042", salt)
    assert not pin_matches(replace(BOB, pin_salt=salt), "0042")


def test_the_hash_is_blake2b_keyed_with_the_salt() -> None:
    assert hash_pin("0042", SALT) == hashlib.blake2b(b"0042", key=SALT, digest_size=16).digest()
    assert hash_pin("0042", SALT).hex() == "1c773fc1862cec327bf6f34b0f94264d"


def test_a_person_without_a_pin_has_no_pin_that_matches() -> None:
    for salt in (b"", SALT):
        assert not pin_matches(replace(BOB, pin_salt=salt, pin_hash=b""), "0042")


@given(pins, pins, st.binary(min_size=16, max_size=16))
def test_only_the_own_pin_matches(own: str, tried: str, salt: bytes) -> None:
    alice = replace(BOB, pin_salt=salt, pin_hash=hash_pin(own, salt))
    assert pin_matches(alice, own)
    assert pin_matches(alice, tried) is (tried == own)


@given(st.text(), st.binary(max_size=70), st.binary(max_size=20))
def test_whatever_the_records_hold_is_an_answer(tried: str, salt: bytes, kept: bytes) -> None:
    assert not pin_matches(replace(BOB, pin_salt=salt, pin_hash=kept), tried)
