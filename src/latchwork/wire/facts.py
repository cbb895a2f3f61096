"""Facts: what happened at a controller, one journal entry each (msgpack, tagged; fields only appended, with defaults).

A fact's number in the journal is its identity; `at` is the controller's view of time, seconds since the epoch.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from latchwork.wire.codec import Codec


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    at: float


class AccessDecided(Fact, frozen=True, tag="access"):
    """Somebody presented something; `reason` is `policy.reasons.Reason`'s code."""

    door: int
    direction: Literal["entry", "exit"]
    reason: str
    credential: Literal["qr", "card", "phone", "remote"]
    visitor: int | None = None
    meeting: int | None = None
    pass_id: bytes | None = None
    shared_suspected: bool = False
    count: int = 1
    """How many identical refusals this stands for."""
    user: int | None = None
    card: str | None = None
    """The key of the card's record, never its number."""
    command: int | None = None
    """The remote unlock that this answers."""
    phone: str | None = None
    """The key of the phone's record."""
    manner: Literal["code", "tap", "click"] | None = None
    """How the phone was used."""
    ask: Literal["open", "hold_open", "lock", "normal"] = "open"
    """What of the door: all but `open` set its mode, and the cloud takes that over."""
    in_lockdown: bool = False
    """The door knew that it was in lockdown: whoever asked for something else meant to end it."""


class StrikeWithheld(Fact, frozen=True, tag="withheld"):
    """An earlier grant of this journal was committed too late, so the door did not open on it.

    Never one that set the door's mode: that takes effect when it is committed.
    """

    door: int
    number: int


class DoorChanged(Fact, frozen=True, tag="door"):
    """The door itself did something."""

    door: int
    change: Literal[
        "opened",
        "closed",
        "forced",
        "held",
        "unforced",
        "request_to_exit",
        "fire_release",
        "fire_clear",
        "held_open",
        "locked_down",
        "normal",
    ]
    """The last three: a mode of the door took effect (`state.ModeRecord`), unlocked, locked, and the end of either."""


class ControllerStarted(Fact, frozen=True, tag="started"):
    version: str
    clock_trusted: bool


class CardPresented(Fact, frozen=True, tag="presented"):
    """A card was shown at a reader that waits for one to enrol (`link.EnrolCard`); it opened nothing."""

    door: int
    command: int
    number: int


class RecordRejected(Fact, frozen=True, tag="rejected"):
    """A desired-state record that this controller could not read; its subject is denied."""

    kind: str
    key: str
    revision: int


AnyFact = AccessDecided | StrikeWithheld | DoorChanged | ControllerStarted | CardPresented | RecordRejected

codec: Final[Codec[AnyFact]] = Codec(AnyFact)
