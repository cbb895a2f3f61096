"""Desired-state records: what a controller must know, in small records (msgpack bodies of `wire.link.Record`).

Bytes are data: fields are only ever appended, each with a default; a kind's tag is never reused. A record's key is an
opaque id of the organisation (never a card number): the access point's id, the key's kid in hex, the meeting's id.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from latchwork.wire.codec import Codec


class DoorRecord(msgspec.Struct, frozen=True, tag="door", omit_defaults=True):
    """kind `door`, key = access point id."""

    name: str
    site: int
    zone: str = ""
    entry_reader: str | None = None
    """Which reader of the controller is outside; None: no reader on that side."""
    exit_reader: str | None = None
    strike_seconds: float = 5.0
    held_seconds: float = 30.0
    needs_pin: bool = False
    degraded: Literal["refuse", "admit"] = "refuse"
    single_use: bool = False
    offline_limit: int | None = None
    """Seconds; None: for ever."""


class KeyRecord(msgspec.Struct, frozen=True, tag="key", omit_defaults=True):
    """kind `key`, key = kid as 16 hex digits. The record, not the token, fixes what the key may sign."""

    kind: Literal["organisation", "phone"]
    public_key: bytes
    """P-256, uncompressed point, 65 bytes (SEC 1 §2.3.3)."""


class RevocationRecord(msgspec.Struct, frozen=True, tag="revocation", omit_defaults=True):
    """kind `revocation`, key = meeting id: refuse that meeting's passes with a version below `refuse_below`."""

    refuse_below: int


StateRecord = DoorRecord | KeyRecord | RevocationRecord
KINDS: Final = ("door", "key", "revocation")

codec: Final[Codec[StateRecord]] = Codec(StateRecord)
