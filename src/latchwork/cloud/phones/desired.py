"""Kind `phone`: the keys of people's phones, at every controller where their user has a permission."""

from __future__ import annotations

from latchwork.cloud.controllers.model import Computed, Desired
from latchwork.cloud.kernel.work import Connection, Scope, Touched
from latchwork.cloud.phones import store
from latchwork.wire import state


async def phones(conn: Connection, scope: Scope, touched: Touched) -> tuple[Computed, ...]:
    """Two records per phone."""
    kids = set(touched.subjects.get("phone", ()))
    users = {int(key) for key in touched.subjects.get("person", ())}
    users |= {int(key.partition(".")[0]) for key in touched.subjects.get("grant", ())}
    if touched.doors:
        users.update(await store.owners_at(conn, scope, touched.doors))
    only = touched.controllers or None
    if not (kids or users or only):
        return ()
    rows = await store.phone_records(conn, scope, None if only else users, kids, only)
    records = tuple(
        Desired(
            row["controller_id"],
            "phone",
            row["kid"],
            state.codec.encode(state.PhoneRecord(row["user_id"], row["purpose"], row["public_key"])),
        )
        for row in rows
        if row["controller_id"] is not None
    )
    return (Computed("phone", frozenset(kids) | {row["kid"] for row in rows}, records),)
