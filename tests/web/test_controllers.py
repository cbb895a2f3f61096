"""Controllers on the real cloud: enrolled step by step, shown as they are, and replaced."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path

import asyncpg
import httpx2
from tests.sdk.town import Town
from tests.web.cast import browser, send
from tests.web.stage import composed, served

from latchwork.edge.enrol import enrol
from latchwork.edge.runner import running
from latchwork.sim.doors import VirtualWiring
from latchwork.web.app import Website
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft


async def furnish(town: Town) -> None:
    alice = town.client(town.alice)
    site = await alice.add_site(SiteDraft("Harbour House", timezone="Europe/Berlin"))
    await alice.add_access_point(AccessPointDraft(site.id, "Front door"))


def command(page: str) -> tuple[str, str]:
    """The code and the URL that the installer is told."""
    found = re.search(r"latchwork edge enrol (\S+) --url ([^<]+)<", page)
    assert found is not None, page
    return html.unescape(found.group(1)), html.unescape(found.group(2))


async def until_said(http: httpx2.AsyncClient, path: str, said: str) -> str:
    async with asyncio.timeout(30):
        while said not in (page := (await http.get(path)).text):
            await asyncio.sleep(0.05)
    return page


async def test_a_controller_is_enrolled_step_by_step_and_replaced(town: Town, tmp_path: Path) -> None:
    await furnish(town)
    async with browser(town) as http, served(composed(town.app, Website(town.app))) as url:
        assert "No controllers yet" in (await http.get("/controllers")).text
        made = await send(http, "/controllers/new", name="Basement", door="1")
        path = made.headers["location"]
        page = (await http.get(path)).text
        assert "Good for 15 more minutes" in page
        code, shown_url = command(page)
        assert shown_url == town.settings.public_url
        assert command((await http.get(path)).text)[0] == code, "the page may be loaded again"
        assert code not in (await http.get("/controllers/1")).text

        config = await asyncio.to_thread(enrol, code, url, tmp_path / "edge.toml", tmp_path)
        assert "The program has enrolled." in (await http.get(path)).text
        async with running(config, VirtualWiring()):
            page = await until_said(http, path, "Basement is linked.")
            assert code not in page
            page = await until_said(http, "/controllers/1", "all told")
            for said in ("online", "right", "Front door", "0.1"):
                assert said in page
            replaced = await send(http, path)
            page = (await http.get(replaced.headers["location"])).text
            assert "the old program loses its link" in page
            await asyncio.sleep(1)  # enrolments are told apart by their second
            second = tmp_path / "second"
            second.mkdir()
            code = command(page)[0]
            config = await asyncio.to_thread(enrol, code, url, second / "edge.toml", second)
            async with running(config, VirtualWiring()):
                assert "switch it off" in await until_said(http, path, "Basement is linked.")
        await until_said(http, "/controllers", "offline")


async def test_a_code_is_for_the_browser_that_asked(town: Town) -> None:
    await furnish(town)
    await town.client(town.alice).add_controller(ControllerDraft("Basement"))
    async with browser(town) as ada, browser(town, name="Ben") as ben:
        await send(ada, "/controllers/1/enrol")
        assert "latchwork edge enrol" in (await ada.get("/controllers/1/enrol")).text
        assert "latchwork edge enrol" not in (await ben.get("/controllers/1/enrol")).text


async def test_a_frozen_controller_says_why_and_is_thawed(town: Town) -> None:
    await furnish(town)
    await town.client(town.alice).add_controller(ControllerDraft("Basement", [1]))
    conn = await asyncpg.connect(town.dsn)
    await conn.execute("UPDATE controller_links SET frozen = true")
    await conn.close()
    async with browser(town) as http:
        assert "restored from a backup" in (await http.get("/controllers/1")).text
        answer = await send(http, "/controllers/1/accept", "/controllers/1")
        page = (await http.get(answer.headers["location"])).text
        assert "as it is now" in page
        assert "restored from a backup" not in page
        answer = await send(http, "/controllers/1/rebuild", "/controllers/1")
        assert "Nothing differed" in (await http.get(answer.headers["location"])).text


async def test_a_controller_is_changed_and_deleted(town: Town) -> None:
    await furnish(town)
    await town.client(town.alice).add_controller(ControllerDraft("Basement"))
    async with browser(town) as http:
        wrong = await send(http, "/controllers/1/change", name="", door="1")
        assert (wrong.status_code, 'value="1" checked' in wrong.text) == (400, True)
        await send(http, "/controllers/1/change", name="Cellar", door="1")
        page = (await http.get("/controllers/1")).text
        assert "Cellar is changed" in page
        assert 'href="/doors/1"' in page
        await send(http, "/controllers/1/delete", "/controllers/1")
        assert "Cellar is deleted" in (await http.get("/controllers")).text
