"""Kind `revocation`: what the controllers of a meeting's old and new doors must refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latchwork.cloud.controllers.model import Computed, Desired
from latchwork.cloud.kernel.work import Connection, Scope, Touched
from latchwork.cloud.visitors import store
from latchwork.wire import facts, state


async def revocations(conn: Connection, scope: Scope, touched: Touched) -> tuple[Computed, ...]:
    keys = touched.subjects.get("revocation", set())
    if touched.controllers:
        rows = await store.revocation_records(conn, scope, None, None, list(touched.controllers))
    elif keys or touched.doors:
        rows = await store.revocation_records(conn, scope, [int(key) for key in keys], list(touched.doors), None)
    else:
        return ()
    records = tuple(
        Desired(
            row["controller_id"],
            "revocation",
            str(row["meeting_id"]),
            state.codec.encode(state.RevocationRecord(refuse_below=row["refuse_below"])),
        )
        for row in rows
        if row["controller_id"] is not None
    )
    return (Computed("revocation", frozenset(keys) | {str(row["meeting_id"]) for row in rows}, records),)


async def describe(conn: Connection, scope: Scope, about: Sequence[facts.AnyFact]) -> list[dict[str, Any]]:
    """The visitor's key and name for each fact that has a visitor."""
    ids = {fact.visitor for fact in about if isinstance(fact, facts.AccessDecided) and fact.visitor is not None}
    names = await store.name_visitors(conn, scope, sorted(id for id in ids if 0 < id < 2**62)) if ids else {}
    return [_named(fact, names) for fact in about]


def _named(fact: facts.AnyFact, names: dict[int, tuple[str, str]]) -> dict[str, Any]:
    if not isinstance(fact, facts.AccessDecided) or fact.visitor not in names:
        return {}
    key, name = names[fact.visitor]
    return {"visitorKey": key, "visitorName": name}
