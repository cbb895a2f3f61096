"""What a COSE_Sign1 signs."""

from __future__ import annotations


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure ["Signature1", protected, h'', payload] (RFC 9052 §4.4); both given as encoded byte strings."""
    return b"\x84\x6aSignature1" + protected + b"\x40" + payload
