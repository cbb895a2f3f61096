"""All SQL of sites and access points."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

import asyncpg

from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.wire.api.problems import NotFound
from latchwork.wire.api.sites import AccessPoint, AccessPointDraft, Site, SiteDraft

Dependents: TypeAlias = Literal["doors", "users", "admins"]

# ------------------------------------------------------------------------------------------------- sites


async def add_site(conn: Connection, scope: Scope, draft: SiteDraft, now: int) -> Site:
    """Numbered within the organisation, from 1."""
    row = await conn.fetchrow(
        """
        WITH numbered AS (
            UPDATE organisations SET last_site_id = last_site_id + 1 WHERE id = $1 RETURNING last_site_id
        )
        INSERT INTO sites (organisation_id, id, name, location, timezone, created_at, updated_at)
        SELECT $1, last_site_id, $2, $3, $4, $5, $5 FROM numbered RETURNING *
        """,
        scope.organisation,
        draft.name,
        draft.location,
        draft.timezone,
        now,
    )
    return _site(row)


async def get_site(conn: Connection, scope: Scope, id: int) -> Site:
    row = await conn.fetchrow(
        """
        SELECT * FROM sites WHERE organisation_id = $1 AND id = $2 AND ($3::integer[] IS NULL OR id = ANY($3))
        """,
        scope.organisation,
        id,
        scope.sites,
    )
    return _site(row)


async def lock_site(conn: Connection, scope: Scope, id: int) -> Site:
    row = await conn.fetchrow(
        """
        SELECT * FROM sites WHERE organisation_id = $1 AND id = $2 AND ($3::integer[] IS NULL OR id = ANY($3))
        FOR UPDATE
        """,
        scope.organisation,
        id,
        scope.sites,
    )
    return _site(row)


async def page_sites(conn: Connection, scope: Scope, after: int, limit: int) -> list[Site]:
    rows = await conn.fetch(
        """
        SELECT * FROM sites WHERE organisation_id = $1 AND id > $2 AND ($4::integer[] IS NULL OR id = ANY($4))
        ORDER BY id LIMIT $3
        """,
        scope.organisation,
        after,
        limit,
        scope.sites,
    )
    return [_site(row) for row in rows]


async def search_sites(
    conn: Connection, scope: Scope, name: str, skip: int, limit: int | None
) -> tuple[list[Site], int]:
    """Sites whose name contains a text, whatever the case; and how many there are in all."""
    rows = await conn.fetch(
        """
        SELECT * FROM sites WHERE organisation_id = $1 AND strpos(lower(name), lower($2)) > 0
        ORDER BY id OFFSET $3 LIMIT $4
        """,
        scope.organisation,
        name,
        skip,
        limit,
    )
    total: int = await conn.fetchval(
        "SELECT count(*) FROM sites WHERE organisation_id = $1 AND strpos(lower(name), lower($2)) > 0",
        scope.organisation,
        name,
    )
    return [_site(row) for row in rows], total


async def change_site(conn: Connection, scope: Scope, site: Site) -> None:
    await conn.execute(
        """
        UPDATE sites SET name = $3, location = $4, timezone = $5, updated_at = $6, version = $7
        WHERE organisation_id = $1 AND id = $2
        """,
        scope.organisation,
        site.id,
        site.name,
        site.location,
        site.timezone,
        site.updated_at,
        site.version,
    )


async def hold_sites(conn: Connection, scope: Scope, ids: Collection[int]) -> set[int]:
    """Those of these sites that exist; they stay until commit."""
    rows = await conn.fetch(
        "SELECT id FROM sites WHERE organisation_id = $1 AND id = ANY($2) ORDER BY id FOR KEY SHARE",
        scope.organisation,
        list(ids),
    )
    return {row["id"] for row in rows}


async def find_dependents(conn: Connection, scope: Scope, id: int) -> Dependents | None:
    """What still belongs to a site; None: nothing does. The site is locked."""
    found: Dependents | None = await conn.fetchval(
        """
        SELECT CASE
            WHEN EXISTS (SELECT FROM access_points WHERE organisation_id = $1 AND site_id = $2) THEN 'doors'
            WHEN EXISTS (SELECT FROM users WHERE organisation_id = $1 AND home_site_id = $2) THEN 'users'
            WHEN EXISTS (SELECT FROM users WHERE organisation_id = $1 AND $2 = ANY(admin_of_sites)) THEN 'admins'
        END
        """,
        scope.organisation,
        id,
    )
    return found


async def remove_site(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM sites WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


def _site(row: asyncpg.Record | None) -> Site:
    if row is None:
        raise NotFound
    return Site(
        id=row["id"],
        name=row["name"],
        location=row["location"],
        timezone=row["timezone"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


# ------------------------------------------------------------------------------------------------- access points


async def add_door(conn: Connection, scope: Scope, draft: AccessPointDraft, now: int) -> AccessPoint:
    """Numbered within the organisation, from 1; raises NotFound for an unknown site or controller."""
    try:
        row = await conn.fetchrow(
            """
            WITH numbered AS (
                UPDATE organisations SET last_access_point_id = last_access_point_id + 1
                WHERE id = $1 RETURNING last_access_point_id AS id
            )
            INSERT INTO access_points SELECT $1, id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13
            FROM numbered RETURNING *
            """,
            scope.organisation,
            draft.site_id,
            draft.name,
            draft.zone,
            draft.entry_reader,
            draft.exit_reader,
            draft.strike_seconds,
            draft.held_seconds,
            draft.needs_pin,
            draft.is_default,
            draft.degraded,
            draft.controller_id,
            now,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(f"There is no {_missing(error)} with this id.") from None
    return _door(row)


async def get_door(conn: Connection, scope: Scope, id: int) -> AccessPoint:
    row = await conn.fetchrow(
        """
        SELECT * FROM access_points
        WHERE organisation_id = $1 AND id = $2 AND ($3::integer[] IS NULL OR site_id = ANY($3))
        """,
        scope.organisation,
        id,
        scope.sites,
    )
    return _door(row)


async def lock_door(conn: Connection, scope: Scope, id: int) -> AccessPoint:
    row = await conn.fetchrow(
        """
        SELECT * FROM access_points
        WHERE organisation_id = $1 AND id = $2 AND ($3::integer[] IS NULL OR site_id = ANY($3)) FOR UPDATE
        """,
        scope.organisation,
        id,
        scope.sites,
    )
    return _door(row)


async def lock_doors(conn: Connection, scope: Scope, ids: Sequence[int]) -> list[AccessPoint]:
    """The doors with these ids, by ascending id; raises NotFound unless all are the organisation's."""
    if not all(map(is_id, ids)):
        raise NotFound("There is no access point with one of these ids.")
    rows = await conn.fetch(
        "SELECT * FROM access_points WHERE organisation_id = $1 AND id = ANY($2) ORDER BY id FOR NO KEY UPDATE",
        scope.organisation,
        ids,
    )
    if len(rows) != len(set(ids)):
        raise NotFound("There is no access point with one of these ids.")
    return [_door(row) for row in rows]


async def page_doors(conn: Connection, scope: Scope, site: int | None, after: int, limit: int) -> list[AccessPoint]:
    rows = await conn.fetch(
        """
        SELECT * FROM access_points WHERE organisation_id = $1 AND id > $2 AND ($3::integer IS NULL OR site_id = $3)
            AND ($5::integer[] IS NULL OR site_id = ANY($5))
        ORDER BY id LIMIT $4
        """,
        scope.organisation,
        after,
        site,
        limit,
        scope.sites,
    )
    return [_door(row) for row in rows]


async def search_doors(
    conn: Connection, scope: Scope, site: int | None, name: str, skip: int, limit: int | None
) -> tuple[list[AccessPoint], int]:
    """Doors (of a site) whose name contains a text, whatever the case; and how many there are in all."""
    rows = await conn.fetch(
        """
        SELECT * FROM access_points WHERE organisation_id = $1 AND ($2::integer IS NULL OR site_id = $2)
            AND strpos(lower(name), lower($3)) > 0
        ORDER BY id OFFSET $4 LIMIT $5
        """,
        scope.organisation,
        site,
        name,
        skip,
        limit,
    )
    total: int = await conn.fetchval(
        """
        SELECT count(*) FROM access_points WHERE organisation_id = $1 AND ($2::integer IS NULL OR site_id = $2)
            AND strpos(lower(name), lower($3)) > 0
        """,
        scope.organisation,
        site,
        name,
    )
    return [_door(row) for row in rows], total


async def change_door(conn: Connection, scope: Scope, door: AccessPoint) -> None:
    """Raises NotFound for an unknown controller."""
    try:
        await conn.execute(
            """
            UPDATE access_points SET name = $3, zone = $4, entry_reader = $5, exit_reader = $6, strike_seconds = $7,
                held_seconds = $8, needs_pin = $9, is_default = $10, degraded = $11, controller_id = $12,
                updated_at = $13, version = $14
            WHERE organisation_id = $1 AND id = $2
            """,
            scope.organisation,
            door.id,
            door.name,
            door.zone,
            door.entry_reader,
            door.exit_reader,
            door.strike_seconds,
            door.held_seconds,
            door.needs_pin,
            door.is_default,
            door.degraded,
            door.controller_id,
            door.updated_at,
            door.version,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(f"There is no {_missing(error)} with this id.") from None


async def doors_of_controller(conn: Connection, scope: Scope, controller: int) -> list[int]:
    rows = await conn.fetch(
        "SELECT id FROM access_points WHERE organisation_id = $1 AND controller_id = $2 ORDER BY id",
        scope.organisation,
        controller,
    )
    return [row["id"] for row in rows]


async def assign_doors(conn: Connection, scope: Scope, controller: int, doors: Sequence[int], now: int) -> None:
    """These doors, and no others, are run by the controller from now on."""
    await conn.execute(
        """
        UPDATE access_points SET updated_at = $4, version = version + 1,
            controller_id = CASE WHEN id = ANY($3) THEN $2 ELSE NULL END
        WHERE organisation_id = $1
            AND ((id = ANY($3) AND controller_id IS DISTINCT FROM $2) OR (NOT id = ANY($3) AND controller_id = $2))
        """,
        scope.organisation,
        controller,
        doors,
        now,
    )


async def remove_door(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM access_points WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


async def name_doors(conn: Connection, scope: Scope, ids: Sequence[int]) -> dict[int, tuple[str, int]]:
    """(name, site) of those of these doors that still exist."""
    rows = await conn.fetch(
        """
        SELECT id, name, site_id FROM access_points
        WHERE organisation_id = $1 AND id = ANY($2) AND ($3::integer[] IS NULL OR site_id = ANY($3))
        """,
        scope.organisation,
        ids,
        scope.sites,
    )
    return {row["id"]: (row["name"], row["site_id"]) for row in rows}


def _missing(error: asyncpg.ForeignKeyViolationError) -> str:
    return "controller" if "controller" in (error.constraint_name or "") else "site"


def _door(row: asyncpg.Record | None) -> AccessPoint:
    if row is None:
        raise NotFound
    return AccessPoint(**{name: row[name] for name in AccessPoint.__struct_fields__})
