"""The first page, on the real cloud: what it shows, to whom, and how it keeps browsers safe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, get_args

import httpx2
import pytest
from tests.sdk.town import Town, visit
from tests.web.cast import browser, send, stranger
from tests.web.stage import Dora, composed, open_office, served

from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.work import Work
from latchwork.policy.reasons import Reason
from latchwork.sdk.client import Client
from latchwork.web import live
from latchwork.web.app import Website
from latchwork.web.catalogue import say_in
from latchwork.web.entrance import host_name
from latchwork.web.lines import LEFT_OUT, is_told, line_of
from latchwork.web.places import Places
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.events import Actor, Event, EventType
from latchwork.wire.api.passages import DoorModeDraft
from latchwork.wire.api.people import GrantDraft, PermissionsPatch, UserDraft
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft
from latchwork.wire.api.visitors import MeetingDraft, MeetingVisitor, MeetingWithPass
from latchwork.wire.facts import AccessDecided, DoorChanged

HOSTILE = "<script>alert(1)</script>\"' onload=x &amp;"
PEOPLE = ("user", "permission", "card")
AT_DOORS = {
    fact for fact in get_args(EventType) if fact.partition("_")[0] in ("access", "door", "fire", "unlock", "strike")
} | {"pass_shared_suspected", "card_presented", "card_enrolment_requested", "request_to_exit"}
NOON = 1_793_361_600
"""2026-10-30 12:00 UTC: 13:00 in Berlin, 08:00 in New York."""


@dataclass
class House:
    """Alice's: two doors at one site, run by Dora."""

    alice: Client
    dora: Dora
    front: int
    lab: int
    work: Any

    async def book(self, name: str = "Vic") -> MeetingWithPass:
        draft = visit(self.front)
        return await self.alice.add_meeting(
            MeetingDraft(MeetingVisitor(name, name=name), draft.start_time, draft.end_time, [self.front])
        )


@asynccontextmanager
async def opened_house(town: Town) -> AsyncIterator[House]:
    alice = town.client(town.alice)
    site = await alice.add_site(SiteDraft("Harbour House", "Pier 4", "Europe/Berlin"))
    front = await alice.add_access_point(AccessPointDraft(site.id, "Front door", zone="Lobby"))
    lab = await alice.add_access_point(AccessPointDraft(site.id, "Lab"))
    controller = await alice.add_controller(ControllerDraft("Dora", [front.id, lab.id]))
    async with open_office(town.settings, town.dsn) as office:
        dora = Dora(office, town.alices_id, controller.id)
        yield House(alice, dora, front.id, lab.id, lambda use_case: office.run(town.alices_id, use_case))


def entry(house: House, meeting: MeetingWithPass | None = None, reason: str = "granted", **more: Any) -> AccessDecided:
    who = {"visitor": meeting.visitor.id, "meeting": meeting.id} if meeting else {}
    more = {"at": time.time(), "door": house.front, "direction": "entry", "credential": "qr", **who, **more}
    return AccessDecided(reason=reason, **more)


# ------------------------------------------------------------------------------------------------- what it shows


async def test_an_empty_house_says_how_to_begin(town: Town) -> None:
    async with browser(town, who=town.charlie) as http:
        page = await http.get("/")
    assert page.status_code == 200
    for helpful in ("Charlie Ltd", "No doors yet", "POST /v1/sites", "latchwork demo", 'href="/reference"'):
        assert helpful in page.text


async def test_a_house_that_nobody_entered_says_so(town: Town) -> None:
    async with opened_house(town), browser(town) as http:
        page = (await http.get("/")).text
    for shown in ("Harbour House", "Pier 4", "Europe/Berlin", "Front door", "Lobby", "controller not enrolled yet"):
        assert shown in page
    assert "Nobody has come yet" in page


async def test_who_came_where_when_and_why(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        vic = await house.book()
        await house.dora.reports(
            entry(house, vic, at=NOON),
            entry(house, vic, "pass_wrong_door", at=NOON + 1, door=house.lab),
            entry(house, None, "unknown_credential", at=NOON + 2, credential="card", count=12),
            entry(house, vic, at=NOON + 3, direction="exit"),
        )
        page = (await http.get("/")).text
    assert '">Vic</a></b> came in' in page
    assert '">Vic</a></b> left' in page
    assert Reason.PASS_WRONG_DOOR.sentence in page
    assert "Somebody with a card" in page
    assert "12 times" in page
    assert '<time datetime="2026-10-30T13:00:00+01:00" title="Friday, 30 October 2026, 13:00:00 CET">13:00:00' in page
    feed = page[page.index('id="lines"') :]
    assert feed.index("left") < feed.index("Somebody with a card") < feed.index("came in")


async def test_each_door_shows_its_latest(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        vic = await house.book()
        await house.dora.reports(entry(house, vic), entry(house, vic, "pass_expired"))
        page = (await http.get("/")).text
    last = page[page.index(f'id="door-{house.front}-last"') :]
    assert "was refused" in last[: last.index("</p>")]
    assert "Nobody has come yet." in page[page.index(f'id="door-{house.lab}-last"') :]


@pytest.mark.parametrize(
    ("change", "title", "chip"),
    [("forced", "Door forced open", "forced open"), ("held", "Door held open", "open too long")],
)
async def test_a_door_in_alarm_stands_out_until_it_is_over(town: Town, change: Any, title: str, chip: str) -> None:
    async with opened_house(town) as house, browser(town) as http:
        await house.dora.reports(DoorChanged(at=NOON, door=house.front, change=change))
        page = (await http.get("/")).text
        assert '<li class="line alarm"' in page
        assert title in page
        assert f'id="door-{house.front}-alarm">{chip}</span>' in page
        await house.dora.reports(DoorChanged(at=NOON + 1, door=house.front, change="closed"))
        assert f'id="door-{house.front}-alarm"></span>' in (await http.get("/")).text


async def test_alarms_of_controllers_and_shared_codes_stand_out(town: Town) -> None:
    async def alarms(work: Work) -> None:
        events.record(work, "cloud_rolled_back", "controller/1", data={"controllerRevision": 9})
        events.record(work, "controller_cloned", "controller/1")

    async with opened_house(town) as house, browser(town) as http:
        await house.work(alarms)
        await house.dora.reports(entry(house, await house.book(), shared_suspected=True))
        page = (await http.get("/")).text
    assert page.count('<li class="line alarm" id="event-') == 3
    for title in ("Cloud is older than its doors", "Controller copied", "Code perhaps shared", "It was made for Vic"):
        assert title in page


async def test_who_steered_a_door_is_told_by_name_and_what_is_run_elsewhere_is_left_to_the_log(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await house.alice.add_user(UserDraft("Bob {x}", access_points=[house.lab]))
        await house.alice.change_permissions(bob.id, PermissionsPatch(add=[GrantDraft(house.front)]))
        await house.alice.set_mode(house.lab, DoorModeDraft("locked"))
        page = (await http.get("/")).text
    assert "Alice &amp; Co&#39;s backend</b> set the door to locked</p>" in page
    assert "Bob" not in page


async def test_people_and_who_opened_from_afar_are_called_by_name(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        bob = await house.alice.add_user(UserDraft("Bob Builder"))
        await house.dora.reports(
            entry(house, credential="card", user=bob.id, at=NOON),
            entry(house, credential="remote", user=bob.id, at=NOON + 1),
        )
        page = (await http.get("/")).text
    assert f'<b class="who"><a href="/people/{bob.id}">Bob Builder</a></b> came in' in page
    assert f'<b class="who"><a href="/people/{bob.id}">Bob Builder</a></b> opened the door from afar' in page


@pytest.mark.parametrize("fact", sorted(get_args(EventType)))
def test_every_event_has_a_line_or_is_left_to_the_log(fact: str) -> None:
    about = "access_point/3" if fact in AT_DOORS else "user/3" if fact.partition("_")[0] in PEOPLE else "controller/3"
    event = Event(1, fact, NOON, NOON, Actor("client", "lw_x", "Backend"), about, {})
    assert is_told(event) != (fact in LEFT_OUT)
    if is_told(event):
        line = line_of(event, Places({}, {}, {}), say_in("en"))
        assert line.who or line.why
        assert line.what
        assert line.where == {"access_point/3": "Door 3", "controller/3": "Controller 3"}.get(about, "")


async def test_entries_and_alarms_are_found_below_all_that_is_not_told(town: Town) -> None:
    async def an_import(work: Work) -> None:
        for number in range(1_500):
            events.record(work, "user_created", f"user/{number}")

    async with opened_house(town) as house, browser(town) as http:
        vic = await house.book()
        await house.dora.reports(
            *(entry(house, vic, at=NOON + n) for n in range(60)), DoorChanged(at=NOON, door=house.lab, change="forced")
        )
        await house.alice.set_mode(house.lab, DoorModeDraft("locked"))
        before = (await http.get("/")).text
        await house.work(an_import)
        page = (await http.get("/")).text
    feed, cards = (page[page.index(part) :] for part in ('id="lines"', 'id="doors"'))
    assert feed.count('<li class="line ') == 50
    assert 'class="line alarm"' in feed
    assert "set the door to locked" in feed
    assert feed.partition(">")[2] == before[before.index('id="lines"') :].partition(">")[2]
    assert "<b>Vic</b> came in</span>" in cards[: cards.index("</li>")]


async def test_hostile_names_are_shown_as_they_are(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        site = await house.alice.add_site(SiteDraft(HOSTILE, HOSTILE))
        await house.alice.add_access_point(AccessPointDraft(site.id, HOSTILE, zone=HOSTILE))
        await house.dora.reports(entry(house, await house.book(HOSTILE)), entry(house, reason=HOSTILE))
        page = (await http.get("/")).text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39; onload=x &amp;amp;" in page
    assert "<script>" not in page
    assert "\"' onload" not in page


# ------------------------------------------------------------------------------------------------- safe browsers


@pytest.mark.parametrize("path", ["/", "/static/site.css", "/static/none.css", "/nowhere"])
async def test_every_answer_forbids_what_the_page_does_not_need(town: Town, path: str) -> None:
    async with browser(town) as http:
        headers = (await http.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


async def test_the_page_needs_nothing_inline_and_nothing_from_elsewhere(town: Town) -> None:
    async with opened_house(town), browser(town) as http:
        page = (await http.get("/")).text
        files = {part.partition('"')[0] for part in page.split('="/static/')[1:]}
        assert len(files) == 5  # the SDK too, for logging out
        for file in files:
            answer = await http.get(f"/static/{file}")
            assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    assert "<style" not in page
    assert " style=" not in page
    assert "//" not in page


def test_a_host_header_is_a_name_and_perhaps_a_port() -> None:
    assert [host_name(text) for text in ("A.b:1", "a", "[::1]:2", "[fe80::1]", "", ":80")] == [
        "a.b",
        "a",
        "::1",
        "fe80::1",
        "",
        "",
    ]


# ------------------------------------------------------------------------------------------------- who may look


async def test_a_stranger_is_asked_to_log_in(town: Town) -> None:
    async with opened_house(town), stranger(Website(town.app)) as http:
        for path in ("/", "/live", "/account"):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/log-in")


async def test_everybody_sees_their_own_organisation_alone(town: Town) -> None:
    async with opened_house(town), browser(town, name="Chris", who=town.charlie) as http:
        page = await http.get("/")
    assert (page.status_code, "Front door" in page.text) == (200, False)
    assert page.headers["cache-control"] == "no-store"


async def test_a_cloud_that_is_away_is_said_so_in_a_sentence() -> None:
    async with stranger(Website("http://127.0.0.1:9"), cookies={"latchwork": "lws_x"}) as http:
        page = await http.get("/")
    assert (page.status_code, "does not answer" in page.text) == (503, True)


# ------------------------------------------------------------------------------------------------- live


_cookies: dict[str, str] = {}
"""Of whoever listens."""


@asynccontextmanager
async def listening(url: str, **headers: str) -> AsyncIterator[AsyncIterator[dict[str, str]]]:
    """The server-sent events of `/live`, comments left out."""
    async with (
        httpx2.AsyncClient(timeout=20, cookies=_cookies) as http,
        http.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _messages(answer)


async def _messages(answer: httpx2.Response) -> AsyncIterator[dict[str, str]]:
    message: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name in ("id", "data"):
            message[name] = message.get(name, "") + value
        if not line and "id" in message:
            yield message
            message = {}


@asynccontextmanager
async def live_house(town: Town) -> AsyncIterator[tuple[House, str]]:
    ending = asyncio.Event()
    web = Website(town.app, ending=ending)
    async with opened_house(town) as house, browser(town, web=web) as http, served(composed(town.app, web)) as url:
        _cookies.update(http.cookies)
        yield house, f"{url}/live"
        ending.set()


async def test_what_happens_appears_at_once(town: Town) -> None:
    async with live_house(town) as (house, url), listening(url) as messages:
        vic = await house.book("<b>Vic</b>")
        await house.dora.reports(entry(house, vic), DoorChanged(at=NOON, door=house.lab, change="forced"))
        came = await asyncio.wait_for(anext(messages), 5)
        forced = await asyncio.wait_for(anext(messages), 5)
    assert "&lt;b&gt;Vic&lt;/b&gt;</a></b> came in" in came["data"]
    assert f'id="door-{house.front}-last"' in came["data"]
    assert 'class="line alarm"' in forced["data"]
    assert f'id="door-{house.lab}-alarm">forced open<' in forced["data"]
    assert int(forced["id"]) == int(came["id"]) + 1


async def test_the_feed_goes_on_after_the_last_event_that_was_seen(town: Town) -> None:
    async with live_house(town) as (house, url):
        await house.dora.reports(
            *(entry(house, reason=reason) for reason in ("granted", "pass_expired", "already_used"))
        )
        last = (await house.alice.last_event()).last
        async with listening(f"{url}?after={last - 3}", **{"last-event-id": str(last - 1)}) as messages:
            assert Reason.ALREADY_USED.sentence in (await asyncio.wait_for(anext(messages), 5))["data"]
        async with listening(f"{url}?after={last - 3}") as messages:
            seen = [int((await asyncio.wait_for(anext(messages), 5))["id"]) for _ in range(3)]
    assert seen == [last - 2, last - 1, last]


@pytest.mark.parametrize("after", ["999999", "-1", "x", "9" * 40, "%00"])
async def test_a_place_that_this_log_does_not_have_means_from_now_on(town: Town, after: str) -> None:
    async with live_house(town) as (house, url), listening(f"{url}?after={after}") as messages:
        await house.dora.reports(entry(house))
        assert "came in" in (await asyncio.wait_for(anext(messages), 5))["data"]


async def test_a_site_that_is_new_has_its_own_time(town: Town) -> None:
    async with live_house(town) as (house, url), listening(url) as messages:
        site = await house.alice.add_site(SiteDraft("Annexe", "", "America/New_York"))
        gate = await house.alice.add_access_point(AccessPointDraft(site.id, "Gate"))
        await house.dora.reports(entry(house, at=NOON, door=gate.id))
        assert "2026-10-30T08:00:00-04:00" in (await asyncio.wait_for(anext(messages), 5))["data"]


async def test_a_feed_that_was_left_long_ago_says_that_it_has_a_gap(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FARTHEST", 2)
    async with live_house(town) as (house, url):
        await house.dora.reports(*(entry(house) for _ in range(3)))
        last = (await house.alice.last_event()).last
        async with listening(f"{url}?after={last - 2}") as messages:
            assert [int((await anext(messages))["id"]) for _ in range(2)] == [last - 1, last]
        async with httpx2.AsyncClient(cookies=_cookies) as http, http.stream("GET", f"{url}?after=1") as answer:
            lines = answer.aiter_lines()
            assert "event: gap" in [await anext(lines) for _ in range(4)]


async def test_live_feeds_end_with_the_session(town: Town) -> None:
    web = Website(town.app)
    async with browser(town, web=web) as http, served(composed(town.app, web)) as url:
        _cookies.update(http.cookies)
        async with listening(f"{url}/live") as messages:
            await send(http, "/log-out", "/account")
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(anext(messages), 10)


async def test_live_feeds_end_with_the_server(town: Town) -> None:
    ending = asyncio.Event()
    web = Website(town.app, ending=ending)
    async with browser(town, web=web) as http, served(composed(town.app, web)) as url:
        _cookies.update(http.cookies)
        async with listening(f"{url}/live") as messages:
            ending.set()
            with pytest.raises(StopAsyncIteration):
                await asyncio.wait_for(anext(messages), 2)
