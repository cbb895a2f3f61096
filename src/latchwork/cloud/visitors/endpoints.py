"""`/v1/visitors` and `/v1/meetings`."""

from __future__ import annotations

import io
from typing import Annotated, Any

import segno
from litestar import Response
from litestar.params import QueryParameter

from latchwork.cloud.kernel.http import Caller, delete, get, may, patch, post
from latchwork.cloud.kernel.paging import Cursor, Filter, Limit, paged
from latchwork.cloud.kernel.texts import is_text
from latchwork.cloud.visitors import service, store
from latchwork.wire.api.pages import DEFAULT_LIMIT, Page
from latchwork.wire.api.visitors import (
    Meeting,
    MeetingDraft,
    MeetingPatch,
    MeetingWithPass,
    Pass,
    Visitor,
    VisitorDraft,
    VisitorPatch,
)

Scale = Annotated[int, QueryParameter(ge=1, le=20, description="Pixels per module.")]
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
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Meeting]:
    """Lists meetings, of one visitor or of all, without their codes."""
    return await paged(
        limit,
        cursor,
        lambda after, n: by.read(lambda c, s: store.page_meetings(c, s, visitor, ends_after, after, n)),
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


@post("/v1/meetings/{meeting_id:int}/pass")
async def issue_pass(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> Pass:
    """Regenerates the QR text, good for the organisation's seconds from now on. Earlier texts end by themselves."""
    return (await _current(by, meeting_id)).current_pass


@get("/v1/meetings/{meeting_id:int}/pass.svg", media_type="image/svg+xml")
async def draw_svg(meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)]) -> Response[bytes]:
    """Draws a fresh QR code as SVG."""
    drawing = io.BytesIO()
    _drawn((await _current(by, meeting_id)).current_pass).save(drawing, kind="svg", xmldecl=False, scale=4)
    return Response(drawing.getvalue(), media_type="image/svg+xml", headers=_NO_STORE)


@get("/v1/meetings/{meeting_id:int}/pass.png", media_type="image/png")
async def draw_png(
    meeting_id: int, by: Annotated[Caller, may("visitors:write", within=True)], scale: Scale = 8
) -> Response[bytes]:
    """Draws a fresh QR code as PNG."""
    drawing = io.BytesIO()
    _drawn((await _current(by, meeting_id)).current_pass).save(drawing, kind="png", scale=scale)
    return Response(drawing.getvalue(), media_type="image/png", headers=_NO_STORE)


async def _current(by: Caller, meeting_id: int) -> MeetingWithPass:
    signer = by.request.app.state.signer
    return await by.read(lambda conn, scope: service.current(conn, scope, signer, meeting_id, by.now))


def _drawn(issued: Pass) -> Any:
    """A code of at most 57 modules a side for every pass (ISO/IEC 18004), error correction M where that fits."""
    return segno.make_qr(issued.qr_data, error="m", boost_error=False)


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
    issue_pass,
    draw_svg,
    draw_png,
]
