"""Visitors: who is expected, who is here, who has left; booking a visit, and everything about one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any, Final

from litestar import Response
from markupsafe import Markup
from msgspec import UNSET

from latchwork.web.lines import moment
from latchwork.web.look import Look, form, page
from latchwork.web.overtaken import known_in
from latchwork.web.places import Places, everything
from latchwork.web.visits import (
    TONE,
    WHO,
    Asked,
    Where,
    asked,
    by_day,
    clock,
    code_of,
    day_of,
    days,
    instant,
    known,
    local_times,
    row_of,
    span,
    state_of,
    suggested,
)
from latchwork.wire.api.problems import Conflict, Forbidden, Invalid, NotFound
from latchwork.wire.api.visitors import Meeting, MeetingDraft, MeetingPatch, MeetingVisitor, VisitLink, VisitorPatch

READ: Final = "visitors:read"
WRITE: Final = "visitors:write"
ROWS: Final = 50
ENTRIES: Final = 100


# ------------------------------------------------------------------------------------------------- lists


@page("/visitors", needs=READ)
async def today(look: Look) -> Response[str]:
    """Who is expected, here, and gone today."""
    if _is_off(look):
        return _off(look)
    now, where = _now(), await _where(look)
    begins, ends = days(where, now)
    meetings = await everything(
        look.cloud.page_meetings(ends_after=min(begins), starts_before=max(ends), order="start")
    )
    rows = [row_of(each, where, now, look.say) for each in meetings if day_of(each, where, now) == "today"]
    groups = [
        (name, [row for row in rows if row.state in states])
        for name, states in (("here", ("here", "overdue")), ("expected", ("expected",)), ("gone", ("left", "missed")))
    ]
    return look.show("visitors/today.html", groups=groups, tone=TONE, has_doors=bool(where.doors))


@page("/visitors/expected", needs=READ)
async def expected(look: Look) -> Response[str]:
    """From tomorrow on."""
    if _is_off(look):
        return _off(look)
    now, where = _now(), await _where(look)
    _, ends = days(where, now)
    cursor = look.query.get("cursor")
    found = await look.cloud.page_meetings(starts_after=min(ends), order="start", limit=ROWS, cursor=cursor)
    later = [each for each in found.items if day_of(each, where, now) == "later"]
    rows = by_day(row_of(each, where, now, look.say) for each in later)
    return look.show("visitors/expected.html", days=rows, tone=TONE, next=found.next_cursor, cursor=cursor)


@page("/visitors/history", needs=READ)
async def history(look: Look) -> Response[str]:
    """Visits that are over, the latest first."""
    if _is_off(look):
        return _off(look)
    now, where = _now(), await _where(look)
    search, cursor = look.query.get("search", "").strip(), look.query.get("cursor")
    found = await look.cloud.page_meetings(
        ends_before=now, search=search or None, order="-start", limit=ROWS, cursor=cursor
    )
    rows = [row_of(meeting, where, now, look.say) for meeting in found.items]
    return look.show(
        "visitors/history.html", rows=rows, tone=TONE, search=search, next=found.next_cursor, cursor=cursor
    )


# ------------------------------------------------------------------------------------------------- booking


@page("/visitors/book", needs=WRITE)
async def book_page(look: Look) -> Response[str]:
    """The form; `?again=` is a meeting whose visitor comes again."""
    if _is_off(look):
        return _off(look)
    again = await _again(look, look.query.get("again", ""))
    where = await _where(look)
    return _book(look, where, suggested(where, _now(), again), again)


@form("/visitors/book", needs=WRITE)
async def book(look: Look) -> Response[Any]:
    draft, where = asked(await look.fields()), await _where(look)
    again = await _again(look, draft.value("again"))
    draft = _checked(look, draft, where, needs_name=True)
    if draft.errors:
        return _book(look, where, draft, again, 400)
    try:
        once = await look.once()
        meeting = await look.cloud.add_meeting(_drafted(draft, where, again, once), idempotency_key=once)
    except (Invalid, NotFound, Conflict, Forbidden) as refused:
        return _book(look, where, draft.refused(refused.errors or [], refused.detail), again, refused.status)
    mailed = bool(meeting.visitor.email) and (await look.cloud.make_visit_link(meeting.id)).mailed
    said = look.say("visitors.booked_and_mailed" if mailed else "visitors.booked", name=meeting.visitor.name)
    return look.go(f"/visitors/{meeting.id}", said=said)


@page("/visitors/hosts", needs=WRITE)
async def hosts(look: Look) -> Response[str]:
    """The names that the form suggests."""
    found = await look.cloud.list_hosts(look.query.get("search", "")[:200])
    return look.show("visitors/hosts.html", names=list(dict.fromkeys(host.name for host in found)))


def _book(look: Look, where: Where, draft: Asked, again: Meeting | None, status: int = 200) -> Response[str]:
    return look.show("visitors/book.html", status, where=where, draft=draft, again=again)


def _drafted(draft: Asked, where: Where, again: Meeting | None, once: str) -> MeetingDraft:
    """Of a form that was checked; `once` names it."""
    zone = where.zone(draft.doors)
    start, end = (instant(draft.value(name), zone) for name in ("from", "until"))
    key = again.visitor.key if again else f"desk-{once[:16]}"
    who = MeetingVisitor(key, **{name: draft.value(name) for name in WHO})
    return MeetingDraft(who, start or 0, end or 0, list(draft.doors))


def _checked(look: Look, draft: Asked, where: Where, *, needs_name: bool = False) -> Asked:
    """With a sentence for each field that cannot even be sent."""
    start, end = (instant(draft.value(name), where.zone(draft.doors)) for name in ("from", "until"))
    errors = {name: look.say("visitors.no_time") for name, at in (("from", start), ("until", end)) if at is None}
    if start is not None and end is not None and end <= max(start, _now()):
        errors["until"] = look.say("visitors.ends_early" if end <= start else "visitors.ends_past")
    if not draft.doors:
        errors["doors"] = look.say("visitors.no_door")
    if needs_name and not draft.value("name"):
        errors["name"] = look.say("visitors.no_name")
    return replace(draft, errors=errors)


async def _again(look: Look, text: str) -> Meeting | None:
    return await look.cloud.get_meeting(int(text)) if text.isdecimal() and len(text) < 19 else None


# ------------------------------------------------------------------------------------------------- one visit


@dataclass(frozen=True, slots=True)
class Door:
    """A door of a visit, and what it makes of the visit's codes."""

    id: int
    name: str
    site: str
    belongs: bool
    link: str
    """`online`, `offline` or `none`."""
    is_told: bool
    ends: str
    """When an offline door that was not told refuses the old codes at the latest."""


@page("/visitors/{meeting_id:int}", needs=READ)
async def show(look: Look, meeting_id: int) -> Response[str]:
    if _is_off(look):
        return _off(look)
    return await _visit(look, await look.cloud.get_meeting(meeting_id))


async def _visit(look: Look, meeting: Meeting, link: VisitLink | None = None) -> Response[str]:
    now, where = _now(), await _where(look)
    doors, passages, code = await asyncio.gather(
        look.cloud.list_meeting_doors(meeting.id),
        look.cloud.page_meeting_passages(meeting.id, limit=ENTRIES),
        _code(look, meeting, now),
    )
    zone = where.zone(meeting.access_points)
    return look.show(
        "visitors/visit.html",
        meeting=meeting,
        state=state_of(meeting, now),
        tone=TONE,
        when=span(meeting.start_time, meeting.end_time, zone, look.say),
        has_begun=meeting.start_time < now,
        is_over=meeting.end_time <= now,
        came=clock(meeting.checked_in_at, zone, now, look.say),
        left=clock(meeting.checked_out_at, zone, now, look.say),
        at_the_latest=clock(_longest(meeting, now), zone, now, look.say),
        doors=[
            Door(
                id=door.access_point_id,
                name=door.name,
                site=where.places.site_name(door.site_id),
                belongs=door.belongs,
                link={None: "none", True: "online", False: "offline"}[door.online],
                is_told=door.confirmed,
                ends=clock(door.old_codes_end_at, zone, now, look.say),
            )
            for door in doors
        ],
        entries=[(each, moment(each.at, where.places, each.site_id)) for each in passages.items],
        code=code,
        link=link,
    )


async def _code(look: Look, meeting: Meeting, now: int) -> tuple[Any, Markup] | None:
    """A fresh code and its drawing, which is the cloud's own and no text of anybody's; None: there is none."""
    if meeting.end_time <= now or not look.may(WRITE):
        return None
    try:
        issued = await look.cloud.issue_pass(meeting.id)
        drawing = await look.cloud.draw_svg(meeting.id)
    except Conflict:
        return None
    return code_of(issued, now), Markup(drawing.decode())  # noqa: S704


@page("/visitors/{meeting_id:int}/change", needs=WRITE)
async def change_page(look: Look, meeting_id: int) -> Response[str]:
    if _is_off(look):
        return _off(look)
    meeting, where = await look.cloud.get_meeting(meeting_id), await _where(look)
    zone = where.zone(meeting.access_points)
    times = local_times(meeting.start_time, meeting.end_time, zone)
    draft = Asked({**known(meeting.visitor), **times}, meeting.access_points)
    return _change(look, meeting, where, draft)


@form("/visitors/{meeting_id:int}/change", needs=WRITE)
async def change(look: Look, meeting_id: int) -> Response[Any]:
    """Who comes, when, and to which doors: only what somebody typed is changed.

    What others changed meanwhile stays, and so do the codes unless time or doors are others.
    """
    draft, where = asked(await look.fields()), await _where(look)
    now = await look.cloud.get_meeting(meeting_id)
    meeting = known_in(draft.values, now)
    before = known(meeting.visitor)
    draft = replace(draft, values={**before, **draft.values})
    draft = _checked(look, draft, where, needs_name=bool(meeting.visitor.name))
    if draft.errors:
        return _change(look, meeting, where, draft, 400)
    who = {name: draft.value(name) for name in WHO if draft.value(name) != before[name]}
    try:
        if who:
            await look.cloud.change_visitor(meeting.visitor.id, VisitorPatch(**who))
        changed = await look.cloud.change_meeting(meeting_id, _patched(draft, where, meeting))
    except (Invalid, NotFound, Conflict, Forbidden) as refused:
        return _change(look, meeting, where, draft.refused(refused.errors or [], refused.detail), refused.status)
    said = look.say("visitors.changed" if changed.version != now.version else "visitors.saved")
    return look.go(f"/visitors/{meeting_id}", said=said)


def _change(look: Look, meeting: Meeting, where: Where, draft: Asked, status: int = 200) -> Response[str]:
    return look.show("visitors/change.html", status, meeting=meeting, where=where, draft=draft)


def _patched(draft: Asked, where: Where, meeting: Meeting) -> MeetingPatch:
    """What differs from the visit as it was shown."""
    zone = where.zone(draft.doors)
    shown = local_times(meeting.start_time, meeting.end_time, zone)
    start, end = (
        UNSET if draft.value(name) == shown[name] else instant(draft.value(name), zone) or 0
        for name in ("from", "until")
    )
    doors = UNSET if set(draft.doors) == set(meeting.access_points) else list(draft.doors)
    return MeetingPatch(start_time=start, end_time=end, access_points=doors)


@form("/visitors/{meeting_id:int}/check-in", needs=WRITE)
async def check_in(look: Look, meeting_id: int) -> Response[Any]:
    meeting = await look.cloud.check_in(meeting_id)
    return await _back(look, meeting_id, look.say("visitors.is_in", name=meeting.visitor.name))


@form("/visitors/{meeting_id:int}/check-out", needs=WRITE)
async def check_out(look: Look, meeting_id: int) -> Response[Any]:
    meeting = await look.cloud.check_out(meeting_id)
    return await _back(look, meeting_id, look.say("visitors.is_out", name=meeting.visitor.name))


async def _sure(look: Look, meeting_id: int, verb: str) -> Response[str]:
    """Asks before what cannot be undone."""
    meeting, where = await look.cloud.get_meeting(meeting_id), await _where(look)
    zone, now = where.zone(meeting.access_points), _now()
    return look.show(
        "visitors/sure.html",
        meeting=meeting,
        verb=verb,
        when=span(meeting.start_time, meeting.end_time, zone, look.say),
        at_the_latest=clock(_longest(meeting, now), zone, now, look.say),
    )


def _longest(meeting: Meeting, now: int) -> int:
    """Until when a code that was shown just now would open."""
    return meeting.end_time if meeting.pass_seconds is None else min(meeting.end_time, now + meeting.pass_seconds)


@page("/visitors/{meeting_id:int}/end", needs=WRITE)
async def end_page(look: Look, meeting_id: int) -> Response[str]:
    return await _sure(look, meeting_id, "end")


@page("/visitors/{meeting_id:int}/cancel", needs=WRITE)
async def cancel_page(look: Look, meeting_id: int) -> Response[str]:
    return await _sure(look, meeting_id, "cancel")


@page("/visitors/{meeting_id:int}/delete-visitor", needs=WRITE)
async def delete_page(look: Look, meeting_id: int) -> Response[str]:
    if not look.may_everywhere(WRITE):
        raise Forbidden(look.say("frame.not_yours"))
    return await _sure(look, meeting_id, "delete")


@form("/visitors/{meeting_id:int}/end", needs=WRITE)
async def end(look: Look, meeting_id: int) -> Response[Any]:
    await look.cloud.end_meeting(meeting_id)
    return look.go(f"/visitors/{meeting_id}", said=look.say("visitors.ended"))


@form("/visitors/{meeting_id:int}/cancel", needs=WRITE)
async def cancel(look: Look, meeting_id: int) -> Response[Any]:
    await look.cloud.remove_meeting(meeting_id)
    return look.go("/visitors", said=look.say("visitors.cancelled"))


@form("/visitors/{meeting_id:int}/link", needs=WRITE)
async def make_link(look: Look, meeting_id: int) -> Response[Any]:
    """The link is in this answer alone, unless it was mailed; the same form sent again makes none, and shows none."""
    meeting = await look.cloud.get_meeting(meeting_id)
    link = await look.cloud.make_visit_link(meeting_id, idempotency_key=await look.once())
    if link.mailed:
        return look.go(f"/visitors/{meeting_id}", said=look.say("visitors.mailed", email=meeting.visitor.email))
    return await _visit(look, meeting, link)


@form("/visitors/{meeting_id:int}/delete-visitor", needs=WRITE)
async def delete_visitor(look: Look, meeting_id: int) -> Response[Any]:
    visitor = (await look.cloud.get_meeting(meeting_id)).visitor
    await look.cloud.remove_visitor(visitor.id)
    return look.go("/visitors", said=look.say("visitors.deleted", name=visitor.name))


async def _back(look: Look, meeting_id: int, said: str) -> Response[Any]:
    """To the list, when the form stood there."""
    is_list = (await look.form()).get("back") == "today"
    return look.go("/visitors" if is_list else f"/visitors/{meeting_id}", said=said)


async def _where(look: Look) -> Where:
    sites, doors = await asyncio.gather(
        everything(look.cloud.page_sites()), everything(look.cloud.page_access_points())
    )
    by_id = {door.id: door for door in doors}
    return Where(Places({site.id: site for site in sites}, by_id, {}), by_id)


def _is_off(look: Look) -> bool:
    return "visitor" not in look.who.modules


def _off(look: Look) -> Response[str]:
    return look.show("visitors/off.html")


def _now() -> int:
    return int(time.time())


endpoints = [
    today,
    expected,
    history,
    book_page,
    book,
    hosts,
    show,
    change_page,
    change,
    check_in,
    check_out,
    end_page,
    end,
    cancel_page,
    cancel,
    delete_page,
    make_link,
    delete_visitor,
]
