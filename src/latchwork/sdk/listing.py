"""Lists: a page at a time, or everything by iteration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from latchwork.wire.api.pages import Page

T = TypeVar("T")


class Listing(Generic[T]):
    """A list of the cloud, not asked for yet.

    page = await cloud.page_sites(limit=10).page()  # one Page; go on with cursor=page.next_cursor
    async for site in cloud.page_sites(): ...  # every site, page by page
    """

    def __init__(self, ask: Callable[[str | None], Awaitable[Page[T]]], cursor: str | None) -> None:
        self._ask = ask
        self._cursor = cursor

    async def page(self) -> Page[T]:
        """The page at the cursor."""
        return await self._ask(self._cursor)

    def __await__(self) -> Generator[Any, Any, Page[T]]:
        """`await listing` is short for `await listing.page()`."""
        return self.page().__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        cursor = self._cursor
        while True:
            page = await self._ask(cursor)
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return
