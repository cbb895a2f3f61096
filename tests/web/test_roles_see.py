"""Each role sees exactly its own: what the menu offers, and what every page answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from tests.sdk.town import Town, visit
from tests.web.cast import employ, log_in, stranger

from latchwork.web.app import Website
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.people import GrantDraft, Interval, PermissionsPatch, ScheduleDraft, UserDraft, UserPatch
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft

MENU = {
    "super_admin": ["/", "/doors", "/people", "/visitors", "/controllers", "/reports", "/settings", "/mine"],
    "site_admin": ["/", "/doors", "/people", "/visitors", "/reports", "/settings", "/mine"],
    "front_desk": ["/visitors", "/mine"],
    "manager": ["/people", "/reports", "/mine"],
    "end_user": ["/mine"],
}
HOME = {"front_desk": "/visitors", "manager": "/reports", "end_user": "/mine"}
"""Where somebody begins to whom the first page is not shown."""
EVERYBODY = {
    "/log-in", "/log-in/callback", "/reset", "/password/{token}", "/visit/{secret}", "/static/{name}",
    "/account", "/mine", "/",
}  # fmt: skip
WHO = (
    ("super_admin site_admin manager", "/live /people /people/export.csv /people/{user_id}"),
    ("super_admin site_admin manager", "/reports /reports/history.csv /reports/attendance /reports/attendance.csv"),
    ("super_admin site_admin", "/doors /doors/{door_id} /doors/{door_id}/change"),
    ("super_admin site_admin", "/people/new /people/names /people/{user_id}/edit /people/{user_id}/delete"),
    ("super_admin site_admin", "/people/{user_id}/doors/{door_id} /why /people/explain"),
    ("super_admin site_admin front_desk", "/visitors /visitors/expected /visitors/history /visitors/hosts"),
    ("super_admin site_admin front_desk", "/visitors/book /visitors/{meeting_id} /visitors/{meeting_id}/change"),
    ("super_admin site_admin front_desk", "/visitors/{meeting_id}/end /visitors/{meeting_id}/cancel"),
    ("super_admin front_desk", "/visitors/{meeting_id}/delete-visitor"),
    ("super_admin", "/doors/new /doors/sites/new /doors/sites/{site_id} /people/import /people/template.csv"),
    ("super_admin site_admin manager", "/settings/log /settings/terms"),
    ("super_admin site_admin", "/settings /settings/holidays /settings/schedules"),
    ("super_admin", "/settings/schedules/{schedule_id}"),
    ("super_admin", "/settings/schedules/new /settings/clients /settings/clients/new /settings/clients/{client_id}"),
    ("super_admin", "/settings/sign-in /settings/keys"),
    ("super_admin", "/controllers /controllers/new /controllers/{controller_id}"),
    ("super_admin", "/controllers/{controller_id}/change /controllers/{controller_id}/enrol"),
)
"""Roles, and the pages that are theirs and nobody else's."""
ASKED = {"/reports/attendance.csv": "?user={user_id}&month=2026-01"}
"""What a page has to be asked."""
SHARED = ("/live", "/settings/schedules/{schedule_id}")
"""An endless feed, and what belongs to the whole organisation."""
ROLES_OF = {page: set(roles.split()) for roles, pages in WHO for page in pages.split()}


@dataclass
class House:
    site: int
    parts: dict[str, Any]

    def path(self, page: str) -> str:
        return (page + ASKED.get(page, "")).format_map(self.parts)


async def built(town: Town, name: str) -> House:
    """A site with one of everything."""
    alice = town.client(town.alice)
    site = (await alice.add_site(SiteDraft(name))).id
    door = (await alice.add_access_point(AccessPointDraft(site, f"Door of {name}"))).id
    controller = (await alice.add_controller(ControllerDraft(f"Dora of {name}", [door]))).id
    bob = (await alice.add_user(UserDraft(f"Bob of {name}", home_site_id=site))).id
    await alice.change_permissions(bob, PermissionsPatch(add=[GrantDraft(door)]))
    meeting = (await alice.add_meeting(visit(door, key=name))).id
    schedule = (await alice.add_schedule(ScheduleDraft("Always", [[Interval(0, 1440)]] * 7))).id
    client = (await alice.page_clients(limit=1)).items[0].id
    ids = {
        "schedule_id": schedule,
        "client_id": client,
        "door_id": door,
        "site_id": site,
        "controller_id": controller,
        "user_id": bob,
        "meeting_id": meeting,
    }
    return House(site, {**ids, "token": "x", "secret": "x", "name": "site.css"})


async def hired(town: Town, role: str, site: int) -> int:
    return await employ(town, "Ada", [role], home_site_id=site, admin_of_sites=[site] if role == "site_admin" else [])


async def status(http: httpx2.AsyncClient, path: str) -> int:
    async with http.stream("GET", path) as answer:
        return answer.status_code


def test_every_page_is_somebodys() -> None:
    assert set(Website("http://localhost").pages()) == EVERYBODY | ROLES_OF.keys()


@pytest.mark.parametrize("role", MENU)
async def test_a_role_sees_exactly_its_own(town: Town, role: str) -> None:
    alice = town.client(town.alice)
    await alice.change_organisation(OrganisationPatch(attendance_module=True))
    harbour = await built(town, "Harbour House")
    ada = await hired(town, role, harbour.site)
    await alice.change_user(harbour.parts["user_id"], UserPatch(reporting_to=ada))
    async with stranger(Website(town.app)) as http:
        await log_in(http, "Ada")
        first = await http.get("/")
        assert first.headers.get("location", "/") == HOME.get(role, "/")
        menu = (await http.get(HOME.get(role, "/"))).text
        menu = menu.partition('class="menu"')[2].partition("</nav>")[0]
        assert re.findall(r'<li><a href="([^"]+)"', menu) == MENU[role]
        for page, roles in ROLES_OF.items():
            if page != "/live" or role not in roles:
                answered = await status(http, harbour.path(page))
                assert (answered in (200, 303)) is (role in roles), (page, answered)
                assert role in roles or answered == 403, page


@pytest.mark.parametrize("role", ["site_admin", "manager"])
async def test_whoever_runs_a_part_sees_nothing_of_the_rest(town: Town, role: str) -> None:
    alice = town.client(town.alice)
    await alice.change_organisation(OrganisationPatch(attendance_module=True))
    site = (await alice.add_site(SiteDraft("Annexe"))).id
    await hired(town, role, site)
    harbour = await built(town, "Harbour House")
    async with stranger(Website(town.app)) as http:
        await log_in(http, "Ada")
        for page in (page for page, roles in ROLES_OF.items() if role in roles and page not in SHARED):
            answer = await http.get(harbour.path(page))
            assert "Harbour House" not in answer.text, page
            assert answer.status_code == 404 or "{" not in page + ASKED.get(page, ""), page


async def test_a_stranger_sees_nothing(town: Town) -> None:
    harbour = await built(town, "Harbour House")
    async with stranger(Website(town.app)) as http:
        for page in (*ROLES_OF, "/", "/account"):
            answer = await http.get(harbour.path(page))
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/log-in"), page
