"""All SQL of organisations, clients, tokens and idempotency keys."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from latchwork.cloud.accounts.model import AppSession, ClientSecret, Revocation, Tenant, UserAccount
from latchwork.cloud.kernel.http import Stored
from latchwork.cloud.kernel.work import Connection, Retry, Scope, Work
from latchwork.wire.api.accounts import Client, ClientDraft, Organisation
from latchwork.wire.api.problems import NotFound

# ------------------------------------------------------------------------------------------------- organisations


async def add_organisation(conn: Connection, name: str, now: int) -> int:
    organisation: int = await conn.fetchval(
        "INSERT INTO organisations (name, created_at) VALUES ($1, $2) RETURNING id", name, now
    )
    return organisation


async def get_tenant(conn: Connection, scope: Scope) -> Tenant:
    row = await conn.fetchrow("SELECT * FROM organisations WHERE id = $1", scope.organisation)
    return _tenant(row)


async def lock_tenant(conn: Connection, scope: Scope) -> Tenant:
    row = await conn.fetchrow("SELECT * FROM organisations WHERE id = $1 FOR NO KEY UPDATE", scope.organisation)
    return _tenant(row)


async def list_organisations(conn: Connection) -> list[Organisation]:
    return [_tenant(row).organisation for row in await conn.fetch("SELECT * FROM organisations ORDER BY id")]


async def change_organisation(conn: Connection, scope: Scope, tenant: Tenant) -> None:
    o = tenant.organisation
    await conn.execute(
        """
        UPDATE organisations SET name = $2, visitor_module = $3, pass_seconds = $4, single_use = $5,
            meeting_max_days = $6, offline_limit = $7, passes_shortened_at = $8, attendance_module = $9,
            phones_per_user = $10
        WHERE id = $1
        """,
        scope.organisation,
        o.name,
        o.visitor_module,
        o.pass_seconds,
        o.single_use,
        o.meeting_max_days,
        o.offline_limit,
        tenant.passes_shortened_at,
        o.attendance_module,
        o.phones_per_user,
    )


def _tenant(row: asyncpg.Record | None) -> Tenant:
    if row is None:
        raise NotFound
    organisation = Organisation(
        id=row["id"],
        name=row["name"],
        visitor_module=row["visitor_module"],
        attendance_module=row["attendance_module"],
        pass_seconds=row["pass_seconds"],
        single_use=row["single_use"],
        meeting_max_days=row["meeting_max_days"],
        offline_limit=row["offline_limit"],
        phones_per_user=row["phones_per_user"],
    )
    return Tenant(organisation, row["passes_shortened_at"])


# ------------------------------------------------------------------------------------------------- clients


async def add_client(
    conn: Connection, scope: Scope, client_id: str, secret_hash: str, draft: ClientDraft, now: int
) -> Client:
    row = await conn.fetchrow(
        """
        INSERT INTO clients (organisation_id, client_id, name, secret_hash, scopes, token_seconds, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *
        """,
        scope.organisation,
        client_id,
        draft.name,
        secret_hash,
        draft.scopes,
        draft.token_seconds,
        now,
    )
    return _client(row)


async def get_client(conn: Connection, scope: Scope, id: int) -> Client:
    row = await conn.fetchrow("SELECT * FROM clients WHERE organisation_id = $1 AND id = $2", scope.organisation, id)
    return _client(row)


async def lock_client(conn: Connection, scope: Scope, id: int) -> Client:
    row = await conn.fetchrow(
        "SELECT * FROM clients WHERE organisation_id = $1 AND id = $2 FOR NO KEY UPDATE", scope.organisation, id
    )
    return _client(row)


async def page_clients(conn: Connection, scope: Scope, after: int, limit: int) -> list[Client]:
    rows = await conn.fetch(
        "SELECT * FROM clients WHERE organisation_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        scope.organisation,
        after,
        limit,
    )
    return [_client(row) for row in rows]


async def change_client(conn: Connection, scope: Scope, client: Client) -> None:
    await conn.execute(
        """
        UPDATE clients SET name = $3, scopes = $4, token_seconds = $5, revoked_at = $6
        WHERE organisation_id = $1 AND id = $2
        """,
        scope.organisation,
        client.id,
        client.name,
        client.scopes,
        client.token_seconds,
        client.revoked_at,
    )


async def change_secret(conn: Connection, scope: Scope, id: int, secret_hash: str) -> None:
    await conn.execute(
        "UPDATE clients SET secret_hash = $3 WHERE organisation_id = $1 AND id = $2",
        scope.organisation,
        id,
        secret_hash,
    )


async def note_use(conn: Connection, scope: Scope, id: int, now: int) -> None:
    await conn.execute(
        "UPDATE clients SET last_used_at = greatest(last_used_at, $3) WHERE organisation_id = $1 AND id = $2",
        scope.organisation,
        id,
        now,
    )


async def change_rate(conn: Connection, scope: Scope, id: int, per_second: int, burst: int) -> None:
    await conn.execute(
        "UPDATE clients SET rate_per_second = $3, rate_burst = $4 WHERE organisation_id = $1 AND id = $2",
        scope.organisation,
        id,
        per_second,
        burst,
    )


async def find_secret(conn: Connection, client_id: str) -> ClientSecret | None:
    """The client that this public id names, in whatever organisation; None when it is unknown or revoked."""
    row = await conn.fetchrow(f"{_LIVING_CLIENT} AND c.client_id = $1", client_id)
    return _secret(row) if row else None


async def find_secret_of(conn: Connection, scope: Scope, id: int) -> ClientSecret | None:
    """As `find_secret`, by the client's number."""
    row = await conn.fetchrow(f"{_LIVING_CLIENT} AND c.organisation_id = $1 AND c.id = $2", scope.organisation, id)
    return _secret(row) if row else None


_LIVING_CLIENT = """
    SELECT c.*, (SELECT coalesce(max(r.not_before), 0) FROM token_revocations r
                 WHERE r.client_id = c.client_id AND r.jti IS NULL) AS tokens_from
    FROM clients c WHERE c.revoked_at IS NULL
"""


def _secret(row: asyncpg.Record) -> ClientSecret:
    return ClientSecret(
        organisation=row["organisation_id"],
        client=_client(row),
        secret_hash=row["secret_hash"],
        rate_per_second=row["rate_per_second"],
        rate_burst=row["rate_burst"],
        tokens_from=row["tokens_from"],
    )


def _client(row: asyncpg.Record | None) -> Client:
    if row is None:
        raise NotFound
    return Client(
        id=row["id"],
        client_id=row["client_id"],
        name=row["name"],
        scopes=row["scopes"],
        token_seconds=row["token_seconds"],
        revoked_at=row["revoked_at"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
    )


# ------------------------------------------------------------------------------------------------- users


async def hold_acting(conn: Connection, scope: Scope, user: int, until: int) -> None:
    """Notes that a token of the user may live until then. Until commit nobody changes the user."""
    await conn.execute(
        """
        WITH held AS (SELECT id FROM users WHERE organisation_id = $1 AND id = $2 FOR SHARE)
        INSERT INTO acting_users AS a (organisation_id, user_id, until) SELECT $1, id, $3 FROM held
        ON CONFLICT (organisation_id, user_id) DO UPDATE SET until = greatest(a.until, EXCLUDED.until)
        """,
        scope.organisation,
        user,
        until,
    )


async def acting(conn: Connection, scope: Scope, users: Collection[int], now: int) -> list[int]:
    """Those of these users who may have a token."""
    rows = await conn.fetch(
        "SELECT user_id FROM acting_users WHERE organisation_id = $1 AND user_id = ANY($2) AND until > $3",
        scope.organisation,
        list(users),
        now,
    )
    return [row["user_id"] for row in rows]


async def find_user(conn: Connection, scope: Scope, id: int) -> UserAccount | None:
    row = await conn.fetchrow(
        """
        SELECT u.name, u.roles, u.admin_of_sites, u.deactivated_at, u.access_expires_at, o.visitor_module,
            o.attendance_module, (SELECT coalesce(max(r.not_before), 0) FROM token_revocations r
                                  WHERE r.organisation_id = u.organisation_id AND r.user_id = u.id) AS tokens_from
        FROM users u JOIN organisations o ON o.id = u.organisation_id WHERE u.organisation_id = $1 AND u.id = $2
        """,
        scope.organisation,
        id,
    )
    if row is None:
        return None
    modules = {"visitor": row["visitor_module"], "attendance": row["attendance_module"]}
    return UserAccount(
        id=id,
        name=row["name"],
        roles=tuple(row["roles"]),
        sites=tuple(row["admin_of_sites"]),
        modules=frozenset(name for name, is_on in modules.items() if is_on),
        is_active=row["deactivated_at"] is None,
        access_expires_at=row["access_expires_at"],
        tokens_from=row["tokens_from"],
    )


# ------------------------------------------------------------------------------------------------- app sessions

_APP_SESSION = """
    SELECT organisation_id, id, user_id, client_id, scopes, newest_hash, former_hash, thumbprint, created_at, used_at,
        expires_at
    FROM app_sessions
"""


async def add_app_session(
    conn: Connection,
    scope: Scope,
    user: int,
    client: int | None,
    scopes: Collection[str] | None,
    family_hash: bytes,
    newest_hash: bytes,
    now: int,
    expires_at: int,
) -> None:
    await conn.execute(
        """
        INSERT INTO app_sessions
            (organisation_id, user_id, client_id, scopes, family_hash, newest_hash, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        scope.organisation,
        user,
        client,
        None if scopes is None else sorted(scopes),
        family_hash,
        newest_hash,
        now,
        expires_at,
    )


async def find_app_session(conn: Connection, family_hash: bytes, now: int) -> AppSession | None:
    """The session with these tokens, in whatever organisation, while it lasts."""
    row = await conn.fetchrow(f"{_APP_SESSION} WHERE family_hash = $1 AND expires_at > $2", family_hash, now)
    return _app_session(row) if row else None


async def find_app_session_of(conn: Connection, scope: Scope, user: int, id: int, now: int) -> AppSession | None:
    row = await conn.fetchrow(
        f"{_APP_SESSION} WHERE organisation_id = $1 AND user_id = $2 AND id = $3 AND expires_at > $4",
        scope.organisation,
        user,
        id,
        now,
    )
    return _app_session(row) if row else None


async def lock_app_session(conn: Connection, scope: Scope, user: int, id: int, now: int) -> AppSession | None:
    await conn.execute(
        "SELECT FROM app_sessions WHERE organisation_id = $1 AND id = $2 FOR UPDATE", scope.organisation, id
    )
    return await find_app_session_of(conn, scope, user, id, now)


async def turn_app_session(
    conn: Connection,
    scope: Scope,
    id: int,
    newest_hash: bytes,
    former_hash: bytes,
    thumbprint: str,
    now: int,
    expires_at: int,
) -> None:
    """The session goes on with a new token, with this key."""
    await conn.execute(
        """
        UPDATE app_sessions SET newest_hash = $3, former_hash = $4, thumbprint = $5, used_at = $6, expires_at = $7
        WHERE organisation_id = $1 AND id = $2
        """,
        scope.organisation,
        id,
        newest_hash,
        former_hash,
        thumbprint,
        now,
        expires_at,
    )


async def is_contested(conn: Connection, scope: Scope, session: AppSession) -> bool:
    """Whether the log says that another key was presented for a session."""
    contested: bool = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM events WHERE organisation_id = $1 AND subject = $2 AND (actor ->> 'kind') <> 'controller'
                AND type = 'app_session_contested' AND data -> 'appSessionId' = $3)
        """,
        scope.organisation,
        f"user/{session.user}",
        str(session.id),
    )
    return contested


async def end_app_session(conn: Connection, scope: Scope, id: int) -> None:
    await conn.execute("DELETE FROM app_sessions WHERE organisation_id = $1 AND id = $2", scope.organisation, id)


async def end_app_sessions(conn: Connection, scope: Scope, users: Collection[int]) -> None:
    """All of these users'."""
    await conn.execute(
        "DELETE FROM app_sessions WHERE organisation_id = $1 AND user_id = ANY($2)", scope.organisation, list(users)
    )


async def end_app_sessions_by(conn: Connection, scope: Scope, client: int) -> None:
    """All that a client began."""
    await conn.execute(
        "DELETE FROM app_sessions WHERE organisation_id = $1 AND client_id = $2", scope.organisation, client
    )


async def use_proof(conn: Connection, digest: bytes, until: int) -> bool:
    """False when this proof was used before."""
    found = await conn.fetchval(
        "INSERT INTO dpop_proofs VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true", digest, until
    )
    return found is not None


def _app_session(row: asyncpg.Record) -> AppSession:
    return AppSession(
        row["organisation_id"],
        row["id"],
        row["user_id"],
        row["client_id"],
        None if row["scopes"] is None else tuple(row["scopes"]),
        row["newest_hash"],
        row["former_hash"],
        row["thumbprint"],
        row["created_at"],
        row["used_at"],
        row["expires_at"],
    )


# ------------------------------------------------------------------------------------------------- tokens


async def add_revocation(conn: Connection, client_id: str, jti: str | None, not_before: int, expires_at: int) -> None:
    await _in_order(conn)
    await conn.execute(
        "INSERT INTO token_revocations (client_id, jti, not_before, expires_at) VALUES ($1, $2, $3, $4)",
        client_id,
        jti,
        not_before,
        expires_at,
    )


async def add_user_revocations(
    conn: Connection, scope: Scope, users: Collection[int] | None, not_before: int, expires_at: int
) -> None:
    """The tokens of these users, or (None) of all: looked up anew, and refused when issued before `not_before`."""
    await _in_order(conn)
    await conn.execute(
        """
        INSERT INTO token_revocations (organisation_id, user_id, not_before, expires_at)
        SELECT $1, id, $3, $4 FROM unnest($2::bigint[]) AS id
        """,
        scope.organisation,
        [None] if users is None else list(users),
        not_before,
        expires_at,
    )


async def _in_order(conn: Connection) -> None:
    """One at a time until commit, so that numbers become visible in order."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('latchwork token revocations'))")


async def is_revoked(conn: Connection, client_id: str, jti: str, issued_at: int) -> bool:
    revoked: bool = await conn.fetchval(
        """
        SELECT EXISTS (SELECT FROM token_revocations
            WHERE client_id = $1 AND (jti = $2 OR (jti IS NULL AND not_before > $3)))
        """,
        client_id,
        jti,
        issued_at,
    )
    return revoked


async def revocations_after(conn: Connection, number: int) -> list[Revocation]:
    rows = await conn.fetch(
        """
        SELECT number, client_id, jti, organisation_id, user_id FROM token_revocations
        WHERE number > $1 ORDER BY number
        """,
        number,
    )
    return [Revocation(*row) for row in rows]


async def forget_expired(conn: Connection, now: int) -> None:
    """Drops what is over: revocations whose tokens have all expired, app sessions, proofs, idempotency keys."""
    await conn.execute("DELETE FROM token_revocations WHERE expires_at < $1", now - 3600)
    await conn.execute("DELETE FROM acting_users WHERE until < $1", now - 3600)
    await conn.execute("DELETE FROM app_sessions WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM dpop_proofs WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM idempotency_keys WHERE created_at < $1", now - 86_400)


async def token_keys(conn: Connection) -> list[tuple[str, bytes, bytes]]:
    """(kid, public point, sealed private key) of the keys in use, the newest first."""
    rows = await conn.fetch(
        """
        SELECT kid, public_key, sealed_private_key FROM token_keys
        WHERE retired_at IS NULL ORDER BY number DESC
        """
    )
    return [(row["kid"], row["public_key"], row["sealed_private_key"]) for row in rows]


async def token_kids(conn: Connection) -> set[str]:
    """The kids of the keys in use."""
    return {row["kid"] for row in await conn.fetch("SELECT kid FROM token_keys WHERE retired_at IS NULL")}


async def add_token_key(conn: Connection, kid: str, public_key: bytes, sealed: bytes, now: int) -> None:
    await conn.execute(
        "INSERT INTO token_keys (kid, public_key, sealed_private_key, created_at) VALUES ($1, $2, $3, $4)",
        kid,
        public_key,
        sealed,
        now,
    )


async def retire_token_keys(conn: Connection, now: int) -> None:
    """Retires all keys but the newest: every token signed by them is refused."""
    await conn.execute(
        """
        UPDATE token_keys SET retired_at = $1
        WHERE retired_at IS NULL AND number <> (SELECT max(number) FROM token_keys)
        """,
        now,
    )


# ------------------------------------------------------------------------------------------------- idempotency


class IdempotencyKeys:
    """A hash and an id per key; nothing of the request or the answer is kept."""

    async def find(self, work: Work, client: int, key_hash: bytes) -> Stored | None:
        row = await work.conn.fetchrow(
            """
            SELECT request_hash, result_id FROM idempotency_keys
            WHERE organisation_id = $1 AND client_id = $2 AND key_hash = $3
            """,
            work.scope.organisation,
            client,
            key_hash,
        )
        return Stored(row["request_hash"], row["result_id"]) if row else None

    async def add(self, work: Work, client: int, key_hash: bytes, stored: Stored) -> None:
        """Raises Retry when the same key was committed in the meantime."""
        try:
            await work.conn.execute(
                "INSERT INTO idempotency_keys VALUES ($1, $2, $3, $4, $5, $6)",
                work.scope.organisation,
                client,
                key_hash,
                stored.request_hash,
                stored.result_id,
                work.now,
            )
        except asyncpg.UniqueViolationError:
            raise Retry from None
