"""Kinds `person`, `card`, `grant`, `schedule`, `holidays`: what controllers must know of people.

A person and their cards are at every controller where they have a grant, and nowhere else: whoever loses their last
grant there is gone from it.
"""

from __future__ import annotations

from collections.abc import Collection

import asyncpg
import msgspec

from latchwork.cloud.controllers.model import Computed, Desired
from latchwork.cloud.kernel.work import Connection, Scope, Touched
from latchwork.cloud.people import store
from latchwork.cloud.people.model import Pair
from latchwork.policy.model import Schedule, Way
from latchwork.wire import state
from latchwork.wire.api.people import Access


async def people(conn: Connection, scope: Scope, touched: Touched) -> tuple[Computed, ...]:
    """Everything of the touched people, doors, schedules and sites."""
    pairs = {_pair(key) for key in touched.subjects.get("grant", ())}
    if touched.doors:
        pairs |= await store.granted_at(conn, scope, touched.doors)
    users = {int(key) for key in touched.subjects.get("person", ())} | {user for user, _ in pairs}
    cards = touched.subjects.get("card", set())
    only = touched.controllers or None
    if not (users or cards or only or touched.doors or touched.subjects.keys() & {"schedule", "holidays"}):
        return ()
    return (
        *await _persons(conn, scope, None if only else users, only, cards, pairs),
        await _schedules(conn, scope, touched, only),
        await _holidays(conn, scope, touched, only),
    )


async def _persons(
    conn: Connection,
    scope: Scope,
    users: Collection[int] | None,
    only: Collection[int] | None,
    cards: Collection[str],
    pairs: Collection[Pair],
) -> tuple[Computed, Computed, Computed]:
    """Persons, their cards and their grants; `cards` and `pairs` may be gone."""
    rows = await store.person_records(conn, scope, users, pairs, only) if users is None or users else []
    here = [row for row in rows if row["controller_id"] is not None]
    persons = tuple(
        Desired(row["controller_id"], "person", str(row["id"]), state.codec.encode(person_of(row))) for row in here
    )
    held = tuple(
        Desired(row["controller_id"], "card", str(id), state.codec.encode(state.CardRecord(number, row["id"])))
        for row in here
        for id, number in row["cards"]
    )
    grants = tuple(
        Desired(row["controller_id"], "grant", f"{row['id']}.{door}", state.codec.encode(state.GrantRecord(*limits)))
        for row in here
        for door, *limits in row["grants"] or ()
    )
    known_cards = frozenset(cards) | {str(id) for row in rows for id, _ in row["cards"]}
    known_grants = frozenset(f"{user}.{door}" for user, door in pairs) | {r.key for r in grants}
    return (
        Computed("person", frozenset(map(str, users or ())) | {r.key for r in persons}, persons),
        Computed("card", known_cards, held),
        Computed("grant", known_grants, grants),
    )


async def _schedules(conn: Connection, scope: Scope, touched: Touched, only: Collection[int] | None) -> Computed:
    schedules = {int(key) for key in touched.subjects.get("schedule", ())}
    if touched.doors:  # a door that is gone does not tell any more which schedules it needed, and they are few
        schedules.update(await store.schedule_ids(conn, scope))
    rows = await store.schedule_records(conn, scope, None if only else schedules, only) if only or schedules else []
    records = tuple(Desired(row["controller_id"], "schedule", str(row["id"]), _schedule(row)) for row in rows)
    return Computed("schedule", frozenset(map(str, schedules)) | {r.key for r in records}, records)


async def _holidays(conn: Connection, scope: Scope, touched: Touched, only: Collection[int] | None) -> Computed:
    sites = {int(key) for key in touched.subjects.get("holidays", ())}
    if touched.doors:  # nor does one that is gone tell its site
        sites.update(await store.sites_with_holidays(conn, scope))
    rows = await store.holiday_records(conn, scope, None if only else sites, only) if only or sites else []
    records = tuple(
        Desired(
            row["controller_id"],
            "holidays",
            str(row["site_id"]),
            state.codec.encode(state.HolidaysRecord(days=tuple(day.toordinal() for day in row["days"]))),
        )
        for row in rows
    )
    return Computed("holidays", frozenset(map(str, sites)) | {r.key for r in records}, records)


def ways(access: Access) -> tuple[str, ...]:
    """The ways in that are on, as the door knows them."""
    switches = (
        (Way.MOBILE, access.mobile),
        (Way.CARD, access.card),
        (Way.REMOTE, access.remote),
        (Way.TAP, access.tap),
    )
    return tuple(way.value for way, is_on in switches if is_on)


def person_of(row: asyncpg.Record) -> state.PersonRecord:
    """What doors know of the person in a row of `users`."""
    access = msgspec.json.decode(row["access"], type=Access)
    return state.PersonRecord(
        is_active=row["is_active"],
        ways=ways(access),
        expires_at=row["access_expires_at"],
        pin_salt=row["pin_salt"],
        pin_hash=row["pin_hash"],
        click_range=access.click_range,
        steers=tuple(sorted(set(row["admin_of_sites"]))) if "site_admin" in row["roles"] else (),
        steers_everywhere="super_admin" in row["roles"],
    )


def _schedule(row: asyncpg.Record) -> bytes:
    stored = weekly(row)
    return state.codec.encode(state.ScheduleRecord(week=stored.week, holiday=stored.holiday))


def weekly(row: asyncpg.Record) -> Schedule:
    """The schedule in a row with `week` and `holiday`."""
    week = msgspec.json.decode(row["week"], type=tuple[tuple[tuple[int, int], ...], ...])
    return Schedule(week, msgspec.json.decode(row["holiday"], type=tuple[tuple[int, int], ...]))


def _pair(key: str) -> Pair:
    user, _, door = key.partition(".")
    return int(user), int(door)
