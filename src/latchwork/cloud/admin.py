"""What an operator does at the machine itself: the first organisation, its first client, keys and rates.

Everything else goes through the API. Each function is one unit of work in the name of the operator.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from latchwork.cloud.accounts import service as accounts
from latchwork.cloud.accounts import store as account_store
from latchwork.cloud.accounts import tokens
from latchwork.cloud.accounts.rules import ALL_SCOPES
from latchwork.cloud.app import compose, registry
from latchwork.cloud.controllers import enrolment
from latchwork.cloud.controllers import service as controllers
from latchwork.cloud.controllers import store as controller_store
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.seal import Seal, read_master_key
from latchwork.cloud.kernel.settings import Settings
from latchwork.cloud.kernel.texts import name_errors
from latchwork.cloud.kernel.work import Connection, Database, Scope, UseCase, Work, open_pool
from latchwork.cloud.people import service as people
from latchwork.cloud.sessions.links import password_url
from latchwork.cloud.sessions.rules import LINK_SECONDS
from latchwork.cloud.sites import service as sites
from latchwork.cloud.sites import store as site_store
from latchwork.wire.api.accounts import Client, ClientDraft, Organisation, PassKey
from latchwork.wire.api.controllers import Controller, ControllerDraft, ControllerPatch, EnrolmentCode
from latchwork.wire.api.events import Actor
from latchwork.wire.api.people import UserDraft
from latchwork.wire.api.problems import Invalid
from latchwork.wire.api.sessions import Invitation
from latchwork.wire.api.sites import AccessPointDraft, AccessPointPatch, SiteDraft, SitePatch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Office:
    """An operator's access to the database."""

    database: Database
    seal: Seal
    hints: Hints

    async def run(self, organisation: int, use_case: UseCase[T]) -> T:
        actor = Actor("admin", "", getpass.getuser())
        return await self.database.run(Scope(organisation), actor, int(time.time()), use_case)


@asynccontextmanager
async def open_office(settings: Settings, dsn: str) -> AsyncIterator[Office]:
    pool = await open_pool(dsn, 2)
    hints = Hints()
    try:
        seal = Seal(read_master_key(settings.master_key, settings.data))
        yield Office(compose(pool, hints, registry(seal)), seal, hints)
        async with pool.acquire() as conn:
            await hints.send(conn)
    finally:
        await pool.close()


async def found(office: Office, name: str) -> Organisation:
    """A new organisation with its first pass key and its roles."""
    check_name(name)

    async def begin(work: Work) -> Organisation:
        work.scope = Scope(await accounts.found(work.conn, name, work.now))
        created = (await account_store.get_tenant(work.conn, work.scope)).organisation
        events.record(work, "organisation_created", f"organisation/{created.id}", after=created)
        await controllers.add_pass_key(work, office.seal)
        await people.found(work)
        return created

    return await office.run(0, begin)


async def organisations(office: Office) -> list[Organisation]:
    async with office.database.connection() as conn:
        return await account_store.list_organisations(conn)


async def add_client(office: Office, organisation: int, name: str, scopes: list[str], days: float) -> Client:
    """A client and its secret; raises NotFound for an unknown organisation, Invalid for what cannot be."""
    if unknown := sorted(set(scopes) - set(ALL_SCOPES)):
        raise Invalid(f"There is no scope {unknown[0]}; there are: {', '.join(ALL_SCOPES)}.")
    draft = ClientDraft(name, scopes or list(ALL_SCOPES), int(days * 86_400))  # type: ignore[arg-type]
    secret = await accounts.new_secret()
    return await office.run(organisation, lambda work: _add_client(work, draft, secret))


async def _add_client(work: Work, draft: ClientDraft, secret: accounts.Secret) -> Client:
    await account_store.get_tenant(work.conn, work.scope)
    return await accounts.add_client(work, draft, secret)


async def clients(office: Office, organisation: int) -> list[Client]:
    async with office.database.connection() as conn:
        return await account_store.page_clients(conn, Scope(organisation), 0, 10_000)


async def rotate_secret(office: Office, organisation: int, client: int) -> Client:
    secret = await accounts.new_secret()
    return await office.run(
        organisation, lambda work: accounts.rotate_secret(work, office.hints, ALL_SCOPES, client, secret)
    )


async def revoke_client(office: Office, organisation: int, client: int) -> None:
    await office.run(organisation, lambda work: accounts.revoke_client(work, office.hints, client))


async def set_rate(office: Office, organisation: int, client: int, per_second: int, burst: int) -> None:
    """How fast a client may call; counted per process of the cloud."""

    async def change(work: Work) -> None:
        await account_store.get_client(work.conn, work.scope, client)
        await account_store.change_rate(work.conn, work.scope, client, per_second, burst)
        await accounts.forget_tokens(work, office.hints, client)

    await office.run(organisation, change)


async def add_pass_key(office: Office, organisation: int) -> PassKey:
    return await office.run(organisation, lambda work: controllers.add_pass_key(work, office.seal))


async def activate_pass_key(office: Office, organisation: int, kid: str, accept_unconfirmed: bool) -> PassKey:
    return await office.run(organisation, lambda work: controllers.activate_pass_key(work, kid, accept_unconfirmed))


async def add_administrator(office: Office, organisation: int, name: str, email: str, url: str) -> Invitation:
    """A super administrator, and the link with which they choose a password."""
    draft = UserDraft(name, email=email, roles=["super_admin"])

    async def add(work: Work) -> Invitation:
        user = await people.add_user(work, draft)
        _, token = await people.invite(work, user.id)
        return Invitation(password_url(url, token), work.now + LINK_SECONDS, mailed=False)

    return await office.run(organisation, add)


async def pass_keys(office: Office, organisation: int) -> list[PassKey]:
    async with office.database.connection() as conn:
        return await controllers.pass_keys(conn, Scope(organisation))


async def rotate_token_key(office: Office, retire_old: bool) -> None:
    """A new key signs access tokens; with `retire_old` every token issued before is refused."""
    now = int(time.time())
    async with office.database.transaction() as conn:
        await tokens.add_key(conn, office.seal, now)
        if retire_old:
            await account_store.retire_token_keys(conn, now)


def check_name(name: str) -> None:
    if errors := name_errors(name):
        raise Invalid(errors[0].detail, errors)


# ------------------------------------------------------------------------------------------------- resources


@dataclass(frozen=True, slots=True)
class Verbs:
    """What can be done with one kind of thing; the same functions as behind the API."""

    draft: type[Any]
    patch: type[Any]
    add: Callable[[Work, Any], Awaitable[Any]]
    change: Callable[[Work, int, Any], Awaitable[Any]]
    remove: Callable[[Work, Hints, int], Awaitable[None]]
    get: Callable[[Connection, Scope, int], Awaitable[Any]]
    page: Callable[[Connection, Scope, int, int], Awaitable[Any]]


SITES = Verbs(
    SiteDraft,
    SitePatch,
    sites.add_site,
    sites.change_site,
    lambda work, _, id: sites.remove_site(work, id),
    site_store.get_site,
    site_store.page_sites,
)
ACCESS_POINTS = Verbs(
    AccessPointDraft,
    AccessPointPatch,
    sites.add_door,
    sites.change_door,
    lambda work, _, id: sites.remove_door(work, id),
    site_store.get_door,
    lambda conn, scope, after, limit: site_store.page_doors(conn, scope, None, after, limit),
)
CONTROLLERS = Verbs(
    ControllerDraft,
    ControllerPatch,
    controllers.add,
    controllers.change,
    controllers.remove,
    lambda conn, scope, id: controller_store.get(conn, scope, id, int(time.time())),
    lambda conn, scope, after, limit: controller_store.page(conn, scope, after, limit, int(time.time())),
)


async def page(office: Office, organisation: int, verbs: Verbs) -> Any:
    async with office.database.connection() as conn:
        return await verbs.page(conn, Scope(organisation), 0, 10_000)


async def get(office: Office, organisation: int, verbs: Verbs, id: int) -> Any:
    async with office.database.connection() as conn:
        return await verbs.get(conn, Scope(organisation), id)


async def remove(office: Office, organisation: int, verbs: Verbs, id: int) -> None:
    await office.run(organisation, lambda work: verbs.remove(work, office.hints, id))


async def enrolment_code(office: Office, organisation: int, controller: int, fingerprint: str) -> EnrolmentCode:
    return await office.run(organisation, lambda work: enrolment.make_code(work, controller, fingerprint))


async def accept_snapshot(office: Office, organisation: int, controller: int) -> Controller:
    return await office.run(organisation, lambda work: controllers.accept_snapshot(work, office.hints, controller))
