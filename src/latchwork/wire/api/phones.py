"""Phones: what an app's user enrols, what a phone carries to work without a network, and who may take it away."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from latchwork.wire.api.problems import Problem

CONTEXT: Final = b"latchwork phone v1"

Use = Literal["tap", "click", "code", "remote", "hold_open", "lock"]
"""What a phone may do at a door; `hold_open` and `lock` also mean back to normal."""


class PhoneDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The public halves of two keys that were made in the phone and never leave it."""

    name: str
    """How its owner tells it from another: "Bob's Pixel"."""
    tap_key: str
    """P-256, uncompressed point (65 bytes), base64url without padding: proves the phone over Bluetooth."""
    code_key: str
    """The same, another key: signs the user's own code."""
    tap_proof: str
    """ES256 raw r‖s (64 bytes), base64url without padding, by the tap key over `proof_bytes`."""
    code_proof: str
    """The same by the code key."""
    replaces: int | None = None
    """A phone of the same user that is lost: it is removed, and its session ends, when this one is enrolled."""


class Phone(msgspec.Struct, frozen=True, rename="camel"):
    """An enrolled phone of a user."""

    id: int
    user_id: int
    name: str
    tap_kid: str
    """8 bytes of the key's thumbprint (RFC 9679), base64url without padding."""
    code_kid: str
    created_at: int
    last_used_at: int | None
    """When its session last fetched a token; null: its session is over."""
    assigned: int
    """At how many of the doors that its user may open it is known."""
    pending: int
    """At how many it is not yet."""


class ReaderKey(msgspec.Struct, frozen=True, rename="camel"):
    """A key of the organisation that signs readers' certificates."""

    kid: str
    """8 bytes, base64url without padding."""
    public_key: str
    """P-256, uncompressed point (65 bytes), base64url without padding."""


class KeyringDoor(msgspec.Struct, frozen=True, rename="camel"):
    """A door that the caller may open, and what their phone may do there."""

    access_point_id: int
    name: str
    zone: str
    site_id: int
    site_name: str
    timezone: str
    """Of the site: its clock decides."""
    starts_at: int | None
    ends_at: int | None
    schedule: str | None
    """The weekly schedule's name; null: at any time."""
    allows: list[Use]
    click_range: int
    """Metres from which a click opens; 0: not at all."""
    is_ready: bool
    """Whether the door knows this phone and this permission already."""


class Keyring(msgspec.Struct, frozen=True, rename="camel"):
    """All that a phone needs to know to work without a network."""

    organisation_id: int
    organisation_name: str
    user_id: int
    user_name: str
    at: int
    """When the cloud told it, epoch seconds."""
    phone: Phone | None
    """The one whose session asks; null: it has not been enrolled."""
    reader_keys: list[ReaderKey]
    doors: list[KeyringDoor]


class AppSession(msgspec.Struct, frozen=True, rename="camel"):
    """A user's session in an app; `phone_id`: the phone that was enrolled in it."""

    id: int
    user_id: int
    client_id: str | None
    """The API client that began it; null: the user did, on the website."""
    client_name: str | None
    phone_id: int | None
    phone_name: str | None
    created_at: int
    last_used_at: int | None
    """When it last fetched a token; null: the app has not begun it yet."""
    expires_at: int
    """When it ends unless it is used before."""


class AppSessionOffer(msgspec.Struct, frozen=True, rename="camel"):
    """A session in an app that has not begun yet."""

    token: str
    """Good once: with it the app logs in."""
    expires_at: int


class PhoneLimitReached(Problem):
    status, code = 409, "phone_limit_reached"
    sentence = "You have as many phones as you may; name the one that this one replaces."


class PhoneLocked(Problem):
    status, code = 403, "phone_locked"
    sentence = "You are bound to your phone; ask an administrator to remove it before you enrol another."


def proof_bytes(user: int, tap_key: bytes, code_key: bytes) -> bytes:
    """What each of both keys signs: both belong to this phone of this user, and somebody holds them."""
    return b"\0".join((CONTEXT, str(user).encode(), tap_key + code_key))
