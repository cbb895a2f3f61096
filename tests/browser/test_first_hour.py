"""A newcomer's first hour, in a real browser on the demo: from the log-in to a visit that is over."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from tests.browser.house import log_in
from tests.demo.running import Running

BERLIN = ZoneInfo("Europe/Berlin")
"""Where the demo's house stands."""
OFFICE = 2


@pytest.fixture
def page(browser: Browser, demo: Running) -> Iterator[Page]:
    context = browser.new_context(base_url=demo.line["baseUrl"])
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("dialog", lambda dialog: dialog.accept())
    yield page
    context.close()


def test_a_newcomers_first_hour(page: Page, demo: Running) -> None:
    log_in(page, demo)
    for door in demo.line["accessPoints"]:
        expect(page.locator("#doors")).to_contain_text(door["name"])
    side = _add_a_door(page)
    _add_a_person(page)
    _give_a_door(page, demo)
    code = _book_a_visit(page)
    visit = page.url
    _see_the_entry_arrive(page, demo, code)
    _find_out_why(page, demo)
    _end_the_visit(page, visit, demo, code)
    assert side > OFFICE


def _add_a_door(page: Page) -> int:
    """The new door's id."""
    _menu(page, "Doors")
    page.get_by_role("link", name="Add a door").click()
    page.get_by_label("Name").fill("Side door")
    page.get_by_label("Controller").select_option(label="Dora")
    page.get_by_label("Reader outside").fill("side")
    page.get_by_role("button", name="Save the door").click()
    _said(page, "Side door is there.")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Side door")
    return int(page.url.rpartition("/")[2])


def _add_a_person(page: Page) -> None:
    _menu(page, "People")
    page.get_by_role("link", name="New person").click()
    page.get_by_label("Name", exact=True).fill("Bob Builder")
    page.get_by_label("E-mail").fill("bob@harbour.example")
    page.get_by_role("button", name="Add the person").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Bob Builder")
    page.get_by_text("Add a card").click()
    page.get_by_label("Or its number").fill("4711")
    page.get_by_role("button", name="Assign this number").click()
    _said(page, "The card ending in")


def _give_a_door(page: Page, demo: Running) -> None:
    """While the doors are out of touch it is pending; when they are back it is assigned, without a reload."""
    demo.until_confirmed()
    demo.link(up=False)
    box = page.get_by_role("checkbox", name="Office")
    if not box.is_visible():
        page.get_by_text("Add doors").click()
    box.check()
    page.get_by_role("button", name="Give these doors").click()
    _said(page, "Given.")
    doors = page.locator("#doors")
    expect(doors).to_contain_text("pending")
    demo.link(up=True)
    expect(doors).to_contain_text("assigned", timeout=30_000)
    assert demo.present(OFFICE, card=4711) == "granted"


def _book_a_visit(page: Page) -> str:
    """The text of the code on the page, read off it as a camera does."""
    _menu(page, "Visitors")
    page.get_by_role("link", name="Book a visit").first.click()
    page.get_by_label("Name").fill("Vic Visitor")
    page.get_by_label("From").fill(f"{datetime.now(BERLIN) - timedelta(minutes=1):%Y-%m-%dT%H:%M}")
    page.get_by_role("checkbox", name="Front door").check()
    page.get_by_role("button", name="Book", exact=True).click()
    _said(page, "Vic Visitor is booked.")
    shown = page.locator("#code .code")
    shown.scroll_into_view_if_needed()
    return _read(shown.screenshot())


def _see_the_entry_arrive(page: Page, demo: Running, code: str) -> None:
    _menu(page, "Now")
    expect(page.locator("#link")).to_have_text("Live")
    page.evaluate("window.isTheSamePage = true")
    assert demo.show(code, door=1) == "granted"
    newest = page.locator("#lines > li").first
    expect(newest).to_contain_text("Vic Visitor came in")
    expect(newest).to_contain_text("Front door")
    assert page.evaluate("window.isTheSamePage")


def _find_out_why(page: Page, demo: Running) -> None:
    assert demo.present(1, card=4711) != "granted"
    refused = page.locator("#lines > li").first
    expect(refused).to_contain_text("Bob Builder was refused")
    _menu(page, "People")
    page.get_by_role("link", name="Bob Builder").click()
    page.get_by_role("link", name="Why?").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Why"))
    expect(page.locator("main")).to_contain_text("Front door")
    page.get_by_role("button", name="Give them this door").click()
    _said(page, "Given.")
    demo.until_confirmed()
    assert demo.present(1, card=4711) == "granted"


def _end_the_visit(page: Page, visit: str, demo: Running, code: str) -> None:
    page.goto(visit)
    page.get_by_role("link", name="End the visit").click()
    page.get_by_role("button", name="End the visit").click()
    _said(page, "The visit is over.")
    expect(page.locator("main")).to_contain_text("no code opens a door for it")
    demo.until_confirmed()
    assert demo.show(code, door=1) != "granted"


def _menu(page: Page, entry: str) -> None:
    page.get_by_role("navigation", name="Main menu").get_by_role("link", name=entry, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(entry)


def _said(page: Page, sentence: str) -> None:
    expect(page.get_by_role("status").filter(has_text=sentence)).to_be_visible()


def _read(picture: bytes) -> str:
    with Image.open(io.BytesIO(picture)) as image:
        found = zxingcpp.read_barcodes(image)
    assert len(found) == 1, "one code is on the page"
    return str(found[0].text)
