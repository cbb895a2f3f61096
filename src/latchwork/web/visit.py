"""The visitor's own page: no log-in, only the link. It is for a phone held up at a door."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import litestar
from litestar import Request, Response
from litestar.params import FromPath
from markupsafe import Markup

from latchwork.web.catalogue import Say, chosen, say_in
from latchwork.web.entrance import Entrance
from latchwork.web.pages import render
from latchwork.web.visits import Code, Span, code_of, span
from latchwork.wire.api.problems import Conflict, ModuleOff, NotFound
from latchwork.wire.api.visitors import ShownVisit, VisitPlace, VisitToken

_PRIVATE: Final = {
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
    "referrer-policy": "no-referrer",
}
"""The link is a secret: it is kept by nobody, found by nobody, and told to nobody."""


@dataclass(frozen=True, slots=True)
class Shown:
    visit: ShownVisit
    places: list[tuple[VisitPlace, Span]]
    code: Code
    drawing: Markup
    has_begun: bool


@litestar.get("/visit/{secret:str}")
async def show(request: Request[Any, Any, Any], secret: FromPath[str]) -> Response[str]:
    """Who, where, when, and the code; or in a sentence why there is none."""
    entrance: Entrance = request.app.state.entrance
    try:
        visit = await entrance.guest(request).show_visit(VisitToken(secret))
    except NotFound:
        return _answer(request, 404, why="visit.gone")
    except Conflict:
        return _answer(request, 410, why="visit.over")
    except ModuleOff:
        return _answer(request, 403, why="visit.off")
    return _answer(request, shown=_shown(visit, int(time.time()), say_in(_language(request))))


def _shown(visit: ShownVisit, now: int, say: Say) -> Shown:
    places = visit.places or [VisitPlace("", "", "UTC", [])]
    return Shown(
        visit=visit,
        places=[(place, span(visit.start_time, visit.end_time, ZoneInfo(place.timezone), say)) for place in places],
        code=code_of(visit.current_pass, now),
        drawing=Markup(visit.qr_svg),  # noqa: S704 - drawn by the cloud, no text of anybody's
        has_begun=visit.start_time <= now,
    )


def _answer(request: Request[Any, Any, Any], status: int = 200, **values: Any) -> Response[str]:
    language = _language(request)
    given = {"why": "", "shown": None, **values}
    html = render("visit/visit.html", say=say_in(language), language=language, **given)
    return Response(html, status_code=status, media_type="text/html", headers=_PRIVATE)


def _language(request: Request[Any, Any, Any]) -> str:
    return chosen(request.headers.get("accept-language", ""))


endpoints = [show]
