"""A controller's program with nothing else in its process: `python -m benchmarks.controller EDGE_TOML`.

Each line it reads is an order, each line it writes an answer, both JSON. It says first that it has started.

    ["learn"]                   its link, which was down, comes up: when a batch has been applied (monotonic seconds)
    ["show", DOOR, CARD]        shows a card at a reader: when the door was released
    ["decide", [[DOOR, CARD]…]] decides about cards: the seconds that each took, from the card's number to the decision
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from latchwork.edge import config
from latchwork.edge.runner import Edge, running
from latchwork.edge.snapshot import gather_all
from latchwork.policy.decide import decide
from latchwork.policy.model import Attempt, CardRead, Direction
from latchwork.sim.doors import VirtualWiring


async def _run(path: Path) -> None:
    orders = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with running(config.load(path), VirtualWiring()) as edge:
        edge.link.up = False
        _say(time.monotonic())
        while line := await orders.readline():
            _say(await _obey(edge, *msgspec.json.decode(line)))


def _say(answer: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


async def _obey(edge: Edge, verb: str, *values: Any) -> Any:
    match verb:
        case "learn":
            return await _learn(edge)
        case "show":
            return await _show(edge, *values)
        case "decide":
            return _decide(edge, *values)
    raise ValueError(verb)


async def _learn(edge: Edge) -> float:
    store, applied = edge.controller._store, asyncio.get_running_loop().create_future()
    take_over = store.on_applied

    def told() -> None:
        take_over()
        applied.set_result(time.monotonic())
        store.on_applied = take_over

    store.on_applied = told
    edge.link.up = True
    at: float = await applied
    return at


async def _show(edge: Edge, door: int, card: int) -> float:
    answer = await edge.controller.present(door, Direction.ENTRY, card=card)
    assert answer.decision.granted, answer
    return time.monotonic()


def _decide(edge: Edge, shown: list[tuple[int, int]]) -> list[float]:
    attempts, now = edge.controller._attempts, time.time()
    times = []
    for door, card in shown:
        began = time.perf_counter()
        attempt = Attempt(door, Direction.ENTRY, CardRead(card), now)
        gathered = gather_all(attempts._store, attempts._journal, attempts._modes, attempt, now, attempts._slowdown)
        decision = decide(gathered.snapshot, attempt)
        times.append(time.perf_counter() - began)
        assert decision.granted, decision
    return times


if __name__ == "__main__":
    asyncio.run(_run(Path(sys.argv[1])))
