"""Records of controllers that never leave the cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latchwork.wire.api.events import Actor


@dataclass(frozen=True, slots=True)
class Desired:
    """One record that a controller should hold."""

    controller: int
    kind: str
    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Computed:
    """The complete records of some keys of a kind: what is held under one of `keys` and is not in `records` is gone."""

    kind: str
    keys: frozenset[str]
    records: tuple[Desired, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What a controller's row says when it calls: its key, the state it should hold, and what it confirmed last."""

    organisation: int
    controller: int
    name: str
    public_key: bytes | None
    revision: int
    mark: bytes
    oldest_tombstone: int
    confirmed_revision: int
    frozen: bool
    snapshot_due: bool
    instance: bytes
    previous_instance: bytes
    online_until: int


@dataclass(frozen=True, slots=True)
class Batch:
    """State to be sent: (kind, key, revision, body) in order of revision."""

    revision: int
    mark: bytes
    records: list[tuple[str, str, int, bytes | None]]
    oldest_tombstone: int
    is_complete: bool
    """False: there is more than one statement should read at once."""


@dataclass(frozen=True, slots=True)
class PassKeyRow:
    kid: bytes
    public_key: bytes
    sealed_private_key: bytes
    state: Literal["staged", "active", "retired"]
    created_at: int


@dataclass(frozen=True, slots=True)
class ReaderKeyRow:
    """A key of the organisation that signs readers' certificates."""

    kid: bytes
    public_key: bytes
    sealed_private_key: bytes
    created_at: int


@dataclass(frozen=True, slots=True)
class Code:
    """A one-time enrolment code as it is stored."""

    organisation: int
    controller: int
    code_hash: bytes
    expires_at: int
    misses: int
    used_by: bytes | None


@dataclass(frozen=True, slots=True)
class CommandDraft:
    """Something that a controller should do now or never."""

    door: int
    controller: int
    verb: Literal["unlock", "enrol_card"]
    seconds: float
    user: int | None
    outcome: str | None = None
    """Given when it is settled without being sent."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command, and what has become of it: a reason's code, `no_link`, `unknown` …; None: not known yet."""

    id: int
    door: int
    controller: int
    verb: Literal["unlock", "enrol_card"]
    seconds: float
    user: int | None
    actor: Actor
    outcome: str | None
    card: int | None
