"""What the most frequent calls cost the server's processor, against a floor that leaves the same rows.

A round of ours and a round of the floor take turns; the ratio is the median over the pairs.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.clouds import Ground, ground
from benchmarks.connections import Connection, connected
from benchmarks.figures import Figure, Figures, ratio
from benchmarks.servers import Server

_CALLS = {"create_meeting": 1.5, "regenerate": 1.6, "create_user": 1.5, "patch_permissions": 1.5}
"""And the bar of each one's ratio."""
NAMES = tuple(f"{call}_{figure}" for call in _CALLS for figure in ("over_floor", "per_second", "cpu_us"))

_AT_ONCE = 8
_ROUNDS = 40
_CHANGES, _REGENERATIONS = 160, 320
"""Requests in a round: short ones, so that a pair sees the same machine."""

Call = Callable[[Connection], Awaitable[Any]]


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> Figures:
    async with ground() as here:
        with here.serving("cloud") as cloud, here.serving("floor") as floor:
            async with (
                connected(cloud.url, here.house.token, _AT_ONCE) as to_cloud,
                connected(floor.url, "", _AT_ONCE) as to_floor,
            ):
                ours, bare = _Side(cloud, to_cloud), _Side(floor, to_floor)
                measured = [
                    await _creating(here, ours, bare),
                    await _regenerating(ours, bare),
                    await _creating_users(ours, bare),
                    await _patching(here, ours, bare),
                ]
    return {
        name: figure
        for (call, bar), rounds in zip(_CALLS.items(), measured, strict=True)
        for name, figure in _figures(call, bar, *rounds).items()
    }


async def _creating(here: Ground, ours: _Side, bare: _Side) -> tuple[_Rounds, _Rounds]:
    numbers = itertools.count(1)

    def draft() -> dict[str, Any]:
        number, now = next(numbers), int(time.time())
        visitor = {
            "key": f"v{number}",
            "name": f"Vic {number}",
            "email": f"vic{number}@example.org",
            "company": "Vic & Co",
        }
        return {"visitor": visitor, "startTime": now, "endTime": now + 3600, "accessPoints": here.house.doors[:2]}

    return await _side_by_side(
        ours,
        lambda to: to.send("POST", "/v1/meetings", draft()),
        bare,
        lambda to: to.send("POST", "/meetings", draft()),
        _CHANGES,
    )


async def _regenerating(ours: _Side, bare: _Side) -> tuple[_Rounds, _Rounds]:
    return await _side_by_side(
        ours,
        lambda to: to.send("POST", "/v1/meetings/1/pass"),
        bare,
        lambda to: to.send("POST", "/meetings/1/pass"),
        _REGENERATIONS,
    )


async def _creating_users(ours: _Side, bare: _Side) -> tuple[_Rounds, _Rounds]:
    numbers = itertools.count(1)

    def draft() -> dict[str, Any]:
        number = next(numbers)
        return {
            "name": f"Bob Builder {number}",
            "email": f"bob{number}@example.org",
            "phone": f"+49 30 {number:06}",
            "employeeCode": f"E{number}",
        }

    return await _side_by_side(
        ours,
        lambda to: to.send("POST", "/v1/users", draft()),
        bare,
        lambda to: to.send("POST", "/users", draft()),
        _CHANGES,
    )


async def _patching(here: Ground, ours: _Side, bare: _Side) -> tuple[_Rounds, _Rounds]:
    """On each connection somebody with a card and a door is given, and loses, a second door of the same controller."""
    users = {}
    for to in (*ours.connections, *bare.connections):
        users[to] = [await _add_user(ours.connections[0], here.house.doors[0], len(users) + 1), 0]

    def patch(to: Connection, prefix: str) -> Awaitable[Any]:
        user, calls = users[to]
        users[to][1] += 1
        door = here.house.doors[1]
        body = {"add": [], "remove": [door]} if calls % 2 else {"add": [{"accessPointId": door}], "remove": []}
        return to.send("PATCH", f"{prefix}/users/{user}/permissions", body)

    return await _side_by_side(ours, lambda to: patch(to, "/v1"), bare, lambda to: patch(to, ""), _CHANGES)


async def _add_user(to: Connection, door: int, card: int) -> int:
    user: int = (await to.send("POST", "/v1/users", {"name": "Bob", "accessPoints": [door]}))["id"]
    await to.send("POST", f"/v1/users/{user}/cards", {"number": card})
    return user


@dataclass(frozen=True, slots=True)
class _Rounds:
    """Of each round: processor seconds and wall-clock seconds per request."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Side:
    server: Server
    connections: list[Connection]

    async def round(self, call: Call, count: int, into: _Rounds) -> None:
        cpu, wall = self.server.cpu_seconds(), time.perf_counter()
        await asyncio.gather(*(_repeat(call, to, count // _AT_ONCE) for to in self.connections))
        into.cpu.append((self.server.cpu_seconds() - cpu) / count)
        into.wall.append((time.perf_counter() - wall) / count)


async def _repeat(call: Call, to: Connection, count: int) -> None:
    for _ in range(count):
        await call(to)


async def _side_by_side(ours: _Side, call: Call, bare: _Side, bare_call: Call, count: int) -> tuple[_Rounds, _Rounds]:
    warm, measured, floor = _Rounds(), _Rounds(), _Rounds()
    await ours.round(call, count, warm)
    await bare.round(bare_call, count, warm)
    for _ in range(_ROUNDS):
        await ours.round(call, count, measured)
        await bare.round(bare_call, count, floor)
    return measured, floor


def _figures(name: str, bar: float, ours: _Rounds, floor: _Rounds) -> Figures:
    return {
        f"{name}_over_floor": Figure(ratio(ours.cpu, floor.cpu), "×", bar),
        f"{name}_per_second": Figure(1 / statistics.median(ours.wall), "/s", None, "higher"),
        f"{name}_cpu_us": Figure(statistics.median(ours.cpu) * 1e6, "µs", None),
    }
