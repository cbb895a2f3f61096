"""Waiting until a change has arrived at the doors; holds no connection while it waits."""

from __future__ import annotations

import asyncio
import time

from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.people import store
from latchwork.wire.api.people import PermissionsChanged

LOOK_EVERY = 0.05


async def wait(by: Caller, user: int, seconds: float) -> PermissionsChanged:
    """The user's permissions when every online controller concerned has confirmed, or when the time is over."""
    until = time.monotonic() + seconds
    while True:
        unconfirmed, offline = await by.read(lambda conn, scope: store.unconfirmed_of(conn, scope, user, by.now))
        if not unconfirmed or time.monotonic() >= until:
            break
        await asyncio.sleep(LOOK_EVERY)
    permissions = await by.read(lambda conn, scope: store.permissions_of(conn, scope, user))
    return PermissionsChanged(permissions, unconfirmed, offline)
