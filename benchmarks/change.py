"""From the API's answer to a changed meeting until the door's controller has applied it, over a real link."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from benchmarks.clouds import Ground, ground
from benchmarks.connections import Connection, connected
from benchmarks.figures import Figure, Figures, percentile
from latchwork.edge import enrol
from latchwork.edge.config import Config
from latchwork.edge.runner import running
from latchwork.sim.doors import VirtualWiring

NAMES = ("change_to_door_ms_p50", "change_to_door_ms_p99")

_WARM_UP, _CHANGES = 100, 1_000
_PAUSE = 0.01
_WITHIN = 10.0


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> Figures:
    async with ground() as here:
        with here.serving() as cloud:
            async with connected(cloud.url, here.house.token, 1) as [to], _controller(here, cloud.url) as applied:
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


async def _change(to: Connection, meeting: int, number: int, applied: multiprocessing.connection.Connection) -> float:
    """Milliseconds; below zero when the door was quicker than the answer."""
    end = int(time.time()) + 3600 + number
    await asyncio.sleep(_PAUSE)
    while applied.poll():
        applied.recv()
    await to.send("PATCH", f"/v1/meetings/{meeting}", {"endTime": end})
    answered = time.monotonic()
    at: float = await asyncio.to_thread(_next, applied)
    return (at - answered) * 1e3


def _next(applied: multiprocessing.connection.Connection) -> float:
    if not applied.poll(_WITHIN):
        raise RuntimeError("a change did not reach the door")
    at: float = applied.recv()
    return at


@asynccontextmanager
async def _controller(here: Ground, url: str) -> AsyncIterator[multiprocessing.connection.Connection]:
    """An enrolled controller in another process; the pipe says when it applied something (monotonic seconds)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = await asyncio.to_thread(
            enrol.enrol, await here.enrolment_code(here.house), url, folder / "edge.toml", folder / "data"
        )
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_run_controller, args=(config, theirs))
        process.start()
        try:
            await asyncio.to_thread(_next, ours)
            yield ours
        finally:
            process.terminate()
            process.join()


def _run_controller(config: Config, applied: multiprocessing.connection.Connection) -> None:
    asyncio.run(_control(config, applied))


async def _control(config: Config, applied: multiprocessing.connection.Connection) -> None:
    async with running(config, VirtualWiring()) as edge:
        store = edge.controller._store
        take_over = store.on_applied

        def told() -> None:
            applied.send(time.monotonic())
            take_over()

        store.on_applied = told
        await asyncio.Event().wait()
