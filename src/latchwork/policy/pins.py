"""PINs: what a door keeps of one instead of the digits.

What the hash can do: two people with the same PIN do not look alike, and a PIN is not read by accident in a file, a
dump or a debugger. What no hash can do: a PIN is one of at most 10⁸, so whoever holds hash and salt finds it by trying
them all, in seconds here and in minutes with the slowest hash that a door could wait for. What guards PINs is that the
records stay where they belong, that a card is needed as well, and that five wrong ones slow the credential down.
"""

from __future__ import annotations

import hmac
import re
from hashlib import blake2b
from typing import Final

from latchwork.policy.model import Person

SALT_BYTES: Final = 16
"""Random, another one for each person and each new PIN."""

_PIN: Final = re.compile("[0-9]{4,8}")


def is_pin(text: str) -> bool:
    """Four to eight of the digits 0–9."""
    return _PIN.fullmatch(text) is not None


def hash_pin(pin: str, salt: bytes) -> bytes:
    """BLAKE2b-128 of the PIN, keyed with the salt (RFC 7693 §2.9); ValueError when either is none."""
    if not is_pin(pin) or len(salt) != SALT_BYTES:
        raise ValueError("a PIN has 4 to 8 digits and its salt 16 bytes")
    return blake2b(pin.encode(), key=salt, digest_size=16).digest()


def pin_matches(person: Person, pin: str) -> bool:
    """True for the person's own PIN, in constant time; nothing matches for somebody who has none."""
    if not is_pin(pin) or len(person.pin_salt) != SALT_BYTES:
        return False
    return hmac.compare_digest(hash_pin(pin, person.pin_salt), person.pin_hash)
