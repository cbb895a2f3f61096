"""Two units of work at once end as if one had come after the other: the doors hold what a rebuild would give them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from latchwork.cloud import admin
from latchwork.cloud.accounts import service as accounts
from latchwork.cloud.app import registry
from latchwork.cloud.controllers import service as controllers
from latchwork.cloud.controllers import store
from latchwork.cloud.controllers.desired import settling
from latchwork.cloud.events.service import numbering
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.settings import read_settings
from latchwork.cloud.kernel.work import SYSTEM, Database, Scope, Work
from latchwork.cloud.sites import service as sites
from latchwork.cloud.visitors import service as visitors
from latchwork.cloud.visitors.signing import Signer
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.controllers import ControllerDraft, ControllerPatch
from latchwork.wire.api.sites import AccessPointDraft, AccessPointPatch, SiteDraft
from latchwork.wire.api.visitors import MeetingDraft, MeetingVisitor

Change = Callable[[Work], Awaitable[Any]]


class Town:
    """An organisation with two controllers, three doors and a meeting at all of them."""

    def __init__(self, office: admin.Office, organisation: int) -> None:
        self.office = office
        self.organisation = organisation
        self.controllers: list[int] = []
        self.meeting = 0

    async def build(self) -> None:
        now = int(time.time())
        await self.run(lambda work: sites.add_site(work, SiteDraft("HQ")))
        for name in ("Front", "Back", "Side"):
            await self.run(lambda work, name=name: sites.add_door(work, AccessPointDraft(1, name)))
        for name, doors in (("C1", [1]), ("C2", [])):
            made = await self.run(lambda work, n=name, d=doors: controllers.add(work, ControllerDraft(n, d)))
            self.controllers.append(made.id)
        draft = MeetingDraft(MeetingVisitor("vic"), now, now + 3600, [1, 2, 3], pass_seconds=None)
        self.meeting = (await self.run(lambda work: visitors.invite(work, Signer(self.office.seal), draft))).id

    async def run(self, change: Change, database: Database | None = None) -> Any:
        database = database or self.office.database
        return await database.run(Scope(self.organisation), SYSTEM, int(time.time()), change)

    async def differences(self) -> int:
        """How many records a rebuild of everything changes."""
        changed = 0
        async with self.office.database.connection() as conn:
            every = await store.page(conn, Scope(self.organisation), 0, 100, int(time.time()))
        for controller in (each.id for each in every):
            found = await self.run(
                lambda work, id=controller: controllers.rebuild(work, self.office.hints, registry(self.office.seal), id)
            )
            changed += found.changed
        return changed


CHANGES: dict[str, Callable[[Town, Seal], Change]] = {
    "delete the meeting": lambda town, _: lambda work: visitors.remove_meeting(work, town.meeting),
    "give the back door to C2": lambda town, _: (
        lambda work: sites.change_door(work, 2, AccessPointPatch(controller_id=town.controllers[1]))
    ),
    "take C1's doors away": lambda town, _: (
        lambda work: controllers.change(work, town.controllers[0], ControllerPatch(access_points=[3]))
    ),
    "give C1 two other doors": lambda town, _: (
        lambda work: controllers.change(work, town.controllers[0], ControllerPatch(access_points=[1, 2]))
    ),
    "one opening a code": lambda town, _: (
        lambda work: accounts.change_organisation(work, OrganisationPatch(single_use=True))
    ),
    "a new controller for the side door": lambda _, __: lambda work: controllers.add(work, ControllerDraft("C3", [3])),
    "a new pass key": lambda town, seal: lambda work: controllers.add_pass_key(work, seal),
    "delete the side door": lambda town, _: lambda work: sites.remove_door(work, 3),
}


@pytest.mark.parametrize("second", CHANGES)
@pytest.mark.parametrize("first", CHANGES)
async def test_any_two_changes_at_once_end_as_a_rebuild_would(
    fresh_dsn: str, tmp_path: Path, first: str, second: str
) -> None:
    """The first has computed its records and not committed when the second begins."""
    settings = read_settings({"LATCHWORK_DATA": str(tmp_path)})
    async with admin.open_office(settings, fresh_dsn) as office:
        town = Town(office, (await admin.found(office, "Alice Ltd")).id)
        await town.build()
        computed, go_on = asyncio.Event(), asyncio.Event()

        async def pause(work: Work) -> None:
            computed.set()
            await go_on.wait()

        slow = Database(
            office.database.pool, [settling(registry(office.seal), office.hints), pause, numbering(office.hints)]
        )
        one = asyncio.create_task(town.run(CHANGES[first](town, office.seal), slow))
        await computed.wait()
        two = asyncio.create_task(town.run(CHANGES[second](town, office.seal)))
        await asyncio.wait({two}, timeout=0.1)
        go_on.set()
        await asyncio.gather(one, two, return_exceptions=True)
        assert await town.differences() == 0
