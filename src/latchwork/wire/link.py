"""The link: what a controller and its cloud say to each other over one WebSocket (binary frames, msgpack, tagged).

    cloud      controller
    Challenge  →
               ← Hello        signed: who I am, what I hold, what I have to tell
    Welcome    →              (or the socket closes with a code of `Close`)
    Changes…   →              one batch under way at a time, in chunks of at most CHUNK_BYTES
               ← Applied      after the batch's last chunk was made durable
               ← Facts        entries of one journal, gapless from `first`; one batch under way at a time, older
                              journals first
    Committed  →              the cloud holds everything below `next`
    Tick       →              every TICK_SECONDS: the time, and a sign of life
    Command    →              unlock once, wait for a card; never kept for a later link
               ← Outcome      what became of it
               ← Health       after the welcome, after every tick, and when a backlog is gone: how the controller is

Bytes are data: fields are only ever appended, each with a default; a tag is never reused.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from latchwork.wire.codec import Codec

PATH: Final = "/link"
CHUNK_BYTES: Final = 256 * 1024
TICK_SECONDS: Final = 20.0
MAX_FRAME_BYTES: Final = 1024 * 1024
MOST_FORMER: Final = 100
"""How many journals before the present one a hello names."""
SIGNING_CONTEXT: Final = b"latchwork link v1"


class Close:
    """WebSocket close codes of ours (RFC 6455 §7.4.2: 4000–4999 are for applications)."""

    BAD_MESSAGE: Final = 4400
    NOT_AUTHENTIC: Final = 4401
    SUPERSEDED: Final = 4409
    """A newer session of the same controller has taken over."""
    REMOVED: Final = 4410
    """The controller was removed or its key replaced: stop until it is enrolled again."""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One desired-state record; `body` None is a tombstone."""

    kind: str
    key: str
    revision: int
    body: bytes | None = None


class Challenge(msgspec.Struct, frozen=True, tag="challenge"):
    cloud: bytes
    """The cloud's id, 16 bytes."""
    nonce: bytes
    """32 random bytes."""
    time: float


class Former(msgspec.Struct, frozen=True, array_like=True):
    """A journal of an earlier start."""

    journal: bytes
    first: int
    """The controller has let go of everything below this number."""


class Hello(msgspec.Struct, frozen=True, tag="hello", omit_defaults=True):
    organisation: int
    controller: int
    signature: bytes
    """ES256, raw r‖s (64 bytes), over `signed_bytes`."""
    revision: int
    """What the controller holds; 0: nothing."""
    mark: bytes
    """The random 8 bytes of that revision; empty with revision 0."""
    journal: bytes
    """The random id of the present journal, 16 bytes; every start of the program begins one."""
    first: int
    """The number of the oldest fact of it that is still held (= `next` when none)."""
    next: int
    """The number that its next fact will get; the first fact of a journal is number 1."""
    instance: bytes
    """16 random bytes, new at every start of the program: tells a restart from a clone."""
    version: str = ""
    tzdata: str = ""
    kinds: tuple[str, ...] = ()
    """The record kinds that this controller can enforce."""
    former: tuple[Former, ...] = ()
    """The journals before the present one, latest first, at most MOST_FORMER."""
    reader_key: bytes = b""
    """With which its readers prove themselves to phones: P-256, uncompressed point, 65 bytes; empty: no Bluetooth."""


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    session: int
    time: float
    committed: int
    """The next fact that the cloud wants of this journal: everything below is committed."""
    frozen: bool = False
    """The cloud was rolled back and sends no state until an administrator accepts a snapshot."""


class Changes(msgspec.Struct, frozen=True, tag="changes"):
    revision: int
    """The revision that the whole batch leads to."""
    mark: bytes
    records: list[Record]
    snapshot: bool = False
    """The batch replaces everything held."""
    first: bool = True
    last: bool = True


class Applied(msgspec.Struct, frozen=True, tag="applied"):
    revision: int
    mark: bytes


class Facts(msgspec.Struct, frozen=True, tag="facts"):
    journal: bytes
    first: int
    bodies: list[bytes]
    """Encoded `wire.facts`, numbered first, first + 1, …"""


class Committed(msgspec.Struct, frozen=True, tag="committed"):
    journal: bytes
    next: int
    revision: int = 0
    """What follows from the facts for the controller's state is in it from this revision on; 0: nothing."""


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    time: float


class Command(msgspec.Struct, frozen=True, tag="command"):
    """Do this now or never: it is not kept for a later link."""

    id: int
    door: int
    verb: Literal["unlock", "enrol_card"]
    seconds: float
    """Time to live, on the controller's monotonic clock, from its arrival. `enrol_card`: how long the reader waits."""
    user: int | None = None
    """`unlock`: who asks; None: an API client."""
    until: float | None = None
    """When that time is over by the cloud's clock; a controller that knows what time it is does nothing after it."""


class Outcome(msgspec.Struct, frozen=True, tag="outcome"):
    """What became of a command: a reason (`granted`: it is done, or the card was read), or `command_late`."""

    id: int
    reason: str


class Health(msgspec.Struct, frozen=True, tag="health"):
    backlog: int
    """Facts that are not committed yet, of all journals."""
    time: float
    """What its clock says: seconds since the epoch."""
    own_clock: bool
    """Its machine's clock is synchronised: it knows the time after a restart even without the cloud."""


FromCloud = Challenge | Welcome | Changes | Committed | Tick | Command
FromController = Hello | Applied | Facts | Outcome | Health

from_cloud: Final[Codec[FromCloud]] = Codec(FromCloud)
from_controller: Final[Codec[FromController]] = Codec(FromController)


def signed_bytes(challenge: Challenge, hello: Hello) -> bytes:
    """What a hello's signature covers: context, cloud id, nonce and every other field of the hello."""
    unsigned = msgspec.structs.replace(hello, signature=b"")
    return b"\0".join((SIGNING_CONTEXT, challenge.cloud + challenge.nonce, from_controller.encode(unsigned)))
