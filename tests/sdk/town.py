"""The real cloud on a real PostgreSQL: Alice's organisation, and Charlie's, who must see nothing of hers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from tests.sdk.threads import Bridge, InThread

from latchwork.cloud import admin
from latchwork.cloud.app import create_app
from latchwork.cloud.kernel.settings import Settings, read_settings
from latchwork.sdk import blocking
from latchwork.sdk.client import Client, Credentials
from latchwork.wire.api.visitors import MeetingDraft, MeetingVisitor

CLOUD = "http://cloud.test"


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    body: dict[str, Any]

    def parameters(self, where: str) -> set[str]:
        return {each["name"] for each in self.body.get("parameters", []) if each["in"] == where}

    @property
    def has_body(self) -> bool:
        return "requestBody" in self.body

    def matches(self, method: str, path: str) -> bool:
        return method == self.method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", self.path), path) is not None


@dataclass
class Town:
    """One cloud, and who calls it."""

    app: Any
    settings: Settings
    dsn: str
    alice: Credentials
    alices_id: int
    charlie: Credentials
    charlies_id: int
    blocking: bool = False
    """Whether clients are those without await, each call in a thread."""

    def client(self, who: Credentials, line: httpx2.AsyncBaseTransport | None = None, **options: Any) -> Any:
        """A client of theirs; `line`: what lies between it and the cloud."""
        line = line or self.line()
        if self.blocking:
            return InThread(blocking.Client(CLOUD, who.client_id, who.client_secret, transport=Bridge(line), **options))
        return Client(CLOUD, who.client_id, who.client_secret, transport=line, **options)

    def client_of_session(self, token: str, line: httpx2.AsyncBaseTransport) -> Any:
        """The client of somebody who is logged in."""
        if self.blocking:
            return InThread(blocking.Client.of_session(CLOUD, token, transport=Bridge(line)))
        return Client.of_session(CLOUD, token, transport=line)

    def line(self) -> httpx2.AsyncBaseTransport:
        return httpx2.ASGITransport(self.app)

    async def operations(self) -> dict[str, Operation]:
        """The native operations by the names of their functions, as the OpenAPI document has them."""
        async with httpx2.AsyncClient(transport=self.line(), base_url=CLOUD) as http:
            document = (await http.get("/openapi.json")).json()
        return {
            body["operationId"].removeprefix(f"{body['tags'][0]}_"): Operation(method.upper(), path, body)
            for path, methods in document["paths"].items()
            if path.startswith("/v1/")
            for method, body in methods.items()
        }


@asynccontextmanager
async def opened_town(dsn: str, folder: Path) -> AsyncIterator[Town]:
    settings = read_settings({"LATCHWORK_DATA": str(folder), "LATCHWORK_PUBLIC_URL": CLOUD})
    async with admin.open_office(settings, dsn) as office:
        alices, alice = await _founded(office, "Alice & Co")
        charlies, charlie = await _founded(office, "Charlie Ltd")
    app = create_app(settings, dsn)
    async with living(app):
        yield Town(app, settings, dsn, alice, alices, charlie, charlies)


async def _founded(office: admin.Office, name: str) -> tuple[int, Credentials]:
    organisation = await admin.found(office, name)
    client = await admin.add_client(office, organisation.id, f"{name}'s backend", [], 1)
    assert client.client_secret is not None
    await admin.set_rate(office, organisation.id, client.id, 10_000, 10_000)
    return organisation.id, Credentials(client.client_id, client.client_secret)


@asynccontextmanager
async def living(app: Any) -> AsyncIterator[None]:
    """The app between its ASGI lifespan's startup and shutdown."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await life


def visit(*doors: int, key: str = "vic", minutes: int = 60) -> MeetingDraft:
    """Vic comes now."""
    now = int(time.time())
    return MeetingDraft(MeetingVisitor(key, name="Vic"), now - 60, now + minutes * 60, list(doors))
