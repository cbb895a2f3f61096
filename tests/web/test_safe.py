"""What keeps a browser's session its own: forms that only our pages can send, cookies that stay where they belong."""

from __future__ import annotations

import asyncio
import re
import time
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from tests.sdk.town import Town
from tests.web.cast import browser, employ, log_in, stranger

from latchwork.web.app import Website
from latchwork.web.packing import takes_packed
from latchwork.wire.api.sites import SiteDraft


async def proof(http: httpx2.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', (await http.get("/account")).text)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("forged", ["none", "empty", "nonsense", "cut", "bent", "another's"])
async def test_a_form_that_no_page_of_this_session_sent_changes_nothing(town: Town, forged: str) -> None:
    await employ(town, "Eve")
    alice = town.client(town.alice)
    site = await alice.add_site(SiteDraft("Harbour House"))
    async with browser(town) as http, stranger(Website(town.app)) as eve:
        await log_in(eve, "Eve")
        own, eves = await proof(http), await proof(eve)
        bent = own[:-1] + ("0" if own[-1] != "0" else "1")
        tokens = {"empty": "", "nonsense": "é", "cut": own[:32], "bent": bent, "another's": eves}
        fields = {} if forged == "none" else {"csrf": tokens[forged]}
        answer = await http.post(f"/doors/sites/{site.id}", data={"name": "Mine", "timezone": "UTC", **fields})
    assert answer.status_code == 403
    assert (await alice.get_site(site.id)).name == "Harbour House"


async def test_every_form_of_the_website_asks_for_its_proof(town: Town) -> None:
    """Those of people who are logged in; all others look at where they come from."""
    async with browser(town) as http:
        for path in Website(town.app).forms():
            filled = re.sub(r"{\w+}", "1", path)
            foreign = {"sec-fetch-site": "cross-site"}
            answer = await http.post(filled, data={"email": "ada@example.org"}, headers=foreign)
            assert answer.status_code == 403, path
        assert (await http.get("/account")).status_code == 200, "still logged in"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_nobody_is_logged_in_by_a_foreign_page(town: Town, headers: dict[str, str]) -> None:
    await employ(town, "Ada")
    async with stranger(Website(town.app), headers=headers) as http:
        answer = await log_in(http, "Ada")
    assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)


@pytest.mark.parametrize(("secure", "name"), [(True, "__Host-latchwork"), (False, "latchwork")])
async def test_the_session_stays_in_its_cookie(town: Town, secure: bool, name: str) -> None:
    await employ(town, "Ada")
    async with stranger(Website(town.app, secure=secure)) as http:
        answer = await log_in(http, "Ada")
    cookie = SimpleCookie(answer.headers["set-cookie"])[name]
    flags = (bool(cookie["httponly"]), cookie["samesite"].lower(), bool(cookie["secure"]), cookie["path"])
    assert flags == (True, "lax", secure, "/")
    assert cookie["domain"] == ""
    assert cookie.value not in answer.text


async def test_logging_out_ends_the_session_and_not_only_its_cookie(town: Town) -> None:
    async with browser(town) as http:
        cookies = dict(http.cookies)
        assert (await http.post("/log-out", data={"csrf": await proof(http)})).status_code == 303
    async with stranger(Website(town.app), cookies=cookies) as again:
        until = time.monotonic() + 2  # every process has heard of it within a second
        while (answer := await again.get("/account")).status_code == 200 and time.monotonic() < until:
            await asyncio.sleep(0.02)
    assert (answer.status_code, answer.headers.get("location")) == (303, "/log-in?next=%2Faccount")


@pytest.mark.parametrize("secure", [True, False])
async def test_every_cookie_stays_on_https_and_goes_when_it_should(town: Town, secure: bool) -> None:
    """A browser ignores what would take a `__Host-` cookie back unless that is Secure, too."""
    await employ(town, "Ada")
    async with stranger(Website(town.app, secure=secure)) as http:
        http.cookies.update({name: cookie.value for name, cookie in _cookies(await log_in(http, "Ada")).items()})
        page = await http.get("/account")
        answer = await http.post("/log-out", data={"csrf": _proof_in(page)})
    cookies = _cookies(answer)
    assert cookies.keys() == {"latchwork-said", "__Host-latchwork" if secure else "latchwork"}
    assert {bool(cookie["secure"]) for cookie in cookies.values()} == {secure}
    gone = cookies["__Host-latchwork" if secure else "latchwork"]
    assert (gone["max-age"], gone["path"]) == ("0", "/")
    assert page.headers.get("strict-transport-security") == ("max-age=31536000" if secure else None)


async def test_head_is_answered_as_get_without_its_content(town: Town) -> None:
    async with browser(town) as http, stranger(Website(town.app)) as guest:
        for who, path in ((http, "/"), (guest, "/"), (guest, "/log-in"), (http, "/static/site.css")):
            head, got = await who.head(path), await who.get(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers.get("location") == got.headers.get("location")
            assert head.headers["content-type"] == got.headers["content-type"]


async def test_whoever_is_logged_in_is_not_asked_again(town: Town) -> None:
    async with browser(town) as http:
        csrf = await proof(http)
        for next, path in (("/people?search=b", "/people?search=b"), ("/log-in", "/"), ("//evil.example", "/")):
            answer = await http.get("/log-in", params={"next": next})
            assert (answer.status_code, answer.headers["location"]) == (303, path)
        assert (await http.post("/doors/sites/new", data={"csrf": csrf, "name": "A", "timezone": "UTC"})).is_redirect
    async with stranger(Website(town.app), cookies={"latchwork": "lws_over"}) as http:
        assert (await http.get("/log-in")).status_code == 200


@pytest.mark.parametrize("hint", [{"sec-fetch-site": "same-origin"}, {"origin": "http://localhost:8080"}])
async def test_a_form_of_the_session_before_is_kept_and_sent_with_a_click(town: Town, hint: dict[str, str]) -> None:
    await employ(town, "Eve")
    alice = town.client(town.alice)
    async with browser(town) as http:
        fields = {"csrf": await proof(http), "name": "Pier <b>", "timezone": "UTC"}
        await log_in(http, "Ada")
        assert (await http.post("/doors/sites/new", data=fields)).text.count("Pier") == 0, "nobody says whence it comes"
        asked = await http.post("/doors/sites/new", data=fields, headers=hint)
        assert (asked.status_code, "Not saved yet" in asked.text, "Pier &lt;b&gt;" in asked.text) == (403, True, True)
        assert (await alice.page_sites()).items == []
        again = {**fields, "csrf": re.findall(r'name="csrf" value="(\w+)"', asked.text)[-1]}
        assert (await http.post("/doors/sites/new", data=again, headers=hint)).status_code == 303
        assert [site.name for site in (await alice.page_sites()).items] == ["Pier <b>"]
        secret = {"csrf": fields["csrf"], "current": "once typed", "password": "never shown again"}
        assert "never shown again" not in (await http.post("/account/password", data=secret, headers=hint)).text
        await log_in(http, "Eve")
        assert "Pier" not in (await http.post("/doors/sites/new", data=fields, headers=hint)).text, "it was Ada's"


# ------------------------------------------------------------------------------------------------- packed


async def test_pages_and_files_travel_packed_to_whoever_takes_it(town: Town) -> None:
    async with browser(town) as http:
        for path in ("/", "/static/site.css"):
            plain = await http.get(path, headers={"accept-encoding": "identity"})
            answer = await http.get(path, headers={"accept-encoding": "gzip"})
            assert "content-encoding" not in plain.headers
            assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "accept-encoding")
            assert int(answer.headers["content-length"]) < len(plain.content) * 0.6
            assert _bare(answer.text) == _bare(plain.text)


async def test_the_length_of_a_page_tells_nothing(town: Town) -> None:
    async with browser(town) as http:
        answers = [await http.get("/account", headers={"accept-encoding": "gzip"}) for _ in range(8)]
    assert len({answer.headers["content-length"] for answer in answers}) > 3
    assert len({_proof_in(answer) for answer in answers}) == 8


@pytest.mark.parametrize(
    ("accept", "takes"),
    [
        ("", False), ("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0, br", False), ("*", True),
        ("gzip; q=0.000", False), ("identity", False), ("gzip;q=0, *", False), (",;,", False),
    ],
)  # fmt: skip
def test_gzip_is_for_whoever_asks_for_it(accept: str, takes: bool) -> None:
    assert takes_packed(accept) is takes


def _cookies(answer: httpx2.Response) -> dict[str, Any]:
    return {name: value for each in answer.headers.get_list("set-cookie") for name, value in SimpleCookie(each).items()}


def _proof_in(answer: Any) -> str:
    return re.findall(r'name="csrf" value="(\w+)"', answer.text)[0]


def _bare(text: str) -> str:
    return re.sub(r'name="csrf" value="\w+"', "", text)
