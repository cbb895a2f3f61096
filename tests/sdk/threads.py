"""The client without await as asyncio's is called, each call in a thread: so that both keep the same promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx2

from latchwork.sdk import blocking

_END = object()
_threads = ThreadPoolExecutor(40, "client")
"""Threads of the clients' own: the cloud, in the same process, has its work done in those of the event loop."""


async def in_thread(function: Callable[..., Any], *given: Any, **options: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(function, *given, **options))


class Bridge(httpx2.BaseTransport):
    """An asyncio line, for threads."""

    def __init__(self, line: httpx2.AsyncBaseTransport) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return asyncio.run_coroutine_threadsafe(self._pass(request), self._loop).result()

    async def _pass(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._line.handle_async_request(request)
        content = await response.aread()
        headers = {name: value for name, value in response.headers.items() if name != "content-encoding"}
        return httpx2.Response(response.status_code, headers=headers, content=content)


class InThread:
    """A client without await."""

    def __init__(self, client: blocking.Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name == "follow":
            return lambda *given: _iterated(method(*given))
        if name.startswith("page_") and name != "page_events":
            return lambda *given, **options: _Listing(method(*given, **options))
        return partial(in_thread, method)

    def __repr__(self) -> str:
        return repr(self._client)

    async def __aenter__(self) -> InThread:
        self._client.__enter__()
        return self

    async def __aexit__(self, *how: Any) -> None:
        self._client.__exit__(*how)


class _Listing:
    def __init__(self, listing: blocking.Listing[Any]) -> None:
        self._listing = listing

    def __await__(self) -> Generator[Any, Any, Any]:
        return in_thread(self._listing.page).__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return _iterated(iter(self._listing))


async def _iterated(items: Iterator[Any]) -> AsyncIterator[Any]:
    while (item := await in_thread(next, items, _END)) is not _END:
        yield item
