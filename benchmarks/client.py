"""What a call of the Python client costs over the same request made by plain httpx2, to one cloud, in turns.

Both read the same site over a kept-alive connection. Plain httpx2 has its token and gets the answer's bytes; the client
also looks after its token, reads the record, and would try again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2

from benchmarks.clouds import Ground, ground
from benchmarks.figures import Figure, Figures, ratio
from latchwork.cloud import admin
from latchwork.sdk import blocking
from latchwork.sdk.client import Client, Credentials

_NAME = "sdk_call_overhead"
NAMES = tuple(f"{_NAME}{kind}{what}" for kind in ("", "_blocking") for what in ("", "_cpu"))

_BAR = 1.3
_ROUNDS, _CALLS = 100, 50


def run() -> Figures:
    return asyncio.run(_measure())


async def _measure() -> Figures:
    async with ground() as here:
        who = await _credentials(here)
        with here.serving() as cloud:
            measured = {
                _NAME: await _with_asyncio(here, who, cloud.url),
                f"{_NAME}_blocking": await asyncio.to_thread(_without_await, here, who, cloud.url),
            }
    return {
        f"{name}{what}": Figure(value, "×", _BAR)
        for name, sides in measured.items()
        for what, value in (
            ("", ratio(sides.ours.wall, sides.bare.wall)),
            ("_cpu", ratio(sides.ours.cpu, sides.bare.cpu)),
        )
    }


async def _credentials(here: Ground) -> Credentials:
    """Of a client of the house's that may hurry."""
    made = await admin.add_client(here.office, here.house.organisation, "SDK", [], days=1)
    await admin.set_rate(here.office, here.house.organisation, made.id, 1_000_000, 1_000_000)
    assert made.client_secret is not None
    return Credentials(made.client_id, made.client_secret)


@dataclass(frozen=True, slots=True)
class _Rounds:
    """Of each round: wall-clock seconds, and processor seconds of this process."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def timed(self) -> Callable[[], None]:
        """Begins a round; the answer ends it."""
        wall, cpu = time.perf_counter(), time.process_time()

        def end() -> None:
            self.cpu.append(time.process_time() - cpu)
            self.wall.append(time.perf_counter() - wall)

        return end


@dataclass(frozen=True, slots=True)
class _Sides:
    ours: _Rounds = field(default_factory=_Rounds)
    bare: _Rounds = field(default_factory=_Rounds)


async def _with_asyncio(here: Ground, who: Credentials, url: str) -> _Sides:
    sides, site = _Sides(), here.house.site
    async with (
        Client(url, who.client_id, who.client_secret) as cloud,
        httpx2.AsyncClient(base_url=url, headers=_headers(here)) as http,
    ):
        for _ in range(_ROUNDS + 1):
            end = sides.ours.timed()
            for _ in range(_CALLS):
                await cloud.get_site(site)
            end()
            end = sides.bare.timed()
            for _ in range(_CALLS):
                (await http.get(f"/v1/sites/{site}")).raise_for_status()
            end()
    return _warm(sides)


def _without_await(here: Ground, who: Credentials, url: str) -> _Sides:
    sides, site = _Sides(), here.house.site
    with (
        blocking.Client(url, who.client_id, who.client_secret) as cloud,
        httpx2.Client(base_url=url, headers=_headers(here)) as http,
    ):
        for _ in range(_ROUNDS + 1):
            end = sides.ours.timed()
            for _ in range(_CALLS):
                cloud.get_site(site)
            end()
            end = sides.bare.timed()
            for _ in range(_CALLS):
                http.get(f"/v1/sites/{site}").raise_for_status()
            end()
    return _warm(sides)


def _headers(here: Ground) -> dict[str, str]:
    return {"authorization": f"Bearer {here.house.token}"}


def _warm(sides: _Sides) -> _Sides:
    """Without the first round, in which connections are made and a token is fetched."""
    for rounds in (sides.ours, sides.bare):
        del rounds.wall[0], rounds.cpu[0]
    return sides
