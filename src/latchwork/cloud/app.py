"""The cloud as an ASGI application: composes the slices; nobody imports it but whoever starts it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from html import escape
from typing import Any

import asyncpg
import litestar
from litestar import Litestar, Request, Response
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.enums import MediaType, ScopeType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, OAuthFlow, OAuthFlows, SecurityScheme
from litestar.types import Receive, Send
from litestar.types import Scope as ASGIScope

from latchwork.cloud import reference
from latchwork.cloud.accounts import endpoints as accounts
from latchwork.cloud.accounts import oauth
from latchwork.cloud.accounts import store as account_store
from latchwork.cloud.accounts.gate import TokenGate
from latchwork.cloud.accounts.rules import ALL_SCOPES
from latchwork.cloud.accounts.tokens import Tokens
from latchwork.cloud.controllers import desired, link, readers
from latchwork.cloud.controllers import endpoints as controllers
from latchwork.cloud.controllers import store as controller_store
from latchwork.cloud.controllers.service import compute_anew
from latchwork.cloud.events import endpoints as events
from latchwork.cloud.events.service import numbering
from latchwork.cloud.kernel import cors
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.http import answer_problem, as_problem
from latchwork.cloud.kernel.limits import Bucket, Limits
from latchwork.cloud.kernel.seal import Seal, read_master_key
from latchwork.cloud.kernel.settings import Settings
from latchwork.cloud.kernel.work import Database, open_pool
from latchwork.cloud.passages import commands
from latchwork.cloud.passages import desired as passages_desired
from latchwork.cloud.passages import endpoints as passages
from latchwork.cloud.passages.service import drop_expired_modes, note_standings, take_over_modes
from latchwork.cloud.people import desired as people_desired
from latchwork.cloud.people import endpoints as people
from latchwork.cloud.phones import desired as phones_desired
from latchwork.cloud.phones import endpoints as phones
from latchwork.cloud.saams import endpoints as saams
from latchwork.cloud.saams.calls import answer_failure as answer_saams_failure
from latchwork.cloud.saams.calls import is_ours as is_saams
from latchwork.cloud.sessions import endpoints as sessions
from latchwork.cloud.sessions import store as session_store
from latchwork.cloud.sessions.mail import Mail
from latchwork.cloud.sessions.service import Sessions
from latchwork.cloud.sites import endpoints as sites
from latchwork.cloud.visitors import arrivals
from latchwork.cloud.visitors import desired as visits
from latchwork.cloud.visitors import endpoints as visitors
from latchwork.cloud.visitors.service import drop_lapsed
from latchwork.cloud.visitors.signing import Signer
from latchwork.wire.api.problems import Problem

log = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024
LAPSE_EVERY = 5.0
SWEEP_EVERY = 600.0
TOMBSTONES_FOR = 30 * 86_400
COMMANDS_FOR = 30 * 86_400
"""Seconds for which it is known who asked for what a door, offline since, has done."""


def create_app(settings: Settings, dsn: str, ending: asyncio.Event | None = None) -> Cloud:
    """The cloud on a migrated database; once `ending` is set, nobody is kept waiting for news."""
    app = Litestar(
        route_handlers=[
            health,
            errors,
            reference_page,
            reference_style,
            *oauth.endpoints,
            *accounts.endpoints,
            *sessions.endpoints,
            *events.endpoints,
            *sites.endpoints,
            *controllers.endpoints,
            *people.endpoints,
            *phones.endpoints,
            *visitors.endpoints,
            *passages.endpoints,
            saams.router,
        ],
        lifespan=[lambda app: _running(app, settings, dsn, ending or asyncio.Event())],
        exception_handlers={
            oauth.OAuthError: oauth.answer_oauth_error,
            Exception: _answer_failure,
        },
        openapi_config=_openapi(settings),
        request_max_body_size=MAX_BODY,
        on_app_init=[_quiet],
    )
    return Cloud(app)


@litestar.get("/healthz", operation_id="health", tags=["operation"], summary="Answers 200 while the cloud can work.")
async def health(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
    """Asks the database; 503 when it does not answer."""
    try:
        async with asyncio.timeout(3), request.app.state.database.connection() as conn:
            await conn.fetchval("SELECT 1")
    except Exception:
        return Response({"status": "unavailable"}, status_code=503)
    return Response({"status": "ok"}, status_code=200)


@litestar.get("/docs/errors", media_type=MediaType.HTML, include_in_schema=False)
async def errors() -> str:
    """Where the `type` of every problem leads: all of them, each with its anchor."""
    rows = "".join(
        f'<dt id="{kind.code}"><code>{kind.code}</code> ({kind.status})</dt><dd>{escape(kind.sentence)}</dd>'
        for kind in sorted(Problem.by_code.values(), key=lambda kind: (kind.status, kind.code))
    )
    return f"<!doctype html><html lang=en><title>Latchwork: errors</title><h1>Errors</h1><dl>{rows}</dl></html>"


@litestar.get("/reference", media_type=MediaType.HTML, include_in_schema=False, cache=True)
async def reference_page(request: Request[Any, Any, Any]) -> str:
    return reference.page(request.app.openapi_schema.to_schema())


@litestar.get("/reference.css", media_type=MediaType.CSS, include_in_schema=False)
async def reference_style() -> str:
    return reference.STYLE


def _answer_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """What no slice answered, such as a path that nobody knows: in the form of the dialect that was spoken."""
    if is_saams(request.url.path):
        return answer_saams_failure(request, error)
    return answer_problem(request, as_problem(error))


@asynccontextmanager
async def _running(app: Litestar, settings: Settings, dsn: str, ending: asyncio.Event) -> AsyncIterator[None]:
    """Everything that lives as long as the process does, in `app.state`."""
    hints, limits = Hints(), Limits()
    seal = Seal(read_master_key(settings.master_key, settings.data))
    pool = await open_pool(dsn, settings.pool_size)
    computes = registry(seal)
    database = compose(pool, hints, computes)
    tokens = Tokens(database, seal, hints, settings.public_url, Sessions())
    await tokens.load_keys(int(time.time()))
    await compute_anew(database, int(time.time()))
    links = link.Links(
        database,
        hints,
        seal,
        [visits.describe, passages_desired.describe],
        [arrivals.witness, commands.witnessing(hints), note_standings, take_over_modes],
    )
    app.state.update(
        settings=settings,
        ending=ending,
        database=database,
        hints=hints,
        seal=seal,
        tokens=tokens,
        gate=TokenGate(database, tokens, limits, settings.proxy_trusted),
        links=links,
        signer=Signer(seal),
        mail=Mail(settings.smtp_url, settings.mail_from),
        desired=computes,
    )
    jobs = [hints.carry(dsn), tokens.watch_revocations(), links.watch(), _lapse(database), _sweep(database)]
    tasks = [asyncio.create_task(job) for job in jobs]
    for task in tasks:
        task.add_done_callback(_end_with)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(pool.close(), 5)


def registry(seal: Seal) -> tuple[desired.Compute, ...]:
    """One function per record kind (design: docs/sync.md)."""
    return (
        desired.doors,
        desired.keys,
        readers.certifying(seal),
        people_desired.people,
        phones_desired.phones,
        visits.revocations,
        passages_desired.modes,
    )


def compose(pool: asyncpg.Pool[asyncpg.Record], hints: Hints, computes: Sequence[desired.Compute]) -> Database:
    """The database with its closing steps, in their order: settle the desired state, then number the events."""
    return Database(pool, [desired.settling(computes, hints), numbering(hints)])


def _end_with(job: asyncio.Task[Any]) -> None:
    """A job that ends by itself is a defect: better no process than one that forgets to look for revocations."""
    if not job.cancelled():
        log.critical("a job of the process ended: %s", job)
        os.kill(os.getpid(), signal.SIGTERM)


async def _lapse(database: Database) -> None:
    """Ends revocations that no pass outlives, and modes that are over, and renews readers' certificates, for ever."""
    while True:
        await asyncio.sleep(LAPSE_EVERY)
        with _survived("revocations and modes are not dropped for now"):
            await drop_lapsed(database, int(time.time()))
            await drop_expired_modes(database, int(time.time()))
        with _survived("readers' certificates are not renewed for now"):
            await readers.renew(database, int(time.time()))


async def _sweep(database: Database) -> None:
    """Forgets what is too old to matter, for ever."""
    while True:
        await asyncio.sleep(SWEEP_EVERY)
        with _survived("old rows are not swept for now"):
            async with database.transaction() as conn:
                await account_store.forget_expired(conn, int(time.time()))
                await session_store.sweep(conn, int(time.time()))
                await controller_store.forget_tombstones(conn, int(time.time()) - TOMBSTONES_FOR)
                await controller_store.forget_commands(conn, time.time() - COMMANDS_FOR)


@contextlib.contextmanager
def _survived(what: str) -> Any:
    """A job goes on when the database comes back."""
    try:
        yield
    except Exception as error:
        log.warning("%s: %s", what, type(error).__name__)


def _openapi(settings: Settings) -> OpenAPIConfig:
    flow = OAuthFlow(token_url="/oauth2/token", scopes={scope: _scope_sentence(scope) for scope in ALL_SCOPES})  # noqa: S106
    scheme = SecurityScheme(type="oauth2", flows=OAuthFlows(client_credentials=flow))
    return OpenAPIConfig(
        title="Latchwork",
        version="1",
        description="Who may open which door, when, and proof of who did. Every instant is seconds since the epoch.",
        components=Components(security_schemes={"oauth2": scheme}),
        path="/",
        render_plugins=[JsonRenderPlugin()],
    )


def _scope_sentence(scope: str) -> str:
    resource, _, verb = scope.partition(":")
    return f"May {verb} {resource}."


def _quiet(config: AppConfig) -> AppConfig:
    """Our own logging: Litestar's would print requests with their exceptions."""
    config.logging_config = None
    config.state = config.state or State()
    return config


class Cloud:
    """The application, and around it what every answer carries: the rate limit, and that nobody may guess its type."""

    def __init__(self, app: Litestar) -> None:
        self.litestar = app

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.litestar(scope, receive, send)
            return
        shared = cors.headers(scope)
        if cors.is_preflight(scope):
            await cors.answer(send)
            return
        state: dict[str, Any] = scope.setdefault("state", {})

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                bucket: Bucket | None = state.get("rate_limit")
                more = (_NO_GUESSING, *(bucket.headers() if bucket else ()), *shared)
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self.litestar(scope, receive, sending)


_NO_GUESSING = (b"x-content-type-options", b"nosniff")
