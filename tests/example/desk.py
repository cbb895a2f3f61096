"""Harbour Desk before a real cloud: two doors, Mia and Noah, and an API client with no more scopes than it needs."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx2
from tests.sdk.town import opened_town
from tests.web.stage import served

from harbour_desk.__main__ import opened
from harbour_desk.membership import NewMember
from harbour_desk.seed import NewRoom, Seed, sow
from harbour_desk.settings import Settings
from harbour_desk.web import Desk, create_app
from latchwork.sdk.client import Client
from latchwork.sim.example import DESK_SCOPES
from latchwork.wire.api.accounts import ClientDraft
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft

URL, PROXY = "http://desk.test", "127.0.0.1"
PASSWORDS = {"mia@harbour.example": "mias-password", "noah@harbour.example": "noahs-password"}
ZONE = ZoneInfo("Europe/Berlin")


@dataclass
class House:
    """Harbour Desk, and the administrator of the building's cloud."""

    desk: Desk
    building: Client
    doors: list[int]

    @asynccontextmanager
    async def browser(self, email: str | None = None, desk: Desk | None = None) -> AsyncIterator[httpx2.AsyncClient]:
        """A browser on one of Harbour Desk's pages; with an e-mail somebody is logged in."""
        line = httpx2.ASGITransport(create_app(desk or self.desk))
        async with httpx2.AsyncClient(transport=line, base_url=URL, headers={"origin": URL}) as browser:
            if email is not None:
                answer = await browser.post("/api/log-in", json={"email": email, "password": PASSWORDS[email]})
                assert answer.status_code == 200, answer.text
            yield browser


def draft(room: int = 1, begins_in: int = -60, minutes: int = 60, **more: Any) -> dict[str, Any]:
    """What the form sends: Vic comes now, on the building's clock."""
    starts = int(time.time()) + begins_in
    visit = {"draft": str(uuid4()), "visitor": "Vic", "room": room}
    return {**visit, "starts": local(starts), "ends": local(starts + minutes * 60), **more}


def local(at: int) -> str:
    return datetime.fromtimestamp(at, ZONE).strftime("%Y-%m-%dT%H:%M")


@asynccontextmanager
async def opened_house(dsn: str, folder: Path) -> AsyncIterator[House]:
    async with opened_town(dsn, folder / "cloud") as town, served(town.app) as url, town.client(town.alice) as building:
        site = await building.add_site(SiteDraft("Harbour House", "Pier 4", str(ZONE)))
        doors = [(await building.add_access_point(AccessPointDraft(site.id, name))).id for name in ("Front", "Office")]
        login = await building.add_client(ClientDraft("Harbour Desk", list(DESK_SCOPES)))
        assert login.client_secret is not None
        (folder / "sdk").mkdir()
        settings = Settings(folder / "desk", url, login.client_id, login.client_secret, folder / "sdk", URL, PROXY)
        async with opened(settings) as desk:
            await sow(_seed(doors), desk.store, desk.visits.cloud)
            yield House(desk, building, doors)


def _seed(doors: list[int]) -> Seed:
    mia, noah = PASSWORDS
    rooms = [NewRoom("Lobby", doors[:1]), NewRoom("Office", doors)]
    members = [
        NewMember("Mia", mia, PASSWORDS[mia], doors[:1]),
        NewMember("Noah", noah, PASSWORDS[noah], doors, steers=True),
    ]
    return Seed(rooms, members)
