"""Sessions of users in apps: begun by a client that acts for users, or by the user who is logged in; carried on by the
app alone (RFC 6749 §6).

A refresh token is `lwr_` and base64url of family ‖ turn. The family is the same in all tokens of a session; each turn
follows from the one before it, so that who asks twice with the same token, because the answer was lost, gets the same
answer. Only hashes are kept. The first use binds the session to the app's key (RFC 9449), and later ones need it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from latchwork.cloud.accounts import rules, store
from latchwork.cloud.accounts.dpop import Proof
from latchwork.cloud.accounts.model import AppSession, ClientSecret, UserAccount
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.work import SYSTEM, Database, Scope, Work
from latchwork.wire import p256
from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import NotFound

PREFIX: Final = "lwr_"
"""How a refresh token begins: a secret scanner knows it by that."""
BEGIN_WITHIN: Final = 600
"""Seconds within which the app begins the session."""
UNUSED_FOR: Final = 90 * 86_400
"""Seconds after which a session that was not used is over."""
_FAMILY_BYTES: Final = 16
_TURN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a token is not good."""

    why: str
    error: str = "invalid_grant"
    """RFC 6749 §5.2, RFC 9449 §5."""


@dataclass(frozen=True, slots=True)
class Token:
    """A refresh token, taken apart."""

    family: bytes
    turn: bytes

    @property
    def text(self) -> str:
        return PREFIX + p256.b64url(self.family + self.turn)

    @property
    def family_hash(self) -> bytes:
        return sha256(self.family).digest()

    @property
    def hash(self) -> bytes:
        return sha256(self.family + self.turn).digest()

    def is_current(self, session: AppSession) -> bool:
        """Whether it is the session's newest, or the one before, whose answer may have been lost."""
        return self.hash in (session.newest_hash, session.former_hash)

    def following(self, seal: Seal) -> Token:
        """The one that this is exchanged for."""
        return Token(self.family, seal.derive(self.family + self.turn, "app session"))


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A session that goes on: for whom, by which client, and the token for the next time."""

    session: AppSession
    user: UserAccount
    client: ClientSecret | None
    """That began it; None: the user did."""
    token: Token


def is_one(text: str) -> bool:
    """Whether a token looks like a refresh token."""
    return text.startswith(PREFIX)


def read(text: str) -> Token | None:
    """The token in a text; None: it is none."""
    try:
        data = p256.from_b64url(text.removeprefix(PREFIX))
    except ValueError:
        return None
    if not is_one(text) or len(data) != _FAMILY_BYTES + _TURN_BYTES:
        return None
    return Token(data[:_FAMILY_BYTES], data[_FAMILY_BYTES:])


_OVER: Final = Refused("This refresh token is not good, or its session is over.")


async def offer(work: Work, client: int | None, user: int, scopes: Collection[str] | None) -> Token:
    """A one-time token with which the user's app begins a session; `client`: whose app it is, None: the user's own.

    `scopes`: no more than these.
    """
    token = Token(secrets.token_bytes(_FAMILY_BYTES), secrets.token_bytes(_TURN_BYTES))
    until = work.now + BEGIN_WITHIN
    await store.add_app_session(
        work.conn, work.scope, user, client, scopes, token.family_hash, token.hash, work.now, until
    )
    return token


async def refresh(database: Database, seal: Seal, text: str, proof: Proof, now: int) -> Refreshed | Refused:
    """Carries the session of a refresh token on, or says why not."""
    token = read(text)
    found = await _find(database, token, now) if token else None
    if token is None or found is None:
        return _OVER
    # committed in either case: a token that is too old ends its session
    return await database.run(
        Scope(found.organisation), SYSTEM, now, lambda work: _refresh(work, seal, token, found, proof)
    )


async def _find(database: Database, token: Token, now: int) -> AppSession | None:
    async with database.connection() as conn:
        return await store.find_app_session(conn, token.family_hash, now)


async def _refresh(work: Work, seal: Seal, token: Token, found: AppSession, proof: Proof) -> Refreshed | Refused:
    if not await store.use_proof(work.conn, proof.digest, proof.is_good_until):
        return Refused("This DPoP proof was used before; make a new one for each request.", "invalid_dpop_proof")
    user = await _able_user(work, found.user)
    session = await store.lock_app_session(work.conn, work.scope, found.user, found.id, work.now)
    if session is None:
        return _OVER
    client = None if session.client is None else await store.find_secret_of(work.conn, work.scope, session.client)
    if user is None or not _may_act(session, client):
        return Refused("This user's access, or the client's that began the session, is switched off.", "access_denied")
    work.actor = Actor("user", str(user.id), user.name)
    if session.thumbprint not in (None, proof.thumbprint):
        await _note_contested(work, session, user)
        return Refused("This session belongs to another key.")
    if not token.is_current(session):
        if session.thumbprint is None:
            return _OVER
        await _end(work, session, "reused")  # somebody has both token and key
        return Refused("This refresh token was used before, so its session has ended; begin a new one.")
    new = token.following(seal)
    await store.turn_app_session(
        work.conn, work.scope, session.id, new.hash, token.hash, proof.thumbprint, work.now, work.now + UNUSED_FOR
    )
    if session.thumbprint is None:
        named = {"clientId": client.client.client_id, "clientName": client.client.name} if client else {}
        events.record(work, "app_session_begun", f"user/{user.id}", data={"appSessionId": session.id, **named})
    return Refreshed(session, user, client, new)


async def _note_contested(work: Work, session: AppSession, user: UserAccount) -> None:
    """Somebody else has a token of this session, or had it first: said once, however often they try."""
    if not await store.is_contested(work.conn, work.scope, session):
        data = {"appSessionId": session.id, "userName": user.name}
        events.record(work, "app_session_contested", f"user/{user.id}", data=data, actor=SYSTEM)


def _may_act(session: AppSession, client: ClientSecret | None) -> bool:
    """Whether the client that began the session, if one did, may still act for users."""
    return session.client is None or (client is not None and rules.ACT in client.client.scopes)


async def _able_user(work: Work, id: int) -> UserAccount | None:
    """A user, if they may do anything now; every later change of theirs reaches the new token."""
    await store.hold_acting(work.conn, work.scope, id, work.now + rules.LONGEST_USER_TOKEN)
    user = await store.find_user(work.conn, work.scope, id)
    return user if user is not None and rules.may_act(user, work.now) else None


async def revoke(database: Database, text: str, client: ClientSecret | None, now: int) -> None:
    """Ends the session of a refresh token (RFC 7009), if this client began it; None: for the app itself.

    To the app's own a spent token proves nothing: whoever has seen one could end the session of another.
    """
    token = read(text)
    found = await _find(database, token, now) if token else None
    if token is None or found is None:
        return
    if token.is_current(found) if client is None else client.client.id == found.client:
        await database.run(Scope(found.organisation), SYSTEM, now, lambda work: _revoke(work, found, client))


async def _revoke(work: Work, found: AppSession, client: ClientSecret | None) -> None:
    user = await store.find_user(work.conn, work.scope, found.user)
    work.actor = Actor("user", str(found.user), user.name if user else "")
    if client is not None:
        work.actor = Actor("client", client.client.client_id, client.client.name)
    with suppress(NotFound):
        await end(work, found.user, found.id, "revoked")


async def end(work: Work, user: int, id: int, why: str) -> None:
    """Ends one of a user's sessions; raises NotFound."""
    session = await store.lock_app_session(work.conn, work.scope, user, id, work.now)
    if session is None:
        raise NotFound("There is no such session.")
    await _end(work, session, why)


async def _end(work: Work, session: AppSession, why: str) -> None:
    """Its tokens are refused within a second, in every process."""
    await store.end_app_session(work.conn, work.scope, session.id)
    await store.add_user_revocations(work.conn, work.scope, [session.user], 0, work.now + rules.LONGEST_USER_TOKEN)
    data = {"appSessionId": session.id, "why": why}
    events.record(work, "app_session_ended", f"user/{session.user}", data=data)
