"""A controller that holds 250,000 cards and a million permissions: first sync, start, decisions, memory."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import uvloop

from benchmarks import crowd
from benchmarks.clouds import Ground, ground
from benchmarks.crowd import Crowd
from benchmarks.figures import Figure, Figures, percentile
from latchwork.edge import enrol

NAMES = (
    "card_decide_us_p50",
    "card_decide_us_p99",
    "edge_start_s",
    "edge_resident_mb",
    "first_sync_s",
    "first_sync_cloud_growth_mb",
    "first_sync_edge_growth_mb",
)

_PEOPLE, _EACH, _DOORS = 250_000, 4, 16
_STARTS = 5
_WARM_UP, _CARDS = 1_000, 50_000
_SAMPLE = 0.02
_ORDER_BYTES = 1 << 26


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> Figures:
    with tempfile.TemporaryDirectory() as name:
        async with ground() as here:
            people = await crowd.settle(here, await here.found("Large", _DOORS), _PEOPLE, _EACH, with_schedule=True)
            synced = await _sync(here, people, Path(name))
        started = [await _start(people, Path(name)) for _ in range(_STARTS)]
        times, resident = await _decide(people, Path(name))
    return {
        NAMES[0]: Figure(percentile(times, 50), "µs", 40),
        NAMES[1]: Figure(percentile(times, 99), "µs", 150),
        NAMES[2]: Figure(statistics.median(started), "s", 2),
        NAMES[3]: Figure(resident, "MB", 150),
        **synced,
    }


async def _sync(here: Ground, people: Crowd, folder: Path) -> Figures:
    """Enrols a controller, which then learns everything from a real cloud."""
    with here.serving() as cloud:
        code = await here.enrolment_code(people.house)
        await asyncio.to_thread(enrol.enrol, code, cloud.url, folder / "edge.toml", folder)
        async with _controller(folder) as controller:
            cloud_growth, edge_growth = _Growth(cloud.pid), _Growth(controller.pid)
            began = time.monotonic()
            learnt = asyncio.ensure_future(controller.ask("learn"))
            while not learnt.done():
                cloud_growth.look()
                edge_growth.look()
                await asyncio.sleep(_SAMPLE)
            took = learnt.result() - began
    return {
        NAMES[4]: Figure(took, "s", 20),
        NAMES[5]: Figure(cloud_growth.megabytes, "MB", None),
        NAMES[6]: Figure(edge_growth.megabytes, "MB", None),
    }


class _Growth:
    """How much more memory a process has had resident since this was made."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before = self._most = self._process.memory_info().rss

    def look(self) -> None:
        self._most = max(self._most, self._process.memory_info().rss)

    @property
    def megabytes(self) -> float:
        return (self._most - self._before) / 1e6


async def _start(people: Crowd, folder: Path) -> float:
    """Seconds from the start of the interpreter to the first door released; no cloud is there, no file in memory."""
    for file in folder.glob("*/*.db*"):
        _forget(file)
    user = people.first + people.count // 2
    began = time.monotonic()
    async with _controller(folder) as controller:
        released: float = await controller.ask("show", people.door(user), people.card(user))
    return released - began


def _forget(file: Path) -> None:
    """Lets the system read it from the disk again."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


async def _decide(people: Crowd, folder: Path) -> tuple[list[float], float]:
    """Microseconds of each decision about a card at one of its holder's doors, and the megabytes resident after all."""
    users = random.Random(1).choices(range(people.first, people.first + people.count), k=_WARM_UP + _CARDS)
    shown = [(people.door(user, number % _EACH), people.card(user)) for number, user in enumerate(users)]
    async with _controller(folder) as controller:
        await controller.ask("show", *shown[0])
        times: list[float] = await controller.ask("decide", shown)
        resident = psutil.Process(controller.pid).memory_info().rss / 1e6
    return [seconds * 1e6 for seconds in times[_WARM_UP:]], resident


@dataclass(frozen=True, slots=True)
class _Controller:
    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ask(self, *order: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        return await self.answer()

    async def answer(self) -> Any:
        assert self.process.stdout is not None
        return msgspec.json.decode(await self.process.stdout.readline())


@asynccontextmanager
async def _controller(folder: Path) -> AsyncIterator[_Controller]:
    """The enrolled controller in a process of its own, started."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.controller",
        str(folder / "edge.toml"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_ORDER_BYTES,
    )
    controller = _Controller(process)
    try:
        await controller.answer()
        yield controller
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
