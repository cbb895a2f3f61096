"""Who is there: the running cloud, Alice's client and Charlie's, Dora the controller and what hangs at her doors."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx2
import msgspec
import uvicorn
import websockets
import websockets.asyncio.client

from latchwork.cloud.app import create_app
from latchwork.cloud.kernel.settings import Settings
from latchwork.edge.config import Config
from latchwork.edge.enrol import enrol
from latchwork.edge.runner import Edge, running
from latchwork.sim.doors import VirtualWiring
from latchwork.wire import facts, link, p256, state
from latchwork.wire.api.enrolment import proof_bytes
from latchwork.wire.link import Applied, Challenge, Changes, Committed, Facts, Hello, Welcome

MASTER_KEY = "5a" * 32
PUBLIC_URL = "http://cloud.test"
"""The issuer of every token, whatever port the cloud listens on."""

Message = TypeVar("Message", bound=msgspec.Struct)


def settings(folder: Path = Path("/nonexistent"), **changes: Any) -> Settings:
    plain = Settings(
        data=folder,
        database_url=None,
        master_key=MASTER_KEY,
        public_url=PUBLIC_URL,
        tls_fingerprint="",
        proxy_trusted=False,
        smtp_url=None,
        mail_from="latchwork@cloud.test",
        pool_size=10,
    )
    return replace(plain, **changes)


@dataclass(frozen=True)
class Account:
    """An organisation's client as the session's template database knows it."""

    organisation: int
    client: int
    client_id: str
    client_secret: str
    token: str


@dataclass
class Cloud:
    """One process of the cloud, as far as anybody outside can tell."""

    url: str
    dsn: str
    http: httpx2.AsyncClient
    app: Any

    @property
    def state(self) -> Any:
        return self.app.litestar.state

    def client(self, account: Account) -> Client:
        return Client(self, account.organisation, account.token, account)


@asynccontextmanager
async def serving(dsn: str, **changes: Any) -> AsyncIterator[Cloud]:
    """The real application on a real port, with its jobs running."""
    app = create_app(settings(**changes), dsn)
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:  # with proto 0 asyncio leaves Nagle on
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = _Server(uvicorn.Config(app, **_AS_SERVED))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started and not task.done():
                await asyncio.sleep(0.002)
            if task.done():
                task.result()
                raise RuntimeError("the cloud did not start")
            async with httpx2.AsyncClient(base_url=url, timeout=60, verify=False) as http:
                yield Cloud(url, dsn, http, app)
        finally:
            server.ended.set()
            await task


_AS_SERVED: dict[str, Any] = {
    "http": "httptools",
    "ws": "websockets-sansio",
    "ws_max_size": link.MAX_FRAME_BYTES,
    "ws_per_message_deflate": False,
    "lifespan": "on",
    "timeout_graceful_shutdown": 1,
    "log_config": None,
    "access_log": False,
}


class _Server(uvicorn.Server):
    """A server that leaves the test's signal handlers alone, and ends at once when it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.ended.wait()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


@dataclass
class Client:
    """Somebody with a token who calls the API."""

    cloud: Cloud
    organisation: int
    token: str
    account: Account | None = None

    async def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return await self.cloud.http.request(method, path, headers=headers, **more)

    async def get(self, path: str, **more: Any) -> Any:
        return await self._good("GET", path, **more)

    async def post(self, path: str, body: object = None, **more: Any) -> Any:
        return await self._good("POST", path, **({} if body is None else {"json": body}), **more)

    async def patch(self, path: str, body: object, **more: Any) -> Any:
        return await self._good("PATCH", path, json=body, **more)

    async def delete(self, path: str, **more: Any) -> None:
        await self._good("DELETE", path, **more)

    async def _good(self, method: str, path: str, **more: Any) -> Any:
        response = await self.call(method, path, **more)
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    async def events(self, after: int = 0, **more: Any) -> list[dict[str, Any]]:
        """Every event above a number."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self.get("/v1/events", params={"after": after, "limit": 200, **more})
            if not page["events"]:
                return found
            found += page["events"]
            after = page["last"]

    async def last_event(self) -> int:
        return (await self.get("/v1/events/last"))["last"]

    async def invite(self, *doors: int, key: str = "vic", seconds: int = 3600, **more: Any) -> dict[str, Any]:
        """A meeting that has just begun."""
        now = int(time.time())
        times = {"startTime": now - 10, "endTime": now + seconds}
        return await self.post("/v1/meetings", {"visitor": {"key": key}, "accessPoints": doors, **times, **more})

    async def fresh_pass(self, meeting: int) -> str:
        return (await self.post(f"/v1/meetings/{meeting}/pass"))["qrData"]

    async def controller(self, id: int) -> dict[str, Any]:
        return await self.get(f"/v1/controllers/{id}")

    async def until_confirmed(self, controller: int, seconds: float = 30) -> dict[str, Any]:
        """Waits until the controller has confirmed what it should hold."""
        async with asyncio.timeout(seconds):
            while True:
                found = await self.controller(controller)
                if found["revision"] == found["confirmedRevision"] and found["lastSeenAt"] is not None:
                    return found
                await asyncio.sleep(0.01)

    async def until_event(self, kind: str, after: int = 0, seconds: float = 30) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            while True:
                page = await self.get("/v1/events", params={"after": after, "limit": 200, "wait": 1})
                for event in page["events"]:
                    if event["type"] == kind:
                        return event
                after = page["last"]

    async def rebuilt(self, controller: int) -> int:
        """How many records a full rebuild changes."""
        return (await self.post(f"/v1/controllers/{controller}/rebuild"))["changed"]

    async def enrol(self, controller: int, folder: Path) -> Config:
        """Makes this folder the controller."""
        code = (await self.post(f"/v1/controllers/{controller}/enrolment-code"))["code"]
        return await asyncio.to_thread(enrol, code, self.cloud.url, folder / "edge.toml", folder)

    @asynccontextmanager
    async def dora(self, controller: int, folder: Path) -> AsyncIterator[Edge]:
        """The real controller program in this process, enrolled and in step."""
        config = await self.enrol(controller, folder)
        async with running(config, VirtualWiring()) as edge:
            await self.until_confirmed(controller)
            yield edge


class Conn:
    """A look at the database beside the application."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def fetch(self, query: str, *values: object) -> list[asyncpg.Record]:
        conn = await asyncpg.connect(self._dsn)
        try:
            return await conn.fetch(query, *values)
        finally:
            await conn.close()

    async def value(self, query: str, *values: object) -> Any:
        rows = await self.fetch(query, *values)
        return rows[0][0] if rows else None

    async def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        tables = await self.fetch("SELECT tablename AS t FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        query = " UNION ALL ".join(f"SELECT '{row['t']}' AS t, count(*) AS n FROM {row['t']}" for row in tables)
        return {row["t"]: row["n"] for row in await self.fetch(query)}

    async def contents(self) -> dict[str, str | None]:
        """A fingerprint of all that stands in each table."""
        tables = await self.fetch("SELECT tablename AS t FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        query = " UNION ALL ".join(
            f"SELECT '{row['t']}' AS t, md5(string_agg(r::text, '|' ORDER BY r::text)) AS h FROM {row['t']} r"
            for row in tables
        )
        return {row["t"]: row["h"] for row in await self.fetch(query)}


@asynccontextmanager
async def nothing_changes(db: Conn) -> AsyncIterator[None]:
    """Afterwards every table holds what it held before."""
    before = await db.contents()
    yield
    assert await db.contents() == before


@dataclass
class Script:
    """A controller that says on the link exactly what a test wants it to say."""

    url: str
    organisation: int
    controller: int
    cloud_id: bytes
    key: p256.PrivateKey = field(default_factory=p256.new_key)
    instance: bytes = field(default_factory=lambda: os.urandom(16))
    journal: bytes = field(default_factory=lambda: os.urandom(16))
    revision: int = 0
    mark: bytes = b""

    def enrolment(self, code: str) -> dict[str, str]:
        point = p256.public_bytes(self.key.public_key())
        proof = p256.sign(self.key, proof_bytes(code, point))
        return {"code": code, "publicKey": p256.b64url(point), "proof": p256.b64url(proof)}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Line]:
        """A line on which the cloud has given its challenge."""
        address = self.url.replace("http", "ws", 1) + link.PATH
        async with websockets.asyncio.client.connect(address, compression=None, proxy=None) as socket:
            line = Line(self, socket)
            line.challenge = await line.hear(Challenge)
            yield line

    @asynccontextmanager
    async def linked(self, **hello: Any) -> AsyncIterator[Line]:
        """A line after its welcome."""
        async with self.connected() as line:
            await line.say_hello(**hello)
            line.welcome = await line.hear(Welcome)
            yield line


@dataclass
class Line:
    script: Script
    socket: websockets.asyncio.client.ClientConnection
    challenge: Any = None
    welcome: Any = None

    async def say(self, message: link.FromController) -> None:
        await self.socket.send(link.from_controller.encode(message))

    async def say_hello(self, signed_by: p256.PrivateKey | None = None, **changes: Any) -> None:
        s = self.script
        plain = Hello(
            organisation=s.organisation,
            controller=s.controller,
            signature=b"",
            revision=s.revision,
            mark=s.mark,
            journal=s.journal,
            first=1,
            next=1,
            instance=s.instance,
            version="0.1",
            tzdata="2025.2",
            kinds=state.KINDS,
        )
        plain = msgspec.structs.replace(plain, **changes)
        signature = p256.sign(signed_by or s.key, link.signed_bytes(self.challenge, plain))
        await self.say(msgspec.structs.replace(plain, signature=signature))

    async def hear(self, kind: type[Message], seconds: float = 20) -> Message:
        """The next message, which must be of this kind."""
        async with asyncio.timeout(seconds):
            frame = await self.socket.recv()
        message = link.from_cloud.decode(frame)
        assert isinstance(message, kind), message
        return message

    async def take_state(self, seconds: float = 20) -> Changes:
        """Takes one batch of one chunk and confirms it."""
        batch = await self.hear(Changes, seconds)
        assert batch.first
        assert batch.last
        await self.say(Applied(batch.revision, batch.mark))
        self.script.revision, self.script.mark = batch.revision, batch.mark
        return batch

    async def tell(self, first: int, *told: facts.AnyFact | bytes, journal: bytes | None = None) -> Committed:
        bodies = [fact if isinstance(fact, bytes) else facts.codec.encode(fact) for fact in told]
        await self.say(Facts(journal or self.script.journal, first, bodies))
        return await self.hear(Committed)

    async def until_closed(self, seconds: float = 20) -> int:
        """The close code with which the cloud ended this line."""
        async with asyncio.timeout(seconds):
            try:
                while True:
                    await self.socket.recv()
            except websockets.exceptions.ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006


def problem(response: httpx2.Response) -> Mapping[str, Any]:
    """The body of a native error answer, which is as RFC 9457 and design §7 say."""
    assert response.headers["content-type"].startswith("application/problem+json"), response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert body["code"]
    assert len(body["detail"]) > 8
    assert body["detail"][-1] in ".>"
    return body
