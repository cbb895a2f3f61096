"""Records of phones that never leave the cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Purpose = Literal["tap", "code"]


@dataclass(frozen=True, slots=True)
class PhoneKey:
    """The public half of one of a phone's keys."""

    kid: str
    """16 hex digits: the key of its record at the doors."""
    purpose: Purpose
    public_key: bytes
    """P-256, uncompressed point, 65 bytes."""


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose phone a key belongs to."""

    user: int
    phone: int
    purpose: Purpose
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A phone with what decides who may replace it."""

    id: int
    session: int | None
    kids: frozenset[str]
