"""Harbour Desk's app in a real Chromium, against the demo: what its members and their visitors do."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route
from tests.demo.running import Running, start
from tests.example.phone import SIZE, SMALL, Member, Relay, barriers, carried, photographed, screen
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
    closed = "() => Promise.reject(new DOMException('the list of readers was closed', 'NotFoundError'))"
    await mia.page.evaluate(f"() => {{ navigator.bluetooth.requestDevice = {closed}; }}")
    await mia.page.get_by_role("button", name="Tap the reader").click()
    await mia.page.wait_for_function("() => !document.querySelector('button[aria-busy]')")
    assert await mia.page.locator("#said p").count() == 0
    await mia.page.reload()


async def test_the_own_code_opens_with_phone_and_building_both_offline(
    demo: Running, mia: Member, tmp_path: Path
) -> None:
    await mia.page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    demo.link(up=False)
    await mia.turn_to("Doors")
    await mia.context.set_offline(True)
    try:
        await mia.page.get_by_text("You are offline").wait_for()
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
        await mia.turn_to("Doors")
        await mia.page.get_by_role("button", name="Open Office").click()
        assert "show your code" in await mia.said()
        await mia.turn_to("Visitors")
        await mia.page.get_by_text("There is no network right now").wait_for()
    finally:
        await mia.context.set_offline(False)
        demo.link(up=True)
        demo.until_confirmed()
    mia.heard.clear()  # Chromium itself reports each request that found no network
    demo.until(lambda: demo.api.get("/v1/passages", params={"door": GARAGE}).json()["items"][0]["manner"] == "code")
    await mia.turn_to("Me")
    been = mia.page.get_by_role("listitem").filter(has_text="with a code")
    assert re.search(r"Garage\s+Today, \d\d:\d\d, with a code\s+.+\.", await been.first.inner_text())
    assert re.fullmatch(r"Meeting room\s+Today, \d\d:\d\d, with a code", await been.nth(1).inner_text())


async def test_a_code_is_whole_also_on_a_phone_on_its_side(mia: Member, tmp_path: Path) -> None:
    await mia.turn_to("My code")
    await mia.page.set_viewport_size({"width": SIZE[1], "height": SIZE[0]})
    assert (await photographed(mia.page, tmp_path / "side.png")).startswith("LW")
    await mia.page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})


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
        await page.get_by_role("heading", name="Vlad Visitor").wait_for()
        await page.get_by_text("Meeting room").wait_for()
        await context.set_offline(False)
        await page.clock.fast_forward(4_000)
        await page.get_by_text("A new code in").wait_for()
        other = await mia.invite("Viola Visitor")
        await page.goto(other)
        await page.get_by_role("heading", name="Viola Visitor").wait_for()
        assert await page.title() == "Viola Visitor · Harbour Desk"


async def test_an_invitation_is_sent_as_it_stands_and_may_pass_midnight(browser: Browser, mia: Member) -> None:
    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    await mia.turn_to("Visitors")
    await mia.page.get_by_role("link", name="Invite a visitor").click()
    await mia.page.get_by_label("Who comes?").fill("Vic Mistyped")
    tomorrow = await mia.page.get_by_label("On which day?").evaluate(
        "day => { day.valueAsNumber += 86400000; return day.value }"
    )
    await mia.page.get_by_label("From").fill("22:00")
    await mia.page.get_by_label("Until").fill("00:30")
    await mia.page.get_by_text("on the next day").wait_for()
    await mia.page.route("**/api/visits", lose, times=1)
    await mia.page.get_by_role("button", name="Invite", exact=True).click()
    assert "try again" in await mia.said()
    mia.heard.clear()  # Chromium itself reports the request whose answer was lost
    await mia.page.get_by_label("Who comes?").fill("Vic Corrected")
    async with mia.page.expect_request("**/api/visits") as sent:
        await mia.page.get_by_role("button", name="Invite", exact=True).click()
    draft = (await sent.value).post_data_json
    assert draft["starts"] == f"{tomorrow}T22:00" and draft["ends"] > f"{tomorrow}T24:00", draft
    await mia.page.get_by_role("heading", name="Vic Corrected is invited").wait_for()
    async with screen(browser) as (_, page):
        await page.goto(await mia.page.locator(".link").inner_text())
        await page.get_by_text("Your code appears here when your visit begins: Tomorrow, 22:00").wait_for()


async def test_who_may_invite_to_no_room_is_told_what_to_do(demo: Running, mia: Member) -> None:
    [user] = demo.api.get("/v1/users", params={"search": "Mia"}).json()["items"]
    doors = f"/v1/users/{user['id']}/permissions"
    assert demo.api.patch(doors, json={"remove": [FRONT]}).is_success
    await mia.turn_to("Visitors")
    await mia.page.get_by_role("link", name="Invite a visitor").click()
    await mia.page.get_by_text("Please ask the front desk").wait_for()
    assert demo.api.patch(doors, json={"add": [{"accessPointId": FRONT}]}).is_success
    demo.until_confirmed()


async def test_a_slow_network_is_told_at_once_and_then_given_up(mia: Member) -> None:
    async def stall(route: Route) -> None:
        await asyncio.sleep(30)

    await mia.page.route("**/api/visits", stall)
    await mia.page.get_by_role("navigation").get_by_role("link", name="Visitors").click()
    await mia.page.get_by_role("heading", name="Visitors").wait_for(timeout=5_000)
    await mia.page.get_by_text("Loading…").wait_for(timeout=5_000)
    assert await mia.page.locator("nav [aria-current]").inner_text() == "Visitors"
    await mia.page.get_by_text("The network is too slow").wait_for(timeout=25_000)
    await mia.page.unroute("**/api/visits")
    await mia.page.get_by_role("button", name="Try again").click()
    await mia.page.get_by_role("link", name="Invite a visitor").wait_for()
    mia.heard.clear()


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
    await mia.give_password()
    await mia.page.get_by_role("link", name="Invite a visitor").wait_for()
    await mia.turn_to("My code")
    await mia.page.get_by_text("A new code in").wait_for()
    mia.heard.clear()  # Chromium itself reports the answer 401


async def test_whoever_else_logs_in_again_is_somebody_else_at_the_doors_too(demo: Running, browser: Browser) -> None:
    async with screen(browser) as (context, page):
        noah = Member(demo, context, page, demo.line["members"][NOAH])
        await noah.log_in()
        await noah.enrol()
        await context.clear_cookies()
        await noah.turn_to("Visitors")
        second = Member(demo, context, page, demo.line["members"][MIA])
        await second.give_password()
        await page.get_by_role("heading", name="Make this phone your key").wait_for()
        await page.get_by_role("button", name="Enrol this phone").click()
        await second.turn_to("Doors")
        await second.until_ready()
        assert await page.locator(".card h2").all_inner_texts() == ["Front door", "Office", "Meeting room"]
        [user] = demo.api.get("/v1/users", params={"search": "Noah"}).json()["items"]
        assert demo.api.get(f"/v1/users/{user['id']}/phones").json() == []
        await second.leave()


async def test_at_the_limit_the_phone_that_was_used_least_is_proposed(demo: Running, browser: Browser) -> None:
    assert demo.api.patch("/v1/organisation", json={"phonesPerUser": 1}).is_success
    async with screen(browser) as (former, left_page), screen(browser) as (context, page):
        left = Member(demo, former, left_page, demo.line["members"][NOAH])
        await left.log_in()
        await left.enrol()
        noah = Member(demo, context, page, demo.line["members"][NOAH])
        await noah.log_in()
        await page.set_viewport_size({"width": SMALL[0], "height": SMALL[1]})
        enrol = page.get_by_role("button", name="Enrol this phone")
        await enrol.click()
        assert "as many phones as you may" in await noah.said()
        told, asked = await page.locator("#said p").bounding_box(), await enrol.bounding_box()
        assert told and asked and told["y"] >= asked["y"] + asked["height"], "what is told covers what it asks for"
        chosen = await page.get_by_label("Does it replace another?").evaluate("s => s.selectedOptions[0].text")
        assert re.fullmatch(r"My \w+, used Today, \d\d:\d\d", chosen)
        assert demo.api.patch("/v1/organisation", json={"phonesPerUser": 2}).is_success
        await page.get_by_label("Does it replace another?").select_option("No, I use both")
        await noah.enrol()
        await noah.turn_to("Me")
        await page.get_by_text("Remove it", exact=True).click()
        await page.get_by_role("button", name="Yes, remove it").click()
        assert "opens nothing any more" in await noah.said()
        await noah.leave()


async def test_where_no_key_can_be_kept_the_app_says_why_and_tries_again(demo: Running, browser: Browser) -> None:
    async with screen(browser) as (context, page):
        await context.add_init_script(
            "const open = IDBFactory.prototype.open;"
            "IDBFactory.prototype.open = () => { throw new DOMException('not here', 'SecurityError'); };"
            "window.allow = () => { IDBFactory.prototype.open = open; };"
        )
        await page.goto(demo.line["clientAppUrl"])
        await page.get_by_text("This browser keeps nothing").wait_for()
        assert await barriers(page) == []
        await page.evaluate("() => allow()")
        await page.get_by_role("button", name="Try again").click()
        await page.get_by_label("E-mail").wait_for()


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
        async with page.expect_response("**/api/log-out"):
            await context.set_offline(False)
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
