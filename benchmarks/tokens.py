"""What it costs to check an access token that this process has seen before."""

from __future__ import annotations

import asyncio
import statistics
import time

import uvloop

from benchmarks.clouds import ground
from benchmarks.figures import Figure, Figures
from latchwork.cloud.accounts.tokens import Tokens

NAMES = ("token_check_us",)

_ROUNDS, _TIMES = 41, 2_000


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> Figures:
    async with ground() as here:
        rounds = [await _microseconds(here.tokens, here.house.token) for _ in range(_ROUNDS)]
    return {NAMES[0]: Figure(statistics.median(rounds[1:]), "µs", 5)}


async def _microseconds(tokens: Tokens, token: str) -> float:
    now = time.time()
    began = time.perf_counter()
    for _ in range(_TIMES):
        await tokens.check(token, now)
    return (time.perf_counter() - began) / _TIMES * 1e6
