"""Bad input about people, on both wires: a refusal with a sentence, after which not one value in any table differs."""

from __future__ import annotations

import asyncio
from typing import Any

from cloud.cast import Client, Conn, nothing_changes, problem
from cloud.people.cast import Integrator

ALWAYS = {"name": "Always", "week": [[[0, 1440]]] * 7}
MOST = 10_000


async def refused(alice: Client, status: int, method: str, path: str, body: object) -> Any:
    answer = problem(await alice.call(method, path, json=body))
    assert answer["status"] == status, (path, str(body)[:200], answer)
    return answer


# ------------------------------------------------------------------------------------------------- single fields

NAMES = {
    "right to left": "יוסף بن محمد",
    "direction marks": "Vic \u200fיוסף\u200e Smith",
    "emoji of several": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "combining": "Zoe\u0308 A\u030a\u0323",
    "beyond the plane": "𠮷野家 𝔘𝔫𝔦",
    "joined": "शक्\u200dति می\u200cخواهم",
    "the longest": "ü" * 200,
    "like a formula": "=1+1",
    "like HTML": "<b onclick=x>&amp;</b>",
    "quoted": "O\"Hara, 'Bob' \\ %s {0}",
}


async def test_a_name_in_any_script_is_the_same_on_every_wire(alice: Client, vendor: Integrator) -> None:
    for name in NAMES.values():
        quoted = name.replace('"', '""')
        ids = [(await alice.post("/v1/users", {"name": name}))["id"], await vendor.create(name), await vendor.create()]
        await vendor.update(id=ids[2], name=name)
        await alice.post("/v1/users/import", {"csv": f'name\r\n"{quoted}"\r\n'})
    shown = [user["name"] for user in (await alice.get("/v1/users"))["items"]]
    assert shown == [user["name"] for user in await vendor.list()] == [n for n in NAMES.values() for _ in range(4)]


NO_NAMES = {
    "blanks": " \t ",
    "blanks of other scripts": "\u00a0\u3000\u2003",
    "nothing to see": "\u200b\u200d\u2060\ufeff",
    "only direction marks": "\u200f\u202e",
    "too long": "ü" * 201,
    "far too long": "x" * 100_000,
    "NUL": "Bob\0",
    "escape": "Bob\x1b[31m",
    "line break": "Bob\nEve",
    "delete": "Bob\x7f",
    "an escape of eight bits": "Bob\x9b31m",
    "next line": "Bob\x85Eve",
}


NO_EMAILS = (
    "bob", "@c.de", "bob@c", "a b@c.de", "bob@c.de,eve@c.de", "a@b@c.de", "bob@c..de", "<bob@c.de>", "bob@c.de;",
    "bob@c.de\0", "\u202ebob@c.de", "x" * 255 + "@c.de",
)  # fmt: skip
NO_PHONES = ("phone", "12", "+", "++", "()()()", "0x1234", "٠١٢٣٤٥", "5" * 41, "030 1\0")


async def test_a_name_an_email_or_a_phone_that_is_none_is_refused_on_every_wire(
    alice: Client, vendor: Integrator, db: Conn
) -> None:
    id = (await alice.post("/v1/users", {"name": "Bob"}))["id"]
    for name, values in (("name", NO_NAMES.values()), ("email", NO_EMAILS), ("phone", NO_PHONES)):
        for value in values:
            async with nothing_changes(db):
                await _refused_on_every_wire(alice, vendor, id, {name: value})


async def _refused_on_every_wire(alice: Client, vendor: Integrator, id: int, fields: dict[str, str]) -> None:
    """By every call that takes a user's fields: made, changed and brought in."""
    draft = {"name": "Eve", **fields}
    await refused(alice, 400, "POST", "/v1/users", draft)
    await refused(alice, 400, "PATCH", f"/v1/users/{id}", fields)
    cells = ",".join('"' + value.replace('"', '""') + '"' for value in draft.values())
    await refused(alice, 400, "POST", "/v1/users/import", {"csv": f"{','.join(draft)}\r\n{cells}\r\n"})
    await vendor.bad(400, "POST", f"{vendor.users}/create", draft)
    await vendor.bad(400, "POST", vendor.legacy, {"users": [{"name": "Ann"}, draft]})
    await vendor.bad(400, "PATCH", f"{vendor.users}/update", {"users": [{"id": id, **fields}]})


async def test_an_email_or_a_phone_that_is_one_is_taken_on_every_wire(alice: Client, vendor: Integrator) -> None:
    emails = ("bob@example.org", "b.o'b+x@sub.example.co.uk", "用户@例子.广告", "x@y.z")
    phones = ("+49 (0)30 123-456", "030/1234.56", "(+49) 30 123", "112")
    for name, values in (("email", emails), ("phone", phones)):
        for value in values:
            await alice.post("/v1/users", {"name": value, name: value})
            await vendor.update(id=await vendor.create(value), **{name: value})
            await alice.post("/v1/users/import", {"csv": f"name,{name}\r\n{value},{value}\r\n"})
    assert [user["name"] for user in await vendor.list()] == [
        user["email"] or user["phone"] for user in await vendor.list()
    ]


# ------------------------------------------------------------------------------------------------- what is not theirs


async def test_a_role_of_another_organisation_is_none_here(
    alice: Client, charlie: Client, vendor: Integrator, stranger: Integrator, db: Conn
) -> None:
    await charlie.patch("/v1/organisation", {"attendanceModule": True})
    theirs = (await stranger.roles())["manager"]
    assert await stranger.create("Their manager", roles=[theirs])
    id = await vendor.create()
    async with nothing_changes(db):
        for roles in ([theirs], [1, theirs], [str(theirs)]):
            assert "role" in await vendor.bad(404, "POST", f"{vendor.users}/create", {"name": "Eve", "roles": roles})
            await vendor.bad(404, "POST", vendor.legacy, {"users": [{"name": "Eve", "roles": roles}]})
            await vendor.refused(404, id=id, roles=roles)
        for roles in (["manager"], ["end_user", "manager"], [theirs], ["their_own"]):
            await refused(alice, 400, "POST", "/v1/users", {"name": "Eve", "roles": roles})
            await refused(alice, 400, "PATCH", f"/v1/users/{id}", {"roles": roles})
        await refused(alice, 400, "POST", "/v1/users/import", {"csv": "name,roles\r\nEve,manager\r\n"})


async def test_a_card_that_somebody_else_has_is_refused_with_all_that_came_with_it(
    alice: Client, vendor: Integrator, db: Conn
) -> None:
    bob, eve = await vendor.create(), await vendor.create("Eve", credentialId="815")
    await alice.post(f"/v1/users/{bob}/cards", {"number": 4_711_000})
    async with nothing_changes(db):
        await refused(alice, 409, "POST", f"/v1/users/{eve}/cards", {"number": 4_711_000})
        taken: dict[str, Any] = {"name": "Cid", "credentialId": "4711000", "accessData": {"accessPoints": [1]}}
        await vendor.bad(409, "POST", f"{vendor.users}/create", taken)
        await vendor.bad(409, "POST", vendor.legacy, {"users": [{"name": "Dan", "credentialId": "1"}, taken]})
        twice = [{"name": "Dan", "credentialId": "5"}, {"name": "Dirk", "credentialId": 5}]
        await vendor.bad(409, "POST", vendor.legacy, {"users": twice})
        await vendor.bad(409, "POST", vendor.card(eve), {"cardType": "spintly_card", "cardId": 4_711_000})
        await vendor.bad(409, "POST", f"{vendor.legacy}/{eve}/assignCard", {"credentialId": 4_711_000})
    assert (await vendor.user(eve))["credentialId"] == "815", "her own was not taken from her meanwhile"


async def test_a_schedule_that_never_opens_is_refused_however_it_comes_about(alice: Client, db: Conn) -> None:
    week = (await alice.post("/v1/schedules", ALWAYS))["id"]
    holiday = {"name": "Holidays", "week": [[]] * 7, "holiday": [[60, 120]]}
    only_holidays = (await alice.post("/v1/schedules", holiday))["id"]
    async with nothing_changes(db):
        for body in ({"week": [[]] * 7}, {"week": [[]] * 7, "holiday": []}, {"week": []}):
            await refused(alice, 400, "POST", "/v1/schedules", {"name": "Never", **body})
            await refused(alice, 400, "PATCH", f"/v1/schedules/{week}", body)
        await refused(alice, 400, "PATCH", f"/v1/schedules/{only_holidays}", {"holiday": []})
        await refused(alice, 400, "PATCH", f"/v1/schedules/{only_holidays}", {"holiday": [[60, 60]]})
        await refused(alice, 400, "PATCH", f"/v1/schedules/{week}", {"name": "\x9b"})


# ------------------------------------------------------------------------------------------------- bulk


async def test_one_bad_id_in_a_bulk_call_changes_nothing_on_either_wire(
    alice: Client, charlie: Client, vendor: Integrator, stranger: Integrator, db: Conn
) -> None:
    ann, bob, theirs = await vendor.create("Ann"), await vendor.create("Bob"), await stranger.create("Theirs")
    await alice.patch(f"/v1/users/{ann}/permissions", {"add": [{"accessPointId": 2}]})
    theirs_only = (await charlie.post("/v1/schedules", ALWAYS))["id"]
    user, door = f"/v1/users/{ann}/permissions", "/v1/access-points/1/permissions"
    front, lab = {"accessPointId": 1}, {"accessPointId": 3}
    async with nothing_changes(db):
        for bad in (99_999, theirs, 0, -1, 2**40, 2**63):
            for body in ({"add": [{"userId": bob}, {"userId": bad}]}, {"remove": [bob, bad]}, {"withdraw": [bob, bad]}):
                await refused(alice, 404, "PATCH", door, body)
                await refused(alice, 404, "PATCH", door, {**body, "dryRun": True})
            for kind in ("permissionsToAdd", "permissionsToRemove", "pendingPermissionsToRemove"):
                await vendor.bad(404, "PATCH", vendor.door(1), {kind: [bob, bad]})
            await vendor.bad(404, "POST", f"{vendor.users}/delete", {"userIds": [ann, bad]})
            both = [{"id": ann, "name": "Changed"}, {"id": bad, "name": "Changed"}]
            await vendor.bad(404, "PATCH", f"{vendor.users}/update", {"users": both})
        for grant in ({"scheduleId": theirs_only}, {"scheduleId": 0}, {"scheduleId": 2**63}):
            await refused(alice, 404, "PATCH", user, {"add": [front, {**lab, **grant}], "remove": [2]})
            await refused(alice, 404, "PATCH", door, {"add": [{"userId": ann, **grant}, {"userId": bob}]})
        for body in (
            {"add": [front, lab, front]},
            {"add": [front, lab], "remove": [2, 3]},
            {"add": [front, lab], "withdraw": [2, 3]},
            {"add": [{**front, "startsAt": 2, "endsAt": 1}, lab], "remove": [2]},
        ):
            await refused(alice, 400, "PATCH", user, body)
        for other in ("permissionsToRemove", "pendingPermissionsToRemove"):
            for path in (vendor.permissions(ann), vendor.permissions_v4(ann)):
                await vendor.bad(400, "PATCH", path, {"permissionsToAdd": [1, "3"], other: [2, 3]})
            await vendor.bad(400, "PATCH", vendor.door(1), {"permissionsToAdd": [ann, bob], other: [str(ann)]})


async def test_ten_thousand_in_one_call_are_taken_and_one_more_is_refused_on_both_wires(
    alice: Client, vendor: Integrator, db: Conn
) -> None:
    people: list[dict[str, Any]] = [{"name": f"User {n}"} for n in range(MOST)]
    one_more = [*people, {"name": "One more"}]
    ids = (await _quickly(vendor.good("POST", vendor.legacy, {"users": people})))["userIds"]
    assert len(set(ids)) == MOST
    unknown = max(ids) + 1
    names = [{"id": id, "name": "Renamed"} for id in ids]
    all_ids = {"permissionsToAdd": ids}
    async with nothing_changes(db):
        await _quickly(vendor.bad(400, "POST", vendor.legacy, {"users": one_more}))
        await _quickly(vendor.bad(400, "PATCH", f"{vendor.users}/update", {"users": [*names, {"id": unknown}]}))
        await _quickly(vendor.bad(404, "PATCH", f"{vendor.users}/update", {"users": [*names[1:], {"id": unknown}]}))
        await _quickly(vendor.bad(400, "POST", f"{vendor.users}/delete", {"userIds": [*ids, unknown]}))
        await _quickly(vendor.bad(404, "POST", f"{vendor.users}/delete", {"userIds": [*ids[1:], unknown]}))
        await _quickly(vendor.bad(400, "PATCH", vendor.door(1), {**all_ids, "permissionsToRemove": [unknown]}))
        sheet = "name\r\n" + "".join(f"{one['name']}\r\n" for one in one_more)
        await _quickly(refused(alice, 400, "POST", "/v1/users/import", {"csv": sheet}))
        grants = [{"userId": id} for id in [*ids, unknown]]
        path = "/v1/access-points/1/permissions"
        await _quickly(refused(alice, 400, "PATCH", path, {"add": grants}))
        await _quickly(refused(alice, 404, "PATCH", path, {"add": grants[1:]}))
    await _quickly(vendor.good("PATCH", vendor.door(1), all_ids))
    await _quickly(vendor.good("PATCH", f"{vendor.users}/update", {"users": names}))
    assert (await db.counts())["grants"] == MOST
    await _quickly(vendor.good("POST", f"{vendor.users}/delete", {"userIds": ids}))
    assert {await db.value(f"SELECT count(*) FROM {table}") for table in ("users", "grants")} == {0}


async def _quickly(call: Any) -> Any:
    async with asyncio.timeout(30):
        return await call


# ------------------------------------------------------------------------------------------------- two at once


async def test_what_two_clients_change_at_once_on_two_wires_is_all_there(alice: Client, vendor: Integrator) -> None:
    id = await vendor.create()
    path, grants = f"/v1/users/{id}", f"/v1/users/{id}/permissions"
    for n in range(5):
        before = (await alice.get(path))["version"]
        await asyncio.gather(
            alice.patch(path, {"gender": f"g{n}"}),
            alice.patch(path, {"access": {"remote": n % 2 == 0}}),
            vendor.update(id=id, name=f"Bob {n}", accessData={"mobile": n % 2 == 1}),
            vendor.update(id=id, employeeCode=f"e{n}"),
            alice.patch(grants, {"add": [{"accessPointId": 1}], "remove": [2]} if n % 2 else {"remove": [1]}),
            vendor.change(id, [3]),
        )
        now = await alice.get(path)
        assert (now["gender"], now["name"], now["employeeCode"]) == (f"g{n}", f"Bob {n}", f"e{n}")
        assert (now["access"]["remote"], now["access"]["mobile"]) == (n % 2 == 0, n % 2 == 1)
        assert now["version"] == before + 4
        held = {p["accessPointId"] for p in (await alice.get(grants))["items"] if p["state"] != "removing"}
        assert held == ({1, 3} if n % 2 else {3})


async def test_who_knows_an_older_version_changes_nothing(alice: Client, vendor: Integrator, db: Conn) -> None:
    id = await vendor.create()
    path = f"/v1/users/{id}"
    seen = (await alice.call("GET", path)).headers["etag"]
    await vendor.update(id=id, name="Changed on the other wire")
    async with nothing_changes(db):
        for patch in ({"name": "Lost"}, {"pin": "1234"}, {"isActive": False}, {}):
            answer = await alice.call("PATCH", path, json=patch, headers={"if-match": seen})
            assert problem(answer)["code"] == "outdated"
    now = await alice.call("GET", path)
    assert now.headers["etag"] != seen
    assert now.json()["name"] == "Changed on the other wire"
