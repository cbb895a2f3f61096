"""The live feed: the event log as server-sent events (WHATWG HTML §9.2), each with the page's parts that it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final, TypeVar

from latchwork.sdk.client import Client
from latchwork.web.catalogue import Say
from latchwork.web.doors import alarm_after
from latchwork.web.lines import is_told, line_of
from latchwork.web.pages import render
from latchwork.web.places import Places, places
from latchwork.wire.api.events import Event
from latchwork.wire.api.problems import Forbidden, Unauthorized

T = TypeVar("T")

HEARTBEAT: Final = 15.0
"""Seconds of silence after which a comment shows both ends that the other lives."""
FARTHEST: Final = 1_000
"""Events that are caught up with; whoever was away for longer begins an empty list with them."""


async def begin(cloud: Client, after: int | None) -> int:
    """Where to go on: after the event that was seen last, if this log has it and it is not too long ago."""
    last = (await cloud.last_event()).last
    return last if after is None or after > last else max(after, last - FARTHEST)


async def stream(
    cloud: Client, say: Say, after: int, ending: asyncio.Event, has_gap: bool = False
) -> AsyncIterator[str]:
    """Server-sent events for all that happens above a number, until the server or the session ends.

    `has_gap`: what the browser shows ends before that number.
    """
    where = await places(cloud)
    yield "retry: 2000\n\n" + ("event: gap\ndata: gap\n\n" if has_gap else "")
    with suppress(Unauthorized, Forbidden):  # the browser asks again, and is told so
        async for event in heartbeats(cloud.follow(after), HEARTBEAT, ending):
            if event is None:
                yield ": nothing new\n\n"
                continue
            if is_new(event, where):
                where = await places(cloud)
            if html := news(event, where, say):
                yield sent(event.number, html)


def is_new(event: Event, where: Places) -> bool:
    """Whether it tells of a site or a door that was not there before."""
    site = event.data.get("siteId")
    return event.type == "access_point_created" or (site is not None and site not in where.sites)


def news(event: Event, where: Places, say: Say) -> str:
    """The parts of the page that an event changes; empty: none."""
    line = line_of(event, where, say) if is_told(event) else None
    alarm = alarm_after(event, say)
    return render("news.html", say=say, line=line, alarm=alarm) if line or alarm else ""


def sent(number: int, html: str) -> str:
    """One server-sent event."""
    data = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"id: {number}\n{data}\n"


async def heartbeats(source: AsyncIterator[T], seconds: float, ending: asyncio.Event) -> AsyncIterator[T | None]:
    """What an endless source yields, and None whenever it was silent for so long; until `ending`."""
    coming, over = asyncio.ensure_future(anext(source)), asyncio.ensure_future(ending.wait())
    try:
        while not ending.is_set():
            await asyncio.wait({coming, over}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                yield None
                continue
            yield coming.result()
            coming = asyncio.ensure_future(anext(source))
    finally:
        coming.cancel()
        over.cancel()
