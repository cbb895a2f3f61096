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
    timezone: str = "UTC"


class KeyRecord(msgspec.Struct, frozen=True, tag="key", omit_defaults=True):
    """kind `key`, key = kid as 16 hex digits. The record, not the token, fixes what the key may sign."""

    kind: Literal["organisation"]
    public_key: bytes
    """P-256, uncompressed point, 65 bytes (SEC 1 §2.3.3)."""


class RevocationRecord(msgspec.Struct, frozen=True, tag="revocation", omit_defaults=True):
    """kind `revocation`, key = meeting id: refuse that meeting's passes with a version below `refuse_below`."""

    refuse_below: int


class ModeRecord(msgspec.Struct, frozen=True, tag="mode", omit_defaults=True):
    """kind `mode`, key = access point id: a mode that somebody set; without a record the door decides by attempt."""

    mode: Literal["access_control", "unlocked", "locked"]
    until: int | None = None
    """Epoch seconds; None: until it is changed."""


class PersonRecord(msgspec.Struct, frozen=True, tag="person", omit_defaults=True):
    """kind `person`, key = user id: at every controller where they have a grant."""

    is_active: bool = True
    ways: tuple[str, ...] = ()
    """`policy.model.Way`."""
    expires_at: int | None = None
    pin_salt: bytes = b""
    pin_hash: bytes = b""
    click_range: int = 0
    """Metres."""
    steers: tuple[int, ...] = ()
    """Sites whose doors they may hold open and lock, ascending."""
    steers_everywhere: bool = False


class CardRecord(msgspec.Struct, frozen=True, tag="card", omit_defaults=True):
    """kind `card`, key = the assignment's opaque id: at every controller where its holder has a grant."""

    number: int
    """Below 2⁶³."""
    user: int


class GrantRecord(msgspec.Struct, frozen=True, tag="grant", omit_defaults=True):
    """kind `grant`, key = `<user id>.<access point id>`."""

    starts_at: int | None = None
    ends_at: int | None = None
    schedule: int | None = None


class ScheduleRecord(msgspec.Struct, frozen=True, tag="schedule", omit_defaults=True):
    """kind `schedule`, key = schedule id; intervals as in `policy.model.Schedule`."""

    week: tuple[tuple[tuple[int, int], ...], ...]
    holiday: tuple[tuple[int, int], ...] = ()


class HolidaysRecord(msgspec.Struct, frozen=True, tag="holidays", omit_defaults=True):
    """kind `holidays`, key = site id."""

    days: tuple[int, ...]
    """Proleptic Gregorian ordinals of local dates, ascending."""


class PhoneRecord(msgspec.Struct, frozen=True, tag="phone", omit_defaults=True):
    """kind `phone`, key = kid as 16 hex digits: a key of a user's phone, wherever they have a grant."""

    user: int
    purpose: Literal["tap", "code"]
    """One key per purpose: one proves the phone over Bluetooth, the other signs its codes."""
    public_key: bytes
    """P-256, uncompressed point, 65 bytes."""


class ReaderRecord(msgspec.Struct, frozen=True, tag="reader", omit_defaults=True):
    """kind `reader`, key = `<access point id>.entry` or `.exit`: what that reader proves itself with over Bluetooth."""

    certificate: bytes
    """`wire.certificate`, for the key that the controller named in its hello."""


StateRecord = (
    DoorRecord
    | KeyRecord
    | RevocationRecord
    | ModeRecord
    | PersonRecord
    | CardRecord
    | GrantRecord
    | ScheduleRecord
    | HolidaysRecord
    | PhoneRecord
    | ReaderRecord
)
KINDS: Final = (
    "door",
    "key",
    "revocation",
    "mode",
    "person",
    "card",
    "grant",
    "schedule",
    "holidays",
    "phone",
    "reader",
)

codec: Final[Codec[StateRecord]] = Codec(StateRecord)
