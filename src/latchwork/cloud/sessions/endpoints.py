"""`/v1/sessions`: logging in and out; `/v1/account`: one's own password."""

from __future__ import annotations

import asyncio
from typing import Annotated

from latchwork.cloud.kernel.http import Anybody, Caller, anybody, delete, get, may, post
from latchwork.cloud.sessions import links, service, sign_in, store
from latchwork.wire.api.problems import Forbidden, NotFound
from latchwork.wire.api.sessions import (
    Account,
    IdentityProvider,
    IdentityProviderDraft,
    LogIn,
    NewSession,
    PasswordChange,
    PasswordChoice,
    PasswordLink,
    PasswordReset,
    PasswordToken,
    Session,
    SignedIn,
    SignIn,
    SignInDraft,
    SignInOffer,
)


@post("/v1/sessions", status=201)
async def log_in(draft: LogIn, by: Annotated[Anybody, anybody()]) -> NewSession:
    """Logs a person in; wrong passwords make the next attempt from the same network wait, longer and longer."""
    return await service.log_in(by.database, draft, _network(by), by.now)


@get("/v1/sessions")
async def list_sessions(by: Annotated[Caller, may(None, within=True)]) -> list[Session]:
    """Lists where the caller is logged in."""
    user, session = _live(by)
    return await by.read(lambda conn, scope: store.list_sessions(conn, scope, user, session, by.now))


@delete("/v1/sessions/current")
async def log_out(by: Annotated[Caller, may(None, within=True)]) -> None:
    """Ends the session that asks."""
    user, session = _live(by)
    await by.change(lambda work: service.end_session(work, user, session))


@delete("/v1/sessions/others")
async def end_other_sessions(by: Annotated[Caller, may(None, within=True)]) -> None:
    """Ends all of the caller's sessions but the one that asks."""
    user, session = _live(by)
    await by.change(lambda work: service.end_other_sessions(work, user, session))


@delete("/v1/sessions/{session_id:int}")
async def end_session(session_id: int, by: Annotated[Caller, may(None, within=True)]) -> None:
    """Ends one of the caller's sessions."""
    user, _ = _live(by)
    await by.change(lambda work: service.end_session(work, user, session_id))


@get("/v1/account")
async def get_account(by: Annotated[Caller, may(None, within=True)]) -> Account:
    """Answers the caller's own log-in."""
    user, _ = _live(by)
    return await by.read(lambda conn, scope: store.get_account(conn, scope, user))


@post("/v1/account/password", status=204)
async def change_password(draft: PasswordChange, by: Annotated[Caller, may(None, within=True)]) -> None:
    """Changes the caller's password; their other sessions end. Wrong ones count as they do at a log-in."""
    await service.change_password(by.database, by.scope, by.actor, _live(by), draft, _network(by), by.now)


@post("/v1/account/password-link")
async def show_password_link(draft: PasswordToken, by: Annotated[Anybody, anybody()]) -> PasswordLink:
    """Answers whose password the link of an invitation or a reset is for; it stays as it is."""
    return await service.show_link(by.database, draft.token, by.now)


@post("/v1/account/password-by-link", status=204)
async def choose_password(draft: PasswordChoice, by: Annotated[Anybody, anybody()]) -> None:
    """Sets the password of whoever holds the link of an invitation or a reset; the link and all sessions end."""
    await service.choose_password(by.database, draft, by.now)


@post("/v1/account/reset", status=204)
async def reset_password(draft: PasswordReset, by: Annotated[Anybody, anybody()]) -> None:
    """Mails a link to whoever has an account with this e-mail; answers alike, and as fast, when nobody has."""
    task = asyncio.create_task(links.reset(by.database, by.request.app.state, draft.email, by.now))
    _sending.add(task)
    task.add_done_callback(_sending.discard)


@get("/v1/sign-ins")
async def get_sign_in_offer(by: Annotated[Anybody, anybody()]) -> SignInOffer:
    """Answers whether there is an OpenID provider to sign in with."""
    async with by.database.connection() as conn:
        return SignInOffer(await store.has_providers(conn))


@post("/v1/sign-ins", status=201)
async def begin_sign_in(draft: SignInDraft, by: Annotated[Anybody, anybody()]) -> SignIn:
    """Answers where somebody signs in with their organisation's own OpenID provider, by their e-mail's domain."""
    state = by.request.app.state
    return await sign_in.begin(by.database, state.seal, draft.email, state.settings.public_url, by.now)


@post("/v1/sessions/by-sign-in", status=201)
async def finish_sign_in(draft: SignedIn, by: Annotated[Anybody, anybody()]) -> NewSession:
    """Logs in whom the provider vouches for: with the state and the code that it sent the browser back with."""
    state = by.request.app.state
    return await sign_in.finish(by.database, state.seal, draft, state.settings.public_url, _network(by), by.now)


@get("/v1/organisation/identity-provider")
async def get_identity_provider(by: Annotated[Caller, may("organisation:read")]) -> IdentityProvider:
    """Answers the organisation's own OpenID provider; 404 when there is none."""
    found = await by.read(lambda conn, scope: store.find_provider(conn, scope.organisation))
    if found is None:
        raise NotFound("There is no sign-in provider.")
    return sign_in.told(found, by.request.app.state.settings.public_url)


@post("/v1/organisation/identity-provider")
async def set_identity_provider(
    draft: IdentityProviderDraft, by: Annotated[Caller, may("organisation:write")]
) -> IdentityProvider:
    """Lets people sign in with an OpenID provider: those who have an account here with the e-mail it vouches for."""
    state = by.request.app.state
    return await by.change(lambda work: sign_in.set_provider(work, state.seal, draft, state.settings.public_url))


@delete("/v1/organisation/identity-provider")
async def remove_identity_provider(by: Annotated[Caller, may("organisation:write")]) -> None:
    """Takes the provider away; whoever is logged in stays so."""
    await by.change(sign_in.remove_provider)


_sending: set[asyncio.Task[None]] = set()
"""Kept, for a task that nobody holds may vanish."""


def _network(by: Anybody | Caller) -> str:
    network: str = by.request.app.state.gate.network(by.request)
    return network


def _live(by: Caller) -> tuple[int, int]:
    """User and session of the caller; raises Forbidden for a client."""
    if by.identity.user is None or by.identity.session is None:
        raise Forbidden("This is for people who are logged in.")
    return by.identity.user.id, by.identity.session


endpoints = [
    log_in,
    list_sessions,
    log_out,
    end_other_sessions,
    end_session,
    get_account,
    change_password,
    show_password_link,
    choose_password,
    reset_password,
    get_sign_in_offer,
    begin_sign_in,
    finish_sign_in,
    get_identity_provider,
    set_identity_provider,
    remove_identity_provider,
]
