"""One's own doors and history: everybody's, and nobody else's."""

from __future__ import annotations

import pytest
from tests.sdk.town import Town
from tests.web.cast import browser
from tests.web.test_page import NOON, opened_house

from latchwork.wire.api.people import GrantDraft, Interval, PermissionsPatch, ScheduleDraft, UserDraft
from latchwork.wire.api.problems import Forbidden
from latchwork.wire.api.sites import AccessPointDraft
from latchwork.wire.facts import AccessDecided


async def test_one_sees_ones_own_doors_and_where_one_was_and_nobody_elses(town: Town) -> None:
    async with opened_house(town) as house, browser(town, ["end_user"], name="Bob") as http:
        bob = next(each for each in (await house.alice.page_users(search="Bob")).items)
        eve = await house.alice.add_user(UserDraft("Eve", access_points=[house.lab]))
        week = await house.alice.add_schedule(ScheduleDraft("Office hours", [[Interval(480, 1080)]] * 7))
        cellar = await house.alice.add_access_point(AccessPointDraft(1, "Cellar"))
        grants = [GrantDraft(house.front, ends_at=NOON, schedule_id=week.id), GrantDraft(cellar.id)]
        await house.alice.change_permissions(bob.id, PermissionsPatch(add=grants))
        for who, door, reason in (
            (bob, house.front, "granted"),
            (bob, house.lab, "no_permission"),
            (eve, house.lab, "granted"),
        ):
            fact = AccessDecided(at=NOON, door=door, direction="entry", reason=reason, credential="card", user=who.id)
            await house.dora.reports(fact)
        first = await http.get("/")
        page = (await http.get(first.headers["location"])).text
    assert first.headers["location"] == "/mine"
    for shown in (
        "Front door",
        "Office hours",
        "30 Oct",
        "on its way to the door",
        "has no controller yet",
        "came in",
        "no permission",
    ):
        assert shown in page
    assert page.count("Lab") == 1  # he was refused there
    assert "Eve" not in page


async def test_whoever_has_no_doors_is_told_where_they_come_from(town: Town) -> None:
    async with opened_house(town), browser(town, ["end_user"]) as http:
        page = (await http.get("/mine")).text
    assert "No doors yet" in page
    assert "Nothing yet" in page


async def test_a_client_is_nobody_who_has_doors(town: Town) -> None:
    with pytest.raises(Forbidden):
        await town.client(town.alice).page_own_doors()
    with pytest.raises(Forbidden):
        await town.client(town.alice).page_own_passages()


async def test_a_client_may_ask_for_whom_it_acts(town: Town) -> None:
    async with opened_house(town) as house:
        bob = await house.alice.add_user(UserDraft("Bob", access_points=[house.front]))
        doors = (await house.alice.acting_for(bob.id).page_own_doors()).items
    assert [(door.name, door.site_name, door.is_ready) for door in doors] == [("Front door", "Harbour House", False)]
