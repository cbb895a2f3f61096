"""All SQL of visitors, meetings and their revocations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
from msgspec import UNSET

from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.cloud.visitors.model import House, Listed, Revocation, Visit
from latchwork.cloud.visitors.rules import SLACK
from latchwork.wire.api.problems import Conflict, NotFound
from latchwork.wire.api.visitors import (
    Meeting,
    MeetingDoor,
    MeetingVisitor,
    Visitor,
    VisitorDraft,
    VisitPlace,
)

# ------------------------------------------------------------------------------------------------- the house


_HOUSE = """o.visitor_module, o.pass_seconds AS house_pass_seconds, o.passes_shortened_at, o.meeting_max_days,
    k.kid, k.sealed_private_key"""
_ACTIVE_KEY = "JOIN pass_keys k ON k.organisation_id = o.id AND k.state = 'active'"


async def get_house(conn: Connection, scope: Scope, doors: Collection[int] = ()) -> House:
    row = await conn.fetchrow(
        f"""
        SELECT {_HOUSE},
            ARRAY(SELECT a.id FROM access_points a WHERE a.organisation_id = $1 AND a.id = ANY($2)
                AND ($3::integer[] IS NULL OR a.site_id = ANY($3))) AS doors
        FROM organisations o {_ACTIVE_KEY} WHERE o.id = $1
        """,  # noqa: S608 - constants
        scope.organisation,
        [door for door in doors if 0 < door < 2**31],
        scope.sites,
    )
    if row is None:
        raise NotFound
    return _house(row, row["doors"])


def _house(row: asyncpg.Record, doors: Collection[int] = ()) -> House:
    return House(
        visitor_module=row["visitor_module"],
        pass_seconds=row["house_pass_seconds"],
        passes_shortened_at=row["passes_shortened_at"],
        meeting_max_days=row["meeting_max_days"],
        kid=row["kid"],
        sealed_private_key=row["sealed_private_key"],
        doors=frozenset(doors),
    )


# ------------------------------------------------------------------------------------------------- reach


def _meeting_within(parameter: int) -> str:
    """Meeting `m` is within reach of the sites in a parameter: all of its doors are theirs."""
    return f"(${parameter}::integer[] IS NULL OR {_all_doors_at(parameter)})"


def _visitor_within(parameter: int) -> str:
    """Visitor `v` is within reach of the sites in a parameter: a meeting is, or there is none at any door."""
    return f"""(${parameter}::integer[] IS NULL OR coalesce((
        SELECT bool_or({_all_doors_at(parameter)}) FROM meetings m
        WHERE m.organisation_id = v.organisation_id AND m.visitor_id = v.id), true))"""  # noqa: S608 - our own


def _all_doors_at(parameter: int) -> str:
    """NULL for a meeting without doors."""
    return f"""(SELECT bool_and(a.site_id = ANY(${parameter})) FROM meeting_doors d
        JOIN access_points a ON a.organisation_id = d.organisation_id AND a.id = d.access_point_id
        WHERE d.organisation_id = m.organisation_id AND d.meeting_id = m.id)"""  # noqa: S608 - our own


# ------------------------------------------------------------------------------------------------- visitors


async def add_visitor(conn: Connection, scope: Scope, draft: VisitorDraft, now: int) -> Visitor | None:
    """None when the key is taken."""
    row = await conn.fetchrow(
        """
        INSERT INTO visitors (organisation_id, key, name, email, phone, company, host, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) ON CONFLICT DO NOTHING RETURNING *
        """,
        scope.organisation,
        draft.key,
        draft.name,
        draft.email,
        draft.phone,
        draft.company,
        draft.host,
        now,
    )
    return _visitor(row) if row else None


async def get_visitor(conn: Connection, scope: Scope, id: int) -> Visitor:
    row = await conn.fetchrow(
        f"SELECT * FROM visitors v WHERE v.organisation_id = $1 AND v.id = $2 AND {_visitor_within(3)}",  # noqa: S608
        scope.organisation,
        id,
        scope.sites,
    )
    return _visitor(row)


async def lock_visitor(conn: Connection, scope: Scope, id: int) -> Visitor:
    row = await conn.fetchrow(
        f"SELECT * FROM visitors v WHERE v.organisation_id = $1 AND v.id = $2 AND {_visitor_within(3)} FOR UPDATE",  # noqa: S608
        scope.organisation,
        id,
        scope.sites,
    )
    return _visitor(row)


async def is_expected_elsewhere(conn: Connection, scope: Scope, id: int, now: int) -> bool:
    """Whether a visit of theirs that is not over is out of reach."""
    found: bool = await conn.fetchval(
        f"""
        SELECT EXISTS (SELECT 1 FROM meetings m WHERE m.organisation_id = $1 AND m.visitor_id = $2
            AND m.end_time > $4 AND NOT coalesce({_meeting_within(3)}, true))
        """,  # noqa: S608 - constants
        scope.organisation,
        id,
        scope.sites,
        now,
    )
    return found


async def find_visitor(conn: Connection, scope: Scope, key: str) -> Visitor | None:
    row = await conn.fetchrow("SELECT * FROM visitors WHERE organisation_id = $1 AND key = $2", scope.organisation, key)
    return _visitor(row) if row else None


async def page_visitors(conn: Connection, scope: Scope, key: str | None, after: int, limit: int) -> list[Visitor]:
    rows = await conn.fetch(
        f"""
        SELECT * FROM visitors v WHERE v.organisation_id = $1 AND v.id > $2 AND ($3::text IS NULL OR v.key = $3)
            AND {_visitor_within(5)}
        ORDER BY v.id LIMIT $4
        """,  # noqa: S608 - constants
        scope.organisation,
        after,
        key,
        limit,
        scope.sites,
    )
    return [_visitor(row) for row in rows]


async def change_visitor(conn: Connection, scope: Scope, visitor: Visitor) -> None:
    await conn.execute(
        """
        UPDATE visitors SET name = $3, email = $4, phone = $5, company = $6, host = $7, updated_at = $8
        WHERE organisation_id = $1 AND id = $2
        """,
        scope.organisation,
        visitor.id,
        visitor.name,
        visitor.email,
        visitor.phone,
        visitor.company,
        visitor.host,
        visitor.updated_at,
    )


async def remove_visitor(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM visitors WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


async def name_visitors(conn: Connection, scope: Scope, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(key, name) of those of these visitors that still exist."""
    rows = await conn.fetch(
        "SELECT id, key, name FROM visitors WHERE organisation_id = $1 AND id = ANY($2)", scope.organisation, ids
    )
    return {row["id"]: (row["key"], row["name"]) for row in rows}


def _visitor(row: asyncpg.Record | None) -> Visitor:
    if row is None:
        raise NotFound
    return Visitor(*(row[name] for name in Visitor.__struct_fields__))


# ------------------------------------------------------------------------------------------------- meetings


async def invite(
    conn: Connection, scope: Scope, visitor: MeetingVisitor, meeting: Meeting, own_pass: bool, now: int
) -> tuple[Meeting, Visitor | None, bool]:
    """The meeting with its id and visitor, the visitor as they were before, and whether they are new.

    The same key is the same visitor.

    Of `meeting` the times, doors and pass's life are stored. Raises NotFound when a door was deleted a moment ago,
    Conflict when the visitor of this key is out of reach.
    """
    try:
        row = await conn.fetchrow(
            f"""
            WITH before AS (
                SELECT id, key, name, email, phone, company, host, created_at, updated_at
                FROM visitors WHERE organisation_id = $1 AND key = $2
            ), visitor AS (
                INSERT INTO visitors AS v
                    (organisation_id, key, name, email, phone, company, host, created_at, updated_at)
                VALUES ($1, $2, coalesce($3, ''), coalesce($4, ''), coalesce($5, ''), coalesce($6, ''),
                    coalesce($7, ''), $8, $8)
                ON CONFLICT (organisation_id, key) DO UPDATE SET name = coalesce($3, v.name),
                    email = coalesce($4, v.email), phone = coalesce($5, v.phone), company = coalesce($6, v.company),
                    host = coalesce($7, v.host),
                    updated_at = CASE WHEN (coalesce($3, v.name), coalesce($4, v.email), coalesce($5, v.phone),
                            coalesce($6, v.company), coalesce($7, v.host))
                        IS DISTINCT FROM (v.name, v.email, v.phone, v.company, v.host)
                        THEN $8 ELSE v.updated_at END
                WHERE {_visitor_within(14)}
                RETURNING *, xmax = 0 AS is_new
            ), meeting AS (
                INSERT INTO meetings (organisation_id, visitor_id, start_time, end_time, own_pass, pass_seconds,
                    created_at, updated_at)
                SELECT $1, visitor.id, $9, $10, $11, $12, $8, $8 FROM visitor RETURNING id
            ), doors AS (
                INSERT INTO meeting_doors SELECT $1, meeting.id, door FROM meeting, unnest($13::integer[]) AS door
            )
            SELECT visitor.*, meeting.id AS meeting_id, (SELECT before FROM before) FROM visitor, meeting
            """,  # noqa: S608 - constants
            scope.organisation,
            visitor.key,
            _given(visitor.name),
            _given(visitor.email),
            _given(visitor.phone),
            _given(visitor.company),
            _given(visitor.host),
            now,
            meeting.start_time,
            meeting.end_time,
            own_pass,
            meeting.pass_seconds if own_pass else None,
            meeting.access_points,
            scope.sites,
        )
    except asyncpg.ForeignKeyViolationError:
        raise NotFound("There is no access point with one of these ids.") from None
    if row is None:
        raise Conflict("The visitor with this key visits other sites only; ask somebody who receives visitors there.")
    added = msgspec.structs.replace(meeting, id=row["meeting_id"], visitor=_visitor(row))
    return added, Visitor(*row["before"]) if row["before"] else None, row["is_new"]


_VISIT = """m.id AS meeting_id, m.start_time, m.end_time, m.version, m.own_pass,
    CASE WHEN m.own_pass THEN m.pass_seconds ELSE o.pass_seconds END AS pass_seconds,
    m.created_at AS meeting_created_at, m.updated_at AS meeting_updated_at, m.checked_in_at, m.checked_out_at, v.*,
    ARRAY(SELECT d.access_point_id FROM meeting_doors d
          WHERE d.organisation_id = m.organisation_id AND d.meeting_id = m.id ORDER BY 1) AS access_points"""
_VISITS = """meetings m JOIN organisations o ON o.id = m.organisation_id
    JOIN visitors v ON v.organisation_id = m.organisation_id AND v.id = m.visitor_id"""
_MEETING = f"SELECT {_VISIT} FROM {_VISITS}"  # noqa: S608 - constants


async def get_visit(conn: Connection, scope: Scope, id: int) -> Visit:
    row = await conn.fetchrow(
        f"{_MEETING} WHERE m.organisation_id = $1 AND m.id = $2 AND {_meeting_within(3)}",
        scope.organisation,
        id,
        scope.sites,
    )
    return _visit(row)


async def get_visit_in_house(conn: Connection, scope: Scope, id: int) -> tuple[Visit, House]:
    """The visit and what its passes depend on, read in one statement."""
    row = await conn.fetchrow(
        f"""
        SELECT {_VISIT}, {_HOUSE} FROM {_VISITS} {_ACTIVE_KEY}
        WHERE m.organisation_id = $1 AND m.id = $2 AND {_meeting_within(3)}
        """,  # noqa: S608 - constants
        scope.organisation,
        id,
        scope.sites,
    )
    return _visit(row), _house(row)


async def lock_visit(conn: Connection, scope: Scope, id: int) -> Visit:
    row = await conn.fetchrow(
        f"{_MEETING} WHERE m.organisation_id = $1 AND m.id = $2 AND {_meeting_within(3)} FOR UPDATE OF m",
        scope.organisation,
        id,
        scope.sites,
    )
    return _visit(row)


async def lock_visits_of(conn: Connection, scope: Scope, visitor: int) -> list[Visit]:
    rows = await conn.fetch(
        _MEETING + " WHERE m.organisation_id = $1 AND m.visitor_id = $2 ORDER BY m.id FOR UPDATE OF m",
        scope.organisation,
        visitor,
    )
    return [_visit(row) for row in rows]


_LISTED = f"""m.organisation_id = $1 AND {_meeting_within(2)}
    AND ($3::bigint IS NULL OR m.visitor_id = $3)
    AND ($4::bigint IS NULL OR m.end_time > $4) AND ($5::bigint IS NULL OR m.end_time <= $5)
    AND ($6::bigint IS NULL OR m.start_time >= $6) AND ($7::bigint IS NULL OR m.start_time < $7)
    AND ($8::text IS NULL OR strpos(lower(v.name || E'\\n' || v.company), lower($8)) > 0)"""
_BEYOND = {
    "id": "m.id > $9 ORDER BY m.id LIMIT $10",
    "start": "($9::bigint IS NULL OR (m.start_time, m.id) > ($9, $10)) ORDER BY m.start_time, m.id LIMIT $11",
    "-start": """($9::bigint IS NULL OR (m.start_time, m.id) < ($9, $10))
        ORDER BY m.start_time DESC, m.id DESC LIMIT $11""",
}
"""What stands beyond a place, in each order."""


async def page_meetings(conn: Connection, scope: Scope, listed: Listed, after: int, limit: int) -> list[Meeting]:
    """By ascending id."""
    return await _list_meetings(conn, scope, listed, "id", after, limit)


async def page_meetings_in_time(
    conn: Connection, scope: Scope, listed: Listed, order: str, place: tuple[int, int] | None, limit: int
) -> list[Meeting]:
    """By their start, or (`-start`) the latest first."""
    return await _list_meetings(conn, scope, listed, order, *(place or (None, None)), limit)


async def _list_meetings(
    conn: Connection, scope: Scope, listed: Listed, order: str, *beyond: int | None
) -> list[Meeting]:
    rows = await conn.fetch(
        f"{_MEETING} WHERE {_LISTED} AND {_BEYOND[order]}",
        scope.organisation,
        scope.sites,
        listed.visitor,
        listed.ends_after,
        listed.ends_before,
        listed.starts_after,
        listed.starts_before,
        listed.search,
        *beyond,
    )
    return [_visit(row).meeting for row in rows]


async def arrive(conn: Connection, scope: Scope, came: Mapping[int, int]) -> None:
    """Notes when the visitors of these meetings came, unless that is known."""
    await conn.execute(
        """
        UPDATE meetings m SET checked_in_at = came.at
        FROM unnest($2::bigint[], $3::bigint[]) AS came (id, at)
        WHERE m.organisation_id = $1 AND m.id = came.id AND m.checked_in_at IS NULL
        """,
        scope.organisation,
        list(came),
        list(came.values()),
    )


async def list_doors(conn: Connection, scope: Scope, meeting: int, now: int) -> list[MeetingDoor]:
    """A meeting's doors, and those where earlier codes of it are refused."""
    rows = await conn.fetch(
        """
        WITH revoked AS (SELECT * FROM meeting_revocations WHERE organisation_id = $1 AND meeting_id = $2),
        doors AS (
            SELECT access_point_id AS id, true AS belongs FROM meeting_doors
            WHERE organisation_id = $1 AND meeting_id = $2
            UNION ALL SELECT unnest(access_points), false FROM revoked
        )
        SELECT a.id, a.name, a.site_id, bool_or(doors.belongs) AS belongs,
            bool_or(CASE WHEN a.controller_id IS NOT NULL THEN coalesce(l.online_until > $3, false) END) AS online,
            bool_and(d.revision IS NULL OR coalesce(l.confirmed_revision >= d.revision, false)) AS confirmed,
            (SELECT until - $4 FROM revoked WHERE a.id = ANY(access_points) AND until - $4 > $3) AS old_codes_end_at
        FROM doors JOIN access_points a ON a.organisation_id = $1 AND a.id = doors.id
        LEFT JOIN controller_links l ON l.controller_id = a.controller_id
        LEFT JOIN desired_records d ON d.organisation_id = $1 AND d.kind = 'revocation' AND d.key = $2::text
            AND d.controller_id = a.controller_id
        GROUP BY a.id, a.name, a.site_id ORDER BY belongs DESC, a.name, a.id
        """,
        scope.organisation,
        meeting,
        now,
        SLACK,
    )
    return [MeetingDoor(*row) for row in rows]


async def change_meeting(conn: Connection, scope: Scope, meeting: Meeting) -> None:
    """Stores times, doors, version, and who came and left."""
    await conn.execute(
        """
        WITH changed AS (
            UPDATE meetings SET start_time = $3, end_time = $4, version = $5, updated_at = $6,
                checked_in_at = $8, checked_out_at = $9
            WHERE organisation_id = $1 AND id = $2
        ), left_out AS (
            DELETE FROM meeting_doors
            WHERE organisation_id = $1 AND meeting_id = $2 AND NOT access_point_id = ANY($7::integer[])
        )
        INSERT INTO meeting_doors SELECT $1, $2, door FROM unnest($7::integer[]) AS door ON CONFLICT DO NOTHING
        """,
        scope.organisation,
        meeting.id,
        meeting.start_time,
        meeting.end_time,
        meeting.version,
        meeting.updated_at,
        meeting.access_points,
        meeting.checked_in_at,
        meeting.checked_out_at,
    )


async def remove_meeting(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM meetings WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


def _visit(row: asyncpg.Record | None) -> Visit:
    if row is None:
        raise NotFound
    meeting = Meeting(
        id=row["meeting_id"],
        visitor=_visitor(row),
        start_time=row["start_time"],
        end_time=row["end_time"],
        access_points=row["access_points"],
        pass_seconds=row["pass_seconds"],
        version=row["version"],
        created_at=row["meeting_created_at"],
        updated_at=row["meeting_updated_at"],
        checked_in_at=row["checked_in_at"],
        checked_out_at=row["checked_out_at"],
    )
    return Visit(meeting, row["own_pass"])


def _given(value: Any) -> Any:
    return None if value is UNSET else value


# ------------------------------------------------------------------------------------------------- visitors' links


async def set_link(conn: Connection, scope: Scope, meeting: int, token_hash: bytes, now: int) -> None:
    """The meeting's only link: an older one ends."""
    await conn.execute(
        """
        INSERT INTO visit_links VALUES ($3, $1, $2, $4)
        ON CONFLICT (organisation_id, meeting_id) DO UPDATE SET token_hash = EXCLUDED.token_hash, made_at = $4
        """,
        scope.organisation,
        meeting,
        token_hash,
        now,
    )


async def remove_link(conn: Connection, scope: Scope, meeting: int) -> None:
    await conn.execute(
        "DELETE FROM visit_links WHERE organisation_id = $1 AND meeting_id = $2", scope.organisation, meeting
    )


async def find_link(conn: Connection, token_hash: bytes) -> tuple[int, int] | None:
    """(organisation, meeting) of a visitor's own page."""
    row = await conn.fetchrow("SELECT organisation_id, meeting_id FROM visit_links WHERE token_hash = $1", token_hash)
    return (row["organisation_id"], row["meeting_id"]) if row else None


async def where(conn: Connection, scope: Scope, doors: Sequence[int]) -> tuple[str, list[VisitPlace]]:
    """The organisation's name, and the sites of these doors with the doors' names."""
    name: str = await conn.fetchval("SELECT name FROM organisations WHERE id = $1", scope.organisation)
    rows = await conn.fetch(
        """
        SELECT s.name, s.location, s.timezone, array_agg(a.name ORDER BY a.id) FROM access_points a
        JOIN sites s ON s.organisation_id = a.organisation_id AND s.id = a.site_id
        WHERE a.organisation_id = $1 AND a.id = ANY($2) GROUP BY s.id, s.name, s.location, s.timezone ORDER BY s.id
        """,
        scope.organisation,
        doors,
    )
    return name, [VisitPlace(*row) for row in rows]


# ------------------------------------------------------------------------------------------------- revocations


async def revoke(conn: Connection, scope: Scope, revocation: Revocation) -> None:
    """Merged with an earlier one: the higher version, all doors, the later end."""
    await conn.execute(
        """
        INSERT INTO meeting_revocations AS r (organisation_id, meeting_id, refuse_below, access_points, until)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (organisation_id, meeting_id) DO UPDATE SET
            refuse_below = greatest(r.refuse_below, EXCLUDED.refuse_below),
            until = greatest(r.until, EXCLUDED.until),
            access_points = ARRAY(SELECT DISTINCT door FROM unnest(r.access_points || EXCLUDED.access_points) AS door
                                  ORDER BY door)
        """,
        scope.organisation,
        revocation.meeting,
        revocation.refuse_below,
        list(revocation.access_points),
        revocation.until,
    )


async def lapsed(conn: Connection, now: int) -> list[tuple[int, int]]:
    """(organisation, meeting) of revocations that no pass outlives."""
    rows = await conn.fetch(
        "SELECT organisation_id, meeting_id FROM meeting_revocations WHERE until <= $1 ORDER BY 1, 2 LIMIT 1000", now
    )
    return [(row["organisation_id"], row["meeting_id"]) for row in rows]


async def drop_revocations(conn: Connection, scope: Scope, meetings: Sequence[int], now: int) -> None:
    await conn.execute(
        "DELETE FROM meeting_revocations WHERE organisation_id = $1 AND meeting_id = ANY($2) AND until <= $3",
        scope.organisation,
        meetings,
        now,
    )


async def revocation_records(
    conn: Connection,
    scope: Scope,
    meetings: Sequence[int] | None,
    doors: Sequence[int] | None,
    controllers: Sequence[int] | None,
) -> list[asyncpg.Record]:
    """(meeting, refuse_below, controller) of the given meetings' and doors' revocations; all None: of all.

    A revocation whose doors have no controller has one row with controller NULL.
    """
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT DISTINCT r.meeting_id, r.refuse_below, a.controller_id FROM meeting_revocations r
        LEFT JOIN access_points a ON a.organisation_id = r.organisation_id AND a.id = ANY(r.access_points)
            AND a.controller_id IS NOT NULL AND ($4::bigint[] IS NULL OR a.controller_id = ANY($4))
        WHERE r.organisation_id = $1
            AND (($2::bigint[] IS NULL AND $3::integer[] IS NULL)
                OR r.meeting_id = ANY($2) OR r.access_points && $3::integer[])
        """,
        scope.organisation,
        meetings,
        doors,
        controllers,
    )
    return rows
