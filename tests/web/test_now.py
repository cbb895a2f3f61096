"""The first page's alarms, what needs attention, and the day by the hour, on the real cloud."""

from __future__ import annotations

import re
import time
from zoneinfo import ZoneInfo

from tests.sdk.town import Town
from tests.web.cast import browser, employ, log_in, send, stranger
from tests.web.test_page import entry, opened_house

from latchwork.web.app import Website
from latchwork.web.attention import PATIENCE, needs
from latchwork.web.catalogue import say_in
from latchwork.web.chart import chart
from latchwork.web.places import Places
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.passages import DoorModeDraft, DoorState, HourCount
from latchwork.wire.api.sites import AccessPoint, AccessPointDraft, Site, SiteDraft
from latchwork.wire.facts import DoorChanged


async def test_an_alarm_stays_on_top_until_somebody_acknowledges_it(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        now = time.time()
        await house.dora.reports(
            DoorChanged(at=now, door=house.lab, change="forced"),
            DoorChanged(at=now + 1, door=house.lab, change="closed"),
        )
        [alarm] = (await house.alice.page_alarms(open=True)).items
        assert f'action="/alarms/{alarm.event.number}/acknowledge"' in (await http.get("/")).text
        path = f"/alarms/{alarm.event.number}/acknowledge"
        assert (await send(http, path, "/", note="The postman")).headers["location"] == "/"
        page = (await http.get("/")).text
        assert "Alarms to see to" not in page
        assert "acknowledged: Door forced open</p>" in page
        assert "The postman" in page
        [seen] = (await house.alice.page_alarms(open=False)).items
        assert (seen.event, seen.note) == (alarm.event, "The postman")
        assert seen.acknowledged_by is not None
        assert seen.acknowledged_by.name == "Ada"
        again = await house.alice.acknowledge_alarm(alarm.event.number)
        assert again == seen, "who was first stands"
        assert (await http.post(path, data={})).status_code == 403


async def test_the_admin_of_a_site_sees_to_its_alarms_alone(town: Town) -> None:
    async with opened_house(town) as house:
        annexe = await house.alice.add_site(SiteDraft("Annexe", "", "Europe/Berlin"))
        gate = await house.alice.add_access_point(AccessPointDraft(annexe.id, "Gate"))
        for door in (house.lab, gate.id):
            await house.dora.reports(DoorChanged(at=time.time(), door=door, change="held"))
        theirs, foreign = [alarm.event.number for alarm in (await house.alice.page_alarms()).items]
        async with browser(
            town, ["site_admin"], name="Sam", home_site_id=annexe.id, admin_of_sites=[annexe.id]
        ) as http:
            page = (await http.get("/")).text
            assert f"/alarms/{theirs}/acknowledge" in page
            assert f"/alarms/{foreign}/acknowledge" not in page
            assert (await send(http, f"/alarms/{foreign}/acknowledge", "/")).status_code == 404
            assert (await send(http, f"/alarms/{theirs}/acknowledge", "/")).status_code == 303
            assert "acknowledged: Door held open" in (await http.get("/")).text
        [left] = (await house.alice.page_alarms(open=True)).items
        assert left.event.number == foreign


async def test_what_needs_attention_is_said_and_where_to_see_to_it(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        assert "Its controller is not enrolled yet: Front door, Lab." in (await http.get("/")).text
        await house.dora.reports(DoorChanged(at=time.time(), door=house.lab, change="held"))
        page = (await http.get("/")).text
    assert "Lab has been held open since" in page
    assert f'<a href="/doors/{house.lab}">See to it' in page


async def test_a_door_that_somebody_holds_open_or_locks_is_among_it_calmly(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        await send(http, f"/doors/{house.lab}/lock", f"/doors/{house.lab}")
        await house.alice.set_mode(house.front, DoorModeDraft("unlocked", minutes=10))
        page = (await http.get("/")).text
        lines = re.findall(r'<li class="need "><p class="gist">([^<]+)</p> <a href="([^"]+)">', page)
        assert [path for _, path in lines] == [f"/doors/{house.front}", f"/doors/{house.lab}"]
        assert re.match(
            r"Front door: Open for everybody until .+\. Set by Alice &amp; Co&#39;s backend at", lines[0][0]
        )
        assert re.match(r"Lab: Locked for everybody\. Set by Ada at \d\d:\d\d\.", lines[1][0])
        await house.alice.set_mode(house.lab, DoorModeDraft("access_control"))
        assert "Lab: " not in (await http.get("/")).text


def test_changes_that_wait_too_long_for_a_door_in_touch_are_told_once_for_its_controller() -> None:
    site = Site(1, "Harbour House", "", "UTC", 0, 0)
    doors = {
        id: AccessPoint(id, 1, f"Door {id}", "", None, None, 5, 30, False, False, "refuse", 7, 0, 0)
        for id in range(1, 6)
    }
    where = Places({1: site}, doors, {})
    states = [
        DoorState(id, "access_control", None, False, "online", 1_000, False, None, False, None, 1_000) for id in doors
    ]
    assert needs(states, where, say_in("en"), 1_000 + PATIENCE) == []
    [need] = needs(states, where, say_in("en"), 1_001 + PATIENCE)
    assert "00:16" in need.sentence
    assert "Door 1, Door 2, Door 3 and 2 more" in need.sentence
    assert need.path == "/doors/1"


async def test_the_day_by_the_hour_is_a_picture_and_a_table(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        now = time.time()
        await house.dora.reports(
            entry(house, at=now),
            entry(house, at=now, direction="exit"),
            entry(house, reason="pass_expired", at=now, count=3),
        )
        page = (await http.get("/")).text
    assert "1 came in, 3 refused" in page
    assert "<svg" in page
    assert "<td>1</td><td>3</td>" in page


def test_a_day_of_twenty_five_hours_has_twenty_five_bars() -> None:
    berlin, begins = ZoneInfo("Europe/Berlin"), 1_792_879_200  # 2026-10-25 00:00
    bars = chart([HourCount(begins + 3600 * n, n, 0) for n in range(25)], berlin, begins + 60).bars
    assert [bars[n].start for n in (0, 2, 3, 4, 24)] == ["00:00", "02:00", "02:00", "03:00", "23:00"]
    assert bars[24].entries_height == 100
    assert [bar.is_now for bar in bars].index(True) == 0


async def test_who_was_at_a_door_last_is_told_to_those_who_may_read_the_log(town: Town) -> None:
    async with opened_house(town) as house:
        await house.dora.reports(entry(house))
        for name, role, is_told in (("Fay", "front_desk", False), ("Ada", "super_admin", True)):
            async with browser(town, [role], name=name) as http:
                cloud = town.client_of_session(http.cookies["latchwork"], town.line())
                [front, lab] = (await cloud.page_door_states()).items
                assert [bool(each.last_passage) for each in (front, lab)] == [is_told, False]


async def test_each_role_begins_where_its_work_is(town: Town) -> None:
    alice = town.client(town.alice)
    await alice.change_organisation(OrganisationPatch(attendance_module=True))
    for name, role, first in (("Max", "manager", "/reports"), ("Fay", "front_desk", "/visitors")):
        await employ(town, name, [role])
        async with stranger(Website(town.app)) as http:
            await log_in(http, name)
            assert (await http.get("/")).headers["location"] == first
            assert (await http.get(first)).status_code == 200
