"""The client without await: fresh, the same to look at, and safe to share between threads over a real network."""

from __future__ import annotations

import asyncio
import inspect
import runpy
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.sdk.lines import Recorder
from tests.sdk.threads import Bridge, in_thread
from tests.sdk.town import CLOUD, Town
from tests.web.stage import served

from latchwork.sdk import blocking, client
from latchwork.sdk.blocking.exchange import Exchange
from latchwork.sdk.blocking.tokens import Tokens
from latchwork.wire.api import problems
from latchwork.wire.api.sites import SiteDraft

ROOT = Path(__file__).parents[2]


def test_what_is_generated_is_fresh() -> None:
    generator = runpy.run_path(str(ROOT / "tools" / "blocking.py"))
    stale = [name for name, text in generator["modules"]().items() if (generator["FOLDER"] / name).read_text() != text]
    assert not stale, f"run make generate: {stale}"


def test_both_clients_offer_the_same() -> None:
    assert _offered(blocking.Client) == _offered(client.Client)
    for shared in ("Credentials", "CloudUnreachable", "UnexpectedAnswer"):
        assert getattr(blocking, shared) is getattr(client, shared)


def _offered(kind: type) -> dict[str, list[str]]:
    """Each public method with its parameters, in the words of the client without await."""
    methods = {name: f for name, f in inspect.getmembers(kind, callable) if name == "__init__" or name[0] != "_"}
    return {
        name.replace("aclose", "close"): [
            str(each).replace("AsyncBase", "Base") for each in inspect.signature(f).parameters.values()
        ]
        for name, f in methods.items()
    }


async def test_a_program_without_asyncio_does_its_work(town: Town) -> None:
    async with served(town.app) as url:
        names = await in_thread(_work, url, town)
    assert names == [f"Site {number}" for number in range(5)]


def _work(url: str, town: Town) -> list[str]:
    with blocking.Client(url, town.alice.client_id, town.alice.client_secret) as cloud:
        made = [cloud.add_site(SiteDraft(f"Site {number}")) for number in range(5)]
        page = cloud.page_sites(limit=2).page()
        assert page.items == made[:2]
        assert list(cloud.page_sites(limit=2, cursor=page.next_cursor)) == made[2:]
        assert next(cloud.follow(0)).number == 1
        with pytest.raises(problems.NotFound):
            cloud.get_site(77)
        return [site.name for site in cloud.page_sites(limit=2)]


async def test_threads_share_connections_and_one_token(town: Town) -> None:
    asked: list[str] = []

    async def heard(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await town.app(scope, receive, send)

    async with served(heard) as url:
        who = await in_thread(_at_once, url, town)
    assert who == [town.alices_id] * 8
    assert (asked.count("/oauth2/token"), asked.count("/v1/whoami")) == (1, 8)


def _at_once(url: str, town: Town) -> list[int]:
    start = threading.Barrier(8)

    def call(_: int) -> int:
        start.wait()
        return cloud.whoami().organisation_id

    with (
        blocking.Client(url, town.alice.client_id, town.alice.client_secret) as cloud,
        ThreadPoolExecutor(8) as threads,
    ):
        return list(threads.map(call, range(8)))


async def test_threads_that_wait_for_a_token_share_the_refusal(town: Town) -> None:
    gate, asked = asyncio.Event(), []

    class Slow(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            asked.append(request)
            await gate.wait()
            return httpx2.Response(401, json={"error": "invalid_client"})

    tokens = Tokens(Exchange(CLOUD, Bridge(Slow()), 5, 1), town.alice)
    waiting = [asyncio.create_task(in_thread(tokens.bearer)) for _ in range(4)]
    await asyncio.sleep(0.2)  # all of them wait by now
    gate.set()
    refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in refused] == [problems.Unauthorized] * 4
    assert len(asked) == 1


async def test_a_token_is_replaced_shortly_before_its_end(town: Town) -> None:
    line, now = Recorder(town.line()), [1000.0]
    tokens = Tokens(Exchange(CLOUD, Bridge(line), 5, 1), town.alice, clock=lambda: now[0])
    first = await in_thread(tokens.bearer)
    now[0] += 86_400 - 31
    assert await in_thread(tokens.bearer) == first
    now[0] += 2
    await in_thread(tokens.bearer)
    assert len(line.calls("/oauth2/token")) == 2
