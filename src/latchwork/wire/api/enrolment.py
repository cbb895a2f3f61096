"""Enrolment: how a controller's own key becomes known to its cloud (`POST /v1/enrol`, no token)."""

from __future__ import annotations

from typing import Final

import msgspec

CONTEXT: Final = b"latchwork enrol v1"


class Enrolment(msgspec.Struct, frozen=True, rename="camel"):
    """What the controller sends. The key pair was made at the controller; the private half never leaves it."""

    code: str
    """The one-time code as shown: `<controller id>-<16 letters and digits>`, without the TLS fingerprint."""
    public_key: str
    """P-256, uncompressed point (65 bytes), base64url without padding."""
    proof: str
    """ES256 raw r‖s (64 bytes), base64url without padding, over `proof_bytes`."""


class Enrolled(msgspec.Struct, frozen=True, rename="camel"):
    """The cloud's answer; the same key may ask again with the same code while it lives (a lost answer)."""

    organisation_id: int
    controller_id: int
    name: str
    cloud_id: str
    """16 bytes in hex; a challenge of another cloud is not answered."""


def proof_bytes(code: str, public_key: bytes) -> bytes:
    """What the proof signs."""
    return b"\0".join((CONTEXT, code.encode(), public_key))
