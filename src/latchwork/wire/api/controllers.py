"""Controllers: the programs at the doors, and what each holds."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class Controller(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    name: str
    access_points: list[int]
    enrolled_at: int | None
    """Null: no program has enrolled as this controller yet."""
    online: bool
    last_seen_at: int | None
    revision: int
    """The state that the doors should hold …"""
    confirmed_revision: int
    """… and the state that the controller has confirmed on its current link."""
    frozen: bool
    """The cloud was restored from an older backup: state is not sent until a snapshot is accepted."""
    version: str
    tzdata: str
    not_enforced: list[str]
    """Record kinds that this controller's program is too old to enforce."""
    created_at: int
    backlog: int | None = None
    """Entries of its journal that the cloud did not have yet when it was last in touch; null: it never said."""
    clock_offset: float | None = None
    """Seconds by which its clock was ahead of the cloud's when it was last in touch."""
    own_clock: bool | None = None
    """Its machine's clock is synchronised: it knows the time after a restart even without the cloud."""


class ControllerDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str
    access_points: list[int] = []
    """Doors that it runs from now on."""


class ControllerPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    access_points: list[int] | UnsetType = UNSET
    """The whole set of its doors."""


class EnrolmentCode(msgspec.Struct, frozen=True, rename="camel"):
    """Shown once; give it to `latchwork edge enrol` at the door."""

    code: str
    expires_at: int
    url: str = ""
    """Where the program at the door finds the cloud."""


class Rebuilt(msgspec.Struct, frozen=True, rename="camel"):
    """How many desired-state records a full rebuild had to change (0: the incremental state was right)."""

    changed: int
