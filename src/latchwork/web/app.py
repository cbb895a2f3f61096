"""The website as an ASGI application: pages for whoever runs a building. It sees the cloud through its API alone."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection
from typing import Any, Final

import httpx2
import litestar
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import HTTPException, MethodNotAllowedException
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from latchwork.sdk.client import Client, CloudUnreachable, UnexpectedAnswer
from latchwork.web import (
    audit,
    clients,
    controllers,
    door,
    login,
    mine,
    now,
    people,
    person,
    phones,
    reports,
    schedules,
    settings,
    sites,
    visit,
    visitors,
    why,
)
from latchwork.web.catalogue import chosen, say_in
from latchwork.web.entrance import Entrance, is_allowed
from latchwork.web.look import NO_STORE, FormRefused, page_above, redirect
from latchwork.web.packing import packing, takes_packed
from latchwork.web.pages import STATIC, render
from latchwork.wire.api.problems import NotFound, Problem, Unauthorized

log = logging.getLogger(__name__)

_IN_PROCESS: Final = "http://cloud.in-process"
_SECURITY: Final = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_HTTPS_ALONE: Final = (b"strict-transport-security", b"max-age=31536000")
"""RFC 6797; of this name alone, for what stands under others we cannot know."""
MAX_FORM: Final = 2 * 1024 * 1024


class Website:
    """The website of a cloud, given by its URL or as an application in this process.

    It answers to every Host, or to `allowed_hosts` alone. `secure`: it is reached by https only, and so are its
    cookies. Live feeds end when `ending` is set: do it when the server stops.
    """

    def __init__(
        self,
        cloud: str | ASGIApp,
        *,
        secure: bool = False,
        proxy_trusted: bool = False,
        allowed_hosts: Collection[str] | None = None,
        ending: asyncio.Event | None = None,
    ) -> None:
        network = httpx2.AsyncHTTPTransport()

        def client_of(session: str | None, address: str) -> Client:
            if isinstance(cloud, str):
                return Client.of_session(cloud, session, transport=network)
            # the cloud counts wrong passwords by address: the browser's, not ours
            here = httpx2.ASGITransport(cloud, client=(address, 0))  # type: ignore[arg-type]  # Litestar's is narrower
            return Client.of_session(_IN_PROCESS, session, transport=here)

        self._security = [*_SECURITY, _HTTPS_ALONE] if secure else _SECURITY
        self._is_secure = secure
        self._app = Litestar(
            route_handlers=[
                *login.endpoints,
                *now.endpoints,
                *sites.endpoints,
                *door.endpoints,
                *people.endpoints,
                *person.endpoints,
                *phones.endpoints,
                *why.endpoints,
                *visitors.endpoints,
                *visit.endpoints,
                *controllers.endpoints,
                *reports.endpoints,
                *mine.endpoints,
                *settings.endpoints,
                *schedules.endpoints,
                *clients.endpoints,
                *audit.endpoints,
                static,
            ],
            state=State({"entrance": Entrance(client_of, secure, proxy_trusted), "ending": ending or asyncio.Event()}),
            exception_handlers={Exception: _refused},
            openapi_config=None,
            logging_config=None,
            request_max_body_size=MAX_FORM,
            on_shutdown=[network.aclose],
        )
        self._app.state.pages = [re.compile(re.sub(r"{\w+}", "[^/]+", path)) for path in self.pages()]
        self._hosts = allowed_hosts
        self._owned = frozenset(_first(route.path) for route in self._app.routes)

    def owns(self, path: str) -> bool:
        """Whether a path is the website's, by its first segment; all others are the cloud's."""
        return _first(path) in self._owned

    def pages(self) -> list[str]:
        """What a browser can open, as templates: `/doors/{door_id}`."""
        return self._paths("GET")

    def forms(self) -> list[str]:
        """Where forms are sent, as templates."""
        return self._paths("POST")

    def _paths(self, method: str) -> list[str]:
        routes = (route for route in self._app.routes if isinstance(route, HTTPRoute))
        return [route.path_format for route in routes if method in route.methods]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses foreign Host headers, and adds to every answer what keeps browsers safe, unless it is stricter."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = [_for_https(each) for each in message["headers"]] if self._is_secure else message["headers"]
                own = {name for name, _ in given}
                message["headers"] = [*given, *(each for each in self._security if each[0] not in own)]
            await out(message)

        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": HttpMethod.GET}, _without_body(send)
        out = packing(scope, send)
        names = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        is_ours = is_allowed(names[0], self._hosts) if len(names) == 1 else self._hosts is None
        await (self._app if is_ours else _misdirected)(scope, receive, sending)


def _for_https(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    """No cookie goes, or is taken back, by http: without Secure a browser keeps a `__Host-` one (RFC 6265bis §5.6)."""
    name, value = header
    return (name, value + b"; Secure") if name == b"set-cookie" and b"; secure" not in value.lower() else header


def _without_body(send: Send) -> Send:
    """The answer to HEAD: that to GET without its content (RFC 9110 §9.3.2)."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return sending


def _first(path: str) -> str:
    return path.split("/", 2)[1]


@litestar.get("/static/{name:str}")
async def static(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """A file of the website itself; its URL changes with its content."""
    file = STATIC.get(name)
    if file is None:
        raise HTTPException(status_code=404)
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    if takes_packed(request.headers.get("accept-encoding", "")):
        return Response(file.packed, media_type=file.media_type, headers={**headers, "content-encoding": "gzip"})
    return Response(file.content, media_type=file.media_type, headers=headers)


# ------------------------------------------------------------------------------------------------- refusals


def _refused(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A page that says in a sentence what is the matter; whoever is not logged in goes to where they can."""
    if isinstance(error, Unauthorized):
        return login.to_log_in(request)
    is_form = request.method == "POST"
    page = page_above(request) if is_form or isinstance(error, MethodNotAllowedException) else ""
    if page and not is_form:
        return redirect(page)
    language = chosen(request.headers.get("accept-language", ""))
    status, title, sentence = _told(error, language)
    if status == 500:
        log.error("unforeseen %s", type(error).__name__, exc_info=error)
    html = render(
        "refused.html",
        **({"look": look, "said": ""} if (look := request.state.get("look")) else {}),
        say=say_in(language),
        language=language,
        title=title,
        sentence=sentence,
        back=page,
    )
    return Response(html, status_code=status, media_type="text/html", headers=NO_STORE)


def _told(error: Exception, language: str) -> tuple[int, str, str]:
    """Status, title and sentence."""
    say = say_in(language)
    if isinstance(error, NotFound):
        return 404, say("frame.nothing_title"), say("frame.nothing")
    if isinstance(error, FormRefused):
        return 403, say("frame.refused_title"), say("frame.form_refused")
    if isinstance(error, Problem):
        detail = "; ".join(f"{e.field}: {e.detail}" for e in error.errors) if error.errors else error.detail
        return error.status, say("frame.refused_title"), detail
    if isinstance(error, CloudUnreachable | UnexpectedAnswer):
        return 503, say("frame.away_title"), say("frame.away")
    if isinstance(error, HTTPException) and error.status_code == 413:
        return 413, say("frame.refused_title"), say("frame.too_large", megabytes=MAX_FORM // 2**20)
    if isinstance(error, HTTPException) and error.status_code < 500:
        return error.status_code, say("frame.nothing_title"), say("frame.nothing")
    return 500, say("frame.broken_title"), say("frame.broken")


async def _misdirected(scope: Scope, receive: Receive, send: Send) -> None:
    """421 (RFC 9110 §15.5.20)."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send(
        {"type": "http.response.body", "body": b"This website does not answer to that name.\n", "more_body": False}
    )
