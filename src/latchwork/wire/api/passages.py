"""Who came and went; how doors stand; opening one from afar; why a door said yes or no."""

from __future__ import annotations

from typing import Literal

import msgspec

from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import Problem

Direction = Literal["entry", "exit"]
Credential = Literal["qr", "card", "phone", "remote"]
Manner = Literal["code", "tap", "click"]
Ask = Literal["open", "hold_open", "lock", "normal"]
ModeName = Literal["access_control", "unlocked", "locked"]


class PassageUser(msgspec.Struct, frozen=True, rename="camel"):
    """A user, by the name they had then."""

    id: int
    name: str
    employee_code: str


class PassageVisitor(msgspec.Struct, frozen=True, rename="camel"):
    """A visitor, by the key and name they had then."""

    id: int
    key: str
    name: str
    meeting_id: int | None


class Passage(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody presented something at a door, or opened it from afar. `number` is its event's."""

    number: int
    at: float
    """When it happened, as the door saw it."""
    recorded_at: float
    access_point_id: int
    access_point_name: str
    site_id: int | None
    direction: Direction
    granted: bool
    reason: str
    sentence: str
    withheld: bool
    """Granted, but the door stayed shut: the entry could not be written down in time."""
    credential: Credential
    card_last_digits: str | None
    user: PassageUser | None
    visitor: PassageVisitor | None
    requested_by: Actor | None
    """For a remote unlock: who asked."""
    count: int
    """How many identical refusals this stands for."""
    timezone: str | None
    """Of its site, as it is now; null: the site is gone."""
    manner: Manner | None = None
    """How a phone was used: its code shown, held to the reader, or from a distance."""
    ask: Ask = "open"
    """What was asked of the door: to open once, to stand open, to open for nobody, or to decide again."""


class DoorMode(msgspec.Struct, frozen=True, rename="camel"):
    """How a door stands: decides by attempt, stands open for everybody, or opens for nobody."""

    access_point_id: int
    mode: ModeName
    until: int | None
    """When it goes back to access_control by itself."""
    confirmed: bool | None
    """Whether the door's controller has confirmed it; null: the door has no controller."""


class DoorState(msgspec.Struct, frozen=True, rename="camel"):
    """All that can be said of a door now."""

    access_point_id: int
    mode: ModeName
    until: int | None
    """When the mode ends by itself."""
    confirmed: bool | None
    """Whether the door's controller has confirmed the mode; null: the door has no controller."""
    link: Literal["none", "waiting", "offline", "frozen", "online"]
    """Of its controller: none, not enrolled yet, out of touch, in touch but keeping older state, in touch."""
    last_seen_at: int | None
    """When the cloud last heard of the controller."""
    is_open: bool | None
    """As the controller told last; null: never."""
    alarm: Literal["forced", "held"] | None
    """Opened although nobody had been let in, or standing open for too long."""
    fire: bool
    """The fire alarm holds it open."""
    told_at: float | None
    """When it last opened, closed or changed otherwise, as the door saw it."""
    pending_since: int | None
    """Since when changes have been waiting for its controller; null: it has them all, or there is none."""
    last_passage: Passage | None = None
    """The latest entry or refusal to become known; null: none, or it is not for the caller, who may not read events."""


class HourCount(msgspec.Struct, frozen=True, rename="camel"):
    """How many came in, and how many were refused, within an hour."""

    start: int
    entries: int
    refusals: int


class PassageCounts(msgspec.Struct, frozen=True, rename="camel"):
    """Hour by hour, without a gap."""

    hours: list[HourCount]


class AttendanceMark(msgspec.Struct, frozen=True, rename="camel"):
    """An entry or exit."""

    at: float
    access_point_id: int
    access_point_name: str
    site_id: int | None
    timezone: str | None


class AttendanceDay(msgspec.Struct, frozen=True, rename="camel"):
    """A day on the clocks of the sites at which somebody came in or went out."""

    day: str
    """2026-10-30."""
    first_in: AttendanceMark | None
    last_out: AttendanceMark | None


class Attendance(msgspec.Struct, frozen=True, rename="camel"):
    """A person's month: the days on which they came or went."""

    user_id: int
    user_name: str
    month: str
    days: list[AttendanceDay]


class DoorModeDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    mode: ModeName
    until: int | None = None
    """Epoch seconds; absent: until it is changed."""
    minutes: int | None = None
    """Instead of `until`: so long from now."""


class UnlockDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    user_id: int | None = None
    """Whose permission counts; absent: the client's own."""


class Unlocked(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a remote unlock."""

    id: int
    outcome: Literal["done", "refused", "unknown"]
    """unknown: it was sent and nothing came back in time; the door may have opened."""
    reason: str
    sentence: str


class CardEnrolmentDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    user_id: int
    seconds: int = 30
    """How long the reader waits for the card: 5 to 120."""


class Question(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Either `eventNumber`, or `accessPointId` and exactly one of `userId`, `cardNumber` and `qrData`."""

    access_point_id: int | None = None
    direction: Direction = "entry"
    user_id: int | None = None
    way: Literal["card", "mobile", "tap", "remote"] = "card"
    """By which way in, for a `userId`."""
    card_number: int | None = None
    qr_data: str | None = None
    at: float | None = None
    """Absent: now."""
    event_number: int | None = None
    """An entry or refusal of the past."""


class Explained(msgspec.Struct, frozen=True, rename="camel"):
    """What the one decision says on the cloud's own records."""

    granted: bool
    reason: str
    sentence: str
    subject: str
    """What decided: `permission/7.3`, `schedule/2`, `user/7`, `meeting/17` or `access_point/3`; empty: not known."""
    access_point_id: int
    direction: Direction
    at: float
    controller_has_it: bool | None
    """Whether the door's controller has confirmed all that this rests on; null: the door has no controller."""


class Decided(msgspec.Struct, frozen=True, rename="camel"):
    """What a controller decided."""

    event_number: int
    granted: bool
    reason: str
    sentence: str
    at: float


class Explanation(msgspec.Struct, frozen=True, rename="camel"):
    decision: Explained | None
    """Null: what was shown then is not known any more, so nothing can be asked about it."""
    then: Decided | None = None
    """With `eventNumber`: what the door's controller decided then; `decision` is what it would be now."""


class DoorOffline(Problem):
    status, code = 409, "door_offline"
    sentence = "The door cannot be reached now; nothing was done there."


class NoCardPresented(Problem):
    status, code = 409, "no_card_presented"
    sentence = "No card was presented in time; please start again."
