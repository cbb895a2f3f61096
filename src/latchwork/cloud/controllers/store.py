"""All SQL of controllers: their rows, desired state, links, journals, enrolment codes and pass keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

import asyncpg
import msgspec

from latchwork.cloud.controllers.model import (
    Batch,
    Code,
    CommandDraft,
    CommandRow,
    Computed,
    Held,
    PassKeyRow,
    ReaderKeyRow,
)
from latchwork.cloud.controllers.rules import Course
from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.wire.api.controllers import Controller
from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import NotFound
from latchwork.wire.link import Command, Health, Hello
from latchwork.wire.state import KINDS

# ------------------------------------------------------------------------------------------------- controllers

_CONTROLLER = """
    SELECT c.id, c.name, c.enrolled_at, c.revision, c.created_at, l.confirmed_revision, l.frozen, l.online_until,
        l.last_seen_at, l.version, l.tzdata, l.kinds, l.backlog, l.clock_offset, l.own_clock,
        ARRAY(SELECT a.id FROM access_points a WHERE a.organisation_id = c.organisation_id AND a.controller_id = c.id
              ORDER BY a.id) AS access_points
    FROM controllers c JOIN controller_links l ON l.controller_id = c.id
"""


async def add(conn: Connection, scope: Scope, name: str, generation: int, now: int) -> int:
    """`generation`: of the records that its state is computed by."""
    id: int = await conn.fetchval(
        """
        WITH added AS (
            INSERT INTO controllers (organisation_id, name, created_at, records_generation)
            VALUES ($1, $2, $3, $4) RETURNING id
        ), linked AS (
            INSERT INTO controller_links (organisation_id, controller_id) SELECT $1, id FROM added
        )
        SELECT id FROM added
        """,
        scope.organisation,
        name,
        now,
        generation,
    )
    return id


async def get(conn: Connection, scope: Scope, id: int, now: int) -> Controller:
    row = await conn.fetchrow(f"{_CONTROLLER} WHERE c.organisation_id = $1 AND c.id = $2", scope.organisation, id)
    return _controller(row, now)


async def page(conn: Connection, scope: Scope, after: int, limit: int, now: int) -> list[Controller]:
    rows = await conn.fetch(
        f"{_CONTROLLER} WHERE c.organisation_id = $1 AND c.id > $2 ORDER BY c.id LIMIT $3",
        scope.organisation,
        after,
        limit,
    )
    return [_controller(row, now) for row in rows]


async def rename(conn: Connection, scope: Scope, id: int, name: str) -> None:
    await conn.execute(
        "UPDATE controllers SET name = $3 WHERE organisation_id = $1 AND id = $2", scope.organisation, id, name
    )


async def remove(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM controllers WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


def _controller(row: asyncpg.Record | None, now: int) -> Controller:
    if row is None:
        raise NotFound
    return Controller(
        id=row["id"],
        name=row["name"],
        access_points=row["access_points"],
        enrolled_at=row["enrolled_at"],
        online=row["online_until"] > now,
        last_seen_at=row["last_seen_at"],
        revision=row["revision"],
        confirmed_revision=row["confirmed_revision"],
        frozen=row["frozen"],
        version=row["version"],
        tzdata=row["tzdata"],
        not_enforced=[kind for kind in KINDS if kind not in row["kinds"]] if row["last_seen_at"] else [],
        created_at=row["created_at"],
        backlog=row["backlog"],
        clock_offset=row["clock_offset"],
        own_clock=row["own_clock"],
    )


# ------------------------------------------------------------------------------------------------- desired state


async def held_keys(conn: Connection, scope: Scope, controller: int, kind: str) -> list[str]:
    """The keys under which a controller holds records of a kind."""
    rows = await conn.fetch(
        """
        SELECT key FROM desired_records
        WHERE organisation_id = $1 AND controller_id = $2 AND kind = $3 AND body IS NOT NULL
        """,
        scope.organisation,
        controller,
        kind,
    )
    return [row["key"] for row in rows]


async def put(
    conn: Connection,
    scope: Scope,
    computed: Sequence[Computed],
    only: Collection[int] | None,
    later: Collection[int],
    now: int,
) -> list[tuple[int, int]]:
    """Makes the records of all controllers (but not those `later`), or of some only, equal to what was computed.

    Answers (controller, records changed). Identical is no change; gone is a tombstone. Each controller that changes is
    raised by one revision, with a random mark.
    """
    kinds, keys = _flat_keys(computed)
    now_too = [record for part in computed for record in part.records if record.controller not in later]
    wanted = [record for record in now_too if only is None or record.controller in only]
    rows = await conn.fetch(
        """
        WITH wanted AS (
            SELECT * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bytea[])
                AS w (controller_id, kind, key, body)
        ), changed AS (
            SELECT w.controller_id, w.kind, w.key, w.body FROM wanted w
            LEFT JOIN desired_records d ON d.organisation_id = $1 AND d.kind = w.kind AND d.key = w.key
                AND d.controller_id = w.controller_id
            WHERE d.body IS DISTINCT FROM w.body
            UNION ALL
            SELECT d.controller_id, d.kind, d.key, NULL FROM unnest($6::text[], $7::text[]) AS t (kind, key)
            JOIN desired_records d ON d.organisation_id = $1 AND d.kind = t.kind AND d.key = t.key
                AND d.body IS NOT NULL AND ($8::bigint[] IS NULL OR d.controller_id = ANY($8))
                AND d.controller_id <> ALL($10::bigint[])
            LEFT JOIN wanted w ON w.controller_id = d.controller_id AND w.kind = d.kind AND w.key = d.key
            WHERE w.controller_id IS NULL
        ), raised AS (
            UPDATE controllers c
            SET revision = c.revision + 1, mark = substring(uuid_send(gen_random_uuid()) FROM 9) -- 62 bits of it chance
            WHERE c.organisation_id = $1 AND c.id IN (SELECT controller_id FROM changed)
            RETURNING c.id, c.revision, c.mark
        ), marked AS (
            INSERT INTO revision_marks (controller_id, revision, mark, made_at)
            SELECT id, revision, mark, $9 FROM raised
        ), stored AS (
            INSERT INTO desired_records AS held (organisation_id, controller_id, kind, key, revision, body, since)
            SELECT $1, c.controller_id, c.kind, c.key, r.revision, c.body, r.revision
            FROM changed c JOIN raised r ON r.id = c.controller_id
            ON CONFLICT (organisation_id, kind, key, controller_id) DO UPDATE
                SET revision = EXCLUDED.revision, body = EXCLUDED.body,
                    since = CASE WHEN held.body IS NULL THEN EXCLUDED.revision ELSE held.since END
        )
        SELECT controller_id, count(*) AS records FROM changed GROUP BY controller_id
        """,
        scope.organisation,
        [w.controller for w in wanted],
        [w.kind for w in wanted],
        [w.key for w in wanted],
        [w.body for w in wanted],
        kinds,
        keys,
        None if only is None else list(only),
        now,
        list(later),
    )
    return [(row["controller_id"], row["records"]) for row in rows]


def _flat_keys(computed: Sequence[Computed]) -> tuple[list[str], list[str]]:
    pairs = [(part.kind, key) for part in computed for key in part.keys]
    return [kind for kind, _ in pairs], [key for _, key in pairs]


async def door_records(
    conn: Connection, scope: Scope, doors: Sequence[int] | None, controllers: Sequence[int] | None
) -> list[asyncpg.Record]:
    """What controllers must know of their doors; None: of every door, at every controller."""
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT a.id, a.controller_id, a.name, a.site_id, a.zone, a.entry_reader, a.exit_reader, a.strike_seconds,
            a.held_seconds, a.needs_pin, a.degraded, o.single_use, o.offline_limit, s.timezone
        FROM access_points a JOIN organisations o ON o.id = a.organisation_id
        JOIN sites s ON s.organisation_id = a.organisation_id AND s.id = a.site_id
        WHERE a.organisation_id = $1 AND a.controller_id IS NOT NULL AND ($2::integer[] IS NULL OR a.id = ANY($2))
            AND ($3::bigint[] IS NULL OR a.controller_id = ANY($3))
        """,
        scope.organisation,
        doors,
        controllers,
    )
    return rows


async def key_records(conn: Connection, scope: Scope, controllers: Sequence[int] | None) -> list[asyncpg.Record]:
    """Every pass key, for these controllers; None: for every controller."""
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT c.id AS controller_id, k.kid, k.public_key FROM pass_keys k
        JOIN controllers c ON c.organisation_id = k.organisation_id
        WHERE k.organisation_id = $1 AND ($2::bigint[] IS NULL OR c.id = ANY($2))
        """,
        scope.organisation,
        controllers,
    )
    return rows


async def outdated(conn: Connection, generation: int) -> list[tuple[int, int]]:
    """(organisation, controller) of those whose state was computed by older records."""
    rows = await conn.fetch(
        "SELECT organisation_id, id FROM controllers WHERE records_generation < $1 ORDER BY 1, 2", generation
    )
    return [(row["organisation_id"], row["id"]) for row in rows]


async def note_generation(conn: Connection, scope: Scope, id: int, generation: int) -> bool:
    """A controller's state is computed by these records from now on; False when it is already, or is gone."""
    found = await conn.fetchval(
        """
        UPDATE controllers SET records_generation = $3
        WHERE organisation_id = $1 AND id = $2 AND records_generation < $3 RETURNING true
        """,
        scope.organisation,
        id,
        generation,
    )
    return found is not None


async def forget_tombstones(conn: Connection, before: int) -> None:
    """Drops tombstones and marks made before an instant, of controllers that have confirmed them."""
    await conn.execute(
        """
        WITH old AS (
            SELECT m.controller_id, max(m.revision) AS revision FROM revision_marks m
            JOIN controller_links l ON l.controller_id = m.controller_id AND l.confirmed_revision > m.revision
            WHERE m.made_at < $1 GROUP BY m.controller_id
        ), raised AS (
            UPDATE controllers c SET oldest_tombstone = old.revision FROM old WHERE c.id = old.controller_id
        ), forgotten AS (
            DELETE FROM desired_records d USING old
            WHERE d.controller_id = old.controller_id AND d.revision <= old.revision AND d.body IS NULL
        )
        DELETE FROM revision_marks m USING old WHERE m.controller_id = old.controller_id AND m.revision < old.revision
        """,
        before,
    )


# ------------------------------------------------------------------------------------------------- links


async def cloud_id(conn: Connection) -> bytes:
    found: bytes = await conn.fetchval("SELECT cloud_id FROM installation")
    return found


_HELD = """
    SELECT c.organisation_id, c.id, c.name, c.public_key, c.revision, c.mark, c.oldest_tombstone,
        l.confirmed_revision, l.frozen, l.snapshot_due, l.instance, l.previous_instance, l.online_until
    FROM controllers c JOIN controller_links l ON l.controller_id = c.id WHERE c.organisation_id = $1 AND c.id = $2
"""


async def find_held(conn: Connection, organisation: int, controller: int) -> Held | None:
    """What the cloud knows of a controller that calls; None: no such controller."""
    row = await conn.fetchrow(_HELD, organisation, controller)
    return Held(*row) if row else None


async def lock_held(conn: Connection, organisation: int, controller: int) -> Held | None:
    """As `find_held`, and no other session opens until commit."""
    row = await conn.fetchrow(_HELD + " FOR UPDATE OF l", organisation, controller)
    return Held(*row) if row else None


async def find_mark(conn: Connection, controller: int, revision: int) -> bytes | None:
    mark: bytes | None = await conn.fetchval(
        "SELECT mark FROM revision_marks WHERE controller_id = $1 AND revision = $2", controller, revision
    )
    return mark


async def open_session(conn: Connection, hello: Hello, known: bool, course: Course, now: int, online_until: int) -> int:
    """Raises the session; the newest wins. Confirmed is what the hello says, or nothing when its mark is unknown."""
    session: int = await conn.fetchval(
        """
        UPDATE controller_links SET session = session + 1, confirmed_revision = $2, confirmed_mark = $3, frozen = $4,
            snapshot_due = $5, last_seen_at = $6, online_until = $7, version = $8, tzdata = $9, kinds = $10,
            previous_instance = CASE WHEN instance = $11 THEN previous_instance ELSE instance END, instance = $11
        WHERE controller_id = $1 RETURNING session
        """,
        hello.controller,
        hello.revision if known else 0,
        hello.mark if known else b"",
        course is Course.FROZEN,
        course is Course.SNAPSHOT,
        now,
        online_until,
        hello.version,
        hello.tzdata,
        list(hello.kinds),
        hello.instance,
    )
    return session


async def confirm(conn: Connection, controller: int, session: int, revision: int, mark: bytes) -> bool:
    """Notes what the controller holds; False when a newer session has taken over (and nothing was written)."""
    found = await conn.fetchval(
        """
        UPDATE controller_links SET confirmed_revision = $3, confirmed_mark = $4, snapshot_due = false
        WHERE controller_id = $1 AND session = $2 RETURNING 1
        """,
        controller,
        session,
        revision,
        mark,
    )
    return found is not None


async def note_health(conn: Connection, controller: int, session: int, health: Health, now: float) -> None:
    """Notes how a controller says it is; not of a session that is over."""
    await conn.execute(
        """
        UPDATE controller_links SET backlog = $3, clock_offset = $4, own_clock = $5
        WHERE controller_id = $1 AND session = $2
        """,
        controller,
        session,
        health.backlog,
        health.time - now,
        health.own_clock,
    )


async def stay_online(conn: Connection, sessions: dict[int, int], now: int, online_until: int) -> None:
    """Keeps the sessions (by controller) marked as online."""
    await conn.execute(
        """
        UPDATE controller_links l SET last_seen_at = $3, online_until = $4
        FROM unnest($1::bigint[], $2::bigint[]) AS s (controller_id, session)
        WHERE l.controller_id = s.controller_id AND l.session = s.session
        """,
        list(sessions),
        list(sessions.values()),
        now,
        online_until,
    )


async def close_session(conn: Connection, controller: int, session: int, now: int) -> None:
    await conn.execute(
        "UPDATE controller_links SET online_until = 0, last_seen_at = $3 WHERE controller_id = $1 AND session = $2",
        controller,
        session,
        now,
    )


async def present_state(
    conn: Connection, controllers: Collection[int], within: float
) -> dict[int, tuple[int, int, bool]]:
    """(revision, session, whether commands not older than `within` seconds wait) of each that still exists."""
    rows = await conn.fetch(
        """
        SELECT c.id, c.revision, l.session, EXISTS (
            SELECT FROM commands w WHERE w.controller_id = c.id AND w.session IS NULL AND w.outcome IS NULL
                AND w.made_at > extract(epoch FROM clock_timestamp()) - $2::float8) AS commands
        FROM controllers c JOIN controller_links l ON l.controller_id = c.id WHERE c.id = ANY($1)
        """,
        list(controllers),
        within,
    )
    return {row["id"]: (row["revision"], row["session"], row["commands"]) for row in rows}


async def changes_after(conn: Connection, controller: int, revision: int, limit: int) -> Batch:
    """What is newer than a revision, in one statement and so of one instant."""
    rows = await conn.fetch(
        """
        SELECT c.revision AS goal, c.mark, c.oldest_tombstone, d.kind, d.key, d.revision, d.body FROM controllers c
        LEFT JOIN desired_records d ON d.controller_id = c.id AND d.revision > $2
        WHERE c.id = $1 ORDER BY d.revision LIMIT $3
        """,
        controller,
        revision,
        limit + 1,
    )
    if not rows:
        raise NotFound
    records = [(r["kind"], r["key"], r["revision"], r["body"]) for r in rows if r["kind"] is not None]
    first = rows[0]
    return Batch(first["goal"], first["mark"], records[:limit], first["oldest_tombstone"], len(rows) <= limit)


async def present_revision(conn: Connection, controller: int) -> tuple[int, bytes]:
    row = await conn.fetchrow("SELECT revision, mark FROM controllers WHERE id = $1", controller)
    if row is None:
        raise NotFound
    return row["revision"], row["mark"]


async def records(
    conn: Connection, controller: int, after: int, chunk: int, tombstones: bool
) -> AsyncIterator[list[tuple[str, str, int, bytes | None]]]:
    """All records above a revision, a chunk at a time; inside a REPEATABLE READ transaction they are of one instant."""
    cursor = await conn.cursor(
        """
        SELECT kind, key, revision, body FROM desired_records
        WHERE controller_id = $1 AND revision > $2 AND (body IS NOT NULL OR $3)
        """,
        controller,
        after,
        tombstones,
    )
    while rows := await cursor.fetch(chunk):
        yield [tuple(row) for row in rows]


async def thaw(conn: Connection, scope: Scope, controller: int) -> bool:
    """Ends a freeze, a snapshot being due; False when there was none."""
    found = await conn.fetchval(
        """
        UPDATE controller_links SET frozen = false, snapshot_due = true
        WHERE organisation_id = $1 AND controller_id = $2 AND frozen RETURNING 1
        """,
        scope.organisation,
        controller,
    )
    return found is not None


# ------------------------------------------------------------------------------------------------- commands


async def add_command(conn: Connection, scope: Scope, draft: CommandDraft, actor: Actor) -> int:
    """Its age is counted on the database's clock: every process of the cloud means the same by it."""
    id: int = await conn.fetchval(
        """
        INSERT INTO commands
            (organisation_id, access_point_id, controller_id, verb, seconds, user_id, outcome, actor, made_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, extract(epoch FROM clock_timestamp())) RETURNING id
        """,
        scope.organisation,
        draft.door,
        draft.controller,
        draft.verb,
        draft.seconds,
        draft.user,
        draft.outcome,
        msgspec.json.encode(actor).decode(),
    )
    return id


async def get_command(conn: Connection, scope: Scope, id: int) -> CommandRow:
    row = await conn.fetchrow(
        """
        SELECT id, access_point_id, controller_id, verb, seconds, user_id, actor, outcome, card_id FROM commands
        WHERE organisation_id = $1 AND id = $2
        """,
        scope.organisation,
        id,
    )
    if row is None:
        raise NotFound
    return _command(row)


async def find_commands(conn: Connection, scope: Scope, controller: int, ids: Collection[int]) -> dict[int, CommandRow]:
    """Those of these commands that were a controller's, until commit nobody else's to settle."""
    rows = await conn.fetch(
        """
        SELECT id, access_point_id, controller_id, verb, seconds, user_id, actor, outcome, card_id FROM commands
        WHERE organisation_id = $1 AND controller_id = $2 AND id = ANY($3) ORDER BY id FOR UPDATE
        """,
        scope.organisation,
        controller,
        list(ids),
    )
    return {row["id"]: _command(row) for row in rows}


async def command_actors(conn: Connection, scope: Scope, ids: Collection[int]) -> dict[int, Actor]:
    """Who asked for those of these commands that are still known."""
    rows = await conn.fetch(
        "SELECT id, actor FROM commands WHERE organisation_id = $1 AND id = ANY($2)", scope.organisation, list(ids)
    )
    return {row["id"]: msgspec.json.decode(row["actor"], type=Actor) for row in rows}


async def take_commands(conn: Connection, controller: int, session: int, within: float) -> list[Command]:
    """The controller's waiting commands, as they are to be sent now: its current session has them, nobody else will.

    `within`: seconds after which a command is not sent any more.
    """
    rows = await conn.fetch(
        """
        WITH present AS (SELECT extract(epoch FROM clock_timestamp())::float8 AS now), waiting AS (
            SELECT w.organisation_id, w.id FROM commands w, present
            WHERE w.controller_id = $1 AND w.session IS NULL AND w.outcome IS NULL AND w.made_at > present.now - $3
            FOR UPDATE OF w SKIP LOCKED
        )
        UPDATE commands c SET session = $2 FROM waiting, present
        WHERE c.organisation_id = waiting.organisation_id AND c.id = waiting.id
            AND EXISTS (SELECT FROM controller_links l WHERE l.controller_id = $1 AND l.session = $2)
        RETURNING c.id, c.access_point_id, c.verb, c.seconds - greatest(0, present.now - c.made_at), c.user_id
        """,
        controller,
        session,
        within,
    )
    return [Command(*row) for row in sorted(rows)]


async def settle_command(conn: Connection, controller: int, id: int, outcome: str, card: int | None = None) -> bool:
    """Writes what became of a command, unless that is known; what seemed unknown may become known later."""
    found = await conn.fetchval(
        """
        UPDATE commands SET outcome = $3, card_id = $4
        WHERE controller_id = $1 AND id = $2 AND (outcome IS NULL OR outcome = 'unknown') RETURNING 1
        """,
        controller,
        id,
        outcome,
        card,
    )
    return found is not None


async def settle_sent(conn: Connection, controller: int, session: int, id: int, outcome: str) -> bool:
    """As `settle_command`, for what a session says of its own. That a reader waits for a card settles nothing yet."""
    found = await conn.fetchval(
        """
        UPDATE commands SET outcome = $4
        WHERE controller_id = $1 AND session = $2 AND id = $3 AND (outcome IS NULL OR outcome = 'unknown')
            AND NOT (verb = 'enrol_card' AND $4 = 'granted')
        RETURNING 1
        """,
        controller,
        session,
        id,
        outcome,
    )
    return found is not None


async def give_up_command(conn: Connection, scope: Scope, id: int) -> CommandRow:
    """Nobody waits any longer: what was never sent never will be, what was sent has an unknown end."""
    await conn.execute(
        """
        UPDATE commands SET outcome = CASE WHEN session IS NULL THEN 'no_link' ELSE 'unknown' END
        WHERE organisation_id = $1 AND id = $2 AND outcome IS NULL
        """,
        scope.organisation,
        id,
    )
    return await get_command(conn, scope, id)


async def forget_commands(conn: Connection, before: float) -> None:
    await conn.execute("DELETE FROM commands WHERE made_at < $1", before)


def _command(row: asyncpg.Record) -> CommandRow:
    return CommandRow(
        id=row["id"],
        door=row["access_point_id"],
        controller=row["controller_id"],
        verb=row["verb"],
        seconds=row["seconds"],
        user=row["user_id"],
        actor=msgspec.json.decode(row["actor"], type=Actor),
        outcome=row["outcome"],
        card=row["card_id"],
    )


# ------------------------------------------------------------------------------------------------- journals


async def lock_journal(conn: Connection, scope: Scope, controller: int, session: int, journal: bytes) -> int | None:
    """The next number wanted of a journal; locks it until commit. None when a newer session has taken over."""
    next: int | None = await conn.fetchval(
        """
        INSERT INTO journals (organisation_id, controller_id, journal)
        SELECT $1, $2, $3 FROM controller_links WHERE controller_id = $2 AND session = $4
        ON CONFLICT (controller_id, journal) DO UPDATE SET next = journals.next RETURNING next
        """,
        scope.organisation,
        controller,
        journal,
        session,
    )
    return next


async def commit_journal(conn: Connection, controller: int, journal: bytes, next: int) -> None:
    await conn.execute(
        "UPDATE journals SET next = $3 WHERE controller_id = $1 AND journal = $2", controller, journal, next
    )


async def committed(conn: Connection, controller: int, journal: bytes) -> int:
    next: int | None = await conn.fetchval(
        "SELECT next FROM journals WHERE controller_id = $1 AND journal = $2", controller, journal
    )
    return next or 1


# ------------------------------------------------------------------------------------------------- enrolment


async def put_code(conn: Connection, scope: Scope, controller: int, code_hash: bytes, expires_at: int) -> None:
    await conn.execute(
        """
        INSERT INTO enrolment_codes (organisation_id, controller_id, code_hash, expires_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (controller_id) DO UPDATE SET code_hash = $3, expires_at = $4, misses = 0, used_by = NULL
        """,
        scope.organisation,
        controller,
        code_hash,
        expires_at,
    )


async def organisation_of(conn: Connection, controller: int) -> int | None:
    organisation: int | None = await conn.fetchval("SELECT organisation_id FROM controllers WHERE id = $1", controller)
    return organisation


async def lock_code(conn: Connection, controller: int) -> Code | None:
    row = await conn.fetchrow(
        """
        SELECT organisation_id, controller_id, code_hash, expires_at, misses, used_by
        FROM enrolment_codes WHERE controller_id = $1 FOR UPDATE
        """,
        controller,
    )
    return Code(*row) if row else None


async def miss_code(conn: Connection, controller: int) -> None:
    await conn.execute("UPDATE enrolment_codes SET misses = misses + 1 WHERE controller_id = $1", controller)


async def enrol(conn: Connection, scope: Scope, controller: int, public_key: bytes, now: int) -> None:
    """The key replaces an older one; the code is bound to it, and every session before ends."""
    await conn.execute("UPDATE enrolment_codes SET used_by = $2 WHERE controller_id = $1", controller, public_key)
    await conn.execute(
        "UPDATE controllers SET public_key = $3, enrolled_at = $4 WHERE organisation_id = $1 AND id = $2",
        scope.organisation,
        controller,
        public_key,
        now,
    )
    await conn.execute(
        """
        UPDATE controller_links SET session = session + 1, confirmed_revision = 0, confirmed_mark = '', online_until = 0
        WHERE controller_id = $1
        """,
        controller,
    )


# ------------------------------------------------------------------------------------------------- readers' keys


async def get_reader_key(conn: Connection, scope: Scope, controller: int) -> bytes:
    """What a controller's readers prove themselves with; empty: nothing."""
    key: bytes | None = await conn.fetchval(
        "SELECT reader_key FROM controllers WHERE organisation_id = $1 AND id = $2", scope.organisation, controller
    )
    if key is None:
        raise NotFound
    return key


async def put_reader_key(conn: Connection, scope: Scope, controller: int, key: bytes, certified_at: int) -> None:
    await conn.execute(
        "UPDATE controllers SET reader_key = $3, certified_at = $4 WHERE organisation_id = $1 AND id = $2",
        scope.organisation,
        controller,
        key,
        certified_at,
    )


async def certified_before(conn: Connection, at: int) -> list[int]:
    """The organisations of keys that were certified at this instant or earlier."""
    rows = await conn.fetch(
        "SELECT DISTINCT organisation_id FROM controllers WHERE reader_key <> '' AND certified_at <= $1 ORDER BY 1", at
    )
    return [row["organisation_id"] for row in rows]


async def renew_certified(conn: Connection, scope: Scope, before: int, certified_at: int) -> list[int]:
    """Certifies anew what was certified at this instant or before; answers whose keys these are."""
    rows = await conn.fetch(
        """
        UPDATE controllers SET certified_at = $3
        WHERE organisation_id = $1 AND reader_key <> '' AND certified_at <= $2 RETURNING id
        """,
        scope.organisation,
        before,
        certified_at,
    )
    return [row["id"] for row in rows]


async def door_ids(conn: Connection, scope: Scope, controller: int) -> list[int]:
    rows = await conn.fetch(
        "SELECT id FROM access_points WHERE organisation_id = $1 AND controller_id = $2", scope.organisation, controller
    )
    return [row["id"] for row in rows]


async def reader_records(
    conn: Connection, scope: Scope, doors: Sequence[int] | None, controllers: Sequence[int] | None
) -> list[asyncpg.Record]:
    """The doors, of these or at these controllers, whose controller has named a key for its readers."""
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT a.id, a.site_id, a.entry_reader, a.exit_reader, a.controller_id, c.reader_key, c.certified_at
        FROM access_points a JOIN controllers c ON c.organisation_id = a.organisation_id AND c.id = a.controller_id
        WHERE a.organisation_id = $1 AND c.reader_key <> '' AND ($2::integer[] IS NULL OR a.id = ANY($2))
            AND ($3::bigint[] IS NULL OR c.id = ANY($3))
        """,
        scope.organisation,
        doors,
        controllers,
    )
    return rows


async def add_reader_key(conn: Connection, scope: Scope, key: ReaderKeyRow) -> None:
    await conn.execute(
        "INSERT INTO reader_keys VALUES ($1, $2, $3, $4, $5)",
        scope.organisation,
        key.kid,
        key.public_key,
        key.sealed_private_key,
        key.created_at,
    )


async def reader_keys(conn: Connection, scope: Scope) -> list[ReaderKeyRow]:
    """The organisation's, the newest first: it signs."""
    rows = await conn.fetch(
        """
        SELECT kid, public_key, sealed_private_key, created_at
        FROM reader_keys WHERE organisation_id = $1 ORDER BY created_at DESC, kid
        """,
        scope.organisation,
    )
    return [ReaderKeyRow(*row) for row in rows]


# ------------------------------------------------------------------------------------------------- pass keys


async def add_pass_key(conn: Connection, scope: Scope, key: PassKeyRow) -> None:
    await conn.execute(
        """
        INSERT INTO pass_keys (organisation_id, kid, public_key, sealed_private_key, state, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        scope.organisation,
        key.kid,
        key.public_key,
        key.sealed_private_key,
        key.state,
        key.created_at,
    )


async def pass_keys(conn: Connection, scope: Scope) -> list[PassKeyRow]:
    rows = await conn.fetch(
        """
        SELECT kid, public_key, sealed_private_key, state, created_at
        FROM pass_keys WHERE organisation_id = $1 ORDER BY created_at, kid
        """,
        scope.organisation,
    )
    return [PassKeyRow(*row) for row in rows]


async def lock_pass_keys(conn: Connection, scope: Scope) -> list[PassKeyRow]:
    await conn.execute("SELECT FROM pass_keys WHERE organisation_id = $1 ORDER BY kid FOR UPDATE", scope.organisation)
    return await pass_keys(conn, scope)


async def set_pass_key_state(conn: Connection, scope: Scope, kid: bytes, state: str) -> None:
    await conn.execute(
        "UPDATE pass_keys SET state = $3 WHERE organisation_id = $1 AND kid = $2", scope.organisation, kid, state
    )


async def remove_pass_key(conn: Connection, scope: Scope, kid: bytes) -> None:
    await conn.execute("DELETE FROM pass_keys WHERE organisation_id = $1 AND kid = $2", scope.organisation, kid)


async def unconfirmed(conn: Connection, scope: Scope, kind: str, key: str) -> list[int]:
    """Enrolled controllers that should hold a record and have not confirmed it."""
    rows = await conn.fetch(
        """
        SELECT c.id FROM controllers c JOIN controller_links l ON l.controller_id = c.id
        LEFT JOIN desired_records d ON d.organisation_id = c.organisation_id AND d.kind = $2 AND d.key = $3
            AND d.controller_id = c.id AND d.body IS NOT NULL
        WHERE c.organisation_id = $1 AND c.enrolled_at IS NOT NULL
            AND (d.revision IS NULL OR d.revision > l.confirmed_revision OR l.frozen)
        ORDER BY c.id
        """,
        scope.organisation,
        kind,
        key,
    )
    return [row["id"] for row in rows]
