"""From a pass held before the reader to the strike's release: the whole controller, its durable journal included.

The controller is the program of a real door with a virtual strike; its cloud is a small imitation in another process
(`benchmarks.peer`), which sends snapshots over a real WebSocket as fast as the controller takes them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peer
from benchmarks.doors import FRONT, Organisation, TimedDoor
from benchmarks.figures import Figure, Figures, percentile
from latchwork.edge.config import Config
from latchwork.edge.controller import Controller
from latchwork.edge.runner import running
from latchwork.policy.model import Direction

_P50, _DURING = "present_to_strike_ms_p50", "present_to_strike_ms_p99_during_snapshot"
NAMES = (_P50, _DURING, f"{_P50}_slow_disk", f"{_DURING}_slow_disk")
SCALE_NAMES = (f"{_DURING}_of_1m",)

_IDLE_SECONDS = 6.0
_SNAPSHOT, _SNAPSHOTS = 250_000, 6
_SLOW = 0.02
"""Seconds that each commit of the slow disk waits for it."""
_PAUSE = 0.005


def run() -> Figures:
    return asyncio.run(_measure())


def run_at_scale() -> Figures:
    return asyncio.run(_measure_at_scale())


async def _measure() -> Figures:
    quick = await _phases(0)
    slow = await _phases(_SLOW)
    bars = (2.0, 20.0, None, None)
    return {name: Figure(ms, "ms", bar) for name, ms, bar in zip(NAMES, [*quick, *slow], bars, strict=True)}


async def _measure_at_scale() -> Figures:
    async with _building(0, 1_000_000) as building:
        during = await building.present_during(building.take_snapshots(3))
    return {SCALE_NAMES[0]: Figure(percentile(during, 99), "ms", None)}


async def _phases(commit_delay: float) -> tuple[float, float]:
    """p50 with nothing else to do, and p99 while snapshots are taken over; milliseconds."""
    async with _building(commit_delay, _SNAPSHOT) as building:
        await building.present_during(asyncio.sleep(1))
        idle = await building.present_during(asyncio.sleep(_IDLE_SECONDS))
        during = await building.present_during(building.take_snapshots(_SNAPSHOTS))
    return percentile(idle, 50), percentile(during, 99)


@dataclass(frozen=True, slots=True)
class _Building:
    controller: Controller
    door: TimedDoor
    alice: Organisation
    cloud: multiprocessing.connection.Connection

    async def take_snapshots(self, count: int) -> None:
        for _ in range(count):
            self.cloud.send("snapshot")
            await asyncio.to_thread(self.cloud.recv)

    async def present_during(self, occupation: Awaitable[None]) -> list[float]:
        """How long each of the attempts took that were made meanwhile, in milliseconds."""
        occupied = asyncio.ensure_future(occupation)
        times = []
        while not occupied.done():
            text = self.alice.invite(time.time())
            began = time.perf_counter()
            answer = await self.controller.present(FRONT, Direction.ENTRY, qr=text)
            assert answer.decision.granted, answer
            times.append((self.door.released_at - began) * 1e3)
            await asyncio.sleep(_PAUSE)
        await occupied
        return times


@asynccontextmanager
async def _building(commit_delay: float, records: int) -> AsyncIterator[_Building]:
    alice, door = Organisation(), TimedDoor()
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        cloud = multiprocessing.get_context("spawn").Process(target=peer.run, args=(alice.point, records, theirs))
        cloud.start()
        try:
            url = await asyncio.to_thread(ours.recv)
            config = Config(url, 1, 1, "Dora", peer.CLOUD.hex(), "", Path(folder), commit_delay=commit_delay)
            async with running(config, lambda _: door) as edge:
                while FRONT not in edge.controller.doors:
                    await asyncio.sleep(0.01)
                yield _Building(edge.controller, door, alice, ours)
        finally:
            cloud.terminate()
            cloud.join()
