"""Visitors, their meetings (visits with doors and times), and the pass that a meeting's QR holds."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class Visitor(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    key: str
    """The client's own key for this person, 1–128 characters."""
    name: str
    email: str
    phone: str
    company: str
    host: str
    """Who is visited."""
    created_at: int
    updated_at: int


class VisitorDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    key: str
    name: str = ""
    email: str = ""
    phone: str = ""
    company: str = ""
    host: str = ""


class VisitorPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    company: str | UnsetType = UNSET
    host: str | UnsetType = UNSET


class MeetingVisitor(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Who comes: the same key is the same visitor; a field that is given replaces what is known."""

    key: str
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    company: str | UnsetType = UNSET
    host: str | UnsetType = UNSET


class Pass(msgspec.Struct, frozen=True, rename="camel"):
    """What a QR code holds, made now."""

    qr_data: str
    valid_from: int
    """The meeting's start: before it the code opens nothing."""
    expires_at: int
    usable: bool
    """Whether it opens a door right now; false: ask for a new one when the meeting has begun."""


class Meeting(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    visitor: Visitor
    start_time: int
    end_time: int
    access_points: list[int]
    pass_seconds: int | None
    """How long each QR of this meeting lives; null: static, until the meeting ends."""
    version: int
    """Rises with each change; QR codes of an older version open nothing."""
    created_at: int
    updated_at: int
    checked_in_at: int | None = None
    """When the visitor came: their first entry at a door, or what somebody at the desk said."""
    checked_out_at: int | None = None
    """When the visitor left, as somebody at the desk said."""


class MeetingWithPass(Meeting, frozen=True, rename="camel", kw_only=True):
    current_pass: Pass = msgspec.field(name="pass")


class MeetingDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    visitor: MeetingVisitor
    start_time: int
    end_time: int
    access_points: list[int]
    pass_seconds: int | UnsetType | None = UNSET
    """This meeting's own choice; absent: the organisation's setting, also when that changes later."""


class MeetingPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A change that changes something revokes every earlier QR of the meeting."""

    start_time: int | UnsetType = UNSET
    end_time: int | UnsetType = UNSET
    access_points: list[int] | UnsetType = UNSET
    """The whole set of doors; or, instead, what to add and what to take away:"""
    add_access_points: list[int] = []
    remove_access_points: list[int] = []


class MeetingDoor(msgspec.Struct, frozen=True, rename="camel"):
    """A door of a meeting, or one where codes of the meeting are refused since they were revoked."""

    access_point_id: int
    name: str
    site_id: int
    belongs: bool
    """Whether the meeting's codes open it now."""
    online: bool | None
    """Null: the door has no controller."""
    confirmed: bool
    """Whether the door refuses what was revoked; while it is offline it may not know."""
    old_codes_end_at: int | None
    """By then every code that was revoked has ended by itself; null: none was, or all have."""


class Host(msgspec.Struct, frozen=True, rename="camel"):
    """A user who can be visited: no more than a name."""

    id: int
    name: str


class VisitLink(msgspec.Struct, frozen=True, rename="camel"):
    """The visitor's own page, whose link is shown this once. It ends with the meeting, or when a new one is made."""

    url: str
    """Empty in the answer to a repeated request: the first one had it."""
    mailed: bool
    """Whether it was sent to the visitor; otherwise somebody has to hand it over."""


class VisitToken(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`token`: the last part of the link of a visitor's own page."""

    token: str


class VisitPlace(msgspec.Struct, frozen=True, rename="camel"):
    """A site that is visited, and the doors there."""

    name: str
    location: str
    timezone: str
    doors: list[str]


class ShownVisit(msgspec.Struct, frozen=True, rename="camel"):
    """What a visitor sees of their own visit, with a fresh code."""

    organisation: str
    visitor: str
    company: str
    host: str
    start_time: int
    end_time: int
    places: list[VisitPlace]
    current_pass: Pass = msgspec.field(name="pass")
    qr_svg: str
    """The code as a drawing that is as large as its place."""
