"""The cheapest HTTP/1.1 client there is: a load generator must not compete with what it measures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec


@dataclass(frozen=True, slots=True)
class Connection:
    """One kept-alive connection; one request at a time."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    token: str

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; raises RuntimeError unless it is a success."""
        content = b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self.writer.write(head.encode() + content)
        status, answer = await self._receive()
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {path}: {status} {answer.decode()}")
        return msgspec.json.decode(answer) if answer else None

    async def _receive(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        _, found, rest = head.partition(b"content-length: ")
        length = int(rest.partition(b"\r\n")[0]) if found else 0
        return int(head[9:12]), await self.reader.readexactly(length)


@asynccontextmanager
async def connected(url: str, token: str, count: int) -> AsyncIterator[list[Connection]]:
    """So many connections to one server."""
    parts = urlsplit(url)
    async with AsyncExitStack() as stack:
        connections = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            stack.callback(writer.close)
            connections.append(Connection(reader, writer, token))
        yield connections
