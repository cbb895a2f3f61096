"""How a door stands is known from what its controller told last, and shown with everything else about it."""

from __future__ import annotations

import time

from cloud.cast import Client, Line, Script
from latchwork.wire.facts import DoorChanged
from latchwork.wire.link import Health

NOON = 1_793_361_600.0


async def test_a_door_is_shown_as_its_controller_told_it(alice: Client, line: Line) -> None:
    state = await alice.get("/v1/access-points/1/state")
    assert (state["isOpen"], state["alarm"], state["link"], state["mode"]) == (None, None, "online", "access_control")
    await line.tell(1, DoorChanged(at=NOON, door=1, change="forced"), DoorChanged(at=NOON + 1, door=2, change="opened"))
    front, lab, store = (await alice.get("/v1/door-states"))["items"]
    assert (front["isOpen"], front["alarm"], front["toldAt"]) == (True, "forced", NOON)
    assert (lab["isOpen"], lab["alarm"]) == (True, None)
    assert (store["link"], store["isOpen"]) == ("none", None)
    await line.tell(3, DoorChanged(at=NOON + 2, door=1, change="closed"))
    state = await alice.get("/v1/access-points/1/state")
    assert (state["isOpen"], state["alarm"]) == (False, None)


async def test_a_door_is_told_of_by_the_controller_that_runs_it_alone(alice: Client, line: Line) -> None:
    await line.tell(1, DoorChanged(at=NOON, door=3, change="forced"), DoorChanged(at=NOON, door=77, change="forced"))
    assert (await alice.get("/v1/access-points/3/state"))["alarm"] is None


async def test_a_controllers_health_is_shown_as_it_said(alice: Client, dora: Script) -> None:
    assert (await alice.controller(dora.controller))["backlog"] is None
    async with dora.linked() as line:
        await line.take_state()
        await line.say(Health(backlog=7, time=time.time() + 90, own_clock=True))
        await line.tell(1, DoorChanged(at=NOON, door=1, change="opened"))
        said = await alice.controller(dora.controller)
    assert (said["backlog"], said["ownClock"]) == (7, True)
    assert 85 < said["clockOffset"] < 95


async def test_a_door_lists_who_loses_it_until_it_has_confirmed(alice: Client, dora: Script, bob: int) -> None:
    async with dora.linked() as line:
        await line.take_state()
        await alice.until_confirmed(dora.controller)
        [held] = (await alice.get("/v1/access-points/1/permissions"))["items"]
        assert (held["userName"], held["state"]) == ("Bob", "assigned")
    await alice.patch(f"/v1/users/{bob}/permissions", {"remove": [1]})
    [lost] = (await alice.get("/v1/access-points/1/permissions"))["items"]
    assert (lost["userId"], lost["userName"], lost["state"]) == (bob, "Bob", "removing")
    assert lost["since"] is not None
    async with dora.linked() as line:
        await line.take_state()
        await alice.until_confirmed(dora.controller)
        assert (await alice.get("/v1/access-points/1/permissions"))["items"] == []
