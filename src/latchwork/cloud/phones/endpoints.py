"""`/v1/account/phones` and the keyring, for people; their phones and app sessions, for who looks after them."""

from __future__ import annotations

from typing import Annotated

from latchwork.cloud.accounts import app_sessions
from latchwork.cloud.kernel.http import Caller, delete, get, may, post
from latchwork.cloud.people import store as people
from latchwork.cloud.phones import service, store
from latchwork.wire.api.phones import AppSession, AppSessionOffer, Keyring, Phone, PhoneDraft
from latchwork.wire.api.problems import Forbidden


@post("/v1/account/app-session", status=201)
async def begin_own_app_session(by: Annotated[Caller, may(None, within=True)]) -> AppSessionOffer:
    """Offers whoever is logged in a session in an app of their own: it reaches their own doors and phones alone."""
    if by.identity.session is None:
        raise Forbidden("This is for people who are logged in.")
    user = by.person
    token = await by.change(lambda work: app_sessions.offer(work, None, user, ()))
    return AppSessionOffer(token.text, by.now + app_sessions.BEGIN_WITHIN)


@post("/v1/account/phones", status=201)
async def enrol_phone(draft: PhoneDraft, by: Annotated[Caller, may(None, within=True)]) -> Phone:
    """Enrols the phone in whose app the caller is logged in: doors know it as soon as they hear of it.

    Enrolling the same keys again is the same phone; other keys replace the phone that this session had enrolled before.
    """
    user, session = by.person, _session(by)
    return await by.own.create(
        lambda work: service.enrol(work, user, session, draft),
        lambda work, id: store.get_phone(work.conn, work.scope, user, int(id)),
    )


@get("/v1/account/phones")
async def list_own_phones(by: Annotated[Caller, may(None, within=True)]) -> list[Phone]:
    """Lists the caller's phones, and at how many doors each is known."""
    user = by.person
    return await by.own.read(lambda conn, scope: store.list_phones(conn, scope, user))


@delete("/v1/account/phones/{phone_id:int}")
async def remove_own_phone(phone_id: int, by: Annotated[Caller, may(None, within=True)]) -> None:
    """Takes one of the caller's phones away: doors forget it, and its session ends."""
    user = by.person
    await by.own.change(lambda work: service.remove_own(work, user, phone_id))


@get("/v1/account/keyring")
async def get_keyring(by: Annotated[Caller, may(None, within=True)]) -> Keyring:
    """Answers all that the caller's phone needs to know to work without a network."""
    user, session, seal = by.person, by.identity.app_session, by.request.app.state.seal
    return await by.own.change(lambda work: service.keyring(work, seal, user, session))


@get("/v1/users/{user_id:int}/phones")
async def list_phones(user_id: int, by: Annotated[Caller, may("users:read", within=True)]) -> list[Phone]:
    """Lists a user's phones, and at how many doors each is known."""
    await by.read(lambda conn, scope: people.get_user(conn, scope, user_id))
    return await by.read(lambda conn, scope: store.list_phones(conn, scope, user_id))


@delete("/v1/users/{user_id:int}/phones/{phone_id:int}")
async def remove_phone(user_id: int, phone_id: int, by: Annotated[Caller, may("users:write", within=True)]) -> None:
    """Takes a user's phone away: doors forget it, and its session ends."""
    await by.change(lambda work: service.remove(work, user_id, phone_id))


@get("/v1/users/{user_id:int}/app-sessions")
async def list_app_sessions(user_id: int, by: Annotated[Caller, may("users:read", within=True)]) -> list[AppSession]:
    """Lists in which apps a user is logged in."""
    await by.read(lambda conn, scope: people.get_user(conn, scope, user_id))
    return await by.read(lambda conn, scope: store.list_app_sessions(conn, scope, user_id, by.now))


@delete("/v1/users/{user_id:int}/app-sessions/{session_id:int}")
async def end_app_session(
    user_id: int, session_id: int, by: Annotated[Caller, may("users:write", within=True)]
) -> None:
    """Ends a user's session in an app, within a second; a phone that was enrolled in it still opens doors."""
    await by.change(lambda work: service.end_session(work, user_id, session_id))


def _session(by: Caller) -> int:
    """The caller's app session; raises Forbidden for who calls otherwise."""
    if by.identity.app_session is None:
        raise Forbidden("A phone is enrolled by the app in it: use a token of an app session.")
    return by.identity.app_session


endpoints = [
    begin_own_app_session,
    enrol_phone,
    list_own_phones,
    remove_own_phone,
    get_keyring,
    list_phones,
    remove_phone,
    list_app_sessions,
    end_app_session,
]
