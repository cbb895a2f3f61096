"""A customer's app in a real Chromium: a page that includes nothing but the SDK's bundles."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright
from sdks.typescript import build
from tests.browser.chromium import executable
from tests.typescript.peripheral import SWITCHES

APP = "http://app.localhost/"
"""A name that browsers trust as they trust https."""
_PATIENCE = 60
FILES = {f"/{path.name}": path for path in build.BUNDLES.values()}


@asynccontextmanager
async def chromium(hosts: str = "", *more: str) -> AsyncIterator[Browser]:
    """`hosts`: rules such as `MAP cloud.test 127.0.0.1:8080`; `more`: switches."""
    switches = ["--no-sandbox", *SWITCHES, f"--host-resolver-rules={hosts}", *more]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=switches)
        yield browser
        await browser.close()


async def opened_app(browser: Browser, phone: BrowserContext | None = None) -> Page:
    """The app, with the SDK as `sdk` and `qr`, on a phone of its own or one that has it open already."""
    page = await (phone or await browser.new_context(permissions=["local-network-access"])).new_page()
    await page.route(f"{APP}**", _serve)
    await page.goto(APP)
    await page.evaluate("async () => { sdk = await import('/access.js'); qr = await import('/qr.js'); }")
    return page


async def _serve(route: Route) -> None:
    file = FILES.get(route.request.url.removeprefix(APP.rstrip("/")))
    if file is None:
        await route.fulfill(
            body="<button>Open</button><div id='code' style='width: 300px'></div>", content_type="text/html"
        )
    else:
        await route.fulfill(path=file, content_type="text/javascript")


async def by_hand(page: Page, work: str) -> Any:
    """What a handler of a click answers, or `{code, reason, message}` of what it throws."""
    script = f"""
        window.done = new Promise((resolve) => {{
          document.querySelector("button").onclick = () =>
            (async () => {{ {work} }})().then(resolve, (e) => resolve(
              {{ code: e.code, reason: e.reason, message: e.message }}));
        }});
    """
    await page.evaluate(f"() => {{ {script} }}")
    await page.click("button")
    async with asyncio.timeout(_PATIENCE):
        return await page.evaluate("() => window.done")


async def run_readme(page: Page, block: str, *replaced: str) -> None:
    """Runs a block of the package's README as the page's script; `replaced`: a text in it, and the one instead."""
    code = readme_block(block)
    if replaced:
        code = code.replace(*replaced)
    code = re.sub(r'import ({.*}) from "@latchwork/access(/qr)?";', r"const \1 = { ...sdk, ...qr };", code)
    await page.evaluate(f"async () => {{ {code} }}")


def readme_block(kind: str) -> str:
    match = re.search(rf"```{kind}\n(.*?)\n```", (build.HERE / "README.md").read_text(), re.DOTALL)
    assert match is not None
    return match[1]
