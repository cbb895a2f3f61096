"""Doors on the real cloud: what their pages say, what can be done with them from afar, and who sees which."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from msgspec.structs import replace
from tests.sdk.town import Town, visit
from tests.web.cast import browser, proof_in, send
from tests.web.stage import composed, served
from tests.web.test_page import opened_house

from latchwork.edge.enrol import enrol
from latchwork.edge.runner import Edge, running
from latchwork.sdk.client import Client
from latchwork.sim.doors import VirtualWiring
from latchwork.web.app import Website
from latchwork.web.door import states_of
from latchwork.web.standing import stand_of
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.passages import DoorState
from latchwork.wire.api.people import (
    GrantDraft,
    Interval,
    Permission,
    PermissionsPatch,
    ScheduleDraft,
    UserDraft,
    UserPatch,
)
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft

LAB = {
    "siteId": "1",
    "name": "Lab",
    "zone": "Second floor",
    "entryReader": "entry",
    "exitReader": "",
    "strikeSeconds": "4",
    "heldSeconds": "20",
    "needsPin": "on",
    "degraded": "refuse",
    "controllerId": "",
}


async def front_door(town: Town) -> int:
    """Alice's one door, which has no controller."""
    alice = town.client(town.alice)
    site = await alice.add_site(SiteDraft("Harbour House", "Pier 4", "Europe/Berlin"))
    return (await alice.add_access_point(AccessPointDraft(site.id, "Front door"))).id


@asynccontextmanager
async def dora(town: Town, folder: Path, door: int) -> AsyncIterator[Edge]:
    """The real controller at the door, linked and in step."""
    alice = town.client(town.alice)
    controller = await alice.add_controller(ControllerDraft("Dora", [door]))
    code = (await alice.make_enrolment_code(controller.id)).code
    async with served(composed(town.app, Website(town.app))) as url:
        config = await asyncio.to_thread(enrol, code, url, folder / "edge.toml", folder)
        async with running(config, VirtualWiring()) as edge:
            await until_in_step(alice, controller.id)
            yield edge


async def until_in_step(alice: Client, controller: int) -> None:
    async with asyncio.timeout(30):
        while (found := await alice.get_controller(controller)).revision != found.confirmed_revision:
            await asyncio.sleep(0.02)


async def test_a_newcomer_makes_a_site_and_its_first_door(town: Town) -> None:
    async with browser(town) as http:
        assert "No sites yet" in (await http.get("/doors")).text
        new = {"name": "Harbour House", "location": "Pier 4", "timezone": "Europe/Berlin"}
        made = await send(http, "/doors/sites/new", **new)
        assert "No doors here yet." in (await http.get(made.headers["location"])).text
        made = await send(http, "/doors/new", **LAB)
        page = (await http.get(made.headers["location"])).text
        for said in ("Lab is there", "Second floor", "Decides for each person", "no controller", "Nobody yet"):
            assert said in page
        changed = await send(http, "/doors/1/change", **{**LAB, "name": "Laboratory", "strikeSeconds": "2,5"})
        assert changed.status_code == 303
        assert "Laboratory" in (await http.get("/doors")).text
        assert "for 2.5 seconds" in (await http.get("/doors/1")).text


async def test_no_two_sites_and_no_two_doors_of_one_are_called_the_same(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        annexe = await house.alice.add_site(SiteDraft("Annexe"))
        conn = await asyncpg.connect(town.dsn)
        for table in ("sites", "access_points"):
            await conn.execute(f"UPDATE {table} SET created_at = created_at - 60")
        await conn.close()
        site, door = {"name": "harbour house", "location": "", "timezone": "UTC"}, {**LAB, "name": "front DOOR"}
        for path, fields, said in (
            ("/doors/sites/new", site, "There is a site of this name already"),
            (f"/doors/sites/{annexe.id}", site, "There is a site of this name already"),
            ("/doors/new", door, "There is a door of this name at this site already"),
        ):
            refused = await send(http, path, **fields)
            assert (refused.status_code, said in refused.text) == (400, True), path
        assert (await send(http, "/doors/new", **{**door, "siteId": str(annexe.id)})).status_code == 303
        own = await send(http, f"/doors/{house.front}/change", **door)
        assert own.status_code == 303, "its own name in other letters"


async def test_what_is_wrong_stands_at_its_field_and_nothing_is_lost(town: Town) -> None:
    await front_door(town)
    async with browser(town) as http:
        page = await send(http, "/doors/new", **{**LAB, "strikeSeconds": "soon"})
        assert page.status_code == 400
        assert 'value="soon" aria-invalid="true"' in page.text
        assert "Please enter a number" in page.text
        page = await send(http, "/doors/new", **{**LAB, "heldSeconds": "0"})
        assert "From 1 to 86400 seconds." in page.text
        assert 'value="Second floor"' in page.text
        page = await send(http, "/doors/sites/new", name="X", location="", timezone="Berlin")
        assert "An IANA time zone is needed" in page.text
        page = await send(http, "/doors/sites/1/delete", "/doors/sites/1")
        assert (page.status_code, "Doors still belong to this site" in page.text) == (409, True)


async def test_unlocking_a_door_that_nobody_can_reach_says_that_it_stays_shut(town: Town) -> None:
    door = await front_door(town)
    async with browser(town) as http:
        assert "cannot be told now" in (await http.get(f"/doors/{door}")).text
        answer = await send(http, f"/doors/{door}/unlock", f"/doors/{door}")
        assert "stays shut, and will not open later" in (await http.get(answer.headers["location"])).text


async def test_a_double_click_unlocks_once(town: Town, tmp_path: Path) -> None:
    door = await front_door(town)
    async with dora(town, tmp_path, door), browser(town) as http:
        sent = {"csrf": proof_in((await http.get(f"/doors/{door}")).text)}
        answers = await asyncio.gather(*(http.post(f"/doors/{door}/unlock", data=sent) for _ in range(2)))
        assert [answer.status_code for answer in answers] == [303, 303]
        assert "Front door was unlocked once, just now." in (await http.get(f"/doors/{door}")).text
        events = (await town.client(town.alice).page_events(limit=200)).events
    assert [event.type for event in events].count("unlock_requested") == 1


async def test_a_real_door_is_unlocked_held_locked_and_set_back(town: Town, tmp_path: Path) -> None:
    door = await front_door(town)
    async with dora(town, tmp_path, door), browser(town) as http:

        async def do(verb: str, **fields: str) -> str:
            answer = await send(http, f"/doors/{door}/{verb}", f"/doors/{door}", **fields)
            return (await http.get(answer.headers["location"])).text

        page = await do("unlock")
        assert "Front door was unlocked once, just now." in page
        async with asyncio.timeout(30):  # the entry comes up with the journal
            while '<b class="who">Ada</b> unlocked it' not in page:
                page = (await http.get(f"/doors/{door}")).text
        page = await do("hold", minutes="15")
        assert "Front door: Open for everybody until" in page
        assert "The door has confirmed it." in page
        page = await do("lock")
        assert "Front door: Locked for everybody. The door has confirmed it." in page
        assert ("Set it back to normal first." in page, "Unlock once" in page) == (True, False)
        page = await do("unlock")
        assert "Front door stayed shut." in page
        page = await do("normal")
        assert "Front door: Decides for each person. The door has confirmed it." in page
        wrong = await send(http, f"/doors/{door}/hold", f"/doors/{door}", minutes="a while")
        assert (wrong.status_code, "Please enter whole minutes" in wrong.text) == (400, True)


async def test_who_may_open_it_and_whether_the_door_knows(town: Town) -> None:
    door = await front_door(town)
    alice = town.client(town.alice)
    early = await alice.add_schedule(ScheduleDraft("Early", [[Interval(420, 960)]] * 5 + [[]] * 2))
    bob = await alice.add_user(UserDraft("Bob <b>"))
    grant = GrantDraft(door, ends_at=int(time.time()) + 86_400, schedule_id=early.id)
    await alice.change_permissions(bob.id, PermissionsPatch([grant]))
    async with browser(town) as http:
        page = (await http.get(f"/doors/{door}")).text
    for said in (f'<a href="/people/{bob.id}">Bob &lt;b&gt;</a>', "pending", "since", "Early", "to "):
        assert said in page
    assert "<dt>Mon–Fri</dt><dd>07:00–16:00</dd><dt>Sat–Sun</dt><dd>never</dd><dt>Holidays</dt><dd>never</dd>" in page


async def test_whom_the_door_refuses_is_not_said_to_have_it(town: Town) -> None:
    door, now = await front_door(town), int(time.time())
    alice = town.client(town.alice)
    dan, eva, ina = [await alice.add_user(UserDraft(name, access_points=[door])) for name in ("Dan", "Eva", "Ina")]
    await alice.change_user(dan.id, UserPatch(is_active=False))
    await alice.change_user(eva.id, UserPatch(access_expires_at=now - 60))
    over, early = await alice.add_user(UserDraft("Otto")), await alice.add_user(UserDraft("Edna"))
    await alice.change_permissions(over.id, PermissionsPatch([GrantDraft(door, ends_at=now - 60)]))
    async with browser(town) as http:
        page = (await http.get(f"/doors/{door}")).text
        for person, said in ((dan, "deactivated"), (eva, "access ended"), (over, "over"), (ina, "pending")):
            row = page[page.index(f'/people/{person.id}"') :]
            assert re.findall(r'class="tag[^>]*>([^<]+)<', row[: row.index("</tr>")]) == [said]
        assert '<span class="tag ">over</span>' in (await http.get(f"/people/{over.id}")).text
        page = (await http.get(f"/people/{ina.id}")).text
        assert f'<a href="/doors/{door}">Front door</a>' in page
        assert "the door has no controller yet" in page
    given = Permission(early.id, door, now + 60, None, None, "assigned", now, "Edna")
    behind = DoorState(door, "locked", None, True, "online", now, False, None, False, None, now)
    assert stand_of(given, now) == "early"
    assert states_of(replace(given, user_is_active=False), behind, now) == ["deactivated", "unheard"]


async def test_visitors_of_today_may_open_it_too(town: Town) -> None:
    door = await front_door(town)
    alice = town.client(town.alice)
    other = (await alice.add_access_point(AccessPointDraft(1, "Lab"))).id
    for key, doors in (("vic", [door]), ("nadia", [other, door]), ("otto", [other])):
        await alice.add_meeting(visit(*doors, key=key, minutes=1))
    async with browser(town) as http:
        assert '<a href="/visitors">and 2 visitors today</a>' in (await http.get(f"/doors/{door}")).text
        await alice.change_organisation(OrganisationPatch(visitor_module=False))
        assert "visitors today" not in (await http.get(f"/doors/{door}")).text


async def test_lists_go_on_page_by_page(town: Town) -> None:
    door = await front_door(town)
    alice = town.client(town.alice)
    for n in range(22):
        await alice.add_user(UserDraft(f"Worker {n:02}", access_points=[door]))
    async with browser(town) as http:
        page = (await http.get(f"/doors/{door}")).text
        assert "Worker 19" in page
        assert "Worker 20" not in page
        more = page.partition('<a href="/doors/1?who=')[2].partition("#")[0]
        assert "Worker 20" in (await http.get(f"/doors/1?who={more}")).text


async def test_a_site_admin_steers_the_doors_of_their_sites_alone(town: Town) -> None:
    door = await front_door(town)
    alice = town.client(town.alice)
    other = await alice.add_site(SiteDraft("Annexe"))
    gate = await alice.add_access_point(AccessPointDraft(other.id, "Gate"))
    async with browser(town, ["site_admin"], admin_of_sites=[1]) as http:
        page = (await http.get("/doors")).text
        assert "Front door" in page
        assert "Gate" not in page
        assert "Add a site" not in page
        assert (await http.get(f"/doors/{gate.id}")).status_code == 404
        page = (await http.get(f"/doors/{door}/change")).text
        assert "Delete this door" not in page
        assert 'name="controllerId"' not in page
        locked = await send(http, f"/doors/{door}/lock", f"/doors/{door}")
        assert "Locked for everybody" in (await http.get(locked.headers["location"])).text
        assert (await http.get("/controllers")).status_code == 403


@pytest.mark.parametrize("role", ["end_user", "front_desk", "manager"])
async def test_others_are_offered_no_doors(town: Town, role: str) -> None:
    door = await front_door(town)
    await town.client(town.alice).change_organisation(OrganisationPatch(attendance_module=True))
    async with browser(town, [role]) as http:
        assert (await http.get(f"/doors/{door}")).status_code == 403
        assert 'href="/doors"' not in (await http.get("/account")).text
