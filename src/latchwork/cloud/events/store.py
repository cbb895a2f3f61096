"""All SQL of the event log and its alarms. Only `append` writes the log."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import msgspec

from latchwork.cloud.events.model import Deeds
from latchwork.cloud.kernel.work import Connection, EventDraft, Scope
from latchwork.wire.api.events import ALARMS, Actor, Alarm, Event
from latchwork.wire.api.problems import NotFound


async def append(conn: Connection, scope: Scope, actor: Actor, recorded_at: float, drafts: Sequence[EventDraft]) -> int:
    """Numbers and stores the facts, in order, and opens the alarms among them; answers the last number.

    `actor`: of those that do not name their own.

    The counter's row stays locked until commit, so numbers become visible in order and a reader with a cursor misses
    nothing: let nothing of the transaction come after this.
    """
    last: int = await conn.fetchval(
        """
        WITH counter AS (
            UPDATE event_counters SET last = last + $2 WHERE organisation_id = $1 RETURNING last
        ), stored AS (
            INSERT INTO events
                (organisation_id, number, type, at, recorded_at, actor, subject, data, before, after)
            SELECT $1, counter.last - $2 + f.n, f.type, f.at, $3, f.actor::jsonb,
                f.subject, f.data::jsonb, f.before::jsonb, f.after::jsonb
            FROM counter, unnest($4::text[], $5::text[], $6::float8[], $7::text[], $8::text[], $9::text[], $10::text[])
                WITH ORDINALITY AS f (actor, type, at, subject, data, before, after, n)
        )
        SELECT last FROM counter
        """,
        scope.organisation,
        len(drafts),
        recorded_at,
        [msgspec.json.encode(d.actor or actor).decode() for d in drafts],
        [d.type for d in drafts],
        [d.at for d in drafts],
        [d.subject for d in drafts],
        [d.data.decode() for d in drafts],
        [d.before.decode() if d.before else None for d in drafts],
        [d.after.decode() if d.after else None for d in drafts],
    )
    if alarms := [n for n, draft in enumerate(reversed(drafts)) if draft.type in ALARMS]:
        await conn.execute(
            "INSERT INTO alarms (organisation_id, number) SELECT $1, $2 - unnest($3::bigint[])",
            scope.organisation,
            last,
            alarms,
        )
    return last


async def page(conn: Connection, scope: Scope, after: int, limit: int) -> list[Event]:
    """Events with a number above `after`, oldest first."""
    rows = await conn.fetch(
        "SELECT * FROM events WHERE organisation_id = $1 AND number > $2 ORDER BY number LIMIT $3",
        scope.organisation,
        after,
        limit,
    )
    return [_event(row) for row in rows]


async def page_within(conn: Connection, scope: Scope, after: int, until: int, limit: int) -> list[Event]:
    """As `page`, up to a number, of those within reach: what happened at doors and sites, and to people at home there.

    Of who reports to somebody: their entries and refusals. What names a door is judged by that door alone; a meeting
    by all of its doors.
    """
    rows = await conn.fetch(_WITHIN, scope.organisation, scope.sites, scope.chief, after, until, limit, None)
    return [_event(row) for row in rows]


_SEEN = """
    (CASE
        WHEN e.data ->> 'siteId' IS NOT NULL THEN (e.data ->> 'siteId')::bigint = ANY($2::integer[])
        WHEN e.data ->> 'accessPointId' IS NOT NULL OR s.kind = 'access_point' THEN EXISTS (
            SELECT FROM access_points a WHERE a.organisation_id = $1 AND a.site_id = ANY($2)
                AND a.id = coalesce(e.data ->> 'accessPointId', s.id)::bigint)
        WHEN s.kind = 'site' THEN s.id::bigint = ANY($2)
        WHEN s.kind = 'user' THEN EXISTS (
            SELECT FROM users u WHERE u.organisation_id = $1 AND u.id = s.id::bigint AND u.home_site_id = ANY($2))
        WHEN s.kind = 'meeting' THEN (
            SELECT bool_and(a.site_id = ANY($2)) FROM jsonb_array_elements_text(s.doors) AS d (id)
            JOIN access_points a ON a.organisation_id = $1 AND a.id = d.id::bigint)
        END OR (e.type IN ('access_granted', 'access_refused') AND EXISTS (
            SELECT FROM users u WHERE u.organisation_id = $1 AND u.id = (e.data ->> 'userId')::bigint
                AND u.reporting_to = $3::bigint)))
"""
"""Whether an event `e` about `s` is within the reach of sites $2 and chief $3."""
_ABOUT = """
    LATERAL (
        SELECT split_part(e.subject, '/', 1) AS kind, split_part(e.subject, '/', 2) AS id,
            coalesce(e.before -> 'accessPoints', '[]') || coalesce(e.after -> 'accessPoints', '[]') AS doors
    ) AS s
"""
_WITHIN = f"""
    SELECT e.* FROM events e, {_ABOUT}
    WHERE e.organisation_id = $1 AND e.number > $4 AND e.number <= $5
        AND ($7::bigint[] IS NULL OR e.number = ANY($7)) AND {_SEEN}
    ORDER BY e.number LIMIT $6
"""  # noqa: S608 - our own

# ------------------------------------------------------------------------------------------------- alarms

_STATES = {None: "true", True: "al.acknowledged_at IS NULL", False: "al.acknowledged_at IS NOT NULL"}


async def page_alarms(
    conn: Connection, scope: Scope, is_open: bool | None, before: int | None, limit: int
) -> list[Alarm]:
    """Alarms within reach with a number below `before`, the newest first; of a state, or (None) of both."""
    rows = await conn.fetch(
        f"""
        SELECT e.*, al.acknowledged_at, al.acknowledged_by, al.note
        FROM alarms al JOIN events e ON e.organisation_id = al.organisation_id AND e.number = al.number, {_ABOUT}
        WHERE al.organisation_id = $1 AND {_STATES[is_open]} AND al.number < $4 AND ($2::integer[] IS NULL OR {_SEEN})
        ORDER BY al.number DESC LIMIT $5
        """,  # noqa: S608 - our own
        scope.organisation,
        scope.sites,
        scope.chief,
        2**62 if before is None else before,
        limit,
    )
    return [_alarm(row) for row in rows]


async def lock_alarm(conn: Connection, scope: Scope, number: int) -> Alarm:
    """An alarm within reach, which nobody else acknowledges until commit."""
    await conn.execute(
        "SELECT FROM alarms WHERE organisation_id = $1 AND number = $2 FOR UPDATE", scope.organisation, number
    )
    found = await page_alarms(conn, scope, None, number + 1, 1)
    if not found or found[0].event.number != number:
        raise NotFound("There is no alarm with this number.")
    return found[0]


async def acknowledge(conn: Connection, scope: Scope, number: int, by: Actor, at: int, note: str) -> None:
    await conn.execute(
        """
        UPDATE alarms SET acknowledged_at = $3, acknowledged_by = $4::jsonb, note = $5
        WHERE organisation_id = $1 AND number = $2
        """,
        scope.organisation,
        number,
        at,
        msgspec.json.encode(by).decode(),
        note,
    )


def _alarm(row: asyncpg.Record) -> Alarm:
    by = row["acknowledged_by"]
    return Alarm(
        event=_event(row),
        acknowledged_at=row["acknowledged_at"],
        acknowledged_by=msgspec.json.decode(by, type=Actor) if by else None,
        note=row["note"],
    )


# ------------------------------------------------------------------------------------------------- the counter


async def newest(conn: Connection, scope: Scope, before: int, limit: int) -> list[Event]:
    """Events with a number below `before`, newest first."""
    rows = await conn.fetch(
        "SELECT * FROM events WHERE organisation_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
        scope.organisation,
        before,
        limit,
    )
    return [_event(row) for row in rows]


async def newest_deeds(conn: Connection, scope: Scope, wanted: Deeds, before: int, limit: int) -> list[Event]:
    """What somebody did, with a number below `before`, newest first: merged from what each kind of actor did last."""
    rows = await conn.fetch(
        """
        SELECT e.* FROM events e WHERE e.organisation_id = $1 AND e.number IN (
            SELECT d.number FROM unnest($2::text[]) AS t (type), unnest($3::text[]) AS k (kind), LATERAL (
                SELECT number FROM events
                WHERE organisation_id = $1 AND type = t.type AND actor ->> 'kind' = k.kind
                    AND actor ->> 'kind' <> 'controller' AND number >= $4 AND number < $5
                ORDER BY number DESC LIMIT $6
            ) AS d ORDER BY d.number DESC LIMIT $6
        ) ORDER BY e.number DESC
        """,
        scope.organisation,
        wanted.types,
        wanted.actors,
        wanted.since,
        before,
        limit,
    )
    return [_event(row) for row in rows]


async def newest_about(
    conn: Connection, scope: Scope, wanted: Deeds, subject: str, before: int, limit: int
) -> list[Event]:
    """As `newest_deeds`, of what is about one thing."""
    rows = await conn.fetch(
        """
        SELECT * FROM events
        WHERE organisation_id = $1 AND subject = $2 AND actor ->> 'kind' <> 'controller' AND type = ANY($3)
            AND actor ->> 'kind' = ANY($4) AND number >= $5 AND number < $6
        ORDER BY number DESC LIMIT $7
        """,
        scope.organisation,
        subject,
        wanted.types,
        wanted.actors,
        wanted.since,
        before,
        limit,
    )
    return [_event(row) for row in rows]


async def first_deed_from(conn: Connection, scope: Scope, at: float) -> int | None:
    """The number of the first deed that was recorded at an instant or later; None: there is none."""
    number: int | None = await conn.fetchval(
        """
        SELECT number FROM events
        WHERE organisation_id = $1 AND actor ->> 'kind' <> 'controller' AND recorded_at >= $2
        ORDER BY recorded_at, number LIMIT 1
        """,
        scope.organisation,
        at,
    )
    return number


async def within(conn: Connection, scope: Scope, found: Sequence[Event]) -> list[Event]:
    """Those of these events that are within reach, in their order."""
    if scope.reach is None or not found:
        return list(found)
    first, last = min(e.number for e in found), max(e.number for e in found)
    numbers = [event.number for event in found]
    rows = await conn.fetch(_WITHIN, scope.organisation, scope.sites, scope.chief, first - 1, last, len(found), numbers)
    seen = {row["number"] for row in rows}
    return [event for event in found if event.number in seen]


async def last_number(conn: Connection, scope: Scope) -> int:
    """The number of the newest event; 0: none yet."""
    last: int | None = await conn.fetchval(
        "SELECT last FROM event_counters WHERE organisation_id = $1", scope.organisation
    )
    return last or 0


async def lock(conn: Connection, scope: Scope) -> None:
    """Lets nobody else of the organisation come to their closing steps until commit."""
    await conn.execute("SELECT FROM event_counters WHERE organisation_id = $1 FOR UPDATE", scope.organisation)


async def open_log(conn: Connection, organisation: int) -> None:
    """A new organisation's counter."""
    await conn.execute("INSERT INTO event_counters (organisation_id) VALUES ($1)", organisation)


def _event(row: asyncpg.Record) -> Event:
    return Event(
        number=row["number"],
        type=row["type"],
        at=row["at"],
        recorded_at=row["recorded_at"],
        actor=msgspec.json.decode(row["actor"], type=Actor),
        subject=row["subject"],
        data=msgspec.json.decode(row["data"]),
        before=msgspec.json.decode(row["before"]) if row["before"] else None,
        after=msgspec.json.decode(row["after"]) if row["after"] else None,
    )
