"""What the decision is made of: plain records without behaviour, clock or I/O.

Instants are seconds since the epoch (float at the edge, where milliseconds exist; never milliseconds as integers).
Ids are the organisation's own numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from latchwork.policy.reasons import Reason


class Direction(StrEnum):
    """Which of a door's readers is meant: the one outside (entry) or the one inside (exit)."""

    ENTRY = "entry"
    EXIT = "exit"


class Degraded(StrEnum):
    """What a door does when it cannot trust its clock or write its journal: refuse (the default) or admit."""

    REFUSE = "refuse"
    ADMIT = "admit"


@dataclass(frozen=True, slots=True)
class Door:
    """An access point as its controller knows it."""

    id: int
    name: str
    readers: frozenset[Direction]
    degraded: Degraded = Degraded.REFUSE
    single_use: bool = False
    """Refuse a visitor's pass that was already used at this door in this direction."""
    offline_limit: int | None = None
    """Seconds the door goes on deciding since it last heard from the cloud; None: for ever."""


@dataclass(frozen=True, slots=True)
class VerifiedPass:
    """A visitor's pass whose signature by the organisation is genuine. Nothing else about it has been judged."""

    pass_id: bytes
    """Claim cti, 8 bytes (RFC 8392 §3.1.7)."""
    visitor: int
    meeting: int
    version: int
    doors: tuple[int, ...]
    issued_at: int
    not_before: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class VerifiedPhoneCode:
    """A user's own rotating code whose signature by that user's phone key is genuine."""

    pass_id: bytes
    """Claim cti, 8 bytes."""
    key: bytes
    """The kid of the phone's key, 8 bytes."""
    issued_at: int


@dataclass(frozen=True, slots=True)
class BrokenPass:
    """A text that is no pass of ours, and why."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card's number as one unsigned integer."""

    number: int


Evidence = VerifiedPass | VerifiedPhoneCode | BrokenPass | CardRead


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody presents something at a reader."""

    access_point: int
    direction: Direction
    evidence: Evidence
    at: float
    clock_trusted: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The handful of records that matter to one attempt. The defaults are those of a controller that knows nothing."""

    door: Door | None = None
    refuse_below: int = 0
    """The meeting's passes with a version below this one are revoked."""
    first_used_at: float | None = None
    """When this pass first opened this door in this direction."""
    synced_at: float | None = None
    """When the controller last heard from the cloud; None: never (nothing is known, so nothing opens)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: granted or refused, with one reason; `shared_suspected` says that the pass was used here before."""

    reason: Reason
    shared_suspected: bool = False

    @property
    def granted(self) -> bool:
        return self.reason is Reason.GRANTED
