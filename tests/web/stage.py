"""The cloud and its website behind one real server, as `latchwork serve` composes them, and doors that report facts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from latchwork.cloud import admin
from latchwork.cloud.controllers import facts as journal
from latchwork.cloud.controllers import store
from latchwork.cloud.kernel.settings import Settings
from latchwork.cloud.kernel.work import Work
from latchwork.cloud.passages import desired as passages
from latchwork.cloud.passages.service import note_standings
from latchwork.cloud.visitors import arrivals
from latchwork.cloud.visitors import desired as visits
from latchwork.wire import facts
from latchwork.wire.link import Facts


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The app on a free loopback port; answers its URL."""
    listening = socket.socket(proto=socket.IPPROTO_TCP)  # so that asyncio turns Nagle's delay off
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    running = asyncio.create_task(server.serve([listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running


def _no_signals() -> Any:
    """The test run keeps its own handling of signals."""
    return contextlib.nullcontext()


def composed(cloud: Any, web: Any) -> Any:
    """Both applications as one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (web if web.owns(scope["path"]) else cloud)(scope, receive, send)

    return app


_NO_SESSION = 0
"""The number before a controller's first link."""


class Dora:
    """A controller, as far as the cloud's log is concerned: what it reports becomes events."""

    def __init__(self, office: admin.Office, organisation: int, controller: int) -> None:
        self._office = office
        self._organisation = organisation
        self._controller = controller
        self._next = 1

    async def reports(self, *happened: facts.AnyFact) -> None:
        """These facts, in this order, as if they had come over the link."""
        bodies = [facts.codec.encode(fact) for fact in happened]
        message = Facts(b"journal-of-dora!", self._next, bodies)
        await self._office.run(self._organisation, lambda work: self._take(work, message))
        self._next += len(bodies)

    async def _take(self, work: Work, message: Facts) -> None:
        held = await store.find_held(work.conn, self._organisation, self._controller)
        assert held is not None
        describers = [visits.describe, passages.describe]
        await journal.take(work, held, _NO_SESSION, message, describers, [arrivals.witness, note_standings])


@asynccontextmanager
async def open_office(settings: Settings, dsn: str) -> AsyncIterator[admin.Office]:
    """An office whose hints reach the cloud at once."""
    async with admin.open_office(settings, dsn) as office:
        carrying = asyncio.create_task(office.hints.carry(dsn))
        yield office
        carrying.cancel()
