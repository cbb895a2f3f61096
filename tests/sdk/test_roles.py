"""What each role may do through the API: every native operation, row by row, for a user of every role.

The admin of one site, the manager of one person, the front desk, a super admin and an end user each call each operation
with ids within reach and with ids out of it. An operation without a row fails the test.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
import pytest
import pytest_asyncio
from tests.sdk.pocket import phone_of
from tests.sdk.test_tenants import LOGGING_IN, NOBODYS, PATHS, ROWS, Takes, filled, masked, unstamped
from tests.sdk.town import CLOUD, Operation, Town

from latchwork.sdk.client import Client, Credentials
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.passages import DoorModeDraft, UnlockDraft
from latchwork.wire.api.people import CardDraft, GrantDraft, Interval, PermissionsPatch, RoleName, ScheduleDraft
from latchwork.wire.api.people import UserDraft as Draft
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft
from latchwork.wire.api.visitors import MeetingDraft, MeetingVisitor

# ------------------------------------------------------------------------------------------------- the table

Reach = Literal["own", "all"]
_ADMIN: Mapping[RoleName, Reach] = {"site_admin": "own"}
_DESK: Mapping[RoleName, Reach] = {"site_admin": "own", "front_desk": "all"}
_MANAGER: Mapping[RoleName, Reach] = {"site_admin": "own", "manager": "own"}
_EVERYBODY: Mapping[RoleName, Reach] = {**_MANAGER, "front_desk": "all", "end_user": "own"}


@dataclass(frozen=True)
class Row:
    """Who may, beside the super admin, and how far."""

    roles: Mapping[RoleName, Reach] = field(default_factory=dict)
    body: Any = None
    """`{name}` stands for an id of the things that are handed in."""
    expected: int = 200
    query: str = ""
    shows: bool = False
    """The answer holds what is within reach by its name, and nothing else."""


NOW = int(time.time())
_MEETING = {"startTime": NOW, "endTime": NOW + 3600, "accessPoints": ["{door}"]}

TABLE: dict[str, Row] = {
    "whoami": Row(_EVERYBODY),
    "get_organisation": Row(),
    "change_organisation": Row(body={"meetingMaxDays": 30}),
    "set_identity_provider": Row(
        body={"name": "Own", "issuer": "https://id.example", "clientId": "c", "clientSecret": "s"}
    ),
    "get_identity_provider": Row(),
    "remove_identity_provider": Row(expected=204),
    "page_clients": Row(),
    "add_client": Row(body={"name": "New", "scopes": []}, expected=201),
    "get_client": Row(),
    "change_client": Row(body={"name": "Other"}),
    "rotate_secret": Row(),
    "revoke_client": Row(expected=204),
    "page_events": Row(_MANAGER, shows=True),
    "last_event": Row(_MANAGER),
    "page_alarms": Row(_MANAGER),
    "acknowledge_alarm": Row(_ADMIN, {"note": "Seen"}, 404),  # no alarm; tests/cloud/test_alarms.py has some
    "page_sites": Row(_DESK, shows=True),
    "add_site": Row(body={"name": "New"}, expected=201),
    "get_site": Row(_DESK, shows=True),
    "change_site": Row(body={"location": "Elsewhere"}),
    "remove_site": Row(expected=409),
    "page_access_points": Row(_DESK, shows=True),
    "add_access_point": Row(body={"siteId": "{site}", "name": "Door"}, expected=201),
    "get_access_point": Row(_DESK, shows=True),
    "change_access_point": Row(_ADMIN, {"zone": "Lobby"}, shows=True),
    "remove_access_point": Row(expected=204),
    "page_controllers": Row(),
    "add_controller": Row(body={"name": "New"}, expected=201),
    "get_controller": Row(),
    "change_controller": Row(body={"name": "Other"}),
    "remove_controller": Row(expected=204),
    "make_enrolment_code": Row(expected=201),
    "rebuild_controller": Row(),
    "accept_snapshot": Row(expected=409),
    "list_pass_keys": Row(),
    "add_pass_key": Row(expected=201),
    "activate_pass_key": Row(body={"acceptUnconfirmed": True}),
    "remove_pass_key": Row(expected=204),
    "page_visitors": Row(_DESK, shows=True),
    "add_visitor": Row(_DESK, {"key": "{fresh}"}, 201),
    "get_visitor": Row(_DESK, shows=True),
    "change_visitor": Row(_DESK, {"company": "Co"}, shows=True),
    "remove_visitor": Row({"front_desk": "all"}, expected=204),
    "page_meetings": Row(_DESK, shows=True),
    "add_meeting": Row(_DESK, {**_MEETING, "visitor": {"key": "{fresh}"}}, 201),
    "get_meeting": Row(_DESK, shows=True),
    "change_meeting": Row(_DESK, {"endTime": NOW + 7200}, shows=True),
    "remove_meeting": Row(_DESK, expected=204),
    "issue_pass": Row(_DESK),
    "draw_svg": Row(_DESK),
    "draw_png": Row(_DESK),
    "page_users": Row(_MANAGER, shows=True),
    "add_user": Row(_ADMIN, {"name": "New", "homeSiteId": "{site}", "accessPoints": ["{door}"]}, 201),
    "import_users": Row(body={"csv": "name\nNew\n"}),
    "export_users": Row(_MANAGER, shows=True),
    "get_user": Row(_MANAGER, shows=True),
    "change_user": Row(_ADMIN, {"gender": "other"}, shows=True),
    "get_user_account": Row(_MANAGER, expected=404),
    "invite_user": Row(_ADMIN, expected=400),
    "remove_user_account": Row(_ADMIN, expected=404),
    "remove_user": Row(_ADMIN, expected=204),
    "page_permissions": Row(_ADMIN),
    "change_permissions": Row(_ADMIN, {"add": [{"accessPointId": "{door}"}]}),
    "page_door_permissions": Row(_ADMIN),
    "change_door_permissions": Row(_ADMIN, {"add": [{"userId": "{user}"}]}),
    "list_roles": Row(_MANAGER),
    "list_terms": Row(_MANAGER),
    "add_term": Row(body={"name": "{fresh}"}, expected=201),
    "remove_term": Row(expected=204),
    "list_cards": Row(_MANAGER),
    "add_card": Row(_ADMIN, {"number": "{number}"}, 201),
    "get_card": Row(_ADMIN),
    "remove_card": Row(_ADMIN, expected=204),
    "list_phones": Row(_MANAGER),
    "remove_phone": Row(_ADMIN, expected=204),
    "list_app_sessions": Row(_MANAGER),
    "end_app_session": Row(_ADMIN, expected=204),
    "page_schedules": Row(_ADMIN),
    "add_schedule": Row(body={"name": "New", "week": [[[480, 720]]] * 7}, expected=201),
    "get_schedule": Row(_ADMIN),
    "change_schedule": Row(body={"name": "Other"}),
    "remove_schedule": Row(expected=204),
    "get_holidays": Row(_ADMIN),
    "set_holidays": Row(_ADMIN, {"dates": ["2027-01-01"]}),
    "page_passages": Row(_MANAGER, shows=True),
    "get_passage": Row(_MANAGER, shows=True),
    "page_meeting_passages": Row(_DESK),
    "list_meeting_doors": Row(_DESK),
    "make_visit_link": Row(_DESK),
    "check_in": Row(_DESK, shows=True),
    "check_out": Row(_DESK, shows=True),
    "end_meeting": Row(_DESK, shows=True),
    "list_hosts": Row(_DESK),
    "page_door_states": Row(_DESK),
    "get_door_state": Row(_DESK),
    "count_passages": Row(_MANAGER, query="?since=0"),
    "get_attendance": Row(_MANAGER, query="?user={user}&month=2026-10", shows=True),
    "get_mode": Row(_DESK),
    "set_mode": Row(_ADMIN, {"mode": "locked"}),
    "unlock": Row(_ADMIN, {"userId": "{user}"}),
    "enrol_card": Row(_ADMIN, {"userId": "{user}"}, 409),
    "explain_decision": Row(_ADMIN, {"accessPointId": "{door}", "userId": "{user}"}),
}
PUBLIC = {"enrol", "pass_jwks", "show_visit", *LOGGING_IN}
"""Operations that need no token."""
EVERYBODYS = {"client", "controller", "kid", "schedule", "term"}
"""Things that belong to no site: who may see some may see all."""

# ------------------------------------------------------------------------------------------------- the cast's things

MARKS = ("Ownly", "Forane", "Reporta")
"""In every name of what is at one of the three sites: Sam's, nobody's, and where those work who report to Max."""


@dataclass
class Stage:
    town: Town
    http: httpx2.AsyncClient
    operations: Mapping[str, Operation]
    cloud: Client
    sites: dict[str, int]
    """By mark."""
    users: dict[RoleName, int]
    tokens: dict[RoleName, str] = field(default_factory=dict)
    numbers: int = 1000

    def fresh(self) -> int:
        self.numbers += 1
        return self.numbers

    async def things_at(self, mark: str) -> dict[str, Any]:
        """One of everything, never touched before, at the site of this mark; its user was refused at its door."""
        cloud, site, number = self.cloud, self.sites[mark], self.fresh()
        door = (await cloud.add_access_point(AccessPointDraft(site, f"{mark} door"))).id
        guest = MeetingVisitor(f"{mark}-{number}", name=f"{mark} Vic")
        meeting = await cloud.add_meeting(MeetingDraft(guest, NOW, NOW + 3600, [door]))
        chief = self.users.get("manager") if mark == "Reporta" else None
        user = (await cloud.add_user(Draft(f"{mark} Bob", home_site_id=site, reporting_to=chief))).id
        card = (await cloud.add_card(user, CardDraft(number))).id
        phone, session = await phone_of(cloud, user, f"{mark} phone")
        schedule = (await cloud.add_schedule(ScheduleDraft("Week", [[Interval(0, 1440)]] * 7))).id
        await cloud.change_permissions(user, PermissionsPatch([GrantDraft(door)]))
        await cloud.set_mode(door, DoorModeDraft("locked"))
        await cloud.unlock(door, UnlockDraft(user))
        ids = {"site": site, "door": door, "user": user, "card": card, "schedule": schedule, "meeting": meeting.id}
        refusal = (await cloud.page_passages(door=door)).items[0].number
        ids |= {"phone": phone, "session": session}
        return {**ids, "visitor": meeting.visitor.id, "visitor_key": guest.key, "refusal": refusal, **await self.any()}

    async def any(self) -> dict[str, Any]:
        """One of everything that is at no site."""
        cloud, number = self.cloud, self.fresh()
        controller = await cloud.add_controller(ControllerDraft("Dora"))
        async with httpx2.AsyncClient(transport=self.town.line(), base_url=CLOUD, headers=self.http.headers) as http:
            client = (await http.post("/v1/clients", json={"name": "Reader", "scopes": []})).json()
            term = (await http.post("/v1/terms", json={"name": f"term {number}"})).json()
        kid = (await cloud.add_pass_key()).kid
        ids = {"client": client["id"], "controller": controller.id, "kid": kid, "term": term["id"]}
        return {**ids, "fresh": f"fresh-{number}", "number": 500_000 + number}

    async def call(self, role: RoleName, name: str, row: Row, things: Mapping[str, Any]) -> httpx2.Response:
        operation = self.operations[name]
        path = operation.path.format(**filled({each: PATHS[each] for each in operation.parameters("path")}, things))
        if name in ("page_events", "page_users", "page_passages", "page_visitors", "page_meetings"):
            path += "?limit=200"
        path += row.query.format(**things)
        return await self.asked(role, operation.method, path, filled(row.body, things))

    async def asked(self, role: RoleName, method: str, path: str, body: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.tokens[role]}"}
        return (
            await self.http.request(method, path, json=body, headers=headers)
            if body is not None
            else (await self.http.request(method, path, headers=headers))
        )


@pytest_asyncio.fixture
async def stage(town: Town) -> AsyncIterator[Stage]:
    cloud = town.client(town.alice)
    await cloud.change_organisation(OrganisationPatch(attendance_module=True))
    sites = {mark: (await cloud.add_site(SiteDraft(f"{mark} site"))).id for mark in MARKS}
    async with httpx2.AsyncClient(transport=town.line(), base_url=CLOUD) as http:
        http.headers["authorization"] = await bearer(http, town.alice)
        users: dict[RoleName, int] = {}
        for role in ("end_user", "site_admin", "super_admin", "front_desk", "manager"):
            home = sites["Ownly"] if role == "site_admin" else (await cloud.add_site(SiteDraft(f"At home: {role}"))).id
            admin_of = [sites["Ownly"]] if role == "site_admin" else []
            draft = Draft(f"The {role}", home_site_id=home, roles=[role], admin_of_sites=admin_of)  # type: ignore[list-item]
            users[role] = (await cloud.add_user(draft)).id  # type: ignore[index]
        stage = Stage(town, http, await town.operations(), cloud, sites, users)
        for role, user in users.items():
            stage.tokens[role] = await token_for(http, town.alice, user)
        yield stage


async def bearer(http: httpx2.AsyncClient, who: Credentials) -> str:
    form = {"grant_type": "client_credentials", "client_id": who.client_id, "client_secret": who.client_secret}
    return f"Bearer {(await http.post('/oauth2/token', data=form)).json()['access_token']}"


async def token_for(http: httpx2.AsyncClient, who: Credentials, user: int) -> str:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": str(user),
        "subject_token_type": "urn:latchwork:params:oauth:token-type:user",
    }
    answer = await http.post("/oauth2/token", data=form, headers={"authorization": who.basic})
    token: str = answer.json()["access_token"]
    return token


# ------------------------------------------------------------------------------------------------- the tests


async def test_every_operation_has_a_row(town: Town) -> None:
    assert set(await town.operations()) == {*TABLE, *PUBLIC}


@pytest.mark.parametrize("role", ["end_user", "site_admin", "super_admin", "front_desk", "manager"])
async def test_a_role_may_do_what_the_table_says_and_nothing_else(stage: Stage, role: RoleName) -> None:
    own = "Reporta" if role == "manager" else "Ownly"
    shared = {mark: await stage.things_at(mark) for mark in MARKS}
    for name, row in TABLE.items():
        reach = "all" if role == "super_admin" else row.roles.get(role)
        touched = stage.operations[name].method == "DELETE" or name in ("add_card", "rotate_secret", "add_visitor")
        things = {mark: await stage.things_at(mark) for mark in (own, "Forane")} if touched and reach else shared
        within = await stage.call(role, name, row, things[own])
        assert within.status_code == (row.expected if reach else 403), (name, within.text)
        if reach is None:
            assert within.json()["code"] == "forbidden", name
        if reach and row.shows:
            assert own in within.text, (name, within.text)
        if reach == "own" and name != "whoami":
            await _reaches_no_further(stage, role, name, row, things["Forane"])
            assert not any(mark in within.text for mark in MARKS if mark != own), (name, within.text)


async def _reaches_no_further(stage: Stage, role: RoleName, name: str, row: Row, foreign: Mapping[str, Any]) -> None:
    named = {each for part in (PATHS.get(p, "") for p in stage.operations[name].parameters("path")) for each in [part]}
    ids = set(re.findall(r"{(\w+)}", f"{named} {row.body} {row.query}")) - {"fresh", "number"} - EVERYBODYS
    if ids:
        answer = await stage.call(role, name, row, foreign)
        assert answer.status_code == 404, (name, answer.text)


async def test_what_is_out_of_reach_behaves_as_what_does_not_exist(stage: Stage) -> None:
    """The table that keeps organisations apart, asked by the admin of one site about another."""
    own = {f"own_{name}": value for name, value in (await stage.things_at("Ownly")).items()}
    foreign = {**await stage.things_at("Forane"), **own}
    nobodys = {**NOBODYS, "visitor_key": "nobodys", **own}
    apart = re.compile(r"{(schedule|term|controller|client|kid|card_number|meeting_key|qr|code)}")
    for name, rows in ROWS.items():
        for row in rows:
            if TABLE[name].roles.get("site_admin") != "own" or not isinstance(row, Takes) or name == "add_visitor":
                continue
            paths = {each: row.path.get(each, PATHS[each]) for each in stage.operations[name].parameters("path")}
            if apart.search(f"{paths} {row.query} {row.body}"):
                continue
            assert await _told(stage, name, row, paths, foreign) == await _told(stage, name, row, paths, nobodys), name


async def _told(
    stage: Stage, name: str, row: Takes, paths: Mapping[str, str], ids: Mapping[str, Any]
) -> tuple[int, str, str]:
    path = stage.operations[name].path.format(**filled(dict(paths), ids)) + row.query.format(**ids)
    answer = await stage.asked("site_admin", stage.operations[name].method, path, filled(row.body, ids))
    handed_in = {ids[each] for each in re.findall(r"{(?!own_)(\w+)}", f"{paths} {row.query} {row.body}")}
    assert answer.status_code in (row.expected, 403), (name, answer.text)
    return unstamped((answer.status_code, "", masked(answer.text, handed_in)))


async def test_the_saams_wire_is_for_the_whole_organisation(stage: Stage) -> None:
    organisation = stage.town.alices_id
    users = f"/userManagement/integrator/v1/organisations/{organisation}/users"
    sites = f"/organisationManagement/v2/integrator/organisations/{organisation}/sites"
    wanted: dict[RoleName, tuple[int, int]] = {
        "site_admin": (403, 403),
        "manager": (403, 403),
        "front_desk": (403, 200),
        "end_user": (403, 403),
        "super_admin": (200, 200),
    }
    for role, statuses in wanted.items():
        answers = [await stage.asked(role, "POST", path, {}) for path in (users, sites)]
        assert tuple(answer.status_code for answer in answers) == statuses, (role, answers)
