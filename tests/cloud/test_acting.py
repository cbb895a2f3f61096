"""Promises of tokens for users: who gets one, what it may, that nobody climbs with it, and how it ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import KeySet

from cloud.cast import Account, Client, Cloud, Conn, problem

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
USER = "urn:latchwork:params:oauth:token-type:user"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def form(account: Account, user: object, **more: str) -> dict[str, Any]:
    mine = {"client_id": account.client_id, "client_secret": account.client_secret}
    return {"grant_type": EXCHANGE, "subject_token": str(user), "subject_token_type": USER, **mine, **more}


async def exchanged(cloud: Cloud, account: Account, user: object, **more: str) -> dict[str, Any]:
    response = await cloud.http.post("/oauth2/token", data=form(account, user, **more))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def refused(cloud: Cloud, sent: dict[str, Any]) -> tuple[int, str, str]:
    response = await cloud.http.post("/oauth2/token", data=sent)
    body = response.json()
    assert response.headers["cache-control"] == "no-store"
    return response.status_code, body["error"], body["error_description"]


@dataclass
class House:
    """Alice's organisation with a second site, and Sam, the admin of the first."""

    alice: Client
    account: Account
    here: int
    there: int
    door_there: int

    @property
    def cloud(self) -> Cloud:
        return self.alice.cloud

    async def user(self, name: str, *roles: str, site: int | None = None, **more: Any) -> int:
        draft = {"name": name, "roles": roles, "homeSiteId": site or self.here, **more}
        return (await self.alice.post("/v1/users", draft))["id"]

    async def acting(self, user: int, **more: str) -> Client:
        token = (await exchanged(self.cloud, self.account, user, **more))["access_token"]
        return Client(self.cloud, self.account.organisation, token)

    async def sam(self) -> Client:
        return await self.acting(await self.user("Sam", "site_admin", adminOfSites=[self.here]))


@pytest_asyncio.fixture
async def house(alice: Client, accounts: dict[str, Account]) -> House:
    await alice.patch("/v1/organisation", {"attendanceModule": True, "visitorModule": True})
    there = (await alice.post("/v1/sites", {"name": "Annexe"}))["id"]
    door = (await alice.post("/v1/access-points", {"siteId": there, "name": "Back door"}))["id"]
    return House(alice, accounts["alice"], 1, there, door)


async def until_ended(client: Client, path: str = "/v1/whoami", wanted: int = 401) -> None:
    """Until a call is answered so: within a second, where the machine has nothing else to do."""
    began = time.monotonic()
    while (await client.call("GET", path)).status_code != wanted:
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------------- the token endpoint


async def test_a_user_s_token_says_for_whom_by_whom_and_not_for_long(house: House) -> None:
    user = await house.user("Sue", "super_admin")
    answer = await exchanged(house.cloud, house.account, user)
    assert answer.keys() == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert (answer["issued_token_type"], answer["token_type"]) == (ACCESS_TOKEN, "Bearer")
    assert answer["expires_in"] == 900
    jwks = (await house.cloud.http.get("/.well-known/jwks.json")).json()
    claims = jwt.decode(answer["access_token"], KeySet.import_key_set(jwks), algorithms=["ES256"]).claims
    assert (claims["sub"], claims["act"]) == (f"user/{user}", {"sub": house.account.client_id})
    assert (claims["client_id"], claims["scope"]) == (house.account.client_id, answer["scope"])
    assert claims["exp"] - claims["iat"] == 900


async def test_a_token_lives_no_longer_than_its_client_s_and_its_user_s_access(house: House) -> None:
    ends = int(time.time()) + 100
    bob = await house.user("Bob", accessExpiresAt=ends)
    assert 90 <= (await exchanged(house.cloud, house.account, bob))["expires_in"] <= 100
    await house.alice.patch(f"/v1/clients/{house.account.client}", {"tokenSeconds": 60})
    assert (await exchanged(house.cloud, house.account, bob))["expires_in"] == 60


async def test_scopes_are_what_client_roles_and_form_allow_together(house: House) -> None:
    fred = await house.user("Fred", "front_desk")
    whole = (await exchanged(house.cloud, house.account, fred))["scope"].split()
    assert set(whole) == {"sites:read", "visitors:read", "visitors:write"}
    some = await exchanged(house.cloud, house.account, fred, scope="sites:read events:read")
    assert some["scope"] == "sites:read"
    scopes = ["users:act", "visitors:read", "clients:read"]
    made = await house.alice.post("/v1/clients", {"name": "Reception", "scopes": scopes})
    narrow = Account(house.account.organisation, made["id"], made["clientId"], made["clientSecret"], "")
    assert (await exchanged(house.cloud, narrow, fred))["scope"] == "visitors:read"
    sue = await house.user("Sue", "super_admin")
    assert set((await exchanged(house.cloud, narrow, sue))["scope"].split()) == set(scopes)
    assert (await exchanged(house.cloud, house.account, await house.user("Eve")))["scope"] == ""


async def test_roles_add_up_scope_by_scope(house: House) -> None:
    max_ = await house.user("Max", "manager", "site_admin", adminOfSites=[house.here])
    report = await house.user("Rita", site=house.there, reportingTo=max_)
    stranger = await house.user("Stan", site=house.there)
    acting = await house.acting(max_)
    assert (await acting.get(f"/v1/users/{report}"))["name"] == "Rita"
    assert (await acting.call("GET", f"/v1/users/{stranger}")).status_code == 404
    assert (await acting.call("PATCH", f"/v1/users/{report}", json={"gender": "x"})).status_code == 404
    assert {user["name"] for user in (await acting.get("/v1/users"))["items"]} == {"Max", "Rita"}
    both = await house.acting(await house.user("Flo", "front_desk", "site_admin", adminOfSites=[house.there]))
    assert len((await both.get("/v1/sites"))["items"]) == 2
    assert (await both.call("GET", f"/v1/users/{max_}")).status_code == 404


async def test_whom_nobody_may_act_for(house: House, charlie: Client, accounts: dict[str, Account]) -> None:
    gone, past = await house.user("Gone"), await house.user("Past", accessExpiresAt=int(time.time()) - 5)
    await house.alice.patch(f"/v1/users/{gone}", {"isActive": False})
    deleted = await house.user("Deleted")
    await house.alice.delete(f"/v1/users/{deleted}")
    foreign = (await charlie.post("/v1/users", {"name": "Foreign"}))["id"]
    unknown = {
        await refused(house.cloud, form(house.account, user)) for user in (deleted, foreign, 2**31 - 1, 0, 2**40)
    }
    assert unknown == {(400, "invalid_request", "There is no user with this id.")}
    for user in (gone, past):
        status, error, sentence = await refused(house.cloud, form(house.account, user))
        assert (status, error) == (400, "invalid_request")
        assert "deactivated" in sentence


async def test_bad_input_at_the_token_endpoint_is_named_by_the_standard(house: House, db: Conn) -> None:
    bob, account = await house.user("Bob"), house.account
    before = await db.counts()
    for error, sent in (
        *(("invalid_request", form(account, user)) for user in ("", "bob", "1.0", "-1", "٣", "9" * 20, "1 ", "1\0")),
        ("invalid_request", form(account, bob, subject_token_type="")),
        ("invalid_request", form(account, bob, subject_token_type=ACCESS_TOKEN)),
        ("invalid_request", {k: v for k, v in form(account, bob).items() if k != "subject_token"}),
        ("invalid_request", {k: v for k, v in form(account, bob).items() if k != "subject_token_type"}),
        ("invalid_request", form(account, bob, actor_token="x", actor_token_type=ACCESS_TOKEN)),
        ("invalid_request", form(account, bob, requested_token_type="urn:ietf:params:oauth:token-type:id_token")),
        ("invalid_target", form(account, bob, audience="https://elsewhere.example")),
        ("invalid_target", form(account, bob, resource="https://elsewhere.example")),
        ("invalid_scope", form(account, bob, scope="doors:explode")),
        ("invalid_scope", form(account, bob, scope="sites:read \0")),
    ):
        assert (await refused(house.cloud, sent))[:2] == (400, error), sent
    wrong = {**form(account, bob), "client_secret": "wrong"}
    assert (await refused(house.cloud, wrong))[:2] == (401, "invalid_client")
    assert await db.counts() == before


async def test_a_client_without_the_scope_acts_for_nobody(house: House) -> None:
    bob = await house.user("Bob")
    made = await house.alice.post("/v1/clients", {"name": "Plain", "scopes": ["users:read"]})
    plain = Account(house.account.organisation, made["id"], made["clientId"], made["clientSecret"], "")
    assert (await refused(house.cloud, form(plain, bob)))[:2] == (400, "unauthorized_client")


async def test_a_user_s_token_is_no_client(house: House) -> None:
    sue = await house.acting(await house.user("Sue", "super_admin"))
    headers = {"authorization": f"Bearer {sue.token}"}
    sent = {"grant_type": EXCHANGE, "subject_token": "1", "subject_token_type": USER}
    assert (await house.cloud.http.post("/oauth2/token", data=sent, headers=headers)).status_code == 401


# ------------------------------------------------------------------------------------------------- who it is


async def test_whoami_and_the_log_name_the_user(house: House) -> None:
    sam = await house.user("Sam", "site_admin", adminOfSites=[house.here])
    acting = await house.acting(sam)
    who = await acting.get("/v1/whoami")
    assert (who["userId"], who["userName"], who["roles"], who["sites"]) == (sam, "Sam", ["site_admin"], [house.here])
    assert who["clientId"] == house.account.client_id
    bob = (await acting.post("/v1/users", {"name": "Bob"}))["id"]
    [event] = [e for e in await house.alice.events() if e["subject"] == f"user/{bob}" and e["type"] == "user_created"]
    assert event["actor"] == {"kind": "user", "id": str(sam), "name": "Sam"}
    who = await house.alice.get("/v1/whoami")
    assert (who["userId"], who["userName"], who["roles"], who["sites"]) == (None, None, [], [])


async def test_idempotency_keys_of_users_are_apart(house: House) -> None:
    sue, ada = [await house.acting(await house.user(name, "super_admin")) for name in ("Sue", "Ada")]
    headers = {"idempotency-key": "the same"}
    made = [await who.post("/v1/sites", {"name": "New"}, headers=headers) for who in (sue, ada, house.alice, sue)]
    assert len({site["id"] for site in made}) == 3
    assert made[0] == made[3]


async def test_rates_of_users_are_apart(house: House, db: Conn) -> None:
    made = await house.alice.post("/v1/clients", {"name": "Slow", "scopes": ["users:act", "sites:read"]})
    await db.fetch("UPDATE clients SET rate_per_second = 1, rate_burst = 3 WHERE id = $1", made["id"])
    slow = Account(house.account.organisation, made["id"], made["clientId"], made["clientSecret"], "")
    for name in ("Sue", "Ada"):
        token = (await exchanged(house.cloud, slow, await house.user(name, "super_admin")))["access_token"]
        user = Client(house.cloud, slow.organisation, token)
        assert [(await user.call("GET", "/v1/sites")).status_code for _ in range(4)] == [200, 200, 200, 429]


# ------------------------------------------------------------------------------------------------- no escalation


async def test_a_site_admin_gives_no_more_than_they_have(house: House) -> None:
    sam = await house.sam()
    bob = (await sam.post("/v1/users", {"name": "Bob"}))["id"]
    assert (await sam.get(f"/v1/users/{bob}"))["homeSiteId"] == house.here
    wider: list[dict[str, Any]] = [
        {"roles": ["super_admin"]},
        {"roles": ["front_desk"]},
        {"roles": ["manager"]},
        {"roles": ["site_admin"], "adminOfSites": [house.here, house.there]},
        {"adminOfSites": [house.there]},
        {"adminOfSites": [99]},
    ]
    for body in wider:
        for answer in (
            await sam.call("PATCH", f"/v1/users/{bob}", json=body),
            await sam.call("POST", "/v1/users", json={"name": "Mallory", "homeSiteId": house.here, **body}),
        ):
            assert (answer.status_code, problem(answer)["code"]) == (403, "forbidden"), body
    own = {"roles": ["site_admin"], "adminOfSites": [house.here]}
    assert (await sam.patch(f"/v1/users/{bob}", own))["roles"] == ["site_admin"]


async def test_a_site_admin_keeps_people_at_their_own_sites(house: House) -> None:
    sam = await house.sam()
    bob = (await sam.post("/v1/users", {"name": "Bob"}))["id"]
    for site, status in ((house.there, 404), (99, 404), (None, 403)):
        answer = await sam.call("PATCH", f"/v1/users/{bob}", json={"homeSiteId": site})
        assert (answer.status_code, bool(problem(answer))) == (status, True)
    answer = await sam.call("POST", "/v1/users", json={"name": "Mallory", "homeSiteId": house.there})
    assert answer.status_code == 404
    draft = {"name": "Mallory", "homeSiteId": house.here, "accessPoints": [1, house.door_there]}
    assert (await sam.call("POST", "/v1/users", json=draft)).status_code == 404


async def test_nobody_makes_themselves_a_manager_of_others(house: House) -> None:
    both = await house.user("Max", "manager", "site_admin", adminOfSites=[house.here])
    bob, away = await house.user("Bob"), await house.user("Away", site=house.there)
    acting = await house.acting(both)
    assert (await acting.call("PATCH", f"/v1/users/{bob}", json={"reportingTo": both})).status_code == 403
    assert (await acting.call("PATCH", f"/v1/users/{bob}", json={"reportingTo": away})).status_code == 404


@pytest.mark.parametrize("roles", [["super_admin"], ["front_desk"], ["site_admin"]])
async def test_nobody_touches_who_reaches_further(house: House, roles: list[str]) -> None:
    sam = await house.sam()
    boss = await house.user("Boss", *roles, adminOfSites=[house.there] if "site_admin" in roles else [])
    card = (await house.alice.post(f"/v1/users/{boss}/cards", {"number": 4711}))["id"]
    before = await house.alice.get(f"/v1/users/{boss}")
    changes: list[dict[str, Any]] = [{"isActive": False}, {"pin": "1234"}, {"roles": ["end_user"]}, {"name": "Mr Boss"}]
    answers = [
        *[await sam.call("PATCH", f"/v1/users/{boss}", json=body) for body in changes],
        await sam.call("DELETE", f"/v1/users/{boss}"),
        await sam.call("POST", f"/v1/users/{boss}/cards", json={"number": 4712}),
        await sam.call("DELETE", f"/v1/users/{boss}/cards/{card}"),
        await sam.call("POST", "/v1/access-points/1/enrol-card", json={"userId": boss}),
    ]
    assert {(answer.status_code, problem(answer)["code"]) for answer in answers} == {(403, "forbidden")}
    assert await house.alice.get(f"/v1/users/{boss}") == before


async def test_a_switched_off_module_lends_nobody_s_role_to_others(house: House) -> None:
    """Who would reach further, were the module on, is out of a site admin's hands also while it is off."""
    fred, sam = await house.user("Fred", "front_desk"), await house.sam()
    await house.alice.patch("/v1/organisation", {"visitorModule": False})
    assert (await sam.call("PATCH", f"/v1/users/{fred}", json={"pin": "1234"})).status_code == 403


async def test_a_client_made_for_a_user_has_no_more_than_the_user(house: House) -> None:
    scopes = ["users:act", "clients:write", "sites:read"]
    made = await house.alice.post("/v1/clients", {"name": "Backend", "scopes": scopes})
    narrow = Account(house.account.organisation, made["id"], made["clientId"], made["clientSecret"], "")
    sue = await house.user("Sue", "super_admin")
    acting = Client(house.cloud, narrow.organisation, (await exchanged(house.cloud, narrow, sue))["access_token"])
    assert (await acting.call("POST", "/v1/clients", json={"name": "X", "scopes": ["sites:write"]})).status_code == 403
    assert (await acting.post("/v1/clients", {"name": "X", "scopes": ["sites:read"]}))["scopes"] == ["sites:read"]


# ------------------------------------------------------------------------------------------------- near a border


async def test_a_site_admin_takes_their_own_door_from_anybody(house: House) -> None:
    sam, away, far = (
        await house.sam(),
        await house.user("Away", site=house.there),
        await house.user("Far", site=house.there),
    )
    await house.alice.patch(
        f"/v1/users/{away}/permissions", {"add": [{"accessPointId": 1}, {"accessPointId": house.door_there}]}
    )
    assert [p["userId"] for p in (await sam.get("/v1/access-points/1/permissions"))["items"]] == [away]
    assert (await sam.call("GET", f"/v1/users/{away}/permissions")).status_code == 404
    refused_ = await sam.call("PATCH", "/v1/access-points/1/permissions", json={"add": [{"userId": far}]})
    assert refused_.status_code == 404
    await sam.patch("/v1/access-points/1/permissions", {"remove": [away]})
    left = (await house.alice.get(f"/v1/users/{away}/permissions"))["items"]
    assert [p["accessPointId"] for p in left if p["state"] != "removing"] == [house.door_there]


async def test_doors_elsewhere_of_one_s_own_people_stay_out_of_sight(house: House) -> None:
    sam, bob = await house.sam(), await house.user("Bob")
    await house.alice.patch(
        f"/v1/users/{bob}/permissions", {"add": [{"accessPointId": 1}, {"accessPointId": house.door_there}]}
    )
    assert [p["accessPointId"] for p in (await sam.get(f"/v1/users/{bob}/permissions"))["items"]] == [1]
    for verb in ("remove", "withdraw"):
        body = {verb: [house.door_there]}
        assert (await sam.call("PATCH", f"/v1/users/{bob}/permissions", json=body)).status_code == 404
    exported = (await sam.call("GET", "/v1/users/export")).text
    assert "Bob" in exported
    assert f"1;{house.door_there}" not in exported
    events = [e for e in await sam.events() if e["type"] == "permission_granted"]
    assert {e["data"]["accessPointId"] for e in events} == {1}
    await sam.delete(f"/v1/users/{bob}")
    assert await house.alice.get(f"/v1/access-points/{house.door_there}/permissions") == {
        "items": [],
        "nextCursor": None,
    }


async def test_a_visit_at_doors_of_two_sites_is_nobody_s_but_the_whole_house_s(house: House) -> None:
    sam = await house.sam()
    mixed = (await house.alice.invite(1, house.door_there, key="mixed"))["id"]
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/pass"), ("GET", "/pass.svg")):
        answer = await sam.call(method, f"/v1/meetings/{mixed}{path}", **({"json": {}} if method == "PATCH" else {}))
        assert answer.status_code == 404, method
    assert (await sam.get("/v1/meetings"))["items"] == []
    own = (await sam.invite(1, key="mine"))["id"]
    for body in ({"addAccessPoints": [house.door_there]}, {"accessPoints": [house.door_there]}):
        assert (await sam.call("PATCH", f"/v1/meetings/{own}", json=body)).status_code == 404
    now = int(time.time())
    foreign = {"visitor": {"key": "mixed"}, "startTime": now, "endTime": now + 60, "accessPoints": [1]}
    taken = await sam.call("POST", "/v1/meetings", json=foreign)
    assert (taken.status_code, problem(taken)["code"]) == (409, "conflict")
    again = await sam.invite(1, key="mine")
    assert again["visitor"]["key"] == "mine"


async def test_a_site_admin_changes_a_door_but_not_its_controller(house: House) -> None:
    sam = await house.sam()
    assert (await sam.patch("/v1/access-points/1", {"zone": "Hall"}))["zone"] == "Hall"
    for controller in (1, None):
        answer = await sam.call("PATCH", "/v1/access-points/1", json={"controllerId": controller})
        assert (answer.status_code, problem(answer)["code"]) == (403, "forbidden")


async def test_the_newest_are_those_within_reach(house: House) -> None:
    sam, start = await house.sam(), await house.alice.last_event()
    await house.alice.patch("/v1/access-points/1", {"zone": "Seen"})
    await house.alice.patch(f"/v1/access-points/{house.door_there}", {"zone": "Unseen"})
    for filters in ({}, {"deed": "settings"}, {"subject": "access_point/1"}):
        page = await sam.get("/v1/events", params={"order": "newest", "limit": 1, **filters})
        assert ([event["after"]["zone"] for event in page["events"]], page["last"]) == (["Seen"], start + 1)
    page = await sam.get("/v1/events", params={"order": "newest", "subject": f"access_point/{house.door_there}"})
    assert page == {"events": [], "last": 0}


async def test_reading_along_with_the_log_misses_nothing_and_moves_on(house: House) -> None:
    """Somebody who may see a part of the log is not kept at its last event for ever."""
    sam, start = await house.sam(), await house.alice.last_event()
    await house.alice.patch(f"/v1/access-points/{house.door_there}", {"zone": "Unseen"})
    page = await sam.get("/v1/events", params={"after": start})
    assert (page["events"], page["last"]) == ([], await house.alice.last_event())
    waiting = asyncio.create_task(sam.get("/v1/events", params={"after": page["last"], "wait": 20}))
    await asyncio.sleep(0.1)
    await house.alice.patch(f"/v1/access-points/{house.door_there}", {"zone": "Still unseen"})
    await house.alice.patch("/v1/access-points/1", {"zone": "Seen"})
    async with asyncio.timeout(15):
        seen = await waiting
    assert [event["after"]["zone"] for event in seen["events"]] == ["Seen"]


# ------------------------------------------------------------------------------------------------- the end of it

CHANGES: dict[str, dict[str, Any]] = {
    "roles": {"roles": ["end_user"]},
    "sites": {"adminOfSites": []},
    "both": {"roles": ["site_admin"], "adminOfSites": [2]},
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_roles_or_sites_narrows_within_a_second_everywhere(
    house: House, other_cloud: Cloud, change: str
) -> None:
    sam = await house.user("Sam", "site_admin", adminOfSites=[house.here])
    acting = await house.acting(sam)
    elsewhere = Client(other_cloud, acting.organisation, acting.token)
    for process in (acting, elsewhere):
        await process.get("/v1/access-points/1")
    await house.alice.patch(f"/v1/users/{sam}", CHANGES[change])
    wanted = 404 if change == "both" else 403
    for process in (acting, elsewhere):
        await until_ended(process, "/v1/access-points/1", wanted)
        assert (await process.call("GET", "/v1/whoami")).status_code == 200


@pytest.mark.parametrize(
    "way", ["deactivated", "expired", "deleted", "rotated", "revoked", "no longer acts", "one token"]
)
async def test_every_end_of_a_user_or_client_ends_the_token_within_a_second_everywhere(
    house: House, other_cloud: Cloud, way: str
) -> None:
    made = await house.alice.post("/v1/clients", {"name": "Backend", "scopes": ["users:act", "sites:read"]})
    account = Account(house.account.organisation, made["id"], made["clientId"], made["clientSecret"], "")
    sue = await house.user("Sue", "super_admin")
    token = (await exchanged(house.cloud, account, sue))["access_token"]
    processes = [Client(cloud, account.organisation, token) for cloud in (house.cloud, other_cloud)]
    for process in processes:
        await process.get("/v1/sites")
    await _end(house, account, sue, token, way)
    for process in processes:
        await until_ended(process)


async def _end(house: House, account: Account, user: int, token: str, way: str) -> None:
    alice, client = house.alice, f"/v1/clients/{account.client}"
    match way:
        case "deactivated":
            await alice.patch(f"/v1/users/{user}", {"isActive": False})
        case "expired":
            await alice.patch(f"/v1/users/{user}", {"accessExpiresAt": int(time.time()) - 1})
        case "deleted":
            await alice.delete(f"/v1/users/{user}")
        case "rotated":
            await alice.post(f"{client}/secret")
        case "revoked":
            await alice.delete(client)
        case "no longer acts":
            await alice.patch(client, {"scopes": ["sites:read"]})
        case _:
            mine = {"client_id": account.client_id, "client_secret": account.client_secret}
            await house.cloud.http.post("/oauth2/revoke", data={**mine, "token": token})


async def test_who_comes_back_gets_a_new_token_and_not_the_old_one(house: House) -> None:
    sue = await house.user("Sue", "super_admin")
    old = await house.acting(sue)
    await house.alice.patch(f"/v1/users/{sue}", {"isActive": False})
    await until_ended(old)
    await house.alice.patch(f"/v1/users/{sue}", {"isActive": True})
    new = await house.acting(sue)
    assert (await new.get("/v1/whoami"))["userId"] == sue
    await asyncio.sleep(0.5)
    assert (await old.call("GET", "/v1/whoami")).status_code == 401


async def test_access_that_ends_soon_ends_the_token_by_itself(house: House) -> None:
    sue = await house.user("Sue", "super_admin")
    acting = await house.acting(sue)
    await acting.get("/v1/sites")
    await house.alice.patch(f"/v1/users/{sue}", {"accessExpiresAt": int(time.time()) + 2})
    await asyncio.sleep(0.6)
    assert (await acting.call("GET", "/v1/sites")).status_code == 200
    await until_ended(acting)


async def test_a_module_switched_off_takes_its_role_s_powers_within_a_second(house: House) -> None:
    fred, max_ = await house.user("Fred", "front_desk"), await house.user("Max", "manager")
    acting = [await house.acting(user) for user in (fred, max_)]
    await acting[0].get("/v1/meetings")
    await acting[1].get("/v1/users")
    await house.alice.patch("/v1/organisation", {"visitorModule": False, "attendanceModule": False})
    await until_ended(acting[0], "/v1/meetings", 403)
    await until_ended(acting[1], "/v1/users", 403)
    for user in (fred, max_):
        assert (await exchanged(house.cloud, house.account, user))["scope"] == ""


async def test_what_is_given_arrives_too(house: House) -> None:
    """A token made with nothing in hand grows only as far as it was asked for: a new one has it all."""
    eve = await house.user("Eve")
    acting = await house.acting(eve)
    await house.alice.patch(f"/v1/users/{eve}", {"roles": ["super_admin"]})
    assert (await (await house.acting(eve)).call("GET", "/v1/sites")).status_code == 200
    assert (await acting.call("GET", "/v1/sites")).status_code == 403


async def test_users_without_tokens_leave_no_trace_in_the_revocations(house: House, db: Conn) -> None:
    bob, before = await house.user("Bob"), await db.value("SELECT count(*) FROM token_revocations")
    await house.alice.patch(f"/v1/users/{bob}", {"isActive": False})
    await house.alice.delete(f"/v1/users/{bob}")
    assert await db.value("SELECT count(*) FROM token_revocations") == before


async def test_a_change_while_a_token_is_being_issued_reaches_it(house: House) -> None:
    """Whichever comes first: afterwards nobody holds a token that may what was taken away."""
    for _ in range(10):
        sam = await house.user("Sam", "site_admin", adminOfSites=[house.here])
        acting, _ = await asyncio.gather(
            house.acting(sam), house.alice.patch(f"/v1/users/{sam}", {"roles": ["end_user"], "adminOfSites": []})
        )
        answer: httpx2.Response = await acting.call("GET", "/v1/sites")
        if answer.status_code != 403:
            await until_ended(acting, "/v1/sites", 403)
