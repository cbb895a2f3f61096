"""Promises of design §10: what a controller holds and what the log tells, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cloud.cast import Client, Cloud, Conn, Script, problem
from latchwork.cloud.accounts import service as accounts
from latchwork.cloud.controllers import desired
from latchwork.cloud.controllers import link as controller_link
from latchwork.cloud.controllers import service as controllers
from latchwork.cloud.controllers.model import Held
from latchwork.cloud.controllers.rules import Course, course
from latchwork.cloud.events.service import numbering
from latchwork.cloud.kernel.work import SYSTEM, Database, Scope, UseCase, Work
from latchwork.cloud.visitors import service as visits
from latchwork.wire import facts
from latchwork.wire.api.accounts import OrganisationPatch
from latchwork.wire.link import Applied, Changes, Close, Facts, Hello

A, B = b"aaaaaaaa", b"bbbbbbbb"
PLACE = st.integers(0, 8)
PLACES = st.lists(PLACE, max_size=3)


# ------------------------------------------------------------------------------------------------- the course, pure


def _held(**changes: Any) -> Held:
    plain: dict[str, Any] = {
        "organisation": 1, "controller": 1, "name": "Dora", "public_key": None, "revision": 9, "mark": A,
        "oldest_tombstone": 3, "confirmed_revision": 5, "frozen": False, "snapshot_due": False, "instance": b"",
        "previous_instance": b"", "online_until": 0,
    }  # fmt: skip
    return Held(**{**plain, **changes})


def _hello(revision: int, mark: bytes) -> Hello:
    return Hello(1, 1, b"", revision, mark, b"", 1, 1, b"")


@pytest.mark.parametrize(
    ("held", "revision", "mark", "known", "expected"),
    [
        ({}, 5, A, A, Course.CHANGES),
        ({}, 9, A, A, Course.CHANGES),
        ({}, 4, A, A, Course.CHANGES),
        ({}, 0, b"", None, Course.SNAPSHOT),
        ({"oldest_tombstone": 6}, 5, A, A, Course.SNAPSHOT),
        ({"oldest_tombstone": 5}, 5, A, A, Course.CHANGES),
        ({}, 4, B, A, Course.SNAPSHOT),
        ({}, 4, B, None, Course.SNAPSHOT),
        ({}, 5, B, A, Course.FROZEN),
        ({}, 5, B, None, Course.FROZEN),
        ({}, 12, B, None, Course.FROZEN),
        ({"snapshot_due": True}, 12, B, None, Course.SNAPSHOT),
        ({"snapshot_due": True, "frozen": True}, 5, A, A, Course.FROZEN),
        ({"frozen": True}, 5, A, A, Course.FROZEN),
        ({"frozen": True}, 0, b"", None, Course.FROZEN),
        ({"revision": 0, "mark": b"", "confirmed_revision": 0, "oldest_tombstone": 0}, 0, b"", None, Course.SNAPSHOT),
    ],
)
def test_the_course_after_a_hello(
    held: dict[str, Any], revision: int, mark: bytes, known: bytes | None, expected: Course
) -> None:
    assert course(_held(**held), _hello(revision, mark), known) is expected


# ------------------------------------------------------------------------------------------------- the link


async def test_a_controller_gets_a_snapshot_first_and_then_what_is_newer(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        everything = await line.take_state()
        assert everything.snapshot
        assert {r.kind for r in everything.records} == {"door", "key"}
        await alice.patch("/v1/access-points/1", {"name": "Main door"})
        change = await line.take_state()
        assert not change.snapshot
        assert [(r.kind, r.key) for r in change.records] == [("door", "1")]
        await alice.until_confirmed(1)
        await alice.patch("/v1/access-points/1", {"controllerId": None})
        assert [(r.key, r.body) for r in (await line.take_state()).records] == [("1", None)]
    await alice.patch("/v1/access-points/2", {"name": "Lab"})
    async with dora.linked() as line:
        later = await line.take_state()
        assert (later.snapshot, [r.key for r in later.records]) == (False, ["2"])


async def test_changes_while_a_batch_is_under_way_come_together_in_the_next(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        await line.take_state()
        await alice.patch("/v1/access-points/1", {"name": "a"})
        batch = await line.hear(Changes)
        for name in "bcd":
            await alice.patch("/v1/access-points/1", {"name": name})
        await alice.patch("/v1/access-points/2", {"name": "x"})
        with pytest.raises(TimeoutError):
            await line.hear(Changes, 0.3)
        await line.say(Applied(batch.revision, batch.mark))
        following = await line.take_state()
        assert following.revision == batch.revision + 4
        assert sorted(r.key for r in following.records) == ["1", "2"]


async def test_confirmed_is_what_the_controller_says_even_if_lower(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        await line.take_state()
        older = dora.revision, dora.mark
        await alice.patch("/v1/access-points/1", {"name": "a"})
        await line.take_state()
        await alice.until_confirmed(1)
    dora.revision, dora.mark = older
    async with dora.linked() as line:
        assert (await alice.controller(1))["confirmedRevision"] == older[0]
        assert [r.key for r in (await line.take_state()).records] == ["1"]
        await alice.until_confirmed(1)


async def test_a_controller_that_was_cut_off_is_let_in_again_at_once(dora: Script) -> None:
    for _ in range(20):
        async with dora.linked() as line:
            line.socket.transport.abort()
            async with dora.linked() as again:
                assert again.welcome.session == line.welcome.session + 1


async def test_an_edge_that_was_rolled_back_to_an_unknown_mark_gets_a_snapshot(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        await line.take_state()
        await alice.until_confirmed(1)
    dora.revision, dora.mark = dora.revision - 1, B
    for _ in range(2):  # and it stays due until it is confirmed
        async with dora.linked() as line:
            assert not line.welcome.frozen
            assert (await line.hear(Changes)).snapshot
    async with dora.linked() as line:
        assert (await line.take_state()).snapshot
        await alice.until_confirmed(1)
    async with dora.linked() as line:
        with pytest.raises(TimeoutError):
            await line.hear(Changes, 0.2)


async def test_a_cloud_that_was_rolled_back_freezes_until_an_administrator_accepts(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        await line.take_state()
        await alice.until_confirmed(1)
    assert problem(await alice.call("POST", "/v1/controllers/1/accept-snapshot"))["code"] == "conflict"
    last = await alice.last_event()
    dora.revision, dora.mark = dora.revision + 3, B
    for attempt in range(2):
        async with dora.linked() as line:
            assert line.welcome.frozen
            await alice.patch("/v1/access-points/1", {"name": f"frozen {attempt}"})
            with pytest.raises(TimeoutError):
                await line.hear(Changes, 0.3)
            started = facts.ControllerStarted(at=time.time(), version="1", clock_trusted=True)
            assert (await line.tell(attempt + 1, started)).next == attempt + 2
    found = await alice.controller(1)
    assert (found["frozen"], found["confirmedRevision"]) == (True, 0)
    types = [event["type"] for event in await alice.events(last)]
    assert types.count("cloud_rolled_back") == 1
    assert types.count("controller_started") == 2
    async with dora.linked() as line:
        assert line.welcome.frozen
        await alice.post("/v1/controllers/1/accept-snapshot")
        assert await line.until_closed() in (1012, Close.SUPERSEDED)
    async with dora.linked() as line:
        assert not line.welcome.frozen
        assert (await line.take_state()).snapshot
        found = await alice.until_confirmed(1)
        assert not found["frozen"]
    assert "snapshot_accepted" in [event["type"] for event in await alice.events(last)]


async def test_what_is_older_than_the_oldest_tombstone_gets_a_snapshot(alice: Client, dora: Script, db: Conn) -> None:
    from latchwork.cloud.controllers import store

    async with dora.linked() as line:
        await line.take_state()
        old = dora.revision, dora.mark
        await alice.patch("/v1/access-points/1", {"controllerId": None})
        await line.take_state()
        await alice.patch("/v1/access-points/2", {"name": "Lab"})
        await line.take_state()
        await alice.until_confirmed(1)
    async with alice.cloud.state.database.transaction() as conn:
        await store.forget_tombstones(conn, int(time.time()) + 9)
    assert await db.value("SELECT count(*) FROM desired_records WHERE controller_id = 1 AND body IS NULL") == 0
    async with dora.linked() as line:
        with pytest.raises(TimeoutError):
            await line.hear(Changes, 0.2)
    dora.revision, dora.mark = old
    async with dora.linked() as line:
        assert (await line.take_state()).snapshot
    assert await alice.rebuilt(1) == 0


async def test_the_newest_link_wins_and_the_older_ones_writes_change_nothing(
    alice: Client, other_cloud: Cloud, dora: Script
) -> None:
    started = facts.ControllerStarted(at=time.time(), version="1", clock_trusted=True)
    async with dora.linked() as old:
        first = await old.hear(Changes)
        dora.url = other_cloud.url
        async with dora.linked() as new:
            last = await alice.last_event()
            await old.say(Facts(dora.journal, 1, [facts.codec.encode(started)]))
            assert await old.until_closed() in (Close.SUPERSEDED, 1011)
            assert await alice.last_event() == last
            await new.take_state()
            await alice.until_confirmed(1)
    dora.url = alice.cloud.url
    dora.revision, dora.mark = 0, b""
    async with dora.linked() as old:
        first = await old.hear(Changes)
        dora.url = other_cloud.url
        async with dora.linked() as new:
            await old.say(Applied(first.revision, first.mark))
            assert await old.until_closed() == Close.SUPERSEDED
            assert (await alice.controller(1))["confirmedRevision"] == 0
            await new.take_state()
            await alice.until_confirmed(1)


async def test_an_older_link_ends_by_itself_in_the_same_process_and_in_another(
    alice: Client, other_cloud: Cloud, dora: Script
) -> None:
    for newer in (alice.cloud, other_cloud):
        dora.url = alice.cloud.url
        async with dora.linked() as old:
            dora.url = newer.url
            async with dora.linked():
                assert await old.until_closed(3) == Close.SUPERSEDED
                assert (await alice.controller(1))["online"]
    await asyncio.sleep(0.1)
    assert not (await alice.controller(1))["online"]


async def test_two_programs_with_one_key_are_called_clones(alice: Client, dora: Script) -> None:
    ours, clone = os.urandom(16), os.urandom(16)
    last = await alice.last_event()

    async def alarms() -> int:
        return [event["type"] for event in await alice.events(last)].count("controller_cloned")

    async with dora.linked(instance=ours), dora.linked(instance=ours):
        assert await alarms() == 0, "the same program again"
    async with dora.linked(instance=ours), dora.linked(instance=clone):
        assert await alarms() == 0, "it may have been restarted"
        async with dora.linked(instance=ours):
            assert await alarms() == 1


async def test_who_cannot_prove_to_be_the_controller_is_turned_away(
    alice: Client, charlie: Client, dora: Script, db: Conn
) -> None:
    from latchwork.wire import p256

    session = await db.value("SELECT session FROM controller_links WHERE controller_id = 1")
    async with dora.connected() as line:
        await line.say_hello(signed_by=p256.new_key())
        assert await line.until_closed() == Close.NOT_AUTHENTIC
    for changes in ({"organisation": charlie.organisation}, {"controller": 2}, {"controller": 999}):
        async with dora.connected() as line:
            await line.say_hello(**changes)
            assert await line.until_closed() == Close.NOT_AUTHENTIC
    async with dora.connected() as first, dora.connected() as second:
        first.challenge = second.challenge  # somebody else's nonce: a replay
        await first.say_hello()
        assert await first.until_closed() == Close.NOT_AUTHENTIC
    for changes in ({"journal": b""}, {"revision": -1}, {"instance": b"x"}, {"version": "x" * 101}, {"kinds": ("\0",)}):
        async with dora.connected() as line:
            await line.say_hello(**changes)
            assert await line.until_closed() == Close.BAD_MESSAGE
    for frame in (b"", b"\xff" * 100, b"\x81" * 3000, "text"):
        async with dora.connected() as line:
            await line.socket.send(frame)
            assert await line.until_closed() in (Close.BAD_MESSAGE, 1000, 1006)
    async with dora.connected() as line:
        await line.socket.send(b"x" * (2 * 1024 * 1024))
        assert await line.until_closed() == 1009
    assert await db.value("SELECT session FROM controller_links WHERE controller_id = 1") == session


async def test_a_controller_that_confirms_what_it_was_not_sent_is_cut_off(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        batch = await line.hear(Changes)
        await line.say(Applied(batch.revision + 1, batch.mark))
        assert await line.until_closed() == Close.BAD_MESSAGE
    assert (await alice.controller(1))["confirmedRevision"] == 0


async def test_a_removed_controllers_link_ends(alice: Client, dora: Script) -> None:
    async with dora.linked() as line:
        await line.take_state()
        await alice.delete("/v1/controllers/1")
        assert await line.until_closed(4) == Close.REMOVED
    assert (await alice.get("/v1/access-points/1"))["controllerId"] is None
    async with dora.connected() as line:
        await line.say_hello()
        assert await line.until_closed() == Close.NOT_AUTHENTIC


async def test_a_link_that_opens_while_the_others_are_looked_at_stays(alice: Client, dora: Script, db: Conn) -> None:
    added = (await alice.post("/v1/controllers", {"name": "Eve", "accessPoints": [3]}))["id"]
    eve = Script(dora.url, dora.organisation, added, dora.cloud_id)
    answer = await alice.cloud.http.post("/v1/enrol", json=eve.enrolment(await code_for(alice, added)))
    assert answer.status_code == 200
    holding = await asyncpg.connect(alice.cloud.dsn)
    try:
        async with dora.linked() as line:
            await line.take_state()
            await alice.until_confirmed(1)
            await holding.execute("BEGIN; LOCK TABLE commands IN ACCESS EXCLUSIVE MODE")
            async with asyncio.timeout(30):
                while not await db.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                    await asyncio.sleep(0.02)
            async with eve.linked() as late:
                await holding.execute("COMMIT")
                await late.take_state()
                await alice.until_confirmed(added)
                await alice.patch("/v1/access-points/3", {"name": "Cellar"})
                await late.take_state()
    finally:
        await holding.close()


# ------------------------------------------------------------------------------------------------- facts


async def test_every_fact_is_in_the_log_exactly_once_whatever_is_repeated(alice: Client, dora: Script) -> None:
    last = await alice.last_event()
    told = [facts.DoorChanged(at=float(n), door=1, change="opened") for n in range(1_000_000_000, 1_000_000_030)]
    async with dora.linked() as line:
        await line.take_state()
        assert (await line.tell(1, *told[:10])).next == 11
        assert (await line.tell(1, *told[:10])).next == 11
        assert (await line.tell(6, *told[5:15])).next == 16
        assert (await line.tell(16)).next == 16
    async with dora.linked() as line:
        assert line.welcome.committed == 16
        assert (await line.tell(1, *told[:30])).next == 31
    events = [event for event in await alice.events(last) if event["type"] == "door_opened"]
    assert [event["at"] for event in events] == [fact.at for fact in told]
    assert [event["data"]["journalNumber"] for event in events] == list(range(1, 31))
    assert {event["actor"]["kind"] for event in events} == {"controller"}


async def test_a_hole_in_a_journal_is_an_event_and_a_new_journal_is_none(alice: Client, dora: Script) -> None:
    last = await alice.last_event()
    opened = facts.DoorChanged(at=1e9, door=1, change="opened")
    async with dora.linked() as line:
        await line.take_state()
        assert (await line.tell(1, opened)).next == 2
        assert (await line.tell(5, opened, opened)).next == 7
        assert (await line.tell(2, opened, opened, opened)).next == 7
        assert (await line.tell(20)).next == 20
        assert (await line.tell(20)).next == 20
        assert (await line.tell(1, opened, journal=os.urandom(16))).next == 2
    gaps = [event["data"] for event in await alice.events(last) if event["type"] == "journal_gap"]
    assert [(gap["from"], gap["to"]) for gap in gaps] == [(2, 4), (7, 19)]
    assert [e["type"] for e in await alice.events(last)].count("door_opened") == 4


async def test_an_unreadable_fact_is_kept_as_such_and_stops_nothing(alice: Client, dora: Script) -> None:
    from latchwork.wire.codec import Codec

    assert isinstance(facts.codec, Codec)
    last = await alice.last_event()
    good = facts.DoorChanged(at=1e9, door=1, change="closed")
    bad: list[facts.AnyFact | bytes] = [
        b"",
        b"\xff" * 50,
        b"\x91" * 5000,
        facts.codec.encode(good)[:-3],
        facts.codec.encode(good).replace(b"closed", b"clotho"),
        facts.DoorChanged(at=float("nan"), door=1, change="closed"),
        facts.DoorChanged(at=float("inf"), door=1, change="closed"),
        facts.DoorChanged(at=-1.0, door=1, change="closed"),
        facts.ControllerStarted(at=1e9, version="a\0b", clock_trusted=True),
        facts.RecordRejected(at=1e9, kind="x" * 5000, key="", revision=1),
        facts.RecordRejected(at=1e9, kind="k", key="", revision=-(2**63)),
        facts.DoorChanged(at=1e9, door=-5, change="closed"),
    ]
    strange: list[facts.AnyFact] = [
        facts.DoorChanged(at=1e9, door=2**63 - 1, change="closed"),
        facts.AccessDecided(
            at=1e9, door=1, direction="entry", reason="granted", credential="qr", visitor=2**63 - 1, count=0
        ),
        facts.RecordRejected(at=1e9, kind="k", key="ключ", revision=2**63 - 1),
    ]
    async with dora.linked() as line:
        await line.take_state()
        assert (await line.tell(1, *bad, *strange, good)).next == 17
    types = [event["type"] for event in await alice.events(last)]
    assert types.count("unreadable_fact") == len(bad)
    assert len(types) == len([*bad, *strange, good])
    assert types[-1] == "door_closed"


# ------------------------------------------------------------------------------------------------- two processes


@pytest.mark.parametrize("hints_are_lost", [False, True])
async def test_a_change_at_one_process_reaches_a_controller_linked_to_another(
    alice: Client, other_cloud: Cloud, dora: Script, hints_are_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dora.url = other_cloud.url
    if not hints_are_lost:
        monkeypatch.setattr(controller_link, "LOOK_EVERY", 60)
    async with dora.linked() as line:
        await line.take_state()
        if hints_are_lost:
            other_cloud.state.hints._waiting.clear()
        for n in range(3):
            await alice.patch("/v1/access-points/1", {"name": f"Door {n}"})
            await line.take_state()


async def test_what_a_rebuild_changed_is_sent_at_once(
    alice: Client, dora: Script, db: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller_link, "LOOK_EVERY", 60)
    async with dora.linked() as line:
        await line.take_state()
        await db.fetch("UPDATE desired_records SET body = '\\x00' WHERE kind = 'door' AND key = '1'")
        assert await alice.rebuilt(1) == 1
        assert [r.key for r in (await line.take_state()).records] == ["1"]


# ------------------------------------------------------------------------------------------------- enrolment


async def code_for(alice: Client, controller: int = 1) -> str:
    return (await alice.post(f"/v1/controllers/{controller}/enrolment-code"))["code"]


async def test_a_code_enrols_one_key_which_may_ask_again(alice: Client, db: Conn) -> None:
    ours, thief = (Script(alice.cloud.url, alice.organisation, 1, b"") for _ in range(2))
    code = await code_for(alice)
    first = await alice.cloud.http.post("/v1/enrol", json=ours.enrolment(code))
    assert first.status_code == 200
    last = await alice.last_event()
    again = await alice.cloud.http.post("/v1/enrol", json=ours.enrolment(code))
    assert again.json() == first.json()
    assert await alice.last_event() == last
    assert problem(await alice.cloud.http.post("/v1/enrol", json=thief.enrolment(code)))["code"] == "enrolment_refused"
    async with ours.linked() as line:
        await line.take_state()
    assert code not in str([dict(row) for row in await db.fetch("SELECT * FROM enrolment_codes")])


async def test_five_misses_burn_a_code_and_time_does_too(alice: Client, db: Conn) -> None:
    script = Script(alice.cloud.url, alice.organisation, 1, b"")
    code = await code_for(alice)
    for n in range(5):
        wrong = f"1-{'A' * 15}{n}"
        assert (await alice.cloud.http.post("/v1/enrol", json=script.enrolment(wrong))).status_code == 403
    assert (await alice.cloud.http.post("/v1/enrol", json=script.enrolment(code))).status_code == 403
    code = await code_for(alice)
    await db.fetch("UPDATE enrolment_codes SET expires_at = expires_at - 901")
    assert (await alice.cloud.http.post("/v1/enrol", json=script.enrolment(code))).status_code == 403
    older, newer = await code_for(alice), await code_for(alice)
    assert (await alice.cloud.http.post("/v1/enrol", json=script.enrolment(older))).status_code == 403
    assert (await alice.cloud.http.post("/v1/enrol", json=script.enrolment(newer))).status_code == 200


async def test_an_enrolment_without_proof_is_refused_and_uses_nothing_up(alice: Client, db: Conn) -> None:
    script, other = (Script(alice.cloud.url, alice.organisation, 1, b"") for _ in range(2))
    code = await code_for(alice)
    good = script.enrolment(code)
    for changes in (
        {"proof": other.enrolment(code)["proof"]},
        {"publicKey": other.enrolment(code)["publicKey"]},
        {"proof": ""},
        {"publicKey": "AAAA"},
        {"publicKey": "é"},
        {"code": ""},
        {"code": "-"},
        {"code": "1"},
        {"code": "99-AAAAAAAAAAAAAAAA"},
        {"code": "9" * 18 + "-AAAAAAAAAAAAAAAA"},
        {"code": "9" * 500},
        {"code": "1-\0"},
    ):
        response = await alice.cloud.http.post("/v1/enrol", json={**good, **changes})
        assert response.status_code in (400, 403), changes
        problem(response)
    assert await db.value("SELECT public_key FROM controllers WHERE id = 1") is None
    assert (await alice.cloud.http.post("/v1/enrol", json=good)).status_code == 200


async def test_a_replacement_ends_the_old_key_and_its_link(alice: Client, dora: Script) -> None:
    replacement = Script(alice.cloud.url, alice.organisation, 1, dora.cloud_id)
    async with dora.linked() as line:
        await line.take_state()
        code = await code_for(alice)
        await alice.cloud.http.post("/v1/enrol", json=replacement.enrolment(code))
        assert (await alice.controller(1))["confirmedRevision"] == 0
        await line.say(Facts(dora.journal, 1, [b"from the old key"]))
        assert await line.until_closed(3) in (Close.SUPERSEDED, 1011)
    assert "unreadable_fact" not in [event["type"] for event in await alice.events()], "the old key's last word"
    async with dora.connected() as line:
        await line.say_hello()
        assert await line.until_closed() == Close.NOT_AUTHENTIC
    async with replacement.linked() as line:
        assert (await line.take_state()).snapshot


# ----------------------------------------------------------------------------------------- incremental = rebuilt


async def test_a_controller_that_is_made_with_its_doors_begins_with_one_revision(alice: Client) -> None:
    others = (await alice.controller(1))["revision"]
    made = await alice.post("/v1/controllers", {"name": "Eve", "accessPoints": [1, 3]})
    assert (await alice.controller(made["id"]))["revision"] == 1
    assert (await alice.controller(1))["revision"] == others + 1, "it has lost a door"
    assert await alice.rebuilt(made["id"]) == await alice.rebuilt(1) == 0


async def test_incremental_state_is_the_rebuilt_state_after_any_steps(alice: Client) -> None:
    """A state machine over everything that controllers must know."""
    loop = asyncio.get_running_loop()

    def wait(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    class Building(RuleBasedStateMachine):
        @initialize()
        def look(self) -> None:
            self.meetings: list[int] = []

        def call(self, method: str, path: str, body: object = None) -> Any:
            response = wait(alice.call(method, path, **({} if body is None else {"json": body})))
            assert response.status_code < 500, response.text
            return response.json() if response.content else {}

        def ids(self, things: str) -> list[int]:
            return [item["id"] for item in wait(alice.get(f"/v1/{things}"))["items"]]

        def one(self, at: int, things: str) -> int:
            """Some id; drawn as a place, because ids go on from one example to the next."""
            ids = self.ids(things)
            return ids[at % len(ids)]

        def some(self, places: list[int]) -> list[int]:
            ids = self.ids("access-points")
            return sorted({ids[at % len(ids)] for at in places})

        @rule(at=PLACE, has_one=st.booleans())
        def add_door(self, at: int, has_one: bool) -> None:
            controller = self.one(at, "controllers") if has_one else None
            if len(self.ids("access-points")) < 6:
                self.call("POST", "/v1/access-points", {"siteId": 1, "name": "Door", "controllerId": controller})

        @rule(at=PLACE, name=st.sampled_from("ab"), pin=st.booleans())
        def change_door(self, at: int, name: str, pin: bool) -> None:
            self.call("PATCH", f"/v1/access-points/{self.one(at, 'access-points')}", {"name": name, "needsPin": pin})

        @rule(at=PLACE, to=PLACE, has_one=st.booleans())
        def move_door(self, at: int, to: int, has_one: bool) -> None:
            controller = self.one(to, "controllers") if has_one else None
            self.call("PATCH", f"/v1/access-points/{self.one(at, 'access-points')}", {"controllerId": controller})

        @rule(at=PLACE)
        def remove_door(self, at: int) -> None:
            if len(self.ids("access-points")) > 3:
                self.call("DELETE", f"/v1/access-points/{self.one(at, 'access-points')}")

        @rule(doors=PLACES)
        def add_controller(self, doors: list[int]) -> None:
            if len(self.ids("controllers")) < 4:
                self.call("POST", "/v1/controllers", {"name": "Eve", "accessPoints": self.some(doors)})

        @rule(at=PLACE, doors=PLACES)
        def reassign(self, at: int, doors: list[int]) -> None:
            body = {"accessPoints": self.some(doors)}
            self.call("PATCH", f"/v1/controllers/{self.one(at, 'controllers')}", body)

        @rule(at=PLACE)
        def remove_controller(self, at: int) -> None:
            if len(self.ids("controllers")) > 1:
                self.call("DELETE", f"/v1/controllers/{self.one(at, 'controllers')}")

        @rule(doors=PLACES, seconds=st.sampled_from([None, 5, 60]))
        def invite(self, doors: list[int], seconds: int | None) -> None:
            self.meetings.append(wait(alice.invite(*self.some(doors), passSeconds=seconds))["id"])

        @rule(at=PLACE, doors=PLACES)
        def change_meeting(self, at: int, doors: list[int]) -> None:
            if self.meetings:
                meeting = self.meetings[at % len(self.meetings)]
                self.call("PATCH", f"/v1/meetings/{meeting}", {"accessPoints": self.some(doors)})

        @rule(at=PLACE)
        def remove_meeting(self, at: int) -> None:
            if self.meetings:
                self.call("DELETE", f"/v1/meetings/{self.meetings.pop(at % len(self.meetings))}")

        @rule(ahead=st.sampled_from([0, 100, 7200]))
        def lapse(self, ahead: int) -> None:
            from latchwork.cloud.visitors.service import drop_lapsed

            wait(drop_lapsed(alice.cloud.state.database, int(time.time()) + ahead))

        @rule(
            once=st.booleans(), limit=st.sampled_from([None, 60, 3600]), seconds=st.sampled_from([None, 60]),
        )  # fmt: skip
        def change_settings(self, once: bool, limit: int | None, seconds: int | None) -> None:
            body = {"singleUse": once, "offlineLimit": limit, "passSeconds": seconds}
            self.call("PATCH", "/v1/organisation", body)

        @rule(at=PLACE)
        def change_keys(self, at: int) -> None:
            keys = wait(alice.get("/v1/organisation/pass-keys"))
            if len(keys) < 3:
                self.call("POST", "/v1/organisation/pass-keys")
            else:
                key, other = keys[at % 3]["kid"], keys[at // 3]["kid"]
                self.call("POST", f"/v1/organisation/pass-keys/{key}/activate", {"acceptUnconfirmed": True})
                self.call("DELETE", f"/v1/organisation/pass-keys/{other}")

        @invariant()
        def a_rebuild_changes_nothing(self) -> None:
            for controller in self.ids("controllers"):
                assert wait(alice.rebuilt(controller)) == 0

    await asyncio.to_thread(
        run_state_machine_as_test,
        Building,
        settings=settings(
            max_examples=8, stateful_step_count=25, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_incremental_state_is_the_rebuilt_state_after_concurrent_writers(
    alice: Client, other_cloud: Cloud, seed: int
) -> None:
    """Two processes, and changes that touch each other's controllers at the same moment."""
    random.seed(seed)
    elsewhere = Client(other_cloud, alice.organisation, alice.token)
    for n in range(3):
        await alice.post("/v1/controllers", {"name": f"Eve {n}"})
    ids = [c["id"] for c in (await alice.get("/v1/controllers"))["items"]]
    meetings = [(await alice.invite(1, 2, 3))["id"] for _ in range(6)]

    async def step(n: int) -> None:
        at = random.choice((alice, elsewhere))
        door, controller = random.randint(1, 3), random.choice([*ids, None])
        what = [
            ("PATCH", f"/v1/access-points/{door}", {"controllerId": controller}),
            ("PATCH", f"/v1/access-points/{door}", {"controllerId": controller}),
            ("PATCH", "/v1/organisation", {"singleUse": bool(n % 2), "offlineLimit": 60 + n}),
            ("PATCH", f"/v1/meetings/{random.choice(meetings)}", {"accessPoints": random.sample([1, 2, 3], n % 4)}),
            ("PATCH", f"/v1/meetings/{random.choice(meetings)}", {"accessPoints": random.sample([1, 2, 3], n % 3)}),
            ("POST", "/v1/organisation/pass-keys", None),
            ("POST", "/v1/controllers", {"name": "New", "accessPoints": [door]}),
            ("DELETE", f"/v1/controllers/{random.choice(ids)}", None),
        ]
        method, path, body = random.choice(what[:-1] if n % 5 else what)
        response = await at.call(method, path, **({} if body is None else {"json": body}))
        assert response.status_code < 500, (method, path, response.text)

    for n in range(12):
        await asyncio.gather(*(step(8 * n + k) for k in range(8)))
        for controller in [c["id"] for c in (await alice.get("/v1/controllers"))["items"]]:
            assert await alice.rebuilt(controller) == 0, (n, controller)


@pytest.mark.parametrize("second", ["move", "new controller"])
@pytest.mark.parametrize("first", ["revoke", "settings", "key"])
async def test_two_changes_that_cannot_see_each_other_do_not_miss_each_other(
    alice: Client, db: Conn, first: str, second: str
) -> None:
    """Door 3 has no controller. One change has computed its records but not committed; another gives the door one."""
    meeting = await alice.invite(3)
    state = alice.cloud.state
    computed, commit = asyncio.Event(), asyncio.Event()

    async def pause(work: Work) -> None:
        computed.set()
        await commit.wait()

    async def slowly(use_case: UseCase[Any]) -> None:
        settle, number = desired.settling(state.desired, state.hints), numbering(state.hints)
        slow = Database(state.database.pool, [settle, pause, number])
        await slow.run(Scope(alice.organisation), SYSTEM, int(time.time()), use_case)

    use_cases: dict[str, UseCase[Any]] = {
        "revoke": lambda work: visits.remove_meeting(work, meeting["id"]),
        "settings": lambda work: accounts.change_organisation(work, OrganisationPatch(single_use=True)),
        "key": lambda work: controllers.add_pass_key(work, state.seal),
    }
    going = asyncio.create_task(slowly(use_cases[first]))
    await computed.wait()
    eve = {"name": "Eve", "accessPoints": [3]}
    if second == "move":
        other = asyncio.create_task(alice.patch("/v1/access-points/3", {"controllerId": 1}))
    else:
        other = asyncio.create_task(alice.post("/v1/controllers", eve))
    await asyncio.wait([other], timeout=0.5)
    commit.set()
    await asyncio.gather(going, other)
    for controller in [c["id"] for c in (await alice.get("/v1/controllers"))["items"]]:
        assert await alice.rebuilt(controller) == 0


# ------------------------------------------------------------------------------------------------- the real edge


async def test_the_real_controller_follows_every_change(alice: Client, tmp_path: Path) -> None:
    async with alice.dora(1, tmp_path) as edge:
        assert sorted(edge.controller.doors) == [1, 2]
        await alice.patch("/v1/controllers/1", {"accessPoints": [2, 3]})
        await alice.until_confirmed(1)
        assert sorted(edge.controller.doors) == [2, 3]
        edge.link.up = False
        await alice.patch("/v1/controllers/1", {"accessPoints": [1]})
        await asyncio.sleep(0.1)
        assert sorted(edge.controller.doors) == [2, 3]
        edge.link.up = True
        await alice.until_confirmed(1)
        assert sorted(edge.controller.doors) == [1]
