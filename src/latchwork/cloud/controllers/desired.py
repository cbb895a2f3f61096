"""Desired state: what each controller should hold, kept equal to the business rows in the transaction of each change.

`app.py` fills the registry: one function per record kind, which computes the complete records of what was touched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import asyncpg

from latchwork.cloud.controllers import store
from latchwork.cloud.controllers.model import Computed, Desired
from latchwork.cloud.events import store as event_log
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.work import ClosingStep, Connection, Scope, Touched, Work
from latchwork.wire import state

GENERATION: Final = 2
"""Raised when what a record says changes: controllers whose state an older cloud has computed get it anew."""
Compute: TypeAlias = Callable[[Connection, Scope, Touched], Awaitable[tuple[Computed, ...]]]
"""All records of the touched subjects, at whatever controllers; with `Touched.controllers` all records at those."""


def topic(controller: int) -> str:
    """The hint's topic: this controller has news."""
    return f"controller:{controller}"


def give_news(hints: Hints, controllers: Sequence[int]) -> None:
    for controller in controllers:
        hints.give(topic(controller))


def settling(registry: Sequence[Compute], hints: Hints) -> ClosingStep:
    """The closing step that brings the touched controllers' records in line."""

    async def settle(work: Work) -> None:
        if work.touched:
            changed = await bring_in_line(work, registry)
            work.after_commit.append(lambda: give_news(hints, [controller for controller, _ in changed]))

    return settle


async def bring_in_line(work: Work, registry: Sequence[Compute]) -> list[tuple[int, int]]:
    """(controller, records changed) of each controller that changed."""
    touched = work.touched
    changed = await _settle(work, registry, replace(touched, controllers=set()), later=touched.controllers)
    if touched.controllers:
        changed += await _settle(work, registry, Touched(controllers=touched.controllers))
    return changed


async def _settle(
    work: Work, registry: Sequence[Compute], touched: Touched, later: Collection[int] = ()
) -> list[tuple[int, int]]:
    """As `bring_in_line`, without the controllers whose whole state comes `later`.

    One unit of work of an organisation at a time: whoever computes second sees what the first has committed, also where
    the first changed which controllers are concerned (docs/decisions/0005).
    """
    if not touched:
        return []
    await event_log.lock(work.conn, work.scope)
    computed = [part for compute in registry for part in await compute(work.conn, work.scope, touched)]
    if touched.controllers:
        computed = [await _with_all_held(work, part, touched.controllers) for part in computed]
    return await store.put(work.conn, work.scope, computed, touched.controllers or None, later, work.now)


async def _with_all_held(work: Work, part: Computed, controllers: Iterable[int]) -> Computed:
    """Also what the rebuilt controllers hold under keys that nobody wants any more."""
    keys = set(part.keys)
    for controller in controllers:
        keys.update(await store.held_keys(work.conn, work.scope, controller, part.kind))
    return Computed(part.kind, frozenset(keys), part.records)


async def doors(conn: Connection, scope: Scope, touched: Touched) -> tuple[Computed, ...]:
    """Kind `door`: one record per door that has a controller."""
    ids = touched.doors | {int(key) for key in touched.subjects.get("door", ())}
    if not (touched.every_door or touched.controllers or ids):
        return ()
    only = None if touched.every_door or touched.controllers else list(ids)
    rows = await store.door_records(conn, scope, only, list(touched.controllers) or None)
    records = tuple(Desired(row["controller_id"], "door", str(row["id"]), _door_body(row)) for row in rows)
    return (Computed("door", frozenset(map(str, ids)) | {r.key for r in records}, records),)


async def keys(conn: Connection, scope: Scope, touched: Touched) -> tuple[Computed, ...]:
    """Kind `key`: every pass key of the organisation, at every controller."""
    touched_keys = touched.subjects.get("key", set())
    if not (touched_keys or touched.controllers):
        return ()
    rows = await store.key_records(conn, scope, list(touched.controllers) or None)
    records = tuple(
        Desired(
            row["controller_id"],
            "key",
            row["kid"].hex(),
            state.codec.encode(state.KeyRecord(kind="organisation", public_key=row["public_key"])),
        )
        for row in rows
    )
    return (Computed("key", frozenset(touched_keys) | {r.key for r in records}, records),)


def _door_body(row: asyncpg.Record) -> bytes:
    return state.codec.encode(
        state.DoorRecord(
            name=row["name"],
            site=row["site_id"],
            zone=row["zone"],
            entry_reader=row["entry_reader"],
            exit_reader=row["exit_reader"],
            strike_seconds=row["strike_seconds"],
            held_seconds=row["held_seconds"],
            needs_pin=row["needs_pin"],
            degraded=row["degraded"],
            single_use=row["single_use"],
            offline_limit=row["offline_limit"],
            timezone=row["timezone"],
        )
    )
