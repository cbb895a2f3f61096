"""One's own doors, and where one came and went."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC

from litestar import Response

from latchwork.policy.schedule import find_zone
from latchwork.web.lines import Moment, moment_in
from latchwork.web.look import Look, page
from latchwork.wire.api.passages import Passage
from latchwork.wire.api.people import OwnDoor


@dataclass(frozen=True, slots=True)
class Door:
    """A door and its limits on the clock of its site."""

    own: OwnDoor
    starts: Moment | None
    ends: Moment | None


@dataclass(frozen=True, slots=True)
class Came:
    passage: Passage
    when: Moment


@page("/mine")
async def show(look: Look) -> Response[str]:
    """Both lists, each with its own cursor."""
    doors, passages = await asyncio.gather(
        look.cloud.page_own_doors(cursor=look.query.get("doors")),
        look.cloud.page_own_passages(limit=20, cursor=look.query.get("before")),
    )
    return look.show(
        "mine/mine.html",
        doors=[_door(each) for each in doors.items],
        more_doors=doors.next_cursor,
        came=[Came(each, _moment(each.at, each.timezone)) for each in passages.items],
        earlier=passages.next_cursor,
    )


def _door(own: OwnDoor) -> Door:
    starts, ends = (None if at is None else _moment(at, own.timezone) for at in (own.starts_at, own.ends_at))
    return Door(own, starts, ends)


def _moment(at: float, timezone: str | None) -> Moment:
    return moment_in(at, (find_zone(timezone) if timezone else None) or UTC)


endpoints = [show]
