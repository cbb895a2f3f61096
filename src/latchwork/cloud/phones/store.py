"""All SQL of phones and of what they carry."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from latchwork.cloud.kernel.work import Connection, Retry, Scope
from latchwork.cloud.phones.model import Enrolled, KeyHolder, PhoneKey
from latchwork.wire import p256
from latchwork.wire.api.phones import AppSession, Phone
from latchwork.wire.api.problems import NotFound

# ------------------------------------------------------------------------------------------------- phones

# A door has a permission, or a phone's keys, when its controller has confirmed the records.
_AT_DOORS = """
    SELECT g.user_id, g.access_point_id,
        coalesce(l.kinds @> '{door,person,grant}' AND NOT l.frozen
            AND (g.schedule_id IS NULL OR l.kinds @> '{schedule,holidays}') AND (
                SELECT d.since <= l.confirmed_revision FROM desired_records d
                WHERE d.organisation_id = g.organisation_id AND d.kind = 'grant' AND d.body IS NOT NULL
                    AND d.key = g.user_id || '.' || g.access_point_id AND d.controller_id = a.controller_id
            ), false) AS has_grant,
        coalesce(l.kinds @> '{phone}' AND NOT l.frozen, false) AND (
            SELECT count(*) = 2 FROM phone_keys k JOIN desired_records d
                ON d.organisation_id = k.organisation_id AND d.kind = 'phone' AND d.body IS NOT NULL AND d.key = k.kid
            WHERE k.organisation_id = g.organisation_id AND k.phone_id = :phone
                AND d.controller_id = a.controller_id AND d.since <= l.confirmed_revision
        ) AS has_phone
    FROM grants g JOIN access_points a ON a.organisation_id = g.organisation_id AND a.id = g.access_point_id
    LEFT JOIN controller_links l ON l.controller_id = a.controller_id
"""
_PHONE = f"""
    SELECT p.id, p.user_id, p.name, t.kid AS tap_kid, c.kid AS code_kid, p.created_at, s.used_at AS last_used_at,
        n.assigned, n.pending
    FROM phones p
    JOIN phone_keys t ON t.organisation_id = p.organisation_id AND t.phone_id = p.id AND t.purpose = 'tap'
    JOIN phone_keys c ON c.organisation_id = p.organisation_id AND c.phone_id = p.id AND c.purpose = 'code'
    LEFT JOIN app_sessions s ON s.organisation_id = p.organisation_id AND s.id = p.session_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE has_grant AND has_phone) AS assigned,
            count(*) FILTER (WHERE NOT (has_grant AND has_phone)) AS pending
        FROM ({_AT_DOORS.replace(":phone", "p.id")}
            WHERE g.organisation_id = p.organisation_id AND g.user_id = p.user_id) AS d
    ) AS n
"""  # noqa: S608 - our own words


async def list_phones(conn: Connection, scope: Scope, user: int) -> list[Phone]:
    rows = await conn.fetch(
        f"{_PHONE} WHERE p.organisation_id = $1 AND p.user_id = $2 ORDER BY p.id", scope.organisation, user
    )
    return [_phone(row) for row in rows]


async def get_phone(conn: Connection, scope: Scope, user: int, id: int) -> Phone:
    row = await conn.fetchrow(
        f"{_PHONE} WHERE p.organisation_id = $1 AND p.user_id = $2 AND p.id = $3", scope.organisation, user, id
    )
    if row is None:
        raise NotFound("There is no such phone.")
    return _phone(row)


async def list_enrolled(conn: Connection, scope: Scope, user: int) -> list[Enrolled]:
    rows = await conn.fetch(
        """
        SELECT p.id, p.session_id, array_agg(k.kid) AS kids FROM phones p
        JOIN phone_keys k ON k.organisation_id = p.organisation_id AND k.phone_id = p.id
        WHERE p.organisation_id = $1 AND p.user_id = $2 GROUP BY p.id, p.session_id ORDER BY p.id
        """,
        scope.organisation,
        user,
    )
    return [Enrolled(row["id"], row["session_id"], frozenset(row["kids"])) for row in rows]


async def add_phone(
    conn: Connection, scope: Scope, user: int, name: str, session: int, keys: Collection[PhoneKey], now: int
) -> int | None:
    """Its id; None when one of the keys is somebody's already."""
    taken = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM phone_keys WHERE organisation_id = $1 AND kid = ANY($2))",
        scope.organisation,
        [key.kid for key in keys],
    )
    if taken:
        return None
    try:
        id: int = await conn.fetchval(
            """
            WITH added AS (
                INSERT INTO phones (organisation_id, user_id, name, session_id, created_at)
                VALUES ($1, $2, $3, $4, $5) RETURNING id
            ), keyed AS (
                INSERT INTO phone_keys
                SELECT $1, k.kid, added.id, k.purpose, k.public_key
                FROM added, unnest($6::text[], $7::text[], $8::bytea[]) AS k (kid, purpose, public_key)
            )
            SELECT id FROM added
            """,
            scope.organisation,
            user,
            name,
            session,
            now,
            [key.kid for key in keys],
            [key.purpose for key in keys],
            [key.public_key for key in keys],
        )
    except asyncpg.UniqueViolationError:  # enrolled in the meantime
        raise Retry from None
    return id


async def bind_phone(conn: Connection, scope: Scope, id: int, name: str, session: int) -> None:
    """The phone is this session's."""
    await conn.execute(
        "UPDATE phones SET name = $3, session_id = $4 WHERE organisation_id = $1 AND id = $2",
        scope.organisation,
        id,
        name,
        session,
    )


async def remove_phone(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM phones WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


async def phone_of_session(conn: Connection, scope: Scope, session: int) -> int | None:
    id: int | None = await conn.fetchval(
        "SELECT id FROM phones WHERE organisation_id = $1 AND session_id = $2", scope.organisation, session
    )
    return id


async def find_holder(conn: Connection, scope: Scope, kid: str) -> KeyHolder | None:
    """Whose key this is; None: nobody's here."""
    row = await conn.fetchrow(
        """
        SELECT p.user_id, p.id, k.purpose, k.public_key FROM phone_keys k
        JOIN phones p ON p.organisation_id = k.organisation_id AND p.id = k.phone_id
        WHERE k.organisation_id = $1 AND k.kid = $2
        """,
        scope.organisation,
        kid,
    )
    return KeyHolder(*row) if row else None


async def name_phones(conn: Connection, scope: Scope, kids: Collection[str]) -> dict[str, tuple[int, str]]:
    """(id, name) of the phones that have these keys, by kid."""
    rows = await conn.fetch(
        """
        SELECT k.kid, p.id, p.name FROM phone_keys k
        JOIN phones p ON p.organisation_id = k.organisation_id AND p.id = k.phone_id
        WHERE k.organisation_id = $1 AND k.kid = ANY($2)
        """,
        scope.organisation,
        list(kids),
    )
    return {row["kid"]: (row["id"], row["name"]) for row in rows}


def _phone(row: asyncpg.Record) -> Phone:
    return Phone(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        tap_kid=p256.b64url(bytes.fromhex(row["tap_kid"])),
        code_kid=p256.b64url(bytes.fromhex(row["code_kid"])),
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        assigned=row["assigned"],
        pending=row["pending"],
    )


# ------------------------------------------------------------------------------------------------- keyring


async def keyring_doors(conn: Connection, scope: Scope, user: int, phone: int | None) -> list[asyncpg.Record]:
    """The doors that a user may open, with what decides how; `is_ready`: the door knows of it, and knows the phone."""
    rows: list[asyncpg.Record] = await conn.fetch(
        f"""
        SELECT a.id, a.name, a.zone, a.site_id, s.name AS site_name, s.timezone, g.starts_at, g.ends_at,
            w.name AS schedule, a.controller_id IS NOT NULL AS has_controller,
            num_nonnulls(a.entry_reader, a.exit_reader) > 0 AS has_reader,
            coalesce(c.reader_key <> '', false) AS certified, d.has_grant AND d.has_phone AS is_ready
        FROM ({_AT_DOORS.replace(":phone", "$3::bigint")} WHERE g.organisation_id = $1 AND g.user_id = $2) AS d
        JOIN grants g ON g.organisation_id = $1 AND g.user_id = d.user_id AND g.access_point_id = d.access_point_id
        JOIN access_points a ON a.organisation_id = $1 AND a.id = d.access_point_id
        JOIN sites s ON s.organisation_id = $1 AND s.id = a.site_id
        LEFT JOIN schedules w ON w.organisation_id = $1 AND w.id = g.schedule_id
        LEFT JOIN controllers c ON c.organisation_id = $1 AND c.id = a.controller_id
        ORDER BY a.id
        """,  # noqa: S608 - our own words
        scope.organisation,
        user,
        phone,
    )
    return rows


# ------------------------------------------------------------------------------------------------- app sessions


async def list_app_sessions(conn: Connection, scope: Scope, user: int, now: int) -> list[AppSession]:
    """The newest first."""
    rows = await conn.fetch(
        """
        SELECT s.id, s.user_id, c.client_id, c.name AS client_name, p.id AS phone_id, p.name AS phone_name,
            s.created_at, s.used_at, s.expires_at
        FROM app_sessions s LEFT JOIN clients c ON c.organisation_id = s.organisation_id AND c.id = s.client_id
        LEFT JOIN phones p ON p.organisation_id = s.organisation_id AND p.session_id = s.id
        WHERE s.organisation_id = $1 AND s.user_id = $2 AND s.expires_at > $3 ORDER BY s.id DESC
        """,
        scope.organisation,
        user,
        now,
    )
    return [AppSession(*row) for row in rows]


# ------------------------------------------------------------------------------------------------- desired state


async def owners_at(conn: Connection, scope: Scope, doors: Collection[int]) -> list[int]:
    """The users with a phone who have a permission at one of these doors, or whose permission a controller holds."""
    rows = await conn.fetch(
        """
        SELECT DISTINCT p.user_id FROM phones p, unnest($2::integer[]) AS door
        WHERE p.organisation_id = $1 AND (
            EXISTS (SELECT FROM grants g WHERE g.organisation_id = $1 AND g.user_id = p.user_id
                    AND g.access_point_id = door)
            OR EXISTS (SELECT FROM desired_records d WHERE d.organisation_id = $1 AND d.kind = 'grant'
                       AND d.key = p.user_id || '.' || door AND d.body IS NOT NULL))
        """,
        scope.organisation,
        list(doors),
    )
    return [row["user_id"] for row in rows]


async def phone_records(
    conn: Connection,
    scope: Scope,
    users: Collection[int] | None,
    kids: Collection[str],
    controllers: Collection[int] | None,
) -> list[asyncpg.Record]:
    """Each key, of these users or these themselves, at each controller where its user has a permission.

    At None whose user has none anywhere; when one of the users is gone, also what controllers hold of keys that are
    nobody's any more. Users None: all of these controllers.
    """
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT k.kid, k.purpose, k.public_key, p.user_id, h.controller_id
        FROM phones p JOIN phone_keys k ON k.organisation_id = p.organisation_id AND k.phone_id = p.id
        LEFT JOIN LATERAL (
            SELECT DISTINCT a.controller_id FROM grants g
            JOIN access_points a ON a.organisation_id = g.organisation_id AND a.id = g.access_point_id
            WHERE g.organisation_id = $1 AND g.user_id = p.user_id AND a.controller_id IS NOT NULL
                AND ($4::bigint[] IS NULL OR a.controller_id = ANY($4))
        ) AS h ON true
        WHERE p.organisation_id = $1 AND ($2::bigint[] IS NULL OR p.id IN (
                SELECT o.id FROM phones o WHERE o.organisation_id = $1 AND o.user_id = ANY($2)
                UNION SELECT o.phone_id FROM phone_keys o WHERE o.organisation_id = $1 AND o.kid = ANY($3)))
            AND ($4::bigint[] IS NULL OR h.controller_id IS NOT NULL)
        UNION ALL SELECT DISTINCT d.key, NULL, NULL::bytea, NULL::bigint, NULL::bigint FROM desired_records d
        WHERE d.organisation_id = $1 AND d.kind = 'phone' AND d.body IS NOT NULL
            AND NOT EXISTS (SELECT FROM phone_keys k WHERE k.organisation_id = $1 AND k.kid = d.key)
            AND EXISTS (SELECT FROM unnest($2) AS gone (id)
                        WHERE NOT EXISTS (SELECT FROM users u WHERE u.organisation_id = $1 AND u.id = gone.id))
        """,
        scope.organisation,
        None if users is None else list(users),
        list(kids),
        None if controllers is None else list(controllers),
    )
    return rows
