"""From the API's answer to a changed meeting until the door's controller has applied it, over a real link."""

from __future__ import annotations

import asyncio
import time

import uvloop

from benchmarks.clouds import ground
from benchmarks.connections import Connection, connected
from benchmarks.figures import Figure, Figures, percentile
from benchmarks.programs import Pipe, enrolled, instant
from latchwork.edge.config import Config
from latchwork.edge.runner import running
from latchwork.sim.doors import VirtualWiring

NAMES = ("change_to_door_ms_p50", "change_to_door_ms_p99")

_WARM_UP, _CHANGES = 100, 1_000
_PAUSE = 0.01


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> Figures:
    async with ground() as here:
        with here.serving() as cloud:
            async with (
                connected(cloud.url, here.house.token, 1) as [to],
                enrolled(here, cloud.url, _run_controller) as applied,
            ):
                meeting = await _book(to, here.house.doors[:1])
                delays = [await _change(to, meeting, number, applied) for number in range(1, 1 + _WARM_UP + _CHANGES)]
    measured = delays[_WARM_UP:]
    return {
        NAMES[0]: Figure(percentile(measured, 50), "ms", 6),
        NAMES[1]: Figure(percentile(measured, 99), "ms", 25),
    }


async def _book(to: Connection, doors: list[int]) -> int:
    now = int(time.time())
    draft = {"visitor": {"key": "vic"}, "startTime": now, "endTime": now + 3600, "accessPoints": doors}
    id: int = (await to.send("POST", "/v1/meetings", draft))["id"]
    return id


async def _change(to: Connection, meeting: int, number: int, applied: Pipe) -> float:
    """Milliseconds; below zero when the door was quicker than the answer."""
    end = int(time.time()) + 3600 + number
    await asyncio.sleep(_PAUSE)
    while applied.poll():
        applied.recv()
    await to.send("PATCH", f"/v1/meetings/{meeting}", {"endTime": end})
    answered = time.monotonic()
    return (await instant(applied) - answered) * 1e3


def _run_controller(config: Config, applied: Pipe) -> None:
    asyncio.run(_control(config, applied))


async def _control(config: Config, applied: Pipe) -> None:
    async with running(config, VirtualWiring()) as edge:
        store = edge.controller._store
        take_over = store.on_applied

        def told() -> None:
            applied.send(time.monotonic())
            take_over()

        store.on_applied = told
        await asyncio.Event().wait()
