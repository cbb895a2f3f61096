"""A cloud of its own for one measurement: PostgreSQL, organisations with doors, and clients that may hurry."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import servers
from benchmarks.servers import Server, serving
from latchwork.cloud import admin
from latchwork.cloud.accounts import store
from latchwork.cloud.accounts.tokens import Tokens
from latchwork.cloud.admin import Office
from latchwork.cloud.controllers import enrolment
from latchwork.cloud.kernel.migrate import migrate
from latchwork.cloud.kernel.postgres import embedded
from latchwork.cloud.kernel.settings import Settings, read_settings
from latchwork.cloud.sessions.service import Sessions
from latchwork.cloud.sites import service as sites
from latchwork.wire.api.accounts import Client
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft

_HURRY = 1_000_000
"""Requests per second: the benchmark measures the cloud, not its patience."""


@dataclass(frozen=True, slots=True)
class House:
    """An organisation with a site, doors, a controller that runs them, and its client's token."""

    organisation: int
    token: str
    site: int
    doors: list[int]
    controller: int


@dataclass(frozen=True, slots=True)
class Ground:
    """A migrated database with one house of four doors; no server runs yet."""

    settings: Settings
    dsn: str
    office: Office
    tokens: Tokens
    house: House

    @contextmanager
    def serving(self, kind: str = "cloud") -> Iterator[Server]:
        with serving(kind, self.settings, self.dsn) as server:
            yield server

    async def found(self, name: str, doors: int) -> House:
        """Another house."""
        return await _found(self.office, self.tokens, name, [f"Door {number}" for number in range(1, doors + 1)])

    async def enrolment_code(self, house: House) -> str:
        """For the house's controller."""
        code = await self.office.run(house.organisation, lambda work: enrolment.make_code(work, house.controller, ""))
        return code.code


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    with _folder() as data, embedded(data, exclusive=True) as dsn:
        await migrate(dsn)
        url = f"http://127.0.0.1:{servers.free_port()}"
        settings = read_settings({"LATCHWORK_DATA": str(data), "LATCHWORK_PUBLIC_URL": url})
        async with admin.open_office(settings, dsn) as office:
            tokens = Tokens(office.database, office.seal, office.hints, settings.public_url, Sessions())
            await tokens.load_keys(int(time.time()))
            doors = ["Front door", "Office", "Meeting room", "Garage"]
            yield Ground(settings, dsn, office, tokens, await _found(office, tokens, "Harbour House", doors))


async def _found(office: Office, tokens: Tokens, name: str, doors: list[str]) -> House:
    organisation = (await admin.found(office, name)).id
    client = await admin.add_client(office, organisation, "Bench", [], days=1)
    await admin.set_rate(office, organisation, client.id, _HURRY, _HURRY)
    site = (await office.run(organisation, lambda work: sites.add_site(work, SiteDraft(name)))).id
    drafts = [AccessPointDraft(site, door, entry_reader="entry") for door in doors]
    ids = [(await office.run(organisation, lambda work, d=draft: sites.add_door(work, d))).id for draft in drafts]
    draft = ControllerDraft("Dora", ids)
    controller = (await office.run(organisation, lambda work: admin.CONTROLLERS.add(work, draft))).id
    return House(organisation, await _token(office, tokens, client), site, ids, controller)


async def _token(office: Office, tokens: Tokens, client: Client) -> str:
    """A token that the client could have got from `/oauth2/token`."""
    async with office.database.connection() as conn:
        found = await store.find_secret(conn, client.client_id)
    assert found is not None
    return tokens.issue(found, list(found.client.scopes), int(time.time()))


@contextmanager
def _folder() -> Iterator[Path]:
    """Removed at the end, with the database that belongs to it."""
    folder = Path(tempfile.mkdtemp(prefix="latchwork-bench-"))
    try:
        yield folder
    finally:
        location = folder / "postgresql.location"
        elsewhere = Path(location.read_text().strip().splitlines()[-1]) if location.exists() else None
        shutil.rmtree(folder, ignore_errors=True)
        if elsewhere is not None:
            shutil.rmtree(elsewhere, ignore_errors=True)
