"""With scripts off the website does its work: logging in, lists, searching, unlocking, booking."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.house import House


@pytest.fixture
def page(browser: Browser, house: House) -> Iterator[Page]:
    """Of somebody who has logged in, without a script."""
    context = house.enter(browser, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "Bob Builder"),
        ("/doors", "Front door"),
        ("/people", "Zoë Miller"),
        ("/visitors", "Vic Visitor"),
        ("/visitors/expected", "Nadia Kern"),
        ("/visitors/history", "Otto Gone"),
        ("/controllers", "Dora"),
    ],
)
def test_lists_are_complete(page: Page, path: str, shown: str) -> None:
    page.goto(path)
    expect(page.locator("main")).to_contain_text(shown)


@pytest.mark.parametrize(
    ("path", "text", "found", "not_found"),
    [("/people", "zoë", "Zoë Miller", "Bob Builder"), ("/visitors/history", "otto", "Otto Gone", "Vic Visitor")],
)
def test_searching_is_a_form(page: Page, path: str, text: str, found: str, not_found: str) -> None:
    page.goto(path)
    field = page.locator("main form:not([method=post]) input[name=search]")
    field.fill(text)
    field.press("Enter")
    expect(page.locator("main")).to_contain_text(found)
    expect(page.locator("main")).not_to_contain_text(not_found)
    assert "search=" in page.url


def test_a_door_is_unlocked(page: Page, house: House) -> None:
    page.goto(house.path("/doors/{door_id}"))
    page.get_by_role("button", name="Unlock once").click()
    expect(page.get_by_text("Front door was unlocked once, just now.")).to_be_visible()
    door = house.demo.doors.get("/doors").json()[0]
    assert (door["lastDecision"]["granted"], door["name"]) == (True, "Front door")


def test_a_visit_is_booked_and_ended(page: Page) -> None:
    page.goto("/visitors/book")
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_role("alert").first).to_contain_text("Something is missing")
    page.get_by_label("Name").fill("Wanda Walk")
    page.get_by_role("checkbox", name="Garage").check()
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Wanda Walk")
    expect(page.get_by_text("Wanda Walk is booked.")).to_be_visible()
    page.get_by_role("link", name="End the visit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("End the visit of Wanda Walk?")
    page.get_by_role("button", name="End the visit").click()
    expect(page.get_by_text("The visit is over. Doors that are online")).to_be_visible()


def test_the_visitors_own_page_renews_itself(page: Page, house: House) -> None:
    page.goto(house.path("/visit/{secret}"))
    expect(page.get_by_role("img", name="code")).to_be_visible()
    assert page.locator("noscript meta[http-equiv=refresh], meta[http-equiv=refresh]").count() == 1


def test_logging_out(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in", level=1)).to_be_visible()
    page.goto("/doors")
    expect(page.get_by_role("heading", name="Log in", level=1)).to_be_visible()
