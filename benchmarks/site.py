"""The website as a browser meets it: how long pages take, what a first visit weighs, how soon an entry is on the page.

Pages are asked for over HTTP by somebody who is logged in, on one kept-alive connection, packed. The door is a program
like a real one, in a process of its own; the browser is a reader of the feed that the first page reads.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import uvloop

from benchmarks import crowd
from benchmarks.clouds import Ground, House, ground
from benchmarks.connections import connected
from benchmarks.figures import Figure, Figures, percentile
from benchmarks.programs import Pipe, enrolled, instant
from latchwork.edge.config import Config
from latchwork.edge.runner import running
from latchwork.policy.model import Direction
from latchwork.sim.doors import VirtualWiring

NAMES = ("live_event_ms_p50", "live_event_ms_p99", "page_ms_now", "first_visit_kb")
SCALE_NAMES = ("page_ms_people", "page_ms_person")

_EMAIL, _PASSWORD = "ada@example.org", "correct horse battery"
_CARD = 4711
_WARM_UP, _ENTRIES, _PAGES = 20, 300, 100
_PAUSE = 0.02
_WITHIN = 10.0
_USERS, _EACH, _DOORS = 1_000_000, 5, 10


def run() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure())


def run_at_scale() -> Figures:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure_at_scale())


async def _measure() -> Figures:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(ground())
        cloud = stack.enter_context(here.serving())
        await _employ(cloud.url, here.house)
        async with _logged_in(cloud.url) as http:
            delays = await _entries(here, cloud.url, http)
            now = await _page(http, "/")
        return {
            NAMES[0]: Figure(percentile(delays, 50), "ms", 40),
            NAMES[1]: Figure(percentile(delays, 99), "ms", 150),
            NAMES[2]: Figure(now, "ms", 50),
            NAMES[3]: Figure(await _first_visit(cloud.url) / 1e3, "kB", 60),
        }


async def _measure_at_scale() -> Figures:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(ground())
        large = await crowd.settle(here, await here.found("Large", _DOORS), _USERS, _EACH)
        cloud = stack.enter_context(here.serving())
        await _employ(cloud.url, large.house)
        http = await stack.enter_async_context(_logged_in(cloud.url))
        return {
            SCALE_NAMES[0]: Figure(await _page(http, "/people"), "ms", 50),
            SCALE_NAMES[1]: Figure(await _page(http, f"/people/{large.first + large.count // 2}"), "ms", 50),
        }


# ------------------------------------------------------------------------------------------------- pages


async def _employ(url: str, house: House) -> None:
    """Ada: she runs the house, and has a card for its first door."""
    ada = {"name": "Ada", "email": _EMAIL, "roles": ["super_admin"], "accessPoints": house.doors[:1]}
    async with connected(url, house.token, 1) as [to]:
        id = (await to.send("POST", "/v1/users", ada))["id"]
        await to.send("POST", f"/v1/users/{id}/cards", {"number": _CARD})
        invitation = await to.send("POST", f"/v1/users/{id}/invitation")
        token = invitation["url"].rpartition("/")[2]
        await to.send("POST", "/v1/account/password-by-link", {"token": token, "password": _PASSWORD})


@asynccontextmanager
async def _logged_in(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url, timeout=_WITHIN) as http:
        await _log_in(http)
        yield http


async def _log_in(http: httpx2.AsyncClient) -> httpx2.Response:
    answer = await http.post("/log-in", data={"email": _EMAIL, "password": _PASSWORD})
    assert answer.status_code == 303, answer.text
    return answer


async def _page(http: httpx2.AsyncClient, path: str) -> float:
    """Milliseconds, p50."""
    times = []
    for _ in range(_WARM_UP + _PAGES):
        began = time.perf_counter()
        answer = await http.get(path)
        times.append((time.perf_counter() - began) * 1e3)
        assert answer.status_code == 200, answer.text
    return percentile(times[_WARM_UP:], 50)


async def _first_visit(url: str) -> int:
    """Bytes, heads and bodies: the log-in page, the first page of a lived-in house, and each file named."""
    async with httpx2.AsyncClient(base_url=url, timeout=_WITHIN) as http:
        answers = [await http.get("/log-in"), await _log_in(http), await http.get("/")]
        files = {name for page in answers for name in re.findall(r'="(/static/[^"]+)"', page.text)}
        answers += [await http.get(name) for name in sorted(files)]
    assert len(files) >= 4
    return sum(_weight(answer) for answer in answers)


def _weight(answer: httpx2.Response) -> int:
    return answer.num_bytes_downloaded + sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)


# ------------------------------------------------------------------------------------------------- entries


async def _entries(here: Ground, url: str, http: httpx2.AsyncClient) -> list[float]:
    """Milliseconds from a card held before the reader until the feed has its line."""
    async with enrolled(here, url, _run_door, here.house) as door, http.stream("GET", "/live") as feed:
        lines = feed.aiter_lines()
        delays = []
        for _ in range(_WARM_UP + _ENTRIES):
            await asyncio.sleep(_PAUSE)
            door.send(_CARD)
            async with asyncio.timeout(_WITHIN):
                while not (await anext(lines)).startswith("data:"):
                    pass
                arrived = time.monotonic()
                while await anext(lines):
                    pass
            delays.append((arrived - await instant(door)) * 1e3)
    return delays[_WARM_UP:]


def _run_door(config: Config, house: House, cards: Pipe) -> None:
    asyncio.run(_open_to(config, house.doors[0], cards))


async def _open_to(config: Config, door: int, cards: Pipe) -> None:
    async with running(config, VirtualWiring()) as edge:
        while door not in edge.controller.doors:
            await asyncio.sleep(0.05)
        cards.send(time.monotonic())
        while True:
            card = await asyncio.to_thread(cards.recv)
            began = time.monotonic()
            answer = await edge.controller.present(door, Direction.ENTRY, card=card)
            assert answer.decision.granted, answer
            cards.send(began)
