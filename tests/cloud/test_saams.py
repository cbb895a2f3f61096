"""Promises of the SAAMS wire, by what saams-api.md says alone: its clients know a base URL and their credentials."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from cloud.cast import Account, Client, Cloud, Conn
from latchwork.cloud.saams.endpoints import router
from latchwork.cloud.saams.wire import ERROR_CODES
from latchwork.wire import p256
from latchwork.wire.pass_ import PassKey, verify

DOCS = Path(__file__).parents[2] / "docs"
IDM = "/saamsIdm/oauth"
CLIENT_CREDENTIALS = "urn:ietf:params:oauth:grant-type:client-credentials"


class Integrator:
    """A backend that somebody wrote against the SAAMS integrator API years ago."""

    def __init__(self, http: httpx2.AsyncClient, account: Account, token: str, scheme: str = "Bearer ") -> None:
        self.http, self.account, self.token, self.scheme = http, account, token, scheme
        self.o = account.organisation
        self.sites = f"/organisationManagement/v2/integrator/organisations/{self.o}/sites"
        self.doors = f"/organisationManagement/v1/integrator/organisations/{self.o}/sites/1/accessPoints/list"
        self.visits = f"/visitorManagementV3/integrator/v1/organisations/{self.o}"

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> httpx2.Response:
        content = {} if body is None else {"json": body}
        headers = {"authorization": self.scheme + self.token, **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **content, **more)

    async def good(self, method: str, path: str, body: object = None) -> Any:
        """The message of a success: HTTP 200, always."""
        response = await self.call(method, path, body)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer.keys() == {"type", "message"}
        assert answer["type"] == "success"
        return answer["message"]

    async def bad(self, status: int, method: str, path: str, body: object = None, **more: Any) -> dict[str, Any]:
        return failed(await self.call(method, path, body, **more), status)

    async def invite(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        body = {"userId": "vic", "startTime": now - 10, "endTime": now + 3600, "permissionsToAdd": [1]}
        return await self.good("POST", f"{self.visits}/meeting", {**body, **changes})


def failed(response: httpx2.Response, status: int) -> dict[str, Any]:
    """The message of an error: the true HTTP status, an integer code, one sentence."""
    assert response.status_code == status, response.text
    answer = response.json()
    assert answer.keys() == {"type", "message"}
    assert answer["type"] == "error"
    message = answer["message"]
    assert message.keys() == {"errorCode", "errorMessage"}
    assert type(message["errorCode"]) is int
    assert len(message["errorMessage"]) > 8
    assert message["errorMessage"].endswith(".")
    return message


@pytest.fixture
async def vendor(cloud: Cloud, accounts: dict[str, Account]) -> Integrator:
    return Integrator(cloud.http, accounts["alice"], accounts["alice"].token)


async def read_pass(alice: Client, text: str) -> Any:
    """What a reader learns from a QR, with the keys that anybody can fetch."""
    jwks = (await alice.cloud.http.get(f"/v1/pass-keys/{alice.organisation}")).json()["keys"]
    points = [b"\4" + p256.from_b64url(key["x"]) + p256.from_b64url(key["y"]) for key in jwks]
    keys = {p256.kid(p): PassKey(p256.kid(p), "organisation", p256.load_public(p)) for p in points}
    return verify(text, keys.get)


# ------------------------------------------------------------------------------------------------- every call


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", ""])
async def test_a_token_is_taken_bare_and_as_bearer(vendor: Integrator, scheme: str) -> None:
    vendor.scheme = scheme
    assert (await vendor.good("GET", f"{IDM}/organisation"))["organisationId"] == vendor.o
    await vendor.good("POST", vendor.sites, {})


@pytest.mark.parametrize("scheme", ["Basic ", "Token ", "JWT ", "Bearer Bearer "])
async def test_any_other_scheme_is_refused(vendor: Integrator, scheme: str) -> None:
    vendor.scheme = scheme
    await vendor.bad(401, "POST", vendor.sites, {})


async def test_no_token_or_what_is_none_is_refused(vendor: Integrator) -> None:
    for token in ("x", "a.b", "a.b.c", "a.b.c.d", "e30.e30.e30", f"{vendor.token}x"):
        vendor.token = token
        await vendor.bad(401, "POST", vendor.sites, {})
        await vendor.bad(401, "GET", f"{IDM}/organisation")
    assert (await vendor.http.post(vendor.sites)).status_code == 401


async def test_a_bare_token_is_good_on_these_paths_only(vendor: Integrator) -> None:
    assert (await vendor.http.get("/v1/whoami", headers={"authorization": vendor.token})).status_code == 401


async def test_error_codes_are_stable_integers(vendor: Integrator) -> None:
    async def code(status: int, method: str, path: str, body: object = None) -> int:
        return (await vendor.bad(status, method, path, body))["errorCode"]

    assert await code(400, "POST", f"{vendor.visits}/meeting", {}) == 1001
    assert await code(404, "DELETE", f"{vendor.visits}/meeting/999") == 1300
    assert await code(404, "GET", vendor.visits + "/nothing/here") == 1300
    assert await code(405, "PUT", f"{vendor.visits}/meeting", {}) == 1301
    vendor.token = "a.b.c"
    assert await code(401, "POST", vendor.sites) == 1100


@pytest.mark.parametrize("content", [b"", b"{}"])
async def test_no_body_at_all_equals_an_empty_object(vendor: Integrator, content: bytes) -> None:
    headers = {"authorization": vendor.token, "content-type": "application/json"}
    response = await vendor.http.post(vendor.sites, content=content, headers=headers)
    assert [site["name"] for site in response.json()["message"]["sites"]] == ["Head office"]


async def test_numeric_strings_are_numbers_and_unknown_fields_are_ignored(vendor: Integrator) -> None:
    now = int(time.time())
    made = await vendor.invite(
        userId=4711, startTime=str(now), endTime=str(now + 60), permissionsToAdd=["1", 2], purpose={"deep": [1]}
    )
    assert made["meetingId"] >= 1
    page = await vendor.good("POST", vendor.sites, {"pagination": {"page": "1", "perPage": "1", "total": "x"}})
    assert page["pagination"] == {"total": 1, "perPage": 1, "currentPage": 1}


@pytest.mark.parametrize("field", ["startTime", "endTime"])
@pytest.mark.parametrize("factor", [1000, 1_000_000])
async def test_times_of_13_and_16_digits_are_refused_with_a_sentence_that_says_milliseconds(
    vendor: Integrator, db: Conn, field: str, factor: int
) -> None:
    now = int(time.time())
    body = {"userId": "vic", "startTime": now, "endTime": now + 60, "permissionsToAdd": [1]}
    message = await vendor.bad(400, "POST", f"{vendor.visits}/meeting", {**body, field: body[field] * factor})
    assert "milliseconds" in message["errorMessage"]
    assert (await db.counts())["meetings"] == 0


async def test_lists_are_paged_and_a_page_past_the_end_is_empty(vendor: Integrator) -> None:
    async def page(**pagination: Any) -> tuple[list[int], dict[str, int]]:
        answer = await vendor.good("POST", vendor.doors, {"pagination": pagination})
        return [door["id"] for door in answer["accessPoints"]], answer["pagination"]

    assert await page(page=1, perPage=2) == ([1, 2], {"total": 3, "perPage": 2, "currentPage": 1})
    assert await page(page=2, perPage=2) == ([3], {"total": 3, "perPage": 2, "currentPage": 2})
    for past in (9, 2_000_000, 10**18, 10**30):
        assert await page(page=past, perPage=2) == ([], {"total": 3, "perPage": 2, "currentPage": past})
    everything, told = await page(page=1, perPage=-1)
    assert everything == [1, 2, 3]
    assert told["total"] == 3
    assert (await page(page=2, perPage=1, currentPage=7, per_page=50, current_page=3, total=99))[0] == [2]
    assert (await page())[1].keys() == {"total", "perPage", "currentPage"}


@pytest.mark.parametrize("pagination", [{"page": 0}, {"page": -1}, {"perPage": 0}, {"perPage": -2}, {"page": "x"}, 7])
async def test_a_page_that_cannot_be_is_refused(vendor: Integrator, pagination: Any) -> None:
    await vendor.bad(400, "POST", vendor.doors, {"pagination": pagination})


_LEGACY = "/v2/organisationManagement/integrator/organisations/{o}"
_PERMISSIONS = "/organisations/{o}/users/{userId}/permissions"
_DOOR = "organisations/{o}/accessPoint/{apId}"
_VISITS = "/visitorManagementV3/integrator/v1/organisations/{o}"
_USERS = "/userManagement/integrator/v1/organisations/{o}"
CALLS = [
    ("POST", "/saamsIdm/oauth/token"),
    ("GET", "/saamsIdm/oauth/organisation"),
    ("POST", "/organisationManagement/v2/integrator/organisations/{o}/sites"),
    ("POST", f"{_LEGACY}/sites"),
    ("POST", "/organisationManagement/v1/integrator/organisations/{o}/sites/{siteId}/accessPoints/list"),
    ("GET", "/accessManagementV3/integrator/v1/organisations/{o}/getAccessPointList"),
    ("POST", f"{_LEGACY}/accessPoint"),
    ("GET", f"{_USERS}/formData"),
    ("POST", f"{_USERS}/users/create"),
    ("POST", f"{_LEGACY}/users"),
    ("PATCH", f"{_USERS}/users/update"),
    ("POST", f"{_USERS}/users/delete"),
    ("POST", f"{_USERS}/users"),
    ("POST", f"{_LEGACY}/users/list"),
    ("POST", f"/accessManagementV3/integrator/v1{_PERMISSIONS}"),
    ("PATCH", f"/accessManagementV3/integrator/v1{_PERMISSIONS}"),
    ("PATCH", f"/organisationManagement/v4{_PERMISSIONS}"),
    *((m, f"/accessManagementV3/integrator/v1/{_DOOR}/users/permissions") for m in ("GET", "POST", "PATCH")),
    *((m, f"/accessManagementV3/v1/{_DOOR}/users/permissions") for m in ("GET", "POST", "PATCH")),
    ("POST", "/organisationManagement/v1/organisations/{o}/users/{userId}/assignCredential"),
    ("POST", "/organisationManagement/v1/organisations/{o}/users/{userId}/unassignCredential"),
    ("POST", f"{_LEGACY}/users/{{userId}}/assignCard"),
    ("POST", f"{_LEGACY}/users/{{userId}}/unassignCard"),
    ("POST", f"{_VISITS}/meeting"),
    ("PATCH", f"{_VISITS}/meeting/{{meetingId}}/update"),
    ("POST", f"{_VISITS}/meeting/{{meetingId}}/regenerateQr"),
    ("GET", f"{_VISITS}/meeting/{{meetingId}}/regenerateQr"),
    ("DELETE", f"{_VISITS}/meeting/{{meetingId}}"),
    ("DELETE", f"{_VISITS}/visitor/{{userId}}"),
    ("POST", f"{_LEGACY}/accessHistory"),
    ("POST", "/organisationManagement/v11/organisations/{o}/accessHistory"),
    ("POST", f"/organisationManagement/v2/{_DOOR}/remoteUnlock"),
    ("PATCH", "/organisationManagement/v1/organisations/{o}/sites/{siteId}/accessPoint/{apId}/doorState"),
]
"""Every call of the contract."""


def path_of(template: str, organisation: object) -> str:
    return re.sub(r"{\w+}", "1", template.replace("{o}", str(organisation)))


async def test_every_call_answers_a_browsers_preflight_without_credentials(vendor: Integrator) -> None:
    for method, template in CALLS:
        path = path_of(template, vendor.o)
        asked = {"origin": "https://page.test", "access-control-request-method": method}
        response = await vendor.http.options(path, headers=asked)
        assert response.status_code in (200, 204), path
        assert response.headers["access-control-allow-origin"] == "*"
        assert {"authorization", "content-type"} <= set(response.headers["access-control-allow-headers"].split(", "))
        assert method in response.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in response.headers
        for answer in (await vendor.call(method, path), await vendor.http.request(method, path)):
            assert answer.headers["access-control-allow-origin"] == "*", path


async def test_every_call_needs_a_token_of_its_own_organisation_bare_or_bearer(
    vendor: Integrator, accounts: dict[str, Account]
) -> None:
    for method, template in [each for each in CALLS if not each[1].endswith("/token")]:
        path = path_of(template, vendor.o)
        for scheme in ("Basic ", "Token "):
            vendor.scheme = scheme
            assert (await vendor.bad(401, method, path))["errorCode"] == 1100
        failed(await vendor.http.request(method, path), 401)
        for scheme in ("Bearer ", ""):
            vendor.scheme = scheme
            assert (await vendor.call(method, path)).status_code in (200, 400, 404), path
            for foreign in (accounts["charlie"].organisation, 0, 99_999, "x") if "{o}" in template else ():
                assert (await vendor.bad(404, method, path_of(template, foreign)))["errorCode"] == 1300


async def test_no_body_equals_an_empty_object_on_every_call(vendor: Integrator) -> None:
    for method, template in [each for each in CALLS if each[0] != "GET"]:
        path = path_of(template, vendor.o)
        empty = await vendor.call(method, path, {})
        none = await vendor.call(method, path, content=b"", headers={"content-type": "application/json"})
        assert (none.status_code, none.json()) == (empty.status_code, empty.json()), path


async def test_nothing_else_is_served_than_the_contract() -> None:
    served = {(m, r.path_format) for r in router.routes for m in r.methods if m != "OPTIONS"}  # type: ignore[attr-defined]
    assert served - set(CALLS) == {("DELETE", f"{_VISITS}/visitor")}
    assert set(CALLS) <= served


async def test_every_error_code_stands_in_the_docs_with_its_status() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| ([\d, ]+) \|", (DOCS / "saams.md").read_text(), re.MULTILINE)
    told = {
        (code, statuses.split(", ")[n % len(statuses.split(", "))])
        for codes, statuses in rows
        for n, code in enumerate(codes.split(", "))
    }
    assert told == {(str(code), str(kind.status)) for kind, code in ERROR_CODES.items()}
    assert len(set(ERROR_CODES.values())) == len(ERROR_CODES)


async def test_a_client_that_was_revoked_is_refused_within_a_second(vendor: Integrator, alice: Client) -> None:
    made = await alice.post("/v1/clients", {"name": "Old backend", "scopes": ["sites:read"]})
    body = {"clientId": made["clientId"], "clientSecret": made["clientSecret"]}
    vendor.token = (await vendor.http.post(f"{IDM}/token", json=body)).json()["message"]["payload"]["access_token"]
    await vendor.good("POST", vendor.sites)
    await alice.delete(f"/v1/clients/{made['id']}")
    await asyncio.sleep(1)
    await vendor.bad(401, "POST", vendor.sites)
    failed(await vendor.http.post(f"{IDM}/token", json=body), 401)


async def test_a_client_without_a_scope_is_forbidden_and_told_which(vendor: Integrator, alice: Client) -> None:
    made = await alice.post("/v1/clients", {"name": "Looker", "scopes": ["sites:read"]})
    body = {"clientId": made["clientId"], "clientSecret": made["clientSecret"]}
    vendor.token = (await vendor.http.post(f"{IDM}/token", json=body)).json()["message"]["payload"]["access_token"]
    told = await vendor.bad(403, "POST", f"{vendor.visits}/meeting", {})
    assert told["errorCode"] == 1200
    assert "visitors:write" in told["errorMessage"]


async def test_another_organisations_path_is_not_found(vendor: Integrator, charlie: Client) -> None:
    mine = f"/organisations/{vendor.o}"
    for foreign in (charlie.organisation, 0, -1, 10**30, "x", f"0{vendor.o}"):
        for method, path in (
            ("POST", vendor.sites),
            ("POST", vendor.doors),
            ("GET", f"/accessManagementV3/integrator/v1{mine}/getAccessPointList"),
            ("POST", f"{vendor.visits}/meeting"),
            ("PATCH", f"{vendor.visits}/meeting/1/update"),
            ("DELETE", f"{vendor.visits}/visitor/vic"),
        ):
            await vendor.bad(404, method, path.replace(mine, f"/organisations/{foreign}"))


# ------------------------------------------------------------------------------------------------- token


@pytest.mark.parametrize("grant", [CLIENT_CREDENTIALS, "client-credentials", "client_credentials", None])
async def test_a_token_is_issued_for_every_grant_type_in_use(vendor: Integrator, grant: str | None) -> None:
    account = vendor.account
    body = {"clientId": account.client_id, "clientSecret": account.client_secret, "grantType": grant}
    if grant is None:
        del body["grantType"]
    answer = (await vendor.http.post(f"{IDM}/token", json=body)).json()
    assert answer["type"] == "success"
    assert answer["message"].keys() == {"payload", "statusCode"}
    assert answer["message"]["statusCode"] == 200
    payload = answer["message"]["payload"]
    assert payload.keys() == {"access_token", "refresh_token", "token_type", "expires_in", "issued_token_type"}
    assert payload["token_type"] == "Bearer"
    assert payload["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert payload["expires_in"] == 86_400
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", payload["access_token"])
    vendor.token = payload["access_token"]
    await vendor.good("POST", vendor.sites)
    vendor.token = payload["refresh_token"]
    await vendor.bad(401, "POST", vendor.sites)


async def test_a_token_needs_the_right_secret_and_grant(vendor: Integrator) -> None:
    account = vendor.account
    right = {"clientId": account.client_id, "clientSecret": account.client_secret, "grantType": CLIENT_CREDENTIALS}
    for status, changes in (
        (401, {"clientSecret": "wrong"}),
        (401, {"clientId": "lw_0000000000000000"}),
        (401, {"clientId": "", "clientSecret": ""}),
        (400, {"grantType": "password"}),
        (400, {"grantType": ""}),
        (400, {"clientSecret": 5}),
        (400, {"clientId": None}),
    ):
        failed(await vendor.http.post(f"{IDM}/token", json={**right, **changes}), status)
    failed(await vendor.http.post(f"{IDM}/token", headers={"content-type": "application/json"}), 400)


# ------------------------------------------------------------------------------------------------- sites and doors

SITE = {"id", "name", "location", "timezone", "createdAt", "updatedAt"}
DOOR = {"id", "name", "siteId", "createdAt", "updatedAt"}
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def test_sites_are_listed_on_both_paths_and_filtered_by_name(vendor: Integrator, alice: Client) -> None:
    await alice.post("/v1/sites", {"name": "Branch"})
    legacy = await vendor.good("POST", f"/v2/organisationManagement/integrator/organisations/{vendor.o}/sites")
    listed = await vendor.good("POST", vendor.sites)
    assert listed == legacy
    assert [site["name"] for site in listed["sites"]] == ["Head office", "Branch"]
    assert all(site.keys() == SITE and site["id"] < 2**15 for site in listed["sites"])
    assert all(ISO.fullmatch(site["createdAt"]) and ISO.fullmatch(site["updatedAt"]) for site in listed["sites"])
    filtered = await vendor.good("POST", vendor.sites, {"filters": {"name": "bRaN"}})
    assert [site["name"] for site in filtered["sites"]] == ["Branch"]
    assert filtered["pagination"]["total"] == 1
    assert len((await vendor.good("POST", vendor.sites, {"filters": {"name": ""}}))["sites"]) == 2
    assert len((await vendor.good("POST", vendor.sites, {"filters": None, "pagination": None}))["sites"]) == 2


async def test_access_points_are_listed_by_site_and_for_all_on_every_path(vendor: Integrator, alice: Client) -> None:
    await alice.post("/v1/sites", {"name": "Branch"})
    await alice.post("/v1/access-points", {"siteId": 2, "name": "Branch 100%_door"})
    of_site = await vendor.good("POST", vendor.doors)
    assert [(d["id"], d["name"], d["siteId"]) for d in of_site["accessPoints"]] == [
        (1, "Front door", 1),
        (2, "Laboratory", 1),
        (3, "Store", 1),
    ]
    assert all(d.keys() == DOOR and ISO.fullmatch(d["createdAt"]) for d in of_site["accessPoints"])
    everywhere = await vendor.good(
        "GET", f"/accessManagementV3/integrator/v1/organisations/{vendor.o}/getAccessPointList"
    )
    legacy = await vendor.good("POST", f"/v2/organisationManagement/integrator/organisations/{vendor.o}/accessPoint")
    assert everywhere == legacy
    assert [d["id"] for d in everywhere["accessPoints"]] == [1, 2, 3, 4]
    assert everywhere["pagination"]["total"] == 4
    for filters, found in (
        ({"search": "LAB"}, [2]),
        ({"search": None}, [1, 2, 3]),
        ({"name": "front"}, [1]),
        ({"search": "%"}, []),
        ({"search": "_"}, []),
    ):
        listed = await vendor.good("POST", vendor.doors, {"filters": filters})
        assert [d["id"] for d in listed["accessPoints"]] == found
    await vendor.bad(404, "POST", vendor.doors.replace("/sites/1/", "/sites/9/"))
    await vendor.bad(404, "POST", vendor.doors.replace("/sites/1/", "/sites/x/"))


# ------------------------------------------------------------------------------------------------- meetings


async def test_a_visit_is_booked_and_its_qr_is_plain_text_that_a_reader_reads(
    vendor: Integrator, alice: Client
) -> None:
    made = await vendor.invite()
    assert made.keys() == {"meetingId", "visitorId", "qrData"}
    read = await read_pass(alice, made["qrData"])
    assert (read.meeting, read.visitor) == (made["meetingId"], made["visitorId"])
    assert list(read.doors) == [1]
    assert 40 < read.expires_at - time.time() <= 60


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (404, {"permissionsToAdd": [1, 99]}),
        (404, {"permissionsToAdd": ["99"]}),
        (404, {"permissionsToAdd": [0]}),
        (400, {"permissionsToAdd": ["x"]}),
        (400, {"startTime": None}),
        (400, {"endTime": 1}),
        (400, {"startTime": "soon"}),
    ],
)
async def test_a_visit_that_cannot_be_is_refused_and_nothing_is_booked(
    vendor: Integrator, db: Conn, status: int, changes: dict[str, Any]
) -> None:
    now = int(time.time())
    body = {"userId": "vic", "startTime": now, "endTime": now + 60, "permissionsToAdd": [1], **changes}
    await vendor.bad(status, "POST", f"{vendor.visits}/meeting", body)
    counts = await db.counts()
    assert counts["meetings"] == counts["visitors"] == 0


async def test_the_same_user_id_is_the_same_visitor_and_a_new_meeting(vendor: Integrator) -> None:
    first, second = await vendor.invite(), await vendor.invite()
    other = await vendor.invite(userId="bob")
    assert first["visitorId"] == second["visitorId"] != other["visitorId"]
    assert len({first["meetingId"], second["meetingId"], other["meetingId"]}) == 3


async def test_a_qr_is_regenerated_by_post_and_get(vendor: Integrator, alice: Client) -> None:
    made = await vendor.invite()
    path = f"{vendor.visits}/meeting/{made['meetingId']}/regenerateQr"
    texts = {made["qrData"]}
    for method in ("POST", "GET"):
        again = await vendor.good(method, path)
        assert again.keys() == {"meetingId", "visitorId", "qrData", "expiresAt"}
        assert (again["meetingId"], again["visitorId"]) == (made["meetingId"], made["visitorId"])
        assert 40 < again["expiresAt"] - time.time() <= 61
        assert (await read_pass(alice, again["qrData"])).expires_at == again["expiresAt"]
        texts.add(again["qrData"])
    assert len(texts) == 3


async def test_a_changed_meeting_revokes_and_one_that_did_not_change_revokes_nothing(
    vendor: Integrator, alice: Client, db: Conn
) -> None:
    made = await vendor.invite()
    path = f"{vendor.visits}/meeting/{made['meetingId']}/update"
    before = await read_pass(alice, made["qrData"])
    same = await vendor.good("PATCH", path, {"permissionsToAdd": [1], "permissionsToRemove": [2]})
    assert same.keys() == {"meetingId", "visitorId", "qrData"}
    await vendor.good("PATCH", path, {})
    await vendor.good("PATCH", path)
    assert await db.value("SELECT count(*) FROM meeting_revocations") == 0
    assert (await read_pass(alice, same["qrData"])).version == before.version
    changed = await vendor.good("PATCH", path, {"permissionsToAdd": ["2"], "permissionsToRemove": [1]})
    after = await read_pass(alice, changed["qrData"])
    assert list(after.doors) == [2]
    assert after.version == before.version + 1
    assert await db.value("SELECT refuse_below FROM meeting_revocations") == after.version


async def test_an_update_changes_only_the_times_it_names(vendor: Integrator, alice: Client) -> None:
    made = await vendor.invite()
    path = f"{vendor.visits}/meeting/{made['meetingId']}/update"
    old = await alice.get(f"/v1/meetings/{made['meetingId']}")
    await vendor.good("PATCH", path, {"endTime": old["endTime"] + 60})
    new = await alice.get(f"/v1/meetings/{made['meetingId']}")
    assert (new["startTime"], new["endTime"]) == (old["startTime"], old["endTime"] + 60)
    assert "milliseconds" in (await vendor.bad(400, "PATCH", path, {"endTime": 1700000000000}))["errorMessage"]
    await vendor.bad(400, "PATCH", path, {"endTime": old["startTime"] - 1})


async def test_a_meeting_may_be_left_with_no_door(vendor: Integrator, alice: Client) -> None:
    made = await vendor.invite()
    left = await vendor.good(
        "PATCH", f"{vendor.visits}/meeting/{made['meetingId']}/update", {"permissionsToRemove": [1]}
    )
    assert list((await read_pass(alice, left["qrData"])).doors) == []
    again = await vendor.good("POST", f"{vendor.visits}/meeting/{made['meetingId']}/regenerateQr")
    assert list((await read_pass(alice, again["qrData"])).doors) == []


async def test_the_same_door_in_add_and_remove_is_refused_and_an_unknown_one_changes_nothing(
    vendor: Integrator, alice: Client
) -> None:
    made = await vendor.invite()
    path = f"{vendor.visits}/meeting/{made['meetingId']}/update"
    await vendor.bad(400, "PATCH", path, {"permissionsToAdd": [2], "permissionsToRemove": [2]})
    for unknown in (99, 0, -1, 2**40, 2**70, "77"):
        await vendor.bad(404, "PATCH", path, {"permissionsToAdd": [2, unknown]})
        await vendor.bad(404, "PATCH", path, {"permissionsToAdd": [2], "permissionsToRemove": [unknown]})
    assert (await alice.get(f"/v1/meetings/{made['meetingId']}"))["accessPoints"] == [1]


async def test_a_qr_of_a_meeting_that_has_not_begun_opens_nothing(vendor: Integrator, alice: Client) -> None:
    now = int(time.time())
    made = await vendor.invite(startTime=now + 3600, endTime=now + 7200)
    read = await read_pass(alice, made["qrData"])
    assert read.expires_at < read.not_before
    begun = await vendor.invite(startTime=now - 30 * 86_400, endTime=now + 7200)
    assert (await read_pass(alice, begun["qrData"])).expires_at > now


async def test_a_static_organisations_qr_is_valid_for_the_whole_meeting(vendor: Integrator, alice: Client) -> None:
    await alice.patch("/v1/organisation", {"passSeconds": None})
    now = int(time.time())
    made = await vendor.invite(startTime=now + 3600, endTime=now + 7200)
    read = await read_pass(alice, made["qrData"])
    assert (read.not_before, read.expires_at) == (now + 3600, now + 7200)
    again = await vendor.good("POST", f"{vendor.visits}/meeting/{made['meetingId']}/regenerateQr")
    assert again["expiresAt"] == now + 7200
    await alice.patch("/v1/organisation", {"passSeconds": 300})
    again = await vendor.good("POST", f"{vendor.visits}/meeting/{made['meetingId']}/regenerateQr")
    assert abs(again["expiresAt"] - now - 300) < 3


async def test_a_deleted_meeting_is_gone(vendor: Integrator, db: Conn) -> None:
    made = await vendor.invite()
    path = f"{vendor.visits}/meeting/{made['meetingId']}"
    assert isinstance(await vendor.good("DELETE", path), str)
    await vendor.bad(404, "DELETE", path)
    await vendor.bad(404, "POST", f"{path}/regenerateQr")
    await vendor.bad(404, "PATCH", f"{path}/update", {"permissionsToAdd": [2]})
    assert await db.value("SELECT count(*) FROM meeting_revocations") == 1


KEYS = [
    "vic",
    "4711",
    "vic@host.test",
    "a b",
    "ä€😀",
    "x" * 128,
    "a/b",
    "a/b/",
    "/",
    "//",
    "/a//b",
    "visitor/",
    "100%",
    "a?b#c",
]


@pytest.mark.parametrize("key", KEYS)
async def test_a_visitor_is_deleted_by_the_clients_key_with_all_meetings(
    vendor: Integrator, db: Conn, key: str
) -> None:
    first, second = await vendor.invite(userId=key), await vendor.invite(userId=key)
    kept = await vendor.invite(userId="bob")
    path = f"{vendor.visits}/visitor/{quote(key, safe='')}"
    assert isinstance(await vendor.good("DELETE", path), str)
    await vendor.bad(404, "DELETE", path)
    for meeting in (first["meetingId"], second["meetingId"]):
        await vendor.bad(404, "GET", f"{vendor.visits}/meeting/{meeting}/regenerateQr")
    await vendor.good("GET", f"{vendor.visits}/meeting/{kept['meetingId']}/regenerateQr")
    assert (await db.counts())["visitors"] == 1
    back = await vendor.invite(userId=key)
    assert back["visitorId"] > second["visitorId"]


@pytest.mark.parametrize("key", ["", " ", "x" * 129, "a\nb", None, ["vic"], {"id": 1}, 1.5])
async def test_a_user_id_is_1_to_128_characters(vendor: Integrator, key: object) -> None:
    now = int(time.time())
    body = {"userId": key, "startTime": now, "endTime": now + 60, "permissionsToAdd": [1]}
    await vendor.bad(400, "POST", f"{vendor.visits}/meeting", body)


async def test_an_organisation_without_the_visitor_module_gets_403_with_a_sentence(
    vendor: Integrator, alice: Client, db: Conn
) -> None:
    made = await vendor.invite()
    await alice.patch("/v1/organisation", {"visitorModule": False})
    now = int(time.time())
    body = {"userId": "bob", "startTime": now, "endTime": now + 60, "permissionsToAdd": [1]}
    message = await vendor.bad(403, "POST", f"{vendor.visits}/meeting", body)
    assert "visitor module" in message["errorMessage"]
    for method, path, change in (
        ("POST", f"{vendor.visits}/meeting/{made['meetingId']}/regenerateQr", None),
        ("GET", f"{vendor.visits}/meeting/{made['meetingId']}/regenerateQr", None),
        ("PATCH", f"{vendor.visits}/meeting/{made['meetingId']}/update", {}),
        ("PATCH", f"{vendor.visits}/meeting/{made['meetingId']}/update", {"permissionsToAdd": [2]}),
    ):
        assert (await vendor.bad(403, method, path, change))["errorCode"] == message["errorCode"]
    assert (await db.counts())["meetings"] == 1
    await vendor.good("DELETE", f"{vendor.visits}/meeting/{made['meetingId']}")


async def test_charlies_meetings_and_visitors_are_not_found(vendor: Integrator, accounts: dict[str, Account]) -> None:
    charlie = Integrator(vendor.http, accounts["charlie"], accounts["charlie"].token)
    made = await vendor.invite()
    for method, path, body in (
        ("PATCH", f"{charlie.visits}/meeting/{made['meetingId']}/update", {"permissionsToAdd": [1]}),
        ("POST", f"{charlie.visits}/meeting/{made['meetingId']}/regenerateQr", None),
        ("DELETE", f"{charlie.visits}/meeting/{made['meetingId']}", None),
        ("DELETE", f"{charlie.visits}/visitor/vic", None),
    ):
        theirs = await charlie.bad(404, method, path, body)
        assert theirs == await charlie.bad(404, method, path.replace(f"/{made['meetingId']}", "/99999"), body)
    await vendor.good("POST", f"{vendor.visits}/meeting/{made['meetingId']}/regenerateQr")
