"""Harbour Desk's app in a real Chromium, against the demo: what its members and their visitors do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from tests.demo.running import Running, start
from tests.example.phone import Member, Relay, barriers, carried, photographed, screen
from tests.typescript.page import chromium

from latchwork.sdk.bluetooth import BumbleRadio

FRONT, OFFICE, MEETING_ROOM, GARAGE = 1, 2, 3, 4
MIA, NOAH = 0, 1


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    running = start(None)
    yield running
    running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mia(browser: Browser, demo: Running) -> AsyncIterator[Member]:
    async with carried(browser, demo, demo.line["members"][MIA]) as mia:
        yield mia
        assert mia.heard == []


async def test_a_member_sees_their_doors_and_opens_one_from_afar(demo: Running, mia: Member) -> None:
    await mia.turn_to("Doors")
    assert await mia.page.locator(".card h2").all_inner_texts() == ["Front door", "Office", "Meeting room"]
    await mia.page.get_by_role("button", name="Open Office").click()
    assert await mia.said() == "Office: Welcome, the door is open."
    assert {door["id"]: door["state"] for door in demo.doors.get("/doors").json()}[OFFICE] == "released"
    await mia.turn_to("Me")
    await mia.page.get_by_text("from afar").first.wait_for()


async def test_a_tap_over_web_bluetooth_opens_the_door(demo: Running, browser: Browser, mia: Member) -> None:
    await mia.turn_to("Doors")
    relay = await Relay.near(browser, mia.page, None)  # type: ignore[arg-type]  # the reader has its own identity
    relay.radio, relay.door = BumbleRadio(demo.doors.get("/radio").json()["hci"], reads=True), MEETING_ROOM
    await mia.page.get_by_role("button", name="Tap the reader").click()
    assert await mia.said() == "Meeting room: Welcome, the door is open."
    door = next(door for door in demo.doors.get("/doors").json() if door["id"] == MEETING_ROOM)
    assert (door["state"], door["strike"]) == ("released", "on")
    relay.door = GARAGE
    await mia.page.get_by_role("button", name="Tap the reader").click()
    assert await mia.said() == "You have no permission for this door."
    assert {door["id"]: door["state"] for door in demo.doors.get("/doors").json()}[GARAGE] == "locked"
    await relay.radio.close()


async def test_the_own_code_opens_with_phone_and_building_both_offline(
    demo: Running, mia: Member, tmp_path: Path
) -> None:
    await mia.page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    demo.link(up=False)
    await mia.context.set_offline(True)
    try:
        await mia.page.goto(f"{demo.line['clientAppUrl']}/#code")
        await mia.page.reload()
        await mia.page.get_by_text("A new code in").wait_for()
        code = await photographed(mia.page, tmp_path / "code.png")
        assert demo.show(code, FRONT) == "granted"
        assert demo.show(code, MEETING_ROOM) != "granted", "it is good once"
        await mia.page.get_by_role("button", name="New code").click()
        while (fresh := await photographed(mia.page, tmp_path / "fresh.png")) == code:
            await asyncio.sleep(0.05)
        assert demo.show(fresh, MEETING_ROOM) == "granted"
        assert demo.show(code, GARAGE) != "granted"
        await mia.turn_to("Visitors")
        await mia.page.get_by_text("There is no network right now").wait_for()
    finally:
        await mia.context.set_offline(False)
        demo.link(up=True)
        demo.until_confirmed()
    mia.heard.clear()  # Chromium itself reports each request that found no network


async def test_a_visitors_code_renews_and_only_the_fresh_one_opens(
    demo: Running, browser: Browser, mia: Member, tmp_path: Path
) -> None:
    assert demo.api.patch("/v1/organisation", json={"passSeconds": 20}).is_success
    link = await mia.invite("Vic Visitor")
    demo.until_confirmed()
    async with screen(browser) as (_, page):
        await page.goto(link)
        await page.get_by_role("heading", name="Vic Visitor").wait_for()
        first = await photographed(page, tmp_path / "first.png")
        shown_at = time.monotonic()
        assert demo.show(first, FRONT) == demo.show(first, MEETING_ROOM) == "granted"
        assert demo.show(first, OFFICE) == "pass_wrong_door"
        await page.wait_for_timeout(max(0, 26 - (time.monotonic() - shown_at)) * 1000)
        fresh = await photographed(page, tmp_path / "fresh.png")
        assert fresh != first
        assert demo.show(first, FRONT) == "pass_expired"
        assert demo.show(fresh, FRONT) == "granted"
    assert demo.api.patch("/v1/organisation", json={"passSeconds": 60}).is_success


async def test_a_visitors_code_of_a_minute_is_renewed_a_quarter_before_its_end(
    browser: Browser, mia: Member, tmp_path: Path
) -> None:
    link = await mia.invite("Vera Visitor")
    async with screen(browser) as (_, page):
        await page.clock.install()
        await page.goto(link)
        await page.get_by_role("heading", name="Vera Visitor").wait_for()
        assert await page.locator(".count").inner_text() in ("A new code in 0:45", "A new code in 0:44")
        first = await photographed(page, tmp_path / "first.png")
        await page.clock.fast_forward(40_000)
        assert await photographed(page, tmp_path / "later.png") == first
        async with page.expect_response("**/api/visit"):
            await page.clock.fast_forward(6_000)
        await page.get_by_text("A new code in 0:4").wait_for()
        assert await photographed(page, tmp_path / "fresh.png") != first


async def test_without_a_network_a_visitors_code_says_how_long_it_is_good_and_then_goes(
    browser: Browser, mia: Member
) -> None:
    link = await mia.invite("Vlad Visitor")
    async with screen(browser) as (context, page):
        await page.clock.install()
        await page.goto(link)
        await page.get_by_role("heading", name="Vlad Visitor").wait_for()
        await context.set_offline(True)
        await page.clock.fast_forward(46_000)
        await page.get_by_text("No network. This code is good for 0:1").wait_for()
        await page.clock.fast_forward(16_000)
        await page.get_by_text("Your code has ended").wait_for()
        assert await page.locator("canvas").count() == 0
        await context.set_offline(False)
        await page.clock.fast_forward(4_000)
        await page.get_by_text("A new code in").wait_for()


async def test_a_cancelled_visit_shows_no_code_and_its_last_one_opens_nothing(
    demo: Running, browser: Browser, mia: Member, tmp_path: Path
) -> None:
    link = await mia.invite("Vanessa Visitor")
    async with screen(browser) as (_, page):
        await page.goto(link)
        await page.get_by_role("heading", name="Vanessa Visitor").wait_for()
        code = await photographed(page, tmp_path / "code.png")
        await mia.turn_to("Visitors")
        card = mia.page.locator(".card", has=mia.page.get_by_role("heading", name="Vanessa Visitor"))
        await card.get_by_text("Cancel this visit").click()
        await card.get_by_role("button", name="Yes, cancel it").click()
        assert "is cancelled" in await mia.said()
        demo.until_confirmed()
        assert demo.show(code, FRONT) == "pass_revoked"
        await page.reload()
        await page.get_by_text("There is no such visit").wait_for()


async def test_whose_log_in_has_ended_logs_in_again_and_keeps_the_phone(demo: Running, mia: Member) -> None:
    await mia.context.clear_cookies()
    await mia.turn_to("Visitors")
    await mia.page.get_by_label("E-mail").fill(mia.login["email"])
    await mia.page.get_by_label("Password").fill(mia.login["password"])
    await mia.page.get_by_role("button", name="Log in").click()
    await mia.page.get_by_role("link", name="Invite a visitor").wait_for()
    await mia.turn_to("My code")
    await mia.page.get_by_text("A new code in").wait_for()
    mia.heard.clear()  # Chromium itself reports the answer 401


async def test_a_hostile_name_is_only_a_name(mia: Member) -> None:
    name = "<img src=x onerror=alert(1)>&amp;"
    await mia.invite(name)
    assert await mia.page.get_by_role("heading").inner_text() == f"{name} is invited"
    await mia.turn_to("Visitors")
    await mia.page.get_by_role("heading", name=name).first.wait_for()
    assert await mia.page.locator("main img").count() == 0


async def test_a_member_who_may_steer_is_offered_it_and_one_who_may_not_is_not(demo: Running, mia: Member) -> None:
    await mia.turn_to("Doors")
    assert await mia.page.get_by_text("Hold open").count() == 0
    async with chromium() as browser, carried(browser, demo, demo.line["members"][NOAH]) as noah:
        await noah.page.locator("summary").first.click()
        relay = await Relay.near(browser, noah.page, None)  # type: ignore[arg-type]  # the reader has its own identity
        relay.radio, relay.door = BumbleRadio(demo.doors.get("/radio").json()["hci"], reads=True), FRONT
        for label, state in (("Hold open", "unlocked"), ("Back to normal", "locked")):
            await noah.page.get_by_role("button", name=label).first.click()
            assert (await noah.said()).startswith("Front door: ")
            seen = {door["id"]: door["state"] for door in demo.doors.get("/doors").json()}
            assert seen[FRONT] == state
        await relay.radio.close()


async def test_every_page_is_for_everybody(mia: Member, browser: Browser) -> None:
    for tab in ("Doors", "My code", "Visitors", "Me"):
        await mia.turn_to(tab)
        await asyncio.sleep(0.3)
        assert await mia.page.locator("h1").count() == 1
        assert await barriers(mia.page) == [], tab
    link = await mia.invite("Eve Everybody")
    assert await barriers(mia.page) == []
    await mia.turn_to("Visitors")
    await mia.page.get_by_role("link", name="Invite a visitor").click()
    await mia.page.get_by_label("Who comes?").wait_for()
    assert await barriers(mia.page) == []
    async with screen(browser) as (_, page):
        for address in (link, f"{link}x", mia.demo.line["clientAppUrl"]):
            await page.goto(address)
            await page.reload()
            await page.locator("h1").wait_for()
            assert await barriers(page) == [], address


async def test_when_the_building_ends_a_session_the_app_asks_to_log_in_again(demo: Running, browser: Browser) -> None:
    async with screen(browser) as (context, page):
        noah = Member(demo, context, page, demo.line["members"][NOAH])
        await noah.log_in()
        await noah.enrol()
        [user] = demo.api.get("/v1/users", params={"search": "Noah"}).json()["items"]
        [phone] = demo.api.get(f"/v1/users/{user['id']}/phones").json()
        assert demo.api.delete(f"/v1/users/{user['id']}/phones/{phone['id']}").is_success
        await page.wait_for_timeout(1100)
        await page.get_by_role("navigation").get_by_role("link", name="Doors", exact=True).click()
        await page.get_by_text("Your session is over").wait_for()
        await noah.page.get_by_label("Password").wait_for()


@pytest.mark.parametrize("is_opened_anew", [False, True])
async def test_a_log_out_without_a_network_is_finished_when_there_is_one(
    demo: Running, browser: Browser, is_opened_anew: bool
) -> None:
    async with screen(browser) as (context, page):
        noah = Member(demo, context, page, demo.line["members"][NOAH])
        await noah.log_in()
        await page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
        await context.set_offline(True)
        await page.get_by_role("button", name="Log out").click()
        await page.get_by_role("button", name="Log in").wait_for()
        if is_opened_anew:
            await page.close()
            page = await context.new_page()
        await context.set_offline(False)
        async with page.expect_response("**/api/log-out"):
            if is_opened_anew:
                await page.goto(demo.line["clientAppUrl"])
        me = await context.request.get(f"{demo.line['clientAppUrl']}/api/me")
        assert me.status == 401
        await page.wait_for_function("() => localStorage.length === 0")


async def test_the_app_can_be_installed(mia: Member) -> None:
    devtools = await mia.context.new_cdp_session(mia.page)
    manifest = await devtools.send("Page.getAppManifest")
    assert manifest["url"].endswith("/manifest.webmanifest") and manifest["errors"] == []
    wrong = (await devtools.send("Page.getInstallabilityErrors"))["installabilityErrors"]
    assert [each["errorId"] for each in wrong if each["errorId"] != "in-incognito"] == []


async def test_a_browser_without_bluetooth_says_what_remains(demo: Running, browser: Browser) -> None:
    async with screen(browser) as (context, page):
        await context.add_init_script("delete Navigator.prototype.bluetooth")
        noah = Member(demo, context, page, demo.line["members"][NOAH])
        await noah.log_in()
        await noah.enrol()
        await page.get_by_text("This browser has no Bluetooth").wait_for()
        assert await page.get_by_role("button", name="Tap the reader").count() == 0
        await page.get_by_role("link", name="Show my code").click()
        await page.get_by_text("A new code in").wait_for()
        await noah.leave()
