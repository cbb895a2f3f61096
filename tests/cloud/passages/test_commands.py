"""Remote unlock and card enrolment: now or never, with a true answer in each case."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cloud.cast import Account, Client, Cloud, Conn, Line, Script, problem
from latchwork.policy.model import Direction
from latchwork.wire.facts import AccessDecided, CardPresented
from latchwork.wire.link import Command, Outcome

UNLOCK = "/v1/access-points/1/unlock"
ENROL = "/v1/access-points/1/enrol-card"


def asking(client: Client, path: str, body: dict[str, Any], **more: Any) -> asyncio.Task[httpx2.Response]:
    return asyncio.create_task(client.call("POST", path, json=body, **more))


async def test_a_door_opens_from_afar_and_the_answer_says_so(alice: Client, line: Line) -> None:
    answer = asking(alice, UNLOCK, {})
    command = await line.hear(Command)
    assert (command.door, command.verb, command.user) == (1, "unlock", None)
    assert 0 < command.seconds <= 5
    await line.tell(
        1,
        AccessDecided(
            at=time.time(), door=1, direction="entry", reason="granted", credential="remote", command=command.id
        ),
    )
    assert not answer.done()
    await line.say(Outcome(command.id, "granted"))
    said = (await answer).json()
    assert (said["outcome"], said["reason"], said["id"]) == ("done", "granted", command.id)
    [entry] = (await alice.get("/v1/passages"))["items"]
    assert (entry["credential"], entry["requestedBy"]["name"]) == ("remote", "alice's backend")


async def test_another_process_holds_the_link(
    alice: Client, line: Line, other_cloud: Cloud, accounts: dict[str, Account]
) -> None:
    answer = asking(other_cloud.client(accounts["alice"]), UNLOCK, {})
    command = await line.hear(Command)
    await line.say(Outcome(command.id, "granted"))
    assert (await answer).json()["outcome"] == "done"


async def test_the_door_refuses_with_its_reason(alice: Client, line: Line) -> None:
    answer = asking(alice, UNLOCK, {})
    command = await line.hear(Command)
    await line.say(Outcome(command.id, "clock_untrusted"))
    said = (await answer).json()
    assert (said["outcome"], said["reason"]) == ("refused", "clock_untrusted")
    assert said["sentence"].startswith("This door does not know the time")


async def test_a_lockdown_is_told_without_asking_the_door(alice: Client, dora: Script) -> None:
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    said = await alice.post(UNLOCK, {})
    assert (said["outcome"], said["reason"]) == ("refused", "lockdown")
    [entry] = (await alice.get("/v1/passages"))["items"]
    assert (entry["granted"], entry["reason"], entry["credential"]) == (False, "lockdown", "remote")


async def test_a_user_who_may_not_is_refused(alice: Client, line: Line, bob: int) -> None:
    assert (await alice.post(UNLOCK, {"userId": bob}))["reason"] == "way_off"
    await alice.patch(f"/v1/users/{bob}", {"access": {"remote": True}})
    await line.take_state()
    answer = asking(alice, UNLOCK, {"userId": bob})
    assert (await line.hear(Command)).user == bob
    answer.cancel()
    assert (await alice.post("/v1/access-points/2/unlock", {"userId": bob}))["reason"] == "no_permission"


async def test_a_door_that_cannot_be_told_is_offline_and_never_told_later(
    alice: Client, dora: Script, db: Conn
) -> None:
    assert problem(await alice.call("POST", UNLOCK, json={}))["code"] == "door_offline"
    async with dora.linked() as line:
        await line.take_state()
        with pytest.raises(TimeoutError):
            await line.hear(Command, 0.5)
    assert await db.value("SELECT count(*) FROM commands") == 0
    no_controller = await alice.call("POST", "/v1/access-points/3/unlock", json={})
    assert problem(no_controller)["code"] == "door_offline"


async def test_a_link_that_is_lost_before_sending_makes_it_offline(alice: Client, line: Line, db: Conn) -> None:
    await db.fetch("UPDATE controller_links SET session = session + 100, online_until = $1", int(time.time()) + 99)
    answer = await alice.call("POST", UNLOCK, json={})
    assert problem(answer)["code"] == "door_offline"
    assert await db.value("SELECT outcome FROM commands") == "no_link"


async def test_a_link_that_is_lost_after_sending_leaves_it_unknown(alice: Client, dora: Script, bob: int) -> None:
    async with dora.linked() as line:
        await line.take_state()
        answer = asking(alice, UNLOCK, {})
        await line.hear(Command)
    async with dora.linked() as line:
        with pytest.raises(TimeoutError):
            await line.hear(Command, 0.5)
        said = (await answer).json()
        assert (said["outcome"], "may have opened" in said["sentence"]) == ("unknown", True)


async def test_a_repeated_request_opens_once(alice: Client, line: Line) -> None:
    first = asking(alice, UNLOCK, {}, headers={"idempotency-key": "once"})
    command = await line.hear(Command)
    second = asking(alice, UNLOCK, {}, headers={"idempotency-key": "once"})
    await line.say(Outcome(command.id, "granted"))
    assert (await first).json() == (await second).json()
    with pytest.raises(TimeoutError):
        await line.hear(Command, 0.3)


async def test_a_lost_hint_heals_in_time(alice: Client, line: Line) -> None:
    alice.cloud.state["hints"].give = lambda topic, elsewhere=True: None
    answer = asking(alice, UNLOCK, {})
    command = await line.hear(Command, 4)
    assert command.seconds < 5
    await line.say(Outcome(command.id, "granted"))
    assert (await answer).json()["outcome"] == "done"


async def test_it_needs_a_right_of_its_own_and_a_door_of_ones_own(alice: Client, charlie: Client) -> None:
    assert problem(await charlie.call("POST", "/v1/access-points/3/unlock", json={}))["code"] == "not_found"
    assert problem(await charlie.call("POST", UNLOCK, json={"userId": 1}))["code"] == "not_found"
    draft = {"name": "reader", "scopes": ["sites:read", "sites:write", "users:write", "controllers:write"]}
    made = await alice.post("/v1/clients", draft)
    form = {"grant_type": "client_credentials", "client_id": made["clientId"], "client_secret": made["clientSecret"]}
    token = (await alice.cloud.http.post("/oauth2/token", data=form)).json()["access_token"]
    reader = Client(alice.cloud, alice.organisation, token)
    for path, body in ((UNLOCK, {}), ("/v1/access-points/1/mode", {"mode": "unlocked"})):
        assert problem(await reader.call("POST", path, json=body))["code"] == "forbidden"


# ------------------------------------------------------------------------------------------------- enrolment


async def test_a_presented_card_becomes_the_users(alice: Client, line: Line, bob: int, db: Conn) -> None:
    answer = asking(alice, ENROL, {"userId": bob, "seconds": 20})
    command = await line.hear(Command)
    assert (command.verb, command.user, 18 < command.seconds <= 20) == ("enrol_card", bob, True)
    await line.say(Outcome(command.id, "granted"))
    await line.tell(1, CardPresented(at=time.time(), door=1, command=command.id, number=987654321))
    card = (await answer).json()
    assert (card["userId"], card["lastDigits"], card["number"]) == (bob, "4321", 987654321)
    [event] = [e for e in await alice.events() if e["type"] == "card_presented"]
    assert (event["data"]["lastDigits"], event["data"]["commandId"]) == ("4321", command.id)
    assert await db.value("SELECT count(*) FROM events WHERE data::text LIKE '%87654321%'") == 0
    assert len((await line.take_state()).records) == 1


async def test_a_card_that_somebody_else_has_stays_theirs(alice: Client, line: Line, bob: int) -> None:
    eve = (await alice.post("/v1/users", {"name": "Eve"}))["id"]
    answer = asking(alice, ENROL, {"userId": eve})
    command = await line.hear(Command)
    await line.tell(1, CardPresented(at=time.time(), door=1, command=command.id, number=4000123))
    assert problem(await answer)["code"] == "conflict"
    assert await alice.get(f"/v1/users/{eve}/cards") == []


async def test_a_user_who_is_deleted_meanwhile_gets_no_card(alice: Client, line: Line) -> None:
    eve = (await alice.post("/v1/users", {"name": "Eve"}))["id"]
    answer = asking(alice, ENROL, {"userId": eve})
    command = await line.hear(Command)
    await alice.delete(f"/v1/users/{eve}")
    await line.tell(1, CardPresented(at=time.time(), door=1, command=command.id, number=5))
    assert problem(await answer)["code"] == "not_found"


async def test_a_card_that_comes_too_late_is_nobodys(alice: Client, line: Line, bob: int) -> None:
    answer = asking(alice, ENROL, {"userId": bob, "seconds": 5})
    command = await line.hear(Command)
    await line.say(Outcome(command.id, "command_late"))
    assert problem(await answer)["code"] == "no_card_presented"
    await line.tell(1, CardPresented(at=time.time(), door=1, command=command.id, number=5))
    assert len(await alice.get(f"/v1/users/{bob}/cards")) == 1


@pytest.mark.parametrize("body", [{}, {"userId": 0, "seconds": 4}, {"userId": 1, "seconds": 121}])
async def test_an_enrolment_that_cannot_be_is_refused(alice: Client, body: dict[str, Any]) -> None:
    assert problem(await alice.call("POST", ENROL, json=body))["code"] == "invalid"


@pytest.mark.parametrize("user", [-1, 0, 99, 2**40])
async def test_nobody_is_not_found(alice: Client, user: int) -> None:
    for path in (ENROL, UNLOCK):
        assert problem(await alice.call("POST", path, json={"userId": user}))["code"] == "not_found"


# ------------------------------------------------------------------------------------------------- the real door


async def test_the_real_controller_opens_waits_and_locks_down(alice: Client, bob: int, tmp_path: Path) -> None:
    [controller] = (await alice.get("/v1/controllers"))["items"]
    async with alice.dora(controller["id"], tmp_path) as edge:
        assert (await alice.post(UNLOCK, {}))["outcome"] == "done"
        enrolled = asking(alice, ENROL, {"userId": bob, "seconds": 10})
        await alice.until_event("card_enrolment_requested")
        async with asyncio.timeout(30):
            while not enrolled.done():
                await edge.controller.present(1, Direction.ENTRY, card=777123)
                await asyncio.sleep(0.05)
        assert (await enrolled).json()["lastDigits"] == "123"
        await alice.until_confirmed(controller["id"])
        assert (await edge.controller.present(1, Direction.ENTRY, card=777123)).decision.granted
        await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
        await alice.until_confirmed(controller["id"])
        assert (await edge.controller.present(1, Direction.ENTRY, card=777123)).decision.reason == "lockdown"
        assert (await alice.post(UNLOCK, {}))["reason"] == "lockdown"
