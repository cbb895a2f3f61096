"""Settings, schedules, API clients and the audit log, on the real cloud."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sdk.town import Town
from tests.web.cast import browser, proof_in, send, stranger

from latchwork.sdk.client import Client, Credentials
from latchwork.web import hours
from latchwork.web.app import Website
from latchwork.web.audit import ACTORS, entry_of
from latchwork.web.catalogue import say_in
from latchwork.web.clients import SCOPES
from latchwork.web.places import NOWHERE
from latchwork.web.settings import amount
from latchwork.wire.api.accounts import ClientDraft, OrganisationPatch
from latchwork.wire.api.events import DEEDS, Actor, Event
from latchwork.wire.api.people import CardDraft, Interval, ScheduleDraft, UserDraft
from latchwork.wire.api.problems import Unauthorized
from latchwork.wire.api.sites import SiteDraft

SETTINGS = {
    "name": "Alice & Co",
    "visitorModule": "on",
    "codes": "dynamic",
    "passSeconds": "30",
    "meetingMaxDays": "14",
    "phonesPerUser": "3",
    "offlineLimit": "2",
    "offlineUnit": "hours",
}
ALL_DAYS = dict.fromkeys((*(f"day{n}" for n in range(7)), "holiday"), "")


# ------------------------------------------------------------------------------------------------- the organisation


async def test_settings_are_changed_in_words_of_people(town: Town) -> None:
    alice = town.client(town.alice)
    async with browser(town) as http:
        assert (await send(http, "/settings", **SETTINGS)).headers["location"] == "/settings"
        found = await alice.get_organisation()
        assert (found.pass_seconds, found.offline_limit, found.meeting_max_days) == (30, 7200, 14)
        assert (found.visitor_module, found.attendance_module, found.single_use) == (True, False, False)
        assert found.phones_per_user == 3
        page = (await http.get("/settings")).text
        assert "The settings are saved" in page
        assert 'value="2"' in page
        await send(http, "/settings", **{**SETTINGS, "codes": "static", "offlineUnit": "forever", "singleUse": "on"})
        found = await alice.get_organisation()
        assert (found.pass_seconds, found.offline_limit, found.single_use) == (None, None, True)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", ""),
        ("passSeconds", "4", "from 5 to 86400"),
        ("passSeconds", "soon", "from 5 to 86400"),
        ("meetingMaxDays", "0", "from 1 to 3660"),
        ("phonesPerUser", "21", "from 1 to 20"),
        ("offlineLimit", "", "at least one minute"),
        ("offlineLimit", "99999999", "at least one minute"),
    ],
)
async def test_what_is_wrong_stands_at_its_field_and_nothing_is_lost(
    town: Town, field: str, value: str, sentence: str
) -> None:
    async with browser(town) as http:
        answer = await send(http, "/settings", **{**SETTINGS, field: value})
    at_field = answer.text[answer.text.index(f'id="{field}"') :]
    assert answer.status_code == 400
    assert 'aria-invalid="true"' in at_field[:200]
    assert sentence in at_field
    assert 'value="14"' in answer.text or field == "meetingMaxDays"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ("", "forever")), (60, ("1", "minutes")), (90, ("90", "seconds")), (7200, ("2", "hours")),
     (86_400, ("1", "days")), (90_000, ("25", "hours"))],
)  # fmt: skip
def test_a_limit_is_said_in_the_longest_unit_that_fits(seconds: int | None, said: tuple[str, str]) -> None:
    assert amount(seconds) == said


async def test_holidays_are_kept_for_each_site(town: Town) -> None:
    alice = town.client(town.alice)
    site = await alice.add_site(SiteDraft("Harbour House"))
    async with browser(town) as http:
        at = f"/settings/holidays/{site.id}"
        for day in ("2999-12-25", "2999-01-01", "2001-01-01"):
            await send(http, f"{at}/add", "/settings/holidays", day=day)
        page = (await http.get("/settings/holidays")).text
        assert page.index("1 January 2999") < page.index("25 December 2999") < page.index("Past holidays (1)")
        wrong = await send(http, f"{at}/add", "/settings/holidays", day="Christmas")
        assert (wrong.status_code, "such as 2027-12-25" in wrong.text) == (400, True)
        await send(http, f"{at}/add", "/settings/holidays", day="2999-01-01")
        assert "1 January 2999 is a holiday already." in (await http.get("/settings/holidays")).text
        await send(http, f"{at}/remove", "/settings/holidays", day="2999-01-01")
        assert "1 January 2999 is an ordinary day again" in (await http.get("/settings/holidays")).text
    assert (await alice.get_holidays(site.id)).dates == ["2001-01-01", "2999-12-25"]


async def test_terms_are_added_and_deleted(town: Town) -> None:
    async with browser(town) as http:
        await send(http, "/settings/terms", name="Laboratory")
        again = await send(http, "/settings/terms", name="Laboratory")
        assert (again.status_code, "already" in again.text) == (409, True)
        [term] = await town.client(town.alice).list_terms()
        await send(http, f"/settings/terms/{term.id}/delete", "/settings/terms")
        assert "No terms yet" in (await http.get("/settings/terms")).text


async def test_a_provider_is_set_without_its_secret_ever_being_shown(town: Town) -> None:
    draft = {"name": "Own", "issuer": "https://id.example", "clientId": "us", "clientSecret": "hush-hush"}
    async with browser(town) as http:
        before = (await http.get("/settings/sign-in")).text
        assert re.search(r'value="http://localhost:8080/log-in/callback"', before)
        wrong = await send(http, "/settings/sign-in", **{**draft, "issuer": "nowhere"})
        assert (wrong.status_code, 'value="us"' in wrong.text, "hush" in wrong.text) == (400, True, False)
        await send(http, "/settings/sign-in", **draft, domains="b.example a.example")
        await send(http, "/settings/sign-in", **{**draft, "clientSecret": "", "name": "Ours"})
        page = (await http.get("/settings/sign-in")).text
        assert ('value="Ours"' in page, "hush" in page) == (True, False)
        assert "/log-in/with" in await _log_in_page(town)
        await send(http, "/settings/sign-in/remove", "/settings/sign-in")
        assert "/log-in/with" not in await _log_in_page(town), "nobody is sent where there is nothing"
        log = unescape(re.sub(r"<[^>]+>", "", (await http.get("/settings/log")).text))
        assert "hush" not in log
        assert "set the sign-in provider Own" in log
        assert "removed the sign-in provider of Alice & Co" in log
        assert "There is no provider yet" in (await http.get("/settings/sign-in")).text


async def _log_in_page(town: Town) -> str:
    async with stranger(Website(town.app)) as guest:
        return (await guest.get("/log-in")).text


async def test_a_pass_key_is_replaced_step_by_step(town: Town) -> None:
    alice = town.client(town.alice)
    async with browser(town) as http:
        await send(http, "/settings/keys/add", "/settings/keys")
        new, old = sorted(await alice.list_pass_keys(), key=lambda key: key.state, reverse=True)
        assert (old.state, new.state) == ("active", "staged")
        assert (await send(http, f"/settings/keys/{old.kid}/delete", "/settings/keys")).status_code == 409
        await send(http, f"/settings/keys/{new.kid}/activate", "/settings/keys")
        await send(http, f"/settings/keys/{old.kid}/delete", "/settings/keys")
    assert [key.kid for key in await alice.list_pass_keys()] == [new.kid]


# ------------------------------------------------------------------------------------------------- schedules


async def test_a_schedule_is_written_day_by_day(town: Town) -> None:
    alice = town.client(town.alice)
    fields = {**ALL_DAYS, "name": "Office", "day0": "8-12, 13:00 – 18:00", "day6": "22:00-06:00", "holiday": "all day"}
    async with browser(town) as http:
        drawn = await send(http, "/settings/schedules/new", **fields, preview="1")
        assert 'class="over" x="0" width="360"' in drawn.text
        assert not (await alice.page_schedules()).items
        await send(http, "/settings/schedules/new", **fields)
        [made] = (await alice.page_schedules()).items
        assert made.week[0] == [Interval(480, 720), Interval(780, 1080)]
        assert (made.week[6], made.holiday) == ([Interval(1320, 1800)], [Interval(0, 1440)])
        page = (await http.get(f"/settings/schedules/{made.id}")).text
        assert 'value="08:00-12:00, 13:00-18:00"' in page
        wrong = await send(
            http, f"/settings/schedules/{made.id}", **{**fields, "day1": "9 to <b>", "day2": "8-10,9-11"}
        )
        assert wrong.status_code == 400
        assert "“&lt;b&gt;” is no" in wrong.text or "9 to &lt;b&gt;” is no span" in wrong.text
        assert "run into each other: 08:00-10:00, 09:00-11:00" in wrong.text
        empty = await send(http, f"/settings/schedules/{made.id}", **ALL_DAYS, name="Office")
        assert "would never hold" in empty.text
        await send(http, f"/settings/schedules/{made.id}/delete", f"/settings/schedules/{made.id}")
    assert not (await alice.page_schedules()).items


_intervals = st.integers(0, 1439).flatmap(
    lambda start: st.integers(start + 1, start + 1440).map(lambda end: Interval(start, end))
)


@given(_intervals)
def test_hours_are_read_as_they_are_written(interval: Interval) -> None:
    if interval.end - interval.start < 1440 or interval.start == 0:
        assert hours.read(hours.write([interval])) == [interval]


@pytest.mark.parametrize(
    "text", ["8", "8-8", "25:00-26:00", "8:60-9:00", "08:00-12:00 13:00-14:00", "a-b", "8--9", ",", "9-10,"]
)
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(hours.NoHours):
        hours.read(text)


@pytest.mark.parametrize(
    ("text", "reason", "meant"),
    [
        ("9-5", "midnight_or", "09:00-17:00"),
        ("8-12, 13:00-5", "midnight_or", "13:00-17:00"),
        ("22-6", "midnight", None),
    ],
)
def test_hours_past_midnight_are_written_out(text: str, reason: str, meant: str | None) -> None:
    with pytest.raises(hours.NoHours) as refused:
        hours.read(text)
    assert (refused.value.reason, refused.value.values.get("meant")) == (reason, meant)
    assert hours.read(refused.value.values["written"])[0].end > hours.DAY
    assert hours.read("9-0") == [Interval(540, hours.DAY)], "which ends at midnight"


# ------------------------------------------------------------------------------------------------- API clients


async def test_a_client_is_made_and_its_secret_is_shown_once(town: Town) -> None:
    alice = town.client(town.alice)
    async with browser(town) as http:
        ticked = (await http.get("/settings/clients/new?preset=visitors")).text
        assert re.findall(r'value="([\w:]+)" checked', ticked) == ["visitors:read", "visitors:write", "sites:read"]
        once = {"name": "Desk", "scope": ["sites:read", "visitors:write"], "tokenSeconds": "3600"}
        once |= {"csrf": proof_in((await http.get("/settings/clients/new")).text)}
        made = await http.post("/settings/clients/new", data=once)
        secret = unescape(re.findall(r'id="client-secret" class="copy" value="([^"]+)"', made.text)[0])
        again = await http.post("/settings/clients/new", data=once)
        assert ("was shown once" in again.text, secret in again.text) == (True, False)
        [client] = [each for each in (await alice.page_clients()).items if each.name == "Desk"]
        assert (client.scopes, client.token_seconds) == (["sites:read", "visitors:write"], 3600)
        page = (await http.get("/settings/clients")).text
        assert "Never used" in page
        await town.client(Credentials(client.client_id, secret)).whoami()
        assert (await alice.get_client(client.id)).last_used_at
        one = f"/settings/clients/{client.id}"
        assert "Never used" not in (await http.get(one)).text
        fresh = await send(http, f"{one}/rotate", one)
        assert secret not in fresh.text
        with pytest.raises(Unauthorized):
            await town.client(Credentials(client.client_id, secret)).whoami()
        await send(http, one, name="Front desk", scope=["visitors:read"], tokenSeconds="3600")
        assert (await alice.get_client(client.id)).scopes == ["visitors:read"]
        await send(http, f"{one}/revoke", one)
        assert "revoked" in (await http.get("/settings/clients")).text
        log = (await http.get("/settings/log")).text
    assert secret not in log
    assert "sites:read, visitors:write" in log


def test_every_scope_can_be_given() -> None:
    from latchwork.cloud.accounts.rules import ALL_SCOPES

    assert sorted(SCOPES) == sorted(ALL_SCOPES)


# ------------------------------------------------------------------------------------------------- the audit log


async def _busy(alice: Client) -> None:
    await alice.change_organisation(OrganisationPatch(pass_seconds=120))
    bob = await alice.add_user(UserDraft("Bob <b>", pin="4711"))
    await alice.add_card(bob.id, CardDraft(1_009_822))
    await alice.add_schedule(ScheduleDraft("Early", [[Interval(360, 720)]] * 7))


async def test_the_log_says_who_changed_what_from_what_to_what(town: Town) -> None:
    await _busy(town.client(town.alice))
    async with browser(town) as http:
        page = (await http.get("/settings/log")).text
        only = (await http.get("/settings/log?deed=settings&actor=client")).text
    assert "changed the settings of" in page
    assert "<dt>a code lives for (seconds)</dt><dd><del>60</del>" in page
    assert "<ins>120</ins>" in page
    assert "<dd>Mon–Sun 06:00–12:00</dd>" in page
    assert "Bob &lt;b&gt;" in page
    assert ("822</dd>" in page, "1009822" in page, "4711" in page) == (True, False, False)
    assert ("made the schedule" in only, "added the person" in only, "logged in as" in only) == (True, False, False)


async def test_the_log_is_paged_and_filtered_by_what_it_is_about_and_when(town: Town) -> None:
    alice = town.client(town.alice)
    await _busy(alice)
    sites = [await alice.add_site(SiteDraft(f"Site {n:02}")) for n in range(60)]
    async with browser(town) as http:
        first = (await http.get("/settings/log")).text
        older = unescape(re.findall(r'href="([^"]+)" rel="next"', first)[0])
        second = (await http.get(older)).text
        assert (">Site 59</a>" in first, ">Site 00</a>" in first, ">Site 00</a>" in second) == (True, False, True)
        about = (await http.get(f"/settings/log?subject=site/{sites[3].id}")).text
        assert about.count("added the site") == 1
        assert "Nothing like that" in (await http.get("/settings/log?until=2001-01-01")).text
        assert "Site 59" in (await http.get("/settings/log?from=2001-01-01")).text
        for nonsense in ("from=x&until=&deed=all&actor=door", "before=0", "before=x", "subject=%00", "from=0001-01-01"):
            assert (await http.get(f"/settings/log?{nonsense}")).status_code == 200


@pytest.mark.parametrize("fact", [fact for facts in DEEDS.values() for fact in facts])
def test_the_log_has_words_for_everything_that_somebody_does(fact: str) -> None:
    event = Event(1, fact, 0, 0, Actor("system", "", ""), "site/3", {})
    assert entry_of(event, NOWHERE, {}, say_in("en")).about == "site 3"


async def test_clients_are_made_with_roles_that_allow_it_alone(town: Town) -> None:
    paths = ("", "/holidays", "/schedules", "/terms", "/clients", "/sign-in", "/keys", "/log")
    site = await town.client(town.alice).add_site(SiteDraft("Harbour House"))
    shown = {
        "super_admin": set(paths),
        "site_admin": {"/holidays", "/schedules", "/terms", "/log"},
        "end_user": set(),
    }
    for role, wanted in shown.items():
        more = {"admin_of_sites": [site.id], "home_site_id": site.id} if role == "site_admin" else {}
        async with browser(town, (role,), name=role.replace("_", ""), **more) as http:
            assert {path for path in paths if (await http.get(f"/settings{path}")).status_code == 200} == wanted
            for path in ("/schedules/new", "/clients/new"):
                assert (await http.get(f"/settings{path}")).status_code == (200 if role == "super_admin" else 403)
            assert ("Add the term" in (await http.get("/settings/terms")).text) == (role == "super_admin")
            menu = (await http.get("/account")).text
            assert ('href="/settings"' in menu) == bool(wanted)
    assert set(ACTORS) == {"client", "user", "admin", "system"}


async def test_nobody_hands_out_more_than_they_have(town: Town) -> None:
    made = await town.client(town.alice).add_client(ClientDraft("Small", ["sites:read"]))
    async with browser(town, who=town.charlie) as http:
        assert (await http.get(f"/settings/clients/{made.id}")).status_code == 404
