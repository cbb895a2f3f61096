"""Records of visits that never leave the cloud."""

from __future__ import annotations

from dataclasses import dataclass

from latchwork.wire.api.visitors import Meeting


@dataclass(frozen=True, slots=True)
class House:
    """What a visit depends on: the organisation's settings and its active pass key, read in one statement."""

    visitor_module: bool
    pass_seconds: int | None
    passes_shortened_at: int
    meeting_max_days: int
    kid: bytes
    sealed_private_key: bytes
    doors: frozenset[int]
    """Those of the doors asked for that are the organisation's."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A meeting with what decides how long its passes live."""

    meeting: Meeting
    own_pass: bool
    """The meeting chose its passes' life itself; otherwise the organisation's setting of the moment."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Refuse a meeting's passes below a version, at these doors, until the last older pass has expired."""

    meeting: int
    refuse_below: int
    access_points: tuple[int, ...]
    until: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Which meetings are meant: those that every field allows; None allows all."""

    visitor: int | None = None
    ends_after: int | None = None
    ends_before: int | None = None
    """The end itself is inside."""
    starts_after: int | None = None
    """The start itself is inside."""
    starts_before: int | None = None
    search: str | None = None
    """In the visitor's name or company, whatever the case."""
