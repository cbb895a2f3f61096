"""Many controllers in one process, as light as they can be: they hold nothing, but say that they have applied it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection

import msgspec
import uvloop
import websockets.asyncio.client as client

from latchwork.edge.link import link_url
from latchwork.wire import link, p256, state
from latchwork.wire.link import Applied, Challenge, Changes, Hello, Welcome

_CONNECT_AT_ONCE = 20


def run(url: str, organisation: int, controllers: Sequence[int], key: bytes, reports: Connection) -> None:
    """Links all of them and keeps them linked until terminated.

    Reports each batch when its confirmation has been sent: (controller, monotonic seconds). The first of each is its
    snapshot. They share one key.
    """
    uvloop.run(_run(url, organisation, controllers, p256.load_private(key), reports))


async def _run(
    url: str, organisation: int, controllers: Sequence[int], key: p256.PrivateKey, reports: Connection
) -> None:
    slots = asyncio.Semaphore(_CONNECT_AT_ONCE)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:

        async def keep(controller: int) -> None:
            async with slots:
                socket = await stack.enter_async_context(
                    client.connect(
                        link_url(url),
                        compression=None,
                        max_size=link.MAX_FRAME_BYTES,
                        ping_interval=None,
                        proxy=None,
                    )
                )
                await _introduce(socket, organisation, controller, key)
            await _follow(socket, controller, reports)

        for controller in controllers:
            group.create_task(keep(controller))


async def _introduce(socket: client.ClientConnection, organisation: int, controller: int, key: p256.PrivateKey) -> None:
    challenge = link.from_cloud.decode(await socket.recv(decode=False))
    assert isinstance(challenge, Challenge)
    unsigned = Hello(
        organisation=organisation,
        controller=controller,
        signature=b"",
        revision=0,
        mark=b"",
        journal=os.urandom(16),
        first=1,
        next=1,
        instance=os.urandom(16),
        kinds=state.KINDS,
    )
    hello = msgspec.structs.replace(unsigned, signature=p256.sign(key, link.signed_bytes(challenge, unsigned)))
    await socket.send(link.from_controller.encode(hello))
    assert isinstance(link.from_cloud.decode(await socket.recv(decode=False)), Welcome)


async def _follow(socket: client.ClientConnection, controller: int, reports: Connection) -> None:
    async for frame in socket:
        assert isinstance(frame, bytes)
        message = link.from_cloud.decode(frame)
        if isinstance(message, Changes) and message.last:
            await socket.send(link.from_controller.encode(Applied(message.revision, message.mark)))
            reports.send((controller, time.monotonic()))
