"""`/v1/visitors` and `/v1/meetings`."""

from __future__ import annotations

import io
from typing import Annotated, Literal

from litestar import Response
from litestar.params import QueryParameter

from latchwork.cloud.kernel.http import Anybody, Caller, anybody, delete, get, may, patch, post
from latchwork.cloud.kernel.paging import Cursor, Filter, Limit, paged, paged_in_time
from latchwork.cloud.kernel.texts import is_text
from latchwork.cloud.people import rules as people_rules
from latchwork.cloud.people import store as people
from latchwork.cloud.visitors import links, service, store
from latchwork.cloud.visitors.model import Listed
from latchwork.wire.api.pages import DEFAULT_LIMIT, Page
from latchwork.wire.api.visitors import (
    Host,
    Meeting,
    MeetingDoor,
    MeetingDraft,
    MeetingPatch,
    MeetingWithPass,
    Pass,
    ShownVisit,
    VisitLink,
    Visitor,
    VisitorDraft,
    VisitorPatch,
    VisitToken,
)

Scale = Annotated[int, QueryParameter(ge=1, le=20, description="Pixels per module.")]
Order = Annotated[Literal["id", "start", "-start"], QueryParameter(description="`-start`: the latest start first.")]
MOST_HOSTS = 20
_NO_STORE = {"cache-control": "no-store"}


@get("/v1/visitors")
async def page_visitors(
    by: Annotated[Caller, may("visitors:read", within=True)],
    key: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Visitor]:
    """Lists visitors; with `key` the one that you call so."""
    if key is not None and not is_text(key):
        return Page([])
    return await paged(limit, cursor, lambda after, n: by.read(lambda c, s: store.page_visitors(c, s, key, after, n)))


@post("/v1/visitors", status=201)
async def add_visitor(draft: VisitorDraft, by: Annotated[Caller, may("visitors:write", within=True)]) -> Visitor:
    """Creates a visitor; a meeting does it by itself when it names a new key."""
    return await by.create(
        lambda work: service.add_visitor(work, draft),
        lambda work, id: store.get_visitor(work.conn, work.scope, int(id)),
    )


@get("/v1/visitors/{visitor_id:int}")
async def get_visitor(visitor_id: int, by: Annotated[Caller, may("visitors:read", within=True)]) -> Visitor:
    """Answers one visitor."""
    return await by.read(lambda conn, scope: store.get_visitor(conn, scope, visitor_id))


@patch("/v1/visitors/{visitor_id:int}")
async def change_visitor(
    visitor_id: int, draft: VisitorPatch, by: Annotated[Caller, may("visitors:write", within=True)]
) -> Visitor:
    """Changes what is known of a visitor."""
    return await by.change(lambda work: service.change_visitor(work, visitor_id, draft))


@delete("/v1/visitors/{visitor_id:int}")
async def remove_visitor(visitor_id: int, by: Annotated[Caller, may("visitors:write")]) -> None:
    """Deletes a visitor with all of their meetings; every QR of theirs stops."""
    await by.change(lambda work: service.remove_visitor(work, visitor_id))


@get("/v1/meetings")
async def page_meetings(
    by: Annotated[Caller, may("visitors:read", within=True)],
    visitor: Filter = None,
    ends_after: Annotated[int | None, QueryParameter(name="endsAfter", ge=0, le=2**62)] = None,
    ends_before: Annotated[int | None, QueryParameter(name="endsBefore", ge=0, le=2**62)] = None,
    starts_after: Annotated[int | None, QueryParameter(name="startsAfter", ge=0, le=2**62)] = None,
    starts_before: Annotated[int | None, QueryParameter(name="startsBefore", ge=0, le=2**62)] = None,
    search: Annotated[str | None, QueryParameter(description="In the visitor's name or company.")] = None,
    order: Order = "id",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Meeting]:
    """Lists meetings, of one visitor or of all, without their codes.

    `startsAfter` and `endsBefore` are inside, `startsBefore` and `endsAfter` are not.
    """
    if search is not None and not is_text(search):
        return Page([])
    listed = Listed(visitor, ends_after, ends_before, starts_after, starts_before, search)
    if order == "id":
        return await paged(
            limit, cursor, lambda after, n: by.read(lambda c, s: store.page_meetings(c, s, listed, after, n))
        )
    return await paged_in_time(
        limit,
        cursor,
        lambda place, n: by.read(lambda c, s: store.page_meetings_in_time(c, s, listed, order, place, n)),
        lambda meeting: (meeting.start_time, meeting.id),
    )


@post("/v1/meetings", status=201)
async def add_meeting(
    draft: MeetingDraft, by: Annotated[Caller, may("visitors:write", within=True)]
) -> MeetingWithPass:
    """Books a visit; `pass.qrData` is the text of its QR code."""
    signer = by.request.app.state.signer
    return await by.create(
        lambda work: service.invite(work, signer, draft), lambda work, id: service.again(work, signer, int(id))
    )


@get("/v1/meetings/{meeting_id:int}")
async def get_meeting(meeting_id: int, by: Annotated[Caller, may("visitors:read", within=True)]) -> Meeting:
    """Answers one meeting, without its code."""
    return (await by.read(lambda conn, scope: store.get_visit(conn, scope, meeting_id))).meeting


@patch("/v1/meetings/{meeting_id:int}")
async def change_meeting(
    meeting_id: int, draft: MeetingPatch, by: Annotated[Caller, may("visitors:write", within=True)]
) -> MeetingWithPass:
    """Changes times or doors; a change revokes every earlier QR of the meeting, and the answer holds a new one."""
    signer = by.request.app.state.signer
    return await by.change(lambda work: service.change_meeting(work, signer, meeting_id, draft))


@delete("/v1/meetings/{meeting_id:int}")
async def remove_meeting(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> None:
    """Deletes a meeting; its QR codes stop."""
    await by.change(lambda work: service.remove_meeting(work, meeting_id))


@post("/v1/meetings/{meeting_id:int}/check-in")
async def check_in(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> Meeting:
    """Notes that the visitor has come; after a check-out that they are back. An entry at a door does it by itself."""
    return await by.change(lambda work: service.check_in(work, meeting_id))


@post("/v1/meetings/{meeting_id:int}/check-out")
async def check_out(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> Meeting:
    """Notes that the visitor has left; their codes stay as they are."""
    return await by.change(lambda work: service.check_out(work, meeting_id))


@post("/v1/meetings/{meeting_id:int}/end")
async def end_meeting(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> Meeting:
    """Ends a meeting that has begun: its QR codes stop, and whoever came is checked out."""
    return await by.change(lambda work: service.end_meeting(work, meeting_id))


@get("/v1/meetings/{meeting_id:int}/doors")
async def list_meeting_doors(
    meeting_id: int, by: Annotated[Caller, may("visitors:read", within=True)]
) -> list[MeetingDoor]:
    """Lists a meeting's doors, and those that refuse earlier codes of it: whether they are online and know."""
    await by.read(lambda conn, scope: store.get_visit(conn, scope, meeting_id))
    return await by.read(lambda conn, scope: store.list_doors(conn, scope, meeting_id, by.now))


@post("/v1/meetings/{meeting_id:int}/link")
async def make_visit_link(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> VisitLink:
    """Makes a fresh link to the visitor's own page and mails it where that can be; the link before ends."""
    return await links.make(by, meeting_id)


@post("/v1/visit")
async def show_visit(draft: VisitToken, by: Annotated[Anybody, anybody()]) -> ShownVisit:
    """Answers the visit of whoever holds the link of a visitor's own page, with a fresh code."""
    return await links.show(by, by.request.app.state.signer, draft.token)


@get("/v1/hosts")
async def list_hosts(by: Annotated[Caller, may("visitors:write", within=True)], search: str = "") -> list[Host]:
    """Lists active users whose name has words that begin so, as far as their names: who can be visited."""
    if not search.strip():
        return []
    people_rules.check_search(search)
    found = await by.read(
        lambda conn, scope: people.find_users(conn, scope, search, True, 0, MOST_HOSTS, by_name_alone=True)
    )
    return [Host(user.id, user.name) for user in found]


@post("/v1/meetings/{meeting_id:int}/pass")
async def issue_pass(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> Pass:
    """Regenerates the QR text, good for the organisation's seconds from now on. Earlier texts end by themselves."""
    return (await _current(by, meeting_id)).current_pass


@get("/v1/meetings/{meeting_id:int}/pass.svg", media_type="image/svg+xml")
async def draw_svg(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> Response[bytes]:
    """Draws a fresh QR code as SVG."""
    drawing = links.svg((await _current(by, meeting_id)).current_pass, scale=4)
    return Response(drawing, media_type="image/svg+xml", headers=_NO_STORE)


@get("/v1/meetings/{meeting_id:int}/pass.png", media_type="image/png")
async def draw_png(
    meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)], scale: Scale = 8
) -> Response[bytes]:
    """Draws a fresh QR code as PNG."""
    drawing = io.BytesIO()
    links.drawn((await _current(by, meeting_id)).current_pass).save(drawing, kind="png", scale=scale)
    return Response(drawing.getvalue(), media_type="image/png", headers=_NO_STORE)


async def _current(by: Caller, meeting_id: int) -> MeetingWithPass:
    signer = by.request.app.state.signer
    return await by.read(lambda conn, scope: service.current(conn, scope, signer, meeting_id, by.now))


endpoints = [
    page_visitors,
    add_visitor,
    get_visitor,
    change_visitor,
    remove_visitor,
    page_meetings,
    add_meeting,
    get_meeting,
    change_meeting,
    remove_meeting,
    check_in,
    check_out,
    end_meeting,
    list_meeting_doors,
    make_visit_link,
    show_visit,
    list_hosts,
    issue_pass,
    draw_svg,
    draw_png,
]
