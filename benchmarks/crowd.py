"""Many people at once: the rows that the application would have left, made inside PostgreSQL.

Users with a name, a card and permissions for neighbouring doors; and what the house's controller should hold of them.
Only the log is left out. `is_as_computed` compares the controller's records with what the application computes.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import asyncpg
import msgspec

from benchmarks.clouds import Ground, House
from latchwork.cloud.app import registry
from latchwork.cloud.controllers import service as controllers
from latchwork.cloud.people import desired
from latchwork.cloud.people import service as people
from latchwork.wire import state
from latchwork.wire.api.people import Access, Interval, ScheduleDraft
from latchwork.wire.state import CardRecord, GrantRecord, PersonRecord

RARE = "Quetzalcoatl"
"""The first name of one person in a crowd."""
TERMS = 20
_SYLLABLES = [consonant + vowel for vowel in "aeiou" for consonant in "bcdfghjklmnprstvwyzx"]
GIVEN = ["".join(pair).title() for pair in itertools.product(_SYLLABLES[::7], _SYLLABLES[::4])]
FAMILY = ["".join(three).title() for three in itertools.product(_SYLLABLES[::3], _SYLLABLES, _SYLLABLES[::20])]


@dataclass(frozen=True, slots=True)
class Crowd:
    """The users of a house, numbered without gaps."""

    house: House
    first: int
    count: int
    each: int

    def door(self, user: int, number: int = 0) -> int:
        """One of a user's doors; number from 0, every second one within a schedule if the crowd has one."""
        doors = self.house.doors
        return doors[(user - self.first + number) % len(doors)]

    def card(self, user: int) -> int:
        return (user - self.first + 1) * 2654435761 % 2**37


async def settle(here: Ground, house: House, count: int, each: int, with_schedule: bool = False) -> Crowd:
    """So many users, each with a card and permissions for so many doors."""
    schedule = await _schedule(here, house) if with_schedule else None
    conn = await asyncpg.connect(here.dsn)
    try:
        await conn.execute("SET session_replication_role = replica")  # what refers to nothing is not looked for
        await conn.execute("SET synchronous_commit = off")
        await conn.execute(_MSGPACK)
        async with conn.transaction():
            crowd = Crowd(house, await _add_users(conn, house, count), count, each)
            await _add_grants(conn, crowd, schedule)
            await _add_records(conn, crowd, schedule)
        await conn.execute("VACUUM ANALYZE")
        await conn.execute("CHECKPOINT")
    finally:
        await conn.close()
    return crowd


async def is_as_computed(here: Ground, house: House) -> bool:
    """Whether the house's controller is to hold exactly what the application computes from all rows."""
    rebuilt = await here.office.run(
        house.organisation,
        lambda work: controllers.rebuild(work, here.office.hints, registry(here.office.seal), house.controller),
    )
    return rebuilt.changed == 0


async def _schedule(here: Ground, house: House) -> int:
    week = [[Interval(0, 1440)]] * 7
    draft = ScheduleDraft("Always", week)
    return (await here.office.run(house.organisation, lambda work: people.add_schedule(work, draft))).id


async def _add_users(conn: asyncpg.Connection[asyncpg.Record], house: House, count: int) -> int:
    """With a card each; the first one's id."""
    now = int(time.time())
    await conn.execute(
        "INSERT INTO terms SELECT $1, n, 'Term ' || n FROM generate_series(1, $2) AS n", house.organisation, TERMS
    )
    await conn.execute(
        "UPDATE organisations SET users = $2, last_term_id = $3 WHERE id = $1", house.organisation, count, TERMS
    )
    await conn.execute(
        """
        INSERT INTO users (organisation_id, name, email, phone, employee_code, home_site_id, roles, admin_of_sites,
            terms, joining_date, probation_period, gender, access, pin_salt, pin_hash, created_at, updated_at)
        SELECT $1, CASE WHEN n = $2 / 3 THEN $8 ELSE ($6::text[])[1 + n * 7919 % cardinality($6::text[])] END || ' '
                || ($7::text[])[1 + n * 104729 % cardinality($7::text[])],
            'user' || n || '@example.org', '+49 30 ' || n, 'E' || n, $3, '{end_user}', '{}', ARRAY[1 + n % $9],
            '', '', '', $4::jsonb, '', '', $5, $5
        FROM generate_series(1::bigint, $2) AS n ORDER BY n
        """,
        house.organisation,
        count,
        house.site,
        msgspec.json.encode(Access()).decode(),
        now,
        GIVEN,
        FAMILY,
        RARE,
        TERMS,
    )
    first: int = await conn.fetchval("SELECT min(id) FROM users WHERE organisation_id = $1", house.organisation)
    await conn.execute(
        """
        INSERT INTO cards (organisation_id, number, user_id, created_at)
        SELECT $1, (id - $2 + 1) * 2654435761 % (1::bigint << 37), id, $3 FROM users
        WHERE organisation_id = $1 ORDER BY id
        """,
        house.organisation,
        first,
        now,
    )
    return first


async def _add_grants(conn: asyncpg.Connection[asyncpg.Record], crowd: Crowd, schedule: int | None) -> None:
    await conn.execute(
        """
        INSERT INTO grants (organisation_id, user_id, access_point_id, schedule_id, created_at)
        SELECT $1, $2 + n, ($5::integer[])[1 + (n + k) % cardinality($5::integer[])],
            CASE WHEN k % 2 = 1 THEN $6::bigint END, $7
        FROM generate_series(0::bigint, $3 - 1) AS n, generate_series(0, $4 - 1) AS k ORDER BY n, k
        """,
        crowd.house.organisation,
        crowd.first,
        crowd.count,
        crowd.each,
        crowd.house.doors,
        schedule,
        int(time.time()),
    )


async def _add_records(conn: asyncpg.Connection[asyncpg.Record], crowd: Crowd, schedule: int | None) -> None:
    """What the controller should hold: one revision further, with persons, cards, grants and their schedule."""
    card, after = state.codec.encode(CardRecord(number=0, user=0)).split(b"\0", 1)
    between = after.removesuffix(b"\0")
    await conn.execute(
        """
        WITH raised AS (
            UPDATE controllers SET revision = revision + 1, mark = '\\x0102030405060708' WHERE id = $1 RETURNING *
        )
        INSERT INTO revision_marks SELECT id, revision, mark, $2 FROM raised
        """,
        crowd.house.controller,
        int(time.time()),
    )
    await conn.execute(
        """
        WITH record (kind, key, body) AS (
            SELECT 'schedule', id::text, $8::bytea FROM schedules WHERE organisation_id = $1 AND id = $2
            UNION ALL SELECT 'person', id::text, $3::bytea FROM users WHERE organisation_id = $1
            UNION ALL SELECT 'card', id::text, $4::bytea || pg_temp.msgpack(number) || $5::bytea
                || pg_temp.msgpack(user_id) FROM cards WHERE organisation_id = $1
            UNION ALL SELECT 'grant', user_id || '.' || access_point_id,
                CASE WHEN schedule_id IS NULL THEN $6::bytea ELSE $7::bytea END FROM grants WHERE organisation_id = $1
        )
        INSERT INTO desired_records (organisation_id, controller_id, kind, key, revision, body, since)
        SELECT $1, c.id, r.kind, r.key, c.revision, r.body, c.revision FROM controllers c, record r WHERE c.id = $9
        """,
        crowd.house.organisation,
        schedule,
        state.codec.encode(PersonRecord(ways=desired.ways(Access()))),
        card,
        between,
        state.codec.encode(GrantRecord()),
        state.codec.encode(GrantRecord(schedule=schedule)),
        state.codec.encode(state.ScheduleRecord(week=(((0, 1440),),) * 7)),
        crowd.house.controller,
    )


_MSGPACK = """
CREATE OR REPLACE FUNCTION pg_temp.msgpack(n bigint) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE
        WHEN n < 128 THEN substring(int8send(n) FROM 8)
        WHEN n < 256 THEN '\\xcc'::bytea || substring(int8send(n) FROM 8)
        WHEN n < 65536 THEN '\\xcd'::bytea || substring(int8send(n) FROM 7)
        WHEN n < 4294967296 THEN '\\xce'::bytea || substring(int8send(n) FROM 5)
        ELSE '\\xcf'::bytea || int8send(n)
    END
$$
"""
"""A whole number as msgpack has it, in its shortest form."""
