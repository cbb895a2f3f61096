"""How the lists of people grow: a million users with five million permissions, beside a thousand with five thousand.

Both are organisations of one database (`crowd`), asked over HTTP on one kept-alive connection, in turns.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from benchmarks import crowd
from benchmarks.clouds import ground
from benchmarks.connections import Connection, connected
from benchmarks.crowd import Crowd
from benchmarks.figures import Figure, Figures
from latchwork.wire import p256

NAMES = ("list_growth", "search_ms", "saams_first_page_ms", "saams_filtered_page_ms")

_SMALL, _LARGE, _EACH, _DOORS = 1_000, 1_000_000, 5, 10
_WARM_UP, _TIMES = 10, 100
"""More than the five executions after which PostgreSQL may settle on one plan for all values."""
_SEARCHES = (
    "k",
    "ka",
    crowd.GIVEN[100],
    crowd.FAMILY[5_000],
    f"{crowd.GIVEN[200]} {crowd.FAMILY[100][:4]}",
    crowd.RARE,
)
"""From beginnings that one in ten has to the one of a single person, and two together that nobody has."""
_FILTERS: tuple[dict[str, Any], ...] = (
    {"s": {"name": "kawo va"}},
    {"terms": [3]},
    {"sites": [1]},
)

Ask = Callable[[], Awaitable[Any]]


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


async def _measure() -> Figures:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(ground())
        small = await crowd.settle(here, await here.found("Small", _DOORS), _SMALL, _EACH)
        assert await crowd.is_as_computed(here, small.house)
        large = await crowd.settle(here, await here.found("Large", _DOORS), _LARGE, _EACH)
        cloud = stack.enter_context(here.serving())
        [to_small] = await stack.enter_async_context(connected(cloud.url, small.house.token, 1))
        [to_large] = await stack.enter_async_context(connected(cloud.url, large.house.token, 1))
        return {
            NAMES[0]: Figure(await _growth(_Lists(to_small, small), _Lists(to_large, large)), "×", 2),
            NAMES[1]: Figure(await _slowest([_search(to_large, text) for text in _SEARCHES]), "ms", 50),
            NAMES[2]: Figure(await _slowest([_saams(to_large, large, {})]), "ms", 50),
            NAMES[3]: Figure(await _slowest([_saams(to_large, large, one) for one in _FILTERS]), "ms", None),
        }


class _Lists:
    """Requests for the first, a middle and a late page of each list: full ones, in every organisation."""

    def __init__(self, to: Connection, crowd: Crowd) -> None:
        late, door = crowd.first + crowd.count - 300, crowd.house.doors[0]
        middle = crowd.first + crowd.count // 2
        lists = ("/v1/users", f"/v1/access-points/{door}/permissions")
        self.to = to
        self.paths = [
            *(f"{path}{cursor}" for path in lists for cursor in ("", _after(middle), _after(late))),
            *(f"/v1/users/{user}/permissions" for user in (crowd.first, middle, late)),
        ]


def _after(id: int) -> str:
    """The cursor of the page behind this id, as the page before would have named it."""
    return "?cursor=" + p256.b64url(b"id:%d" % id)


async def _growth(small: _Lists, large: _Lists) -> float:
    """The worst of the ratios of the p50s."""
    ratios = []
    for of_small, of_large in zip(small.paths, large.paths, strict=True):
        answers = [await to.send("GET", path) for to, path in ((small.to, of_small), (large.to, of_large))]
        assert len({_length(answer) for answer in answers}) == 1, "the pages compared have as many lines"
        times: tuple[list[float], list[float]] = [], []
        for _ in range(_WARM_UP + _TIMES):
            times[0].append(await _milliseconds(small.to, of_small))
            times[1].append(await _milliseconds(large.to, of_large))
        before, after = (statistics.median(each[_WARM_UP:]) for each in times)
        ratios.append(after / before)
        print(f"  {of_large.partition('?')[0]}: {before:.2f} ms, {after:.2f} ms: {ratios[-1]:.2f}")
    return max(ratios)


def _length(answer: Any) -> int:
    return len(answer["items"] if isinstance(answer, dict) else answer)


async def _milliseconds(to: Connection, path: str) -> float:
    began = time.perf_counter()
    await to.send("GET", path)
    return (time.perf_counter() - began) * 1e3


def _search(to: Connection, text: str) -> Ask:
    return lambda: to.send("GET", f"/v1/users?search={text.replace(' ', '%20')}")


def _saams(to: Connection, crowd: Crowd, filters: dict[str, Any]) -> Ask:
    path = f"/userManagement/integrator/v1/organisations/{crowd.house.organisation}/users"
    body = {"pagination": {"page": 1, "perPage": 100}, "filters": filters}

    async def ask() -> Any:
        answer = await to.send("POST", path, body)
        assert answer["message"]["pagination"]["total"] > 0
        return answer

    return ask


async def _slowest(asks: list[Ask]) -> float:
    """Milliseconds; the greatest of the p50s."""
    medians = []
    for number, ask in enumerate(asks):
        times = []
        for _ in range(_WARM_UP + _TIMES):
            began = time.perf_counter()
            await ask()
            times.append((time.perf_counter() - began) * 1e3)
        medians.append(statistics.median(times[_WARM_UP:]))
        print(f"  {number}: {medians[-1]:.2f} ms")
    return max(medians)
