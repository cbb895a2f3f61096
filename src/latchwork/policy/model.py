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
    needs_pin: bool = False
    """A card opens only with its holder's PIN."""
    timezone: str = "UTC"
    """The site's, an IANA name: schedules and holidays are told in its local time."""
    site: int = 0


class Mode(StrEnum):
    """How a door stands: decides by attempt, stands open for everybody, or opens for nobody (lockdown)."""

    ACCESS_CONTROL = "access_control"
    UNLOCKED = "unlocked"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class DoorMode:
    """A mode that somebody set, until an instant (None: until it is changed)."""

    mode: Mode
    until: float | None = None


class Way(StrEnum):
    """A way in that can be switched off for a person."""

    MOBILE = "mobile"
    """Anything that a phone does at the door: its code, its tap, its click."""
    CARD = "card"
    REMOTE = "remote"
    TAP = "tap"
    """Holding a phone to the reader."""


class Ask(StrEnum):
    """What a phone asks of a door: to open once, to stand open, to open for nobody, or to decide by attempt again."""

    OPEN = "open"
    HOLD_OPEN = "hold_open"
    LOCK = "lock"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Person:
    """Whoever a credential belongs to."""

    id: int
    is_active: bool
    ways: frozenset[Way]
    expires_at: int | None = None
    pin_salt: bytes = b""
    pin_hash: bytes = b""
    """`pins.hash_pin` of the PIN; empty: no PIN was set."""
    click_range: int = 0
    """Metres from which a click on the phone opens; 0: not at all."""
    steers: frozenset[int] = frozenset()
    """The sites whose doors they may hold open and lock, where they have a permission."""
    steers_everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a permission holds, in the site's local time. Intervals are (from, to) in minutes after that day's midnight.

    An interval may reach past midnight (to > 1440) into the next day. On a holiday the weekday's are replaced.
    """

    week: tuple[tuple[tuple[int, int], ...], ...]
    """Seven days, Monday first."""
    holiday: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """A person may open a door, from–until, within a schedule (None: at any time)."""

    starts_at: int | None = None
    ends_at: int | None = None
    schedule: Schedule | None = None


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
class PhoneProof:
    """A phone has proved over Bluetooth that it holds a user's key and is here now, and asks for this."""

    key: bytes
    """The phone's public key: P-256, uncompressed point, 65 bytes."""
    ask: Ask = Ask.OPEN
    from_afar: bool = False
    """A click at a distance; False: the phone is held to the reader."""
    metres: float | None = None
    """How far away it is; None: neither side can tell."""


@dataclass(frozen=True, slots=True)
class BrokenPass:
    """A text that is no pass of ours, and why."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card's number as one unsigned integer, and the PIN that was entered behind it, if any."""

    number: int
    pin: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteUnlock:
    """Somebody asks from afar: a user of the organisation, or one of its API clients (user None)."""

    user: int | None


Evidence = VerifiedPass | VerifiedPhoneCode | PhoneProof | BrokenPass | CardRead | RemoteUnlock


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
    """When this pass first opened this door in this direction, or this code any door of the controller."""
    mode: DoorMode = DoorMode(Mode.ACCESS_CONTROL)
    person: Person | None = None
    """Whoever the shown card, phone or request belongs to."""
    grant: Grant | None = None
    """That person's permission for this door."""
    holidays: frozenset[int] = frozenset()
    """The site's holidays, as proleptic Gregorian ordinals of the local date."""
    slowed_until: float | None = None
    """Too many unknown credentials at this reader, or wrong PINs for this credential: nothing is looked at before."""
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
