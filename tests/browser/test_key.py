"""A browser as a key: its code is drawn and renewed, offline too, and nothing is left once it is forgotten."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browser.house import House
from tests.browser.test_every_page import DESK, PHONE, barriers, sticks_out

from latchwork.wire import p256, pass_
from latchwork.wire.pass_ import PassKey, VerifiedPhoneCode

PUBLIC_KEY = """async () => {
  const opening = indexedDB.open("latchwork-access");
  const database = await new Promise((done) => (opening.onsuccess = () => done(opening.result)));
  const asked = database.transaction("contents").objectStore("contents").get(0);
  const held = await new Promise((done) => (asked.onsuccess = () => done(asked.result)));
  database.close();
  return held && [...new Uint8Array(await crypto.subtle.exportKey("raw", held.codeKey.publicKey))];
}"""


@pytest.fixture
def ada(house: House) -> int:
    """The administrator, who may open the first door, with a phone."""
    api = house.demo.api
    user = next(
        each for each in api.get("/v1/users").json()["items"] if each["email"] == house.demo.line["admin"]["email"]
    )
    grant = {"add": [{"accessPointId": house.doors[0]}]}
    assert api.patch(f"/v1/users/{user['id']}/permissions", json=grant).is_success
    return int(user["id"])


@pytest.fixture
def inside(browser: Browser, house: House, ada: int) -> Iterator[BrowserContext]:
    context = house.enter(browser)
    yield context
    context.close()
    for phone in phones(house, ada):
        house.demo.api.delete(f"/v1/users/{ada}/phones/{phone['id']}")


def phones(house: House, user: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.demo.api.get(f"/v1/users/{user}/phones").json()
    return found


def become_key(page: Page) -> None:
    page.goto("/mine")
    page.get_by_role("button", name="Use this browser as a key").click()
    expect(page.get_by_role("img", name="Your code")).to_be_visible()


def shown(page: Page) -> str:
    """What a camera reads off the screen."""
    picture = page.locator("#key").screenshot()
    [found] = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    return found.text


def test_a_code_is_drawn_that_doors_take_and_renewed_without_a_network(
    inside: BrowserContext, house: House, ada: int
) -> None:
    page = inside.new_page()
    page.clock.install()
    become_key(page)
    [phone] = phones(house, ada)
    assert phone["name"] == "Chrome on Linux"
    expect(page.locator(f"[data-phone='{phone['id']}']")).to_contain_text("this browser")
    public = bytes(page.evaluate(PUBLIC_KEY))
    kid = p256.kid(public)
    assert p256.b64url(kid) == phone["codeKid"], "the key that the cloud knows"
    keys = {kid: PassKey(kid, "phone", p256.load_public(public))}
    first = shown(page)
    house.demo.until(lambda: phones(house, ada)[0]["assigned"] == 1)
    assert house.demo.show(first, door=house.doors[0]) == "granted"
    assert house.demo.show(first, door=house.doors[0]) == "already_used"
    page.get_by_role("button", name="New code").click()
    while (fresh := shown(page)) == first:
        page.wait_for_timeout(50)
    assert house.demo.show(fresh, door=house.doors[0]) == "granted"
    inside.set_offline(True)
    page.clock.fast_forward(31_000)
    page.wait_for_function("before => document.querySelector('[data-count]').textContent !== before", arg="0:00")
    second = shown(page)
    inside.set_offline(False)
    said = [pass_.verify(text, keys.get) for text in (first, fresh, second)]
    assert all(isinstance(each, VerifiedPhoneCode) for each in said)
    assert second not in (first, fresh)


def test_a_browser_that_is_forgotten_is_no_phone_any_more(inside: BrowserContext, house: House, ada: int) -> None:
    page = inside.new_page()
    become_key(page)
    page.reload()
    expect(page.get_by_role("img", name="Your code")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget this browser").click()
    expect(page.get_by_text("This browser is no key any more.")).to_be_visible()
    expect(page.get_by_role("button", name="Use this browser as a key")).to_be_visible()
    assert phones(house, ada) == house.demo.api.get(f"/v1/users/{ada}/app-sessions").json() == []
    assert page.evaluate(PUBLIC_KEY) is None


def test_logging_out_leaves_no_key_behind(inside: BrowserContext, house: House, ada: int) -> None:
    page = inside.new_page()
    become_key(page)
    page.goto("/")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in", level=1)).to_be_visible()
    assert phones(house, ada) == []
    assert page.evaluate("async () => (await indexedDB.databases()).map((each) => each.name)") == []


def test_a_phone_that_was_taken_away_elsewhere_is_told_so(inside: BrowserContext, house: House, ada: int) -> None:
    page = inside.new_page()
    become_key(page)
    assert house.demo.api.delete(f"/v1/users/{ada}/phones/{phones(house, ada)[0]['id']}").is_success
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("removed from your phones")
    expect(page.get_by_role("button", name="Use this browser as a key")).to_be_visible()


def test_one_phone_too_many_is_refused_with_what_to_do(
    browser: Browser, inside: BrowserContext, house: House, ada: int
) -> None:
    become_key(inside.new_page())
    assert house.demo.api.patch("/v1/organisation", json={"phonesPerUser": 1}).is_success
    other = house.enter(browser)
    page = other.new_page()
    page.goto("/mine")
    page.get_by_role("button", name="Use this browser as a key").click()
    expect(page.get_by_role("alert")).to_contain_text("as many phones as you may")
    expect(page.get_by_role("alert")).to_contain_text("Remove one of your phones in the list")
    assert len(house.demo.api.get(f"/v1/users/{ada}/app-sessions").json()) == 1
    other.close()
    assert house.demo.api.patch("/v1/organisation", json={"phonesPerUser": 2}).is_success


def test_somebody_elses_key_is_forgotten_as_soon_as_another_opens_the_page(
    inside: BrowserContext, house: House, ada: int
) -> None:
    page = inside.new_page()
    become_key(page)
    inside.clear_cookies()
    page.goto(house.path("/password/{token}"))
    page.get_by_label("password").first.fill("correct horse battery")
    page.get_by_role("button").first.click()
    form = page.locator("form[action='/log-in']")
    form.get_by_label("E-mail").fill("bob@harbour.example")
    form.get_by_label("Password").fill("correct horse battery")
    form.get_by_role("button").click()
    page.wait_for_url("**/mine")
    expect(page.get_by_role("button", name="Use this browser as a key")).to_be_visible()
    assert phones(house, ada) == []


def test_the_code_and_the_phones_are_for_everybody(inside: BrowserContext, house: House, ada: int) -> None:
    page = inside.new_page()
    become_key(page)
    for path in ("/mine", f"/people/{ada}"):
        page.goto(path)
        if path == "/mine":
            expect(page.get_by_role("img", name="Your code")).to_be_visible()
        found = [
            each for scheme in ("light", "dark") for size in (DESK, PHONE) for each in barriers(page, scheme, size)
        ]
        assert (found, [size for size in (DESK, PHONE) if sticks_out(page, size)]) == ([], [])
