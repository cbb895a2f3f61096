"""Sites and access points (doors)."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class Site(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    name: str
    location: str
    timezone: str
    """An IANA name such as `Europe/Berlin`."""
    created_at: int
    updated_at: int
    version: int = 1
    """Rises with each change: the ETag."""


class SiteDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str
    location: str = ""
    timezone: str = "UTC"


class SitePatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    location: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET


class AccessPoint(msgspec.Struct, frozen=True, rename="camel"):
    """A door."""

    id: int
    site_id: int
    name: str
    zone: str
    entry_reader: str | None
    """The controller's name for the reader outside; null: no reader there."""
    exit_reader: str | None
    strike_seconds: float
    """How long the strike stays released after a grant."""
    held_seconds: float
    """How long the door may stand open before it counts as held."""
    needs_pin: bool
    """A card opens it only with its holder's PIN. A visitor's code needs none."""
    is_default: bool
    """Granted to every new user."""
    degraded: Literal["refuse", "admit"]
    """What the door does while its clock or its journal cannot be trusted."""
    controller_id: int | None
    created_at: int
    updated_at: int
    version: int = 1
    """Rises with each change: the ETag."""


class AccessPointDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    site_id: int
    name: str
    zone: str = ""
    entry_reader: str | None = "entry"
    exit_reader: str | None = None
    strike_seconds: float = 5.0
    held_seconds: float = 30.0
    needs_pin: bool = False
    is_default: bool = False
    degraded: Literal["refuse", "admit"] = "refuse"
    controller_id: int | None = None


class AccessPointPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    zone: str | UnsetType = UNSET
    entry_reader: str | UnsetType | None = UNSET
    exit_reader: str | UnsetType | None = UNSET
    strike_seconds: float | UnsetType = UNSET
    held_seconds: float | UnsetType = UNSET
    needs_pin: bool | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET
    degraded: Literal["refuse", "admit"] | UnsetType = UNSET
    controller_id: int | UnsetType | None = UNSET
