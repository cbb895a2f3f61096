"""Every page of the website, as it meets the eye: nobody is left out, nothing sticks out, nothing comes from elsewhere.

The pages are the website's own routes: a new one is looked at without being listed anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page
from tests.browser.house import House, pages

DESK, ZOOMED, PHONE = (1280, 800), (640, 400), (360, 740)
"""Width and height in CSS pixels; a desk at 200 % shows half as many."""


@pytest.fixture(scope="module")
def inside(browser: Browser, house: House) -> Iterator[BrowserContext]:
    context = house.enter(browser)
    yield context
    context.close()


@pytest.mark.parametrize("template", pages())
def test_a_page_is_for_everybody(inside: BrowserContext, house: House, template: str) -> None:
    is_for_everybody(inside.new_page(), house, template)


def test_the_log_in_is_for_everybody(browser: Browser, house: House) -> None:
    """Who is logged in is sent on from there."""
    context = browser.new_context(base_url=house.demo.line["baseUrl"])
    is_for_everybody(context.new_page(), house, "/log-in")
    context.close()


def is_for_everybody(page: Page, house: House, template: str) -> None:
    heard = _listen(page, house.demo.line["baseUrl"])
    answer = page.goto(house.path(template))
    assert answer is not None
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/html")
    assert page.locator("h1").count() == 1
    found = [each for look in product(("light", "dark"), (DESK, PHONE)) for each in barriers(page, *look)]
    sticking_out = [size for size in (DESK, ZOOMED, PHONE) if sticks_out(page, size)]
    page.close()
    assert (found, sticking_out, heard) == ([], [], [])


def _listen(page: Page, home: str) -> list[str]:
    """Grows while the page is open: errors, breaches of the security policy, requests to elsewhere."""
    heard: list[str] = []
    page.on("console", lambda said: heard.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(home) else heard.append(request.url))
    return heard


def barriers(page: Page, scheme: Any, size: tuple[int, int]) -> list[str]:
    """What axe calls serious or critical."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    _resize(page, size)
    return [
        f"{scheme} {size[0]}: {each['help']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for each in Axe().run(page).response["violations"]
        for node in each["nodes"]
        if each["impact"] in ("serious", "critical")
    ]


def sticks_out(page: Page, size: tuple[int, int]) -> str:
    """What is wider than the window, where anything is."""
    _resize(page, size)
    return str(
        page.evaluate(
            """() => document.documentElement.scrollWidth <= innerWidth ? "" : [...document.querySelectorAll("body *")]
                .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
                .map(each => each.outerHTML.slice(0, 120)).slice(0, 3).join("\\n")"""
        )
    )


def _resize(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
