"""History: who came and went, by the names they had, quickly and in a stable order."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import pytest

from cloud.cast import Client, Line
from latchwork.cloud.kernel.work import Reach, Scope
from latchwork.cloud.passages import service, store
from latchwork.cloud.passages.model import Search
from latchwork.wire.facts import AccessDecided, CardPresented, StrikeWithheld

NOW = int(time.time())


def decided(**fields: Any) -> AccessDecided:
    plain = {"at": NOW - 10.0, "door": 1, "direction": "entry", "reason": "granted", "credential": "card"}
    return AccessDecided(**{**plain, **fields})


async def history(client: Client, **filters: Any) -> list[int]:
    """The places in the journal's order of what is found, the newest first."""
    return [item["number"] for item in (await client.get("/v1/passages", params=filters))["items"]]


async def test_an_entry_names_the_person_their_card_and_the_door(alice: Client, line: Line, bob: int) -> None:
    [card] = await alice.get(f"/v1/users/{bob}/cards")
    await line.tell(1, decided(user=bob, card=str(card["id"])))
    [entry] = (await alice.get("/v1/passages"))["items"]
    assert entry["user"] == {"id": bob, "name": "Bob", "employeeCode": "E7"}
    assert (entry["cardLastDigits"], entry["accessPointName"], entry["granted"]) == ("123", "Front door", True)
    assert entry["sentence"].startswith("Welcome")
    assert "4000123" not in str(await alice.events())


async def test_who_has_left_stays_in_the_history_under_their_name(alice: Client, line: Line, bob: int) -> None:
    await line.tell(1, decided(user=bob))
    await alice.delete(f"/v1/users/{bob}")
    [entry] = (await alice.get("/v1/passages"))["items"]
    assert entry["user"]["name"] == "Bob"


async def test_what_a_door_tells_late_names_who_has_been_deleted(alice: Client, line: Line, bob: int) -> None:
    await alice.delete(f"/v1/users/{bob}")
    await line.take_state()
    await line.tell(1, decided(user=bob))
    [entry] = (await alice.get("/v1/passages"))["items"]
    assert entry["user"] == {"id": bob, "name": "Bob", "employeeCode": ""}


async def test_each_door_says_who_was_there_last(alice: Client, line: Line, bob: int) -> None:
    await line.tell(1, decided(user=bob), decided(reason="no_permission"), decided(door=2, user=bob))
    passages = (await alice.get("/v1/passages"))["items"]
    states = (await alice.get("/v1/door-states"))["items"]
    assert [state["lastPassage"] for state in states] == [passages[1], passages[0], None]
    assert (await alice.get("/v1/access-points/1/state"))["lastPassage"] == passages[1]
    async with alice.cloud.state["database"].connection() as conn:
        for sites, doors in ({1}, {1, 2}), ({99}, set()), (set(), set()):
            scope = Scope(alice.organisation, Reach(frozenset(sites), bob))
            assert (await store.latest_at(conn, scope, [1, 2, 3])).keys() == doors


async def test_every_filter_finds_its_own(alice: Client, line: Line, bob: int) -> None:
    meeting = await alice.invite(1)
    visitor = meeting["visitor"]["id"]
    before = await alice.last_event()
    await line.tell(
        1,
        decided(user=bob),
        decided(door=2, direction="exit", reason="no_permission", user=bob),
        decided(credential="qr", visitor=visitor, meeting=meeting["id"]),
        decided(at=NOW - 5000.0, credential="remote", reason="lockdown"),
    )
    a, b, c, d = range(before + 1, before + 5)
    assert await history(alice) == [d, c, b, a]
    assert await history(alice, door=1) == [d, c, a]
    assert await history(alice, site=1) == [d, c, b, a]
    assert await history(alice, site=2) == []
    assert await history(alice, user=bob) == [b, a]
    assert await history(alice, visitor=visitor) == [c]
    assert await history(alice, direction="exit") == [b]
    assert await history(alice, credential="qr") == [c]
    assert await history(alice, outcome="granted") == [c, a]
    assert await history(alice, outcome="refused", user=bob) == [b]
    assert await history(alice, since=NOW - 100) == [c, b, a]
    assert await history(alice, until=NOW - 100) == [d]


async def test_pages_stay_as_they_are_while_late_entries_arrive(alice: Client, line: Line, bob: int) -> None:
    await line.tell(1, *(decided(user=bob) for _ in range(4)))
    first = await alice.get("/v1/passages", params={"limit": 2})
    await line.tell(5, decided(at=NOW - 86_400.0, user=bob))
    second = await alice.get("/v1/passages", params={"limit": 2, "cursor": first["nextCursor"]})
    numbers = [item["number"] for item in (*first["items"], *second["items"])]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 4
    assert second["nextCursor"] is None


async def test_a_grant_on_which_the_door_stayed_shut_is_no_entry(alice: Client, line: Line, bob: int) -> None:
    await line.tell(1, decided(user=bob), StrikeWithheld(at=NOW - 9.0, door=1, number=1))
    [entry] = (await alice.get("/v1/passages"))["items"]
    assert (entry["granted"], entry["withheld"]) == (True, True)
    assert await history(alice, outcome="granted") == []


async def test_another_organisations_history_is_not_seen(alice: Client, charlie: Client, line: Line, bob: int) -> None:
    await line.tell(1, decided(user=bob))
    assert await history(charlie) == []
    assert await history(charlie, door=1, user=bob) == []


async def test_facts_that_no_database_has_room_for_are_stored_as_unreadable(alice: Client, line: Line) -> None:
    await line.tell(
        1, decided(door=2**64 - 1), decided(user=2**63), CardPresented(at=NOW, door=1, command=1, number=2**63)
    )
    assert [event["type"] for event in await alice.events()][-3:] == ["unreadable_fact"] * 3
    assert await history(alice) == []


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), 3),
        (Search(users=[]), 0),
        (Search(name="bO"), 2),
        (Search(name="VIC"), 1),
        (Search(employee_code="e7"), 2),
        (Search(email="BOB@example.org"), 2),
        (Search(email="nobody@example.org"), 0),
        (Search(phone="+1"), 0),
        (Search(roles=["end_user"]), 2),
        (Search(roles=["manager"]), 0),
        (Search(terms=[1]), 0),
        (Search(managers=[1]), 0),
        (Search(location="HEAD"), 3),
        (Search(location="elsewhere"), 0),
        (Search(granted=True, credentials=["card", "qr"], doors=[1, 2], from_at=NOW - 50, to_at=NOW + 1), 2),
        (Search(granted=True, direction="exit"), 0),
    ],
)
async def test_integrators_search_by_who_people_are(
    alice: Client, line: Line, bob: int, search: Search, found: int
) -> None:
    meeting = await alice.invite(1)
    await line.tell(
        1,
        decided(user=bob),
        decided(reason="way_off", user=bob),
        decided(credential="qr", visitor=meeting["visitor"]["id"], meeting=meeting["id"]),
    )
    async with alice.cloud.state["database"].connection() as conn:
        passages, total = await service.search(conn, Scope(alice.organisation), search, 0, 2)
    assert (len(passages), total) == (min(found, 2), found)


async def test_the_history_of_a_few_people_is_read_by_its_index_however_long_the_log_is(fresh_dsn: str) -> None:
    conn = await asyncpg.connect(fresh_dsn)
    try:
        await conn.execute(
            """
            INSERT INTO events SELECT 1, n, 'access_granted', n, n, '{}', 'x',
                jsonb_build_object('accessPointId', n % 50, 'userId', n % 9973, 'journal', 'j', 'journalNumber', n)
            FROM generate_series(1, 50000) AS n
            """
        )
        await conn.execute("ANALYZE events")
        await conn.execute("SET plan_cache_mode = force_generic_plan")
        for condition, kind in (("= $1", "bigint"), ("IS NOT NULL AND user_id = ANY($1)", "bigint[]")):
            await conn.execute(
                f"PREPARE many ({kind}) AS SELECT * FROM passages WHERE organisation_id = 1 AND user_id {condition} "
                "ORDER BY number DESC LIMIT 26"
            )
            plan = await conn.fetch(f"EXPLAIN EXECUTE many({'7' if kind == 'bigint' else chr(39) + '{7,8}' + chr(39)})")
            assert "passages_by_user" in str(plan)
            await conn.execute("DEALLOCATE many")
        await conn.execute(f"PREPARE latest (integer, bigint[], bigint[]) AS {store._LATEST_AT}")
        plan = await conn.fetch("EXPLAIN EXECUTE latest (1, '{1,2}', NULL)")
        assert ("passages_by_door" in str(plan), "Seq Scan" in str(plan)) == (True, False)
    finally:
        await conn.close()
