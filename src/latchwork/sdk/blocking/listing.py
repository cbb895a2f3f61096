# Generated from latchwork/sdk/listing.py by `make generate`: change that file, not this one.
"""Lists: a page at a time, or everything by iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from latchwork.wire.api.pages import Page

T = TypeVar("T")


class Listing(Generic[T]):
    """A list of the cloud, not asked for yet.

    page = cloud.page_sites(limit=10).page()  # one Page; go on with cursor=page.next_cursor
    for site in cloud.page_sites(): ...  # every site, page by page
    """

    def __init__(self, ask: Callable[[str | None], Page[T]], cursor: str | None) -> None:
        self._ask = ask
        self._cursor = cursor

    def page(self) -> Page[T]:
        """The page at the cursor."""
        return self._ask(self._cursor)

    def __iter__(self) -> Iterator[T]:
        cursor = self._cursor
        while True:
            page = self._ask(cursor)
            yield from page.items
            if (cursor := page.next_cursor) is None:
                return
