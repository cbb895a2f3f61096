"""Cursor lists: `?limit=&cursor=`. A cursor holds the last id that was seen and says nothing to its bearer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from litestar.params import QueryParameter

from latchwork.cloud.kernel.ids import MOST
from latchwork.wire import p256
from latchwork.wire.api.pages import MAX_LIMIT, Page
from latchwork.wire.api.problems import FieldError, Invalid

T = TypeVar("T")

Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT, description="How many at most.")]
Filter = Annotated[int | None, QueryParameter(ge=0, le=MOST, description="Only what belongs to the one with this id.")]
Cursor = Annotated[str | None, QueryParameter(description="`nextCursor` of the page before.")]


async def paged(limit: int, cursor: str | None, query: Callable[[int, int], Awaitable[list[T]]]) -> Page[T]:
    """A page of records with an `id`: `query(after, n)` answers n of them above `after`, by ascending id."""
    return await paged_by(limit, cursor, query, _id_of)


async def paged_by(
    limit: int, cursor: str | None, query: Callable[[int, int], Awaitable[list[T]]], id_of: Callable[[T], int]
) -> Page[T]:
    """As `paged`, for records that are ordered by another number."""
    found = await query(_after(cursor), limit + 1)
    items = found[:limit]
    return Page(items, _cursor(id_of(items[-1])) if len(found) > limit else None)


async def paged_in_time(
    limit: int,
    cursor: str | None,
    query: Callable[[tuple[int, int] | None, int], Awaitable[list[T]]],
    place_of: Callable[[T], tuple[int, int]],
) -> Page[T]:
    """A page of records in the order of an instant and an id: `query(place, n)` answers n of them beyond a place."""
    found = await query(None if cursor is None else _place(cursor), limit + 1)
    items = found[:limit]
    return Page(items, p256.b64url(b"at:%d:%d" % place_of(items[-1])) if len(found) > limit else None)


def _place(cursor: str) -> tuple[int, int]:
    """The place in a cursor of `paged_in_time`; raises Invalid for another."""
    try:
        kind, at, id = p256.from_b64url(cursor).decode().split(":")
        place = int(at), int(id)
    except ValueError:
        kind, place = "", (0, 0)
    if kind != "at" or not all(0 <= number <= MOST for number in place):
        raise _foreign_cursor()
    return place


def _foreign_cursor() -> Invalid:
    return Invalid(errors=[FieldError("cursor", "This is not a cursor of this list.")])


def _id_of(record: Any) -> int:
    id: int = record.id
    return id


def _cursor(id: int) -> str:
    return p256.b64url(b"id:%d" % id)


def _after(cursor: str | None) -> int:
    """The id in a cursor; raises Invalid for a cursor that we did not make."""
    if cursor is None:
        return 0
    try:
        kind, _, number = p256.from_b64url(cursor).decode().partition(":")
        after = int(number)
    except ValueError:
        kind, after = "", 0
    if kind != "id" or not 0 <= after <= MOST:
        raise _foreign_cursor()
    return after
