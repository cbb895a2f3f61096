"""Permissions from both sides, schedules and holidays on the native API; and that doors always know what is so."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cloud.cast import Client, Cloud, Conn, Script, problem
from latchwork.wire.state import KINDS

ALWAYS = {"name": "Always", "week": [[[0, 1440]]] * 7}


async def user(alice: Client, name: str = "Bob", **more: Any) -> int:
    return int((await alice.post("/v1/users", {"name": name, **more}))["id"])


async def give(alice: Client, user: int, *doors: int, **limits: Any) -> None:
    await alice.patch(f"/v1/users/{user}/permissions", {"add": [{"accessPointId": d, **limits} for d in doors]})


async def states(alice: Client, user: int) -> dict[int, str]:
    return {p["accessPointId"]: p["state"] for p in (await alice.get(f"/v1/users/{user}/permissions"))["items"]}


async def refused(alice: Client, status: int, path: str, body: object) -> str:
    db = Conn(alice.cloud.dsn)
    before = await db.counts()
    response = await alice.call("PATCH", path, json=body)
    assert response.status_code == status, response.text
    assert await db.counts() == before
    return str(problem(response)["code"])


# ------------------------------------------------------------------------------------------------- a user's


async def test_a_permission_is_given_with_limits_and_changed(alice: Client) -> None:
    id, now = await user(alice), int(time.time())
    schedule = (await alice.post("/v1/schedules", ALWAYS))["id"]
    await give(alice, id, 1, startsAt=now, endsAt=now + 60, scheduleId=schedule)
    [held] = (await alice.get(f"/v1/users/{id}/permissions"))["items"]
    assert (held["startsAt"], held["endsAt"], held["scheduleId"]) == (now, now + 60, schedule)
    await give(alice, id, 1)
    [held] = (await alice.get(f"/v1/users/{id}/permissions"))["items"]
    assert (held["startsAt"], held["endsAt"], held["scheduleId"]) == (None, None, None)
    last = await alice.last_event()
    await give(alice, id, 1)
    assert await alice.last_event() == last
    kinds = [event["type"] for event in await alice.events() if event["type"].startswith("permission")]
    assert kinds == ["permission_granted", "permission_changed"]


async def test_assigned_is_shown_only_when_the_door_has_confirmed(alice: Client, dora: Script) -> None:
    id = await user(alice)
    async with dora.linked() as line:
        await line.take_state()
        changing = asyncio.create_task(
            alice.patch(
                f"/v1/users/{id}/permissions?wait=applied&timeout=10",
                {"add": [{"accessPointId": 1}, {"accessPointId": 3}]},
            )
        )
        await asyncio.sleep(0.2)
        assert not changing.done()
        assert await states(alice, id) == {1: "pending", 3: "pending"}
        await line.take_state()
        changed = await changing
        assert {p["accessPointId"]: p["state"] for p in changed["permissions"]} == {1: "assigned", 3: "pending"}
        assert changed["unconfirmedControllers"] == changed["offlineControllers"] == []
        late = await alice.patch(f"/v1/users/{id}/permissions?wait=applied&timeout=0.1", {"remove": [1]})
        assert late["unconfirmedControllers"] == [dora.controller]
        assert await states(alice, id) == {1: "removing", 3: "pending"}
        await line.take_state()
    offline = await alice.patch(f"/v1/users/{id}/permissions?wait=applied", {"add": [{"accessPointId": 2}]})
    assert offline["offlineControllers"] == [dora.controller]


async def test_a_dry_run_names_people_doors_and_limits_and_changes_nothing(alice: Client) -> None:
    id, other = await user(alice, "Bob"), await user(alice, "Ann")
    await give(alice, id, 1, 2, endsAt=2_000_000_000)
    db = Conn(alice.cloud.dsn)
    before, last = await db.counts(), await alice.last_event()
    body = {"add": [{"accessPointId": 1}, {"accessPointId": 3}], "remove": [2], "dryRun": True}
    told = await alice.patch(f"/v1/users/{id}/permissions?wait=applied", body)
    assert [p["accessPointId"] for p in told["permissions"] if p["state"] != "removing"] == [1, 3]
    limits, free = {"startsAt": None, "endsAt": 2_000_000_000, "scheduleId": None}, {
        "startsAt": None, "endsAt": None, "scheduleId": None,
    }  # fmt: skip
    assert [(c["userName"], c["accessPointName"], c["before"], c["after"]) for c in told["changes"]] == [
        ("Bob", "Front door", limits, free),
        ("Bob", "Store", None, free),
        ("Bob", "Laboratory", limits, None),
    ]
    body = {"add": [{"userId": other}], "remove": [id], "dryRun": True}
    told = await alice.patch("/v1/access-points/1/permissions", body)
    assert [(c["userName"], c["after"]) for c in told["changes"]] == [("Ann", free), ("Bob", None)]
    assert (await db.counts(), await alice.last_event()) == (before, last)
    assert set(await states(alice, id)) == {1, 2}


async def test_a_bad_call_changes_nothing(alice: Client, charlie: Client) -> None:
    id, now = await user(alice, accessPoints=[2]), int(time.time())
    await charlie.post("/v1/schedules", ALWAYS)
    path = f"/v1/users/{id}/permissions"
    good = {"accessPointId": 1}
    for status, body in (
        (404, {"add": [good, {"accessPointId": 99}]}),
        (404, {"add": [good, {"accessPointId": 2**40}]}),
        (404, {"add": [good], "remove": [99]}),
        (404, {"add": [good], "withdraw": [0]}),
        (404, {"add": [{**good, "scheduleId": 1}]}),
        (404, {"add": [{**good, "scheduleId": 2**50}]}),
        (404, {"add": [{**good, "scheduleId": 0}]}),
        (404, {"add": [{**good, "scheduleId": 2**70}]}),
        (400, {"add": [good, good]}),
        (400, {"add": [good], "remove": [1]}),
        (400, {"add": [good], "withdraw": [1]}),
        (400, {"add": [{**good, "startsAt": now, "endsAt": now}]}),
        (400, {"add": [{**good, "endsAt": now * 1000}]}),
        (400, {"remove": list(range(1, 10_002))}),
        (400, {"add": 1}),
        (400, {"unknown": 1}),
    ):
        assert await refused(alice, status, path, body) in ("not_found", "invalid", "malformed"), body
    assert await states(alice, id) == {2: "pending"}


# ------------------------------------------------------------------------------------------------- a door's


async def test_a_door_is_given_to_many_and_taken_from_many(alice: Client, charlie: Client, dora: Script) -> None:
    ids = [await user(alice, f"User {n}") for n in range(5)]
    schedule = (await alice.post("/v1/schedules", ALWAYS))["id"]
    add = [{"userId": id, "scheduleId": schedule} for id in ids]
    path = "/v1/access-points/1/permissions"
    changed = await alice.patch(path, {"add": add, "withdraw": []})
    assert [(p["userId"], p["scheduleId"]) for p in changed["permissions"]] == [(id, schedule) for id in ids]
    pages = await alice.get(path, params={"limit": 3})
    assert [p["userId"] for p in pages["items"]] == ids[:3]
    changed = await alice.patch(path, {"add": [{"userId": ids[0]}], "remove": ids[3:], "withdraw": ids[1:2]})
    told = {p["userId"]: p["state"] for p in changed["permissions"]}
    assert told == {ids[0]: "pending", **dict.fromkeys([ids[1], *ids[3:]], "removing")}
    theirs = await user(charlie)
    for status, body in (
        (404, {"add": [{"userId": ids[4]}, {"userId": 99_999}]}),
        (404, {"add": [{"userId": ids[4]}, {"userId": theirs}]}),
        (404, {"remove": [ids[2], theirs]}),
        (404, {"remove": [2**62]}),
        (400, {"add": [{"userId": ids[4]}, {"userId": ids[4]}]}),
        (400, {"add": [{"userId": ids[4]}], "remove": [ids[4]]}),
    ):
        assert await refused(alice, status, path, body) in ("not_found", "invalid")
    assert await refused(alice, 404, "/v1/access-points/99/permissions", {}) == "not_found"
    async with dora.linked() as line:
        await line.take_state()
        asked = asyncio.create_task(alice.patch(f"{path}?wait=applied&timeout=10", {"add": [{"userId": ids[3]}]}))
        await line.take_state()
        assert [p["state"] for p in (await asked)["permissions"]] == ["assigned"]


async def test_ten_thousand_in_one_call(alice: Client, db: Conn) -> None:
    sheet = "name\r\n" + "".join(f"User {n}\r\n" for n in range(10_000))
    assert (await alice.post("/v1/users/import", {"csv": sheet}))["added"] == 10_000
    ids = [row["id"] for row in await db.fetch("SELECT id FROM users ORDER BY id")]
    begun = time.monotonic()
    await alice.patch("/v1/access-points/1/permissions", {"add": [{"userId": id} for id in ids]})
    assert (await db.counts())["grants"] == 10_000
    await alice.patch("/v1/access-points/1/permissions", {"remove": ids})
    assert (await db.counts())["grants"] == 0
    assert time.monotonic() - begun < 30
    [controller, *_] = (await alice.get("/v1/controllers"))["items"]
    assert await alice.rebuilt(controller["id"]) == 0


# ------------------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize(
    "week",
    [
        [],
        [[]] * 7,
        [[[0, 60]]] * 6,
        [[[60, 60]]] * 7,
        [[[60, 0]]] * 7,
        [[[-1, 60]]] * 7,
        [[[1440, 1500]]] * 7,
        [[[0, 1441]]] * 7,
        [[[0, 60], [30, 90]]] * 7,
        [[[0, 2**70]]] * 7,
        [[0, 60]] * 7,
        "always",
    ],
)
async def test_a_schedule_that_never_opens_or_cannot_be_is_refused(alice: Client, week: object) -> None:
    response = await alice.call("POST", "/v1/schedules", json={"name": "Odd", "week": week})
    assert response.status_code == 400, response.text
    assert (await alice.get("/v1/schedules"))["items"] == []
    made = (await alice.post("/v1/schedules", ALWAYS))["id"]
    assert (await alice.call("PATCH", f"/v1/schedules/{made}", json={"week": week})).status_code == 400
    assert (await alice.get(f"/v1/schedules/{made}"))["week"] == ALWAYS["week"]


async def test_a_schedule_in_use_is_not_deleted(alice: Client) -> None:
    id, schedule = await user(alice), (await alice.post("/v1/schedules", ALWAYS))["id"]
    await give(alice, id, 1, scheduleId=schedule)
    assert (await alice.call("DELETE", f"/v1/schedules/{schedule}")).status_code == 409
    await give(alice, id, 1)
    await alice.delete(f"/v1/schedules/{schedule}")
    assert (await alice.call("GET", f"/v1/schedules/{schedule}")).status_code == 404


async def test_holidays_are_dates(alice: Client) -> None:
    answer = await alice.post("/v1/sites/1/holidays", {"dates": ["2026-12-25", "2026-01-01", "2026-12-25"]})
    assert answer["dates"] == ["2026-01-01", "2026-12-25"]
    for bad in (["25.12.2026"], ["2026-02-30"], ["2026-W01-1"], [""], "2026-12-25"):
        assert (await alice.call("POST", "/v1/sites/1/holidays", json={"dates": bad})).status_code == 400
    assert (await alice.call("POST", "/v1/sites/99/holidays", json={"dates": []})).status_code == 404
    assert await alice.get("/v1/sites/1/holidays") == answer


async def test_a_controller_without_a_door_of_a_site_has_none_of_its_holidays(alice: Client, db: Conn) -> None:
    annex = (await alice.post("/v1/sites", {"name": "Annex"}))["id"]
    await alice.post(f"/v1/sites/{annex}/holidays", {"dates": ["2031-01-01"]})
    doors = [
        (await alice.post("/v1/access-points", {"siteId": annex, "name": name, "controllerId": 1}))["id"]
        for name in ("Gate", "Shed")
    ]

    async def held() -> int:
        query = "SELECT count(*) FROM desired_records WHERE kind = 'holidays' AND body IS NOT NULL AND key = $1"
        return int(await db.value(query, str(annex)))

    assert await held() == 1
    await alice.delete(f"/v1/access-points/{doors[0]}")
    assert await held() == 1
    await alice.delete(f"/v1/access-points/{doors[1]}")
    assert await held() == 0
    assert await alice.rebuilt(1) == 0


# ------------------------------------------------------------------------------------------------- always in line

PLACE = st.integers(0, 7)
DOORS = st.lists(st.integers(1, 3), max_size=3, unique=True)


class _Steps:
    """What can happen to people and their doors; each step may be refused, never half done."""

    def __init__(self, alice: Client) -> None:
        self.alice = alice
        self.numbers = iter(range(1, 10_000))

    async def do(self, method: str, path: str, body: object = None) -> Any:
        response = await self.alice.call(method, path, **({} if body is None else {"json": body}))
        assert response.status_code < 500, response.text
        return response.json() if response.content else None

    async def pick(self, path: str, place: int) -> int:
        items = (await self.alice.get(path))["items"]
        return int(items[place % len(items)]["id"]) if items else 0

    async def user(self, place: int) -> int:
        return await self.pick("/v1/users", place)

    async def enter(self, doors: list[int]) -> None:
        await self.do("POST", "/v1/users", {"name": "Somebody", "accessPoints": doors})

    async def leave(self, place: int) -> None:
        await self.do("DELETE", f"/v1/users/{await self.user(place)}")

    async def turn(self, place: int, is_active: bool, expires: int | None) -> None:
        body = {"isActive": is_active, "accessExpiresAt": expires, "access": {"card": is_active}}
        await self.do("PATCH", f"/v1/users/{await self.user(place)}", body)

    async def give(self, place: int, add: list[int], remove: list[int], which: int) -> None:
        schedule = await self.pick("/v1/schedules", which) if which % 2 else None
        grants = [{"accessPointId": door, "scheduleId": schedule or None} for door in add if door not in remove]
        path = f"/v1/users/{await self.user(place)}/permissions"
        await self.do("PATCH", path, {"add": grants, "remove": remove, "dryRun": which == 4})

    async def give_door(self, door: int, first: int, second: int) -> None:
        body = {"add": [{"userId": await self.user(first)}], "withdraw": [await self.user(second)]}
        await self.do("PATCH", f"/v1/access-points/{door}/permissions", body)

    async def card(self, place: int) -> None:
        await self.do("POST", f"/v1/users/{await self.user(place)}/cards", {"number": next(self.numbers)})

    async def uncard(self, place: int) -> None:
        user = await self.user(place)
        cards = await self.do("GET", f"/v1/users/{user}/cards")
        for card in cards if isinstance(cards, list) else ():
            await self.do("DELETE", f"/v1/users/{user}/cards/{card['id']}")

    async def schedule(self, place: int, end: int) -> None:
        week = [[[0, 60 * (end + 1)]]] * 7
        if place % 3 == 0:
            await self.do("POST", "/v1/schedules", {"name": "Some", "week": week})
        elif place % 3 == 1:
            await self.do("PATCH", f"/v1/schedules/{await self.pick('/v1/schedules', place)}", {"week": week})
        else:
            await self.do("DELETE", f"/v1/schedules/{await self.pick('/v1/schedules', place)}")

    async def holidays(self, day: int) -> None:
        await self.do("POST", "/v1/sites/1/holidays", {"dates": [f"2026-01-{day + 1:02}"] if day else []})

    async def move(self, place: int, which: int | None, is_default: bool) -> None:
        controller = None if which is None else await self.pick("/v1/controllers", which)
        door = await self.pick("/v1/access-points", place)
        await self.do("PATCH", f"/v1/access-points/{door}", {"controllerId": controller, "isDefault": is_default})

    async def rebuild_door(self, place: int) -> None:
        door = await self.pick("/v1/access-points", place)
        if door:
            await self.do("DELETE", f"/v1/access-points/{door}")
        await self.do("POST", "/v1/access-points", {"siteId": 1, "name": "Another"})

    async def differences(self) -> list[int]:
        controllers = (await self.alice.get("/v1/controllers"))["items"]
        return [await self.alice.rebuilt(controller["id"]) for controller in controllers]


class _InLine(RuleBasedStateMachine):
    """Whatever happened, a full rebuild changes nothing: a difference stays until somebody rebuilds."""

    steps: _Steps
    loop: asyncio.AbstractEventLoop
    taken = 0

    def run(self, step: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(step, self.loop).result(60)

    @initialize()
    def somebody(self) -> None:
        for doors in ([1, 2], [2, 3], []):
            self.run(self.steps.enter(doors))

    @rule(doors=DOORS)
    def enter(self, doors: list[int]) -> None:
        self.run(self.steps.enter(doors))

    @rule(place=PLACE)
    def leave(self, place: int) -> None:
        self.run(self.steps.leave(place))

    @rule(place=PLACE, is_active=st.booleans(), expires=st.sampled_from([None, 2_000_000_000]))
    def turn(self, place: int, is_active: bool, expires: int | None) -> None:
        self.run(self.steps.turn(place, is_active, expires))

    @rule(place=PLACE, add=DOORS, remove=DOORS, which=PLACE)
    def give(self, place: int, add: list[int], remove: list[int], which: int) -> None:
        self.run(self.steps.give(place, add, remove, which))

    @rule(door=st.integers(1, 3), first=PLACE, second=PLACE)
    def give_door(self, door: int, first: int, second: int) -> None:
        self.run(self.steps.give_door(door, first, second))

    @rule(place=PLACE)
    def card(self, place: int) -> None:
        self.run(self.steps.card(place))

    @rule(place=PLACE)
    def uncard(self, place: int) -> None:
        self.run(self.steps.uncard(place))

    @rule(place=PLACE, end=PLACE)
    def schedule(self, place: int, end: int) -> None:
        self.run(self.steps.schedule(place, end))

    @rule(day=PLACE)
    def holidays(self, day: int) -> None:
        self.run(self.steps.holidays(day))

    @rule(place=PLACE, which=st.none() | PLACE, is_default=st.booleans())
    def move(self, place: int, which: int | None, is_default: bool) -> None:
        self.run(self.steps.move(place, which, is_default))

    @rule(place=PLACE)
    def rebuild_door(self, place: int) -> None:
        self.run(self.steps.rebuild_door(place))

    @invariant()
    def now_and_then_a_rebuild_changes_nothing(self) -> None:
        self.taken += 1
        if self.taken % 5 == 0:
            self.teardown()

    def teardown(self) -> None:
        assert not any(self.run(self.steps.differences()))


async def test_after_any_sequence_of_changes_a_rebuild_changes_nothing(alice: Client) -> None:
    await alice.post("/v1/controllers", {"name": "Eve"})
    machine = type("Machine", (_InLine,), {"steps": _Steps(alice), "loop": asyncio.get_running_loop()})
    plain = settings(
        max_examples=6, stateful_step_count=30, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=plain)


@pytest.mark.parametrize("seed", range(3))
async def test_changes_at_the_same_moment_leave_nothing_out_of_line(
    alice: Client, other_cloud: Cloud, seed: int
) -> None:
    """Two processes; people, cards, schedules and doors change under each other's hands."""
    chance = random.Random(seed)
    for n in range(2):
        await alice.post("/v1/controllers", {"name": f"Eve {n}"})
    sides = [_Steps(alice), _Steps(Client(other_cloud, alice.organisation, alice.token))]
    for _ in range(6):
        await sides[0].enter([1, 2])
    await sides[0].schedule(0, 5)

    def step() -> Any:
        side, place, which = chance.choice(sides), chance.randrange(8), chance.randrange(8)
        doors = chance.sample([1, 2, 3], chance.randrange(4))
        return chance.choice(
            [
                lambda: side.enter(doors),
                lambda: side.leave(place),
                lambda: side.turn(place, which % 2 == 0, None),
                lambda: side.give(place, doors, [], which),
                lambda: side.give(place, [], doors, which),
                lambda: side.give_door(which % 3 + 1, place, which),
                lambda: side.card(place),
                lambda: side.uncard(place),
                lambda: side.schedule(1, which),
                lambda: side.move(place, which, False),
                lambda: side.move(place, which, False),
            ]
        )()

    for _ in range(6):
        await asyncio.gather(*(step() for _ in range(20)))
        assert not any(await sides[0].differences())


async def test_a_controller_that_cannot_enforce_something_never_has_it(alice: Client, dora: Script) -> None:
    id, schedule = await user(alice), (await alice.post("/v1/schedules", ALWAYS))["id"]
    await give(alice, id, 1)
    await give(alice, id, 2, scheduleId=schedule)
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    question = {"userId": id, "way": "card", "accessPointId": 1}
    for kinds, has, scheduled in (
        (("door", "key", "revocation"), "pending", "pending"),
        (("door", "key", "revocation", "mode", "person", "card", "grant"), "assigned", "pending"),
        (KINDS, "assigned", "assigned"),
    ):
        async with dora.linked(kinds=kinds) as line:
            if dora.revision == 0:
                await line.take_state()
            await alice.until_confirmed(dora.controller)
            assert await states(alice, id) == {1: has, 2: scheduled}
            assert (await alice.get("/v1/access-points/1/mode"))["confirmed"] is ("mode" in kinds)
            assert (await alice.post("/v1/decisions/explain", question))["decision"]["controllerHasIt"] is (
                kinds == KINDS
            )


async def test_a_door_that_is_renamed_is_news_of_the_door_alone(alice: Client) -> None:
    id = await user(alice)
    await give(alice, id, 1, 2)
    db, held = Conn(alice.cloud.dsn), "SELECT kind, key, revision FROM desired_records ORDER BY 1, 2"
    await db.fetch("UPDATE desired_records SET body = 'looked at?' WHERE kind = 'grant'")
    before = set(await db.fetch(held))
    await alice.patch("/v1/access-points/1", {"name": "Main door"})
    assert {row[:2] for row in set(await db.fetch(held)) - before} == {("door", "1")}
    await alice.patch("/v1/sites/1", {"timezone": "Asia/Kolkata"})
    assert {row[:2] for row in set(await db.fetch(held)) - before} == {("door", "1"), ("door", "2")}


async def test_holidays_go_with_the_last_door_of_their_site(alice: Client) -> None:
    [controller] = (await alice.get("/v1/controllers"))["items"]
    site = (await alice.post("/v1/sites", {"name": "Branch"}))["id"]
    gate = {"siteId": site, "name": "Gate", "controllerId": controller["id"]}
    door = (await alice.post("/v1/access-points", gate))["id"]
    await alice.post(f"/v1/sites/{site}/holidays", {"dates": ["2027-01-01"]})
    await alice.delete(f"/v1/access-points/{door}")
    assert await alice.rebuilt(controller["id"]) == 0


async def test_what_is_taken_away_is_shown_from_both_sides_until_the_door_knows(alice: Client, dora: Script) -> None:
    bob, ann = await user(alice), await user(alice, "Ann")
    for id in (bob, ann):
        await give(alice, id, 1, 2)
    at = "/v1/access-points/1/permissions"
    async with dora.linked() as line:
        await line.take_state()
        await alice.until_confirmed(dora.controller)
        gone = {"accessPointId": 1, "startsAt": None, "endsAt": None, "scheduleId": None, "state": "removing"}
        said = (await alice.patch(f"/v1/users/{bob}/permissions", {"remove": [1]}))["permissions"]
        assert [{**p, "userId": bob} for p in said] == [said[0] | gone]
        assert (await alice.patch(at, {"remove": [ann]}))["permissions"] == [
            said[0] | {"userId": ann, "userName": "Ann"}
        ]
        shown = (await alice.get(at))["items"]
        assert [(p["userId"], p["state"]) for p in shown] == [(bob, "removing"), (ann, "removing")]
        first = await alice.get(f"/v1/users/{bob}/permissions", params={"limit": 1})
        rest = await alice.get(f"/v1/users/{bob}/permissions", params={"limit": 1, "cursor": first["nextCursor"]})
        assert [(p["accessPointId"], p["state"]) for p in first["items"] + rest["items"]] == [
            (1, "removing"), (2, "assigned"),
        ]  # fmt: skip
        for _ in range(2):
            await line.take_state()
        await alice.until_confirmed(dora.controller)
        assert (await alice.get(at))["items"] == []
