"""A cloud for one controller, as small as `wire/link.py` allows and as honest: it checks what it is told."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from latchwork.wire import facts, link, p256, state
from latchwork.wire.link import (
    Applied,
    Challenge,
    Changes,
    Close,
    Committed,
    Facts,
    Hello,
    Outcome,
    Record,
    Tick,
    Welcome,
)


class Peer:
    """Desired state, one session at a time, and the journal entries it has committed."""

    def __init__(self, public: p256.PublicKey) -> None:
        self.public = public
        self.cloud_id = os.urandom(16)
        self.records: dict[tuple[str, str], Record] = {}
        self.revision = 0
        self.marks: dict[int, bytes] = {0: b""}
        self.bodies: dict[bytes, list[bytes]] = {}
        self.frames: list[Facts] = []
        self.hellos: list[Hello] = []
        self.healths: list[link.Health] = []
        self.skew = 0.0
        self.commits = True
        self.frozen = False
        self.refuse_with: int | None = None
        self.chunk = 1000
        self.applied = asyncio.Event()
        self.confirmed = 0
        self.sessions = 0
        self.confirmations: list[tuple[float, int]] = []
        self.outcomes: list[tuple[int, str]] = []
        self._socket: ServerConnection | None = None
        self._news = asyncio.Event()

    @asynccontextmanager
    async def serving(self, port: int = 0, tls: SSLContext | None = None) -> AsyncIterator[str]:
        """Listens; yields the cloud's address."""
        async with serve(
            self._session, "127.0.0.1", port, ssl=tls, compression=None, max_size=link.MAX_FRAME_BYTES
        ) as server:
            port = server.sockets[0].getsockname()[1]
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            server.close(close_connections=True)

    # Desired state

    def put(self, kind: str, key: str | int, body: bytes | msgspec.Struct | None) -> None:
        """Changes one record; the revision is raised by `publish`."""
        encoded = state.codec.encode(body) if isinstance(body, msgspec.Struct) else body
        self.records[kind, str(key)] = Record(kind, str(key), self.revision + 1, encoded)

    def publish(self) -> int:
        self.revision += 1
        self.marks[self.revision] = os.urandom(8)
        self._news.set()
        return self.revision

    async def until_applied(self, revision: int | None = None, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while self.confirmed < (self.revision if revision is None else revision):
                self.applied.clear()
                await self.applied.wait()

    # Facts

    def facts(self, journal: bytes | None = None) -> list[facts.AnyFact]:
        """Everything committed, of one journal or of all."""
        wanted = self.bodies.values() if journal is None else [self.bodies[journal]]
        return [facts.codec.decode(body) for bodies in wanted for body in bodies]

    async def until_fact(self, kind: type[facts.AnyFact], count: int = 1, seconds: float = 30) -> list[facts.AnyFact]:
        async with asyncio.timeout(seconds):
            while len(found := [each for each in self.facts() if isinstance(each, kind)]) < count:
                await asyncio.sleep(0.01)
        return found

    async def until_outcomes(self, count: int, seconds: float = 30) -> list[tuple[int, str]]:
        async with asyncio.timeout(seconds):
            while len(self.outcomes) < count:
                await asyncio.sleep(0.005)
        return list(self.outcomes)

    # The line

    async def send(self, message: link.FromCloud) -> None:
        assert self._socket is not None
        await self._socket.send(link.from_cloud.encode(message))

    async def hang_up(self, code: int = 1001) -> None:
        if self._socket is not None:
            await self._socket.close(code)

    async def until_linked(self, sessions: int = 1, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while self.sessions < sessions or self._socket is None:
                await asyncio.sleep(0.005)

    @property
    def now(self) -> float:
        return time.time() + self.skew

    async def _session(self, socket: ServerConnection) -> None:
        try:
            await self._talk(socket)
        except ConnectionClosed:
            pass
        finally:
            if self._socket is socket:
                self._socket = None

    async def _talk(self, socket: ServerConnection) -> None:
        challenge = Challenge(self.cloud_id, os.urandom(32), self.now)
        await socket.send(link.from_cloud.encode(challenge))
        hello = link.from_controller.decode(await socket.recv())
        assert isinstance(hello, Hello)
        self.hellos.append(hello)
        if self.refuse_with is not None or not p256.verify(
            self.public, hello.signature, link.signed_bytes(challenge, hello)
        ):
            await socket.close(self.refuse_with or Close.NOT_AUTHENTIC)
            return
        known = self.bodies.setdefault(hello.journal, [])
        self.sessions += 1
        self._socket = socket
        await self.send(Welcome(self.sessions, self.now, len(known) + 1, self.frozen))
        self.confirmed = hello.revision
        self.applied.set()
        sender = asyncio.create_task(self._send_state(hello))
        try:
            async for frame in socket:
                await self._hear(link.from_controller.decode(frame))
        finally:
            sender.cancel()

    async def _send_state(self, hello: Hello) -> None:
        sent = hello.revision
        snapshot = hello.revision == 0 or self.marks.get(hello.revision) != hello.mark
        while not self.frozen:
            self._news.clear()
            if snapshot or sent < self.revision:
                newer = [r for r in self.records.values() if snapshot or r.revision > sent]
                sent = self.revision
                await self._send_batch(newer, snapshot)
                snapshot = False
                await self.until_applied(sent, 60)
            await self._news.wait()

    async def _send_batch(self, records: list[Record], snapshot: bool) -> None:
        revision, mark = self.revision, self.marks[self.revision]
        chunks = [records[at : at + self.chunk] for at in range(0, len(records), self.chunk)] or [[]]
        for number, chunk in enumerate(chunks):
            first, last = number == 0, number == len(chunks) - 1
            await self.send(Changes(revision, mark, chunk, snapshot, first, last))

    async def _hear(self, message: link.FromController) -> None:
        match message:
            case Applied(revision, mark):
                assert self.marks[revision] == mark
                self.confirmed = revision
                self.confirmations.append((time.perf_counter(), revision))
                self.applied.set()
            case Facts(journal, first, bodies):
                self.frames.append(message)
                held = self.bodies.setdefault(journal, [])
                assert first <= len(held) + 1, f"{first} came, {len(held) + 1} was due"
                if self.commits:
                    held.extend(bodies[len(held) + 1 - first :])
                    await self.send(Committed(journal, len(held) + 1))
            case link.Health():
                self.healths.append(message)
            case Outcome(id, reason):
                self.outcomes.append((id, reason))
            case Hello():
                raise AssertionError("a second hello")

    async def tick(self) -> None:
        await self.send(Tick(self.now))
