"""The website as an ASGI application: `/`, `/live` and `/static/…`. It sees the cloud through its API alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any, Final

import httpx2
import litestar
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Stream
from litestar.types import ASGIApp, Receive, Scope, Send

from latchwork.sdk.client import Client, CloudUnreachable, Credentials, UnexpectedAnswer
from latchwork.web import live as feed
from latchwork.web.entrance import LOOPBACK, Entrance, is_allowed
from latchwork.web.overview import overview
from latchwork.web.pages import STATIC, render
from latchwork.wire.api.problems import Problem, Unauthorized, Unavailable

log = logging.getLogger(__name__)

__all__ = ["Credentials", "create_web"]

_IN_PROCESS: Final = "http://cloud.in-process"
_SECURITY: Final = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NO_STORE: Final = {"cache-control": "no-store"}


def create_web(
    cloud: str | ASGIApp,
    credentials: Credentials | None = None,
    *,
    allowed_hosts: Collection[str] | None = None,
    ending: asyncio.Event | None = None,
) -> ASGIApp:
    """The website of a cloud, given by its URL or as an application in this process.

    With `credentials` everybody may look, in their name: serve it on loopback only; it answers to `allowed_hosts`, by
    default to the names of loopback. Without, it asks for an API client's id and secret by HTTP Basic, and answers to
    every name unless told otherwise. Live feeds end when `ending` is set: do it when the server stops.
    """
    network = httpx2.AsyncHTTPTransport()

    def client_of(who: Credentials, address: str) -> Client:
        if isinstance(cloud, str):
            return Client(cloud, who.client_id, who.client_secret, transport=network)
        # the cloud counts wrong secrets by address: the browser's, not ours
        here = httpx2.ASGITransport(cloud, client=(address, 0))  # type: ignore[arg-type]  # Litestar's is narrower
        return Client(_IN_PROCESS, who.client_id, who.client_secret, transport=here)

    hosts = LOOPBACK if credentials and allowed_hosts is None else allowed_hosts
    app = Litestar(
        route_handlers=[page, live, static],
        state=State({"entrance": Entrance(client_of, credentials), "ending": ending or asyncio.Event()}),
        exception_handlers={Exception: _refused},
        openapi_config=None,
        logging_config=None,
        on_shutdown=[network.aclose],
    )
    return _guarded(app, hosts)


@litestar.get("/", media_type="text/html")
async def page(request: Request[Any, Any, Any]) -> Response[str]:
    """The doors and who came; complete without scripts."""
    cloud = await _client(request)
    return Response(render("page.html", view=await overview(cloud)), media_type="text/html", headers=_NO_STORE)


@litestar.get("/live")
async def live(request: Request[Any, Any, Any]) -> Stream:
    """What happens from `Last-Event-ID`, else `?after=`, else now on, as server-sent events."""
    cloud = await _client(request)
    seen = request.headers.get("last-event-id") or request.query_params.get("after")
    after = await feed.begin(cloud, _number(seen))
    headers = {**_NO_STORE, "x-accel-buffering": "no"}
    return Stream(feed.stream(cloud, after, request.app.state.ending), media_type="text/event-stream", headers=headers)


@litestar.get("/static/{name:str}")
async def static(name: FromPath[str]) -> Response[bytes]:
    """A file of the website itself; its URL changes with its content."""
    file = STATIC.get(name)
    if file is None:
        raise HTTPException(status_code=404)
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    return Response(file.content, media_type=file.media_type, headers=headers)


async def _client(request: Request[Any, Any, Any]) -> Client:
    entrance: Entrance = request.app.state.entrance
    address = request.client.host if request.client else ""
    return await entrance.client(request.headers.get("authorization"), address)


def _number(text: str | None) -> int | None:
    """An event's number; None for whatever is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None


# ------------------------------------------------------------------------------------------------- refusals


def _refused(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """A page that says in a sentence what is the matter."""
    if isinstance(error, Unauthorized) and request.app.state.entrance.is_open:
        error = Unavailable("The API client that this website was started with is no longer accepted.")
    status, title, sentence = _told(error)
    headers = dict(_NO_STORE)
    if status == 401:
        headers["www-authenticate"] = 'Basic realm="Latchwork", charset="UTF-8"'
    if status == 500:
        log.error("unforeseen %s", type(error).__name__, exc_info=error)
    html = render("refused.html", status=status, title=title, sentence=sentence)
    return Response(html, status_code=status, media_type="text/html", headers=headers)


def _told(error: Exception) -> tuple[int, str, str]:
    """Status, title and sentence."""
    if isinstance(error, Unauthorized):
        return 401, "Who are you?", "Log in with an API client: its id is the user name, its secret the password."
    if isinstance(error, Problem):
        return error.status, "That did not work", error.detail
    if isinstance(error, CloudUnreachable | UnexpectedAnswer):
        return 503, "The cloud does not answer", "The doors go on deciding by themselves. Please try again in a moment."
    if isinstance(error, HTTPException):
        return error.status_code, "There is nothing here", "The doors and who came are on the first page."
    return 500, "Something went wrong", "It is not your fault. Please try again."


# ------------------------------------------------------------------------------------------------- every answer


def _guarded(app: ASGIApp, hosts: Collection[str] | None) -> ASGIApp:
    """Refuses foreign Host headers, and adds to every answer what keeps browsers safe."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_SECURITY]
            await send(message)

        names = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        is_ours = is_allowed(names[0], hosts) if len(names) == 1 else hosts is None
        await (app if is_ours else _misdirected)(scope, receive, sending)

    return guarded


async def _misdirected(scope: Scope, receive: Receive, send: Send) -> None:
    """421 (RFC 9110 §15.5.20)."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send(
        {"type": "http.response.body", "body": b"This website does not answer to that name.\n", "more_body": False}
    )
