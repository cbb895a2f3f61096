"""How a door stands is state like any other: it arrives, it stays, and it ends when it was said to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cloud.cast import Client, Line, Script, problem
from latchwork.cloud.passages.service import drop_expired_modes
from latchwork.wire import state
from latchwork.wire.link import Changes


def modes(batch: Changes) -> dict[str, state.StateRecord | None]:
    return {r.key: state.codec.decode(r.body) if r.body else None for r in batch.records if r.kind == "mode"}


async def test_a_mode_reaches_its_door_and_is_confirmed(alice: Client, line: Line) -> None:
    until = int(time.time()) + 600
    said = await alice.post("/v1/access-points/1/mode", {"mode": "unlocked", "until": until})
    assert said == {"accessPointId": 1, "mode": "unlocked", "until": until, "confirmed": False}
    assert modes(await line.take_state()) == {"1": state.ModeRecord(mode="unlocked", until=until)}
    await alice.until_confirmed(line.script.controller)
    assert (await alice.get("/v1/access-points/1/mode"))["confirmed"] is True
    await alice.post("/v1/access-points/1/mode", {"mode": "access_control"})
    assert modes(await line.take_state()) == {"1": None}
    assert await alice.rebuilt(line.script.controller) == 0


async def test_a_lockdown_waits_for_a_door_that_is_offline(alice: Client, dora: Script) -> None:
    await alice.post("/v1/access-points/2/mode", {"mode": "locked"})
    async with dora.linked() as line:
        assert modes(await line.take_state()) == {"2": state.ModeRecord(mode="locked")}


async def test_a_mode_goes_with_its_door_to_another_controller(alice: Client, line: Line) -> None:
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    await line.take_state()
    other = (await alice.post("/v1/controllers", {"name": "Dora II", "accessPoints": [1]}))["id"]
    assert modes(await line.take_state()) == {"1": None}
    assert await alice.rebuilt(other) == 0
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "locked"


async def test_a_door_without_a_controller_keeps_its_mode_for_the_one_to_come(alice: Client) -> None:
    said = await alice.post("/v1/access-points/3/mode", {"mode": "locked"})
    assert said["confirmed"] is None


async def test_what_is_so_already_is_no_change(alice: Client) -> None:
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    before = await alice.last_event()
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    assert await alice.last_event() == before


async def test_the_log_says_who_changed_what_into_what(alice: Client) -> None:
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    [event] = [e for e in await alice.events() if e["type"] == "door_mode_changed"]
    assert event["actor"]["name"] == "alice's backend"
    assert event["before"] == {"mode": "access_control", "until": None}
    assert event["after"] == {"mode": "locked", "until": None}


async def test_a_mode_that_is_over_is_cleared_away(alice: Client, line: Line) -> None:
    until = (await alice.post("/v1/access-points/1/mode", {"mode": "unlocked", "minutes": 1}))["until"]
    await line.take_state()
    await drop_expired_modes(alice.cloud.state["database"], until - 1)
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "unlocked"
    await drop_expired_modes(alice.cloud.state["database"], until)
    assert modes(await line.take_state()) == {"1": None}
    assert (await alice.events())[-1]["actor"]["kind"] == "system"


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "ajar"},
        {"mode": "locked", "until": 1},
        {"mode": "locked", "until": 1_900_000_000_000},
        {"mode": "locked", "minutes": 0},
        {"mode": "locked", "minutes": 1, "until": 2_000_000_000},
        {"mode": "access_control", "minutes": 5},
        {},
    ],
)
async def test_a_mode_that_cannot_be_is_refused(alice: Client, body: dict[str, Any]) -> None:
    before = await alice.last_event()
    assert problem(await alice.call("POST", "/v1/access-points/1/mode", json=body))["code"] == "invalid"
    assert await alice.last_event() == before


async def test_another_organisations_door_is_not_found(charlie: Client) -> None:
    response = await charlie.call("POST", "/v1/access-points/3/mode", json={"mode": "locked"})
    assert problem(response)["code"] == "not_found"
