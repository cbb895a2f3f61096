"""The TypeScript SDK's bundle in a real Chromium, from another origin, against the real cloud and its doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import zxingcpp
from PIL import Image
from playwright.async_api import Browser, Page
from tests.typescript.page import by_hand, chromium, opened_app, run_readme
from tests.typescript.peripheral import Peripheral

from cloud.cast import PUBLIC_URL, Account, Client, Cloud, Line, Script
from cloud.phones.cast import offered
from latchwork.policy.model import VerifiedPhoneCode
from latchwork.wire import certificate, p256, state
from latchwork.wire.pass_ import PassKey, verify
from latchwork.wire.tap import ReaderIdentity


@pytest_asyncio.fixture
async def browser(cloud: Cloud) -> AsyncIterator[Browser]:
    async with chromium(_hosts(cloud)) as browser:
        yield browser


def _hosts(cloud: Cloud) -> str:
    return f"MAP cloud.test {urlsplit(cloud.url).netloc}"


@pytest_asyncio.fixture
async def page(browser: Browser) -> Page:
    """Bob's phone: his company's app, logged out."""
    page = await opened_app(browser)
    await _open(page)
    return page


async def _open(page: Page) -> None:
    await page.evaluate(
        f"""async () => {{
          access = await sdk.Access.open("{PUBLIC_URL}/");
          told = [];
          access.onStatus((status) => told.push(status));
        }}"""
    )


@pytest.fixture
def account(accounts: dict[str, Account]) -> Account:
    return accounts["alice"]


async def session_of(cloud: Cloud, account: Account, user: int) -> str:
    return str((await offered(cloud, account, user))["access_token"])


async def do(page: Page, work: str) -> Any:
    return await by_hand(page, f"return {work}")


async def logged_in(page: Page, cloud: Cloud, account: Account, user: int) -> None:
    assert await do(page, f"access.logIn('{await session_of(cloud, account, user)}')") is None


async def enrolled(page: Page, cloud: Cloud, account: Account, user: int) -> dict[str, Any]:
    await logged_in(page, cloud, account, user)
    phone: dict[str, Any] = await do(page, "access.enrol('Bob\\'s Pixel')")
    assert phone["name"] == "Bob's Pixel", phone
    return phone


async def test_bob_logs_in_enrols_opens_from_afar_and_shows_his_code(
    alice: Client, account: Account, bob: int, page: Page, tmp_path: Path
) -> None:
    await alice.patch(f"/v1/users/{bob}", {"access": {"remote": True}})
    async with alice.dora(1, tmp_path):
        phone = await enrolled(page, alice.cloud, account, bob)
        assert await page.evaluate("() => told") == ["not_enrolled", "ready"]
        assert [each["id"] for each in await do(page, "access.phones()")] == [phone["id"]]
        await alice.until_confirmed(1)
        await do(page, "access.refresh()")
        doors = await do(page, "access.doors()")
        assert [(door["name"], door["isReady"]) for door in doors] == [("Front door", True), ("Laboratory", True)]
        assert {"code", "remote"} <= set(doors[0]["allows"])
        opened = await do(page, "access.unlock(1)")
        assert (opened["accessPoint"], opened["name"]) == (1, "Front door"), opened
        await alice.until_event("access_granted")
        [passage] = await do(page, "access.history()")
        assert (passage["accessPointName"], passage["credential"], passage["granted"]) == ("Front door", "remote", True)
    assert (await do(page, "access.unlock(1)"))["code"] == "door_offline"
    await _the_code_is_that_of_the_phones_key(page, alice, bob)


async def _the_code_is_that_of_the_phones_key(page: Page, alice: Client, bob: int) -> None:
    code = await do(page, "access.code()")
    [phone] = await alice.get(f"/v1/users/{bob}/phones")
    mine = "new sdk.IndexedDbWallet().load().then((kept) => crypto.subtle.exportKey('raw', kept.codeKey.publicKey))"
    point = bytes(await do(page, f"{mine}.then((key) => [...new Uint8Array(key)])"))
    key = PassKey(p256.kid(point), "phone", p256.load_public(point))
    assert p256.b64url(key.kid) == phone["codeKid"]
    said = verify(code["text"], {key.kid: key}.get)
    assert isinstance(said, VerifiedPhoneCode)
    assert said.issued_at == int(code["madeAt"])
    assert code["nextAt"] == code["madeAt"] + 30
    assert (await do(page, "access.code()"))["text"] == code["text"]
    await run_readme(page, "js code")
    picture = await page.locator("#code svg").screenshot()
    assert [found.text for found in zxingcpp.read_barcodes(Image.open(BytesIO(picture)))] == [code["text"]]


async def test_the_readmes_ten_lines_end_at_an_open_door(
    alice: Client, account: Account, dora: Script, bob: int, browser: Browser
) -> None:
    """With what the real cloud gave the phone and the reader; the tap itself needs no network."""
    reader_key, page = p256.new_key(), await opened_app(browser)
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.accept())[1])
    async with dora.linked(reader_key=p256.public_bytes(reader_key.public_key())) as line:
        shown = {record.key: record.body for record in (await line.take_state()).records if record.kind == "reader"}
        record = state.codec.decode(shown["1.entry"] or b"")
        assert isinstance(record, state.ReaderRecord)
        site, door = certificate.site_id(alice.organisation, 1), certificate.reader_id(1, False)
        reader = await Peripheral.near(browser, page, ReaderIdentity(site, door, reader_key, record.certificate))
        session = await session_of(alice.cloud, account, bob)
        await page.route("**/session", lambda route: route.fulfill(json={"session": session}))
        await run_readme(page, "js quickstart", "https://access.example.org", PUBLIC_URL)
        known = await _phone_keys(line)
    await page.context.set_offline(True)
    async with page.expect_event("dialog"):
        await page.click("button")
    assert said == ["Front door: Welcome, the door is open."]
    [proven] = reader.proven
    assert known == {proven.public_key}


async def _phone_keys(line: Line) -> set[bytes]:
    """The keys with which a phone taps, as a controller has just heard of them."""
    said = [state.codec.decode(record.body) for record in (await line.take_state()).records if record.body]
    return {each.public_key for each in said if isinstance(each, state.PhoneRecord) and each.purpose == "tap"}


async def test_a_session_token_is_good_once_and_a_used_one_does_a_phone_no_harm(
    alice: Client, account: Account, bob: int, page: Page, browser: Browser
) -> None:
    phone = await enrolled(page, alice.cloud, account, bob)
    used = await session_of(alice.cloud, account, bob)
    other = await _another_phone(browser)
    assert await do(other, f"access.logIn('{used}')") is None
    assert await do(other, f"access.logIn('{used}')") is None, "it is this phone's"
    assert (await do(page, f"access.logIn('{used}')"))["code"] == "session_over"
    assert await page.evaluate("() => [access.status, told]") == ["ready", ["not_enrolled", "ready"]]
    assert [each["id"] for each in await do(page, "access.phones()")] == [phone["id"]]


async def test_a_session_that_an_administrator_ends_is_over_in_the_app(
    alice: Client, account: Account, bob: int, page: Page, browser: Browser
) -> None:
    await enrolled(page, alice.cloud, account, bob)
    other = await opened_app(browser, page.context)
    await _open(other)
    [session] = await alice.get(f"/v1/users/{bob}/app-sessions")
    await alice.delete(f"/v1/users/{bob}/app-sessions/{session['id']}")
    async with asyncio.timeout(30):
        while await page.evaluate("() => access.status") != "session_over":
            await do(page, "access.refresh()")
        while await other.evaluate("() => access.status") != "session_over":
            await asyncio.sleep(0.01)
    await _open(other)  # as after a reload
    for each in (page, other):
        assert await each.evaluate("() => access.status") == "session_over"
        assert (await do(each, "access.code()"))["code"] == "session_over"
    kept = await do(page, "new sdk.IndexedDbWallet().load().then((kept) => Object.keys(kept).sort())")
    assert kept == ["codeKey", "isOver", "madeAt", "tapKey", "url", "userId"]


async def test_who_is_bound_to_a_phone_logs_out_and_in_again_with_the_same(
    alice: Client, account: Account, bob: int, page: Page
) -> None:
    phone = await enrolled(page, alice.cloud, account, bob)
    await alice.patch(f"/v1/users/{bob}", {"access": {"deviceLock": True}})
    assert await do(page, "access.logOut()") is None
    assert await page.evaluate("() => access.status") == "logged_out"
    assert (await enrolled(page, alice.cloud, account, bob))["id"] == phone["id"]
    [session] = await alice.get(f"/v1/users/{bob}/app-sessions")
    await alice.delete(f"/v1/users/{bob}/app-sessions/{session['id']}")
    async with asyncio.timeout(30):
        while await page.evaluate("() => access.status") != "session_over":
            await do(page, "access.refresh()")
    assert (await enrolled(page, alice.cloud, account, bob))["id"] == phone["id"]
    assert (await enrolled(page, alice.cloud, account, bob))["id"] == phone["id"]
    assert len(await alice.get(f"/v1/users/{bob}/app-sessions")) == 1
    assert await page.evaluate("() => access.status") == "ready"


async def test_logging_out_takes_the_phone_and_the_session_away(
    alice: Client, account: Account, bob: int, page: Page
) -> None:
    await enrolled(page, alice.cloud, account, bob)
    assert await do(page, "access.logOut()") is None
    assert await page.evaluate("() => access.status") == "logged_out"
    assert await alice.get(f"/v1/users/{bob}/phones") == []
    assert await alice.get(f"/v1/users/{bob}/app-sessions") == []
    assert (await do(page, "access.phones()"))["code"] == "not_logged_in"


async def test_a_log_out_takes_the_phone_away_although_the_page_goes_away_meanwhile(
    alice: Client, account: Account, bob: int
) -> None:
    """The cloud has a public address here: Chromium lets no request to a private one outlive its page."""
    async with chromium(_hosts(alice.cloud), "--disable-features=LocalNetworkAccessChecks") as browser:
        page = await _another_phone(browser)
        await enrolled(page, alice.cloud, account, bob)
        leave = "access.onStatus((status) => status === 'logged_out' && location.assign('about:blank'))"
        await page.evaluate(f"() => {{ {leave}; void access.logOut(); }}")
        await page.wait_for_url("about:blank")
        await _until_forgotten(alice, bob)


async def _until_forgotten(alice: Client, bob: int) -> None:
    async with asyncio.timeout(30):
        while await alice.get(f"/v1/users/{bob}/phones") or await alice.get(f"/v1/users/{bob}/app-sessions"):
            await asyncio.sleep(0.01)


async def test_what_the_cloud_does_not_accept_is_told_by_field(
    alice: Client, account: Account, bob: int, page: Page
) -> None:
    await logged_in(page, alice.cloud, account, bob)
    for ask, sentence in {
        "access.enrol('')": "name: A name has 1 to 200 characters, and no control characters.",
        "access.enrol('Bob\\'s', 99999)": "replaces: You have no such phone.",
    }.items():
        refused = await do(page, ask)
        assert (refused["code"], refused["message"]) == ("invalid", sentence)
    assert "limit" in (await do(page, "access.history(0)"))["message"]


async def test_a_cloud_that_is_called_by_another_name_than_its_own_says_by_which(
    cloud: Cloud, account: Account, bob: int, browser: Browser
) -> None:
    page = await opened_app(browser)
    await page.evaluate(f"async () => {{ access = await sdk.Access.open('{cloud.url}'); }}")
    refused = await do(page, f"access.logIn('{await session_of(cloud, account, bob)}')")
    assert refused["code"] == "invalid_dpop_proof"
    assert refused["message"] == f"This app calls the cloud {cloud.url}, but its public address is {PUBLIC_URL}."


async def test_a_phone_too_many_is_told_so_and_may_replace_a_lost_one(
    alice: Client, account: Account, bob: int, browser: Browser
) -> None:
    ids = []
    for _ in range(2):
        page = await _another_phone(browser)
        ids.append((await enrolled(page, alice.cloud, account, bob))["id"])
    page = await _another_phone(browser)
    await logged_in(page, alice.cloud, account, bob)
    assert (await do(page, "access.enrol('Third')"))["code"] == "phone_limit_reached"
    third = await do(page, f"access.enrol('Third', {ids[0]})")
    assert {phone["id"] for phone in await do(page, "access.phones()")} == {ids[1], third["id"]}


async def _another_phone(browser: Browser) -> Page:
    page = await opened_app(browser)
    await _open(page)
    return page


async def test_two_pages_of_one_app_share_the_session(
    alice: Client, account: Account, bob: int, page: Page, browser: Browser
) -> None:
    """Each fetches tokens of its own, by turns: neither takes a token that the other has used for its own."""
    await enrolled(page, alice.cloud, account, bob)
    other = await opened_app(browser, page.context)
    for _ in range(3):
        for each in (page, other):
            await _open(each)
            keyring = await do(each, "access.refresh()")
            assert keyring.get("userId") == bob, keyring
    await asyncio.gather(*(_open(each) for each in (page, other)))
    keyrings = await asyncio.gather(*(do(each, "access.refresh()") for each in (page, other)))
    assert [each.get("userId") for each in keyrings] == [bob, bob]
    await do(page, "access.logOut()")
    async with asyncio.timeout(30):
        while await other.evaluate("() => access.status") != "logged_out":
            await asyncio.sleep(0.01)


async def test_a_phone_whose_clock_is_wrong_works_all_the_same(
    alice: Client, account: Account, bob: int, page: Page
) -> None:
    await page.evaluate(
        f"""async () => {{
          const now = () => Date.now() / 1000 - 7200;
          access = await sdk.Access.open("{PUBLIC_URL}", {{ now }});
        }}"""
    )
    await enrolled(page, alice.cloud, account, bob)
    assert await do(page, "new sdk.IndexedDbWallet().load().then((kept) => Math.round(kept.clockOffset / 60))") == 120


async def test_of_two_users_who_log_in_at_one_time_in_two_pages_both_pages_are_one_persons(
    alice: Client, account: Account, bob: int, page: Page, browser: Browser
) -> None:
    await enrolled(page, alice.cloud, account, bob)
    dan = (await alice.post("/v1/users", {"name": "Dan"}))["id"]
    other = await opened_app(browser, page.context)
    await _open(other)
    tokens = [await session_of(alice.cloud, account, user) for user in (bob, dan)]
    said = await asyncio.gather(
        *(do(each, f"access.logIn('{token}')") for each, token in zip((page, other), tokens, strict=True))
    )
    assert None in said and all(each is None or each["code"] == "not_logged_in" for each in said), said
    users = [(await do(each, "access.refresh()"))["userId"] for each in (page, other)]
    assert users[0] == users[1] and users[0] in (bob, dan)
    live = [user for user in (bob, dan) if await alice.get(f"/v1/users/{user}/app-sessions")]
    assert live == users[:1], "the other's session is ended"
