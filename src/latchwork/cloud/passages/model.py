"""Records of passages that never leave the cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from latchwork.policy.model import Attempt, Decision, Snapshot
from latchwork.wire.api.passages import ModeName


@dataclass(frozen=True, slots=True)
class Search:
    """Which passages are meant: those that every field allows; None allows all, an empty list nothing."""

    doors: Sequence[int] | None = None
    sites: Sequence[int] | None = None
    users: Sequence[int] | None = None
    visitors: Sequence[int] | None = None
    meetings: Sequence[int] | None = None
    direction: str | None = None
    credentials: Sequence[str] | None = None
    granted: bool | None = None
    """True: the door opened."""
    from_at: float | None = None
    to_at: float | None = None
    """From is inside, to is not."""
    reason: str | None = None
    name: str | None = None
    """In the name of the user or visitor, or in the visitor's key, as they were then, whatever the case."""
    employee_code: str | None = None
    """As it was then, whatever the case."""
    email: str | None = None
    """Like the rest, of users as they are now."""
    phone: str | None = None
    roles: Sequence[str] | None = None
    terms: Sequence[int] | None = None
    managers: Sequence[int] | None = None
    location: str | None = None
    """In the name or location of the site."""


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode that somebody set."""

    mode: ModeName
    until: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a door stands, as its controller told."""

    is_open: bool | None = None
    alarm: Literal["forced", "held"] | None = None
    fire: bool = False
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the cloud knows of one attempt, and the desired-state records that say so to the door's controller."""

    snapshot: Snapshot
    controller: int | None
    rests_on: frozenset[tuple[str, str]]
    """(kind, key); key `*`: every record of the kind."""
    schedule: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision with all that it was made of."""

    attempt: Attempt
    decision: Decision
    gathered: Gathered
