"""Records of people that never leave the cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from latchwork.wire.api.people import Limits, User

Pair: TypeAlias = tuple[int, int]
"""(user, access point)."""

NO_PIN = (b"", b"")


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user before the database gave them an id."""

    user: User
    pin: tuple[bytes, bytes]
    """(salt, hash)."""
    doors: tuple[int, ...]
    """Besides those that are default."""


@dataclass(frozen=True, slots=True)
class GrantChange:
    """What becomes of one grant: given (no before), changed, or taken (no after)."""

    pair: Pair
    before: Limits | None
    after: Limits | None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users are meant; each field that is not None must fit."""

    name: str | None = None
    """A part of it, whatever the case; so with the next three."""
    email: str | None = None
    phone: str | None = None
    employee_code: str | None = None
    is_active: bool | None = None
    created: tuple[int, int] | None = None
    """From, and before."""
    expiring: Mapping[int, tuple[int, int]] | None = None
    """From and before, by home site (0: none): the same day begins at another instant at each."""
    terms: Sequence[int] | None = None
    """Any of them."""
    sites: Sequence[int] | None = None
    """The home site is one of them."""
