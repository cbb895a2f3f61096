"""A cloud of its own for one measurement: PostgreSQL, an organisation with four doors, and a client that may hurry."""

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
class Ground:
    """A migrated database with one organisation (number 1) and its client; no server runs yet."""

    settings: Settings
    dsn: str
    office: Office
    tokens: Tokens
    token: str
    doors: list[int]
    controller: int

    @contextmanager
    def serving(self, kind: str = "cloud") -> Iterator[Server]:
        with serving(kind, self.settings, self.dsn) as server:
            yield server

    async def enrolment_code(self) -> str:
        code = await self.office.run(1, lambda work: enrolment.make_code(work, self.controller, ""))
        return code.code


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    with _folder() as data, embedded(data, exclusive=True) as dsn:
        await migrate(dsn)
        url = f"http://127.0.0.1:{servers.free_port()}"
        settings = read_settings({"LATCHWORK_DATA": str(data), "LATCHWORK_PUBLIC_URL": url})
        async with admin.open_office(settings, dsn) as office:
            organisation = await admin.found(office, "Harbour House")
            client = await admin.add_client(office, organisation.id, "Bench", [], days=1)
            await admin.set_rate(office, organisation.id, client.id, _HURRY, _HURRY)
            doors, controller = await _furnish(office)
            tokens, token = await _token(office, settings, client)
            yield Ground(settings, dsn, office, tokens, token, doors, controller)


async def _furnish(office: Office) -> tuple[list[int], int]:
    site = await office.run(1, lambda work: sites.add_site(work, SiteDraft("Harbour House")))
    drafts = [AccessPointDraft(site.id, name) for name in ("Front door", "Office", "Meeting room", "Garage")]
    doors = [(await office.run(1, lambda work, d=draft: sites.add_door(work, d))).id for draft in drafts]
    draft = ControllerDraft("Dora", doors)
    return doors, (await office.run(1, lambda work: admin.CONTROLLERS.add(work, draft))).id


async def _token(office: Office, settings: Settings, client: Client) -> tuple[Tokens, str]:
    """A token that a client could have got from `/oauth2/token`."""
    tokens = Tokens(office.database, office.seal, office.hints, settings.public_url, Sessions())
    now = int(time.time())
    await tokens.load_keys(now)
    async with office.database.connection() as conn:
        found = await store.find_secret(conn, client.client_id)
    assert found is not None
    return tokens, tokens.issue(found, list(found.client.scopes), now)


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
