"""A running cloud with Alice's organisation and Charlie's in it, on a database of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from cloud.cast import Account, Client, Cloud, Conn, Script, serving, settings
from latchwork.cloud import admin

_TEMPLATE = "alices_and_charlies"
_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session")
async def accounts(database_dsn: str, _administrator: asyncpg.Connection) -> dict[str, Account]:
    """Alice's and Charlie's clients, in a database that every test gets a copy of.

    Alice has a site with three doors, of which Dora (a controller) runs the first two; Charlie has a site and a door.
    """
    await _administrator.execute(f"create database {_TEMPLATE} template migrated")
    dsn = urlsplit(database_dsn)._replace(path=f"/{_TEMPLATE}").geturl()
    async with serving(dsn) as cloud:
        made = {name: await _found(cloud, name) for name in ("alice", "charlie")}
        alice, charlie = cloud.client(made["alice"]), cloud.client(made["charlie"])
        await alice.post("/v1/sites", {"name": "Head office", "timezone": "Europe/Berlin"})
        for name in ("Front door", "Laboratory", "Store"):
            await alice.post("/v1/access-points", {"siteId": 1, "name": name, "exitReader": "exit"})
        await alice.post("/v1/controllers", {"name": "Dora", "accessPoints": [1, 2]})
        await charlie.post("/v1/sites", {"name": "Charlie's"})
        await charlie.post("/v1/access-points", {"siteId": 1, "name": "Charlie's door"})
        await charlie.post("/v1/controllers", {"name": "Charlie's controller", "accessPoints": [1]})
    return made


async def _found(cloud: Cloud, name: str) -> Account:
    async with admin.open_office(settings(), cloud.dsn) as office:
        organisation = await admin.found(office, f"{name.capitalize()}'s house")
        client = await admin.add_client(office, organisation.id, f"{name}'s backend", [], 1)
        await admin.set_rate(office, organisation.id, client.id, 10_000, 100_000)
    form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.client_secret}
    token = (await cloud.http.post("/oauth2/token", data=form)).json()["access_token"]
    assert client.client_secret is not None
    return Account(organisation.id, client.id, client.client_id, client.client_secret, token)


@pytest_asyncio.fixture
async def dsn(
    accounts: dict[str, Account], database_dsn: str, _administrator: asyncpg.Connection
) -> AsyncIterator[str]:
    """A database with Alice and Charlie in it."""
    name = f"cloud_{next(_numbers)}"
    await _administrator.execute(f"create database {name} template {_TEMPLATE} strategy file_copy")
    yield urlsplit(database_dsn)._replace(path=f"/{name}").geturl()
    await _administrator.execute(f"drop database {name} with (force)")


@pytest_asyncio.fixture
async def cloud(dsn: str) -> AsyncIterator[Cloud]:
    async with serving(dsn) as running:
        yield running


@pytest_asyncio.fixture
async def other_cloud(dsn: str, cloud: Cloud) -> AsyncIterator[Cloud]:
    """A second process of the same cloud: it shares nothing with the first one but the database."""
    async with serving(dsn) as running:
        yield running


@pytest.fixture
def alice(cloud: Cloud, accounts: dict[str, Account]) -> Client:
    return cloud.client(accounts["alice"])


@pytest.fixture
def charlie(cloud: Cloud, accounts: dict[str, Account]) -> Client:
    return cloud.client(accounts["charlie"])


@pytest.fixture
def db(dsn: str) -> Conn:
    return Conn(dsn)


@pytest_asyncio.fixture
async def dora(alice: Client) -> Script:
    """Dora, enrolled, speaking by script."""
    [controller] = (await alice.get("/v1/controllers"))["items"]
    code = (await alice.post(f"/v1/controllers/{controller['id']}/enrolment-code"))["code"]
    script = Script(alice.cloud.url, alice.organisation, controller["id"], b"")
    enrolled = (await alice.cloud.http.post("/v1/enrol", json=script.enrolment(code))).json()
    script.cloud_id = bytes.fromhex(enrolled["cloudId"])
    return script
