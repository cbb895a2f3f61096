"""All SQL of accounts that log in, their sessions and the links with which a password is chosen."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from latchwork.cloud.kernel.work import Connection, Retry, Scope
from latchwork.cloud.sessions.model import Credential, Live, Trust
from latchwork.cloud.sessions.oidc import UnderWay
from latchwork.cloud.sessions.rules import FAMILIAR_FOR, FORGET_AFTER, Failures
from latchwork.wire.api.problems import NotFound
from latchwork.wire.api.sessions import Account, Session

# ------------------------------------------------------------------------------------------------- accounts


async def keep_account(conn: Connection, scope: Scope, user: int, email: str) -> bool:
    """The user's account is there, with this e-mail; False when another account has it, in any organisation."""
    try:
        row = await conn.fetchrow(
            """
            INSERT INTO accounts (organisation_id, user_id, email) SELECT $1::integer, $2::integer, $3::text
            WHERE NOT EXISTS (SELECT 1 FROM accounts
                WHERE lower(email) = lower($3) AND (organisation_id, user_id) <> ($1, $2))
            ON CONFLICT (organisation_id, user_id) DO UPDATE SET email = EXCLUDED.email
            RETURNING user_id
            """,
            scope.organisation,
            user,
            email,
        )
    except asyncpg.UniqueViolationError:  # taken in the meantime
        raise Retry from None
    return row is not None


async def get_account(conn: Connection, scope: Scope, user: int) -> Account:
    """Raises NotFound."""
    row = await conn.fetchrow(
        "SELECT * FROM accounts WHERE organisation_id = $1 AND user_id = $2", scope.organisation, user
    )
    if row is None:
        raise NotFound("This user has no log-in yet.")
    return _account(row)


async def remove_account(conn: Connection, scope: Scope, user: int) -> Account | None:
    """With its sessions and links; answers what it was."""
    row = await conn.fetchrow(
        "DELETE FROM accounts WHERE organisation_id = $1 AND user_id = $2 RETURNING *", scope.organisation, user
    )
    return _account(row) if row else None


def _account(row: asyncpg.Record) -> Account:
    return Account(row["user_id"], row["email"], row["password_hash"] != "", row["last_log_in_at"])


async def find_credential(conn: Connection, email: str) -> Credential | None:
    """The account with this e-mail, in whichever organisation."""
    row = await conn.fetchrow("SELECT * FROM accounts WHERE lower(email) = lower($1)", email)
    return _credential(row) if row else None


async def credential_of(conn: Connection, scope: Scope, user: int) -> Credential | None:
    row = await conn.fetchrow(
        "SELECT * FROM accounts WHERE organisation_id = $1 AND user_id = $2", scope.organisation, user
    )
    return _credential(row) if row else None


def _credential(row: asyncpg.Record) -> Credential:
    return Credential(row["organisation_id"], row["user_id"], row["email"], row["password_hash"])


async def set_password(conn: Connection, scope: Scope, user: int, password_hash: str) -> None:
    """Links that are still open end with it."""
    await conn.execute(
        """
        WITH gone AS (DELETE FROM password_links WHERE organisation_id = $1 AND user_id = $2)
        UPDATE accounts SET password_hash = $3 WHERE organisation_id = $1 AND user_id = $2
        """,
        scope.organisation,
        user,
        password_hash,
    )


# ------------------------------------------------------------------------------------------------- links


async def add_link(conn: Connection, scope: Scope, user: int, token_hash: bytes, expires_at: int) -> None:
    """The account's only link: an older one ends."""
    await conn.execute(
        """
        WITH gone AS (DELETE FROM password_links WHERE organisation_id = $2 AND user_id = $3)
        INSERT INTO password_links VALUES ($1, $2, $3, $4)
        """,
        token_hash,
        scope.organisation,
        user,
        expires_at,
    )


async def find_link(conn: Connection, token_hash: bytes, now: int) -> Credential | None:
    """Whose password may be chosen with this link."""
    row = await conn.fetchrow(
        """
        SELECT a.* FROM password_links l JOIN accounts a
            ON a.organisation_id = l.organisation_id AND a.user_id = l.user_id
        WHERE l.token_hash = $1 AND l.expires_at > $2
        """,
        token_hash,
        now,
    )
    return _credential(row) if row else None


async def use_link(conn: Connection, token_hash: bytes, now: int) -> bool:
    """False when it was used meanwhile, or is over."""
    row = await conn.fetchrow(
        "DELETE FROM password_links WHERE token_hash = $1 AND expires_at > $2 RETURNING user_id", token_hash, now
    )
    return row is not None


# ------------------------------------------------------------------------------------------------- sessions


async def add_session(
    conn: Connection, scope: Scope, user: int, token_hash: bytes, device: str, network: str, now: int, expires_at: int
) -> int:
    """Its id. The network is familiar from now on."""
    id: int = await conn.fetchval(
        """
        WITH logged_in AS (
            UPDATE accounts SET last_log_in_at = $6 WHERE organisation_id = $1 AND user_id = $2
        ), familiar AS (
            INSERT INTO familiar_networks VALUES ($1, $2, $5, $6)
            ON CONFLICT (organisation_id, user_id, network) DO UPDATE SET last_at = EXCLUDED.last_at
        )
        INSERT INTO sessions
            (organisation_id, user_id, token_hash, device, network, created_at, seen_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6, $7) RETURNING id
        """,
        scope.organisation,
        user,
        token_hash,
        device,
        network,
        now,
        expires_at,
    )
    return id


async def see_session(conn: Connection, token_hash: bytes, now: int) -> Live | None:
    """The session with this token, seen now."""
    row = await conn.fetchrow(
        """
        UPDATE sessions SET seen_at = $2 WHERE token_hash = $1 AND expires_at > $2
        RETURNING organisation_id, id, user_id, created_at, expires_at
        """,
        token_hash,
        now,
    )
    return Live(*row) if row else None


async def list_sessions(conn: Connection, scope: Scope, user: int, current: int, now: int) -> list[Session]:
    """Newest first."""
    rows = await conn.fetch(
        """
        SELECT * FROM sessions WHERE organisation_id = $1 AND user_id = $2 AND expires_at > $3
        ORDER BY created_at DESC, id DESC
        """,
        scope.organisation,
        user,
        now,
    )
    return [
        Session(
            id=row["id"],
            device=row["device"],
            network=row["network"],
            created_at=row["created_at"],
            seen_at=row["seen_at"],
            expires_at=row["expires_at"],
            is_current=row["id"] == current,
        )
        for row in rows
    ]


async def end_session(conn: Connection, scope: Scope, user: int, id: int) -> None:
    row = await conn.fetchrow(
        "DELETE FROM sessions WHERE organisation_id = $1 AND user_id = $2 AND id = $3 RETURNING id",
        scope.organisation,
        user,
        id,
    )
    if row is None:
        raise NotFound


async def end_sessions(conn: Connection, scope: Scope, users: Collection[int], keep: int = 0) -> None:
    """All of these users', but one."""
    await conn.execute(
        "DELETE FROM sessions WHERE organisation_id = $1 AND user_id = ANY($2) AND id <> $3",
        scope.organisation,
        list(users),
        keep,
    )


# ------------------------------------------------------------------------------------------------- guessers


async def failures(
    conn: Connection, email_hash: bytes, network: str, found: Credential | None, now: int
) -> tuple[Failures, Failures, bool]:
    """Lately from this network, lately from all unfamiliar ones together, and whether this one is familiar.

    Until commit nobody else counts for this e-mail, so that many guesses at once are many guesses.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))", email_hash)
    row = await conn.fetchrow(
        """
        WITH own AS (
            SELECT network FROM familiar_networks WHERE organisation_id = $3 AND user_id = $4 AND last_at > $6
        ), lately AS (SELECT * FROM failed_log_ins WHERE email_hash = $1 AND last_at > $5)
        SELECT
            coalesce(sum(failures) FILTER (WHERE network = $2), 0)::integer AS here,
            coalesce(max(last_at) FILTER (WHERE network = $2), 0) AS here_at,
            coalesce(sum(failures) FILTER (WHERE network NOT IN (SELECT * FROM own)), 0)::integer AS elsewhere,
            coalesce(max(last_at) FILTER (WHERE network NOT IN (SELECT * FROM own)), 0) AS elsewhere_at,
            $2 IN (SELECT * FROM own) AS is_familiar
        FROM lately
        """,
        email_hash,
        network,
        found.organisation if found else None,
        found.user if found else None,
        now - FORGET_AFTER,
        now - FAMILIAR_FOR,
    )
    assert row is not None  # an aggregate always has its row
    return Failures(row["here"], row["here_at"]), Failures(row["elsewhere"], row["elsewhere_at"]), row["is_familiar"]


async def add_failure(conn: Connection, email_hash: bytes, network: str, now: int) -> None:
    await conn.execute(
        """
        INSERT INTO failed_log_ins AS f VALUES ($1, $2, 1, $3) ON CONFLICT (email_hash, network) DO UPDATE
        SET failures = CASE WHEN f.last_at > $4 THEN f.failures + 1 ELSE 1 END, last_at = EXCLUDED.last_at
        """,
        email_hash,
        network,
        now,
        now - FORGET_AFTER,
    )


async def forgive(conn: Connection, email_hash: bytes, network: str) -> None:
    """A right password was given from this network."""
    await conn.execute("DELETE FROM failed_log_ins WHERE email_hash = $1 AND network = $2", email_hash, network)


async def sweep(conn: Connection, now: int) -> None:
    """Forgets what is over."""
    await conn.execute("DELETE FROM sessions WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM sign_ins WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM password_links WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM failed_log_ins WHERE last_at < $1", now - FORGET_AFTER)
    await conn.execute("DELETE FROM familiar_networks WHERE last_at < $1", now - FAMILIAR_FOR)


# ------------------------------------------------------------------------------------------------- identity providers


async def set_provider(conn: Connection, trust: Trust) -> None:
    await conn.execute(
        """
        INSERT INTO identity_providers VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (organisation_id) DO UPDATE
        SET name = EXCLUDED.name, issuer = EXCLUDED.issuer, client_id = EXCLUDED.client_id,
            sealed_secret = EXCLUDED.sealed_secret, domains = EXCLUDED.domains
        """,
        trust.organisation,
        trust.name,
        trust.issuer,
        trust.client_id,
        trust.sealed_secret,
        list(trust.domains),
    )


async def find_provider(conn: Connection, organisation: int) -> Trust | None:
    row = await conn.fetchrow("SELECT * FROM identity_providers WHERE organisation_id = $1", organisation)
    return _trust(row) if row else None


async def provider_for(conn: Connection, domain: str) -> Trust | None:
    """The provider of an e-mail's domain, or the only one there is; the oldest organisation's of several."""
    row = await conn.fetchrow(
        """
        SELECT * FROM identity_providers
        WHERE $1 = ANY(domains) OR (SELECT count(*) FROM identity_providers) = 1
        ORDER BY $1 = ANY(domains) DESC, organisation_id LIMIT 1
        """,
        domain,
    )
    return _trust(row) if row else None


async def has_providers(conn: Connection) -> bool:
    """Whether any organisation has one."""
    found: bool = await conn.fetchval("SELECT EXISTS (SELECT 1 FROM identity_providers)")
    return found


async def remove_provider(conn: Connection, scope: Scope) -> None:
    await conn.execute("DELETE FROM identity_providers WHERE organisation_id = $1", scope.organisation)


async def add_sign_in(
    conn: Connection, state_hash: bytes, organisation: int, under_way: UnderWay, expires_at: int
) -> None:
    await conn.execute(
        "INSERT INTO sign_ins VALUES ($1, $2, $3, $4, $5)",
        state_hash,
        organisation,
        under_way.nonce,
        under_way.verifier,
        expires_at,
    )


async def take_sign_in(conn: Connection, state_hash: bytes, now: int) -> tuple[Trust, UnderWay] | None:
    """A sign-in under way, this once."""
    row = await conn.fetchrow(
        """
        WITH taken AS (DELETE FROM sign_ins WHERE state_hash = $1 AND expires_at > $2 RETURNING *)
        SELECT p.*, t.nonce, t.verifier FROM taken t JOIN identity_providers p USING (organisation_id)
        """,
        state_hash,
        now,
    )
    return (_trust(row), UnderWay(row["nonce"], row["verifier"])) if row else None


def _trust(row: asyncpg.Record) -> Trust:
    return Trust(
        row["organisation_id"],
        row["name"],
        row["issuer"],
        row["client_id"],
        row["sealed_secret"],
        tuple(row["domains"]),
    )
