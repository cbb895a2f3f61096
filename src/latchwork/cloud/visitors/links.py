"""The visitor's own page: a link that only the visitor has, and what it shows."""

from __future__ import annotations

import io
import secrets
from hashlib import sha256
from typing import Any, Final

import segno

from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.http import Anybody, Caller
from latchwork.cloud.kernel.work import Connection, Scope, Work
from latchwork.cloud.visitors import service, store
from latchwork.cloud.visitors.signing import Signer
from latchwork.wire.api.problems import Conflict, NotFound
from latchwork.wire.api.visitors import MeetingWithPass, Pass, ShownVisit, VisitLink

_BYTES: Final = 32
"""Of chance in a link: nobody guesses it."""


async def make(by: Caller, meeting: int) -> VisitLink:
    """A fresh link; the one before ends. It is mailed where an SMTP server is set and the visitor has an e-mail."""
    token = secrets.token_urlsafe(_BYTES)
    email = await by.create(lambda work: _make(work, meeting, token), _made_already, id_of=lambda _: meeting)
    if email is None:
        return VisitLink("", mailed=False)
    state = by.request.app.state
    url = f"{state.settings.public_url}/visit/{token}"
    text = f"You are expected. This page shows where and when, and the code that opens the doors:\n\n{url}\n"
    return VisitLink(url, bool(email) and await state.mail.send(email, "Your visit", text))


async def _make(work: Work, id: int, token: str) -> str | None:
    """The visitor's e-mail. Raises Conflict, ModuleOff."""
    visit, house = await store.get_visit_in_house(work.conn, work.scope, id)
    service.check_open(house)
    if visit.meeting.end_time <= work.now:
        raise Conflict("This meeting is over; no code can open a door for it.")
    await store.set_link(work.conn, work.scope, id, _digest(token), work.now)
    events.record(work, "visit_link_made", f"meeting/{id}")
    return visit.meeting.visitor.email


async def _made_already(work: Work, id: str) -> None:
    """Of a repeated request nothing is made and nothing told: only the first answer had the link."""


async def show(by: Anybody, signer: Signer, token: str) -> ShownVisit:
    """The visit of whoever holds the link. Raises NotFound for a link that was replaced, Conflict when it is over."""
    async with by.database.connection() as conn:
        found = await store.find_link(conn, _digest(token))
        if found is None:
            raise NotFound("This link does not work any more: it was replaced, or the visit was cancelled.")
        return await _shown(conn, Scope(found[0]), signer, found[1], by.now)


async def _shown(conn: Connection, scope: Scope, signer: Signer, id: int, now: int) -> ShownVisit:
    meeting: MeetingWithPass = await service.current(conn, scope, signer, id, now)
    organisation, places = await store.where(conn, scope, meeting.access_points)
    return ShownVisit(
        organisation=organisation,
        visitor=meeting.visitor.name,
        company=meeting.visitor.company,
        host=meeting.visitor.host,
        start_time=meeting.start_time,
        end_time=meeting.end_time,
        places=places,
        current_pass=meeting.current_pass,
        qr_svg=svg(meeting.current_pass, omitsize=True).decode(),
    )


def svg(issued: Pass, **size: Any) -> bytes:
    """A pass's code as a drawing; `size`: `scale` in pixels per module, or `omitsize` for as large as its place."""
    drawing = io.BytesIO()
    drawn(issued).save(drawing, kind="svg", xmldecl=False, **size)
    return drawing.getvalue()


def drawn(issued: Pass) -> Any:
    """A code of at most 57 modules a side for every pass (ISO/IEC 18004), error correction M where that fits."""
    return segno.make_qr(issued.qr_data, error="m", boost_error=False)


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
