"""A cloud for one controller that trusts everybody: it sends snapshots when told to, and takes what it is told."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from multiprocessing.connection import Connection

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.doors import furniture, revocations
from latchwork.wire import link
from latchwork.wire.link import Applied, Challenge, Changes, Committed, Facts, Hello, Record, Welcome

CLOUD = bytes(16)

_CHUNK = 4_000


def run(point: bytes, records: int, orders: Connection) -> None:
    """Serves until terminated: says its address, then answers each order when the snapshot has been applied."""
    asyncio.run(_serve(_Peer(point, records), orders))


async def _serve(peer: _Peer, orders: Connection) -> None:
    async with serve(peer.talk, "127.0.0.1", 0, compression=None, max_size=link.MAX_FRAME_BYTES) as server:
        orders.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        while True:
            await asyncio.to_thread(orders.recv)
            await peer.send_snapshot()
            orders.send("applied")


class _Peer:
    def __init__(self, point: bytes, records: int) -> None:
        self._furniture = furniture(point)
        self._revocations = revocations(records, 1)
        self._revision = 1
        self._committed = 1
        self._applied = asyncio.Event()
        self._socket: ServerConnection | None = None

    async def talk(self, socket: ServerConnection) -> None:
        await _send(socket, Challenge(CLOUD, os.urandom(32), time.time()))
        assert isinstance(link.from_controller.decode(await socket.recv()), Hello)
        await _send(socket, Welcome(1, time.time(), self._committed))
        await self._send_all(socket, self._furniture)
        self._socket = socket
        with suppress(ConnectionClosed):
            async for frame in socket:
                await self._hear(socket, link.from_controller.decode(frame))

    async def send_snapshot(self) -> None:
        assert self._socket is not None
        self._applied.clear()
        self._revision += 1
        await self._send_all(self._socket, [*self._furniture, *self._revocations])
        await self._applied.wait()

    async def _send_all(self, socket: ServerConnection, records: list[Record]) -> None:
        for at in range(0, len(records), _CHUNK):
            first, last = at == 0, at + _CHUNK >= len(records)
            chunk = records[at : at + _CHUNK]
            await _send(socket, Changes(self._revision, b"snapshot", chunk, snapshot=True, first=first, last=last))

    async def _hear(self, socket: ServerConnection, message: link.FromController) -> None:
        match message:
            case Applied(revision) if revision == self._revision:
                self._applied.set()
            case Facts(journal, first, bodies):
                self._committed = first + len(bodies)
                await _send(socket, Committed(journal, self._committed))


async def _send(socket: ServerConnection, message: link.FromCloud) -> None:
    await socket.send(link.from_cloud.encode(message))
