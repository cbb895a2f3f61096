"""`/v1/events`: the log, for whoever reads along with a cursor; `/v1/alarms`: what of it somebody has to see to."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from litestar.params import QueryParameter

from latchwork.cloud.events import service, store
from latchwork.cloud.kernel.http import Caller, get, may, post
from latchwork.cloud.kernel.paging import Cursor, Limit, paged_by
from latchwork.cloud.kernel.texts import is_text
from latchwork.wire.api.events import Acknowledgement, ActorKind, Alarm, Deed, EventPage
from latchwork.wire.api.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from latchwork.wire.api.problems import FieldError, Invalid


@get("/v1/events")
async def page_events(
    by: Annotated[Caller, may("events:read", within=True)],
    after: Annotated[int, QueryParameter(ge=0, le=2**62)] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    wait: Annotated[float, QueryParameter(ge=0, le=30)] = 0,
    order: Literal["oldest", "newest"] = "oldest",
    before: Annotated[int, QueryParameter(ge=1, le=2**62)] = 2**62,
    deed: Deed | Literal["any"] | None = None,
    actor: ActorKind | None = None,
    subject: Annotated[str | None, QueryParameter(max_length=100)] = None,
    since: Annotated[int | None, QueryParameter(ge=0, le=2**40)] = None,
    until: Annotated[int | None, QueryParameter(ge=0, le=2**40)] = None,
) -> EventPage:
    """Lists events above a number, oldest first; with `order=newest` those below `before`, newest first.

    Oldest first, with `wait` the answer comes as soon as there is one, or empty after that many seconds. Asking again
    with `after` = `last` misses nothing and repeats nothing.

    Newest first, `before` = `last` goes on, until `last` is 0. There the log can be searched for who changed what,
    which leaves out what doors and controllers tell: `deed` is what was done (`any`: whatever it was), `actor` who did
    it, `subject` what it is about, such as `user/7`, `since` (inside) and `until` (not inside) when it was recorded.
    """
    wanted = service.Wanted(deed, actor, subject, since, until)
    if order == "newest":
        _check_newest(after, wait, subject)
        return await by.read(lambda conn, scope: service.newest(conn, scope, wanted, before, limit))
    if before != 2**62 or not wanted.is_all:
        raise Invalid("before and the filters belong to order=newest.")
    return await _oldest(by, after, limit, wait)


def _check_newest(after: int, wait: float, subject: str | None) -> None:
    if after or wait:
        raise Invalid("after and wait belong to order=oldest.")
    if subject is not None and not is_text(subject):
        raise Invalid(errors=[FieldError("subject", "Such as user/7.")])


async def _oldest(by: Caller, after: int, limit: int, wait: float) -> EventPage:
    """Whoever waited is answered by the rights that they have by then."""
    until = time.monotonic() + wait
    while True:
        found = await by.read(lambda conn, scope, after=after: service.page(conn, scope, after, limit))  # type: ignore[misc]
        left = until - time.monotonic()
        if found.events or left <= 0 or by.request.app.state.ending.is_set():
            return found
        if found.last - after == service.MOST_LOOKED_AT:  # there may be more
            after = found.last
            continue
        after = found.last
        await service.sleep_until_news(by.request.app.state.hints, by.scope, min(left, service.NEWS_EVERY))
        by = await by.still()


@get("/v1/events/last")
async def last_event(by: Annotated[Caller, may("events:read", within=True)]) -> EventPage:
    """Answers the newest event's number, with no events: where to begin reading along."""
    return EventPage([], await by.read(store.last_number))


@get("/v1/alarms")
async def page_alarms(
    by: Annotated[Caller, may("events:read", within=True)],
    open: Annotated[bool | None, QueryParameter(description="Only open ones, or only acknowledged ones.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Alarm]:
    """Lists alarms, the newest first: doors forced and held open, copied controllers, gaps in journals …"""
    return await paged_by(
        limit,
        cursor,
        lambda before, n: by.read(lambda c, s: store.page_alarms(c, s, open, before or None, n)),
        lambda alarm: alarm.event.number,
    )


@post("/v1/alarms/{number:int}/acknowledge")
async def acknowledge_alarm(
    number: int, said: Acknowledgement, by: Annotated[Caller, may("doors:unlock", within=True)]
) -> Alarm:
    """Says that somebody has seen to an alarm, by its event's number; who said so first stands."""
    return await by.change(lambda work: service.acknowledge(work, number, said))


endpoints = [page_events, last_event, page_alarms, acknowledge_alarm]
