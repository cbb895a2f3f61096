"""A thousand linked controllers: how soon a permission arrives at one, and how soon one person's leave all.

Cloud, PostgreSQL and controllers are processes of their own. The controllers are light (`benchmarks.peers`), the
links real.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvloop

from benchmarks import peers
from benchmarks.clouds import Ground, ground
from benchmarks.connections import Connection, connected
from benchmarks.figures import Figure, Figures, percentile
from latchwork.cloud.controllers import service as controllers
from latchwork.cloud.controllers import store
from latchwork.cloud.kernel.work import Work
from latchwork.cloud.people import service as people
from latchwork.cloud.sites import service as sites
from latchwork.wire import p256
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.people import UserDraft
from latchwork.wire.api.sites import AccessPointDraft

NAMES = ("grant_to_door_ms_p50", "grant_to_door_ms_p99", "revoke_everywhere_ms")

_CONTROLLERS, _PROCESSES, _USERS = 1_000, 2, 200
_WARM_UP, _GRANTS = 100, 1_000
_REVOCATIONS = 5
_PAUSE = 0.01
_LOOK_EVERY = 0.01
_WITHIN = 60.0


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> Figures:
    async with ground() as here:
        fleet = await _found(here)
        with here.serving() as cloud:
            async with connected(cloud.url, here.house.token, 1) as [to], fleet.linked(cloud.url):
                granted = [await _grant(fleet, to, number) for number in range(_WARM_UP + _GRANTS)]
                revoked = await _revoke(fleet, to)
    return {
        NAMES[0]: Figure(percentile(granted[_WARM_UP:], 50), "ms", 8),
        NAMES[1]: Figure(percentile(granted[_WARM_UP:], 99), "ms", 40),
        NAMES[2]: Figure(revoked, "ms", 3000),
    }


async def _grant(fleet: _Fleet, to: Connection, number: int) -> float:
    """Milliseconds from the request to the confirmation of one door's controller."""
    user = fleet.users[number % len(fleet.users)]
    door, controller = random.choice(list(fleet.doors.items()))
    await asyncio.sleep(_PAUSE)
    fleet.confirmed.clear()
    began = time.monotonic()
    answer = asyncio.ensure_future(
        to.send(
            "PATCH",
            f"/v1/users/{user}/permissions",
            {"add": [{"accessPointId": door, "endsAt": 2_000_000_000 + number}]},
        )
    )
    at = await fleet.next_of(controller)
    await answer
    return (at - began) * 1e3


async def _revoke(fleet: _Fleet, to: Connection) -> float:
    """Milliseconds until all have confirmed that somebody with doors everywhere is deactivated, or has lost them all.

    The worse of the two medians.
    """
    user, doors = fleet.users[0], list(fleet.doors)
    everywhere = {"add": [{"accessPointId": door} for door in doors]}
    deactivated, withdrawn = [], []
    for _ in range(_REVOCATIONS):
        await fleet.settled(to.send("PATCH", f"/v1/users/{user}/permissions", everywhere))
        deactivated.append(await fleet.settled(to.send("PATCH", f"/v1/users/{user}", {"isActive": False})))
        await fleet.settled(to.send("PATCH", f"/v1/users/{user}", {"isActive": True}))
        withdrawn.append(await fleet.settled(to.send("PATCH", f"/v1/users/{user}/permissions", {"remove": doors})))
    print(f"  deactivated {statistics.median(deactivated):.0f} ms, withdrawn {statistics.median(withdrawn):.0f} ms")
    return max(statistics.median(deactivated), statistics.median(withdrawn))


@dataclass(frozen=True, slots=True)
class _Fleet:
    here: Ground
    key: p256.PrivateKey
    doors: dict[int, int]
    """The controller of each door."""
    users: list[int]
    confirmed: dict[int, float]
    """By controller: when it last confirmed something; cleared before each change."""
    news: asyncio.Event

    @asynccontextmanager
    async def linked(self, url: str) -> AsyncIterator[None]:
        """As long as the context lasts; begins when all have confirmed their first state."""
        every, started = list(self.doors.values()), []
        for number in range(_PROCESSES):
            ours, theirs = multiprocessing.Pipe(duplex=False)
            values = (
                url,
                self.here.house.organisation,
                every[number::_PROCESSES],
                p256.private_bytes(self.key),
                theirs,
            )
            started.append((multiprocessing.get_context("spawn").Process(target=peers.run, args=values), ours))
        loop = asyncio.get_running_loop()
        try:
            for process, reports in started:
                process.start()
                loop.add_reader(reports.fileno(), self._hear, reports)
            await self._until(lambda: len(self.confirmed) == len(every))
            yield
        finally:
            for process, reports in started:
                loop.remove_reader(reports.fileno())
                process.terminate()
                process.join()
                reports.close()

    def _hear(self, reports: multiprocessing.connection.Connection) -> None:
        controller, at = reports.recv()
        self.confirmed[controller] = at
        self.news.set()

    async def next_of(self, controller: int) -> float:
        """When this controller confirmed what has been changed."""
        await self._until(lambda: controller in self.confirmed)
        return self.confirmed[controller]

    async def _until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(_WITHIN):
            while not is_so():
                self.news.clear()
                await self.news.wait()

    async def settled(self, change: Awaitable[object]) -> float:
        """Milliseconds from a request until the cloud has it in writing from every controller."""
        began = time.monotonic()
        await change
        async with asyncio.timeout(_WITHIN), self.here.office.database.connection() as conn:
            while await conn.fetchval(_UNCONFIRMED):
                await asyncio.sleep(_LOOK_EVERY)
        return (time.monotonic() - began) * 1e3


_UNCONFIRMED = """
    SELECT EXISTS (SELECT FROM controllers c JOIN controller_links l ON l.controller_id = c.id
                   WHERE c.public_key IS NOT NULL AND l.confirmed_revision < c.revision)
"""


async def _found(here: Ground) -> _Fleet:
    """A door for each controller, all enrolled, and some users."""
    key = p256.new_key()
    point = p256.public_bytes(key.public_key())

    async def furnish(work: Work) -> dict[int, int]:
        doors = {}
        for number in range(_CONTROLLERS):
            door = await sites.add_door(work, AccessPointDraft(here.house.site, f"Door {number}"))
            controller = await controllers.add(work, ControllerDraft(f"Dora {number}", [door.id]))
            await store.enrol(work.conn, work.scope, controller.id, point, work.now)
            doors[door.id] = controller.id
        return doors

    doors = await here.office.run(here.house.organisation, furnish)
    drafts = [UserDraft(f"Bob {number}") for number in range(_USERS)]
    users = await here.office.run(here.house.organisation, lambda work: people.add_users(work, drafts))
    return _Fleet(here, key, doors, [user.id for user in users], {}, asyncio.Event())
