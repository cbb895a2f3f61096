"""Phones on the website: a person's and one's own, taken away in words; what a phone did, told apart."""

from __future__ import annotations

import re
from html import unescape

import pytest
from tests.sdk.pocket import AppOf, phone_of
from tests.sdk.town import Town
from tests.web.cast import browser, send, stranger
from tests.web.test_page import NOON, entry, opened_house

from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.people import Access, UserDraft, UserPatch

REPORTS = "/reports?from=2026-10-25&to=2026-10-31"


def text_of(html: str) -> str:
    """What a page says, in one line."""
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html).split()))


async def test_a_persons_phones_are_shown_and_taken_away(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await house.alice.add_user(UserDraft("Bob", access_points=[house.front, house.lab]))
        path = f"/people/{bob.id}"
        assert "No phone yet. They can make a browser" in text_of((await http.get(path)).text)
        phone, _ = await phone_of(house.alice, bob.id, "Bob's Pixel")
        html = (await http.get(path)).text
        for shown in ("Bob's Pixel", "since", "last used", "pending: 2", "Logged in with", "Alice & Co's backend"):
            assert shown in text_of(html), shown
        assert "The doors forget it as soon as they hear of it" in html
        answer = await send(http, f"{path}/phones/{phone}/remove", path)
        assert answer.headers["location"] == path
        assert "The phone is removed" in (await http.get(path)).text
        assert (await house.alice.list_phones(bob.id), await house.alice.list_app_sessions(bob.id)) == ([], [])
        assert (await send(http, f"{path}/phones/{phone}/remove", path)).status_code == 303, "twice is once"


async def test_an_app_is_logged_out_and_the_phone_in_it_stays(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await house.alice.add_user(UserDraft("Bob"))
        _, session = await phone_of(house.alice, bob.id, "Bob's Pixel")
        path = f"/people/{bob.id}"
        await send(http, f"{path}/apps/{session}/end", path)
        html = (await http.get(path)).text
        assert "The session is over" in html
        assert "logged out; it still opens doors until it is removed" in html
        assert await house.alice.list_app_sessions(bob.id) == []


async def test_who_may_only_look_is_offered_nothing(town: Town) -> None:
    await town.client(town.alice).change_organisation(OrganisationPatch(attendance_module=True))
    async with opened_house(town) as house, browser(town, ["manager"], name="Max") as http:
        chief = next(user for user in (await house.alice.page_users(search="Max")).items)
        bob = await house.alice.add_user(UserDraft("Bob", reporting_to=chief.id))
        phone, _ = await phone_of(house.alice, bob.id, "Bob's Pixel")
        page = (await http.get(f"/people/{bob.id}")).text
        assert "Pixel" in page
        assert f"/phones/{phone}/remove" not in page
        csrf = re.findall(r'name="csrf" value="(\w+)"', (await http.get("/account")).text)[0]
        answer = await http.post(f"/people/{bob.id}/phones/{phone}/remove", data={"csrf": csrf})
        assert answer.status_code == 403
        assert len(await house.alice.list_phones(bob.id)) == 1


async def test_ones_own_phones_are_ones_own_to_remove_unless_one_is_bound_to_them(town: Town) -> None:
    async with opened_house(town) as house, browser(town, ["end_user"], name="Bob") as http:
        bob = next(user for user in (await house.alice.page_users(search="Bob")).items)
        eve = await house.alice.add_user(UserDraft("Eve"))
        phone, _ = await phone_of(house.alice, bob.id, "Bob's Pixel")
        hers, _ = await phone_of(house.alice, eve.id, "Eve's phone")
        html = (await http.get("/mine")).text
        assert "Pixel" in html
        assert "Eve" not in html
        await send(http, f"/mine/phones/{hers}/remove", "/mine")
        assert len(await house.alice.list_phones(eve.id)) == 1
        await house.alice.change_user(bob.id, UserPatch(access=Access(device_lock=True)))
        refused = await send(http, f"/mine/phones/{phone}/remove", "/mine")
        assert (refused.status_code, "ask an administrator" in refused.text) == (403, True)
        stays = await send(http, f"/mine/phones/{phone}/remove", "/mine", browser="yes")
        assert "you are bound to it" in stays.text
        await house.alice.change_user(bob.id, UserPatch(access=Access()))
        assert (await send(http, f"/mine/phones/{phone}/remove", "/mine")).headers["location"] == "/mine"
        assert await house.alice.list_phones(bob.id) == []


async def test_a_browser_gets_what_it_becomes_a_phone_with_for_its_own_user_alone(town: Town) -> None:
    async with browser(town, ["end_user"], name="Bob") as http:
        alice = town.client(town.alice)
        bob = next(user for user in (await alice.page_users(search="Bob")).items)
        answer = await send(http, "/mine/key", "/mine")
        assert answer.headers["cache-control"] == "no-store"
        app = AppOf(alice, bob.id, answer.json()["token"])
        assert (await (await app.caller()).whoami()).user_name == "Bob"
        assert (await http.post("/mine/key")).status_code == 403
    async with stranger(http._transport.app) as nobody:  # type: ignore[attr-defined]
        assert (await nobody.post("/mine/key")).headers["location"] == "/log-in"


async def test_without_scripts_the_page_says_what_they_are_for(town: Town) -> None:
    async with browser(town, ["end_user"]) as http:
        html = (await http.get("/mine")).text
    assert re.search(r"<noscript><p[^>]*>The code is made in your browser, which needs scripts", html)


async def test_logging_out_leaves_no_key_in_the_browser(town: Town) -> None:
    async with browser(town, ["end_user"]) as http:
        answer = await send(http, "/log-out", "/mine")
    assert answer.headers["clear-site-data"] == '"storage"'


@pytest.mark.parametrize(
    ("manner", "ask", "lived", "reported"),
    [
        ("tap", "open", "came in by tapping a phone", "phone tapped"),
        ("click", "open", "came in with a phone, from a distance", "phone from a distance"),
        ("code", "open", "came in with the code on a phone", "code on a phone"),
        ("click", "hold_open", "held the door open with a phone, from a distance", "held the door open"),
        ("tap", "lock", "locked the door by tapping a phone", "locked the door"),
        ("click", "normal", "set the door back to normal with a phone", "set the door back to normal"),
    ],
)
async def test_what_somebody_did_with_a_phone_is_said_in_words(
    town: Town, manner: str, ask: str, lived: str, reported: str
) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await house.alice.add_user(UserDraft("Bob"))
        await house.dora.reports(entry(house, user=bob.id, credential="phone", manner=manner, ask=ask, at=NOON))
        assert lived in text_of((await http.get("/")).text)
        assert reported in text_of((await http.get(REPORTS)).text)
        door = text_of((await http.get(f"/doors/{house.front}")).text)
        assert reported.replace("the door", "it") in door


async def test_phones_come_and_go_in_the_log(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await house.alice.add_user(UserDraft("Bob"))
        first, _ = await phone_of(house.alice, bob.id, "Bob's Pixel")
        app = AppOf(house.alice, bob.id, await house.alice.begin_app_session(bob.id))
        second = await (await app.caller()).enrol_phone(app.draft("Tablet"))
        await (await app.caller()).remove_own_phone(second.id)
        await send(http, f"/people/{bob.id}/phones/{first}/remove", f"/people/{bob.id}")
        log = text_of((await http.get("/settings/log")).text)
        for line in ("logged in to an app as Bob", "enrolled a phone of Bob", "took a phone from Bob"):
            assert line in log, line
        assert "ended an app session of Bob" in log
        assert "its phone was removed" in log
