"""The first page: what needs somebody, the doors and who comes, as it happens."""

from __future__ import annotations

from typing import Any, Final

from litestar import Response
from litestar.response import Stream

from latchwork.web import live as feed
from latchwork.web.forms import id_of
from latchwork.web.look import NO_STORE, Look, form, page
from latchwork.web.overview import overview
from latchwork.wire.api.events import Acknowledgement

NEEDS: Final = "doors:unlock"
"""Who steers doors has this page first, and sees to their alarms."""
LONGEST_NOTE: Final = 1_000


@page("/")
async def show(look: Look) -> Response[Any]:
    """Alarms, the doors and who came; complete without scripts."""
    if not look.may(NEEDS):
        return look.go(first_page(look))
    return look.show("now/now.html", view=await overview(look, id_of(look.query.get("site"))))


@form("/alarms/{number:int}/acknowledge", needs=NEEDS)
async def acknowledge(look: Look, number: int) -> Response[Any]:
    """Somebody else may have been quicker: then they are named."""
    note = (await look.form()).get("note", "")
    alarm = await look.cloud.acknowledge_alarm(number, Acknowledgement(note[:LONGEST_NOTE]))
    by = alarm.acknowledged_by
    if by is not None and by.id != str(look.who.user_id):
        return look.go("/", said=look.say("now.acknowledged_by", name=by.name))
    return look.go("/", said=look.say("now.acknowledged"))


@page("/live", needs="events:read")
async def live(look: Look) -> Response[Any]:
    """What happens from `Last-Event-ID`, else `?after=`, else now on, as server-sent events."""
    seen = id_of(look.request.headers.get("last-event-id") or look.query.get("after"))
    after = await feed.begin(look.cloud, seen)
    headers = {**NO_STORE, "x-accel-buffering": "no"}
    has_gap = seen is not None and seen < after
    lines = feed.stream(look.cloud, look.say, after, look.request.app.state.ending, has_gap)
    return Stream(lines, media_type="text/event-stream", headers=headers)


def first_page(look: Look) -> str:
    """Where somebody begins whose roles do not include this page."""
    for scope, path in (("visitors:read", "/visitors"), ("events:read", "/reports")):
        if look.may(scope):
            return path
    return "/mine"


endpoints = [show, live, acknowledge]
