"""All SQL of users, grants, cards, schedules and holidays."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import asyncpg
import msgspec

from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.cloud.people.model import NewUser, Pair, UserFilter
from latchwork.wire.api.people import (
    Access,
    Card,
    Interval,
    Limits,
    OwnDoor,
    Permission,
    Role,
    Schedule,
    ScheduleDraft,
    Term,
    User,
)
from latchwork.wire.api.problems import NotFound
from latchwork.wire.cards import last_digits

# ------------------------------------------------------------------------------------------------- users

_USER = """
    SELECT u.*, (SELECT count(*) FROM cards c WHERE c.organisation_id = u.organisation_id AND c.user_id = u.id) AS cards
    FROM users u
"""


async def add_users(conn: Connection, scope: Scope, new: Sequence[NewUser]) -> list[tuple[User, list[int]]]:
    """Each user with the doors granted: those asked for and those that are default.

    Raises NotFound for what is not there.
    """
    try:
        rows = await conn.fetchmany(
            """
            WITH counted AS (UPDATE organisations SET users = users + $21 WHERE id = $1 AND $21::integer > 0),
            added AS (
                INSERT INTO users (organisation_id, name, email, phone, employee_code, home_site_id, roles,
                    admin_of_sites, terms, reporting_to, joining_date, probation_period, gender, access, pin_salt,
                    pin_hash, access_expires_at, deactivated_at, created_at, updated_at)
                SELECT $1, $2, $3, $4, $5,
                    coalesce($6, (SELECT min(s.id) FROM sites s WHERE s.organisation_id = $1)),
                    $7, $8, $9, $10, $11, $12, $13, $14::jsonb, $15, $16, $17, $18, $19, $19
                RETURNING id, home_site_id
            ), granted AS (
                INSERT INTO grants (organisation_id, user_id, access_point_id, created_at)
                SELECT $1, added.id, d.id, $19 FROM added, (
                    SELECT unnest($20::integer[]) AS id
                    UNION SELECT a.id FROM access_points a WHERE a.organisation_id = $1 AND a.is_default
                ) AS d RETURNING access_point_id
            )
            SELECT added.*, ARRAY(SELECT access_point_id FROM granted ORDER BY 1) AS doors FROM added
            """,
            [_added(scope, one, 0 if n else len(new)) for n, one in enumerate(new)],
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(_missing(error)) from None
    return [
        (msgspec.structs.replace(one.user, id=row["id"], home_site_id=row["home_site_id"]), row["doors"])
        for one, row in zip(new, rows, strict=True)
    ]


def _added(scope: Scope, new: NewUser, counted: int) -> tuple[Any, ...]:
    user = new.user
    pin = (*new.pin, user.access_expires_at, user.deactivated_at)
    return (scope.organisation, *_values(user), *pin, user.created_at, list(new.doors), counted)


async def get_user(conn: Connection, scope: Scope, id: int) -> User:
    row = await conn.fetchrow(
        _USER
        + """
        WHERE u.organisation_id = $1 AND u.id = $2
            AND ($3::integer[] IS NULL OR u.home_site_id = ANY($3) OR u.reporting_to = $4)
        """,
        scope.organisation,
        id,
        scope.sites,
        scope.chief,
    )
    if row is None:
        raise NotFound
    return _user(row)


async def hold(
    conn: Connection, scope: Scope, users: Collection[int], doors: Collection[int] = (), at: int | None = None
) -> dict[int, str]:
    """Locks users, ascending, and answers their names; raises NotFound unless all users and doors are within reach.

    `at`: also who has a permission at this door is within reach.
    """
    row = await conn.fetchrow(
        """
        WITH held AS MATERIALIZED (
            SELECT u.id, u.name FROM users u WHERE u.organisation_id = $1 AND u.id = ANY($2)
                AND ($4::integer[] IS NULL OR u.home_site_id = ANY($4) OR u.reporting_to = $5
                    OR EXISTS (SELECT FROM grants g WHERE g.organisation_id = $1 AND g.user_id = u.id
                               AND g.access_point_id = $6))
            ORDER BY u.id FOR UPDATE
        )
        SELECT ARRAY(SELECT id FROM held) AS users, ARRAY(SELECT name FROM held) AS names,
            ARRAY(SELECT id FROM access_points WHERE organisation_id = $1 AND id = ANY($3)
                  AND ($4::integer[] IS NULL OR site_id = ANY($4))) AS doors
        """,
        scope.organisation,
        list(users),
        list(doors),
        scope.sites,
        scope.chief,
        at,
    )
    assert row is not None
    for kind, asked, found in (("user", users, row["users"]), ("access point", doors, row["doors"])):
        if missing := sorted(set(asked) - set(found)):
            raise NotFound(f"There is no {kind} with the id {missing[0]}.")
    return dict(zip(row["users"], row["names"], strict=True))


async def lock_users(conn: Connection, scope: Scope, ids: Collection[int]) -> list[User]:
    """The users with these ids, ascending; raises NotFound unless all are the organisation's."""
    await hold(conn, scope, ids)
    return await get_users(conn, scope, ids)


async def get_users(conn: Connection, scope: Scope, ids: Collection[int]) -> list[User]:
    """Those of these users that exist, ascending."""
    rows = await conn.fetch(
        _USER
        + """
        WHERE u.organisation_id = $1 AND u.id = ANY($2)
            AND ($3::integer[] IS NULL OR u.home_site_id = ANY($3) OR u.reporting_to = $4)
        ORDER BY u.id
        """,
        scope.organisation,
        list(ids),
        scope.sites,
        scope.chief,
    )
    return [_user(row) for row in rows]


async def page_users(conn: Connection, scope: Scope, is_active: bool | None, after: int, limit: int) -> list[User]:
    """Users by ascending id."""
    rows = await conn.fetch(
        _USER
        + f"""
        WHERE u.organisation_id = $1 AND u.id > $2 {_STATES[is_active]}
            AND ($4::integer[] IS NULL OR u.home_site_id = ANY($4) OR u.reporting_to = $5)
        ORDER BY u.id LIMIT $3
        """,
        scope.organisation,
        after,
        limit,
        scope.sites,
        scope.chief,
    )
    return [_user(row) for row in rows]


async def find_users(
    conn: Connection,
    scope: Scope,
    search: str,
    is_active: bool | None,
    after: int,
    limit: int,
    by_name_alone: bool = False,
) -> list[User]:
    """Users by ascending id whose name has, for each word of a text, a word that begins so, accents aside.

    Or whose e-mail or employee code begins so, punctuation aside; or who have a card that ends with these four digits.
    What many names have is soon met among the next users; what few have, the index of words finds at once.
    """
    state, text = _STATES[is_active], _without_accents(search)
    code = "" if by_name_alone else _code(text)
    words = "" if code and _NO_NAME.fullmatch(text.strip()) else _prefixes(text)
    asked = (scope.organisation, after, words, limit, scope.sites, scope.chief, code)
    if by_name_alone:
        state += _BY_NAME_ALONE
    elif _FOUR_DIGITS.fullmatch(text.strip()):
        found = await conn.fetch(_FIND.format("users", f"{state} {_OR_BY_CARD.format(state)}"), *asked, int(text))
        return [_user(row) for row in found]
    near = await conn.fetch(_FIND.format(_NEAR, state), *asked)
    if len(near) < limit and await conn.fetchval(_ARE_FARTHER, scope.organisation, after):
        near = await conn.fetch(_FIND.format("users", state), *asked)
    return [_user(row) for row in near]


_STATES = {None: "", True: "AND u.deactivated_at IS NULL", False: "AND u.deactivated_at IS NOT NULL"}
"""Only what is asked stands in the statement, so that the plan uses its index."""
_BY_NAME_ALONE = """
    AND to_tsvector('simple', regexp_replace(normalize(name, NFKD), '[\\u0300-\\u036f]', '', 'g'))
        @@ to_tsquery('simple', $3)"""
"""E-mails and codes stand among the words, too."""
_NEXT = "FROM users WHERE organisation_id = $1 AND id > $2 ORDER BY id"
_NEAR = f"(SELECT * {_NEXT} LIMIT 5000)"
_ARE_FARTHER = f"SELECT exists (SELECT {_NEXT} OFFSET 5000 LIMIT 1)"
_FIND = f"""
    WITH found AS MATERIALIZED (
        SELECT id FROM {{}} u
        WHERE organisation_id + 0 = $1 AND id + 0 > $2 -- by no index but that of words: it would read everybody
            AND words @@ (SELECT to_tsquery('simple', $3) || $7::text::tsquery)
            AND ($5::integer[] IS NULL OR u.home_site_id = ANY($5) OR u.reporting_to = $6) {{}}
    ), first AS MATERIALIZED (SELECT id FROM found ORDER BY id LIMIT $4)
    {_USER} JOIN first USING (id) WHERE u.organisation_id = $1 ORDER BY u.id
"""  # noqa: S608 - our own words


_OR_BY_CARD = """
    UNION SELECT u.id FROM cards c JOIN users u ON u.organisation_id = c.organisation_id AND u.id = c.user_id
    WHERE c.organisation_id = $1 AND c.number % 10000 = $8 AND c.number >= 10000000 AND u.id > $2
        AND ($5::integer[] IS NULL OR u.home_site_id = ANY($5) OR u.reporting_to = $6) {}"""
"""No more of a number than is shown."""
_FOUR_DIGITS = re.compile(r"[0-9]{4}")
_NO_NAME = re.compile(r"\S*\d\S*")
"""One word with a digit in it: the beginnings that punctuation leaves of it would be those of half the names."""
_MARKS = re.compile("[\u0300-\u036f]")


async def all_users(conn: Connection, scope: Scope, skip: int, limit: int) -> tuple[list[User], int]:
    """Users by ascending id, and how many there are in all: a count that is kept, not taken."""
    rows = await conn.fetch(
        "SELECT id FROM users WHERE organisation_id = $1 ORDER BY id OFFSET $2 LIMIT $3",
        scope.organisation,
        skip,
        limit,
    )
    total: int = await conn.fetchval("SELECT users FROM organisations WHERE id = $1", scope.organisation)
    return await get_users(conn, scope, [row["id"] for row in rows]), total


async def filter_users(
    conn: Connection, scope: Scope, wanted: UserFilter, skip: int, limit: int
) -> tuple[list[User], int]:
    """Users by ascending id that pass a filter, and how many do in all.

    A home site or a term is found by its index. Parts of texts are looked for in everybody of the organisation: that
    would need pg_trgm, which the embedded PostgreSQL does not have.
    """
    where, values = _where(wanted)
    last = len(values) + 1
    rows = await conn.fetch(
        f"SELECT u.id, count(*) OVER () AS total FROM users u WHERE {where}"  # noqa: S608 - our own
        f" ORDER BY u.id OFFSET ${last + 1} LIMIT ${last + 2}",
        scope.organisation,
        *values,
        skip,
        limit,
    )
    if not rows and skip:  # past the end nobody says how many there are
        return [], (await filter_users(conn, scope, wanted, 0, 1))[1]
    return await get_users(conn, scope, [row["id"] for row in rows]), rows[0]["total"] if rows else 0


_CONDITIONS = {
    "name": "strpos(lower(u.name), lower({}::text)) > 0",
    "email": "strpos(lower(u.email), lower({}::text)) > 0",
    "phone": "strpos(u.phone, {}::text) > 0",
    "employee_code": "strpos(lower(u.employee_code), lower({}::text)) > 0",
    "is_active": "(u.deactivated_at IS NULL) = {}::boolean",
    "created": "u.created_at >= ({0}::bigint[])[1] AND u.created_at < ({0}::bigint[])[2]",
    "terms": "u.terms <> '{{}}' AND u.terms && {}::integer[]",
    "sites": "u.home_site_id = ANY({}::integer[])",
    "expiring": """EXISTS (
        SELECT FROM unnest({}::integer[], {}::bigint[], {}::bigint[]) AS day (site, first, next)
        WHERE day.site = coalesce(u.home_site_id, 0)
            AND u.access_expires_at >= day.first AND u.access_expires_at < day.next)""",
}
"""What each field of a filter demands. Only what is asked stands in the statement, so that the plan uses its index."""


def _where(wanted: UserFilter) -> tuple[str, list[Any]]:
    """The conditions from $2 on; $1 is the organisation."""
    texts, values = ["u.organisation_id = $1"], list[Any]()
    for name, text in _CONDITIONS.items():
        if given := _values_of(getattr(wanted, name)):
            texts.append(text.format(*(f"${number}" for number, _ in enumerate(given, len(values) + 2))))
            values += given
    return " AND ".join(texts), values


def _values_of(field: Any) -> list[Any]:
    """What a field fills into its condition; nothing where it demands nothing."""
    match field:
        case None:
            return []
        case Mapping():
            return [list(field), [first for first, _ in field.values()], [next for _, next in field.values()]]
        case _:
            return [field]


async def reportees(conn: Connection, scope: Scope, ids: Sequence[int]) -> dict[int, list[int]]:
    """By chief: who reports to them."""
    rows = await conn.fetch(
        """
        SELECT reporting_to, array_agg(id ORDER BY id) AS ids FROM users
        WHERE organisation_id = $1 AND reporting_to = ANY($2) GROUP BY reporting_to
        """,
        scope.organisation,
        ids,
    )
    return {row["reporting_to"]: row["ids"] for row in rows}


async def change_users(
    conn: Connection, scope: Scope, changes: Sequence[tuple[User, tuple[bytes, bytes] | None]]
) -> None:
    """(user, new PIN) each; raises NotFound for a site or chief that is not there."""
    try:
        await conn.executemany(
            """
            UPDATE users SET name = $3, email = $4, phone = $5, employee_code = $6, home_site_id = $7, roles = $8,
                admin_of_sites = $9, terms = $10, reporting_to = $11, joining_date = $12, probation_period = $13,
                gender = $14, access = $15::jsonb, access_expires_at = $16, deactivated_at = $17, version = $18,
                updated_at = $19, pin_salt = coalesce($20, pin_salt), pin_hash = coalesce($21, pin_hash)
            WHERE organisation_id = $1 AND id = $2
            """,
            [_changed(scope, user, pin) for user, pin in changes],
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(_missing(error)) from None


def _changed(scope: Scope, user: User, pin: tuple[bytes, bytes] | None) -> tuple[Any, ...]:
    times = (user.access_expires_at, user.deactivated_at, user.version, user.updated_at)
    return (scope.organisation, user.id, *_values(user), *times, *(pin or (None, None)))


async def remove_users(conn: Connection, scope: Scope, ids: Collection[int]) -> None:
    """With their cards and grants."""
    await conn.execute(
        """
        WITH gone AS (DELETE FROM users WHERE organisation_id = $1 AND id = ANY($2) RETURNING 1)
        UPDATE organisations SET users = users - (SELECT count(*) FROM gone) WHERE id = $1
        """,
        scope.organisation,
        list(ids),
    )


async def hold_chiefs(conn: Connection, scope: Scope, ids: Collection[int]) -> set[int]:
    """Those of these users that are within reach; they stay until commit, as people's managers."""
    rows = await conn.fetch(
        """
        SELECT id FROM users WHERE organisation_id = $1 AND id = ANY($2)
            AND ($3::integer[] IS NULL OR home_site_id = ANY($3) OR reporting_to = $4)
        ORDER BY id FOR KEY SHARE
        """,
        scope.organisation,
        list(ids),
        scope.sites,
        scope.chief,
    )
    return {row["id"] for row in rows}


async def name_users(conn: Connection, scope: Scope, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """(name, employee code) of those of these users that still exist."""
    rows = await conn.fetch(
        "SELECT id, name, employee_code FROM users WHERE organisation_id = $1 AND id = ANY($2)", scope.organisation, ids
    )
    return {row["id"]: (row["name"], row["employee_code"]) for row in rows}


def _values(user: User) -> tuple[Any, ...]:
    return (
        user.name,
        user.email,
        user.phone,
        user.employee_code,
        user.home_site_id,
        user.roles,
        user.admin_of_sites,
        user.terms,
        user.reporting_to,
        user.joining_date,
        user.probation_period,
        user.gender,
        msgspec.json.encode(user.access).decode(),
    )


def _user(row: asyncpg.Record) -> User:
    return User(
        id=row["id"],
        name=row["name"],
        email=row["email"],
        phone=row["phone"],
        employee_code=row["employee_code"],
        home_site_id=row["home_site_id"],
        roles=row["roles"],
        admin_of_sites=row["admin_of_sites"],
        terms=row["terms"],
        reporting_to=row["reporting_to"],
        joining_date=row["joining_date"],
        probation_period=row["probation_period"],
        gender=row["gender"],
        access=msgspec.json.decode(row["access"], type=Access),
        has_pin=bool(row["pin_hash"]),
        access_expires_at=row["access_expires_at"],
        is_active=row["deactivated_at"] is None,
        deactivated_at=row["deactivated_at"],
        cards=row["cards"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


def _without_accents(text: str) -> str:
    """As the names' words are stored."""
    return _MARKS.sub("", unicodedata.normalize("NFKD", text))


def _code(search: str) -> str:
    """A text search query: an e-mail or employee code that begins so, as one word without punctuation.

    Empty where that is the only word of the search, which finds it anyway.
    """
    word = re.sub("[^a-z0-9]", "", search.lower())
    return f"{word}:*" if word and word != search.strip().lower() else ""


def _prefixes(search: str) -> str:
    """A text search query: every word as the beginning of a word. Quoted, it is taken apart as names are."""
    quoted = [word.replace("\\", "\\\\").replace("'", "''") for word in search.split()]
    return " & ".join(f"'{word}':*" for word in quoted)


def _missing(error: asyncpg.ForeignKeyViolationError) -> str:
    names = {
        "site": "site",
        "reporting": "user",
        "access_point": "access point",
        "schedule": "schedule",
        "user": "user",
    }
    constraint = error.constraint_name or ""
    return f"There is no {next((word for part, word in names.items() if part in constraint), 'thing')} with this id."


# ------------------------------------------------------------------------------------------------- roles and terms


async def add_roles(conn: Connection, scope: Scope, names: Sequence[str]) -> None:
    """A new organisation's roles, numbered from 1."""
    await conn.execute(
        "INSERT INTO roles SELECT $1, r.id, r.name FROM unnest($2::text[]) WITH ORDINALITY AS r (name, id)",
        scope.organisation,
        names,
    )


async def list_roles(conn: Connection, scope: Scope) -> list[Role]:
    """All of them, also those of modules that are switched off."""
    rows = await conn.fetch("SELECT id, name FROM roles WHERE organisation_id = $1 ORDER BY id", scope.organisation)
    return [Role(row["id"], row["name"]) for row in rows]


async def modules(conn: Connection, scope: Scope) -> frozenset[str]:
    """The modules that are switched on."""
    row = await conn.fetchrow(
        "SELECT visitor_module AS visitor, attendance_module AS attendance FROM organisations WHERE id = $1",
        scope.organisation,
    )
    return frozenset(name for name, is_on in dict(row or {}).items() if is_on)


async def add_term(conn: Connection, scope: Scope, name: str) -> Term | None:
    """Numbered within the organisation, from 1; None when there is one of this name."""
    row = await conn.fetchrow(
        """
        WITH numbered AS (UPDATE organisations SET last_term_id = last_term_id + 1 WHERE id = $1 RETURNING last_term_id)
        INSERT INTO terms (organisation_id, id, name) SELECT $1, last_term_id, $2 FROM numbered
        ON CONFLICT (organisation_id, name) DO NOTHING RETURNING id, name
        """,
        scope.organisation,
        name,
    )
    return Term(row["id"], row["name"]) if row else None


async def list_terms(conn: Connection, scope: Scope) -> list[Term]:
    rows = await conn.fetch("SELECT id, name FROM terms WHERE organisation_id = $1 ORDER BY id", scope.organisation)
    return [Term(row["id"], row["name"]) for row in rows]


async def get_term(conn: Connection, scope: Scope, id: int) -> Term:
    row = await conn.fetchrow(
        "SELECT id, name FROM terms WHERE organisation_id = $1 AND id = $2", scope.organisation, id
    )
    if row is None:
        raise NotFound
    return Term(row["id"], row["name"])


async def lock_term(conn: Connection, scope: Scope, id: int) -> Term:
    await conn.execute("SELECT FROM terms WHERE organisation_id = $1 AND id = $2 FOR UPDATE", scope.organisation, id)
    return await get_term(conn, scope, id)


async def hold_terms(conn: Connection, scope: Scope, ids: Collection[int]) -> set[int]:
    """Those of these terms that exist; they stay until commit."""
    rows = await conn.fetch(
        "SELECT id FROM terms WHERE organisation_id = $1 AND id = ANY($2) ORDER BY id FOR KEY SHARE",
        scope.organisation,
        list(ids),
    )
    return {row["id"] for row in rows}


async def remove_term(conn: Connection, scope: Scope, id: int) -> bool:
    """False while users have it."""
    gone = await conn.fetchval(
        """
        DELETE FROM terms WHERE organisation_id = $1 AND id = $2
            AND NOT EXISTS (SELECT FROM users WHERE organisation_id = $1 AND terms @> ARRAY[$2]) RETURNING 1
        """,
        scope.organisation,
        id,
    )
    return gone is not None


async def timezones(conn: Connection, scope: Scope) -> dict[int, str]:
    """By site; its keys are all sites."""
    rows = await conn.fetch("SELECT id, timezone FROM sites WHERE organisation_id = $1 ORDER BY id", scope.organisation)
    return {row["id"]: row["timezone"] for row in rows}


# ------------------------------------------------------------------------------------------------- permissions

_PERMISSION = """
    SELECT g.user_id, g.access_point_id, g.starts_at, g.ends_at, g.schedule_id,
        CASE WHEN d.since <= l.confirmed_revision THEN 'assigned' ELSE 'pending' END AS state,
        g.created_at AS since, u.name AS user_name, u.deactivated_at IS NULL AS user_is_active,
        u.access_expires_at AS user_access_expires_at
    FROM grants g JOIN users u ON u.organisation_id = g.organisation_id AND u.id = g.user_id
    JOIN access_points a ON a.organisation_id = g.organisation_id AND a.id = g.access_point_id
    LEFT JOIN desired_records d ON d.organisation_id = g.organisation_id AND d.kind = 'grant'
        AND d.key = g.user_id || '.' || g.access_point_id AND d.controller_id = a.controller_id AND d.body IS NOT NULL
    LEFT JOIN controller_links l ON l.controller_id = a.controller_id AND NOT l.frozen
        AND l.kinds @> '{door,person,grant}' AND (g.schedule_id IS NULL OR l.kinds @> '{schedule,holidays}')
"""

_REMOVING = """
    SELECT split_part(d.key, '.', 1)::bigint AS user_id, a.id AS access_point_id, NULL::bigint AS starts_at,
        NULL::bigint AS ends_at, NULL::bigint AS schedule_id, 'removing' AS state, min(m.made_at) AS since,
        coalesce(max(u.name), '') AS user_name,
        coalesce(bool_and(u.id IS NOT NULL AND u.deactivated_at IS NULL), false) AS user_is_active,
        max(u.access_expires_at) AS user_access_expires_at
    FROM desired_records d JOIN controller_links l ON l.controller_id = d.controller_id
    JOIN access_points a ON a.organisation_id = d.organisation_id AND a.id = split_part(d.key, '.', 2)::integer
    LEFT JOIN revision_marks m ON m.controller_id = d.controller_id AND m.revision = d.revision
    LEFT JOIN users u ON u.organisation_id = d.organisation_id AND u.id = split_part(d.key, '.', 1)::bigint
    WHERE d.organisation_id = $1 AND d.kind = 'grant' AND d.body IS NULL
        AND (d.revision > l.confirmed_revision OR l.frozen)
        AND NOT EXISTS (SELECT FROM grants g WHERE g.organisation_id = $1 AND g.access_point_id = a.id
                        AND g.user_id = split_part(d.key, '.', 1)::bigint)
"""


async def permissions_of(
    conn: Connection, scope: Scope, user: int, after: int = 0, limit: int | None = None
) -> list[Permission]:
    """A user's doors within reach, by ascending door; also what is taken away and not yet confirmed."""
    rows = await conn.fetch(
        f"""
        ({_PERMISSION}
            WHERE g.organisation_id = $1 AND g.user_id = $2 AND ($3::integer[] IS NULL OR a.site_id = ANY($3))
                AND g.access_point_id > $4 ORDER BY 2 LIMIT $5)
        UNION ALL
        ({_REMOVING} AND split_part(d.key, '.', 1) = $2::bigint::text
                AND ($3::integer[] IS NULL OR a.site_id = ANY($3)) AND a.id > $4 GROUP BY 1, 2)
        ORDER BY 2 LIMIT $5
        """,
        scope.organisation,
        user,
        scope.sites,
        after,
        limit,
    )
    return [Permission(*row) for row in rows]


async def own_doors(conn: Connection, scope: Scope, user: int, after: int, limit: int) -> list[OwnDoor]:
    """A user's doors by ascending id, as they would tell somebody."""
    rows = await conn.fetch(
        f"""
        SELECT p.access_point_id, a.name, a.zone, s.name AS site_name, s.timezone, p.starts_at, p.ends_at,
            w.name AS schedule, a.needs_pin, p.state = 'assigned' AS is_ready,
            a.controller_id IS NOT NULL AS has_controller
        FROM ({_PERMISSION} WHERE g.organisation_id = $1 AND g.user_id = $2 AND g.access_point_id > $3
            ORDER BY 2 LIMIT $4) AS p
        JOIN access_points a ON a.organisation_id = $1 AND a.id = p.access_point_id
        JOIN sites s ON s.organisation_id = $1 AND s.id = a.site_id
        LEFT JOIN schedules w ON w.organisation_id = $1 AND w.id = p.schedule_id
        ORDER BY p.access_point_id
        """,  # noqa: S608 - our own
        scope.organisation,
        user,
        after,
        limit,
    )
    return [OwnDoor(*row) for row in rows]


async def permissions_at(conn: Connection, scope: Scope, door: int, after: int, limit: int) -> list[Permission]:
    """Who may open a door, by ascending user; also from whom it is taken away and the door has not confirmed it."""
    rows = await conn.fetch(
        f"""
        ({_PERMISSION}
            WHERE g.organisation_id = $1 AND g.access_point_id = $2 AND g.user_id = ANY(ARRAY(
                SELECT o.user_id FROM grants o
                WHERE o.organisation_id = $1 AND o.access_point_id = $2 AND o.user_id > $3
                ORDER BY o.user_id LIMIT $4)))
        UNION ALL
        ({_REMOVING} AND split_part(d.key, '.', 2) = $2::integer::text
                AND split_part(d.key, '.', 1)::bigint > $3 GROUP BY 1, 2)
        ORDER BY 1 LIMIT $4
        """,  # noqa: S608 - our own
        scope.organisation,
        door,
        after,
        limit,
    )
    return [Permission(*row) for row in rows]


async def slice_permissions_at(
    conn: Connection, scope: Scope, door: int, skip: int, limit: int
) -> tuple[list[Permission], int]:
    """Who may open a door, by ascending user, and how many may in all."""
    rows = await conn.fetch(
        "SELECT user_id FROM grants WHERE organisation_id = $1 AND access_point_id = $2"
        " ORDER BY user_id OFFSET $3 LIMIT $4",
        scope.organisation,
        door,
        skip,
        limit,
    )
    total: int = await conn.fetchval(
        "SELECT count(*) FROM grants WHERE organisation_id = $1 AND access_point_id = $2", scope.organisation, door
    )
    return await permissions_of_pairs(conn, scope, [(row["user_id"], door) for row in rows]), total


async def permissions_of_pairs(conn: Connection, scope: Scope, pairs: Collection[Pair]) -> list[Permission]:
    """Those of these (user, door) pairs that are granted, or taken away and not yet confirmed, ascending."""
    rows = await conn.fetch(
        f"""
        {_PERMISSION}
            JOIN unnest($2::bigint[], $3::integer[]) AS p (user_id, door)
                ON g.user_id = p.user_id AND g.access_point_id = p.door
            WHERE g.organisation_id = $1
        UNION ALL
        {_REMOVING} AND d.key = ANY($4) GROUP BY 1, 2
        ORDER BY 1, 2
        """,
        scope.organisation,
        *_columns(pairs),
        [f"{user}.{door}" for user, door in pairs],
    )
    return [Permission(*row) for row in rows]


async def unconfirmed(conn: Connection, scope: Scope, pairs: Collection[Pair], now: int) -> tuple[list[int], list[int]]:
    """(online, offline) controllers that have not confirmed what became of these (user, door) pairs."""
    rows = await conn.fetch(
        """
        SELECT DISTINCT d.controller_id, l.online_until > $3 AS online FROM unnest($2::text[]) AS t (key)
        JOIN desired_records d ON d.organisation_id = $1 AND d.kind = 'grant' AND d.key = t.key
        JOIN controller_links l ON l.controller_id = d.controller_id
        WHERE d.revision > l.confirmed_revision OR l.frozen OR NOT l.kinds @> '{door,person,grant}' ORDER BY 1
        """,
        scope.organisation,
        [f"{user}.{door}" for user, door in pairs],
        now,
    )
    return [r[0] for r in rows if r["online"]], [r[0] for r in rows if not r["online"]]


async def grants(conn: Connection, scope: Scope, pairs: Collection[Pair]) -> dict[Pair, Limits]:
    """Those of these (user, door) pairs that are granted."""
    rows = await conn.fetch(
        """
        SELECT g.user_id, g.access_point_id, g.starts_at, g.ends_at, g.schedule_id
        FROM unnest($2::bigint[], $3::integer[]) AS p (user_id, door) JOIN grants g
            ON g.organisation_id = $1 AND g.user_id = p.user_id AND g.access_point_id = p.door
        """,
        scope.organisation,
        *_columns(pairs),
    )
    return _limits(rows)


async def add_grants(conn: Connection, scope: Scope, wishes: Mapping[Pair, Limits], now: int) -> set[Pair]:
    """Gives what is not given yet, and answers which that was; raises NotFound for what is not there."""
    rows = await _give(conn, scope, wishes, "ON CONFLICT DO NOTHING", now)
    return {(row[0], row[1]) for row in rows}


async def limit_grants(conn: Connection, scope: Scope, wishes: Mapping[Pair, Limits], now: int) -> None:
    """Changes what is given; raises NotFound for a schedule that is not there."""
    await _give(conn, scope, wishes, _LIMIT, now)


_LIMIT = """
    ON CONFLICT (organisation_id, user_id, access_point_id) DO UPDATE
        SET starts_at = EXCLUDED.starts_at, ends_at = EXCLUDED.ends_at, schedule_id = EXCLUDED.schedule_id
"""


async def _give(
    conn: Connection, scope: Scope, wishes: Mapping[Pair, Limits], otherwise: str, now: int
) -> list[asyncpg.Record]:
    limits = wishes.values()
    try:
        rows: list[asyncpg.Record] = await conn.fetch(
            f"""
            INSERT INTO grants
                (organisation_id, user_id, access_point_id, starts_at, ends_at, schedule_id, created_at)
            SELECT $1, g.*, $7 FROM unnest($2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[]) AS g
            {otherwise} RETURNING user_id, access_point_id
            """,  # noqa: S608 - our own
            scope.organisation,
            *_columns(wishes),
            [limit.starts_at for limit in limits],
            [limit.ends_at for limit in limits],
            [limit.schedule_id for limit in limits],
            now,
        )
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(_missing(error)) from None
    return rows


async def take_grants(conn: Connection, scope: Scope, pairs: Collection[Pair]) -> dict[Pair, Limits]:
    """Takes (user, door) pairs away, and answers what was given of them."""
    rows = await conn.fetch(
        """
        DELETE FROM grants g USING unnest($2::bigint[], $3::integer[]) AS p (user_id, door)
        WHERE g.organisation_id = $1 AND g.user_id = p.user_id AND g.access_point_id = p.door
        RETURNING g.user_id, g.access_point_id, g.starts_at, g.ends_at, g.schedule_id
        """,
        scope.organisation,
        *_columns(pairs),
    )
    return _limits(rows)


def _limits(rows: Sequence[asyncpg.Record]) -> dict[Pair, Limits]:
    return {(row[0], row[1]): Limits(row[2], row[3], row[4]) for row in rows}


def _columns(pairs: Collection[Pair]) -> tuple[list[int], list[int]]:
    return [user for user, _ in pairs], [door for _, door in pairs]


async def doors_of(conn: Connection, scope: Scope, users: Collection[int]) -> list[tuple[int, int]]:
    """(user, door) of all grants of these users at doors within reach."""
    rows = await conn.fetch(
        """
        SELECT user_id, access_point_id FROM grants WHERE organisation_id = $1 AND user_id = ANY($2)
            AND ($3::integer[] IS NULL OR access_point_id IN (
                SELECT a.id FROM access_points a WHERE a.organisation_id = $1 AND a.site_id = ANY($3)))
        """,
        scope.organisation,
        list(users),
        scope.sites,
    )
    return [(row["user_id"], row["access_point_id"]) for row in rows]


# ------------------------------------------------------------------------------------------------- cards


async def add_card(conn: Connection, scope: Scope, user: int, number: int, is_saams: bool, now: int) -> Card | None:
    """None when somebody has a card with this number."""
    row = await conn.fetchrow(
        """
        INSERT INTO cards (organisation_id, number, user_id, is_saams, created_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (organisation_id, number) DO NOTHING RETURNING *
        """,
        scope.organisation,
        number,
        user,
        is_saams,
        now,
    )
    return _card(row, whole=True) if row else None


async def find_card(conn: Connection, scope: Scope, number: int) -> Card | None:
    row = await conn.fetchrow(
        "SELECT * FROM cards WHERE organisation_id = $1 AND number = $2", scope.organisation, number
    )
    return _card(row, whole=True) if row else None


async def cards_of(conn: Connection, scope: Scope, users: Collection[int], whole: bool = False) -> list[Card]:
    rows = await conn.fetch(
        "SELECT * FROM cards WHERE organisation_id = $1 AND user_id = ANY($2) ORDER BY id",
        scope.organisation,
        list(users),
    )
    return [_card(row, whole) for row in rows]


async def saams_cards_of(conn: Connection, scope: Scope, users: Collection[int]) -> dict[int, Card]:
    """By user: the card that the SAAMS wire assigned."""
    rows = await conn.fetch(
        "SELECT * FROM cards WHERE organisation_id = $1 AND user_id = ANY($2) AND is_saams",
        scope.organisation,
        list(users),
    )
    return {row["user_id"]: _card(row, whole=True) for row in rows}


async def make_saams(conn: Connection, scope: Scope, id: int) -> None:
    """A card that its holder has already becomes the one of the SAAMS wire."""
    await conn.execute(
        "UPDATE cards SET is_saams = true WHERE organisation_id = $1 AND id = $2", scope.organisation, id
    )


async def get_card(conn: Connection, scope: Scope, user: int, id: int) -> Card:
    row = await conn.fetchrow(
        """
        SELECT c.* FROM cards c JOIN users u ON u.organisation_id = c.organisation_id AND u.id = c.user_id
        WHERE c.organisation_id = $1 AND c.user_id = $2 AND c.id = $3
            AND ($4::integer[] IS NULL OR u.home_site_id = ANY($4) OR u.reporting_to = $5)
        """,
        scope.organisation,
        user,
        id,
        scope.sites,
        scope.chief,
    )
    if row is None:
        raise NotFound
    return _card(row, whole=True)


async def remove_card(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM cards WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


def _card(row: asyncpg.Record, whole: bool) -> Card:
    return Card(
        id=row["id"],
        user_id=row["user_id"],
        last_digits=last_digits(row["number"]),
        number=row["number"] if whole else None,
        created_at=row["created_at"],
    )


# ------------------------------------------------------------------------------------------------- schedules


async def add_schedule(conn: Connection, scope: Scope, draft: ScheduleDraft) -> Schedule:
    row = await conn.fetchrow(
        """
        INSERT INTO schedules (organisation_id, name, week, holiday) VALUES ($1, $2, $3::jsonb, $4::jsonb) RETURNING *
        """,
        scope.organisation,
        draft.name,
        msgspec.json.encode(draft.week).decode(),
        msgspec.json.encode(draft.holiday).decode(),
    )
    return _schedule(row)


async def lock_schedule(conn: Connection, scope: Scope, id: int) -> Schedule:
    row = await conn.fetchrow(
        "SELECT * FROM schedules WHERE organisation_id = $1 AND id = $2 FOR UPDATE", scope.organisation, id
    )
    return _schedule(row)


async def get_schedule(conn: Connection, scope: Scope, id: int) -> Schedule:
    row = await conn.fetchrow("SELECT * FROM schedules WHERE organisation_id = $1 AND id = $2", scope.organisation, id)
    return _schedule(row)


async def page_schedules(conn: Connection, scope: Scope, after: int, limit: int) -> list[Schedule]:
    rows = await conn.fetch(
        "SELECT * FROM schedules WHERE organisation_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        scope.organisation,
        after,
        limit,
    )
    return [_schedule(row) for row in rows]


async def change_schedule(conn: Connection, scope: Scope, schedule: Schedule) -> None:
    await conn.execute(
        """
        UPDATE schedules SET name = $3, week = $4::jsonb, holiday = $5::jsonb, version = $6
        WHERE organisation_id = $1 AND id = $2
        """,
        scope.organisation,
        schedule.id,
        schedule.name,
        msgspec.json.encode(schedule.week).decode(),
        msgspec.json.encode(schedule.holiday).decode(),
        schedule.version,
    )


async def remove_schedule(conn: Connection, scope: Scope, id: int) -> bool:
    """False while permissions use it."""
    try:
        await conn.execute("DELETE FROM schedules WHERE organisation_id = $1 AND id = $2", scope.organisation, id)
    except asyncpg.ForeignKeyViolationError:
        return False
    return True


def _schedule(row: asyncpg.Record | None) -> Schedule:
    if row is None:
        raise NotFound
    week = msgspec.json.decode(row["week"], type=list[list[Interval]])
    holiday = msgspec.json.decode(row["holiday"], type=list[Interval])
    return Schedule(row["id"], row["name"], week, holiday, row["version"])


async def get_holidays(conn: Connection, scope: Scope, site: int) -> list[date]:
    rows = await conn.fetch(
        "SELECT day FROM holidays WHERE organisation_id = $1 AND site_id = $2 ORDER BY day", scope.organisation, site
    )
    return [row["day"] for row in rows]


async def set_holidays(conn: Connection, scope: Scope, site: int, days: Sequence[date]) -> None:
    await conn.execute("DELETE FROM holidays WHERE organisation_id = $1 AND site_id = $2", scope.organisation, site)
    await conn.execute("INSERT INTO holidays SELECT $1, $2, unnest($3::date[])", scope.organisation, site, list(days))


# ------------------------------------------------------------------------------------------------- desired state


async def person_records(
    conn: Connection,
    scope: Scope,
    users: Collection[int] | None,
    pairs: Collection[Pair],
    controllers: Collection[int] | None,
) -> list[asyncpg.Record]:
    """Each user with their cards at each controller where they have a grant; at None who has none anywhere.

    With those of the grants there, (door, start, end, schedule) each, that are among the (user, door) pairs.
    Users None: all users with all grants; controllers None: at all. Who is at none of the given ones is left out.
    """
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT h.controller_id, u.id, u.deactivated_at IS NULL AS is_active, u.access, u.access_expires_at, u.pin_salt,
            u.pin_hash, u.roles, u.admin_of_sites, ARRAY(SELECT (c.id, c.number) FROM cards c
                              WHERE c.organisation_id = u.organisation_id AND c.user_id = u.id) AS cards, h.grants
        FROM users u LEFT JOIN (
            SELECT g.user_id, a.controller_id, array_agg((g.access_point_id, g.starts_at, g.ends_at, g.schedule_id))
                FILTER (WHERE $2::bigint[] IS NULL OR p.door IS NOT NULL) AS grants
            FROM grants g
            JOIN access_points a ON a.organisation_id = g.organisation_id AND a.id = g.access_point_id
            LEFT JOIN unnest($3::bigint[], $4::integer[]) AS p (user_id, door)
                ON p.user_id = g.user_id AND p.door = g.access_point_id
            WHERE g.organisation_id = $1 AND ($2::bigint[] IS NULL OR g.user_id = ANY($2))
                AND a.controller_id IS NOT NULL AND ($5::bigint[] IS NULL OR a.controller_id = ANY($5))
            GROUP BY g.user_id, a.controller_id
        ) AS h ON h.user_id = u.id
        WHERE u.organisation_id = $1 AND ($2::bigint[] IS NULL OR u.id = ANY($2))
            AND ($5::bigint[] IS NULL OR h.controller_id IS NOT NULL)
        """,
        scope.organisation,
        None if users is None else list(users),
        *_columns(pairs),
        None if controllers is None else list(controllers),
    )
    return rows


async def granted_at(conn: Connection, scope: Scope, doors: Collection[int]) -> set[tuple[int, int]]:
    """(user, door) of the grants at these doors, and of those that controllers hold for them."""
    rows = await conn.fetch(
        """
        SELECT user_id, access_point_id FROM grants WHERE organisation_id = $1 AND access_point_id = ANY($2)
        UNION SELECT split_part(key, '.', 1)::bigint, split_part(key, '.', 2)::integer FROM desired_records
            WHERE organisation_id = $1 AND kind = 'grant' AND body IS NOT NULL
                AND split_part(key, '.', 2) = ANY($2::integer[]::text[])
        """,
        scope.organisation,
        list(doors),
    )
    return {(row[0], row[1]) for row in rows}


async def schedule_records(
    conn: Connection, scope: Scope, schedules: Collection[int] | None, controllers: Collection[int] | None
) -> list[asyncpg.Record]:
    """Each schedule at each controller that holds a grant with it."""
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT DISTINCT ON (s.id, a.controller_id) s.id, s.week, s.holiday, a.controller_id
        FROM schedules s JOIN grants g ON g.organisation_id = s.organisation_id AND g.schedule_id = s.id
        JOIN access_points a ON a.organisation_id = g.organisation_id AND a.id = g.access_point_id
        WHERE s.organisation_id = $1 AND a.controller_id IS NOT NULL AND ($2::bigint[] IS NULL OR s.id = ANY($2))
            AND ($3::bigint[] IS NULL OR a.controller_id = ANY($3))
        """,
        scope.organisation,
        None if schedules is None else list(schedules),
        None if controllers is None else list(controllers),
    )
    return rows


async def schedule_ids(conn: Connection, scope: Scope) -> list[int]:
    rows = await conn.fetch("SELECT id FROM schedules WHERE organisation_id = $1", scope.organisation)
    return [row["id"] for row in rows]


async def schedules_of(conn: Connection, scope: Scope, users: Collection[int]) -> list[int]:
    """The schedules in the grants of these users."""
    rows = await conn.fetch(
        """
        SELECT DISTINCT schedule_id FROM grants
        WHERE organisation_id = $1 AND user_id = ANY($2) AND schedule_id IS NOT NULL
        """,
        scope.organisation,
        list(users),
    )
    return [row["schedule_id"] for row in rows]


async def holiday_records(
    conn: Connection, scope: Scope, sites: Collection[int] | None, controllers: Collection[int] | None
) -> list[asyncpg.Record]:
    """Each site's holidays at each controller that runs one of its doors."""
    rows: list[asyncpg.Record] = await conn.fetch(
        """
        SELECT h.site_id, a.controller_id, array_agg(DISTINCT h.day ORDER BY h.day) AS days
        FROM holidays h JOIN access_points a ON a.organisation_id = h.organisation_id AND a.site_id = h.site_id
        WHERE h.organisation_id = $1 AND a.controller_id IS NOT NULL AND ($2::integer[] IS NULL OR h.site_id = ANY($2))
            AND ($3::bigint[] IS NULL OR a.controller_id = ANY($3))
        GROUP BY h.site_id, a.controller_id
        """,
        scope.organisation,
        None if sites is None else list(sites),
        None if controllers is None else list(controllers),
    )
    return rows


async def sites_with_holidays(conn: Connection, scope: Scope) -> list[int]:
    rows = await conn.fetch("SELECT DISTINCT site_id FROM holidays WHERE organisation_id = $1", scope.organisation)
    return [row["site_id"] for row in rows]
