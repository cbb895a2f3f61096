"""The floor: what a request costs in bare Starlette and asyncpg when it does nothing but leave the same rows.

No token, no validation, no limits, no tenant checks: it is not meant to be used, only to be measured against.
"""

from __future__ import annotations

import json
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
