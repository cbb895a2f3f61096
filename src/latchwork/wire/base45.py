"""Base45 (RFC 9285): bytes as the 45 characters of a QR code's alphanumeric mode."""

from __future__ import annotations

import struct
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_PAIRS: Final = tuple(low + high for high in _ALPHABET for low in _ALPHABET)
_OUTSIDE: Final = 255
_VALUES: Final = bytes(_ALPHABET.find(chr(code)) % 256 for code in range(256))


def encode(data: bytes) -> str:
    """Two bytes become three characters, a last single byte two (RFC 9285 §4)."""
    pairs = len(data) // 2
    groups = [_PAIRS[n % 2025] + _ALPHABET[n // 2025] for n in struct.unpack_from(f">{pairs}H", data)]
    if len(data) % 2:
        groups.append(_PAIRS[data[-1]])
    return "".join(groups)


def decode(text: str) -> bytes:
    """The bytes of a text in base45.

    Raises ValueError, and no other error, when a character is not of the alphabet, when a group stands for more than
    65535 (or a last pair for more than 255), and when one character is left over (RFC 9285 §6).
    """
    values = text.encode("latin-1").translate(_VALUES)
    if _OUTSIDE in values:
        raise ValueError("a character that is not of the base45 alphabet")
    triples, rest = divmod(len(values), 3)
    low, middle, high = (_spread(values[digit : 3 * triples : 3]) for digit in range(3))
    groups = (low + 45 * middle + 2025 * high).to_bytes(3 * triples, "big")
    if any(groups[::3]):
        raise ValueError("a base45 group above 65535")
    if rest == 1:
        raise ValueError("a base45 character is left over")
    data = bytearray(2 * triples)
    data[::2], data[1::2] = groups[1::3], groups[2::3]
    if rest:
        data.append(values[-2] + 45 * values[-1])
    return bytes(data)


def _spread(digits: bytes) -> int:
    """One number with three bytes for each digit: all groups are computed at once, and none reaches into the next."""
    spread = bytearray(3 * len(digits))
    spread[2::3] = digits
    return int.from_bytes(spread, "big")
