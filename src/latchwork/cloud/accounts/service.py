"""Use cases of organisations and their clients."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from latchwork.cloud.accounts import hashing, rules, store
from latchwork.cloud.accounts.model import ClientSecret, Tenant, UserAccount
from latchwork.cloud.events import service as events
from latchwork.cloud.events import store as event_store
from latchwork.cloud.kernel.bodies import given
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.texts import is_text
from latchwork.cloud.kernel.versions import Versions, check_known
from latchwork.cloud.kernel.work import Connection, Database, Scope, Work
from latchwork.wire.api.accounts import Client, ClientDraft, ClientPatch, Organisation, OrganisationPatch
from latchwork.wire.api.problems import Conflict, Forbidden, Unauthorized

REVOCATIONS = "revocations"
"""The hint's topic: tokens were revoked."""


class Secret(NamedTuple):
    """A client's new secret: its text, which is shown once, and the hash, which is stored."""

    text: str
    hash: str


async def found(conn: Connection, name: str, now: int) -> int:
    """A new organisation's id; the caller records the event in a unit of work of that organisation."""
    organisation = await store.add_organisation(conn, name, now)
    await event_store.open_log(conn, organisation)
    return organisation


async def change_organisation(work: Work, patch: OrganisationPatch, known: Versions = None) -> Organisation:
    """Changes settings; what doors must know of them is touched. Raises Outdated for none of the known versions."""
    rules.check_organisation(patch)
    tenant = await store.lock_tenant(work.conn, work.scope)
    before = tenant.organisation
    check_known(known, before)
    after = msgspec.structs.replace(before, **given(patch))
    if after == before:
        return before
    after = msgspec.structs.replace(after, version=before.version + 1)
    shortened = rules.passes_get_shorter(before.pass_seconds, after.pass_seconds)
    await store.change_organisation(
        work.conn, work.scope, Tenant(after, work.now if shortened else tenant.passes_shortened_at)
    )
    if (after.visitor_module, after.attendance_module) != (before.visitor_module, before.attendance_module):
        await store.add_user_revocations(work.conn, work.scope, None, 0, work.now + rules.LONGEST_USER_TOKEN)
    work.touched.every_door = True
    events.record(work, "organisation_changed", f"organisation/{after.id}", before=before, after=after)
    return after


async def new_secret() -> Secret:
    """A secret and its hash: made before a unit of work begins, for hashing takes a twentieth of a second."""
    text = secrets.token_urlsafe(32)
    return Secret(text, await hashing.hashed(text))


async def add_client(work: Work, draft: ClientDraft, secret: Secret) -> Client:
    """A new client, with its secret: the only time that it is shown."""
    rules.check_client(draft)
    client = await store.add_client(work.conn, work.scope, f"lw_{secrets.token_hex(8)}", secret.hash, draft, work.now)
    events.record(work, "client_created", f"client/{client.id}", after=client)
    return msgspec.structs.replace(client, client_secret=secret.text)


async def change_client(work: Work, hints: Hints, id: int, patch: ClientPatch) -> Client:
    rules.check_client(patch)
    before = await store.lock_client(work.conn, work.scope, id)
    if before.revoked_at is not None:
        raise Conflict("This client was revoked; make a new one.")
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


async def rotate_secret(work: Work, hints: Hints, own: Collection[str], id: int, secret: Secret) -> Client:
    """A new secret; the old one and every token issued with it end. `own`: the scopes of whoever asks."""
    client = await store.lock_client(work.conn, work.scope, id)
    check_no_more_than(own, client.scopes)
    if client.revoked_at is not None:
        raise Conflict("This client was revoked; make a new one.")
    await store.change_secret(work.conn, work.scope, id, secret.hash)
    await _forget_tokens(work, hints, client, not_before=work.now + 1)
    events.record(work, "client_secret_rotated", f"client/{id}", data={"name": client.name})
    return msgspec.structs.replace(client, client_secret=secret.text)


async def revoke_client(work: Work, hints: Hints, id: int) -> None:
    """The client is refused everywhere within a second; revoking it again changes nothing."""
    client = await store.lock_client(work.conn, work.scope, id)
    if client.revoked_at is not None:
        return
    after = msgspec.structs.replace(client, revoked_at=work.now)
    await store.change_client(work.conn, work.scope, after)
    await store.end_app_sessions_by(work.conn, work.scope, id)
    await _forget_tokens(work, hints, client, not_before=2**62)
    events.record(work, "client_revoked", f"client/{id}", before=client, after=after)


async def revoke_token(work: Work, hints: Hints, client_id: str, jti: str, expires_at: int) -> None:
    await store.add_revocation(work.conn, client_id, jti, 0, expires_at)
    work.after_commit.append(lambda: hints.give(REVOCATIONS))


async def authenticate(database: Database, client_id: str, secret: str) -> ClientSecret:
    """The client with this id and secret; raises Unauthorized alike for an unknown id and a wrong secret.

    No connection is held while the secret is verified.
    """
    found = None
    if is_text(client_id):
        async with database.connection() as conn:
            found = await store.find_secret(conn, client_id)
    if not await hashing.is_right(found.secret_hash if found else None, secret) or found is None:
        raise Unauthorized("The client's id or secret is wrong.")
    return found


async def note_use(database: Database, found: ClientSecret, now: int) -> None:
    """The client fetches a token; written down at most every few minutes."""
    if rules.is_use_news(found.client.last_used_at, now):
        async with database.connection() as conn:
            await store.note_use(conn, Scope(found.organisation), found.client.id, now)


async def forget_tokens(work: Work, hints: Hints, id: int) -> None:
    """Every process looks the client up again; its tokens stay good."""
    client = await store.get_client(work.conn, work.scope, id)
    await _forget_tokens(work, hints, client, not_before=0)


async def _forget_tokens(work: Work, hints: Hints, client: Client, not_before: int) -> None:
    longest = max(client.token_seconds, rules.LONGEST_TOKEN)
    await store.add_revocation(work.conn, client.client_id, None, not_before, work.now + longest)
    work.after_commit.append(lambda: hints.give(REVOCATIONS))


async def act_for(database: Database, organisation: int, user: int, now: int) -> UserAccount | None:
    """The user for whom a token may be issued now; every later change of theirs reaches it. None: there is none."""
    if not is_id(user):
        return None
    scope = Scope(organisation)
    async with database.transaction() as conn:
        await store.hold_acting(conn, scope, user, now + rules.LONGEST_USER_TOKEN)
        return await store.find_user(conn, scope, user)


async def forget_users(work: Work, users: Collection[int], ended: bool) -> None:
    """Every process looks up anew within a second what these users may.

    `ended`: none of their tokens is good any more, and their sessions in apps are over. The users are held by this unit
    of work.
    """
    if ended:
        await store.end_app_sessions(work.conn, work.scope, users)
    if acting := await store.acting(work.conn, work.scope, users, work.now):
        ends = work.now + rules.LONGEST_USER_TOKEN
        await store.add_user_revocations(work.conn, work.scope, acting, work.now + 1 if ended else 0, ends)
