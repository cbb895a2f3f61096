"""Waiting until a change has arrived at the doors; holds no connection while it waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.people import store
from latchwork.cloud.people.model import Pair

LOOK_EVERY = 0.05


async def wait(by: Caller, pairs: Collection[Pair], seconds: float) -> tuple[list[int], list[int]]:
    """Returns when every online controller has confirmed what became of these (user, door) pairs, or after `seconds`.

    Answers the (online, offline) controllers that have not.
    """
    until = time.monotonic() + seconds
    while True:
        online, offline = await by.read(lambda conn, scope: store.unconfirmed(conn, scope, pairs, int(time.time())))
        if not online or time.monotonic() >= until:
            return online, offline
        await asyncio.sleep(LOOK_EVERY)
