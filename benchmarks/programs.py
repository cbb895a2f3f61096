"""A controller's program in a process of its own, which says over a pipe when something happened there."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.clouds import Ground
from latchwork.edge import enrol

Pipe: TypeAlias = "multiprocessing.connection.Connection[Any, Any]"

_WITHIN = 10.0


@asynccontextmanager
async def enrolled(here: Ground, url: str, program: Callable[..., None], *more: Any) -> AsyncIterator[Pipe]:
    """The house's controller, which has told its first instant: `program(config, *more, pipe)`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code = await here.enrolment_code(here.house)
        config = await asyncio.to_thread(enrol.enrol, code, url, folder / "edge.toml", folder / "data")
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=program, args=(config, *more, theirs))
        process.start()
        try:
            await instant(ours)
            yield ours
        finally:
            process.terminate()
            process.join()


async def instant(pipe: Pipe) -> float:
    """When the next thing happened (monotonic seconds)."""
    return await asyncio.to_thread(_next, pipe)


def _next(pipe: Pipe) -> float:
    if not pipe.poll(_WITHIN):
        raise RuntimeError("a controller said nothing")
    at: float = pipe.recv()
    return at
