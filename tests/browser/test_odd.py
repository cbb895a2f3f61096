"""What nobody plans for, in a real browser: names without an end, two tabs, a double click."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browser.house import CARD, House

LONG = "Supercalifragilistic" * 10
"""As long as a name may be, without a space."""
WIDTHS = (1280, 640, 360)
"""In CSS pixels: a desk, the same at 200 %, a phone."""

LOOKED_AWAY = """is => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
"""What a tab is told when another one covers it: without a screen Chromium holds all of them for seen."""


@pytest.fixture(scope="module")
def inside(browser: Browser, house: House) -> Iterator[BrowserContext]:
    context = house.enter(browser)
    yield context
    context.close()


@pytest.fixture(scope="module")
def long(house: House) -> list[str]:
    """The pages of a house in which everything has a long name."""
    api = house.demo.api

    def make(path: str, **fields: object) -> int:
        answer = api.post(path, json=fields)
        assert answer.is_success, answer.text
        return int(answer.json()["id"])

    site = make("/v1/sites", name=LONG, timezone="UTC", location=LONG)
    door = make("/v1/access-points", siteId=site, name=LONG, zone=LONG[:50])
    controller = make("/v1/controllers", name=LONG, accessPoints=[door])
    term, schedule = make("/v1/terms", name=LONG), make("/v1/schedules", name=LONG, week=[[[0, 1440]]] * 7)
    user = make("/v1/users", name=LONG, terms=[term], employeeCode=LONG[:100], email=f"{LONG[:60]}@example.org")
    grant = {"accessPointId": door, "scheduleId": schedule}
    assert api.patch(f"/v1/users/{user}/permissions", json={"add": [grant]}).is_success
    who = {"key": "long", "name": LONG, "company": LONG, "host": LONG}
    times = {"startTime": house.visit["startTime"], "endTime": house.visit["endTime"]}
    visit = make("/v1/meetings", visitor=who, accessPoints=[door], **times)
    return [
        *("/", "/doors", f"/doors/{door}", f"/doors/{door}/change", "/people", "/people/new", f"/people/{user}"),
        *(f"/people/{user}/edit", f"/people/{user}/delete", f"/people/{user}/doors/{door}", "/visitors"),
        *(f"/visitors/{visit}", f"/visitors/{visit}/change", "/visitors/book", "/controllers"),
        *(f"/controllers/{controller}", f"/controllers/{controller}/change", f"/controllers/{controller}/enrol"),
        *("/reports", "/reports/attendance", f"/why?person={user}&door={door}", "/settings/schedules"),
        *("/settings/terms", "/settings/log", "/settings/holidays"),
    ]


def test_no_name_makes_a_page_wider_than_its_window(inside: BrowserContext, long: list[str]) -> None:
    page = inside.new_page()
    wide = []
    for path in long:
        page.goto(path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 740})
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append((path, width))
    page.close()
    assert wide == []


def test_what_happened_is_said_in_the_tab_where_it_was_done(inside: BrowserContext) -> None:
    now, other = inside.new_page(), inside.new_page()
    now.goto("/")
    other.goto("/settings/terms")
    inside.add_cookies([{"name": "latchwork-said", "value": "It%20is%20done.", "url": other.url}])
    with now.expect_response(lambda answer: answer.url.endswith("/")):
        now.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    other.reload()
    expect(other.get_by_role("status").filter(has_text="It is done.")).to_be_visible()
    now.close()
    other.close()


def test_tabs_that_nobody_looks_at_leave_the_website_to_the_others(inside: BrowserContext, house: House) -> None:
    tabs = [inside.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto("/")
        expect(tab.locator("#link")).to_have_text("Live")
        tab.evaluate(LOOKED_AWAY, True)
    tabs[-1].goto("/people")
    expect(tabs[-1].get_by_role("heading", level=1)).to_have_text("People")
    feed = tabs[0].locator("#lines")
    before = feed.locator(".line").count()
    house.demo.present(house.doors[0], card=CARD)
    house.demo.until(lambda: house.demo.events()[-1]["type"].startswith("access_"))
    assert feed.locator(".line").count() == before
    tabs[0].evaluate(LOOKED_AWAY, False)
    expect(feed.locator(".line")).to_have_count(before + 1)
    for tab in tabs:
        tab.close()


def test_the_first_page_says_when_one_is_logged_out(browser: Browser, house: House) -> None:
    context = house.enter(browser)
    page, other = context.new_page(), context.new_page()
    page.goto("/")
    expect(page.locator("#link")).to_have_text("Live")
    other.goto("/account")
    other.get_by_role("button", name="Log out", exact=True).click()
    expect(other).to_have_url(re.compile("/log-in$"))
    expect(page.locator("#link")).to_have_text("You are logged out. Log in")
    page.locator("#link").get_by_role("link", name="Log in").click()
    expect(page).to_have_url(re.compile("/log-in$"))
    context.close()


def test_a_doors_page_follows_the_door(inside: BrowserContext, house: House) -> None:
    page, door = inside.new_page(), house.doors[2]
    page.goto(f"/doors/{door}")
    expect(page.locator("#state")).to_contain_text("Decides for each person")
    assert house.demo.api.post(f"/v1/access-points/{door}/mode", json={"mode": "locked"}).is_success
    expect(page.locator("#state")).to_contain_text("Locked for everybody")
    expect(page.get_by_role("button", name="Back to normal")).to_be_visible()
    house.demo.present(door, card=CARD)
    expect(page.locator("#history")).to_contain_text("Bob Builder")
    page.close()


def test_a_double_click_sends_a_form_once(inside: BrowserContext) -> None:
    page: Page = inside.new_page()
    page.goto("/doors/sites/new")
    page.get_by_label("Name").fill("Annexe")
    page.get_by_label("Time zone").fill("UTC")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="Save the site").dblclick()
    expect(page.get_by_text("Annexe is there.")).to_be_visible()
    page.close()
    assert len(sent) == 1


def test_an_answer_to_a_form_survives_reload_and_back(inside: BrowserContext, house: House) -> None:
    """Nothing is sent again, and no page says that it is gone."""
    page = inside.new_page()
    visit, link = house.path("/visitors/{meeting_id}"), page.get_by_label("The visitor's link")
    page.goto(visit)
    page.get_by_role("button", name="Make a link").click()
    expect(link).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Make a link")).to_be_visible()
    expect(link).to_have_count(0)
    page.get_by_role("button", name="Make a link").click()
    expect(link).to_be_visible()
    page.goto("/people/import")
    page.get_by_label("Or paste it").fill("name\nNobody Yet")
    page.get_by_role("button", name="Show what would happen").click()
    expect(page.get_by_text("New people: 1.")).to_be_visible()
    page.get_by_role("button", name="Import them").click()
    expect(page.get_by_role("status").get_by_text("Imported.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Import people")).to_be_visible()
    page.go_back()
    page.go_back()
    expect(page.get_by_role("button", name="Make a link")).to_be_visible()
    page.close()


def test_a_search_after_the_sessions_end_leads_to_the_log_in_and_on(browser: Browser, house: House) -> None:
    context = house.enter(browser)
    page = context.new_page()
    page.goto("/people")
    context.clear_cookies()
    page.get_by_role("searchbox").fill("bob")
    page.wait_for_url("**/log-in?next=*search%3Dbob*")
    context.close()


def test_a_form_that_was_stopped_can_be_sent_again(inside: BrowserContext) -> None:
    page = inside.new_page()
    page.clock.install()
    page.goto("/settings/terms")
    page.get_by_label("New term").fill("Night shift")
    page.route("**/settings/terms", lambda route: route.abort("aborted"))
    page.get_by_role("button", name="Add the term").click()
    page.unroute("**/settings/terms")
    page.clock.fast_forward(6_000)
    page.get_by_role("button", name="Add the term").click()
    expect(page.get_by_text("The term Night shift is there.")).to_be_visible()
    page.close()
