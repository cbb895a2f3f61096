"""Users, their cards, roles and terms on the native API."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import asyncpg
import pytest

from cloud.cast import Client, Conn, Script, problem
from cloud.people.cast import until
from latchwork.cloud.kernel.work import SYSTEM, Scope, Work
from latchwork.cloud.people import service, store
from latchwork.cloud.people.model import UserFilter
from latchwork.wire.api.people import UserDraft
from latchwork.wire.api.problems import NotFound

NAMES = ["Zoë", "王小明", "नमस्ते देवी", "محمد", "Ольга", "O'Brien", "Jean-Luc", "Nguyễn Thị Ánh", "🦊", "a\\b:*&|!<->"]


async def user(alice: Client, name: str = "Bob", **more: Any) -> int:
    return int((await alice.post("/v1/users", {"name": name, **more}))["id"])


async def refused(alice: Client, status: int, method: str, path: str, body: object) -> str:
    """The code of a refusal that has changed nothing."""
    db = Conn(alice.cloud.dsn)
    before = await db.counts()
    response = await alice.call(method, path, json=body)
    assert response.status_code == status, response.text
    assert await db.counts() == before
    return str(problem(response)["code"])


# ------------------------------------------------------------------------------------------------- users


async def test_a_user_is_made_changed_and_read(alice: Client) -> None:
    id = await user(alice, email="bob@example.org")
    made = await alice.get(f"/v1/users/{id}")
    assert (made["roles"], made["homeSiteId"], made["isActive"], made["hasPin"]) == (["end_user"], 1, True, False)
    patch = {"pin": "1234", "access": {"mobile": False}, "isActive": False, "roles": []}
    changed = await alice.patch(f"/v1/users/{id}", patch)
    assert (changed["hasPin"], changed["access"]["mobile"], changed["access"]["card"]) == (True, False, True)
    assert changed["roles"] == ["end_user"]
    assert changed["version"] == made["version"] + 1
    assert changed == await alice.get(f"/v1/users/{id}")
    assert "1234" not in str(await alice.events())
    again = await alice.patch(f"/v1/users/{id}", {"isActive": False})
    assert again["version"] == changed["version"]
    kinds = [event["type"] for event in await alice.events() if event["subject"] == f"user/{id}"]
    assert kinds == ["user_created", "user_deactivated"]


@pytest.mark.parametrize("name", NAMES)
async def test_names_in_any_script_are_kept_and_found(alice: Client, name: str) -> None:
    id = await user(alice, name)
    await user(alice, "Xavier")
    assert (await alice.get(f"/v1/users/{id}"))["name"] == name
    words = [word for word in name.split() if any(ch.isalnum() for ch in word)]
    for word in words:
        for text in (word, word.upper(), word[:2] if word[:2].isalnum() else word):
            found = (await alice.get("/v1/users", params={"search": text}))["items"]
            assert [u["id"] for u in found] == [id], text


async def test_search_takes_the_beginning_of_each_word(alice: Client) -> None:
    ann, bob = await user(alice, "Ann-Marie O'Brien"), await user(alice, "Bob Annan")

    async def found(search: str, **more: Any) -> list[int]:
        return [u["id"] for u in (await alice.get("/v1/users", params={"search": search, **more}))["items"]]

    assert await found("ANN") == [ann, bob]
    assert await found("ann bri") == [ann]
    assert await found("o'b") == [ann]
    assert await found("nan") == []
    assert await found("  ") == [ann, bob]
    assert await found("- & |") == []
    await alice.patch(f"/v1/users/{bob}", {"isActive": False})
    assert await found("ann", active=True) == [ann]
    assert await found("ann", active=False) == [bob]
    assert (await alice.call("GET", "/v1/users", params={"search": "x\0y"})).status_code in (200, 400)


async def test_who_stands_behind_thousands_is_found_and_by_no_index_that_reads_them_all(
    alice: Client, charlie: Client, db: Conn
) -> None:
    kim, _ = await user(alice, "Kim First"), await charlie.post("/v1/users", {"name": "Zoe Charlie"})
    columns = """organisation_id, home_site_id, email, phone, employee_code, roles, admin_of_sites, terms, joining_date,
        probation_period, gender, access, pin_salt, pin_hash, created_at, updated_at"""
    copied = f"INSERT INTO users (name, {columns}) SELECT 'Kim ' || n, {columns} FROM users, generate_series(1, 5000) n"
    await db.fetch(f"{copied} WHERE id = $1 ORDER BY n", kim)
    zoe, ann = await user(alice, "Zoe Last"), await user(alice, "Ann Kim")

    async def page(**params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await alice.get("/v1/users", params=params)
        return answer

    assert [one["id"] for one in (await page(search="zoe"))["items"]] == [zoe]
    assert [one["id"] for one in (await page(search="kim ann"))["items"]] == [ann]
    found, cursor = 0, None
    while found == 0 or cursor:
        kims = await page(search="kim", limit=200, **({"cursor": cursor} if cursor else {}))
        found, cursor = found + len(kims["items"]), kims.get("nextCursor")
    assert (found, kims["items"][-1]["id"]) == (5002, ann)

    conn = await asyncpg.connect(alice.cloud.dsn)
    try:
        await conn.execute("ANALYZE users")
        await conn.execute("SET plan_cache_mode = force_generic_plan")
        parameters = "integer, bigint, text, integer, integer[], bigint, text"
        await conn.execute(f"PREPARE find ({parameters}) AS {store._FIND.format('users', '')}")
        plan = await conn.fetch("EXPLAIN EXECUTE find (1, 0, 'zoe:*', 51, NULL, NULL, '')")
        assert ("users_by_word" in str(plan), "BitmapAnd" in str(plan)) == (True, False), plan
    finally:
        await conn.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "\u0001"},
        {"email": "@"},
        {"email": "a@b"},
        {"email": "a b@c.de"},
        {"email": "a@b.c\n"},
        {"phone": "---"},
        {"phone": "phone"},
        {"phone": "+49\u0661\u0662\u0663"},
        {"joiningDate": "2026-W01-1"},
        {"joiningDate": "20260101"},
        {"accessExpiresAt": 1_767_225_600_000},
        {"accessExpiresAt": -1},
        {"access": {"clickRange": -1}},
        {"pin": "12"},
        {"pin": "١٢٣٤"},
        {"roles": ["king"]},
        {"roles": ["end_user", "end_user"]},
        {"roles": ["manager"]},
        {"terms": list(range(1, 1002))},
        {"adminOfSites": [1, 1]},
        {"unknown": 1},
    ],
)
async def test_a_user_that_cannot_be_is_refused(alice: Client, fields: dict[str, Any]) -> None:
    id = await user(alice)
    assert await refused(alice, 400, "POST", "/v1/users", {"name": "Bob", **fields}) in ("invalid", "malformed")
    assert await refused(alice, 400, "PATCH", f"/v1/users/{id}", fields) in ("invalid", "malformed")


@pytest.mark.parametrize(
    "fields",
    [
        {"homeSiteId": 9},
        {"homeSiteId": 2**40},
        {"adminOfSites": [1, 9]},
        {"terms": [1]},
        {"terms": [2**40]},
        {"reportingTo": 99_999},
        {"reportingTo": 2**62},
        {"reportingTo": -1},
    ],
)
async def test_what_a_user_refers_to_must_be_there(alice: Client, charlie: Client, fields: dict[str, Any]) -> None:
    id = await user(alice)
    await charlie.post("/v1/terms", {"name": "Charlie's"})
    assert await refused(alice, 404, "POST", "/v1/users", {"name": "Bob", **fields}) == "not_found"
    assert await refused(alice, 404, "PATCH", f"/v1/users/{id}", fields) == "not_found"
    for doors in ([9], [0], [2**40], [1, 9]):
        assert await refused(alice, 404, "POST", "/v1/users", {"name": "Bob", "accessPoints": doors}) == "not_found"


async def test_nobody_reports_to_themselves(alice: Client) -> None:
    id = await user(alice)
    assert await refused(alice, 400, "PATCH", f"/v1/users/{id}", {"reportingTo": id}) == "invalid"


async def test_another_organisations_people_are_not_found(alice: Client, charlie: Client) -> None:
    theirs = await user(charlie)
    for method, path, body in (
        ("GET", f"/v1/users/{theirs}", None),
        ("PATCH", f"/v1/users/{theirs}", {"name": "Mine"}),
        ("DELETE", f"/v1/users/{theirs}", None),
        ("GET", f"/v1/users/{theirs}/permissions", None),
        ("PATCH", f"/v1/users/{theirs}/permissions", {"add": [{"accessPointId": 1}]}),
        ("GET", f"/v1/users/{theirs}/cards", None),
        ("POST", f"/v1/users/{theirs}/cards", {"number": 1}),
    ):
        response = await alice.call(method, path, **({} if body is None else {"json": body}))
        assert response.status_code == 404, path
        other = await alice.call(method, path.replace(str(theirs), "99999"), **({} if body is None else {"json": body}))
        assert problem(response)["code"] == problem(other)["code"] == "not_found"


async def test_two_clients_who_change_a_user_at_once_lose_nothing(alice: Client) -> None:
    id = await user(alice)
    path = f"/v1/users/{id}"
    tag = (await alice.call("GET", path)).headers["etag"]
    both = await asyncio.gather(
        alice.call("PATCH", path, json={"email": "a@example.org"}, headers={"if-match": tag}),
        alice.call("PATCH", path, json={"phone": "+4930123"}, headers={"if-match": tag}),
    )
    assert sorted(response.status_code for response in both) == [200, 412]
    late = next(response for response in both if response.status_code == 412)
    assert problem(late)["code"] == "outdated"
    await asyncio.gather(
        *(alice.patch(path, {field: value}) for field, value in
          (("gender", "x"), ("employeeCode", "7"), ("joiningDate", "2026-01-01"), ("name", "Robert")))
    )  # fmt: skip
    found = await alice.get(path)
    assert (found["gender"], found["employeeCode"], found["joiningDate"], found["name"]) == (
        "x", "7", "2026-01-01", "Robert",
    )  # fmt: skip
    known = found["version"]
    for tag in ("*", f'"{known}"', f'"0", "{known}"', f'W/"1","{known}"'):
        assert (await alice.call("PATCH", path, json={}, headers={"if-match": tag})).status_code == 200
    assert (await alice.call("PATCH", path, json={}, headers={"if-match": "W/x"})).status_code == 400
    for tag in (f'W/"{known}"', '"x"', f'"0", "{known + 1}"'):
        assert (await alice.call("PATCH", path, json={}, headers={"if-match": tag})).status_code == 412


async def test_a_site_that_is_still_needed_is_not_deleted_and_it_says_why(alice: Client) -> None:
    site = (await alice.post("/v1/sites", {"name": "Annex"}))["id"]
    door = (await alice.post("/v1/access-points", {"siteId": site, "name": "Gate"}))["id"]
    id = await user(alice, homeSiteId=site, roles=["site_admin"], adminOfSites=[1, site])

    async def why() -> str:
        response = await alice.call("DELETE", f"/v1/sites/{site}")
        assert response.status_code == 409
        return str(problem(response)["detail"])

    assert await why() == "Doors still belong to this site; delete them first."
    await alice.delete(f"/v1/access-points/{door}")
    assert await why() == "This is still the home site of users; give them another one first."
    await alice.patch(f"/v1/users/{id}", {"homeSiteId": 1})
    assert await why() == "Users still administer this site; take it from them first."
    await alice.patch(f"/v1/users/{id}", {"adminOfSites": [1]})
    await alice.delete(f"/v1/sites/{site}")


async def test_nobody_becomes_admin_of_a_site_that_is_being_deleted(alice: Client, db: Conn) -> None:
    for _ in range(5):
        site = (await alice.post("/v1/sites", {"name": "Annex"}))["id"]
        id = await user(alice)
        await asyncio.gather(
            alice.call("DELETE", f"/v1/sites/{site}"),
            alice.call("PATCH", f"/v1/users/{id}", json={"adminOfSites": [site]}),
        )
    dangling = "SELECT count(*) FROM users, unnest(admin_of_sites) a WHERE a NOT IN (SELECT id FROM sites)"
    assert await db.value(dangling) == 0


@pytest.mark.parametrize(
    ("wanted", "index"), [(UserFilter(sites=(2,)), "users_by_home"), (UserFilter(terms=(7,)), "users_by_term")]
)
async def test_few_people_of_many_are_found_by_an_index(
    alice: Client, db: Conn, wanted: UserFilter, index: str
) -> None:
    await alice.post("/v1/sites", {"name": "Branch"})
    await user(alice)
    copied = "name, email, phone, employee_code, roles, admin_of_sites, joining_date, probation_period, gender, access"
    await db.fetch(
        f"""
        INSERT INTO users (organisation_id, {copied}, pin_salt, pin_hash, created_at, updated_at, home_site_id, terms)
        SELECT organisation_id, {copied}, pin_salt, pin_hash, created_at, updated_at,
            CASE WHEN n % 1000 = 0 THEN 2 ELSE 1 END, CASE WHEN n % 1000 = 0 THEN '{{7}}' ELSE '{{}}' END::integer[]
        FROM users, generate_series(1, 20000) AS n
        """
    )
    asked: list[Any] = []
    conn = await asyncpg.connect(alice.cloud.dsn)
    try:
        await conn.execute("ANALYZE users")
        with conn.query_logger(asked.append):
            found, total = await store.filter_users(conn, Scope(alice.organisation), wanted, 0, 25)
        filtering = next(each for each in asked if "OVER ()" in each.query)
        plan = str(await conn.fetch(f"EXPLAIN {filtering.query}", *filtering.args))
    finally:
        await conn.close()
    assert (len(found), total) == (20, 20)
    assert index in plan
    assert "Seq Scan" not in plan


async def test_the_number_of_users_is_kept(alice: Client, db: Conn) -> None:
    ids = [await user(alice) for _ in range(3)]
    await alice.delete(f"/v1/users/{ids[0]}")
    assert (await alice.call("POST", "/v1/users", json={"name": "Bob", "terms": [9]})).status_code == 404
    counted = await db.value("SELECT users FROM organisations WHERE id = $1", alice.organisation)
    assert counted == await db.value("SELECT count(*) FROM users") == 2


async def test_who_may_write_users_may_not_give_doors(alice: Client) -> None:
    draft = {"name": "Personnel", "scopes": ["users:read", "users:write"]}
    made = await alice.post("/v1/clients", draft)
    form = {
        "grant_type": "client_credentials", "client_id": made["clientId"], "client_secret": made["clientSecret"],
    }  # fmt: skip
    token = (await alice.cloud.http.post("/oauth2/token", data=form)).json()["access_token"]
    personnel = Client(alice.cloud, alice.organisation, token)
    await user(personnel)
    assert await refused(personnel, 403, "POST", "/v1/users", {"name": "Bob", "accessPoints": [1]}) == "forbidden"
    sheet = {"csv": "name,accessPoints\r\nBob,1\r\n"}
    assert await refused(personnel, 403, "POST", "/v1/users/import", sheet) == "forbidden"
    exported = (await personnel.call("GET", "/v1/users/export")).text
    assert "accessPoints" not in exported


# ------------------------------------------------------------------------------------------------- roles and terms


async def test_a_module_that_is_off_takes_its_role_from_the_list(alice: Client) -> None:
    await alice.patch("/v1/organisation", {"attendanceModule": True})
    id = await user(alice, roles=["manager", "front_desk"])
    await alice.patch("/v1/organisation", {"attendanceModule": False, "visitorModule": False})
    assert [role["name"] for role in await alice.get("/v1/roles")] == ["end_user", "site_admin", "super_admin"]
    assert await refused(alice, 400, "POST", "/v1/users", {"name": "Ann", "roles": ["manager"]}) == "invalid"
    assert (await alice.patch(f"/v1/users/{id}", {"name": "Robert"}))["roles"] == ["manager", "front_desk"]


async def test_terms_are_made_given_and_deleted_when_nobody_has_them(alice: Client, charlie: Client) -> None:
    term = (await alice.post("/v1/terms", {"name": "Night"}))["id"]
    assert term == 1
    assert await refused(alice, 409, "POST", "/v1/terms", {"name": "Night"}) == "conflict"
    assert await refused(alice, 400, "POST", "/v1/terms", {"name": ""}) == "invalid"
    id = await user(alice, terms=[term])
    assert (await alice.call("DELETE", f"/v1/terms/{term}")).status_code == 409
    assert (await charlie.call("DELETE", f"/v1/terms/{term}")).status_code == 404
    await alice.patch(f"/v1/users/{id}", {"terms": []})
    await alice.delete(f"/v1/terms/{term}")
    assert await alice.get("/v1/terms") == []


# ------------------------------------------------------------------------------------------------- cards


async def test_a_card_belongs_to_one_person_at_a_time(alice: Client, charlie: Client) -> None:
    ann, bob = await user(alice, "Ann"), await user(alice, "Bob")
    card = await alice.post(f"/v1/users/{ann}/cards", {"number": 4_000_123})
    await alice.post(f"/v1/users/{ann}/cards", {"number": 4_000_124})
    assert (await alice.post(f"/v1/users/{ann}/cards", {"number": 4_000_123}))["id"] == card["id"]
    assert await refused(alice, 409, "POST", f"/v1/users/{bob}/cards", {"number": 4_000_123}) == "conflict"
    assert [c["lastDigits"] for c in await alice.get(f"/v1/users/{ann}/cards")] == ["123", "124"]
    assert (await alice.get(f"/v1/users/{ann}"))["cards"] == 2
    await charlie.post(f"/v1/users/{await user(charlie)}/cards", {"number": 4_000_123})
    for other in (f"/v1/users/{bob}/cards/{card['id']}", f"/v1/users/{ann}/cards/999"):
        assert (await alice.call("DELETE", other)).status_code == 404
    await alice.delete(f"/v1/users/{ann}/cards/{card['id']}")
    await alice.post(f"/v1/users/{bob}/cards", {"number": 4_000_123})


async def test_one_card_for_two_people_at_once_goes_to_one(alice: Client, db: Conn) -> None:
    people = [await user(alice, f"User {n}") for n in range(6)]
    answers = await asyncio.gather(*(alice.call("POST", f"/v1/users/{id}/cards", json={"number": 7}) for id in people))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert (await db.counts())["cards"] == 1


@pytest.mark.parametrize("number", [0, -1, 2**63, 10**30, "1", 1.5, None, True])
async def test_a_card_number_that_cannot_be_is_refused(alice: Client, number: object) -> None:
    id = await user(alice)
    assert await refused(alice, 400, "POST", f"/v1/users/{id}/cards", {"number": number}) in ("invalid", "malformed")


async def test_a_deleted_person_leaves_no_card_and_no_key_behind(alice: Client, dora: Script, db: Conn) -> None:
    id = await user(alice, accessPoints=[1, 2])
    await alice.post(f"/v1/users/{id}/cards", {"number": 987_654_321})
    async with dora.linked() as line:
        await line.take_state()
        await alice.delete(f"/v1/users/{id}")
        gone = await line.take_state()
    assert {record.kind for record in gone.records} >= {"person", "card", "grant"}
    assert all(record.body is None for record in gone.records)
    tables = [row["t"] for row in await db.fetch("SELECT tablename AS t FROM pg_tables WHERE schemaname = 'public'")]
    for table in tables:
        rows = await db.fetch(f"SELECT * FROM {table}")
        assert not any("987654321" in str(dict(row)) for row in rows), table

    async def kept() -> int:
        return await db.value("SELECT count(*) FROM desired_records WHERE kind IN ('card', 'person', 'grant')"
                              " AND body IS NOT NULL")  # fmt: skip

    await until(kept, 0)


async def test_somebody_enters_while_their_manager_leaves_and_neither_starts_anew(alice: Client) -> None:
    chief = (await alice.post("/v1/users", {"name": "Chief"}))["id"]
    database, locked, began = alice.cloud.state.database, asyncio.Event(), []

    async def leave(work: Work) -> None:
        began.append("leave")
        await store.lock_users(work.conn, work.scope, [chief])
        locked.set()
        await asyncio.sleep(0.2)
        await service.remove_users(work, [chief])

    async def enter(work: Work) -> None:
        began.append("enter")
        await service.add_user(work, UserDraft("Bob", reporting_to=chief))

    run = partial(database.run, Scope(alice.organisation), SYSTEM, int(time.time()))
    leaving = asyncio.create_task(run(leave))
    await locked.wait()
    with pytest.raises(NotFound):
        await run(enter)
    await leaving
    assert began == ["leave", "enter"]
