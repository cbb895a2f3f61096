"""Harbour Desk over HTTP: the files of its pages, and the few calls that these make."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from litestar import Litestar, Request, Response, delete, get, post
from litestar.datastructures import Cookie, State
from litestar.exceptions import HTTPException
from litestar.params import FromPath, JSONBody

from harbour_desk.files import File, policy
from harbour_desk.members import SESSION_SECONDS, Gate
from harbour_desk.model import (
    AppSession,
    LinkShown,
    LogIn,
    Member,
    MemberSeen,
    OwnVisit,
    Refused,
    Room,
    VisitDraft,
    VisitSeen,
)
from harbour_desk.settings import Settings
from harbour_desk.store import Store
from harbour_desk.visits import Visits
from latchwork.sdk.client import CloudUnreachable, UnexpectedAnswer
from latchwork.wire.api.problems import Invalid, Problem, TooManyRequests, Unavailable

log = logging.getLogger(__name__)

COOKIE: Final = "harbour_desk"
MAX_BODY: Final = 16 * 1024
"""Bytes."""
_SENTENCES: Final = {
    400: "This cannot be read. Please load the page again.",
    404: "There is nothing at this address.",
    405: "This cannot be done at this address.",
    413: "This is too long.",
}
_AWAY: Final = "The doors cannot be reached right now, so nothing was changed. Please try again in a moment."
_FAILED: Final = "Something went wrong on our side, and nothing was changed. Please tell the front desk."


@dataclass(frozen=True, slots=True)
class Desk:
    """What requests are about."""

    store: Store
    gate: Gate
    visits: Visits
    settings: Settings
    files: Mapping[str, File]


Asked = Request[Any, Any, Any]


def create_app(desk: Desk) -> Litestar:
    headers = policy(desk.settings.latchwork)

    def add_headers(response: Response[Any]) -> Response[Any]:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("cache-control", "no-store")
        return response

    return Litestar(
        route_handlers=[show_file, log_in, log_out, me, begin_app_session, rooms, visits, invite, cancel, show_visit],
        state=State({"desk": desk}),
        before_request=check_origin,
        after_request=add_headers,
        exception_handlers={Exception: _told},
        request_max_body_size=MAX_BODY,
        openapi_config=None,
        logging_config=None,
    )


def check_origin(request: Asked) -> None:
    """What changes something comes from our own pages: browsers say so themselves (Fetch Standard, Origin)."""
    if request.method in ("GET", "HEAD"):
        return
    url = _desk(request).settings.url
    if request.headers.get("origin") != url:
        raise Refused(403, f"This was not sent by a page of Harbour Desk, which is at {url} alone.")


@get(["/", "/{path:path}"])
async def show_file(request: Asked) -> Response[bytes]:
    file = _desk(request).files.get(request.url.path)
    if file is None:
        raise Refused(404, _SENTENCES[404])
    return Response(file.content, media_type=file.media_type, headers={"cache-control": "no-cache"})


@post("/api/log-in", status_code=200)
async def log_in(request: Asked, data: JSONBody[LogIn]) -> Response[MemberSeen]:
    desk, now = _desk(request), _now()
    token = await desk.gate.log_in(data, request.client.host if request.client else "", now)
    cookie = Cookie(
        COOKIE, value=token, httponly=True, samesite="strict", secure=desk.settings.is_secure, max_age=SESSION_SECONDS
    )
    return Response(_seen(desk.gate.member(token, now)), cookies=[cookie])


@post("/api/log-out", status_code=204)
async def log_out(request: Asked) -> Response[None]:
    _desk(request).gate.log_out(request.cookies.get(COOKIE), _now())
    answer = Response(None, status_code=204)
    answer.delete_cookie(COOKIE)
    return answer


@get("/api/me")
async def me(request: Asked) -> MemberSeen:
    return _seen(_member(request))


@post("/api/app-session", status_code=200)
async def begin_app_session(request: Asked) -> AppSession:
    """Hands the app of whoever is logged in a session for the doors. The only call in which both systems meet."""
    member = _member(request)
    return AppSession(await _desk(request).visits.cloud.begin_app_session(member.user_id))


@get("/api/rooms")
async def rooms(request: Asked) -> list[Room]:
    """To which whoever is logged in may invite."""
    return await _desk(request).visits.rooms(_member(request), _now())


@get("/api/visits")
async def visits(request: Asked) -> list[VisitSeen]:
    return _desk(request).visits.upcoming(_member(request), _now())


@post("/api/visits")
async def invite(request: Asked, data: JSONBody[VisitDraft]) -> VisitSeen:
    return await _desk(request).visits.invite(_member(request), data, _now())


@delete("/api/visits/{visit:int}")
async def cancel(request: Asked, visit: FromPath[int]) -> None:
    await _desk(request).visits.cancel(_member(request), visit)


@post("/api/visit", status_code=200)
async def show_visit(request: Asked, data: JSONBody[LinkShown]) -> OwnVisit:
    """For whoever holds the link; nobody logs in."""
    return await _desk(request).visits.show(data.link, _now())


def _desk(request: Asked) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _member(request: Asked) -> Member:
    """Who is logged in; raises Refused."""
    return _desk(request).gate.member(request.cookies.get(COOKIE), _now())


def _seen(member: Member) -> MemberSeen:
    return MemberSeen(member.name, member.email)


def _now() -> int:
    return int(time.time())


def _told(request: Asked, error: Exception) -> Response[dict[str, str]]:
    """Every refusal is a status and one sentence for people."""
    status, sentence = _sentence(error)
    if status >= 500:
        log.error("%s %s: %s", request.method, request.url.path, type(error).__name__, exc_info=error)
    return Response({"sentence": sentence}, status_code=status)


def _sentence(error: Exception) -> tuple[int, str]:
    match error:
        case Refused():
            return error.status, error.sentence
        case CloudUnreachable() | UnexpectedAnswer() | Unavailable() | TooManyRequests():
            return 503, _AWAY
        case Invalid():
            return 400, " ".join(each.detail for each in error.errors) or error.detail
        case Problem():
            return 502, _FAILED
        case HTTPException() if error.status_code < 500:
            return error.status_code, _SENTENCES.get(error.status_code, _SENTENCES[400])
    return 500, _FAILED
