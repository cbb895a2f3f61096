"""The first page: doors and who comes, as it happens."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.response import Stream

from latchwork.web import live as feed
from latchwork.web.look import NO_STORE, Look, page
from latchwork.web.overview import overview


@page("/")
async def show(look: Look) -> Response[Any]:
    """The doors and who came; complete without scripts."""
    if not look.may("events:read"):
        return look.go(first_page(look))
    return look.show("now/now.html", view=await overview(look.cloud))


@page("/live", needs="events:read")
async def live(look: Look) -> Response[Any]:
    """What happens from `Last-Event-ID`, else `?after=`, else now on, as server-sent events."""
    seen = look.request.headers.get("last-event-id") or look.query.get("after")
    after = await feed.begin(look.cloud, _number(seen))
    headers = {**NO_STORE, "x-accel-buffering": "no"}
    lines = feed.stream(look.cloud, after, look.request.app.state.ending)
    return Stream(lines, media_type="text/event-stream", headers=headers)


def first_page(look: Look) -> str:
    """Where somebody begins whose roles do not include this page."""
    return "/visitors" if look.may("visitors:read") else "/account"


def _number(text: str | None) -> int | None:
    """An event's number; None for whatever is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None


endpoints = [show, live]
