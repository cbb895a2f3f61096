"""Use cases of organisations and their clients."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection

import argon2
import msgspec
from msgspec import UNSET, UnsetType

from latchwork.cloud.accounts import rules, store
from latchwork.cloud.accounts.model import ClientSecret, Tenant
from latchwork.cloud.events import service as events
from latchwork.cloud.events import store as event_store
from latchwork.cloud.kernel.bodies import given
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.texts import is_text
from latchwork.cloud.kernel.work import Connection, Work
from latchwork.wire.api.accounts import Client, ClientDraft, ClientPatch, Organisation, OrganisationPatch
from latchwork.wire.api.problems import Conflict, Forbidden, Unauthorized

REVOCATIONS = "revocations"
"""The hint's topic: tokens were revoked."""

_hasher = argon2.PasswordHasher()
_hashing = asyncio.Semaphore(2)  # each takes 64 MiB for a twentieth of a second
_NOBODY = _hasher.hash(secrets.token_hex(16))


async def found(conn: Connection, name: str, now: int) -> int:
    """A new organisation's id; the caller records the event in a unit of work of that organisation."""
    organisation = await store.add_organisation(conn, name, now)
    await event_store.open_log(conn, organisation)
    return organisation


async def change_organisation(work: Work, patch: OrganisationPatch) -> Organisation:
    """Changes settings; what doors must know of them is touched."""
    rules.check_organisation(patch)
    tenant = await store.lock_tenant(work.conn, work.scope)
    before = tenant.organisation
    after = msgspec.structs.replace(before, **given(patch))
    if after == before:
        return before
    shortened = rules.passes_get_shorter(before.pass_seconds, after.pass_seconds)
    await store.change_organisation(
        work.conn, work.scope, Tenant(after, work.now if shortened else tenant.passes_shortened_at)
    )
    work.touched.every_door = True
    events.record(work, "organisation_changed", f"organisation/{after.id}", before=before, after=after)
    return after


async def add_client(work: Work, draft: ClientDraft) -> Client:
    """A new client, with its secret: the only time that it is shown."""
    rules.check_client(draft)
    secret = secrets.token_urlsafe(32)
    client = await store.add_client(
        work.conn, work.scope, f"lw_{secrets.token_hex(8)}", await _hashed(secret), draft, work.now
    )
    events.record(work, "client_created", f"client/{client.id}", after=client)
    return msgspec.structs.replace(client, client_secret=secret)


async def change_client(work: Work, hints: Hints, id: int, patch: ClientPatch) -> Client:
    rules.check_client(patch)
    before = await store.lock_client(work.conn, work.scope, id)
    after = msgspec.structs.replace(before, **given(patch))
    if after == before:
        return before
    await store.change_client(work.conn, work.scope, after)
    if (after.scopes, after.name) != (before.scopes, before.name):
        await _forget_tokens(work, hints, after, not_before=0)
    events.record(work, "client_changed", f"client/{id}", before=before, after=after)
    return after


def check_no_more_than(own: Collection[str], scopes: Collection[str] | UnsetType) -> None:
    """Raises Forbidden when somebody would hand out what they do not have."""
    if scopes is not UNSET and not set(scopes) <= set(own):
        raise Forbidden("A client cannot be given scopes that yours does not have.")


async def rotate_secret(work: Work, hints: Hints, own: Collection[str], id: int) -> Client:
    """A new secret; the old one and every token issued with it end. `own`: the scopes of whoever asks."""
    client = await store.lock_client(work.conn, work.scope, id)
    check_no_more_than(own, client.scopes)
    if client.revoked_at is not None:
        raise Conflict("This client was revoked; make a new one.")
    secret = secrets.token_urlsafe(32)
    await store.change_secret(work.conn, work.scope, id, await _hashed(secret))
    await _forget_tokens(work, hints, client, not_before=work.now + 1)
    events.record(work, "client_secret_rotated", f"client/{id}")
    return msgspec.structs.replace(client, client_secret=secret)


async def revoke_client(work: Work, hints: Hints, id: int) -> None:
    """The client is refused everywhere within a second; revoking it again changes nothing."""
    client = await store.lock_client(work.conn, work.scope, id)
    if client.revoked_at is not None:
        return
    after = msgspec.structs.replace(client, revoked_at=work.now)
    await store.change_client(work.conn, work.scope, after)
    await _forget_tokens(work, hints, client, not_before=2**62)
    events.record(work, "client_revoked", f"client/{id}", before=client, after=after)


async def revoke_token(work: Work, hints: Hints, client_id: str, jti: str, expires_at: int) -> None:
    await store.add_revocation(work.conn, client_id, jti, 0, expires_at)
    work.after_commit.append(lambda: hints.give(REVOCATIONS))


async def authenticate(conn: Connection, client_id: str, secret: str) -> ClientSecret:
    """The client with this id and secret; raises Unauthorized alike for an unknown id and a wrong secret."""
    found = await store.find_secret(conn, client_id) if is_text(client_id) else None
    is_right = await _verified(found.secret_hash if found else _NOBODY, secret)
    if found is None or not is_right:
        raise Unauthorized("The client's id or secret is wrong.")
    return found


async def forget_tokens(work: Work, hints: Hints, id: int) -> None:
    """Every process looks the client up again; its tokens stay good."""
    client = await store.get_client(work.conn, work.scope, id)
    await _forget_tokens(work, hints, client, not_before=0)


async def _forget_tokens(work: Work, hints: Hints, client: Client, not_before: int) -> None:
    longest = max(client.token_seconds, rules.LONGEST_TOKEN)
    await store.add_revocation(work.conn, client.client_id, None, not_before, work.now + longest)
    work.after_commit.append(lambda: hints.give(REVOCATIONS))


async def _hashed(secret: str) -> str:
    async with _hashing:
        return await asyncio.to_thread(_hasher.hash, secret)


async def _verified(secret_hash: str, secret: str) -> bool:
    def verify() -> bool:
        try:
            return _hasher.verify(secret_hash, secret)
        except argon2.exceptions.VerificationError:
            return False

    if len(secret) > 500 or not is_text(secret):
        return False
    async with _hashing:
        return await asyncio.to_thread(verify)
