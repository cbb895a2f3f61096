"""All SQL of history, door modes, and what a decision asks. History only reads: the log is written elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import msgspec

from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.cloud.passages.model import Mode, Search, Standing
from latchwork.policy.reasons import Reason
from latchwork.wire.api.events import Actor
from latchwork.wire.api.passages import AttendanceMark, DoorState, Passage, PassageUser, PassageVisitor
from latchwork.wire.api.problems import NotFound
from latchwork.wire.cards import last_digits

# ------------------------------------------------------------------------------------------------- history

_IDS = {
    "doors": "access_point_id",
    "sites": "site_id",
    "users": "user_id",
    "visitors": "visitor_id",
    "meetings": "meeting_id",
}
_OF_USERS = "user_id IS NOT NULL AND user_id IN (SELECT u.id FROM users u WHERE u.organisation_id = $1 AND {})"
_CONDITIONS = {
    "direction": "direction = {}::text",
    "credentials": "credential = ANY({}::text[])",
    "granted": "(granted AND NOT withheld) = {}::boolean",
    "reason": "reason = {}::text",
    "from_at": "at >= {}::float8",
    "to_at": "at < {}::float8",
    "name": "strpos(lower(concat_ws(E'\\n', user_name, visitor_name, visitor_key)), lower({}::text)) > 0",
    "employee_code": "lower(employee_code) = lower({}::text)",
    "email": _OF_USERS.format("lower(u.email) = lower({}::text)"),
    "phone": _OF_USERS.format("u.phone = {}::text"),
    "roles": _OF_USERS.format("u.roles && {}::text[]"),
    "terms": _OF_USERS.format("u.terms && {}::integer[]"),
    "managers": _OF_USERS.format("u.reporting_to = ANY({}::bigint[])"),
    "location": """site_id IN (SELECT id FROM sites WHERE organisation_id = $1
        AND strpos(lower(concat_ws(E'\\n', name, location)), lower({}::text)) > 0)""",
}
"""What each field of a search demands. Only what is asked stands in the statement, so that the plan uses its index."""
_OPENS = "ask NOT IN ('lock', 'normal')"
_OF_REPORTS = """user_id IS NOT NULL AND user_id = ANY(ARRAY(
    SELECT u.id FROM users u WHERE u.organisation_id = $1 AND u.reporting_to = {}::bigint))"""
_NO_PASSAGE = "There is no entry or refusal with this number."
_SENTENCES = {reason.value: reason.sentence for reason in Reason}


_TIMEZONE = """(SELECT s.timezone FROM sites s
    WHERE s.organisation_id = passages.organisation_id AND s.id = site_id) AS timezone"""


_LATEST_AT = f"""
    SELECT passed.* FROM unnest($2::bigint[]) AS d (id), LATERAL (
        SELECT *, {_TIMEZONE} FROM passages
        WHERE organisation_id = $1 AND access_point_id = d.id ORDER BY number DESC LIMIT 1
    ) AS passed WHERE $3::bigint[] IS NULL OR passed.site_id = ANY($3)
"""  # noqa: S608 - our own


async def page(conn: Connection, scope: Scope, search: Search, before: int | None, limit: int) -> list[Passage]:
    """Passages with a number below `before`, the newest first."""
    where, values = _where(scope, search)
    if before is not None:
        values.append(before)
        where += f" AND number < ${len(values) + 1}"
    # a name may be rare: the log is not walked back for it, but what else is asked for is searched and put in order
    order = "number" if search.name is None else "number + 0"
    rows = await conn.fetch(
        f"SELECT *, {_TIMEZONE} FROM passages WHERE {where} ORDER BY {order} DESC LIMIT ${len(values) + 2}",  # noqa: S608 - our own
        scope.organisation,
        *values,
        limit,
    )
    return [_passage(row) for row in rows]


async def search(conn: Connection, scope: Scope, search: Search, skip: int, limit: int) -> tuple[list[Passage], int]:
    """Passages, the newest first; and how many there are in all."""
    where, values = _where(scope, search)
    last = len(values) + 1
    rows = await conn.fetch(
        f"SELECT *, {_TIMEZONE} FROM passages WHERE {where} ORDER BY number DESC OFFSET ${last + 1} LIMIT ${last + 2}",  # noqa: S608
        scope.organisation,
        *values,
        skip,
        limit,
    )
    total: int = await conn.fetchval(
        f"SELECT count(*) FROM passages WHERE {where}",  # noqa: S608
        scope.organisation,
        *values,
    )
    return [_passage(row) for row in rows], total


async def latest_at(conn: Connection, scope: Scope, doors: Sequence[int]) -> dict[int, Passage]:
    """The latest to become known at each of these doors, where it is within reach by its site.

    One step into the index for each door: nothing is searched for further back.
    """
    rows = await conn.fetch(_LATEST_AT, scope.organisation, doors, scope.sites)
    return {row["access_point_id"]: _passage(row) for row in rows}


async def get(conn: Connection, scope: Scope, number: int) -> Passage:
    """One passage; raises NotFound."""
    found = await page(conn, scope, Search(), number + 1, 1)
    if not found or found[0].number != number:
        raise NotFound(_NO_PASSAGE)
    return found[0]


async def count_by_hour(conn: Connection, scope: Scope, search: Search, since: int) -> dict[int, tuple[int, int]]:
    """(entries, refusals) of those hours after an instant in which anybody came, by the hour's number from 0."""
    where, values = _where(scope, search)
    rows = await conn.fetch(
        f"""
        SELECT floor((at - ${len(values) + 2}::float8) / 3600)::integer AS hour,
            count(*) FILTER (WHERE granted AND direction = 'entry' AND NOT withheld AND {_OPENS}) AS entries,
            coalesce(sum(count) FILTER (WHERE NOT granted), 0)::bigint AS refusals
        FROM passages WHERE {where} GROUP BY 1
        """,  # noqa: S608 - our own
        scope.organisation,
        *values,
        since,
    )
    return {row["hour"]: (row["entries"], row["refusals"]) for row in rows}


async def first_and_last(
    conn: Connection, scope: Scope, user: int, first: date, last: date
) -> dict[date, dict[str, AttendanceMark]]:
    """By day on the clock of each site: the first entry and the last exit of somebody (`entry`, `exit`).

    Doors that were opened from afar, or were not opened, say nothing about where somebody was.
    """
    since, until = (datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() for day in (first, last))
    where, values = _where(scope, Search(users=[user], granted=True, from_at=since - 86_400, to_at=until + 2 * 86_400))
    n = len(values)
    rows = await conn.fetch(
        f"""
        SELECT DISTINCT ON (day, direction) * FROM (
            SELECT here.*, (to_timestamp(at) AT TIME ZONE coalesce(timezone, 'UTC'))::date AS day
            FROM (SELECT *, {_TIMEZONE} FROM passages
                WHERE {where} AND credential <> 'remote' AND {_OPENS}) AS here
        ) AS passed
        WHERE day BETWEEN ${n + 2}::date AND ${n + 3}::date
        ORDER BY day, direction, CASE direction WHEN 'entry' THEN at ELSE -at END
        """,  # noqa: S608 - our own
        scope.organisation,
        *values,
        first,
        last,
    )
    days: dict[date, dict[str, AttendanceMark]] = {}
    for row in rows:
        name = row["access_point_name"] or ""
        mark = AttendanceMark(row["at"], row["access_point_id"], name, row["site_id"], row["timezone"])
        days.setdefault(row["day"], {})[row["direction"]] = mark
    return days


async def get_passage(conn: Connection, scope: Scope, number: int) -> asyncpg.Record:
    """A row as it is stored; raises NotFound."""
    row = await conn.fetchrow(
        """
        SELECT * FROM passages
        WHERE organisation_id = $1 AND number = $2 AND ($3::bigint[] IS NULL OR site_id = ANY($3))
        """,
        scope.organisation,
        number,
        scope.sites,
    )
    if row is None:
        raise NotFound(_NO_PASSAGE)
    return row


async def first_used_at(
    conn: Connection, scope: Scope, visitor: int, pass_id: str, door: int, direction: str
) -> float | None:
    """When a visitor's pass first opened a door."""
    at: float | None = await conn.fetchval(
        """
        SELECT min(at) FROM passages WHERE organisation_id = $1 AND visitor_id = $2 AND pass_id = $3
            AND access_point_id = $4 AND direction = $5 AND granted AND NOT withheld
        """,
        scope.organisation,
        visitor,
        pass_id,
        door,
        direction,
    )
    return at


async def code_used_at(
    conn: Connection, scope: Scope, user: int, pass_id: str, doors_of: int, since: int
) -> float | None:
    """When a user's own code, made after an instant, first opened a door of this door's controller."""
    at: float | None = await conn.fetchval(
        """
        SELECT min(at) FROM passages WHERE organisation_id = $1 AND user_id = $2 AND pass_id = $3 AND at >= $5
            AND granted AND NOT withheld AND access_point_id IN (
                SELECT o.id FROM access_points a JOIN access_points o ON o.organisation_id = a.organisation_id
                    AND (o.id = a.id OR o.controller_id = a.controller_id)
                WHERE a.organisation_id = $1 AND a.id = $4)
        """,
        scope.organisation,
        user,
        pass_id,
        doors_of,
        since,
    )
    return at


def _where(scope: Scope, search: Search) -> tuple[str, list[Any]]:
    """The conditions from $2 on; $1 is the organisation."""
    given = [*_given_ids(search)]
    given += [(text, value) for name, text in _CONDITIONS.items() if (value := getattr(search, name)) is not None]
    texts = [text.format(f"${number}") for number, (text, _) in enumerate(given, 2)]
    limit, limits = _within(scope, len(given) + 2)
    return " AND ".join(["organisation_id = $1", *texts, *limit]), [*(value for _, value in given), *limits]


def _within(scope: Scope, number: int) -> tuple[list[str], list[Any]]:
    """What a limited reach demands, from this parameter on: a door of these sites, or who reports to the chief."""
    if scope.reach is None:
        return [], []
    sites = f"site_id = ANY(${number}::bigint[])"
    if scope.chief is None:
        return [sites], [scope.sites]
    if not scope.sites:  # alone, it is found by its index
        return [_OF_REPORTS.format(f"${number}")], [scope.chief]
    return [f"({sites} OR {_OF_REPORTS.format(f'${number + 1}')})"], [scope.sites, scope.chief]


def _given_ids(search: Search) -> Iterator[tuple[str, Any]]:
    """One id is asked for by `=`: only so does its index also give the order."""
    for name, column in _IDS.items():
        ids: Sequence[int] | None = getattr(search, name)
        if ids is not None and len(ids) == 1:
            yield f"{column} = {{}}::bigint", ids[0]
        elif ids is not None:
            yield f"{column} IS NOT NULL AND {column} = ANY({{}}::bigint[])", ids


def _passage(row: asyncpg.Record) -> Passage:
    return Passage(
        number=row["number"],
        at=row["at"],
        recorded_at=row["recorded_at"],
        access_point_id=row["access_point_id"],
        access_point_name=row["access_point_name"] or "",
        site_id=row["site_id"],
        direction=row["direction"],
        granted=row["granted"],
        reason=row["reason"],
        sentence=sentence(row["reason"]),
        withheld=row["withheld"],
        credential=row["credential"],
        card_last_digits=row["card_last_digits"],
        user=_user(row),
        visitor=_visitor(row),
        requested_by=msgspec.json.decode(row["requested_by"], type=Actor) if row["requested_by"] else None,
        count=row["count"],
        timezone=row["timezone"],
        manner=row["manner"],
        ask=row["ask"],
    )


def sentence(code: str) -> str:
    """A reason's sentence; a code of a later version is its own."""
    return _SENTENCES.get(code, code)


def _user(row: asyncpg.Record) -> PassageUser | None:
    if row["user_id"] is None:
        return None
    return PassageUser(row["user_id"], row["user_name"] or "", row["employee_code"] or "")


def _visitor(row: asyncpg.Record) -> PassageVisitor | None:
    if row["visitor_id"] is None:
        return None
    return PassageVisitor(row["visitor_id"], row["visitor_key"] or "", row["visitor_name"] or "", row["meeting_id"])


async def name_gone_users(conn: Connection, scope: Scope, ids: Collection[int]) -> dict[int, str]:
    """The names of those of these users who were deleted, as the log has them."""
    rows = await conn.fetch(
        """
        SELECT subject, data ->> 'name' AS name FROM events
        WHERE organisation_id = $1 AND type = 'user_deleted' AND subject = ANY($2)
        """,
        scope.organisation,
        [f"user/{id}" for id in ids],
    )
    return {int(row["subject"].removeprefix("user/")): row["name"] for row in rows}


async def card_digits(conn: Connection, scope: Scope, ids: Collection[int]) -> dict[int, str]:
    """The last digits of those of these cards that still exist."""
    rows = await conn.fetch(
        "SELECT id, number FROM cards WHERE organisation_id = $1 AND id = ANY($2)",
        scope.organisation,
        list(ids),
    )
    return {row["id"]: last_digits(row["number"]) for row in rows}


# ------------------------------------------------------------------------------------------------- modes


async def find_mode(conn: Connection, scope: Scope, door: int) -> Mode | None:
    row = await conn.fetchrow(
        "SELECT mode, until FROM door_modes WHERE organisation_id = $1 AND access_point_id = $2",
        scope.organisation,
        door,
    )
    return Mode(*row) if row else None


async def mode_changed_at(conn: Connection, scope: Scope, door: int) -> float:
    """When somebody last changed a door's mode; that one ended by itself is nobody's change. 0: never."""
    at: float | None = await conn.fetchval(
        """
        SELECT max(at) FROM events WHERE organisation_id = $1 AND subject = $2 AND type = 'door_mode_changed'
            AND (actor ->> 'kind') <> 'system'
        """,
        scope.organisation,
        f"access_point/{door}",
    )
    return at or 0.0


async def put_mode(conn: Connection, scope: Scope, door: int, mode: Mode) -> None:
    await conn.execute(
        """
        INSERT INTO door_modes VALUES ($1, $2, $3, $4)
        ON CONFLICT (organisation_id, access_point_id) DO UPDATE SET mode = EXCLUDED.mode, until = EXCLUDED.until
        """,
        scope.organisation,
        door,
        mode.mode,
        mode.until,
    )


async def remove_mode(conn: Connection, scope: Scope, door: int) -> None:
    await conn.execute(
        "DELETE FROM door_modes WHERE organisation_id = $1 AND access_point_id = $2", scope.organisation, door
    )


async def expired_modes(conn: Connection, now: int) -> list[tuple[int, int]]:
    """(organisation, door) of modes that are over."""
    rows = await conn.fetch(
        "SELECT organisation_id, access_point_id FROM door_modes WHERE until <= $1 ORDER BY 1, 2 LIMIT 1000", now
    )
    return [(row["organisation_id"], row["access_point_id"]) for row in rows]


async def mode_records(
    conn: Connection, scope: Scope, doors: Sequence[int] | None, controllers: Sequence[int] | None
) -> list[asyncpg.Record]:
    """The modes of these doors that have a controller, or all at these controllers."""
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT m.access_point_id, m.mode, m.until, a.controller_id FROM door_modes m
        JOIN access_points a ON a.organisation_id = m.organisation_id AND a.id = m.access_point_id
        WHERE m.organisation_id = $1 AND a.controller_id IS NOT NULL
            AND ($2::integer[] IS NULL OR m.access_point_id = ANY($2))
            AND ($3::bigint[] IS NULL OR a.controller_id = ANY($3))
        """,
        scope.organisation,
        doors,
        controllers,
    )
    return rows


# ------------------------------------------------------------------------------------------------- how doors stand


async def page_states(
    conn: Connection, scope: Scope, site: int | None, after: int, limit: int, now: int
) -> list[DoorState]:
    """How doors (of a site) are now, by ascending door."""
    rows = await conn.fetch(
        """
        SELECT a.id,
            CASE WHEN m.until <= $6 THEN NULL ELSE m.mode END AS mode,
            CASE WHEN m.until <= $6 THEN NULL ELSE m.until END AS until,
            NOT l.frozen AND NOT EXISTS (
                SELECT FROM desired_records d WHERE d.organisation_id = a.organisation_id AND d.kind = 'mode'
                    AND d.key = a.id::text AND d.controller_id = a.controller_id AND d.revision > l.confirmed_revision
            ) AS confirmed,
            CASE WHEN c.id IS NULL THEN 'none' WHEN c.enrolled_at IS NULL THEN 'waiting'
                WHEN l.online_until <= $6 THEN 'offline' WHEN l.frozen THEN 'frozen' ELSE 'online' END AS link,
            (SELECT min(r.made_at) FROM revision_marks r
                WHERE r.controller_id = c.id AND r.revision > l.confirmed_revision) AS pending_since,
            l.last_seen_at, s.is_open, s.alarm, coalesce(s.fire, false) AS fire, s.told_at
        FROM access_points a
        LEFT JOIN controllers c ON c.organisation_id = a.organisation_id AND c.id = a.controller_id
        LEFT JOIN controller_links l ON l.controller_id = c.id
        LEFT JOIN door_modes m ON m.organisation_id = a.organisation_id AND m.access_point_id = a.id
        LEFT JOIN door_states s ON s.organisation_id = a.organisation_id AND s.access_point_id = a.id
        WHERE a.organisation_id = $1 AND a.id > $2 AND ($3::integer IS NULL OR a.site_id = $3)
            AND ($4::integer[] IS NULL OR a.site_id = ANY($4))
        ORDER BY a.id LIMIT $5
        """,
        scope.organisation,
        after,
        site,
        scope.sites,
        limit,
        now,
    )
    return [_state(row) for row in rows]


def _state(row: asyncpg.Record) -> DoorState:
    return DoorState(
        access_point_id=row["id"],
        mode=row["mode"] or "access_control",
        until=row["until"],
        confirmed=row["confirmed"],
        link=row["link"],
        last_seen_at=row["last_seen_at"],
        is_open=row["is_open"],
        alarm=row["alarm"],
        fire=row["fire"],
        told_at=row["told_at"],
        pending_since=row["pending_since"],
    )


async def lock_standings(
    conn: Connection, scope: Scope, controller: int, doors: Collection[int]
) -> dict[int, Standing]:
    """How those of these doors stand that the controller runs; they are neither deleted nor moved until commit."""
    rows = await conn.fetch(
        """
        SELECT a.id, s.is_open, s.alarm, coalesce(s.fire, false) AS fire, coalesce(s.told_at, 0) AS told_at
        FROM access_points a
        LEFT JOIN door_states s ON s.organisation_id = a.organisation_id AND s.access_point_id = a.id
        WHERE a.organisation_id = $1 AND a.controller_id = $2 AND a.id = ANY($3::bigint[])
        ORDER BY a.id FOR SHARE OF a
        """,
        scope.organisation,
        controller,
        list(doors),
    )
    return {row["id"]: Standing(row["is_open"], row["alarm"], row["fire"], row["told_at"]) for row in rows}


async def put_standings(conn: Connection, scope: Scope, standings: Mapping[int, Standing]) -> None:
    await conn.executemany(
        """
        INSERT INTO door_states VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (organisation_id, access_point_id) DO UPDATE SET
            is_open = EXCLUDED.is_open, alarm = EXCLUDED.alarm, fire = EXCLUDED.fire, told_at = EXCLUDED.told_at
        """,
        [(scope.organisation, door, s.is_open, s.alarm, s.fire, s.told_at) for door, s in standings.items()],
    )


# ------------------------------------------------------------------------------------------------- what a decision asks


async def get_door(conn: Connection, scope: Scope, door: int) -> asyncpg.Record:
    """The door with all that its site and organisation say about it, its mode, and its site's holidays."""
    row = await conn.fetchrow(
        """
        SELECT a.id, a.name, a.controller_id, a.site_id, a.entry_reader, a.exit_reader, a.degraded, a.needs_pin,
            s.timezone, o.single_use, o.offline_limit, m.mode, m.until,
            ARRAY(SELECT h.day FROM holidays h WHERE h.organisation_id = a.organisation_id AND h.site_id = a.site_id)
                AS holidays
        FROM access_points a JOIN organisations o ON o.id = a.organisation_id
        JOIN sites s ON s.organisation_id = a.organisation_id AND s.id = a.site_id
        LEFT JOIN door_modes m ON m.organisation_id = a.organisation_id AND m.access_point_id = a.id
        WHERE a.organisation_id = $1 AND a.id = $2 AND ($3::integer[] IS NULL OR a.site_id = ANY($3))
        """,
        scope.organisation,
        door,
        scope.sites,
    )
    if row is None:
        raise NotFound("There is no access point with this id.")
    return row


async def find_person(
    conn: Connection, scope: Scope, user: int, door: int, controller: int | None
) -> asyncpg.Record | None:
    """A user and their grant for a door, if any; None when the door's controller need not know them."""
    return await conn.fetchrow(
        """
        SELECT u.id, u.deactivated_at IS NULL AS is_active, u.access, u.access_expires_at, u.pin_salt, u.pin_hash,
            u.roles, u.admin_of_sites, g.user_id IS NOT NULL AS has_grant, g.starts_at, g.ends_at,
            g.schedule_id, s.week, s.holiday
        FROM users u
        LEFT JOIN grants g ON g.organisation_id = u.organisation_id AND g.user_id = u.id AND g.access_point_id = $3
        LEFT JOIN schedules s ON s.organisation_id = g.organisation_id AND s.id = g.schedule_id
        WHERE u.organisation_id = $1 AND u.id = $2 AND ($4::bigint IS NULL OR EXISTS (
            SELECT FROM grants o JOIN access_points a ON a.organisation_id = o.organisation_id
                AND a.id = o.access_point_id
            WHERE o.organisation_id = u.organisation_id AND o.user_id = u.id AND a.controller_id = $4))
        """,
        scope.organisation,
        user,
        door,
        controller,
    )


async def refuse_below(conn: Connection, scope: Scope, meeting: int, controller: int | None) -> int:
    """Passes of the meeting below this version are revoked, as far as a controller is told (None: anywhere)."""
    below: int | None = await conn.fetchval(
        """
        SELECT r.refuse_below FROM meeting_revocations r
        WHERE r.organisation_id = $1 AND r.meeting_id = $2 AND ($3::bigint IS NULL OR EXISTS (
            SELECT FROM access_points a WHERE a.organisation_id = r.organisation_id AND a.id = ANY(r.access_points)
                AND a.controller_id = $3))
        """,
        scope.organisation,
        meeting,
        controller,
    )
    return below or 0


async def has_confirmed(conn: Connection, scope: Scope, controller: int, records: Collection[tuple[str, str]]) -> bool:
    """Whether a controller has confirmed the present state of all these records (kind, key); key `*`: of all.

    What it confirms of kinds that it cannot enforce counts for nothing.
    """
    confirmed: bool = await conn.fetchval(
        """
        SELECT NOT l.frozen AND l.kinds @> $6 AND NOT EXISTS (
            SELECT FROM unnest($3::text[], $4::text[]) AS t (kind, key) JOIN desired_records d
                ON d.organisation_id = $1 AND d.controller_id = $2 AND d.kind = t.kind AND d.key = t.key
            WHERE d.revision > l.confirmed_revision
        ) AND NOT EXISTS (
            SELECT FROM desired_records d WHERE d.controller_id = $2 AND d.revision > l.confirmed_revision
                AND d.kind = ANY($5)
        )
        FROM controller_links l WHERE l.organisation_id = $1 AND l.controller_id = $2
        """,
        scope.organisation,
        controller,
        [kind for kind, key in records if key != "*"],
        [key for _, key in records if key != "*"],
        [kind for kind, key in records if key == "*"],
        list({kind for kind, _ in records}),
    )
    return confirmed


async def is_online(conn: Connection, scope: Scope, controller: int, now: int) -> bool:
    online: bool | None = await conn.fetchval(
        "SELECT online_until > $3 FROM controller_links WHERE organisation_id = $1 AND controller_id = $2",
        scope.organisation,
        controller,
        now,
    )
    return bool(online)
