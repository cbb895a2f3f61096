"""Times at real doors: weeks in which the clocks change, ends to the second, clocks that are set, links cut."""

from __future__ import annotations

import random
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.cast import Client
from cloud.people.rulebook import Allowed, Entrance, House, Week, Worker
from latchwork.cloud.kernel.work import Scope
from latchwork.cloud.passages import snapshot
from latchwork.edge.runner import Edge
from latchwork.edge.snapshot import gather
from latchwork.policy.decide import decide
from latchwork.policy.model import Attempt, CardRead, Direction

CARD = 0x1E5A_93C7_2B4D_6F18
CHANGES = [
    ("Europe/Berlin", "2027-03-28T01:00:00+00:00"),
    ("Europe/Berlin", "2027-10-31T01:00:00+00:00"),
    ("Australia/Lord_Howe", "2027-04-03T15:00:00+00:00"),
    ("Australia/Lord_Howe", "2027-10-02T15:30:00+00:00"),
    ("Africa/Casablanca", "2024-03-10T02:00:00+00:00"),
    ("Africa/Cairo", "2027-10-28T21:00:00+00:00"),
    ("Pacific/Apia", "2011-12-30T10:00:00+00:00"),
]
DAYS = 3
"""Before and after each change, minute by minute; the cloud is asked near the change and now and then."""


async def bob(alice: Client, **more: Any) -> int:
    id = int((await alice.post("/v1/users", {"name": "Bob", **more}))["id"])
    await alice.post(f"/v1/users/{id}/cards", {"number": CARD})
    return id


async def tap(edge: Edge, door: int = 1) -> str:
    decision, _ = await edge.controller.present(door, Direction.ENTRY, card=CARD)
    return decision.reason.value


# ------------------------------------------------------------------------------------------------- the wall's clock


async def test_door_and_cloud_follow_the_clock_on_the_wall_through_every_change(alice: Client, tmp_path: Path) -> None:
    chance, house = random.Random(1), House()
    worker = house.workers[await bob(alice)] = Worker(cards={CARD})
    changes = {}
    for zone, instant in CHANGES:
        changes[await _a_door_in(alice, house, worker, chance, zone, instant)] = instant
    grants = [{"accessPointId": door, "scheduleId": allowed.schedule} for door, allowed in worker.doors.items()]
    await alice.patch(f"/v1/users/{next(iter(house.workers))}/permissions", {"add": grants})
    async with alice.dora(1, tmp_path) as edge:
        for door, instant in changes.items():
            await _agree(alice, edge, house, door, int(datetime.fromisoformat(instant).timestamp()))


async def _a_door_in(
    alice: Client, house: House, worker: Worker, chance: random.Random, zone: str, instant: str
) -> int:
    """A door in a zone, where Bob has a schedule with bounds near the change, on holidays too."""
    site = (await alice.post("/v1/sites", {"name": zone, "timezone": zone}))["id"]
    door = (await alice.post("/v1/access-points", {"siteId": site, "name": zone, "controllerId": 1}))["id"]
    week = Week([_day(chance) for _ in range(7)], _day(chance))
    made = await alice.post("/v1/schedules", {"name": zone, "week": week.days, "holiday": week.holiday})
    near = datetime.fromisoformat(instant).date()
    holidays: set[date] = {near + timedelta(days=chance.choice([-2, -1, 0, 1, 2])) for _ in range(2)}
    await alice.post(f"/v1/sites/{site}/holidays", {"dates": [day.isoformat() for day in holidays]})
    house.zones[site], house.holidays[site], house.weeks[made["id"]] = zone, holidays, week
    house.entrances[door] = Entrance(site, 1, has_exit_reader=False)
    worker.doors[door] = Allowed(schedule=made["id"])
    return int(door)


def _day(chance: random.Random) -> list[list[int]]:
    """Several intervals, the last of which reaches past midnight."""
    first, second, third = sorted(chance.sample(range(0, 240, 15), 3))
    return [[first, second], [third, chance.randrange(300, 720)], [1200 + first, 1440 + second + first]]


async def _agree(alice: Client, edge: Edge, house: House, door: int, change: int) -> None:
    here, answers = edge.controller, set()
    for n, at in enumerate(range(change - DAYS * 86_400, change + DAYS * 86_400, 60)):
        attempt = Attempt(door, Direction.ENTRY, CardRead(CARD), float(at))
        told = decide(gather(here._store, here._journal, attempt, attempt.at), attempt).reason
        assert ({told.value} - {"granted"}) == house.refusals(door, "entry", CARD, None, at), (door, at)
        answers.add(told.value)
        if n % 97 == 0 or abs(at - change) <= 3600:
            async with alice.cloud.state.database.connection() as conn:
                judged = await snapshot.judge(conn, Scope(alice.organisation), attempt)
            assert judged.decision.reason is told, (door, at)
    assert answers == {"granted", "outside_schedule"}


# ------------------------------------------------------------------------------------------------- to the second


@pytest.mark.parametrize(
    ("limit", "before", "after"),
    [
        ("startsAt", "permission_not_begun", "granted"),
        ("endsAt", "granted", "permission_ended"),
        ("accessExpiresAt", "granted", "access_expired"),
    ],
)
async def test_a_limit_counts_to_the_second_at_a_door_without_a_link_and_in_the_cloud(
    alice: Client, tmp_path: Path, limit: str, before: str, after: str
) -> None:
    at = int(time.time()) + 5_000
    id = await bob(alice, **({limit: at} if limit == "accessExpiresAt" else {}))
    grant = {"accessPointId": 1, **({} if limit == "accessExpiresAt" else {limit: at})}
    await alice.patch(f"/v1/users/{id}/permissions", {"add": [grant]})
    async with alice.dora(1, tmp_path) as edge:
        edge.link.up = False
        for seconds, expected in ((-2, before), (0, after), (-2, before), (86_400, after)):
            edge.clock.advance(at + seconds - edge.clock.read().at)
            assert await tap(edge) == expected
        for instant, expected in ((at - 0.001, before), (at, after)):
            asked = {"accessPointId": 1, "cardNumber": CARD, "at": instant}
            assert (await alice.post("/v1/decisions/explain", asked))["decision"]["reason"] == expected


async def test_a_door_without_a_link_goes_by_its_own_clock_past_the_end(alice: Client, tmp_path: Path) -> None:
    id, now = await bob(alice), int(time.time())
    grants = [{"accessPointId": 1, "endsAt": now + 600}, {"accessPointId": 2}]
    await alice.patch(f"/v1/users/{id}/permissions", {"add": grants})
    async with alice.dora(1, tmp_path) as edge:
        edge.link.up = False
        assert [await tap(edge, 1), await tap(edge, 2)] == ["granted", "granted"]
        edge.clock.hear(now + 601, 0)  # the last word of the cloud was late, or time has gone by
        assert [await tap(edge, 1), await tap(edge, 2)] == ["permission_ended", "granted"]
        edge.clock.hear(now - 86_400, 0)  # and no word sets it back
        assert await tap(edge, 1) == "permission_ended"
        await alice.patch(f"/v1/users/{id}/permissions", {"add": [{"accessPointId": 1, "endsAt": now + 9_000}]})
        assert await tap(edge, 1) == "permission_ended", "it cannot know"
        edge.link.up = True
        await alice.until_confirmed(1)
        assert await tap(edge, 1) == "granted"
