"""Promises of phones: enrolled by their user alone, known to the doors at once, and gone from there when taken away."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cloud.cast import Account, Client, Cloud, Conn, Line, Script, problem
from cloud.phones.cast import App, installed
from cloud.test_acting import until_ended
from latchwork.cloud.controllers.readers import CERTIFIED_ANEW, CERTIFIED_FOR, renew
from latchwork.wire import certificate, p256, state
from latchwork.wire.link import Changes


def records(batch: Changes, kind: str) -> dict[str, Any]:
    """What a batch says of a kind, by key; None: gone."""
    return {
        record.key: None if record.body is None else state.codec.decode(record.body)
        for record in batch.records
        if record.kind == kind
    }


async def refused(caller: Client, body: dict[str, Any], code: str) -> dict[str, Any]:
    answer = dict(problem(await caller.call("POST", "/v1/account/phones", json=body)))
    assert answer["code"] == code, answer
    return answer


@pytest.fixture
def reader_key() -> bytes:
    return p256.public_bytes(p256.new_key().public_key())


# ------------------------------------------------------------------------------------------------- enrolling


async def test_a_phone_is_enrolled_and_the_doors_know_it(alice: Client, dora: Script, app: App, bob: int) -> None:
    caller = await app.refresh()
    async with dora.linked() as line:
        await line.take_state()
        phone = await caller.post("/v1/account/phones", app.draft())
        assert (phone["userId"], phone["name"], phone["assigned"], phone["pending"]) == (bob, "Bob's Pixel", 0, 2)
        told = records(await line.take_state(), "phone")
        assert told.keys() == app.kids
        assert {(r.user, r.purpose, r.public_key) for r in told.values()} == {
            (bob, "tap", app.public_keys[0]),
            (bob, "code", app.public_keys[1]),
        }
        await alice.until_confirmed(1)
    [listed] = await caller.get("/v1/account/phones")
    assert listed == {**phone, "assigned": 2, "pending": 0}
    assert await alice.get(f"/v1/users/{bob}/phones") == [listed]
    assert await alice.rebuilt(1) == 0


async def test_a_repeated_enrolment_is_the_same_phone(app: App) -> None:
    caller = await app.refresh()
    phone = await caller.post("/v1/account/phones", app.draft())
    assert await caller.post("/v1/account/phones", app.draft()) == phone
    headers, draft = {"idempotency-key": "once"}, app.draft()
    for _ in range(2):
        assert (await caller.post("/v1/account/phones", draft, headers=headers))["id"] == phone["id"]


async def test_both_keys_must_be_proved_for_this_user(alice: Client, app: App, bob: int) -> None:
    caller, good = await app.refresh(), app.draft()
    other = App(app.cloud, bob + 1, app.organisation, "", app.key, app.tap, app.code).draft()
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"tapProof": good["codeProof"]}, {"tapProof"}),
        ({"tapProof": other["tapProof"], "codeProof": other["codeProof"]}, {"tapProof", "codeProof"}),
        ({"tapKey": "AAAA"}, {"tapKey"}),
        ({"tapKey": "not base64url!"}, {"tapKey"}),
        ({"codeKey": good["tapKey"]}, {"codeKey", "tapProof", "codeProof"}),
        ({"name": ""}, {"name"}),
        ({"codeProof": "é"}, {"codeProof"}),
    ]
    for change, fields in cases:
        answer = await refused(caller, {**good, **change}, "invalid")
        assert {each["field"] for each in answer["errors"]} == fields
    assert await caller.get("/v1/account/phones") == []


async def test_a_key_is_one_phone_s_only(alice: Client, accounts: dict[str, Account], app: App) -> None:
    await (await app.refresh()).post("/v1/account/phones", app.draft())
    carl = (await alice.post("/v1/users", {"name": "Carl"}))["id"]
    his = await installed(alice.cloud, accounts["alice"], carl)
    caller = await his.refresh()
    for tap, code in ((app.tap, his.code), (his.tap, app.code), (app.code, his.code)):
        await refused(caller, App(app.cloud, carl, app.organisation, "", tap=tap, code=code).draft(), "conflict")
    charlies = alice.cloud.client(accounts["charlie"])
    dan = (await charlies.post("/v1/users", {"name": "Dan"}))["id"]
    elsewhere = await installed(alice.cloud, accounts["charlie"], dan)
    elsewhere.tap, elsewhere.code = app.tap, app.code
    await (await elsewhere.refresh()).post("/v1/account/phones", elsewhere.draft())


async def test_a_phone_is_enrolled_from_its_app_only(alice: Client, accounts: dict[str, Account], bob: int) -> None:
    from cloud.test_acting import exchanged

    token = (await exchanged(alice.cloud, accounts["alice"], bob))["access_token"]
    acting = Client(alice.cloud, alice.organisation, token)
    app = App(alice.cloud, bob, alice.organisation, "")
    await refused(acting, app.draft(), "forbidden")
    await refused(alice, app.draft(), "forbidden")
    assert (await acting.get("/v1/account/keyring"))["phone"] is None


async def test_nobody_has_more_phones_than_allowed(alice: Client, accounts: dict[str, Account], bob: int) -> None:
    phones = [await installed(alice.cloud, accounts["alice"], bob) for _ in range(3)]
    callers = [await each.refresh() for each in phones]
    for each, caller in zip(phones[:2], callers, strict=False):
        await caller.post("/v1/account/phones", each.draft())
    await refused(callers[2], phones[2].draft(), "phone_limit_reached")
    await alice.patch("/v1/organisation", {"phonesPerUser": 3})
    await callers[2].post("/v1/account/phones", phones[2].draft())
    for wrong in (0, 21):
        answer = await alice.call("PATCH", "/v1/organisation", json={"phonesPerUser": wrong})
        assert problem(answer)["errors"][0]["field"] == "phonesPerUser"


async def test_a_phone_replaces_a_lost_one_whose_session_ends(
    alice: Client, accounts: dict[str, Account], app: App, bob: int
) -> None:
    lost = await app.refresh()
    former = await lost.post("/v1/account/phones", app.draft())
    new = await installed(alice.cloud, accounts["alice"], bob)
    caller = await new.refresh()
    phone = await caller.post("/v1/account/phones", new.draft(replaces=former["id"]))
    await until_ended(lost)
    assert [each["id"] for each in await caller.get("/v1/account/phones")] == [phone["id"]]
    answer = await refused(caller, new.draft(replaces=former["id"]), "invalid")
    assert answer["errors"][0]["field"] == "replaces"


async def test_new_keys_from_the_same_session_replace_the_former(app: App) -> None:
    caller = await app.refresh()
    former = await caller.post("/v1/account/phones", app.draft())
    app.tap, app.code = p256.new_key(), p256.new_key()
    phone = await caller.post("/v1/account/phones", app.draft())
    assert phone["id"] != former["id"]
    assert [each["id"] for each in await caller.get("/v1/account/phones")] == [phone["id"]]


async def test_who_is_bound_to_a_phone_changes_it_with_an_administrator_only(
    alice: Client, accounts: dict[str, Account], app: App, bob: int
) -> None:
    await alice.patch(f"/v1/users/{bob}", {"access": {"deviceLock": True}})
    caller = await app.refresh()
    phone = await caller.post("/v1/account/phones", app.draft())
    other = await installed(alice.cloud, accounts["alice"], bob)
    theirs = await other.refresh()
    await refused(theirs, other.draft(), "phone_locked")
    await refused(theirs, other.draft(replaces=phone["id"]), "phone_locked")
    removed = await caller.call("DELETE", f"/v1/account/phones/{phone['id']}")
    assert problem(removed)["code"] == "phone_locked"
    await alice.delete(f"/v1/users/{bob}/phones/{phone['id']}")
    await theirs.post("/v1/account/phones", other.draft())


async def test_the_same_phone_again_removes_no_other_of_somebody_who_is_bound(
    alice: Client, accounts: dict[str, Account], app: App, bob: int
) -> None:
    caller = await app.refresh()
    await caller.post("/v1/account/phones", app.draft())
    other = await installed(alice.cloud, accounts["alice"], bob)
    bound_to = await (await other.refresh()).post("/v1/account/phones", other.draft())
    await alice.patch(f"/v1/users/{bob}", {"access": {"deviceLock": True}})
    await refused(caller, app.draft(replaces=bound_to["id"]), "phone_locked")
    assert len(await alice.get(f"/v1/users/{bob}/phones")) == 2


async def test_the_same_phone_logs_in_again_even_when_it_is_bound(
    alice: Client, accounts: dict[str, Account], app: App, bob: int
) -> None:
    await alice.patch(f"/v1/users/{bob}", {"access": {"deviceLock": True}})
    before = await app.refresh()
    phone = await before.post("/v1/account/phones", app.draft())
    again = await installed(alice.cloud, accounts["alice"], bob)
    again.tap, again.code = app.tap, app.code
    caller = await again.refresh()
    assert (await caller.post("/v1/account/phones", again.draft()))["id"] == phone["id"]
    await until_ended(before)
    assert (await caller.get("/v1/account/keyring"))["phone"]["id"] == phone["id"]


# ------------------------------------------------------------------------------------------------- taking away


async def test_a_removed_phone_is_gone_from_the_doors(alice: Client, dora: Script, app: App, bob: int) -> None:
    caller = await app.refresh()
    phone = await caller.post("/v1/account/phones", app.draft())
    async with dora.linked() as line:
        assert records(await line.take_state(), "phone").keys() == app.kids
        await caller.delete(f"/v1/account/phones/{phone['id']}")
        assert records(await line.take_state(), "phone") == dict.fromkeys(app.kids)
    await until_ended(caller)
    assert await alice.get(f"/v1/users/{bob}/phones") == []
    assert await alice.rebuilt(1) == 0


async def test_a_phone_goes_where_its_user_may_go(alice: Client, dora: Script, app: App, bob: int) -> None:
    await (await app.refresh()).post("/v1/account/phones", app.draft())
    async with dora.linked() as line:
        await line.take_state()
        path = f"/v1/users/{bob}/permissions"
        await alice.patch(path, {"remove": [1]})
        assert records(await line.take_state(), "phone") == {}
        await alice.patch(path, {"remove": [2]})
        assert records(await line.take_state(), "phone") == dict.fromkeys(app.kids)
        await alice.patch(path, {"add": [{"accessPointId": 1}]})
        assert records(await line.take_state(), "phone").keys() == app.kids
        await alice.patch("/v1/controllers/1", {"accessPoints": []})
        assert records(await line.take_state(), "phone") == dict.fromkeys(app.kids)
        await alice.patch("/v1/controllers/1", {"accessPoints": [1]})
        assert records(await line.take_state(), "phone").keys() == app.kids
        await alice.delete("/v1/access-points/1")
        assert records(await line.take_state(), "phone") == dict.fromkeys(app.kids)
    assert await alice.rebuilt(1) == 0


async def test_a_deleted_user_s_phone_is_nowhere(alice: Client, dora: Script, app: App, bob: int, db: Conn) -> None:
    from cloud.people.test_gone import tables_with

    caller = await app.refresh()
    await caller.post("/v1/account/phones", app.draft())
    for key in app.public_keys:
        assert await tables_with(db, key) == {"phone_keys", "desired_records"}
    async with dora.linked() as line:
        await line.take_state()
        await alice.delete(f"/v1/users/{bob}")
        assert records(await line.take_state(), "phone") == dict.fromkeys(app.kids)
    for key in app.public_keys:
        assert await tables_with(db, key) == set()
    assert await alice.rebuilt(1) == 0


async def test_phones_of_another_organisation_are_not_seen(alice: Client, charlie: Client, app: App, bob: int) -> None:
    phone = await (await app.refresh()).post("/v1/account/phones", app.draft())
    for method, path in (("GET", ""), ("DELETE", f"/{phone['id']}")):
        assert problem(await charlie.call(method, f"/v1/users/{bob}/phones{path}"))["status"] == 404
    dan = (await charlie.post("/v1/users", {"name": "Dan"}))["id"]
    assert problem(await charlie.call("DELETE", f"/v1/users/{dan}/phones/{phone['id']}"))["status"] == 404
    assert await alice.get(f"/v1/users/{bob}/phones") != []


# ------------------------------------------------------------------------------------------------- what doors know


async def test_doors_know_how_near_and_who_steers(alice: Client, dora: Script, bob: int) -> None:
    async with dora.linked() as line:
        [person] = records(await line.take_state(), "person").values()
        assert (set(person.ways), person.click_range, person.steers) == ({"mobile", "card", "tap"}, 0, ())
        await alice.patch(f"/v1/users/{bob}", {"access": {"tap": False, "clickRange": 5}})
        [person] = records(await line.take_state(), "person").values()
        assert (set(person.ways), person.click_range) == ({"mobile", "card"}, 5)
        await alice.patch(f"/v1/users/{bob}", {"roles": ["site_admin"], "adminOfSites": [1]})
        [person] = records(await line.take_state(), "person").values()
        assert (person.steers, person.steers_everywhere) == ((1,), False)
        await alice.patch(f"/v1/users/{bob}", {"roles": ["super_admin"], "adminOfSites": []})
        [person] = records(await line.take_state(), "person").values()
        assert (person.steers, person.steers_everywhere) == ((), True)
    assert await alice.rebuilt(1) == 0


async def _certificates(line: Line) -> dict[str, Any]:
    return records(await line.take_state(), "reader")


async def test_readers_are_certified_for_the_key_that_their_controller_names(
    alice: Client, dora: Script, app: App, bob: int, reader_key: bytes
) -> None:
    caller = await app.refresh()
    async with dora.linked(reader_key=reader_key) as line:
        told = await _certificates(line)
        assert told.keys() == {"1.entry", "1.exit", "2.entry", "2.exit"}
        [key] = (await caller.get("/v1/account/keyring"))["readerKeys"]
        point = p256.from_b64url(key["publicKey"])
        assert p256.from_b64url(key["kid"]) == p256.kid(point)
        for name, record in told.items():
            said = certificate.read(record.certificate, {p256.kid(point): p256.load_public(point)}.get)
            assert said is not None
            assert said.site == certificate.site_id(alice.organisation, 1)
            assert said.reader == certificate.reader_id(int(name[0]), name.endswith("exit"))
            assert said.public_key == reader_key
            assert said.expires_at - said.issued_at == CERTIFIED_FOR
        assert await alice.rebuilt(1) == 0
        await alice.patch("/v1/access-points/1", {"exitReader": None})
        assert (await _certificates(line))["1.exit"] is None
        await alice.patch("/v1/controllers/1", {"accessPoints": [1]})
        assert await _certificates(line) == {"2.entry": None, "2.exit": None}
    assert await alice.rebuilt(1) == 0


async def test_certificates_are_made_anew_when_the_key_is_new(alice: Client, dora: Script, reader_key: bytes) -> None:
    async with dora.linked(reader_key=reader_key) as line:
        await _certificates(line)
    async with dora.linked(reader_key=reader_key):
        assert (await alice.controller(1))["revision"] == dora.revision
    other = p256.public_bytes(p256.new_key().public_key())
    async with dora.linked(reader_key=other) as line:
        assert all(other[1:33] in record.certificate for record in (await _certificates(line)).values())
    async with dora.linked() as line:
        assert set((await _certificates(line)).values()) == {None}
    assert await alice.rebuilt(1) == 0


async def test_a_controller_that_stays_linked_gets_new_certificates_long_before_the_end(
    alice: Client, dora: Script, db: Conn, reader_key: bytes
) -> None:
    database = alice.cloud.state["database"]
    async with dora.linked(reader_key=reader_key) as line:
        first = await _certificates(line)
        assert CERTIFIED_FOR - CERTIFIED_ANEW > 180 * 86_400
        due = int(time.time()) + 60
        await db.fetch("UPDATE controllers SET certified_at = $1 WHERE id = 1", due - CERTIFIED_ANEW)
        await alice.rebuilt(1)
        await _certificates(line)
        await renew(database, due - 1)
        assert (await alice.controller(1))["revision"] == dora.revision
        await asyncio.gather(renew(database, due), renew(database, due))
        second = await _certificates(line)
        assert second.keys() == first.keys()
        assert all(due.to_bytes(4, "big") in record.certificate for record in second.values())
        await renew(database, due)
        assert (await alice.controller(1))["revision"] == dora.revision
    assert await alice.rebuilt(1) == 0


@pytest.mark.parametrize("seconds", [-CERTIFIED_ANEW, CERTIFIED_FOR], ids=["long ago", "by a clock that was ahead"])
async def test_the_cloud_renews_certificates_by_itself(dora: Script, db: Conn, reader_key: bytes, seconds: int) -> None:
    async with dora.linked(reader_key=reader_key) as line:
        first = await _certificates(line)
        made_at = await db.value("SELECT certified_at FROM controllers WHERE id = 1")
        while int(time.time()) <= made_at:  # made anew within the same second they would be the same
            await asyncio.sleep(0.05)
        await db.fetch("UPDATE controllers SET certified_at = certified_at + $1 WHERE id = 1", seconds)
        assert (await _certificates(line)).keys() == first.keys()
    assert abs(time.time() - await db.value("SELECT certified_at FROM controllers WHERE id = 1")) < 60


async def test_a_controller_without_a_key_is_certified_for_nothing(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        assert await _certificates(line) == {}
        await renew(alice.cloud.state["database"], int(time.time()) + CERTIFIED_FOR)
        assert (await alice.controller(1))["revision"] == dora.revision


@pytest.mark.parametrize("key", [b"\x04" * 65, b"short", b"\x04" + b"\0" * 64])
async def test_a_hello_that_names_no_key_is_refused(dora: Script, key: bytes) -> None:
    async with dora.connected() as line:
        await line.say_hello(reader_key=key)
        assert await line.until_closed() == 4400


# ------------------------------------------------------------------------------------------------- keyring


async def test_a_keyring_says_what_the_phone_may_and_where_it_is_known(
    alice: Client, dora: Script, app: App, bob: int, reader_key: bytes
) -> None:
    caller = await app.refresh()
    alone = await caller.get("/v1/account/keyring")
    assert (alone["organisationId"], alone["userId"], alone["userName"]) == (alice.organisation, bob, "Bob")
    assert alone["phone"] is None
    assert [(d["accessPointId"], d["allows"], d["isReady"]) for d in alone["doors"]] == [
        (1, ["code"], False),
        (2, ["code"], False),
    ]
    await caller.post("/v1/account/phones", app.draft())
    access = {"clickRange": 10, "remote": True}
    await alice.patch(f"/v1/users/{bob}", {"access": access, "roles": ["site_admin"], "adminOfSites": [1]})
    await alice.patch(f"/v1/users/{bob}/permissions", {"add": [{"accessPointId": 3}]})
    async with dora.linked(reader_key=reader_key) as line:
        pending = await caller.get("/v1/account/keyring")
        assert [door["isReady"] for door in pending["doors"]] == [False] * 3
        assert (pending["phone"]["assigned"], pending["phone"]["pending"]) == (0, 3)
        await line.take_state()
        await alice.until_confirmed(1)
    ready = await caller.get("/v1/account/keyring")
    assert (ready["phone"]["assigned"], ready["phone"]["pending"]) == (2, 1)
    front, _, store = ready["doors"]
    assert front["allows"] == ["tap", "click", "code", "remote", "hold_open", "lock"]
    assert (front["isReady"], front["clickRange"], front["timezone"]) == (True, 10, "Europe/Berlin")
    assert (store["isReady"], store["allows"]) == (False, ["code"])
    assert ready["readerKeys"] == alone["readerKeys"]


async def test_people_open_their_own_doors_from_afar(alice: Client, app: App, bob: int, tmp_path: Any) -> None:
    caller = await app.refresh()
    async with alice.dora(1, tmp_path):
        path = "/v1/account/doors/1/unlock"
        assert (await caller.post(path))["reason"] == "way_off"
        await alice.patch(f"/v1/users/{bob}", {"access": {"remote": True}})
        await alice.until_confirmed(1)
        answer = await caller.post(path)
        assert (answer["outcome"], answer["reason"]) == ("done", "granted")
    await alice.patch(f"/v1/users/{bob}/permissions", {"add": [{"accessPointId": 3}]})
    assert problem(await caller.call("POST", "/v1/account/doors/3/unlock"))["code"] == "door_offline"
    assert problem(await caller.call("POST", "/v1/account/doors/99/unlock"))["status"] == 404
    assert problem(await alice.call("POST", path))["status"] == 403


async def test_controllers_of_an_older_cloud_are_computed_anew_before_they_call(
    alice: Client, dsn: str, db: Conn, bob: int
) -> None:
    from cloud.cast import serving

    await db.fetch(
        "UPDATE desired_records SET body = $1 WHERE kind = 'person' AND body IS NOT NULL",
        state.codec.encode(state.PersonRecord(ways=("mobile", "card"))),
    )
    await db.fetch("UPDATE controllers SET records_generation = 1")
    revision = (await alice.controller(1))["revision"]
    async with serving(dsn) as upgraded:
        assert isinstance(upgraded, Cloud)
        assert (await alice.controller(1))["revision"] == revision + 1
        assert await alice.rebuilt(1) == 0
    async with serving(dsn):
        assert (await alice.controller(1))["revision"] == revision + 1
