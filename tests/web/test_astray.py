"""Whoever goes astray finds back: sessions that have ended, forms that failed, things that are gone."""

from __future__ import annotations

import pytest
from tests.sdk.town import Town
from tests.web.cast import ORIGIN, browser, employ, log_in, send, stranger
from tests.web.test_page import opened_house

from latchwork import serve
from latchwork.web.app import MAX_FORM, Website
from latchwork.wire.api.people import UserDraft
from latchwork.wire.api.sites import SiteDraft


async def test_after_logging_in_one_is_where_one_wanted_to_go(town: Town) -> None:
    await employ(town, "Ada")
    async with stranger(Website(town.app)) as http:
        asked = await http.get("/people?search=b%26b&active=yes")
        next = (await http.get(asked.headers["location"])).text
        assert 'name="next" value="/people?search=b%26b&amp;active=yes"' in next
        fields = {"email": "ada@example.org", "password": "correct horse battery"}
        arrived = await http.post("/log-in", data={**fields, "next": "/people?search=b%26b&active=yes"})
    assert arrived.headers["location"] == "/people?search=b%26b&active=yes"


@pytest.mark.parametrize(
    ("referer", "next"),
    [
        (f"{ORIGIN}/people/2/edit?x=1", "/log-in?next=%2Fpeople%2F2%2Fedit%3Fx%3D1"),
        ("https://evil.example/people", "/log-in"),
        ("", "/log-in"),
    ],
)
async def test_a_form_of_a_session_that_has_ended_is_said_to_be_lost(town: Town, referer: str, next: str) -> None:
    async with stranger(Website(town.app)) as http:
        answer = await http.post("/people/2/edit", data={"name": "Bob"}, headers={"referer": referer})
        assert answer.headers["location"] == next
        assert "was not saved" in (await http.get(next)).text
        assert "You are logged out." in (await http.get((await http.post("/log-out")).headers["location"])).text


async def test_the_address_of_a_form_that_failed_leads_to_its_page(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = (await house.alice.add_user(UserDraft("Bob"))).id
        for path, page in (
            (f"/people/{bob}/cards/enrol", f"/people/{bob}"),
            (f"/people/{bob}/log-in/remove", f"/people/{bob}"),
            (f"/doors/{house.front}/hold", f"/doors/{house.front}"),
            ("/settings/holidays/1/add", "/settings/holidays"),
            ("/alarms/1/acknowledge", "/"),
        ):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, page)


async def test_a_refusal_keeps_the_menu_and_leads_back(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        meeting = await house.book()
        await house.alice.end_meeting(meeting.id)
        late = await send(http, f"/visitors/{meeting.id}/check-in", "/account")
        assert (late.status_code, 'class="menu"' in late.text) == (409, True)
        assert f'<a href="/visitors/{meeting.id}">Back</a>' in late.text
        gone = await http.get("/people/4711")
        assert (gone.status_code, 'class="menu"' in gone.text, ">Back<" in gone.text) == (404, True, False)
        assert (await http.get("/doors?site=4711")).status_code == 404
        big = await http.post("/people/import", data={"csv": "x" * MAX_FORM})
        assert (big.status_code, "This is too large: a form or file may have 2 MB." in big.text) == (413, True)


async def test_an_address_of_nothing_is_answered_with_a_page_to_a_browser_and_with_a_problem_to_a_program(
    town: Town,
) -> None:
    async with stranger(serve.Composed(town.settings, town.dsn)) as http:
        for path in ("/nowhere", "/nowhere/at/all"):
            page = await http.get(path, headers={"accept": "text/html,*/*"})
            assert (page.status_code, "There is nothing here" in page.text) == (404, True), path
        for accept in ("application/json", "text/html"):
            api = await http.get("/v1/nowhere", headers={"accept": accept})
            assert (api.status_code, api.headers["content-type"]) == (404, "application/problem+json")


async def test_what_is_offered_to_a_sites_administrator_is_theirs_to_do(town: Town) -> None:
    site = (await town.client(town.alice).add_site(SiteDraft("Annexe"))).id
    await employ(town, "Sid", ["site_admin"], home_site_id=site, admin_of_sites=[site])
    async with stranger(Website(town.app)) as http:
        await log_in(http, "Sid")
        page = (await http.get("/")).text
    assert "This site has no doors yet." in page
    assert "/doors/new" not in page
