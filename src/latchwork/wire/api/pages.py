"""Lists: `?limit=&cursor=` in, a page out. A cursor is opaque and stays valid while rows arrive."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

DEFAULT_LIMIT = 100
MAX_LIMIT = 200


class Page(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """Some of a list, in stable order; `next_cursor` null: there is no more."""

    items: list[T]
    next_cursor: str | None = None
