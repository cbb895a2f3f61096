"""The SDK in a real Chromium: its keys stay there, and it opens a door over Web Bluetooth."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page
from tests.typescript.page import by_hand, chromium, opened_app
from tests.typescript.peripheral import Peripheral

from latchwork.policy.model import Ask
from latchwork.wire import certificate, p256
from latchwork.wire.certificate import ReaderCertificate
from latchwork.wire.tap import Answer, ReaderIdentity

SIGNER, READER = (p256.load_private(bytes([number]) * 32) for number in (1, 2))
SITE, FRONT = certificate.site_id(3, 11), certificate.reader_id(42, False)


def point(key: p256.PrivateKey) -> bytes:
    return p256.public_bytes(key.public_key())


def reader_identity(signer: p256.PrivateKey = SIGNER) -> ReaderIdentity:
    now = int(time.time())
    said = ReaderCertificate(SITE, FRONT, point(READER), now - 60, now + 3600)
    return ReaderIdentity(SITE, FRONT, READER, certificate.certify(said, p256.kid(point(SIGNER)), signer))


def keyring() -> dict[str, Any]:
    door = {"accessPointId": 42, "name": "Front door", "allows": ["tap", "click", "code"], "clickRange": 50}
    phone = {"id": 5, "userId": 7, "name": "Bob's", "tapKid": "", "codeKid": p256.b64url(bytes(8))}
    key = {"kid": p256.b64url(p256.kid(point(SIGNER))), "publicKey": p256.b64url(point(SIGNER))}
    return {"organisationId": 3, "userId": 7, "phone": phone, "readerKeys": [key], "doors": [door], "at": 0}


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture
async def app(browser: Browser) -> AsyncIterator[Page]:
    """An app of a phone that was enrolled before and is now without a network."""
    page = await opened_app(browser)
    await page.evaluate(
        """async (keyring) => {
          const p256 = { name: "ECDSA", namedCurve: "P-256" };
          const key = () => crypto.subtle.generateKey(p256, false, ["sign", "verify"]);
          const [sessionKey, tapKey, codeKey] = [await key(), await key(), await key()];
          const kept = { refreshToken: "", sessionKey, tapKey, codeKey, madeAt: 1800000000, clockOffset: 0, keyring };
          await new sdk.IndexedDbWallet().save({ url: "https://cloud.invalid", ...kept });
          access = await sdk.Access.open("https://cloud.invalid/");
        }""",
        keyring(),
    )
    yield page
    await page.close()


async def test_a_tap_opens_the_door_whose_reader_the_user_chooses(browser: Browser, app: Page) -> None:
    reader = await Peripheral.near(browser, app, reader_identity())
    opened = await by_hand(app, "return access.tap()")
    assert opened == {"accessPoint": 42, "name": "Front door", "sentence": "Welcome, the door is open."}
    [proven] = reader.proven
    assert (proven.request.ask, proven.request.from_afar) == (Ask.OPEN, False)
    assert proven.public_key not in reader.heard and proven.public_key[1:33] not in reader.heard
    mine = await app.evaluate(
        """async () => {
          const { tapKey } = await new sdk.IndexedDbWallet().load();
          return [...new Uint8Array(await crypto.subtle.exportKey("raw", tapKey.publicKey))];
        }"""
    )
    assert bytes(mine) == proven.public_key


async def test_clicks_and_steering_say_what_they_ask(browser: Browser, app: Page) -> None:
    reader = await Peripheral.near(browser, app, reader_identity())
    for method in ("click", "holdOpen", "lock", "normal"):
        assert (await by_hand(app, f"return access.{method}(42)"))["accessPoint"] == 42
    asked = [(each.request.ask, each.request.from_afar) for each in reader.proven]
    assert asked == [(Ask.OPEN, True), (Ask.HOLD_OPEN, False), (Ask.LOCK, False), (Ask.NORMAL, False)]


async def test_a_refusal_has_its_class_and_the_doors_reason(browser: Browser, app: Page) -> None:
    reader = await Peripheral.near(browser, app, reader_identity())
    said = {"outside_schedule": "not_permitted", "lockdown": "lockdown", "too_far": "too_far", "new": "not_permitted"}
    for reason, code in said.items():
        reader.decide = lambda proven, reason=reason: Answer(False, reason)  # type: ignore[misc]
        refusal = await by_hand(app, "return access.tap()")
        assert (refusal["code"], refusal["reason"]) == (code, reason)


async def test_a_reader_that_cannot_prove_itself_learns_nothing(browser: Browser, app: Page) -> None:
    reader = await Peripheral.near(browser, app, reader_identity(p256.new_key()))
    assert (await by_hand(app, "return access.tap()"))["code"] == "reader_not_trusted"
    assert len(reader.heard) == 74, "only the phone's transient key"


async def test_the_reader_of_another_door_is_not_taken_for_the_one_meant(browser: Browser, app: Page) -> None:
    reader = await Peripheral.near(browser, app, reader_identity())
    refusal = await by_hand(app, "return access.tap(43)")
    assert (refusal["code"], reader.heard) == ("no_reader_near", b"")


async def test_without_a_choice_or_without_bluetooth_the_user_is_told_so(browser: Browser, app: Page) -> None:
    reader = await Peripheral.near(browser, app, reader_identity())
    reader.is_chosen = False
    assert (await by_hand(app, "return access.tap()"))["code"] == "cancelled"
    await reader.switch("absent")
    assert (await by_hand(app, "return access.tap()"))["code"] == "bluetooth_off"


async def test_keys_outlive_the_page_and_nobody_can_read_them(app: Page) -> None:
    before = await app.evaluate("async () => (await access.code()).text")
    await app.reload()
    await app.evaluate("async () => { sdk = await import('/access.js'); qr = await import('/qr.js'); }")
    refused = await app.evaluate(
        """async () => {
          const { tapKey, codeKey, sessionKey } = await new sdk.IndexedDbWallet().load();
          access = await sdk.Access.open("https://cloud.invalid");
          const read = (key, format) => crypto.subtle.exportKey(format, key).then(() => "read", (e) => e.name);
          const keys = [tapKey, codeKey, sessionKey].map((pair) => pair.privateKey);
          return Promise.all(keys.flatMap((key) => [read(key, "pkcs8"), read(key, "jwk")]));
        }"""
    )
    assert set(refused) == {"InvalidAccessError"}
    assert await app.evaluate("() => access.status") == "ready"
    assert await app.evaluate("async () => (await access.code()).text") != before


async def test_without_a_network_the_cloud_is_out_of_reach_and_nothing_is_lost(app: Page) -> None:
    assert (await by_hand(app, "return access.refresh()"))["code"] == "offline"
    assert await app.evaluate("() => [access.status, access.doors().length]") == ["ready", 1]
