"""A member's phone: Harbour Desk's app in a real Chromium, and what a reader's camera sees of its screen."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Response
from tests.demo.running import Running
from tests.typescript.peripheral import ADDRESS, Peripheral

from latchwork.sdk.bluetooth import BumbleRadio
from latchwork.sdk.radio import Heard, Link
from latchwork.sim.scan import read_code

MESSAGES = 2
"""That a phone sends in one exchange."""
SIZE, SMALL = (390, 844), (320, 568)
"""CSS pixels: a usual phone, and a small one."""


class Member:
    """Somebody with Harbour Desk's app on their phone."""

    def __init__(self, demo: Running, context: BrowserContext, page: Page, login: dict[str, str]) -> None:
        self.demo = demo
        self.context = context
        self.page = page
        self.login = login
        self.heard: list[str] = []
        page.on("pageerror", lambda error: self.heard.append(str(error)))
        page.on("console", lambda said: self.heard.append(said.text) if said.type in ("error", "warning") else None)

    async def log_in(self) -> None:
        await self.page.goto(self.demo.line["clientAppUrl"])
        await self.give_password()
        await self.page.get_by_role("heading", name="Make this phone your key").wait_for()

    async def give_password(self) -> None:
        await self.page.get_by_label("E-mail").fill(self.login["email"])
        await self.page.get_by_label("Password").fill(self.login["password"])
        await self.page.get_by_role("button", name="Log in").click()

    async def enrol(self) -> None:
        await self.page.get_by_role("button", name="Enrol this phone").click()
        await self.page.get_by_role("heading", name=self.login["name"]).wait_for()
        await self.until_ready()

    async def until_ready(self) -> None:
        """Until every door knows the phone."""
        await self.page.get_by_text("Front door").first.wait_for()
        await self.page.wait_for_function("() => !document.body.innerText.includes('Getting ready')")

    async def turn_to(self, tab: str) -> None:
        await self.page.get_by_role("navigation").get_by_role("link", name=tab, exact=True).click()
        is_there = "tab => document.title.startsWith(tab) && !document.querySelector('main > [aria-busy]')"
        await self.page.wait_for_function(is_there, arg=tab)

    async def said(self) -> str:
        """What the app says above its tabs."""
        said = self.page.locator("#said p")
        await said.wait_for()
        return (await said.locator("span").inner_text()).strip()

    async def invite(self, visitor: str, room: str = "Meeting room") -> str:
        """The link of the visitor's own page."""
        await self.turn_to("Visitors")
        await self.page.get_by_role("link", name="Invite a visitor").click()
        await self.page.get_by_label("Who comes?").fill(visitor)
        await self.page.get_by_label("To which room?").select_option(room)
        await self.page.get_by_role("button", name="Invite", exact=True).click()
        await self.page.get_by_role("heading", name="is invited").wait_for()
        return await self.page.locator(".link").inner_text()

    async def leave(self) -> None:
        """Logs out, which gives the phone back: the cloud is told after the page has forgotten it."""
        await self.turn_to("Me")
        async with self.page.expect_response(is_removal):
            await self.page.get_by_role("button", name="Log out").click()
        await self.page.get_by_role("button", name="Log in").wait_for()


def is_removal(response: Response) -> bool:
    return response.request.method == "DELETE" and "/v1/account/phones/" in response.url and response.ok


@asynccontextmanager
async def carried(browser: Browser, demo: Running, login: dict[str, str]) -> AsyncIterator[Member]:
    """A member with a phone that is enrolled; it is given back at the end."""
    async with screen(browser) as (context, page):
        member = Member(demo, context, page, login)
        await member.log_in()
        await member.enrol()
        yield member
        await member.leave()


@asynccontextmanager
async def screen(browser: Browser, **more: Any) -> AsyncIterator[tuple[BrowserContext, Page]]:
    """A phone with nothing on it yet."""
    size = {"width": SIZE[0], "height": SIZE[1]}
    context = await browser.new_context(viewport=size, device_scale_factor=2, has_touch=True, locale="en-GB", **more)
    yield context, await context.new_page()
    await context.close()


async def photographed(page: Page, to: Path) -> str:
    """The text of the code in a picture of the whole screen."""
    await page.screenshot(path=str(to))
    return await asyncio.to_thread(read_code, to)


_CUT = """() => [...document.body.querySelectorAll("*:not(option)")].filter((each) => {
    const { left, right, width } = each.getBoundingClientRect();
    return width > 0 && (left < -1 || right > innerWidth + 1);
}).map((each) => each.outerHTML.slice(0, 200))"""
"""What stands beyond the screen's sides."""


async def barriers(page: Page) -> list[str]:
    """What axe calls serious or critical, light and dark; what a small screen cuts, also with text twice as large."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        seen = (await Axe().run(page)).response["violations"]
        found += [
            f"{scheme}: {each['help']}: {node['html'][:200]}"
            for each in seen
            for node in each["nodes"]
            if each["impact"] in ("serious", "critical")
        ]
    await page.set_viewport_size({"width": SMALL[0], "height": SMALL[1]})
    for size in ("200%", ""):
        await page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
        found += [f"text of {size or '100%'}, cut: {cut}" for cut in await page.evaluate(_CUT)]
    await page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
    return found


class Relay(Peripheral):
    """A reader of the demo's building as the browser's emulated Bluetooth sees it.

    Chromium's emulation has no radio: what the app reads and writes is carried, byte by byte, to the real reader on the
    building's virtual radio.
    """

    radio: BumbleRadio
    door: int
    """Before whose reader the phone is held."""
    link: Link | None = None
    written = 0

    async def begin(self) -> None:
        """A new connection to the door's reader; the one before ends."""
        if self.link is not None:
            await self.link.close()

        def is_meant(heard: Heard) -> bool:
            return heard.advert.access_point == self.door and not heard.advert.is_exit

        [reader] = filter(is_meant, await self.radio.scan(5, is_meant))
        self.link, self.written = await self.radio.connect(reader), 0

    async def _gatt(self, event: dict[str, Any]) -> None:
        if event["type"] == "connection":
            await self.begin()
        said = {"address": ADDRESS, "type": event["type"], "code": 0}
        await self._air.send("BluetoothEmulation.simulateGATTOperationResponse", said)

    async def _operation(self, event: dict[str, Any]) -> None:
        said = {"characteristicId": event["characteristicId"], "type": event["type"], "code": 0}
        if event["type"] == "read":
            said["data"] = base64.b64encode(await self._read()).decode()
        else:
            await self._carry(base64.b64decode(event["data"]))
        await self._air.send("BluetoothEmulation.simulateCharacteristicOperationResponse", said)

    async def _read(self) -> bytes:
        """Whoever reads once more after the answer has connected anew, which the emulation does not tell."""
        if self._is_answered:
            await self.begin()
            self._is_answered = False
        assert self.link is not None
        says = await self.link.receive()
        self._is_answered = self.written == MESSAGES and says != self._says
        self._says = says
        return says

    async def _carry(self, data: bytes) -> None:
        assert self.link is not None
        self.written += 1
        await self.link.send(data)
