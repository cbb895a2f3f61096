"""The desk: booking, coming and going, ending; and the visitor's own page."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest
from tests.sdk.town import Town
from tests.web.cast import browser, employ, proof_in, send, stranger
from tests.web.test_page import House, entry, opened_house

from latchwork.policy.reasons import Reason
from latchwork.web.app import Website
from latchwork.web.visits import code_of, midnights, state_of
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft
from latchwork.wire.api.visitors import Meeting, MeetingDraft, MeetingPatch, MeetingVisitor, Pass, Visitor

DESK = ("front_desk",)
BERLIN = ZoneInfo("Europe/Berlin")


def local(minutes: int) -> str:
    """So long from now, as a browser's field in Berlin has it."""
    return f"{datetime.now(BERLIN) + timedelta(minutes=minutes):%Y-%m-%dT%H:%M}"


async def invited(house: House, name: str, begins: int = -600, lasts: int = 3600, **who: Any) -> Meeting:
    start = int(time.time()) + begins
    visitor = MeetingVisitor(name.lower(), name=name, **who)
    return await house.alice.add_meeting(MeetingDraft(visitor, start, start + lasts, [house.front]))


def link_in(page: str) -> str:
    found = re.search(r'value="http[^"]*(/visit/[\w-]+)"', page)
    assert found is not None
    return found[1]


# ------------------------------------------------------------------------------------------------- the desk


async def test_a_visit_from_booking_to_its_end(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as http:
        page = (await http.get("/visitors")).text
        assert "No visitors today" in page
        assert 'href="/visitors" aria-current="page"' in page
        assert 'href="/"' not in page[page.index("<nav") : page.index("</nav>")]
        booked = await send(
            http, "/visitors/book", name="Vic Visitor", company="Visits & Sons", host="Bob", door=str(house.front),
            **{"from": local(-5), "until": local(60)},
        )  # fmt: skip
        here = booked.headers["location"]
        page = (await http.get(here)).text
        for shown in ("Vic Visitor is booked", "Visits &amp; Sons", "Bob", "Front door", "<svg", "Nothing yet"):
            assert shown in page
        await send(http, f"{here}/check-in", here)
        assert "Vic Visitor is checked in" in (await http.get(here)).text
        today = (await http.get("/visitors")).text
        assert today.index("Here now") < today.index("Vic Visitor") < today.index("Still expected")
        await send(http, f"{here}/check-out", "/visitors", back="today")
        await send(http, f"{here}/end", here)
        page = (await http.get(here)).text
        assert "The visit is over; no code" in page
        assert "<svg" not in page
        assert "Vic Visitor" in (await http.get("/visitors/history", params={"search": "sons"})).text
        assert "No visit that is over fits" in (await http.get("/visitors/history", params={"search": "nobody"})).text
    said = [event.type for event in (await house.alice.page_events(limit=200)).events if event.actor.kind == "user"]
    assert said[-4:] == ["meeting_created", "visitor_checked_in", "visitor_checked_out", "meeting_ended"]


async def test_a_form_that_cannot_be_booked_comes_back_with_what_is_wrong(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as http:
        sent = {"name": "", "email": "nonsense", "company": "Kept", "from": local(0), "until": ""}
        page = await send(http, "/visitors/book", **sent)
        assert page.status_code == 400
        for shown in ("A name is needed", "A day and a time", "at least one door", 'value="Kept"'):
            assert shown in page.text
        sent |= {"name": "Vic", "until": local(-60), "door": str(house.front)}
        page = await send(http, "/visitors/book", **sent)
        assert page.status_code == 400
        assert "has to end after it begins" in page.text
        page = await send(http, "/visitors/book", **sent | {"until": local(60)})
        assert page.status_code == 400
        assert 'id="email-error">This is not an e-mail address' in page.text
        assert (await house.alice.page_meetings()).items == []


async def test_times_and_doors_are_changed_and_what_was_not_touched_stays(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as http:
        before = await invited(house, "Vic")
        here = f"/visitors/{before.id}"
        form = (await http.get(f"{here}/change")).text
        first = re.search(r'name="from" required value="([^"]+)"', form)
        assert first is not None
        fields = {"from": first[1], "until": local(180), "door": str(house.lab)}
        assert (await send(http, f"{here}/change", **fields)).status_code == 303
        after = await house.alice.get_meeting(before.id)
        assert (after.start_time, after.access_points) == (before.start_time, [house.lab])
        assert after.end_time > before.end_time
        page = (await http.get(here)).text
        assert "Opens with the visit" in page
        assert "earlier codes are over" in page  # Dora, who runs both doors, is not linked


async def test_a_wrong_address_is_put_right_and_the_codes_stay(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as http:
        before = await invited(house, "Vic", email="vic@exmaple.org", company="Kept")
        here = f"/visitors/{before.id}"
        form = (await http.get(f"{here}/change")).text
        found = {name: re.search(f'name="{name}"[^>]* value="([^"]+)"', form) for name in ("from", "until", "email")}
        sent = {name: each[1] for name, each in found.items() if each}
        assert sent["email"] == "vic@exmaple.org"
        sent |= {"name": "Vic", "company": "Kept", "door": str(house.front)}
        wrong = await send(http, f"{here}/change", **sent | {"email": "nonsense"})
        assert (wrong.status_code, 'id="email-error">This is not an e-mail' in wrong.text) == (400, True)
        assert (await send(http, f"{here}/change", **sent | {"email": "vic@example.org"})).status_code == 303
        after = await house.alice.get_meeting(before.id)
        page = (await http.get(here)).text
    assert (after.visitor.email, after.visitor.company, after.version) == ("vic@example.org", "Kept", before.version)
    assert "Saved. Codes and times stay as they are." in page


async def test_today_is_that_of_each_visits_own_site(town: Town) -> None:
    """Two sites, a day apart at every hour: what is today's at the one is tomorrow's at the other."""
    async with opened_house(town) as house, browser(town, DESK) as http:
        far = (await house.alice.add_site(SiteDraft("Kiritimati", timezone="Pacific/Kiritimati"))).id
        west = (await house.alice.add_site(SiteDraft("Pago Pago", timezone="Pacific/Pago_Pago"))).id
        now = int(time.time())
        for site, zone in ((far, "Pacific/Kiritimati"), (west, "Pacific/Pago_Pago")):
            door = (await house.alice.add_access_point(AccessPointDraft(site, "Door"))).id
            _, ends = midnights(now, ZoneInfo(zone))
            for name, start in ((f"Late {site}", ends - 60), (f"Early {site}", ends + 60)):
                visitor = MeetingVisitor(name, name=name)
                await house.alice.add_meeting(MeetingDraft(visitor, start, start + 600, [door]))
        today, later = [(await http.get(path)).text for path in ("/visitors", "/visitors/expected")]
    for site in (far, west):
        assert (f"Late {site}" in today, f"Late {site}" in later) == (True, False)
        assert (f"Early {site}" in today, f"Early {site}" in later) == (False, True)


async def test_who_enters_has_come_and_what_happened_stands_on_the_visits_page(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as http:
        vic = await house.book()
        at = int(time.time())
        await house.dora.reports(
            entry(house, vic, "pass_wrong_door", at=at - 9, door=house.lab), entry(house, vic, at=at)
        )
        await house.dora.reports(entry(house, vic, at=at + 5))
        assert (await house.alice.get_meeting(vic.id)).checked_in_at == at
        page = (await http.get(f"/visitors/{vic.id}")).text
        assert Reason.PASS_WRONG_DOOR.sentence in page
        assert "Came in." in page
        assert "Check out" in page


async def test_a_cancelled_visit_and_a_deleted_visitor_are_gone(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as http:
        vic, bea = await invited(house, "Vic", begins=600), await invited(house, "Bea")
        await send(http, f"/visitors/{vic.id}/cancel", f"/visitors/{vic.id}")
        await send(http, f"/visitors/{bea.id}/delete-visitor", f"/visitors/{bea.id}")
        assert (await house.alice.page_meetings()).items == []
        assert [visitor.name for visitor in (await house.alice.page_visitors()).items] == ["Vic"]
        assert (await http.get(f"/visitors/{vic.id}")).status_code == 404


async def test_lists_are_in_the_order_of_time_and_paged(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as http:
        for n in range(52):
            await invited(house, f"Guest {n:02}", begins=86_400 * 3 - n)
        page = (await http.get("/visitors/expected")).text
        assert page.index("Guest 51") < page.index("Guest 02")
        assert "Guest 01" not in page
        following = re.search(r'href="([^"]+)" rel="next"', page)
        assert following is not None
        page = (await http.get(following[1].replace("&amp;", "&"))).text
        assert page.index("Guest 01") < page.index("Guest 00")
        assert "To the first page" in page


async def test_a_host_is_found_by_the_beginning_of_a_name_and_no_more_is_said_of_them(town: Town) -> None:
    async with opened_house(town), browser(town, DESK) as http:
        await employ(town, "Hanna")
        found = (await http.get("/visitors/hosts", params={"search": "han"})).text
        assert 'value="Hanna"' in found
        assert "example.org" not in found
        assert (await http.get("/visitors/hosts", params={"search": ""})).text.count("option") == 0


async def test_a_user_without_the_role_sees_no_visitors(town: Town) -> None:
    async with opened_house(town) as house, browser(town, ("end_user",)) as http:
        vic = await house.book()
        for path in ("/visitors", "/visitors/book", f"/visitors/{vic.id}"):
            assert (await http.get(path)).status_code == 403
        assert "Visitors" not in (await http.get("/account")).text


async def test_with_the_module_off_menu_and_pages_say_so(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        vic = await house.book()
        link = await house.alice.make_visit_link(vic.id)
        await house.alice.change_organisation(OrganisationPatch(visitor_module=False))
        for path in ("/visitors", "/visitors/expected", "/visitors/history", "/visitors/book", f"/visitors/{vic.id}"):
            page = (await http.get(path)).text
            assert "Visitors are switched off" in page
            assert 'Visitors <span class="tag">off</span>' in page
        assert "No visitors are received here" in (await http.get("/visit/" + link.url.rpartition("/")[2])).text


# ------------------------------------------------------------------------------------------- the visitor's own page


async def own_page(http: httpx2.AsyncClient, meeting: Meeting) -> str:
    """The path of a fresh link, as the desk gets it to copy."""
    here = f"/visitors/{meeting.id}"
    return link_in((await send(http, f"{here}/link", here)).text)


async def test_the_visitors_page_shows_who_where_when_and_a_code_without_a_log_in(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as desk, stranger(Website(town.app)) as phone:
        path = await own_page(desk, await invited(house, "Vic", host="Bob", company="Visits"))
        answer = await phone.get(path)
        assert answer.status_code == 200
        for shown in ("Alice &amp; Co", "Vic", "Visits", "Bob", "Harbour House", "Pier 4", "Front door", "<svg"):
            assert shown in answer.text
        at_desk = await desk.get("/visitors/1")
        for renewed in ('data-renew="45" data-left="60"', '<meta http-equiv="refresh" content="45">', ">1:00</span>"):
            assert renewed in answer.text
            assert renewed in at_desk.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in answer.headers["x-robots-tag"]
        assert "style=" not in answer.text
        assert path.rpartition("/")[2] not in answer.text


async def test_a_link_page_that_is_loaded_anew_leaves_the_link_alone(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as desk, stranger(Website(town.app)) as phone:
        path = f"/visitors/{(await invited(house, 'Vic')).id}"
        made = await send(desk, f"{path}/link", path)
        form = {"content-type": "application/x-www-form-urlencoded"}
        again = await desk.post(f"{path}/link", content=made.request.content, headers=form)
        assert "made already" in again.text
        assert (await phone.get(link_in(made.text))).status_code == 200
        anew = await desk.post(f"{path}/link", data={"csrf": proof_in(again.text)})
        assert (await phone.get(link_in(anew.text))).status_code == 200


async def test_who_comes_is_changed_by_whoever_reaches_all_visits(town: Town) -> None:
    async with opened_house(town) as house:
        alice = house.alice
        annexe = await alice.add_site(SiteDraft("Annexe"))
        gate = await alice.add_access_point(AccessPointDraft(annexe.id, "Gate"))
        vic = await invited(house, "Vic", email="vic@example.org")
        late = MeetingDraft(MeetingVisitor("vic"), vic.start_time, vic.end_time + 60, [gate.id])
        there = await alice.add_meeting(late)
        async with browser(town, ["site_admin"], home_site_id=annexe.id, admin_of_sites=[annexe.id]) as sam:
            path = f"/visitors/{there.id}"
            page = (await sam.get(path)).text
            assert "Delete the visitor" not in page and "End the visit" in page
            assert (await sam.get(f"{path}/delete-visitor")).status_code == 403
            times = {"from": local(-10), "until": local(90), "door": str(gate.id)}
            name = {"name": "Mallory", "email": "mallory@example.org"}
            refused = await send(sam, f"{path}/change", **times, **name)
            assert (refused.status_code, "where your role does not reach" in refused.text) == (403, True)
            refused = await send(sam, "/visitors/book", again=str(there.id), **times, **name)
            assert (refused.status_code, "where your role does not reach" in refused.text) == (403, True)
            assert (await alice.get_visitor(vic.visitor.id)).email == "vic@example.org"
            own = {"name": "Vic", "email": "vic@example.org"}
            assert (await send(sam, f"{path}/change", **times, **own)).status_code == 303
            assert (await send(sam, "/visitors/book", again=str(there.id), **times, **own)).status_code == 303
            await alice.end_meeting(vic.id)
            assert (await send(sam, f"{path}/change", **times, **name)).status_code == 303
        assert (await alice.get_visitor(vic.visitor.id)).name == "Mallory"


async def test_a_link_ends_when_it_is_resent_and_with_its_visit(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as desk, stranger(Website(town.app)) as phone:
        vic = await invited(house, "Vic")
        first, second = await own_page(desk, vic), await own_page(desk, vic)
        gone = await phone.get(first)
        assert (gone.status_code, "Vic" in gone.text) == (404, False)
        assert "does not work any more" in gone.text
        assert (await phone.get(second)).status_code == 200
        await send(desk, f"/visitors/{vic.id}/end", f"/visitors/{vic.id}")
        done = await phone.get(second)
        assert (done.status_code, "This visit is over" in done.text, "<svg" in done.text) == (410, True, False)
        await house.alice.change_meeting(vic.id, MeetingPatch(end_time=int(time.time()) + 900))
        assert (await phone.get(second)).status_code == 404


async def test_before_the_visit_the_page_says_when_and_shows_a_code_only_if_that_will_open(town: Town) -> None:
    async with opened_house(town) as house, browser(town, DESK) as desk, stranger(Website(town.app)) as phone:
        path = await own_page(desk, await invited(house, "Vic", begins=7200))
        page = (await phone.get(path)).text
        assert "Your visit has not begun" in page
        assert "<svg" not in page
        await house.alice.change_organisation(OrganisationPatch(pass_seconds=None))
        page = (await phone.get(path)).text
        assert "Your visit has not begun" in page
        assert "<svg" in page
        assert "data-left" not in page


async def test_whoever_guesses_links_is_slowed_down(town: Town) -> None:
    async with stranger(Website(town.app)) as phone:
        statuses = {(await phone.get(f"/visit/guess-{n}")).status_code for n in range(180)}
    assert statuses == {404, 429}


# ------------------------------------------------------------------------------------------------- pure


def meeting(**more: Any) -> Meeting:
    return Meeting(1, Visitor(1, "v", "Vic", "", "", "", "", 0, 0), 100, 200, [], 60, 1, 0, 0, **more)


@pytest.mark.parametrize(
    ("more", "now", "state"),
    [
        ({}, 150, "expected"),
        ({}, 200, "missed"),
        ({"checked_in_at": 110}, 150, "here"),
        ({"checked_in_at": 110}, 201, "overdue"),
        ({"checked_in_at": 110, "checked_out_at": 120}, 150, "left"),
    ],
)
def test_where_a_visit_stands(more: Any, now: int, state: str) -> None:
    assert state_of(meeting(**more), now) == state


def test_a_day_is_as_long_as_its_clock_says() -> None:
    noon = int(datetime(2026, 10, 25, 12, tzinfo=BERLIN).timestamp())
    begins, ends = midnights(noon, BERLIN)
    assert ends - begins == 25 * 3600


@pytest.mark.parametrize("lives", [5, 30, 60, 300, 86_400])
def test_a_code_is_renewed_before_it_ends(lives: int) -> None:
    code = code_of(Pass("LW1:", 0, 1_000 + lives, True), 1_000)
    assert code.is_shown
    assert 0 < code.renew < lives
