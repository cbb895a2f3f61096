"""Promises of the event log: numbered without gaps, missed by nobody, and every change says who did it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cloud.cast import Client, Cloud, Conn
from latchwork.cloud.events import service

WRITERS = 16


async def test_numbers_are_gapless_and_in_order_and_a_reader_misses_nothing(
    alice: Client, other_cloud: Cloud, charlie: Client
) -> None:
    """Sixteen writers at two processes, while three readers with cursors read along."""
    start = await alice.last_event()
    elsewhere = Client(other_cloud, alice.organisation, alice.token)
    total = WRITERS * 10 * 2  # a new visitor and a meeting each

    async def write(writer: int) -> None:
        at = alice if writer % 2 else elsewhere
        for n in range(10):
            await at.invite(1 + writer % 3, key=f"{writer}-{n}")
            if n == 5:
                await charlie.invite(1, key=f"c{writer}")

    async def read(at: Client, wait: float) -> list[int]:
        seen: list[int] = []
        last = start
        while len(seen) < total:
            page = await at.get("/v1/events", params={"after": last, "limit": 7, "wait": wait})
            seen += [event["number"] for event in page["events"]]
            last = page["last"]
        return seen

    async with asyncio.timeout(60):
        *readers, _ = await asyncio.gather(
            read(alice, 5), read(elsewhere, 5), read(alice, 0), asyncio.gather(*map(write, range(WRITERS)))
        )
    for seen in readers:
        assert seen == list(range(start + 1, start + total + 1))
    assert await alice.last_event() == start + total


async def test_a_waiting_reader_is_answered_as_soon_as_there_is_news(
    alice: Client, other_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "NEWS_EVERY", 60)
    for at in (alice, Client(other_cloud, alice.organisation, alice.token)):
        last = await alice.last_event()
        waiting = asyncio.create_task(at.get("/v1/events", params={"after": last, "wait": 20}))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        began = time.monotonic()
        await alice.post("/v1/sites", {"name": "News"})
        page = await waiting
        assert time.monotonic() - began < 15
        assert [event["type"] for event in page["events"]] == ["site_created"]


async def test_a_waiting_reader_gets_an_empty_page_when_nothing_happens(alice: Client, charlie: Client) -> None:
    last = await alice.last_event()
    began = time.monotonic()
    waiting = asyncio.create_task(alice.get("/v1/events", params={"after": last, "wait": 1}))
    await charlie.post("/v1/sites", {"name": "None of Alice's business"})
    assert await waiting == {"events": [], "last": last}
    assert 0.9 < time.monotonic() - began < 8


async def test_a_reader_whose_hints_are_lost_still_gets_the_news(alice: Client, other_cloud: Cloud, db: Conn) -> None:
    last = await alice.last_event()
    at = Client(other_cloud, alice.organisation, alice.token)
    await db.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen%'")
    waiting = asyncio.create_task(at.get("/v1/events", params={"after": last, "wait": 20}))
    await asyncio.sleep(0.05)
    await alice.post("/v1/sites", {"name": "News"})
    async with asyncio.timeout(15):
        assert len((await waiting)["events"]) == 1


async def test_a_process_listens_again_after_its_listening_connection_was_lost(
    alice: Client, other_cloud: Cloud, db: Conn
) -> None:
    await db.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen%'")
    async with asyncio.timeout(30):
        while await db.value("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'listen%'") < 2:
            await asyncio.sleep(0.1)


async def test_the_newest_are_found_without_reading_all_before_them(alice: Client) -> None:
    for name in ("One", "Two", "Three"):
        await alice.post("/v1/sites", {"name": name})
    last = await alice.last_event()
    page = await alice.get("/v1/events", params={"order": "newest", "limit": 2})
    assert ([event["number"] for event in page["events"]], page["last"]) == ([last, last - 1], last - 1)
    page = await alice.get("/v1/events", params={"order": "newest", "before": page["last"], "limit": 200})
    assert ([event["number"] for event in page["events"]], page["last"]) == ([*range(last - 2, 0, -1)], 0)


async def test_the_log_is_searched_by_what_was_done_to_what_by_whom_and_when(alice: Client, db: Conn) -> None:
    await alice.post("/v1/sites", {"name": "Branch"})
    await alice.post("/v1/users", {"name": "Bob"})
    await db.fetch("UPDATE events SET recorded_at = recorded_at - 86400 WHERE type = 'site_created'")
    await db.fetch("UPDATE events SET recorded_at = recorded_at + 500 WHERE type = 'user_created'")
    now = int(time.time())

    async def types(**filters: Any) -> set[str]:
        page = await alice.get("/v1/events", params={"order": "newest", "limit": 200, **filters})
        assert page["last"] == 0
        return {event["type"] for event in page["events"]}

    assert await types(deed="people") == {"user_created"}
    assert {"site_created", "user_created", "access_point_created"} <= await types(deed="any")
    assert await types(deed="settings", actor="user") == set()
    assert await types(subject="site/2") == {"site_created"}
    assert await types(subject="site/2", deed="people") == set()
    assert await types(deed="any", since=now + 200) == {"user_created"}
    assert "user_created" not in await types(deed="any", until=now + 200)
    assert await types(deed="any", since=now + 9000) == set()
    for wrong in ({"order": "newest", "wait": 1}, {"deed": "any"}, {"before": 3}, {"order": "newest", "subject": "\0"}):
        assert (await alice.call("GET", "/v1/events", params=wrong)).status_code == 400


async def test_every_business_change_says_who_did_it_and_what_was_before_and_after(
    alice: Client, charlie: Client
) -> None:
    """One row per operation: its events, and which of before and after they hold."""
    now = int(time.time())
    times = {"startTime": now, "endTime": now + 600}
    meeting = {"visitor": {"key": "vic", "name": "Vic"}, "accessPoints": [1], **times}
    week = {"name": "Week", "week": [[[480, 1020]]] * 7}
    [key] = await alice.get("/v1/organisation/pass-keys")
    rows: list[tuple[str, str, Any, list[str]]] = [
        ("PATCH", "/v1/organisation", {"singleUse": True}, ["organisation_changed ba"]),
        ("PATCH", "/v1/organisation", {"singleUse": True}, []),
        ("POST", "/v1/sites", {"name": "Branch"}, ["site_created a"]),
        ("PATCH", "/v1/sites/2", {"name": "Branch office"}, ["site_changed ba"]),
        ("PATCH", "/v1/sites/2", {"name": "Branch office"}, []),
        ("POST", "/v1/access-points", {"siteId": 2, "name": "Back"}, ["access_point_created a"]),
        ("PATCH", "/v1/access-points/4", {"name": "Side", "controllerId": 1}, ["access_point_changed ba"]),
        ("PATCH", "/v1/access-points/4", {}, []),
        ("POST", "/v1/controllers", {"name": "Eve", "accessPoints": [4]}, ["controller_created a"]),
        ("PATCH", "/v1/controllers/3", {"name": "Mallory"}, ["controller_changed ba"]),
        ("PATCH", "/v1/controllers/3", {"accessPoints": []}, ["controller_changed ba"]),
        ("PATCH", "/v1/controllers/3", {"name": "Mallory"}, []),
        ("POST", "/v1/controllers/3/enrolment-code", None, ["enrolment_code_created "]),
        ("POST", "/v1/controllers/3/rebuild", None, []),
        ("DELETE", "/v1/controllers/3", None, ["controller_deleted b"]),
        ("DELETE", "/v1/access-points/4", None, ["access_point_deleted b"]),
        ("DELETE", "/v1/sites/2", None, ["site_deleted b"]),
        ("POST", "/v1/clients", {"name": "x", "scopes": []}, ["client_created a"]),
        ("PATCH", "/v1/clients/3", {"name": "y"}, ["client_changed ba"]),
        ("POST", "/v1/clients/3/secret", None, ["client_secret_rotated "]),
        ("DELETE", "/v1/clients/3", None, ["client_revoked ba"]),
        ("DELETE", "/v1/clients/3", None, []),
        ("POST", "/v1/organisation/pass-keys", None, ["pass_key_created "]),
        ("POST", "/v1/organisation/pass-keys/{new}/activate", {}, ["pass_key_activated "]),
        ("DELETE", f"/v1/organisation/pass-keys/{key['kid']}", None, ["pass_key_deleted "]),
        ("POST", "/v1/visitors", {"key": "bob"}, ["visitor_created a"]),
        ("PATCH", "/v1/visitors/{bob}", {"company": "Bob & Co"}, ["visitor_changed ba"]),
        ("POST", "/v1/meetings", meeting, ["visitor_created a", "meeting_created a"]),
        ("POST", "/v1/meetings", meeting, ["meeting_created a"]),
        ("POST", "/v1/meetings", {**meeting, "visitor": {"key": "vic", "company": "V"}},
         ["visitor_changed ba", "meeting_created a"]),
        ("PATCH", "/v1/meetings/{meeting}", {"addAccessPoints": [2]}, ["meeting_changed ba"]),
        ("PATCH", "/v1/meetings/{meeting}", {"addAccessPoints": [2]}, []),
        ("POST", "/v1/meetings/{meeting}/pass", None, []),
        ("GET", "/v1/meetings/{meeting}/pass.svg", None, []),
        ("DELETE", "/v1/meetings/{meeting}", None, ["meeting_deleted b"]),
        ("DELETE", "/v1/visitors/{bob}", None, ["visitor_deleted b"]),
        ("POST", "/v1/users", {"name": "Bob", "accessPoints": [3]}, ["user_created a", "permission_granted a"]),
        ("PATCH", "/v1/users/{user}", {"phone": "+49 30 1"}, ["user_changed ba"]),
        ("PATCH", "/v1/users/{user}", {"phone": "+49 30 1"}, []),
        ("PATCH", "/v1/users/{user}", {"pin": "2468"}, ["user_changed ba"]),
        ("PATCH", "/v1/users/{user}", {"isActive": False}, ["user_deactivated ba"]),
        ("PATCH", "/v1/users/{user}", {"isActive": True}, ["user_activated ba"]),
        ("POST", "/v1/terms", {"name": "Masons"}, ["term_created a"]),
        ("DELETE", "/v1/terms/{term}", None, ["term_deleted b"]),
        ("PATCH", "/v1/access-points/2/permissions", {"add": [{"userId": 1}]}, ["permission_granted a"]),
        ("PATCH", "/v1/access-points/2/permissions", {"remove": [1]}, ["permission_withdrawn b"]),
        ("POST", "/v1/schedules", week, ["schedule_created a"]),
        ("PATCH", "/v1/users/{user}/permissions", {"add": [{"accessPointId": 1}]}, ["permission_granted a"]),
        ("PATCH", "/v1/users/{user}/permissions", {"add": [{"accessPointId": 1}]}, []),
        ("PATCH", "/v1/users/{user}/permissions", {"add": [{"accessPointId": 1, "endsAt": now + 9}]},
         ["permission_changed ba"]),
        ("PATCH", "/v1/users/{user}/permissions", {"remove": [1], "dryRun": True}, []),
        ("PATCH", "/v1/users/{user}/permissions", {"withdraw": [1]}, ["permission_withdrawn b"]),
        ("PATCH", "/v1/users/{user}/permissions", {"remove": [1, 3]}, ["permission_withdrawn b"]),
        ("PATCH", "/v1/schedules/{schedule}", {"name": "Days"}, ["schedule_changed ba"]),
        ("PATCH", "/v1/schedules/{schedule}", {"name": "Days"}, []),
        ("DELETE", "/v1/schedules/{schedule}", None, ["schedule_deleted b"]),
        ("POST", "/v1/sites/1/holidays", {"dates": ["2027-01-01"]}, ["holidays_changed ba"]),
        ("POST", "/v1/sites/1/holidays", {"dates": ["2027-01-01"]}, []),
        ("POST", "/v1/users/{user}/cards", {"number": 4711}, ["card_assigned "]),
        ("POST", "/v1/users/{user}/cards", {"number": 4711}, []),
        ("DELETE", "/v1/users/{user}/cards/{card}", None, ["card_unassigned "]),
        ("POST", "/v1/access-points/3/mode", {"mode": "locked"}, ["door_mode_changed ba"]),
        ("POST", "/v1/access-points/3/mode", {"mode": "locked"}, []),
        ("POST", "/v1/access-points/3/unlock", {"userId": None}, ["access_refused "]),
        ("POST", "/v1/decisions/explain", {"accessPointId": 3, "cardNumber": 4711}, []),
        ("DELETE", "/v1/users/{user}", None, ["user_deleted "]),
    ]  # fmt: skip
    names: dict[str, object] = {}
    for method, path, body, expected in rows:
        last = await alice.last_event()
        response = await alice.call(method, path.format(**names), **({} if body is None else {"json": body}))
        assert response.status_code < 300, (method, path, response.text)
        if path.endswith("/pass-keys"):
            names["new"] = response.json()["kid"]
        if (method, path) == ("POST", "/v1/visitors"):
            names["bob"] = response.json()["id"]
        if (method, path) == ("POST", "/v1/meetings"):
            names["meeting"] = response.json()["id"]
        for thing in ("user", "schedule", "card", "term"):
            if method == "POST" and path.endswith(f"/{thing}s"):
                names[thing] = response.json()["id"]
        events = await alice.events(last)
        shapes = [f"{e['type']} {'b' * bool(e['before'])}{'a' * bool(e['after'])}" for e in events]
        assert shapes == expected, (method, path)
        for event in events:
            assert event["actor"]["kind"] == "client"
            assert alice.account is not None
            assert event["actor"]["id"] == alice.account.client_id
            assert event["actor"]["name"] == "alice's backend"
            assert event["before"] != event["after"] or event["before"] is None
            assert abs(event["recordedAt"] - time.time()) < 5
            assert "/" in event["subject"]
    assert all("alice" not in str(event).lower() for event in await charlie.events())
