"""The event log as its readers see it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Actor(msgspec.Struct, frozen=True):
    """Who did it, by id and by the name they had then."""

    kind: Literal["client", "user", "controller", "admin", "system"]
    id: str
    name: str


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One fact of the organisation's append-only log; `number` is its place in it, without gaps."""

    number: int
    type: str
    at: float
    """When it happened, as its witness saw it."""
    recorded_at: float
    actor: Actor
    subject: str
    """What it is about: `meeting/17`, `access_point/3` …"""
    data: dict[str, Any]
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """Events in order; ask again with `after` = `last` to miss nothing."""

    events: list[Event]
    last: int
