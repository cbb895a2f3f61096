"""Writes docs/harbour-desk.png: the example's app, from the demo in a real browser. python docs/app_picture.py"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from tests.browser.chromium import executable  # noqa: E402
from tests.demo.running import Running, start  # noqa: E402
from tests.typescript.peripheral import SWITCHES  # noqa: E402

WIDTH, HEIGHT, GAP = 390, 844, 24
COLOURS = 96


def main() -> None:
    demo = start(None)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox", *SWITCHES])
            pictures = list(photographed(browser, demo))
            browser.close()
    finally:
        demo.stop()
    sheet = Image.new("RGB", (len(pictures) * (WIDTH + GAP) + GAP, HEIGHT + 2 * GAP), "#8a9aa0")
    for place, picture in enumerate(pictures):
        sheet.paste(Image.open(io.BytesIO(picture)), (GAP + place * (WIDTH + GAP), GAP))
    sheet.quantize(COLOURS, dither=Image.Dither.NONE).save(FOLDER / "harbour-desk.png", optimize=True)


def photographed(browser: Browser, demo: Running) -> Iterator[bytes]:
    """Doors, code and visitors of a member, and their visitor's page."""
    page = _phone(browser, "light")
    _enter(page, demo)
    tabs = page.get_by_role("navigation")
    page.get_by_role("button", name="Open Front door").click()
    page.locator("#said p").wait_for()
    yield page.screenshot()
    tabs.get_by_role("link", name="My code", exact=True).click()
    page.get_by_text("A new code in").wait_for()
    yield page.screenshot()
    tabs.get_by_role("link", name="Visitors", exact=True).click()
    page.get_by_role("link", name="Invite a visitor").click()
    page.get_by_label("Who comes?").fill("Vic Visitor")
    page.get_by_role("button", name="Invite", exact=True).click()
    link = page.locator(".link").inner_text()
    tabs.get_by_role("link", name="Visitors", exact=True).click()
    page.get_by_text("Cancel this visit").wait_for()
    yield page.screenshot()
    visitors = _phone(browser, "dark")
    visitors.goto(link)
    visitors.get_by_text("A new code in").wait_for()
    yield visitors.screenshot()


def _enter(page: Page, demo: Running) -> None:
    mia = demo.line["members"][0]
    page.goto(demo.line["clientAppUrl"])
    page.get_by_label("E-mail").fill(mia["email"])
    page.get_by_label("Password").fill(mia["password"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Enrol this phone").click()
    page.get_by_role("heading", name="Mia").wait_for()
    page.wait_for_function("() => !document.body.innerText.includes('Getting ready')")


def _phone(browser: Browser, scheme: str) -> Page:
    size = {"width": WIDTH, "height": HEIGHT}
    return browser.new_context(viewport=size, color_scheme=scheme, has_touch=True, locale="en-GB").new_page()


if __name__ == "__main__":
    main()
