"""What Harbour Desk knows, and what its pages send and are told."""

from __future__ import annotations

import msgspec


class Refused(Exception):
    """A request that is answered with a sentence, and changed nothing."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Member(msgspec.Struct, frozen=True):
    """Somebody who works here. `user_id` is who they are in Latchwork: the one thing that joins the two systems."""

    id: int
    name: str
    email: str
    user_id: int


class Room(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    name: str
    doors: list[int]
    """Latchwork's access points on the way there, the room's own included."""
    timezone: str
    address: str


class Visit(msgspec.Struct, frozen=True):
    """`meeting_id` is the same visit in Latchwork, which makes its codes."""

    id: int
    member_id: int
    host: str
    visitor: str
    room: Room
    starts_at: int
    ends_at: int
    meeting_id: int


class LogIn(msgspec.Struct, frozen=True):
    email: str
    password: str


class AppSession(msgspec.Struct, frozen=True):
    """What the Access SDK in the app begins its session with, once."""

    token: str


class VisitDraft(msgspec.Struct, frozen=True, rename="camel"):
    draft: str
    """Made once by the page for each form: the same draft sent again books nothing twice."""
    visitor: str
    room: int
    starts: str
    """`2026-11-22T14:00`, on the room's own clock."""
    ends: str


class LinkShown(msgspec.Struct, frozen=True):
    """What the link of a visitor's page carries after its #."""

    link: str


class MemberSeen(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    email: str


class VisitSeen(msgspec.Struct, frozen=True, rename="camel"):
    """A visit, as its host sees it. Instants are seconds since the epoch."""

    id: int
    visitor: str
    room: str
    timezone: str
    starts_at: int
    ends_at: int
    url: str
    """The visitor's own page."""


class Code(msgspec.Struct, frozen=True, rename="camel"):
    text: str
    expires_at: int


class OwnVisit(msgspec.Struct, frozen=True, rename="camel"):
    """A visit, as its visitor sees it."""

    visitor: str
    host: str
    room: str
    address: str
    timezone: str
    starts_at: int
    ends_at: int
    now: int
    """Our clock: a visitor's may be wrong."""
    code: Code | None
    """None: the visit has not begun."""
