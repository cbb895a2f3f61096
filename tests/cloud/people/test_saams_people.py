"""People, permissions and cards on the SAAMS wire, by what saams-api.md says alone."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.cast import Client, Conn, Script
from cloud.people.cast import Integrator, until

KEYS = {
    "id", "name", "email", "phone", "uniqueId", "employeeCode", "isSignedUp", "cardAssigned", "credentialId",
    "accessExpiresAt", "accessExpired", "roles", "attributes", "terms", "reportingTo", "reportees", "gps", "mobile",
    "gender", "joiningDate", "probationPeriod", "accessorId", "approveDeviceLock", "deactivatedOn", "createdAt",
}  # fmt: skip
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def instant(text: str) -> int:
    assert ISO.fullmatch(text)
    return int(datetime.fromisoformat(text).timestamp())


# ------------------------------------------------------------------------------------------------- roles


async def test_roles_are_listed_with_the_modules_they_belong_to(vendor: Integrator, alice: Client) -> None:
    assert set(await vendor.roles()) == {"end_user", "site_admin", "super_admin", "front_desk"}
    await alice.patch("/v1/organisation", {"visitorModule": False, "attendanceModule": True})
    assert set(await vendor.roles()) == {"end_user", "site_admin", "super_admin", "manager"}


async def test_the_query_key_selects_the_list(vendor: Integrator) -> None:
    form = await vendor.good("GET", f"{vendor.form}?sites=sites&terms=terms")
    assert form == {"sites": [{"id": 1, "name": "Head office"}], "terms": []}
    doors = (await vendor.good("GET", f"{vendor.form}?accessPoints=accessPoints"))["accessPoints"]
    assert [(door["id"], door["name"]) for door in doors] == [(1, "Front door"), (2, "Laboratory"), (3, "Store")]


async def test_a_role_that_is_not_listed_here_is_refused(vendor: Integrator, alice: Client) -> None:
    listed = await vendor.roles()
    for role in (max(listed.values()) + 100, 0, -1, 10**12):
        assert "role" in await vendor.bad(404, "POST", f"{vendor.users}/create", {"name": "Bob", "roles": [role]})
    await alice.patch("/v1/organisation", {"visitorModule": False})
    desk = {"name": "Bob", "roles": [listed["front_desk"]]}
    await vendor.bad(404, "POST", f"{vendor.users}/create", desk)
    assert await vendor.list() == []


# ------------------------------------------------------------------------------------------------- create


async def test_a_user_needs_only_a_name_and_has_every_key(vendor: Integrator) -> None:
    made = await vendor.good("POST", f"{vendor.users}/create", {"name": "Bob"})
    id = made["userIds"][0]
    assert made == {"userIds": [id], "userId": id, "orgUserId": id}
    [user] = await vendor.list()
    assert user.keys() == KEYS
    assert [role["name"] for role in user["roles"]] == ["end_user"]
    assert abs(instant(user["createdAt"]) - time.time()) < 5
    assert user["uniqueId"] == str(id)
    plain = {
        "id": id, "name": "Bob", "email": "", "phone": "", "employeeCode": "", "cardAssigned": False,
        "credentialId": None, "accessExpiresAt": None, "accessExpired": False, "attributes": [], "terms": [],
        "reportingTo": None, "reportees": [], "gps": False, "mobile": True, "deactivatedOn": None,
    }  # fmt: skip
    assert plain.items() <= user.items()


async def test_a_user_with_everything(vendor: Integrator, alice: Client) -> None:
    roles = await vendor.roles()
    term = (await alice.post("/v1/terms", {"name": "Night shift"}))["id"]
    chief = await vendor.create("Chief")
    id = await vendor.create(
        name="Zoë Ünal 王小明",
        phone="+49 170 1234567",
        email="zoe@example.org",
        roles=[roles["site_admin"], str(roles["end_user"])],
        adminOfSites=[1, None],
        devicelock=True,
        accessData={
            "mobile": False, "card": True, "fingerprint": True, "remoteAccess": True, "tapToAccess": False,
            "gps": True, "deviceLock": False, "faceAccess": True, "clickToAccessRange": 7,
            "accessExpiresAt": "2031-05-01T10:00:00+02:00", "accessPoints": [1, "3"],
        },
        homeSiteId="1",
        terms=[term],
        employeeCode="E-7",
        reportingTo=chief,
        probationPeriod=90,
        joiningDate="2026-02-03",
        credentialId="1000123",
    )  # fmt: skip
    user = await vendor.user(id)
    wanted = {
        "name": "Zoë Ünal 王小明", "phone": "+49 170 1234567",
        "email": "zoe@example.org", "uniqueId": "zoe@example.org",
        "employeeCode": "E-7", "reportingTo": chief, "probationPeriod": 90, "joiningDate": "2026-02-03",
        "accessExpiresAt": "2031-05-01T08:00:00Z", "mobile": False, "gps": True, "cardAssigned": True,
        "credentialId": "1000123", "terms": [{"id": term, "name": "Night shift"}],
    }  # fmt: skip
    assert wanted.items() <= user.items()
    assert {role["name"] for role in user["roles"]} == {"site_admin", "end_user"}
    assert (await vendor.user(chief))["reportees"] == [id]
    assert (await vendor.standing(id))["pendingPermissions"] == [1, 3]
    native = await alice.get(f"/v1/users/{id}")
    assert native["access"] == {
        "mobile": False, "card": True, "remote": True, "tap": False, "clickRange": 7, "deviceLock": False,
        "fingerprint": True, "face": True, "gps": True,
    }  # fmt: skip
    assert native["adminOfSites"] == [1]


async def test_doors_marked_default_are_granted_to_every_new_user(vendor: Integrator, alice: Client) -> None:
    await alice.patch("/v1/access-points/2", {"isDefault": True})
    assert (await vendor.standing(await vendor.create()))["pendingPermissions"] == [2]
    both = await vendor.create(accessData={"accessPoints": [2, 3]})
    assert (await vendor.standing(both))["pendingPermissions"] == [2, 3]


async def test_email_and_phone_need_not_be_unique_and_may_be_empty(vendor: Integrator) -> None:
    same = {"email": "info@example.org", "phone": "+49301234"}
    one, two = await vendor.create(**same), await vendor.create(**same)
    assert one != two
    third = await vendor.create(phone="+49301234", email="")
    assert (await vendor.user(third))["uniqueId"] == "+49301234"
    assert (await vendor.user(await vendor.create(phone="")))["phone"] == ""


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (400, {"name": ""}),
        (400, {"name": None}),
        (400, {"name": "x" * 201}),
        (400, {"email": "none"}),
        (400, {"phone": "call me"}),
        (400, {"joiningDate": "yesterday"}),
        (400, {"joiningDate": "2026-02-30"}),
        (400, {"joiningDate": "31-Feb-2026"}),
        (400, {"accessData": {"accessExpiresAt": "soon"}}),
        (400, {"accessData": {"accessExpiresAt": "9999-99-99"}}),
        (400, {"accessData": {"mobile": "perhaps"}}),
        (400, {"accessData": {"clickToAccessRange": "far"}}),
        (400, {"roles": ["x"]}),
        (400, {"reportingTo": "the boss"}),
        (400, {"credentialId": "abc"}),
        (400, {"credentialId": "-5"}),
        (400, {"credentialId": "99999999999999999999"}),
        (404, {"homeSiteId": 99}),
        (404, {"homeSiteId": 10**18}),
        (404, {"adminOfSites": [1, 99]}),
        (404, {"terms": [1]}),
        (404, {"terms": [10**18]}),
        (404, {"reportingTo": 99_999}),
        (404, {"reportingTo": 10**19}),
        (404, {"accessData": {"accessPoints": [1, 99]}}),
        (404, {"accessData": {"accessPoints": [-1]}}),
        (404, {"accessData": {"accessPoints": [10**18]}}),
    ],
)
async def test_a_user_that_cannot_be_is_refused_and_nobody_is_made(
    vendor: Integrator, db: Conn, status: int, fields: dict[str, Any]
) -> None:
    before = await db.counts()
    await vendor.bad(status, "POST", f"{vendor.users}/create", {"name": "Bob", **fields})
    assert await db.counts() == before
    assert (await vendor.good("POST", vendor.users))["pagination"]["total"] == 0


@pytest.mark.parametrize("digits", [13, 16])
async def test_an_expiry_in_milliseconds_is_told_so(vendor: Integrator, digits: int) -> None:
    body = {"name": "Bob", "accessData": {"accessExpiresAt": "17" + "0" * (digits - 2)}}
    assert "milliseconds" in await vendor.bad(400, "POST", f"{vendor.users}/create", body)


async def test_the_legacy_bulk_call_makes_all_or_none(vendor: Integrator) -> None:
    roles = await vendor.roles()
    users: list[dict[str, Any]] = [
        {
            "name": "Ann", "email": "ann@example.org", "phone": "", "roles": [roles["end_user"]],
            "accessPoints": [1, 2],
            "mobile": True, "card": False, "fingerprint": False, "remoteAccess": False, "tapToAccess": True,
            "proximityAccess": True, "gps": False, "deviceLock": False, "clickToAccessRange": "5",
            "accessExpiresAt": None, "employeeCode": "7", "reportingTo": None, "probationPeriod": "",
            "joiningDate": "03-Feb-2026", "gender": "female", "credentialId": "4711",
        },
        {"name": "Ben"},
    ]  # fmt: skip
    ids = (await vendor.good("POST", vendor.legacy, {"users": users}))["userIds"]
    assert len(ids) == 2
    ann = await vendor.user(ids[0])
    assert ann["joiningDate"] == "2026-02-03"
    assert ann["credentialId"] == "4711"
    assert ann["gender"] == "female"
    assert (await vendor.standing(ids[0]))["pendingPermissions"] == [1, 2]
    listed = await vendor.good("POST", f"{vendor.legacy}/list", {})
    assert [user["id"] for user in listed["users"]] == ids
    for bad in ({"name": "Cid", "accessPoints": [99]}, {"name": "Cid", "credentialId": "4711"}, {"name": ""}):
        response = await vendor.call("POST", vendor.legacy, {"users": [{"name": "Dan"}, bad]})
        assert response.status_code in (400, 404, 409)
    assert await vendor.ids() == ids


# ------------------------------------------------------------------------------------------------- update


async def test_an_update_changes_what_it_names_and_nothing_else(vendor: Integrator) -> None:
    id = await vendor.create(email="bob@example.org", phone="+4930123", employeeCode="7")
    before = await vendor.user(id)
    await vendor.update(id=str(id), name="Robert")
    assert await vendor.user(id) == {**before, "name": "Robert"}
    chief, roles = await vendor.create("Chief"), await vendor.roles()
    await vendor.update(
        id=id, email="", phone="", employeeCode="8", reportingTo=str(chief), homeSiteId="1", adminOfSites=[1],
        roles=[roles["super_admin"]], joiningDate="2026-02-03", attributes=[{"any": "thing"}], unknown=1,
    )  # fmt: skip
    after = await vendor.user(id)
    assert after["uniqueId"] == str(id)
    assert (after["email"], after["phone"], after["employeeCode"], after["reportingTo"]) == ("", "", "8", chief)
    assert after["roles"] == [{"id": roles["super_admin"], "name": "super_admin"}]
    assert after["joiningDate"] == "2026-02-03"
    for nobody in (None, ""):
        await vendor.update(id=id, reportingTo=chief)
        await vendor.update(id=id, reportingTo=nobody)
        assert (await vendor.user(id))["reportingTo"] is None


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("2031-05-01T10:00:00Z", "2031-05-01T10:00:00Z"),
        ("2031-05-01T10:00:00.000Z", "2031-05-01T10:00:00Z"),
        ("2031-05-01T10:00:00+05:30", "2031-05-01T04:30:00Z"),
        ("2031-05-01T10:00:00", "2031-05-01T08:00:00Z"),  # Berlin, the home site's
        ("2031-01-01T10:00:00", "2031-01-01T09:00:00Z"),
        ("2031-05-01", "2031-05-01T21:59:59Z"),  # the end of that day
        (None, None),
        ("", None),
    ],
)
async def test_access_expires_as_the_text_says(vendor: Integrator, written: str | None, wanted: str | None) -> None:
    id = await vendor.create()
    await vendor.update(id=id, accessExpiresAt="2030-01-01")
    await vendor.update(id=id, accessExpiresAt=written)
    assert (await vendor.user(id))["accessExpiresAt"] == wanted
    made = await vendor.create(accessData={"accessExpiresAt": written})
    assert (await vendor.user(made))["accessExpiresAt"] == wanted


async def test_an_expiry_without_a_zone_is_the_home_sites(vendor: Integrator, alice: Client) -> None:
    tokyo = (await alice.post("/v1/sites", {"name": "Tokyo", "timezone": "Asia/Tokyo"}))["id"]
    id = await vendor.create(homeSiteId=tokyo, accessData={"accessExpiresAt": "2031-05-01"})
    assert (await vendor.user(id))["accessExpiresAt"] == "2031-05-01T14:59:59Z"
    await vendor.update(id=id, homeSiteId=1, accessExpiresAt="2031-05-01T00:00:00")
    assert (await vendor.user(id))["accessExpiresAt"] == "2031-04-30T22:00:00Z"
    await vendor.update(id=id, accessExpiresAt="2001-01-01")
    assert (await vendor.user(id))["accessExpired"] is True


async def test_access_points_replace_the_users_set_and_the_inner_ones_win(vendor: Integrator) -> None:
    id = await vendor.create(accessData={"accessPoints": [1, 2]})
    await vendor.update(id=id, accessPoints=[2, 3])
    assert (await vendor.standing(id))["pendingPermissions"] == [2, 3]
    await vendor.update(id=id, accessPoints=[1], accessData={"accessPoints": [3], "mobile": False})
    assert (await vendor.standing(id))["pendingPermissions"] == [3]
    assert (await vendor.user(id))["mobile"] is False
    await vendor.update(id=id, name="Still there", accessPoints=None)
    assert (await vendor.standing(id))["pendingPermissions"] == [3]
    await vendor.update(id=id, accessPoints=[])
    assert (await vendor.standing(id))["pendingPermissions"] == []


async def test_deactivating_keeps_the_permissions_for_later(vendor: Integrator, db: Conn) -> None:
    id = await vendor.create(accessData={"accessPoints": [1]})
    await vendor.update(id=id, deactivateUser=True)
    user = await vendor.user(id)
    assert abs(instant(user["deactivatedOn"]) - time.time()) < 5
    assert (await vendor.standing(id))["pendingPermissions"] == [1]
    assert await vendor.ids(userType=["deactivated"]) == [id]
    await vendor.update(id=id, deactivateUser=True)
    assert (await vendor.user(id))["deactivatedOn"] == user["deactivatedOn"]
    await vendor.update(id=id, deactivateUser=False)
    assert (await vendor.user(id))["deactivatedOn"] is None
    assert await vendor.ids(userType=["active"]) == [id]


async def test_one_bad_item_of_an_update_changes_nobody(vendor: Integrator, stranger: Integrator, db: Conn) -> None:
    bob, theirs = await vendor.create(), await stranger.create("Theirs")
    before, rows = await vendor.list(), await db.counts()
    path = f"{vendor.users}/update"
    for status, bad in (
        (404, {"id": 99_999, "name": "Nobody"}),
        (404, {"id": theirs, "name": "Mine now"}),
        (404, {"id": 0}),
        (404, {"id": 10**18}),
        (400, {"name": "No id"}),
        (400, {"id": "x"}),
        (400, {"id": bob, "name": "Twice"}),
    ):
        good = {"id": bob, "name": "Changed", "deactivateUser": True, "accessPoints": [1]}
        await vendor.bad(status, "PATCH", path, {"users": [good, bad]})
    for status, fields in (
        (404, {"accessPoints": [1, 99]}),
        (404, {"accessPoints": [2**40]}),
        (404, {"homeSiteId": 9}),
        (404, {"terms": [9]}),
        (404, {"reportingTo": 99_999}),
        (400, {"reportingTo": bob}),
        (404, {"roles": [999]}),
        (400, {"email": "@"}),
        (400, {"name": " "}),
        (400, {"accessExpiresAt": "1767225600000"}),
        (400, {"deactivateUser": "perhaps"}),
    ):
        assert await vendor.refused(status, **{"id": bob, "name": "Changed", **fields})
    assert await vendor.list() == before
    assert await db.counts() == rows
    assert [user["name"] for user in await stranger.list()] == ["Theirs"]


async def test_an_empty_update_is_nothing(vendor: Integrator) -> None:
    assert isinstance(await vendor.good("PATCH", f"{vendor.users}/update", {"users": []}), str)


# ------------------------------------------------------------------------------------------------- delete


async def test_delete_is_for_good_and_all_or_nothing(vendor: Integrator, stranger: Integrator, db: Conn) -> None:
    bob = await vendor.create(credentialId="4711", accessData={"accessPoints": [1, 2]})
    ann, theirs = await vendor.create("Ann", reportingTo=bob), await stranger.create("Theirs")
    path = f"{vendor.users}/delete"
    for bad in (99_999, theirs, 0, -1, 10**18):
        await vendor.bad(404, "POST", path, {"userIds": [bob, bad]})
    assert await vendor.ids() == [bob, ann]
    assert isinstance(await vendor.good("POST", path, {"userIds": [str(bob), bob]}), str)
    assert await vendor.ids() == [ann]
    assert (await vendor.user(ann))["reportingTo"] is None
    counts = await db.counts()
    assert counts["cards"] == counts["grants"] == 0
    await vendor.bad(404, "POST", path, {"userIds": [bob]})
    await vendor.bad(404, "POST", vendor.permissions(bob))
    await vendor.good("POST", vendor.card(ann), {"cardType": "spintly_card", "cardId": 4711})
    assert await stranger.ids() == [theirs]


# ------------------------------------------------------------------------------------------------- list


async def test_users_are_paged_with_their_total(vendor: Integrator) -> None:
    ids = [await vendor.create(f"User {n}") for n in range(5)]

    async def page(filters: dict[str, Any] | None = None, **pagination: Any) -> tuple[list[int], dict[str, int]]:
        answer = await vendor.good("POST", vendor.users, {"pagination": pagination, "filters": filters})
        return [user["id"] for user in answer["users"]], answer["pagination"]

    for filters in (None, {}, {"s": {"name": "user"}}):
        assert await page(filters, page=1, perPage=2) == (ids[:2], {"total": 5, "perPage": 2, "currentPage": 1})
        assert await page(filters, page=3, perPage=2) == (ids[4:], {"total": 5, "perPage": 2, "currentPage": 3})
        assert await page(filters, page=9, perPage=2) == ([], {"total": 5, "perPage": 2, "currentPage": 9})
        assert (await page(filters, page="1", perPage="-1"))[0] == ids
    assert (await page())[0] == ids
    await vendor.good("POST", f"{vendor.users}/delete", {"userIds": ids[:2]})
    assert await page(page=1, perPage=1) == ([ids[2]], {"total": 3, "perPage": 1, "currentPage": 1})


async def test_every_filter_keeps_whom_it_names(vendor: Integrator, alice: Client) -> None:
    term = (await alice.post("/v1/terms", {"name": "Night"}))["id"]
    other = (await alice.post("/v1/sites", {"name": "Annex", "timezone": "Asia/Tokyo"}))["id"]
    ann = await vendor.create("Ann Müller", email="Ann@Example.org", phone="+49301234", employeeCode="A-1")
    bob = await vendor.create("Bob", terms=[term], homeSiteId=other, accessData={"accessExpiresAt": "2031-05-01"})
    await vendor.update(id=ann, deactivateUser=True, accessExpiresAt="2031-05-01")
    assert await vendor.ids(s={"name": "müll"}) == [ann]
    assert await vendor.ids(s={"name": "MÜLL", "email": "example.ORG", "phone": "301234", "employeeId": "a-1"}) == [ann]
    assert await vendor.ids(s={"name": "müll", "email": "nobody"}) == []
    assert await vendor.ids(s={"employeeId": "A-2"}) == []
    assert await vendor.ids(s={"name": "100%"}) == []
    assert await vendor.ids(userType=["active"]) == [bob]
    assert await vendor.ids(userType=["active", "deactivated"]) == [ann, bob]
    assert await vendor.ids(terms=[term]) == [bob]
    assert await vendor.ids(terms=[99]) == []
    assert await vendor.ids(sites=[str(other)]) == [bob]
    assert await vendor.ids(sites=[1, other]) == [ann, bob]
    assert await vendor.ids(accessExpiresAt="2031-05-01") == [ann, bob]
    assert await vendor.ids(accessExpiresAt="2031-05-02") == []
    assert await vendor.ids(accessExpiresAt="2031-05-01T21:59:59Z") == [ann]
    today = datetime.now(UTC).date().isoformat()
    assert await vendor.ids(createdOn=today) == [ann, bob]
    assert await vendor.ids(createdOn="2001-01-01") == []
    assert await vendor.ids(createdOn=today, s={"name": "bob"}, userType=["active"], sites=[other]) == [bob]


@pytest.mark.parametrize("nothing", [None, ""])
async def test_empty_texts_and_nulls_mean_no_filter(vendor: Integrator, nothing: str | None) -> None:
    id = await vendor.create()
    filters = {
        "createdOn": nothing, "userType": nothing, "accessExpiresAt": nothing, "terms": nothing, "sites": nothing,
        "s": {"email": nothing, "name": nothing, "phone": nothing, "employeeId": nothing},
    }  # fmt: skip
    assert await vendor.ids(**filters) == [id]
    assert await vendor.ids(s=nothing, terms=[], sites=[], userType=[]) == [id]
    assert await vendor.ids(terms=[nothing], sites=[nothing], userType=[nothing]) == [id]
    assert await vendor.ids(s=[], createdOn={"startDate": nothing, "endDate": nothing}) == [id]


async def test_an_empty_list_of_phps_is_an_empty_object(vendor: Integrator) -> None:
    id = await vendor.create(accessData=[])
    await vendor.update(id=id, accessData=[])
    lists = "/organisationManagement/v2/integrator/organisations"
    history = f"/v2/organisationManagement/integrator/organisations/{vendor.o}/accessHistory"
    for path in (vendor.users, f"{lists}/{vendor.o}/sites", history, vendor.permissions(id), vendor.door(1)):
        for body in ([], {"filters": []}, {"pagination": []}, {"filters": [], "pagination": []}):
            await vendor.good("POST", path, body)
    for filters in ({"s": []}, {"createdOn": []}, {"accessExpiresAt": []}):
        assert await vendor.ids(**filters) == [id]
    for filters in ({"s": []}, {"accessRange": []}):
        await vendor.good("POST", history, {"filters": filters})


@pytest.mark.parametrize(
    "filters",
    [{"createdOn": "x"}, {"accessExpiresAt": "2031-13-01"}, {"userType": ["ghost"]}, {"sites": ["x"]}, {"s": 7}],
)
async def test_a_filter_that_cannot_be_is_refused(vendor: Integrator, filters: dict[str, Any]) -> None:
    await vendor.bad(400, "POST", vendor.users, {"filters": filters})


async def test_a_filter_by_what_can_be_no_id_finds_nobody(vendor: Integrator) -> None:
    await vendor.create()
    for id in (2**31, 2**64, -1, 0):
        assert await vendor.ids(terms=[id]) == await vendor.ids(sites=[id]) == []


@pytest.mark.parametrize("field", ["createdOn", "accessExpiresAt"])
@pytest.mark.parametrize("at", [1_767_225_600_000, "1767225600000", 1_767_225_600_000_000])
async def test_a_filter_in_milliseconds_is_told_so(vendor: Integrator, field: str, at: object) -> None:
    for asked in (at, {"startDate": at}, {"endDate": at}, {"startDate": "2026-01-01", "endDate": at}):
        assert "milliseconds" in await vendor.bad(400, "POST", vendor.users, {"filters": {field: asked}})


# ------------------------------------------------------------------------------------------------- permissions


async def test_a_door_stands_in_exactly_one_list(vendor: Integrator, dora: Script) -> None:
    id = await vendor.create()
    assert await vendor.standing(id) == {
        "permissionAssigned": [], "permissionNotAssigned": [1, 2, 3], "pendingPermissions": [],
    }  # fmt: skip
    async with dora.linked() as line:
        await line.take_state()
        await vendor.change(id, [1, "3", 1])
        message = await vendor.good("POST", vendor.permissions(id))
        assert message["permissionNotAssigned"] == [
            {"id": 2, "name": "Laboratory", "siteId": 1, "siteName": "Head office"}
        ]
        assert [item["id"] for item in message["pendingPermissions"]] == [1, 3]
        for item in message["pendingPermissions"]:
            assert item.keys() == {"id", "name", "siteId", "siteName", "pending", "since"}
            assert item["pending"] == "add"
            assert abs(item["since"] - time.time()) < 5
        await line.take_state()
        # door 3 has no controller: nobody ever confirms
        expected = {"permissionAssigned": [1], "permissionNotAssigned": [2], "pendingPermissions": [3]}
        await until(lambda: vendor.standing(id), expected)
        await vendor.change(id, [], [1, 3])
        message = await vendor.good("POST", vendor.permissions(id))
        [first, *rest] = message["permissionNotAssigned"]
        assert (first["id"], first["pending"]) == (1, "remove")
        assert abs(first["since"] - time.time()) < 5
        assert all("pending" not in item for item in rest)
        await line.take_state()
        plain = {"permissionAssigned": [], "permissionNotAssigned": [1, 2, 3], "pendingPermissions": []}
        await until(lambda: vendor.standing(id), plain)


async def test_a_removal_that_its_door_has_not_confirmed_stands_there_until_it_has(
    vendor: Integrator, dora: Script, alice: Client
) -> None:
    id = await vendor.create(accessData={"accessPoints": [1]})
    async with dora.linked() as line:
        await line.take_state()
        await until(lambda: vendor.standing(id), {
            "permissionAssigned": [1], "permissionNotAssigned": [2, 3], "pendingPermissions": [],
        })  # fmt: skip
    await vendor.change(id, [], [1])
    removing = (await vendor.good("POST", vendor.permissions(id)))["permissionNotAssigned"][0]
    assert (removing["id"], removing["pending"]) == (1, "remove")
    await vendor.change(id, [1])
    assert (await vendor.standing(id))["pendingPermissions"] == [1]
    await vendor.change(id, [], [1])
    other = (await alice.post("/v1/controllers", {"name": "Eve", "accessPoints": [1]}))["id"]
    assert other
    assert (await vendor.standing(id))["permissionNotAssigned"] == [1, 2, 3]
    await alice.delete("/v1/access-points/1")
    assert (await vendor.standing(id))["permissionNotAssigned"] == [2, 3]


async def test_a_later_change_of_a_schedule_leaves_a_permission_assigned(
    vendor: Integrator, dora: Script, alice: Client
) -> None:
    id = await vendor.create()
    always = {"name": "Always", "week": [[[0, 1440]]] * 7}
    schedule = (await alice.post("/v1/schedules", always))["id"]
    grant = {"accessPointId": 1, "scheduleId": schedule}
    await alice.patch(f"/v1/users/{id}/permissions", {"add": [grant]})
    async with dora.linked() as line:
        await line.take_state()
        expected = {"permissionAssigned": [1], "permissionNotAssigned": [2, 3], "pendingPermissions": []}
        await until(lambda: vendor.standing(id), expected)
        await alice.patch(f"/v1/schedules/{schedule}", {"week": [[[0, 60]]] * 7})
        assert await vendor.standing(id) == expected
        await vendor.change(id, [1])  # it is there: nothing is changed, least of all its schedule
        assert await vendor.standing(id) == expected
    [kept] = (await alice.get(f"/v1/users/{id}/permissions"))["items"]
    assert kept["scheduleId"] == schedule


async def test_permissions_are_told_by_site(vendor: Integrator, alice: Client) -> None:
    annex = (await alice.post("/v1/sites", {"name": "Annex"}))["id"]
    far = (await alice.post("/v1/access-points", {"siteId": annex, "name": "Far"}))["id"]
    id = await vendor.create(accessData={"accessPoints": [1, far]})
    assert (await vendor.standing(id, sites=[str(annex)]))["pendingPermissions"] == [far]
    assert (await vendor.standing(id, sites=[annex]))["permissionNotAssigned"] == []
    for everything in ({"sites": []}, {"sites": None}, {}, {"sites": [1, annex]}):
        assert (await vendor.standing(id, **everything))["pendingPermissions"] == [1, far]
    assert await vendor.standing(id, sites=[99]) == {
        "permissionAssigned": [], "permissionNotAssigned": [], "pendingPermissions": [],
    }  # fmt: skip
    await vendor.bad(404, "POST", vendor.permissions(99_999), {})


async def test_both_paths_change_a_users_permissions(vendor: Integrator) -> None:
    id = await vendor.create()
    for path in (vendor.permissions(id), vendor.permissions_v4(id)):
        assert isinstance(
            await vendor.good("PATCH", path, {"permissionsToAdd": [1, 2], "permissionsToRemove": []}), str
        )
        assert (await vendor.standing(id))["pendingPermissions"] == [1, 2]
        await vendor.good("PATCH", path, {"permissionsToAdd": [2, 3], "permissionsToRemove": [1]})
        assert (await vendor.standing(id))["pendingPermissions"] == [2, 3]
        await vendor.good("PATCH", path, {"permissionsToAdd": None, "permissionsToRemove": [1, 2, 3]})
        await vendor.good("PATCH", path)
        assert (await vendor.standing(id))["permissionNotAssigned"] == [1, 2, 3]


async def test_a_bad_change_of_permissions_changes_nothing(vendor: Integrator, stranger: Integrator, db: Conn) -> None:
    id, theirs = await vendor.create(accessData={"accessPoints": [1]}), await stranger.create("Theirs")
    before, rows = await vendor.standing(id), await db.counts()
    for path in (vendor.permissions(id), vendor.permissions_v4(id)):
        for status, body in (
            (404, {"permissionsToAdd": [2, 99], "permissionsToRemove": []}),
            (404, {"permissionsToAdd": [2], "permissionsToRemove": [99]}),
            (404, {"permissionsToAdd": [2], "pendingPermissionsToRemove": [99]}),
            (404, {"permissionsToAdd": [2, 0]}),
            (404, {"permissionsToAdd": [2, 2**40]}),
            (400, {"permissionsToAdd": [2], "permissionsToRemove": [2]}),
            (400, {"permissionsToAdd": [2], "pendingPermissionsToRemove": ["2"]}),
            (400, {"permissionsToAdd": ["x"]}),
            (400, {"permissionsToAdd": {"2": True}}),
            (400, {"permissionsToAdd": list(range(1, 10_002))}),
        ):
            await vendor.bad(status, "PATCH", path, body)
    for unknown in (99_999, theirs, 0, 2**40):
        await vendor.bad(404, "PATCH", vendor.permissions(unknown), {"permissionsToAdd": [1]})
        await vendor.bad(404, "PATCH", vendor.permissions_v4(unknown), {})
        await vendor.bad(404, "POST", vendor.permissions(unknown), {})
    assert await vendor.standing(id) == before
    assert await db.counts() == rows


async def test_a_pending_permission_can_be_withdrawn_and_a_confirmed_one_is_left(
    vendor: Integrator, dora: Script
) -> None:
    id = await vendor.create(accessData={"accessPoints": [1]})
    async with dora.linked() as line:
        await line.take_state()
        await until(lambda: vendor.standing(id), {
            "permissionAssigned": [1], "permissionNotAssigned": [2, 3], "pendingPermissions": [],
        })  # fmt: skip
        await vendor.change(id, [2, 3])
        await vendor.change(id, [], [], pendingPermissionsToRemove=[1, 2, "3"])
        standing = await vendor.standing(id)
        assert standing["permissionAssigned"] == [1]
        assert standing["pendingPermissions"] == []
        await vendor.good("PATCH", vendor.door(1), {"pendingPermissionsToRemove": [id]})
        assert (await vendor.standing(id))["permissionAssigned"] == [1]


# ------------------------------------------------------------------------------------------------- the door's side


@pytest.mark.parametrize("integrator", ["integrator/", ""])
async def test_a_doors_users_are_told_and_changed_on_both_paths(
    vendor: Integrator, dora: Script, integrator: str
) -> None:
    path = vendor.door(1, integrator)
    ann = await vendor.create("Ann", email="ann@example.org", employeeCode="7")
    bob = await vendor.create("Bob")
    assert (await vendor.good("GET", path))["usersWithPermissions"] == []
    async with dora.linked() as line:
        await line.take_state()
        assert isinstance(await vendor.good("PATCH", path, {"permissionsToAdd": [ann, str(bob)]}), str)
        told = await vendor.good("GET", path)
        assert told == {
            "usersWithPermissions": [
                {"id": ann, "name": "Ann", "email": "ann@example.org", "employeeCode": "7", "pending": True},
                {"id": bob, "name": "Bob", "email": "", "employeeCode": "", "pending": True},
            ],
            "pagination": {"total": 2, "perPage": 10_000, "currentPage": 1},
        }
        await line.take_state()

        async def pending() -> list[bool]:
            return [user["pending"] for user in (await vendor.good("GET", path))["usersWithPermissions"]]

        await until(pending, [False, False])
    page = await vendor.good("POST", path, {"pagination": {"page": 2, "perPage": 1}})
    assert [user["id"] for user in page["usersWithPermissions"]] == [bob]
    assert page["pagination"] == {"total": 2, "perPage": 1, "currentPage": 2}
    past = await vendor.good("POST", path, {"pagination": {"page": 9, "perPage": 5}})
    assert past == {"usersWithPermissions": [], "pagination": {"total": 2, "perPage": 5, "currentPage": 9}}
    await vendor.good("PATCH", path, {"permissionsToAdd": [ann], "permissionsToRemove": [bob]})
    await vendor.good("PATCH", path, {"permissionsToRemove": [bob]})
    assert [user["id"] for user in (await vendor.good("POST", path))["usersWithPermissions"]] == [ann]


async def test_a_bad_change_at_a_door_changes_nothing(vendor: Integrator, stranger: Integrator) -> None:
    ann, theirs = await vendor.create("Ann"), await stranger.create("Theirs")
    for path in (vendor.door(1), vendor.door(1, "")):
        for status, body in (
            (404, {"permissionsToAdd": [ann, 99_999]}),
            (404, {"permissionsToAdd": [ann, theirs]}),
            (404, {"permissionsToAdd": [ann], "permissionsToRemove": [99_999]}),
            (404, {"permissionsToAdd": [ann], "pendingPermissionsToRemove": [theirs]}),
            (404, {"permissionsToAdd": [10**18]}),
            (400, {"permissionsToAdd": [ann], "permissionsToRemove": [ann]}),
            (400, {"permissionsToAdd": [ann], "pendingPermissionsToRemove": [ann]}),
        ):
            await vendor.bad(status, "PATCH", path, body)
        assert (await vendor.good("GET", path))["usersWithPermissions"] == []
    for unknown in (99, 0, 2**40):
        for method in ("GET", "POST", "PATCH"):
            await vendor.bad(404, method, vendor.door(unknown), None if method == "GET" else {})


# ------------------------------------------------------------------------------------------------- cards


async def test_a_card_is_assigned_replaced_and_unassigned(vendor: Integrator) -> None:
    id = await vendor.create()

    async def card() -> tuple[str | None, bool]:
        user = await vendor.user(id)
        return user["credentialId"], user["cardAssigned"]

    assign, legacy = vendor.card(id), f"{vendor.legacy}/{id}"
    for body in ({"cardType": "spintly_card", "cardId": 1000123}, {"cardType": "spintly_card", "cardId": "1000123"}):
        assert isinstance(await vendor.good("POST", assign, body), str)
        assert await card() == ("1000123", True)
    assert isinstance(await vendor.good("POST", f"{legacy}/assignCard", {"credentialId": "1000124"}), str)
    assert await card() == ("1000124", True)
    assert isinstance(await vendor.good("POST", f"{legacy}/unassignCard"), str)
    assert await card() == (None, False)
    await vendor.good("POST", assign, {"cardType": "spintly_card", "cardId": 2**62})
    assert await card() == (str(2**62), True)
    assert isinstance(await vendor.good("POST", vendor.card(id, "unassignCredential")), str)
    assert await card() == (None, False)
    await vendor.good("POST", vendor.card(id, "unassignCredential"))


async def test_a_card_that_another_holds_is_a_conflict_that_names_nobody_outside(
    vendor: Integrator, stranger: Integrator
) -> None:
    ann, bob = await vendor.create("Ann Secret"), await vendor.create("Bob")
    await vendor.good("POST", vendor.card(ann), {"cardType": "spintly_card", "cardId": 4711})
    await vendor.good("POST", vendor.card(bob), {"cardType": "spintly_card", "cardId": 1})
    await vendor.bad(409, "POST", vendor.card(bob), {"cardType": "spintly_card", "cardId": 4711})
    await vendor.bad(409, "POST", f"{vendor.legacy}/{bob}/assignCard", {"credentialId": "4711"})
    await vendor.bad(409, "POST", f"{vendor.users}/create", {"name": "Cid", "credentialId": "4711"})
    assert [(await vendor.user(id))["credentialId"] for id in (ann, bob)] == ["4711", "1"]
    assert await vendor.ids() == [ann, bob]
    theirs = await stranger.create("Theirs")  # one per organisation
    await stranger.good("POST", stranger.card(theirs), {"cardType": "spintly_card", "cardId": 4711})
    await vendor.good("POST", vendor.card(ann, "unassignCredential"))
    await vendor.good("POST", vendor.card(bob), {"cardType": "spintly_card", "cardId": 4711})


@pytest.mark.parametrize("number", [None, "", "x", "12x", "1.5", 1.5, -1, 0, 2**63, 10**30, [1], True])
async def test_a_card_number_is_one_unsigned_integer(vendor: Integrator, number: object) -> None:
    id = await vendor.create()
    await vendor.bad(400, "POST", vendor.card(id), {"cardType": "spintly_card", "cardId": number})
    await vendor.bad(400, "POST", f"{vendor.legacy}/{id}/assignCard", {"credentialId": number})
    assert (await vendor.user(id))["cardAssigned"] is False


async def test_a_card_for_nobody_is_not_found(vendor: Integrator, stranger: Integrator) -> None:
    theirs = await stranger.create("Theirs")
    for unknown in (99_999, theirs, 0, 2**40):
        await vendor.bad(404, "POST", vendor.card(unknown), {"cardType": "spintly_card", "cardId": 1})
        await vendor.bad(404, "POST", vendor.card(unknown, "unassignCredential"))
        await vendor.bad(404, "POST", f"{vendor.legacy}/{unknown}/assignCard", {"credentialId": "1"})
        await vendor.bad(404, "POST", f"{vendor.legacy}/{unknown}/unassignCard")


# ------------------------------------------------------------------------------------------------- every call


def _paths(vendor: Integrator) -> list[tuple[str, str]]:
    return [
        ("GET", f"{vendor.form}?roles=roles"),
        ("POST", f"{vendor.users}/create"),
        ("PATCH", f"{vendor.users}/update"),
        ("POST", f"{vendor.users}/delete"),
        ("POST", vendor.users),
        ("POST", vendor.legacy),
        ("POST", f"{vendor.legacy}/list"),
        ("POST", vendor.permissions(1)),
        ("PATCH", vendor.permissions(1)),
        ("PATCH", vendor.permissions_v4(1)),
        ("GET", vendor.door(1)),
        ("PATCH", vendor.door(1, "")),
        ("POST", vendor.card(1)),
        ("POST", vendor.card(1, "unassignCredential")),
        ("POST", f"{vendor.legacy}/1/assignCard"),
        ("POST", f"{vendor.legacy}/1/unassignCard"),
    ]


async def test_every_path_is_of_the_tokens_own_organisation_and_open_to_browsers(
    vendor: Integrator, stranger: Integrator
) -> None:
    for method, path in _paths(stranger):
        await vendor.bad(404, method, path, None if method == "GET" else {})
        asked = {"origin": "https://page.test", "access-control-request-method": method}
        response = await vendor.http.options(path, headers=asked)
        assert response.status_code in (200, 204)
        assert response.headers["access-control-allow-origin"] == "*"


async def test_a_token_is_taken_bare_and_any_other_scheme_is_refused(vendor: Integrator) -> None:
    vendor.scheme = ""
    await vendor.good("POST", vendor.users)
    vendor.scheme = "Basic "
    for method, path in _paths(vendor):
        await vendor.bad(401, method, path, None if method == "GET" else {})


@pytest.mark.parametrize("body", [[], "x", 7, {"users": 1}, {"users": [[]]}, {"filters": []}, {"pagination": "x"}])
async def test_no_body_brings_the_server_down(vendor: Integrator, body: object) -> None:
    for method, path in _paths(vendor):
        if method != "GET":
            response = await vendor.call(method, path, body)
            assert response.status_code in (200, 400, 404), (path, response.text)
    assert await vendor.list() == []
