"""The unit of work: one request, one transaction; what must happen together happens here or not at all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import asyncpg

from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import Unavailable

T = TypeVar("T")
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

SYSTEM = Actor("system", "", "Latchwork")
_TRIES = 8


class Retry(Exception):
    """Somebody else was quicker; the whole unit of work starts anew."""


_LOST_RACES = (
    Retry,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ForeignKeyViolationError,  # those that a store foresees it turns into facts; others are somebody's deletion
)


@dataclass(frozen=True, slots=True)
class Reach:
    """A part of an organisation: sites with their doors and the people at home there, and who reports to somebody."""

    sites: frozenset[int] = frozenset()
    chief: int | None = None

    def __bool__(self) -> bool:
        return bool(self.sites) or self.chief is not None


Powers: TypeAlias = Mapping[str, Reach | None]
"""What a user may do, and where: the reach of each scope string; None: the whole organisation."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a statement may see."""

    organisation: int
    reach: Reach | None = None
    """Only these of the organisation's rows; None: all. Honoured by what endpoints with `within=True` call."""

    @property
    def whole(self) -> Scope:
        """The same organisation without limits."""
        return self if self.reach is None else Scope(self.organisation)

    @property
    def sites(self) -> list[int] | None:
        """The sites within reach, for SQL: ascending; None: all."""
        return None if self.reach is None else sorted(self.reach.sites)

    @property
    def chief(self) -> int | None:
        return None if self.reach is None else self.reach.chief


@dataclass(frozen=True, slots=True)
class EventDraft:
    """A fact to be numbered and stored when the unit of work ends. The JSON fields are encoded already."""

    type: str
    subject: str
    at: float
    data: bytes = b"{}"
    before: bytes | None = None
    after: bytes | None = None
    actor: Actor | None = None
    """Who did it; None: whoever the unit of work is done for."""


@dataclass(slots=True)
class Touched:
    """What a unit of work changed that controllers may have to know."""

    doors: set[int] = field(default_factory=set)
    subjects: dict[str, set[str]] = field(default_factory=dict)
    """Record keys by kind."""
    controllers: set[int] = field(default_factory=set)
    """Controllers whose whole state is computed anew."""
    every_door: bool = False

    def __bool__(self) -> bool:
        return bool(self.doors or self.subjects or self.controllers or self.every_door)


@dataclass(slots=True)
class Work:
    """What one use case does: its connection, its tenant, its instant, and what it leaves to the closing steps."""

    conn: Connection
    scope: Scope
    actor: Actor
    now: int
    powers: Powers | None = None
    """What the user may for whom this is done; None: it is no user."""
    touched: Touched = field(default_factory=Touched)
    events: list[EventDraft] = field(default_factory=list)
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def touch(self, kind: str, *keys: object) -> None:
        """These records may have changed."""
        self.touched.subjects.setdefault(kind, set()).update(map(str, keys))

    def forget(self) -> None:
        """Nothing has happened after all: what was changed has been rolled back."""
        self.touched = Touched()
        self.events.clear()

    def touch_doors(self, *doors: int) -> None:
        """Whatever concerns these doors may have changed."""
        self.touched.doors.update(doors)


UseCase: TypeAlias = Callable[[Work], Awaitable[T]]
ClosingStep: TypeAlias = Callable[[Work], Awaitable[None]]


class Database:
    """Runs units of work on a pool, and the closing steps of `app.py` (settle the desired state, number the events)."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], closing: Sequence[ClosingStep]) -> None:
        self.pool = pool
        self._closing = tuple(closing)

    async def run(self, scope: Scope, actor: Actor, now: int, use_case: UseCase[T], powers: Powers | None = None) -> T:
        """The use case's answer, committed; a deadlock or a lost race starts it anew. Raises Unavailable after that."""
        for attempt in range(_TRIES):
            try:
                return await self._once(scope, actor, now, use_case, powers)
            except _LOST_RACES:
                await asyncio.sleep(random.uniform(0, 0.01) * 2**attempt)  # noqa: S311 - spreads contenders, no secret
        raise Unavailable("Too many changes at once; please try again.")

    async def _once(self, scope: Scope, actor: Actor, now: int, use_case: UseCase[T], powers: Powers | None) -> T:
        async with self.transaction() as conn:
            work = Work(conn, scope, actor, now, powers)
            result = await use_case(work)
            work.scope = scope.whole  # what follows from a change does not end at its author's reach
            for step in self._closing:
                await step(work)
        for hint in work.after_commit:
            hint()
        return result

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection inside BEGIN … COMMIT; ROLLBACK on any exception."""
        async with self.connection() as conn:
            await conn.execute("BEGIN")
            try:
                yield conn
                await conn.execute("COMMIT")
            except BaseException:
                if conn.is_in_transaction():
                    await conn.execute("ROLLBACK")
                raise

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for single statements; raises Unavailable when none is free within 5 s."""
        try:
            async with asyncio.timeout(5):  # given to `acquire` it would count anew, and again for `release`
                conn = await self.pool.acquire()
        except TimeoutError:
            raise Unavailable from None
        try:
            yield conn
        finally:
            await self.pool.release(conn)


async def open_pool(dsn: str, size: int) -> asyncpg.Pool[asyncpg.Record]:
    """A pool whose connections are used inside explicit transactions only, so nothing needs a reset between uses."""

    async def keep(_: Any) -> None:
        return None

    return await asyncpg.create_pool(
        dsn,
        min_size=min(2, size),
        max_size=size,
        reset=keep,
        statement_cache_size=400,
        max_inactive_connection_lifetime=0,
    )
