"""Two people change the same thing: the second is told what the first did, keeps what they typed, and takes either."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest
from tests.sdk.town import Town
from tests.web.cast import browser

from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.people import Interval, ScheduleDraft, SchedulePatch, UserDraft, UserPatch
from latchwork.wire.api.sites import AccessPointDraft, AccessPointPatch, SiteDraft, SitePatch
from latchwork.wire.api.visitors import MeetingDraft, MeetingPatch, MeetingVisitor, VisitorPatch

QUICKER = "Somebody else was quicker."
WEEK = [[Interval(480, 1080)]] * 5 + [[], []]


@dataclass(frozen=True)
class Contest:
    """A form that Ada fills in while Alice changes the same thing."""

    form: str
    typed: dict[str, str]
    theirs: Callable[[Any], Awaitable[Any]]
    """What Alice changes."""
    said: tuple[str, str, str]
    """As the page names it: field, before, after."""
    kept: Callable[[Any], Awaitable[tuple[Any, Any]]]
    """(what Ada typed, what Alice changed), as it is now."""
    saved: tuple[Any, Any]


async def _door(alice: Any) -> tuple[Any, Any]:
    door = await alice.get_access_point(1)
    return door.name, door.strike_seconds


async def _site(alice: Any) -> tuple[Any, Any]:
    site = await alice.get_site(1)
    return site.name, site.timezone


async def _organisation(alice: Any) -> tuple[Any, Any]:
    organisation = await alice.get_organisation()
    return organisation.offline_limit, organisation.meeting_max_days


async def _schedule(alice: Any) -> tuple[Any, Any]:
    schedule = await alice.get_schedule(1)
    return schedule.name, schedule.week[5]


async def _person(alice: Any) -> tuple[Any, Any]:
    user = (await alice.page_users(search="Bob")).items[0]
    return user.phone, user.email


CONTESTS = {
    "door": Contest(
        "/doors/1/change",
        {"name": "Gate"},
        lambda alice: alice.change_access_point(1, AccessPointPatch(strike_seconds=8)),
        ("unlocked for (seconds)", "5", "8"),
        _door,
        ("Gate", 8),
    ),
    "site": Contest(
        "/doors/sites/1",
        {"name": "Annexe"},
        lambda alice: alice.change_site(1, SitePatch(timezone="Asia/Tokyo")),
        ("time zone", "UTC", "Asia/Tokyo"),
        _site,
        ("Annexe", "Asia/Tokyo"),
    ),
    "organisation": Contest(
        "/settings",
        {"offlineLimit": "3", "offlineUnit": "hours"},
        lambda alice: alice.change_organisation(OrganisationPatch(meeting_max_days=5)),
        ("longest visit (days)", "", "5"),
        _organisation,
        (10_800, 5),
    ),
    "schedule": Contest(
        "/settings/schedules/1",
        {"name": "Work"},
        lambda alice: alice.change_schedule(1, SchedulePatch(week=[*WEEK[:5], [Interval(600, 720)], []])),
        ("hours", "", "10:00"),
        _schedule,
        ("Work", [Interval(600, 720)]),
    ),
    "person": Contest(
        "/people/1/edit",
        {"phone": "+49 30 1"},
        lambda alice: alice.change_user(1, UserPatch(email="bob@example.org")),
        ("e-mail", "", "bob@example.org"),
        _person,
        ("+49 30 1", "bob@example.org"),
    ),
}


class _Fields(HTMLParser):
    """The fields of a form as a browser would send them."""

    def __init__(self, action: str) -> None:
        super().__init__()
        self.action, self.inside, self.select = action, False, ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        if tag == "form":
            self.inside = of.get("action") == self.action
        elif tag == "select":
            self.select = of.get("name") or ""
        elif self.inside and tag == "option" and ("selected" in of or self.select not in self.fields):
            self.fields[self.select] = of.get("value") or ""
        elif self.inside and tag == "input" and of.get("name") and not self._is_off(of):
            self.fields[of["name"] or ""] = of.get("value", "on") or ""

    def _is_off(self, of: dict[str, str | None]) -> bool:
        return of.get("type") in ("checkbox", "radio") and "checked" not in of


def filled(page: httpx2.Response, action: str) -> dict[str, str]:
    parser = _Fields(action)
    parser.feed(page.text)
    return parser.fields


async def _built(town: Town) -> Any:
    """Alice, with one of each."""
    alice = town.client(town.alice)
    await alice.add_user(UserDraft("Bob"))
    site = await alice.add_site(SiteDraft("Harbour House"))
    await alice.add_access_point(AccessPointDraft(site.id, "Front door"))
    await alice.add_schedule(ScheduleDraft("Week", WEEK))
    return alice


@pytest.mark.parametrize("contest", CONTESTS.values(), ids=CONTESTS)
async def test_who_was_slower_sees_what_changed_and_saves_theirs_on_top(town: Town, contest: Contest) -> None:
    alice = await _built(town)
    async with browser(town) as ada:
        shown = filled(await ada.get(contest.form), contest.form)
        await contest.theirs(alice)
        before = await contest.kept(alice)
        late = await ada.post(contest.form, data={**shown, **contest.typed})
        assert (late.status_code, await contest.kept(alice)) == (412, before)
        assert QUICKER in late.text
        field, was, now = contest.said
        assert re.search(rf"<dt>{re.escape(field)}</dt><dd><del>[^<]*{was}.*<ins>[^<]*{re.escape(now)}", late.text)
        again = filled(late, contest.form)
        assert {name: again[name] for name in contest.typed} == contest.typed
        assert (await ada.post(contest.form, data=again)).status_code == 303
    assert await contest.kept(alice) == contest.saved


@pytest.mark.parametrize("contest", CONTESTS.values(), ids=CONTESTS)
async def test_who_was_slower_may_leave_it_as_the_other_made_it(town: Town, contest: Contest) -> None:
    alice = await _built(town)
    async with browser(town) as ada:
        shown = filled(await ada.get(contest.form), contest.form)
        await contest.theirs(alice)
        late = await ada.post(contest.form, data={**shown, **contest.typed})
        assert f'href="{contest.form}">Keep theirs</a>' in late.text
        theirs = filled(await ada.get(contest.form), contest.form)
        assert (await ada.post(contest.form, data=theirs)).status_code == 303
    assert await contest.kept(alice) != contest.saved


async def test_a_mistake_in_between_hides_nothing_of_what_the_other_changed(town: Town) -> None:
    alice = await _built(town)
    form = "/doors/1/change"
    async with browser(town) as ada:
        shown = filled(await ada.get(form), form)
        await alice.change_access_point(1, AccessPointPatch(zone="Lobby"))
        wrong = await ada.post(form, data={**shown, "strikeSeconds": "soon"})
        assert wrong.status_code == 400
        late = await ada.post(form, data={**filled(wrong, form), "strikeSeconds": "4"})
        assert (late.status_code, QUICKER in late.text) == (412, True)
    assert (await alice.get_access_point(1)).zone == "Lobby"


async def test_a_form_that_names_no_version_changes_what_is_there(town: Town) -> None:
    alice = await _built(town)
    form = "/doors/1/change"
    async with browser(town) as ada:
        shown = filled(await ada.get(form), form)
        for known in ("", "{", "[]", '{"id": 7}'):
            assert (await ada.post(form, data={**shown, "known": known, "name": "Gate"})).status_code == 303
    assert (await alice.get_access_point(1)).name == "Gate"


async def test_of_a_visit_only_what_was_typed_is_changed(town: Town) -> None:
    alice = await _built(town)
    begins = int(time.time()) - 60
    draft = MeetingDraft(MeetingVisitor("v-1", name="Vic", phone="+49 30 1"), begins, begins + 3600, [1])
    visit = await alice.add_meeting(draft)
    form = f"/visitors/{visit.id}/change"
    async with browser(town) as ada:
        shown = filled(await ada.get(form), form)
        await alice.change_meeting(visit.id, MeetingPatch(end_time=begins + 7200))
        await alice.change_visitor(visit.visitor.id, VisitorPatch(phone="+49 30 2"))
        assert (await ada.post(form, data={**shown, "email": "vic@example.org"})).status_code == 303
    now = await alice.get_meeting(visit.id)
    assert (now.end_time, now.visitor.phone, now.visitor.email) == (begins + 7200, "+49 30 2", "vic@example.org")
