"""Why a door says yes or no: the door's own decision on the cloud's own records, and whether the door has them too."""

from __future__ import annotations

import random
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cloud.cast import Client, Conn, Line, problem
from latchwork.cloud.kernel.work import Scope
from latchwork.cloud.passages import snapshot
from latchwork.edge.journal import Journal
from latchwork.edge.snapshot import gather
from latchwork.edge.store import Store
from latchwork.policy.decide import decide
from latchwork.policy.model import Attempt, CardRead, Direction, RemoteUnlock
from latchwork.wire.facts import AccessDecided
from latchwork.wire.link import Changes, Record
from latchwork.wire.pass_ import verify

EXPLAIN = "/v1/decisions/explain"


async def asked(client: Client, **question: Any) -> dict[str, Any]:
    plain = {"accessPointId": 1} if "eventNumber" not in question else {}
    return await client.post(EXPLAIN, {**plain, **question})


async def decision(client: Client, **question: Any) -> tuple[str, str, bool | None]:
    """(reason, subject, whether the controller has it)"""
    said = (await asked(client, **question))["decision"]
    assert said["granted"] is (said["reason"] == "granted")
    assert len(said["sentence"]) > 10
    return said["reason"], said["subject"], said["controllerHasIt"]


async def test_the_first_rule_that_decides_is_named(alice: Client, line: Line, bob: int) -> None:
    user, permission = f"user/{bob}", f"permission/{bob}.1"
    assert await decision(alice, userId=bob) == ("granted", permission, True)
    assert await decision(alice, cardNumber=4000123) == ("granted", permission, True)
    assert await decision(alice, cardNumber=4000123, direction="exit") == ("granted", permission, True)
    assert await decision(alice, userId=bob, way="mobile") == ("granted", permission, True)
    assert await decision(alice, userId=bob, way="remote") == ("way_off", user, True)
    assert await decision(alice, userId=bob, accessPointId=2) == ("no_permission", user, True)
    assert await decision(alice, cardNumber=99) == ("unknown_credential", "", True)
    assert await decision(alice, userId=bob, accessPointId=3) == ("no_permission", user, None)


async def test_it_says_when_the_door_does_not_know_yet(alice: Client, line: Line, bob: int) -> None:
    await alice.patch(f"/v1/users/{bob}", {"isActive": False})
    assert await decision(alice, userId=bob) == ("deactivated", f"user/{bob}", False)
    await line.take_state()
    await alice.until_confirmed(line.script.controller)
    assert await decision(alice, userId=bob) == ("deactivated", f"user/{bob}", True)
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    assert await decision(alice, userId=bob) == ("lockdown", "access_point/1", False)


async def test_a_card_just_taken_away_may_still_open_until_the_door_knows(alice: Client, line: Line, bob: int) -> None:
    [card] = await alice.get(f"/v1/users/{bob}/cards")
    await alice.delete(f"/v1/users/{bob}/cards/{card['id']}")
    assert await decision(alice, cardNumber=4000123) == ("unknown_credential", "", False)


async def test_times_are_those_of_the_permission(alice: Client, line: Line, bob: int) -> None:
    now = int(time.time())
    weekdays = [[[0, 1440]]] * 5 + [[], []]
    schedule = (await alice.post("/v1/schedules", {"name": "Weekdays", "week": weekdays}))["id"]
    grant = {"accessPointId": 1, "startsAt": now - 1000, "endsAt": now + 10 * 86_400, "scheduleId": schedule}
    await alice.patch(f"/v1/users/{bob}/permissions", {"add": [grant]})
    tomorrow = now // 86_400 + 1
    saturday = next(day for day in range(tomorrow, tomorrow + 7) if (day + 3) % 7 == 5) * 86_400 + 43_200
    monday = saturday + 2 * 86_400
    permission = f"permission/{bob}.1"
    assert (await decision(alice, userId=bob, at=now - 2000))[:2] == ("permission_not_begun", permission)
    assert (await decision(alice, userId=bob, at=now + 11 * 86_400))[:2] == ("permission_ended", permission)
    assert (await decision(alice, userId=bob, at=saturday))[:2] == ("outside_schedule", f"schedule/{schedule}")
    assert (await decision(alice, userId=bob, at=monday))[:2] == ("granted", permission)


async def test_a_visitors_code_is_read_with_the_organisations_keys(alice: Client, charlie: Client, line: Line) -> None:
    meeting = await alice.invite(1)
    qr, subject = await alice.fresh_pass(meeting["id"]), f"meeting/{meeting['id']}"
    assert await decision(alice, qrData=qr) == ("granted", subject, True)
    assert (await decision(alice, qrData=qr, accessPointId=2))[0] == "pass_wrong_door"
    assert (await decision(alice, qrData=qr, at=time.time() + 120))[0] == "pass_expired"
    assert (await decision(alice, qrData="LW1:nonsense"))[:2] == ("pass_unreadable", "")
    assert (await decision(charlie, qrData=qr))[0] == "pass_unknown_key"
    await alice.patch(f"/v1/meetings/{meeting['id']}", {"endTime": meeting["endTime"] + 60})
    assert await decision(alice, qrData=qr) == ("pass_revoked", subject, False)


async def test_a_used_code_is_used_where_codes_open_once(alice: Client, line: Line) -> None:
    await alice.patch("/v1/organisation", {"singleUse": True})
    meeting = await alice.invite(1)
    qr = await alice.fresh_pass(meeting["id"])
    seen = await _pass_id(alice, qr)
    used = {"at": time.time() - 20, "door": 1, "direction": "entry", "reason": "granted", "credential": "qr"}
    await line.take_state()
    await line.tell(1, AccessDecided(**used, visitor=meeting["visitor"]["id"], meeting=meeting["id"], pass_id=seen))
    assert (await decision(alice, qrData=qr))[0] == "already_used"
    assert (await decision(alice, qrData=qr, direction="exit"))[0] == "granted"


async def _pass_id(client: Client, qr: str) -> bytes:
    async with client.cloud.state["database"].connection() as conn:
        shown = await snapshot.evidence_of_qr(conn, Scope(client.organisation), qr)
    return shown.pass_id  # type: ignore[union-attr]


async def test_a_past_refusal_is_told_with_what_would_be_decided_now(alice: Client, line: Line, bob: int) -> None:
    [card] = await alice.get(f"/v1/users/{bob}/cards")
    at = time.time() - 60
    plain = {"at": at, "door": 2, "direction": "entry", "user": bob, "card": str(card["id"])}
    number = await alice.last_event() + 1
    await line.tell(1, AccessDecided(**plain, reason="no_permission", credential="card"))
    said = await asked(alice, eventNumber=number)
    assert (said["then"]["reason"], said["then"]["at"], said["then"]["granted"]) == ("no_permission", at, False)
    assert (said["decision"]["reason"], said["decision"]["controllerHasIt"]) == ("no_permission", True)
    await alice.patch(f"/v1/users/{bob}/permissions", {"add": [{"accessPointId": 2}]})
    said = await asked(alice, eventNumber=number)
    assert (said["then"]["reason"], said["decision"]["reason"]) == ("no_permission", "granted")
    assert said["decision"]["controllerHasIt"] is False


async def test_a_past_refusal_of_a_visitor_is_asked_again_with_a_fresh_code(alice: Client, line: Line) -> None:
    meeting = await alice.invite(1)
    number = await alice.last_event() + 1
    plain = {"at": time.time(), "door": 1, "direction": "entry", "reason": "pass_expired", "credential": "qr"}
    await line.tell(1, AccessDecided(**plain, visitor=meeting["visitor"]["id"], meeting=meeting["id"]))
    assert (await asked(alice, eventNumber=number))["decision"]["reason"] == "granted"
    await alice.delete(f"/v1/meetings/{meeting['id']}")
    assert (await asked(alice, eventNumber=number))["decision"] is None


async def test_what_was_never_known_cannot_be_asked_again(alice: Client, line: Line) -> None:
    number = await alice.last_event() + 1
    plain = {"at": time.time(), "door": 1, "direction": "entry", "reason": "unknown_credential"}
    await line.tell(1, AccessDecided(**plain, credential="card"))
    said = await asked(alice, eventNumber=number)
    assert (said["then"]["reason"], said["decision"]) == ("unknown_credential", None)


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"accessPointId": 1},
        {"userId": 1},
        {"accessPointId": 1, "userId": 1, "cardNumber": 1},
        {"accessPointId": 1, "cardNumber": 2**63},
        {"accessPointId": 1, "cardNumber": 1, "at": 1e13},
        {"eventNumber": 1, "userId": 1},
        {"accessPointId": 1, "userId": 1, "way": "window"},
    ],
)
async def test_a_question_that_asks_nothing_or_too_much_is_refused(alice: Client, question: dict[str, Any]) -> None:
    assert problem(await alice.call("POST", EXPLAIN, json=question))["code"] == "invalid"


@pytest.mark.parametrize(
    "question",
    [
        {"accessPointId": 9, "cardNumber": 1},
        {"accessPointId": 2**40, "cardNumber": 1},
        {"accessPointId": 1, "userId": 2**40},
        {"accessPointId": 1, "userId": 99},
        {"eventNumber": 1},
        {"eventNumber": 2**70},
        {"eventNumber": -1},
    ],
)
async def test_what_is_not_there_is_not_found(alice: Client, question: dict[str, Any]) -> None:
    assert problem(await alice.call("POST", EXPLAIN, json=question))["code"] == "not_found"


# ------------------------------------------------------------------------------------------------- one truth


@pytest.mark.parametrize("seed", range(4))
async def test_edge_and_cloud_decide_alike_on_what_the_cloud_has_sent(
    alice: Client, db: Conn, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    now = int(time.time())
    await alice.patch("/v1/sites/1", {"timezone": "Europe/Berlin"})
    world = _World(alice, chance, now)
    await world.furnish()
    [controller] = (await alice.get("/v1/controllers"))["items"]
    store, journal = Store(tmp_path / "state.db"), Journal(tmp_path / "journal.db")
    try:
        await store.apply(await _snapshot_of(db, controller["id"]))
        for attempt in world.attempts(200, [await alice.fresh_pass(meeting) for meeting in world.meetings], store):
            async with alice.cloud.state["database"].connection() as conn:
                judged = await snapshot.judge(conn, Scope(alice.organisation), attempt)
            edge = decide(gather(store, journal, attempt, attempt.at), attempt)
            assert judged.decision == edge, attempt
            world.seen.add(edge.reason.value)
    finally:
        await store.settled()
        store.close()
        journal.close()
    assert {"granted", "unknown_credential", "no_permission"} <= world.seen


async def _snapshot_of(db: Conn, controller: int) -> Changes:
    rows = await db.fetch(
        "SELECT kind, key, revision, body FROM desired_records WHERE controller_id = $1 AND body IS NOT NULL",
        controller,
    )
    return Changes(1, b"12345678", [Record(*row) for row in rows], snapshot=True)


class _World:
    """People with every kind of permission that chance gives them."""

    def __init__(self, alice: Client, chance: random.Random, now: int) -> None:
        self.alice, self.chance, self.now = alice, chance, now
        self.users: list[int] = []
        self.cards: list[int] = [1]
        self.meetings: list[int] = []
        self.seen: set[str] = set()

    async def furnish(self) -> None:
        days = [date.fromtimestamp(self.now + n * 86_400).isoformat() for n in range(-3, 4)]
        await self.alice.post("/v1/sites/1/holidays", {"dates": self._some(days)})
        schedules = [(await self.alice.post("/v1/schedules", self._schedule()))["id"] for _ in range(3)]
        for number in range(15):
            await self._add_user(number, schedules)
        for door, mode in ((2, "locked"), (1, "unlocked")):
            if self.chance.random() < 0.3:
                await self.alice.post(f"/v1/access-points/{door}/mode", {"mode": mode, "minutes": 60})
        for number in range(3):
            meeting = await self.alice.invite(1, *self._some([2]), key=f"vic{number}")
            self.meetings.append(meeting["id"])

    def _schedule(self) -> dict[str, Any]:
        def day() -> list[list[int]]:
            start = self.chance.randrange(0, 1200, 60)
            return [[start, start + self.chance.randrange(60, 1440, 60)]] if self.chance.random() < 0.8 else []

        return {"name": "S", "week": [[[0, 1440]], *(day() for _ in range(6))], "holiday": day()}

    async def _add_user(self, number: int, schedules: list[int]) -> None:
        access = {"remote": self.chance.random() < 0.5, "card": self.chance.random() < 0.8}
        expires = self.chance.choice([None, None, self.now - 3600, self.now + 86_400])
        draft = {"name": f"U{number}", "access": access, "accessExpiresAt": expires}
        user = (await self.alice.post("/v1/users", draft))["id"]
        self.users.append(user)
        for card in range(self.chance.randrange(3)):
            self.cards.append(1000 * number + card + 10)
            await self.alice.post(f"/v1/users/{user}/cards", {"number": self.cards[-1]})
        grants = [
            {
                "accessPointId": door,
                "startsAt": self.chance.choice([None, None, self.now - 86_400, self.now + 3600]),
                "endsAt": self.chance.choice([None, None, self.now + 2 * 86_400]),
                "scheduleId": self.chance.choice([None, *schedules]),
            }
            for door in self._some([1, 2, 3])
        ]
        await self.alice.patch(f"/v1/users/{user}/permissions", {"add": grants})
        if self.chance.random() < 0.2:
            await self.alice.patch(f"/v1/users/{user}", {"isActive": False})

    def attempts(self, count: int, passes: list[str], store: Store) -> list[Attempt]:
        return [self._attempt(passes, store) for _ in range(count)]

    def _attempt(self, passes: list[str], store: Store) -> Attempt:
        shown = self.chance.choice(
            [
                CardRead(self.chance.choice(self.cards)),
                CardRead(self.chance.choice(self.cards)),
                RemoteUnlock(self.chance.choice([None, *self.users])),
                verify(self.chance.choice(passes), store.key),
            ]
        )
        at = self.now + self.chance.uniform(-3, 3) * 86_400
        near = self.chance.random() < 0.5
        return Attempt(
            self.chance.choice([1, 2]),
            self.chance.choice(list(Direction)),
            shown,
            self.now + self.chance.uniform(0, 70) if near else at,
        )

    def _some(self, of: list[Any]) -> list[Any]:
        return [one for one in of if self.chance.random() < 0.6]
