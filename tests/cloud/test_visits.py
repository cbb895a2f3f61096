"""Promises of visits: who may come when, which of their codes are good, and for how long doors must remember."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from cloud.cast import Client, Conn, problem
from latchwork.cloud.visitors.service import drop_lapsed
from latchwork.policy.model import Direction
from latchwork.wire import state

DAY = 86_400


async def revocation(db: Conn, meeting: int) -> dict[str, Any] | None:
    rows = await db.fetch("SELECT * FROM meeting_revocations WHERE meeting_id = $1", meeting)
    return dict(rows[0]) if rows else None


async def held(db: Conn, meeting: int) -> dict[int, int]:
    """What each controller must refuse of a meeting: version by controller."""
    rows = await db.fetch(
        "SELECT controller_id, body FROM desired_records WHERE kind = 'revocation' AND key = $1 AND body IS NOT NULL",
        str(meeting),
    )
    return {row["controller_id"]: state.codec.decode(row["body"]).refuse_below for row in rows}


@pytest.mark.parametrize(
    ("starts", "ends", "good"),
    [
        (-400, 60, True),
        (-300 * DAY, 60, True),
        (-10, 366 * DAY - 11, True),
        (5 * DAY, 6 * DAY, True),
        (-10, 366 * DAY, False),
        (-100, -1, False),
        (60, 60, False),
        (60, 59, False),
    ],
)
async def test_a_visit_ends_in_the_future_after_its_start_within_a_year(
    alice: Client, starts: int, ends: int, good: bool
) -> None:
    now = int(time.time())
    body = {"visitor": {"key": "vic"}, "startTime": now + starts, "endTime": now + ends, "accessPoints": [1]}
    assert (await alice.call("POST", "/v1/meetings", json=body)).status_code == (201 if good else 400)


async def test_the_longest_visit_is_a_setting(alice: Client) -> None:
    await alice.patch("/v1/organisation", {"meetingMaxDays": 1})
    now = int(time.time())
    body = {"visitor": {"key": "vic"}, "startTime": now, "endTime": now + DAY + 1, "accessPoints": [1]}
    assert "1 days" in problem(await alice.call("POST", "/v1/meetings", json=body))["errors"][0]["detail"]
    assert (await alice.call("POST", "/v1/meetings", json={**body, "endTime": now + DAY})).status_code == 201


async def test_sixty_four_doors_fit_and_their_code_can_be_drawn(alice: Client) -> None:
    for n in range(62):
        await alice.post("/v1/access-points", {"siteId": 1, "name": f"Door {n}"})
    now = int(time.time())
    meeting = await alice.invite(*range(1, 65), passSeconds=None)
    assert len(meeting["pass"]["qrData"]) <= 600
    png = await alice.call("GET", f"/v1/meetings/{meeting['id']}/pass.png?scale=2")
    assert png.content.startswith(b"\x89PNG")
    assert png.headers["cache-control"] == "no-store"
    body = {"visitor": {"key": "x"}, "startTime": now, "endTime": now + 60, "accessPoints": list(range(1, 66))}
    assert (await alice.call("POST", "/v1/meetings", json=body)).status_code == 400


async def test_a_key_is_one_visitor_whose_given_fields_replace_what_is_known(alice: Client) -> None:
    first = await alice.invite(1, visitor={"key": "vic", "name": "Vic", "company": "V"})
    second = await alice.invite(1, visitor={"key": "vic", "name": "Victoria"})
    third = await alice.invite(1)
    assert first["visitor"]["id"] == second["visitor"]["id"] == third["visitor"]["id"]
    assert (third["visitor"]["name"], third["visitor"]["company"]) == ("Victoria", "V")


async def test_a_change_raises_the_version_and_is_told_to_the_old_and_the_new_doors(alice: Client, db: Conn) -> None:
    eve = (await alice.post("/v1/controllers", {"name": "Eve", "accessPoints": [3]}))["id"]
    meeting = await alice.invite(1)
    assert (meeting["version"], await revocation(db, meeting["id"])) == (1, None)
    path = f"/v1/meetings/{meeting['id']}"
    moved = await alice.patch(path, {"accessPoints": [3]})
    found = await revocation(db, meeting["id"])
    assert found is not None
    assert (moved["version"], found["refuse_below"], found["access_points"]) == (2, 2, [1, 3])
    assert await held(db, meeting["id"]) == {1: 2, eve: 2}
    assert (await alice.patch(path, {}))["version"] == 2
    again = await alice.patch(path, {"removeAccessPoints": [3]})
    found = await revocation(db, meeting["id"])
    assert found is not None
    assert (again["version"], again["accessPoints"], found["refuse_below"]) == (3, [], 3)
    assert not again["pass"]["usable"]
    assert await held(db, meeting["id"]) == {1: 3, eve: 3}
    await alice.delete(path)
    found = await revocation(db, meeting["id"])
    assert found is not None
    assert (found["refuse_below"], found["access_points"]) == (4, [1, 3])


async def test_a_revocation_follows_a_door_to_its_new_controller(alice: Client, db: Conn) -> None:
    eve = (await alice.post("/v1/controllers", {"name": "Eve"}))["id"]
    meeting = await alice.invite(1)
    await alice.delete(f"/v1/meetings/{meeting['id']}")
    assert await held(db, meeting["id"]) == {1: 2}
    await alice.patch("/v1/access-points/1", {"controllerId": eve})
    assert await held(db, meeting["id"]) == {eve: 2}
    await alice.patch("/v1/access-points/1", {"controllerId": None})
    assert await held(db, meeting["id"]) == {}
    await alice.patch("/v1/access-points/1", {"controllerId": 1})
    assert await held(db, meeting["id"]) == {1: 2}


async def test_a_revocation_outlives_the_last_pass_and_then_goes(alice: Client, db: Conn) -> None:
    now = int(time.time())
    dynamic, static = await alice.invite(1), await alice.invite(1, passSeconds=None)
    long = await alice.invite(1, passSeconds=600)
    short = await alice.invite(1, seconds=20)
    for meeting, latest in (
        (dynamic, now + 60),
        (static, static["endTime"]),
        (long, now + 600),
        (short, short["endTime"]),
    ):
        await alice.delete(f"/v1/meetings/{meeting['id']}")
        found = await revocation(db, meeting["id"])
        assert found is not None
        assert latest + 5 < found["until"] <= latest + 70
        assert await held(db, meeting["id"]) == {1: 2}
    revision = (await alice.controller(1))["revision"]
    await drop_lapsed(alice.cloud.state.database, now + 140)
    assert await held(db, dynamic["id"]) == {}
    assert await revocation(db, dynamic["id"]) is None
    assert await held(db, short["id"]) == {}
    assert await held(db, long["id"]) == {1: 2}
    assert await held(db, static["id"]) == {1: 2}
    assert (await alice.controller(1))["revision"] == revision + 1
    await drop_lapsed(alice.cloud.state.database, now + 140)
    assert (await alice.controller(1))["revision"] == revision + 1
    assert await alice.rebuilt(1) == 0


async def test_passes_of_a_time_when_they_were_longer_are_remembered_that_long(alice: Client, db: Conn) -> None:
    """Static passes were given out; the organisation turns dynamic; each of them is still out there."""
    await alice.patch("/v1/organisation", {"passSeconds": None})
    old = await alice.invite(1, seconds=5 * DAY)
    assert old["pass"]["expiresAt"] == old["endTime"]
    own = await alice.invite(1, seconds=5 * DAY, passSeconds=30)
    await alice.patch("/v1/organisation", {"passSeconds": 60})
    assert (await alice.get(f"/v1/meetings/{old['id']}"))["passSeconds"] == 60
    assert (await alice.get(f"/v1/meetings/{own['id']}"))["passSeconds"] == 30
    changed = await alice.patch(f"/v1/meetings/{old['id']}", {"addAccessPoints": [2]})
    assert changed["pass"]["expiresAt"] < time.time() + 62
    found = await revocation(db, old["id"])
    assert found is not None
    assert found["until"] > old["endTime"]
    await alice.delete(f"/v1/meetings/{own['id']}")
    found = await revocation(db, own["id"])
    assert found is not None
    assert found["until"] < time.time() + 200
    [sixty] = [(await alice.invite(1))["id"]]
    await alice.patch("/v1/organisation", {"passSeconds": 5})
    await alice.delete(f"/v1/meetings/{sixty}")
    found = await revocation(db, sixty)
    assert found is not None
    assert found["until"] > time.time() + 65


async def test_a_shortened_visit_keeps_refusing_its_longer_static_passes(alice: Client, db: Conn) -> None:
    meeting = await alice.invite(1, seconds=5 * DAY, passSeconds=None)
    now = int(time.time())
    await alice.patch(f"/v1/meetings/{meeting['id']}", {"endTime": now + 600})
    await alice.patch(f"/v1/meetings/{meeting['id']}", {"endTime": now + 300})
    found = await revocation(db, meeting["id"])
    assert found is not None
    assert (found["refuse_below"], found["until"] > meeting["endTime"]) == (3, True)


async def test_a_pass_says_from_when_and_until_when_it_opens(alice: Client) -> None:
    now = int(time.time())
    body = {"visitor": {"key": "vic"}, "startTime": now + 600, "endTime": now + 900, "accessPoints": [1]}
    early = (await alice.post("/v1/meetings", body))["pass"]
    assert (early["validFrom"], early["usable"]) == (now + 600, False)
    static = (await alice.post("/v1/meetings", {**body, "passSeconds": None}))["pass"]
    assert (static["validFrom"], static["expiresAt"], static["usable"]) == (now + 600, now + 900, False)
    assert (await alice.invite(1))["pass"]["usable"]


async def test_a_meeting_that_is_over_gives_no_more_codes(alice: Client, db: Conn) -> None:
    meeting = await alice.invite(1)
    await db.fetch("UPDATE meetings SET start_time = start_time - 7200, end_time = end_time - 7200")
    for path in ("pass", "pass.svg", "pass.png"):
        method = "POST" if path == "pass" else "GET"
        response = await alice.call(method, f"/v1/meetings/{meeting['id']}/{path}")
        assert problem(response)["code"] == "conflict"


async def test_a_deleted_visitor_goes_with_every_meeting_and_every_code(alice: Client, db: Conn) -> None:
    first, second = await alice.invite(1), await alice.invite(2)
    last = await alice.last_event()
    await alice.delete(f"/v1/visitors/{first['visitor']['id']}")
    kinds = [event["type"] for event in await alice.events(last)]
    assert kinds == ["meeting_deleted", "meeting_deleted", "visitor_deleted"]
    for meeting in (first, second):
        assert (await alice.call("GET", f"/v1/meetings/{meeting['id']}")).status_code == 404
        assert await held(db, meeting["id"]) == {1: 2}


async def test_with_the_visitor_module_off_nobody_is_invited(alice: Client) -> None:
    meeting = await alice.invite(1)
    await alice.patch("/v1/organisation", {"visitorModule": False})
    now = int(time.time())
    path = f"/v1/meetings/{meeting['id']}"
    for method, where, body in (
        ("POST", "/v1/meetings", {"visitor": {"key": "b"}, "startTime": now, "endTime": now + 9, "accessPoints": []}),
        ("POST", "/v1/visitors", {"key": "bob"}),
        ("PATCH", path, {"addAccessPoints": [2]}),
        ("PATCH", path, {}),
        ("POST", f"{path}/pass", None),
    ):
        response = await alice.call(method, where, **({} if body is None else {"json": body}))
        assert problem(response)["code"] == "module_off", (method, where)
    assert (await alice.get(path))["id"] == meeting["id"]
    await alice.delete(path)


async def test_a_code_opens_the_real_door_until_the_visit_changes(alice: Client, tmp_path: Path) -> None:
    async with alice.dora(1, tmp_path) as edge:

        async def show(text: str, door: int = 1) -> str:
            return (await edge.controller.present(door, Direction.ENTRY, qr=text)).decision.reason.value

        meeting = await alice.invite(1)
        text = meeting["pass"]["qrData"]
        assert await show(text) == "granted"
        assert await show(text, 2) == "pass_wrong_door"
        changed = await alice.patch(f"/v1/meetings/{meeting['id']}", {"accessPoints": [2]})
        await alice.until_confirmed(1)
        assert await show(text) == "pass_revoked"
        assert await show(changed["pass"]["qrData"], 2) == "granted"
        assert await show(changed["pass"]["qrData"]) == "pass_wrong_door"
        fresh = await alice.fresh_pass(meeting["id"])
        await alice.delete(f"/v1/visitors/{meeting['visitor']['id']}")
        await alice.until_confirmed(1)
        assert await show(fresh, 2) == "pass_revoked"
        granted = await alice.until_event("access_granted")
        assert granted["data"]["visitorKey"] == "vic"
        assert granted["actor"]["kind"] == "controller"
