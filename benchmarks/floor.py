"""The floor: what a request costs in bare Starlette and asyncpg when it does nothing but leave the same rows.

No token, no validation, no limits, no tenant checks: it is not meant to be used, only to be measured against.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from latchwork.cloud.kernel.work import open_pool

_ORGANISATION = 1
_ACTOR = json.dumps({"kind": "client", "id": "bench", "name": "Bench"})
_KEY, _ES256 = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())


def create(dsn: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.pool = await open_pool(dsn, 10)
        yield
        await app.state.pool.close()

    routes = [
        Route("/meetings", add_meeting, methods=["POST"]),
        Route("/meetings/{id:int}/pass", regenerate, methods=["POST"]),
        Route("/users", add_user, methods=["POST"]),
        Route("/users/{id:int}/permissions", change_permissions, methods=["PATCH"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def add_meeting(request: Request) -> JSONResponse:
    """Five round trips: BEGIN, the visitor, the meeting with its doors, the events, COMMIT."""
    draft, now = await request.json(), int(time.time())
    async with request.app.state.pool.acquire() as conn:
        await conn.execute("BEGIN")
        visitor = await _put_visitor(conn, draft["visitor"], now)
        meeting = await _add_meeting(conn, draft, visitor, now)
        facts = [("visitor_created", f"visitor/{visitor['id']}", visitor)]
        await _append(conn, [*facts, ("meeting_created", f"meeting/{meeting['id']}", meeting)], now)
        await conn.execute("COMMIT")
    return JSONResponse(meeting, 201)


async def _put_visitor(conn: Any, visitor: dict[str, str], now: int) -> dict[str, Any]:
    row = await conn.fetchrow(
        """
        INSERT INTO visitors AS v (organisation_id, key, name, email, company, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (organisation_id, key) DO UPDATE SET name = $3, email = $4, company = $5, updated_at = $6
        RETURNING id, key, name, email, phone, company, host, created_at, updated_at
        """,
        _ORGANISATION,
        visitor["key"],
        visitor["name"],
        visitor["email"],
        visitor["company"],
        now,
    )
    return dict(row)


async def _add_meeting(conn: Any, draft: dict[str, Any], visitor: dict[str, Any], now: int) -> dict[str, Any]:
    id = await conn.fetchval(
        """
        WITH meeting AS (
            INSERT INTO meetings (organisation_id, visitor_id, start_time, end_time, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $5) RETURNING id
        ), doors AS (
            INSERT INTO meeting_doors SELECT $1, meeting.id, door FROM meeting, unnest($6::integer[]) AS door
        )
        SELECT id FROM meeting
        """,
        _ORGANISATION,
        visitor["id"],
        draft["startTime"],
        draft["endTime"],
        now,
        draft["accessPoints"],
    )
    return {**draft, "id": id, "visitor": visitor, "version": 1, "createdAt": now, "updatedAt": now}


async def _append(conn: Any, facts: list[tuple[str, str, dict[str, Any]]], now: int) -> None:
    await conn.execute(
        """
        WITH counter AS (
            UPDATE event_counters SET last = last + $2 WHERE organisation_id = $1 RETURNING last
        )
        INSERT INTO events (organisation_id, number, type, at, recorded_at, actor, subject, data, after)
        SELECT $1, counter.last - $2 + f.n, f.type, $3, $3, $4::jsonb, f.subject, '{}', f.after::jsonb
        FROM counter, unnest($5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS f (type, subject, after, n)
        """,
        _ORGANISATION,
        len(facts),
        now,
        _ACTOR,
        [type for type, _, _ in facts],
        [subject for _, subject, _ in facts],
        [json.dumps(after) for _, _, after in facts],
    )


async def regenerate(request: Request) -> JSONResponse:
    """One read and one signature."""
    async with request.app.state.pool.acquire() as conn:
        row: asyncpg.Record = await conn.fetchrow(
            """
            SELECT m.visitor_id, m.start_time, m.end_time, m.version,
                ARRAY(SELECT d.access_point_id FROM meeting_doors d
                      WHERE d.organisation_id = m.organisation_id AND d.meeting_id = m.id ORDER BY 1) AS doors
            FROM meetings m WHERE m.organisation_id = $1 AND m.id = $2
            """,
            _ORGANISATION,
            request.path_params["id"],
        )
    signature = _KEY.sign(repr(tuple(row)).encode(), _ES256)
    return JSONResponse({"qrData": signature.hex(), "validFrom": row["start_time"], "expiresAt": row["end_time"]})


async def add_user(request: Request) -> JSONResponse:
    """Four round trips: BEGIN, the user (and how many there are), the event, COMMIT."""
    draft, now = await request.json(), int(time.time())
    async with request.app.state.pool.acquire() as conn:
        await conn.execute("BEGIN")
        row = await conn.fetchrow(
            """
            WITH counted AS (UPDATE organisations SET users = users + 1 WHERE id = $1)
            INSERT INTO users (organisation_id, name, email, phone, employee_code, home_site_id, roles, admin_of_sites,
                terms, joining_date, probation_period, gender, access, pin_salt, pin_hash, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, (SELECT min(id) FROM sites WHERE organisation_id = $1), '{end_user}', '{}',
                '{}', '', '', '', $6::jsonb, '', '', $7, $7)
            RETURNING id, home_site_id
            """,
            _ORGANISATION,
            draft["name"],
            draft["email"],
            draft["phone"],
            draft["employeeCode"],
            json.dumps(_ACCESS),
            now,
        )
        user = {**draft, **_NEW, "id": row["id"], "homeSiteId": row["home_site_id"], "createdAt": now, "updatedAt": now}
        await _append(conn, [("user_created", f"user/{user['id']}", user)], now)
        await conn.execute("COMMIT")
    return JSONResponse(user, 201)


_ACCESS = {
    "mobile": True,
    "card": True,
    "remote": False,
    "tap": True,
    "clickRange": 0,
    "deviceLock": False,
    "fingerprint": False,
    "face": False,
    "gps": False,
}
_NEW = {
    "roles": ["end_user"],
    "adminOfSites": [],
    "terms": [],
    "reportingTo": None,
    "joiningDate": "",
    "probationPeriod": "",
    "gender": "",
    "access": _ACCESS,
    "hasPin": False,
    "accessExpiresAt": None,
    "isActive": True,
    "deactivatedAt": None,
    "cards": 0,
    "version": 1,
}


async def change_permissions(request: Request) -> JSONResponse:
    """Six round trips: BEGIN, the permission, what the controller should hold, the answer, the event, COMMIT.

    One door, given or withdrawn. It takes for granted that nobody else changes this user now, that the user has another
    door at the same controller, and so that the person and their cards are there already and stay.
    """
    patch, now, user = await request.json(), int(time.time()), request.path_params["id"]
    given = patch["add"][0]["accessPointId"] if patch["add"] else None
    door = given or patch["remove"][0]
    async with request.app.state.pool.acquire() as conn:
        await conn.execute("BEGIN")
        await conn.execute(_GIVE if given else _TAKE, _ORGANISATION, user, door, *([now] if given else []))
        await _should_hold(conn, f"{user}.{door}", door, _GRANT if given else None, now)
        rows = await conn.fetch(_PERMISSIONS, _ORGANISATION, user)
        kind = "permission_granted" if given else "permission_withdrawn"
        await _append(conn, [(kind, f"user/{user}", {"accessPointId": door})], now)
        await conn.execute("COMMIT")
    return JSONResponse(
        {
            "permissions": [dict(row) for row in rows],
            "unconfirmedControllers": [],
            "offlineControllers": [],
            "changes": [],
        }
    )


_GRANT = b"\x81\xa4type\xa5grant"
_GIVE = "INSERT INTO grants (organisation_id, user_id, access_point_id, created_at) VALUES ($1, $2, $3, $4)"
_TAKE = "DELETE FROM grants WHERE organisation_id = $1 AND user_id = $2 AND access_point_id = $3"
_PERMISSIONS = """
    SELECT g.user_id AS "userId", g.access_point_id AS "accessPointId", g.starts_at AS "startsAt",
        g.ends_at AS "endsAt", g.schedule_id AS "scheduleId",
        CASE WHEN d.since <= l.confirmed_revision AND NOT l.frozen THEN 'assigned' ELSE 'pending' END AS state,
        CASE WHEN d.since <= l.confirmed_revision AND NOT l.frozen THEN NULL ELSE g.created_at END AS since
    FROM grants g JOIN access_points a ON a.organisation_id = g.organisation_id AND a.id = g.access_point_id
    LEFT JOIN desired_records d ON d.organisation_id = g.organisation_id AND d.kind = 'grant'
        AND d.key = g.user_id || '.' || g.access_point_id AND d.controller_id = a.controller_id AND d.body IS NOT NULL
    LEFT JOIN controller_links l ON l.controller_id = a.controller_id
    WHERE g.organisation_id = $1 AND g.user_id = $2 ORDER BY 2
"""


async def _should_hold(conn: Any, key: str, door: int, body: bytes | None, now: int) -> None:
    """One revision further, with its mark and one record."""
    await conn.execute(
        """
        WITH raised AS (
            UPDATE controllers SET revision = revision + 1, mark = $4 WHERE organisation_id = $1
                AND id = (SELECT controller_id FROM access_points WHERE organisation_id = $1 AND id = $2)
            RETURNING id, revision
        ), marked AS (
            INSERT INTO revision_marks (controller_id, revision, mark, made_at) SELECT id, revision, $4, $6 FROM raised
        )
        INSERT INTO desired_records AS held (organisation_id, controller_id, kind, key, revision, body, since)
        SELECT $1, id, 'grant', $3, revision, $5, revision FROM raised
        ON CONFLICT (organisation_id, kind, key, controller_id) DO UPDATE
            SET revision = EXCLUDED.revision, body = EXCLUDED.body,
                since = CASE WHEN held.body IS NULL THEN EXCLUDED.revision ELSE held.since END
        """,
        _ORGANISATION,
        door,
        key,
        os.urandom(8),
        body,
        now,
    )
