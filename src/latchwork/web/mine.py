"""One's own doors, code and phones, and where one came and went."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any

from litestar import Response

from latchwork.policy.schedule import find_zone
from latchwork.web import phones
from latchwork.web.entrance import device_of
from latchwork.web.lines import Moment, moment_in
from latchwork.web.look import Look, form, page
from latchwork.wire.api.passages import Passage
from latchwork.wire.api.people import OwnDoor
from latchwork.wire.api.phones import PhoneLocked
from latchwork.wire.api.problems import NotFound


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
    return await _show(look)


async def _show(look: Look, wrong: str = "") -> Response[str]:
    """Doors and history have a cursor each; `wrong`: why a form of the page was refused."""
    doors, passages, held = await asyncio.gather(
        look.cloud.page_own_doors(cursor=look.query.get("doors")),
        look.cloud.page_own_passages(limit=20, cursor=look.query.get("before")),
        look.cloud.list_own_phones(),
    )
    return look.show(
        "mine/mine.html",
        403 if wrong else 200,
        wrong=wrong,
        phones=phones.rows(held, _zone(doors.items[0].timezone if doors.items else None)),
        device=device_of(look.request.headers.get("user-agent", "")),
        doors=[_door(each) for each in doors.items],
        more_doors=doors.next_cursor,
        came=[Came(each, _moment(each.at, each.timezone)) for each in passages.items],
        earlier=passages.next_cursor,
    )


@form("/mine/phones/{phone_id:int}/remove")
async def remove_phone(look: Look, phone_id: int) -> Response[Any]:
    """`browser`: it is the one that asks, which has forgotten its keys already."""
    is_this = "browser" in await look.form()
    try:
        with suppress(NotFound):
            await look.cloud.remove_own_phone(phone_id)
    except PhoneLocked as refused:
        return await _show(look, look.say("key.stays") if is_this else refused.detail)
    return look.go("/mine", said=look.say("key.forgotten" if is_this else "phones.removed"))


def _door(own: OwnDoor) -> Door:
    starts, ends = (None if at is None else _moment(at, own.timezone) for at in (own.starts_at, own.ends_at))
    return Door(own, starts, ends)


def _moment(at: float, timezone: str | None) -> Moment:
    return moment_in(at, _zone(timezone))


def _zone(timezone: str | None) -> tzinfo:
    return (find_zone(timezone) if timezone else None) or UTC


endpoints = [show, remove_phone]
