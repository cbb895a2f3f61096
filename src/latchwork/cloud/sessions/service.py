"""Use cases of people who log in: sessions, invitations, passwords."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from hashlib import sha256
from typing import Final

from latchwork.cloud.accounts import hashing
from latchwork.cloud.accounts import store as account_store
from latchwork.cloud.accounts.rules import LONGEST_USER_TOKEN, may_act
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.texts import is_text
from latchwork.cloud.kernel.work import Connection, Database, Scope, Work
from latchwork.cloud.sessions import rules, store
from latchwork.cloud.sessions.model import PREFIX, Credential, Live
from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import Conflict, FieldError, Invalid, LinkOver, NotFound, TooManyRequests, Unauthorized
from latchwork.wire.api.sessions import LogIn, NewSession, PasswordChange, PasswordChoice, PasswordLink

WRONG: Final = "The e-mail or the password is wrong."


async def log_in(database: Database, given: LogIn, network: str, now: int) -> NewSession:
    """A session for whoever knows e-mail and password; raises Unauthorized, or TooManyRequests for a guesser.

    An unknown e-mail is answered as a wrong password is, as late, and as often.
    """
    if not is_text(given.email, rules.LONGEST_EMAIL) or not is_text(given.device):
        raise Unauthorized(WRONG)
    email_hash = _email_hash(given.email)
    found = await _admitted(database, given.email.strip(), email_hash, network, now)
    if not await hashing.is_right(found.password_hash if found else None, given.password) or found is None:
        raise Unauthorized(WRONG)
    return await begin(database, found, given.device, network, now, email_hash)


async def _admitted(database: Database, email: str, email_hash: bytes, network: str, now: int) -> Credential | None:
    """The account of an attempt that need not wait. It counts as failed until its password has turned out right."""
    async with database.transaction() as conn:
        found = await store.find_credential(conn, email)
        here, elsewhere, is_familiar = await store.failures(conn, email_hash, network, found, now)
        if seconds := rules.seconds_to_wait(here, elsewhere, is_familiar, now):
            raise TooManyRequests(f"Too many wrong passwords. Please wait {told(seconds)}.", retry_after=seconds)
        await store.add_failure(conn, email_hash, network, now)
    return found


def told(seconds: int) -> str:
    """A time in words."""
    if seconds >= 120:
        return f"{round(seconds / 60)} minutes"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def _email_hash(email: str) -> bytes:
    return sha256(email.strip().lower().encode()).digest()


async def begin(
    database: Database, who: Credential, device: str, network: str, now: int, email_hash: bytes | None = None
) -> NewSession:
    """A new session of somebody who has proven who they are; raises Unauthorized when their access is over."""
    token = PREFIX + secrets.token_urlsafe(32)
    expires_at = now + rules.SESSION_SECONDS

    async def add(work: Work) -> NewSession:
        await account_store.hold_acting(work.conn, work.scope, who.user, expires_at)
        user = await account_store.find_user(work.conn, work.scope, who.user)
        if user is None or not may_act(user, now):
            raise Unauthorized("Your access is switched off; please ask your administrator.")
        work.actor = Actor("user", str(user.id), user.name)
        id = await store.add_session(
            work.conn, work.scope, user.id, _digest(token), device[:200], network, now, expires_at
        )
        if email_hash is not None:
            await store.forgive(work.conn, email_hash, network)
        data = {"device": device[:200], "network": network}
        events.record(work, "session_begun", f"user/{user.id}", data=data)
        return NewSession(id, token, expires_at)

    return await database.run(Scope(who.organisation), Actor("user", str(who.user), ""), now, add)


class Sessions:
    """Sessions as the gate sees them (`accounts.tokens.Sessions`)."""

    def is_one(self, token: str) -> bool:
        """Whether a token looks like a session's."""
        return token.startswith(PREFIX)

    async def find(self, conn: Connection, token: str, now: int) -> Live | None:
        """The session of a token, used now; None: there is none, or it is over."""
        return await store.see_session(conn, _digest(token), now)


async def end_session(work: Work, user: int, id: int) -> None:
    """One of the user's sessions; within a second it is over in every process."""
    await store.end_session(work.conn, work.scope, user, id)
    await _look_again(work, user)
    events.record(work, "session_ended", f"user/{user}")


async def end_sessions(work: Work, users: Collection[int]) -> None:
    """All sessions of users who are switched off; whoever calls makes every process look again."""
    await store.end_sessions(work.conn, work.scope, users)


async def end_other_sessions(work: Work, user: int, session: int) -> None:
    """All of the user's sessions but this one."""
    await store.end_sessions(work.conn, work.scope, [user], keep=session)
    await _look_again(work, user)
    events.record(work, "session_ended", f"user/{user}")


async def _look_again(work: Work, user: int) -> None:
    await account_store.add_user_revocations(work.conn, work.scope, [user], 0, work.now + LONGEST_USER_TOKEN)


# ------------------------------------------------------------------------------------------------- passwords


async def invite(work: Work, user: int, email: str) -> str:
    """The token of a link with which the user chooses a password; they have an account from now on.

    Raises Conflict when somebody else logs in with this e-mail, Invalid when there is none.
    """
    if not email:
        raise Invalid("This user has no e-mail; give them one first.", [FieldError("email", "An e-mail is needed.")])
    if not await store.keep_account(work.conn, work.scope, user, email):
        raise Conflict("Somebody else logs in with this e-mail.")
    token = secrets.token_urlsafe(32)
    await store.add_link(work.conn, work.scope, user, _digest(token), work.now + rules.LINK_SECONDS)
    events.record(work, "user_invited", f"user/{user}")
    return token


async def offer_reset(database: Database, email: str, now: int) -> str | None:
    """The token of a link for whoever has an account with this e-mail; None: nobody has."""
    async with database.connection() as conn:
        found = await store.find_credential(conn, email) if is_text(email, rules.LONGEST_EMAIL) else None
    if found is None:
        return None
    actor = Actor("user", str(found.user), "")
    return await database.run(Scope(found.organisation), actor, now, lambda work: invite(work, found.user, found.email))


async def show_link(database: Database, token: str, now: int) -> PasswordLink:
    """Whose password may be chosen with a link, which stays as it is. Raises LinkOver."""
    async with database.connection() as conn:
        found = await store.find_link(conn, _digest(token), now)
    if found is None:
        raise LinkOver
    return PasswordLink(found.email)


async def choose_password(database: Database, choice: PasswordChoice, now: int) -> None:
    """Sets the password of whoever holds a link, and ends all their sessions. Raises LinkOver, Invalid."""
    digest = _digest(choice.token)
    async with database.connection() as conn:
        found = await store.find_link(conn, digest, now)
    if found is None:
        raise LinkOver
    rules.check_password(choice.password, found.email)
    password_hash = await hashing.hashed(choice.password)

    async def choose(work: Work) -> None:
        if not await store.use_link(work.conn, digest, now):
            raise LinkOver
        await _set_password(work, found.user, password_hash, keep=0)

    await database.run(Scope(found.organisation), Actor("user", str(found.user), ""), now, choose)


async def change_password(
    database: Database,
    scope: Scope,
    actor: Actor,
    live: tuple[int, int],
    change: PasswordChange,
    network: str,
    now: int,
) -> None:
    """Of a user (and session) who is logged in; every other session of theirs ends.

    Raises Invalid; TooManyRequests for a guesser: a wrong password counts as it does when somebody logs in.
    """
    user, session = live
    async with database.connection() as conn:
        found = await store.credential_of(conn, scope, user)
    if found is None:
        raise NotFound("You have no log-in any more.")
    email_hash = _email_hash(found.email)
    await _admitted(database, found.email, email_hash, network, now)
    if not await hashing.is_right(found.password_hash, change.current_password):
        raise Invalid(errors=[FieldError("currentPassword", "This is not your password.")])
    async with database.connection() as conn:
        await store.forgive(conn, email_hash, network)
    rules.check_password(change.password, found.email)
    password_hash = await hashing.hashed(change.password)
    await database.run(scope, actor, now, lambda work: _set_password(work, user, password_hash, session))


async def _set_password(work: Work, user: int, password_hash: str, keep: int) -> None:
    await store.set_password(work.conn, work.scope, user, password_hash)
    await store.end_sessions(work.conn, work.scope, [user], keep)
    await _look_again(work, user)
    events.record(work, "password_changed", f"user/{user}")


async def remove_account(work: Work, user: int) -> None:
    """The user logs in no more; raises NotFound when they could not."""
    if await store.remove_account(work.conn, work.scope, user) is None:
        raise NotFound("This user has no log-in.")
    await _look_again(work, user)
    events.record(work, "account_removed", f"user/{user}")


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
