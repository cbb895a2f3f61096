"""Access history, remote unlock and door state on the SAAMS wire, by what saams-api.md says alone."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from cloud.cast import Client, Line, Script
from cloud.people.cast import Integrator
from latchwork.wire.facts import AccessDecided
from latchwork.wire.link import Command, Outcome

NOW = int(time.time())
KEYS = {
    "id", "accessorId", "accessedAt", "latitude", "longitude", "direction", "accessType", "mobileAccessMode",
    "createdAt", "user", "accessPoint",
}  # fmt: skip


def paths(vendor: Integrator) -> tuple[str, str]:
    return (
        f"/v2/organisationManagement/integrator/organisations/{vendor.o}/accessHistory",
        f"/organisationManagement/v11/organisations/{vendor.o}/accessHistory",
    )


def decided(**fields: Any) -> AccessDecided:
    plain = {"at": NOW - 10.0, "door": 1, "direction": "entry", "reason": "granted", "credential": "card"}
    return AccessDecided(**{**plain, **fields})


def spoken(at: int, hours: float) -> str:
    """An instant as a filter has it: `YYYY-MM-DD HH:mm:ss +05:30`."""
    local = datetime.fromtimestamp(at, timezone(timedelta(hours=hours)))
    return f"{local:%Y-%m-%d %H:%M:%S} {local.isoformat()[-6:]}"


async def entries(vendor: Integrator, **filters: Any) -> list[dict[str, Any]]:
    answer = await vendor.good("POST", paths(vendor)[0], {"filters": filters})
    assert answer.keys() == {"accessHistory", "pagination"}
    assert answer["pagination"]["total"] == len(answer["accessHistory"])
    return list(answer["accessHistory"])


async def names(vendor: Integrator, **filters: Any) -> list[str]:
    return [entry["user"]["name"] for entry in await entries(vendor, **filters)]


async def test_an_entry_has_every_key_on_both_paths(vendor: Integrator, dora: Script, alice: Client) -> None:
    bob = await vendor.create("Bob", employeeCode="7", accessData={"accessPoints": [1]})
    visitor = await alice.invite(1, key="the client's key")
    async with dora.linked() as line:
        await line.take_state()
        await line.tell(
            1,
            decided(user=bob),
            decided(user=bob, reason="no_permission"),
            decided(credential="qr", visitor=visitor["visitor"]["id"], meeting=visitor["id"], direction="exit"),
        )
    for path in paths(vendor):
        answer = await vendor.good("POST", path)
        assert answer["pagination"]["total"] == 2
        late, first = answer["accessHistory"]
        assert late.keys() == first.keys() == KEYS
        assert first["id"] < late["id"]
        assert first["user"] == {"id": bob, "name": "Bob", "employeeCode": "7", "attributes": []}
        assert (first["direction"], first["accessType"], first["accessedAt"]) == ("entry", "card", NOW - 10)
        assert abs(datetime.fromisoformat(first["createdAt"]).timestamp() - time.time()) < 60
        assert first["accessPoint"].keys() == {"id", "name", "location", "forAttendance", "forAaccess"}
        assert (first["accessPoint"]["id"], first["accessPoint"]["name"]) == (1, "Front door")
        assert late["user"] == {
            "id": visitor["visitor"]["id"], "name": "the client's key", "employeeCode": "", "attributes": [],
        }  # fmt: skip
        assert (late["accessType"], late["direction"]) == ("qr", "exit")


async def test_every_filter_finds_its_own(vendor: Integrator, dora: Script) -> None:
    roles, chief = await vendor.roles(), await vendor.create("Chief")
    bob = await vendor.create(
        "Bob", employeeCode="B-7", email="bob@example.org", phone="+4930123", reportingTo=chief,
        roles=[roles["super_admin"]], accessData={"accessPoints": [1]},
    )  # fmt: skip
    ann = await vendor.create("Ann", accessData={"accessPoints": [2]})
    async with dora.linked() as line:
        await line.take_state()
        await line.tell(
            1,
            decided(user=bob, at=NOW - 1000.0),
            decided(user=ann, door=2, direction="exit", credential="phone", at=NOW - 500.0),
        )
    assert await names(vendor) == ["Ann", "Bob"]
    assert await names(vendor, accessPoints=["2"]) == ["Ann"]
    assert await names(vendor, users=[bob], sites=[1]) == ["Bob"]
    assert await names(vendor, sites=[99]) == []
    assert await names(vendor, sites=[10**18]) == []
    assert await names(vendor, direction="exit") == ["Ann"]
    assert await names(vendor, accessTypes=["mobile"]) == ["Ann"]
    assert await names(vendor, accessTypes=["card", "fingerprint"]) == ["Bob"]
    assert await names(vendor, accessTypes=["fingerprint"]) == []
    assert await names(vendor, roles=[roles["super_admin"]]) == ["Bob"]
    assert await names(vendor, roles=[999]) == []
    assert await names(vendor, reportingManager=[chief]) == ["Bob"]
    assert await names(vendor, terms=[1]) == []
    assert await names(vendor, employeeId="B-7") == ["Bob"]
    assert await names(vendor, name="an") == ["Ann"]
    assert await names(vendor, location="head") == ["Ann", "Bob"]
    assert await names(vendor, location="nowhere") == []
    assert await names(vendor, s={"email": "bob@example.org", "phone": "+4930123", "employeeId": "B-7"}) == ["Bob"]
    for hours in (5.5, -3, 0):
        middle = spoken(NOW - 700, hours)
        assert await names(vendor, start=middle, end="") == ["Ann"]
        assert await names(vendor, start=None, end=middle) == ["Bob"]
        assert await names(vendor, start=spoken(NOW - 1000, hours), end=spoken(NOW - 1000, hours)) == ["Bob"]
    today = datetime.now(UTC).date()
    days = {"startDate": str(today - timedelta(days=2)), "endDate": str(today + timedelta(days=2))}
    assert await names(vendor, accessRange=days) == ["Ann", "Bob"]
    nothing = {
        "accessPoints": [], "reportingManager": [], "roles": [], "terms": [], "users": [], "sites": [],
        "direction": None, "accessTypes": [], "eventTypes": None, "start": "", "end": "", "employeeId": "", "name": "",
        "accessRange": {"startDate": "", "endDate": ""}, "location": "",
        "s": {"employeeId": "", "name": "", "email": "", "phone": ""},
    }  # fmt: skip
    assert await names(vendor, **nothing) == ["Ann", "Bob"]
    assert await names(vendor, s=[], accessRange=[]) == ["Ann", "Bob"]
    assert len((await vendor.good("POST", paths(vendor)[1], {"filters": []}))["accessHistory"]) == 2
    for path in paths(vendor):
        page = await vendor.good("POST", path, {"pagination": {"page": 2, "perPage": 1}})
        assert [entry["user"]["name"] for entry in page["accessHistory"]] == ["Bob"]
        assert page["pagination"] == {"total": 2, "perPage": 1, "currentPage": 2}
    [phone] = await entries(vendor, users=[ann])
    assert phone["accessType"] == "mobile"
    assert phone["mobileAccessMode"] in ("tap_to_access", "click_to_access")


async def test_what_a_deleted_person_did_stays_under_their_name(vendor: Integrator, dora: Script) -> None:
    bob = await vendor.create("Bob", employeeCode="B-7", accessData={"accessPoints": [1]})
    async with dora.linked() as line:
        await line.take_state()
        await line.tell(1, decided(user=bob))
    await vendor.good("POST", f"{vendor.users}/delete", {"userIds": [bob]})
    [kept] = await entries(vendor, name="bob", employeeId="B-7", users=[bob])
    assert kept["user"] == {"id": bob, "name": "Bob", "employeeCode": "B-7", "attributes": []}


@pytest.mark.parametrize(
    "filters", [{"start": "yesterday"}, {"end": "2031-02-30 00:00:00 +00:00"}, {"direction": "up"}, {"users": ["x"]}]
)
async def test_a_filter_that_cannot_be_is_refused(vendor: Integrator, filters: dict[str, Any]) -> None:
    for path in paths(vendor):
        await vendor.bad(400, "POST", path, {"filters": filters})


async def test_a_filter_in_milliseconds_is_told_so(vendor: Integrator) -> None:
    sentence = await vendor.bad(400, "POST", paths(vendor)[0], {"filters": {"start": NOW * 1000}})
    assert "milliseconds" in sentence


# ------------------------------------------------------------------------------------------------- remote unlock


def unlock(vendor: Integrator, door: int) -> str:
    return f"/organisationManagement/v2/organisations/{vendor.o}/accessPoint/{door}/remoteUnlock"


def state(vendor: Integrator, door: int, site: int = 1) -> str:
    return f"/organisationManagement/v1/organisations/{vendor.o}/sites/{site}/accessPoint/{door}/doorState"


async def failure(vendor: Integrator, path: str) -> str:
    response = await vendor.call("POST", path, {})
    assert response.status_code == 400, response.text
    assert response.json()["type"] == "error"
    return str(response.json()["message"]["errorMessage"])


async def _obeying(line: Line, outcome: str) -> None:
    command = await line.hear(Command)
    await line.say(Outcome(command.id, outcome))


async def test_a_door_opens_from_afar_when_its_controller_has_confirmed(vendor: Integrator, dora: Script) -> None:
    async with dora.linked() as line:
        await line.take_state()
        door = asyncio.create_task(_obeying(line, "granted"))
        assert isinstance(await vendor.good("POST", unlock(vendor, 1), {}), str)
        await door


async def test_a_remote_unlock_stands_in_the_history_under_the_clients_name(vendor: Integrator, dora: Script) -> None:
    async with dora.linked() as line:
        await line.take_state()
        asked = asyncio.create_task(vendor.good("POST", unlock(vendor, 1)))
        command = await line.hear(Command)
        await line.tell(1, decided(credential="remote", command=command.id))
        await line.say(Outcome(command.id, "granted"))
        await asked
    [entry] = await entries(vendor)
    assert entry["user"] == {"id": 0, "name": "alice's backend", "employeeCode": "", "attributes": []}
    assert entry["accessType"] == "remote"


async def test_a_remote_unlock_fails_with_the_texts_that_clients_know(vendor: Integrator, dora: Script) -> None:
    assert await failure(vendor, unlock(vendor, 1)) == "Device Offline"
    assert await failure(vendor, unlock(vendor, 3)) == "Device Offline"
    assert isinstance(await vendor.good("PATCH", state(vendor, 1), {"doorState": "locked"}), str)
    assert await failure(vendor, unlock(vendor, 1)) == "Door is in Lockdown State"
    await vendor.good("PATCH", state(vendor, 1), {"doorState": "access_control"})
    assert await failure(vendor, unlock(vendor, 1)) == "Device Offline"
    for unknown in (99, 0, 2**40):
        await vendor.bad(404, "POST", unlock(vendor, unknown), {})


async def test_a_door_takes_its_three_states(vendor: Integrator, alice: Client) -> None:
    for wanted in ("unlocked", "locked", "locked", "access_control"):
        assert isinstance(await vendor.good("PATCH", state(vendor, 1), {"doorState": wanted}), str)
        assert (await alice.get("/v1/access-points/1/mode"))["mode"] == wanted
    for bad in ({}, {"doorState": "ajar"}, {"doorState": None}, None):
        await vendor.bad(400, "PATCH", state(vendor, 1), bad)
    for site, door in ((2, 1), (1, 99), (0, 1), (1, 0)):
        await vendor.bad(404, "PATCH", state(vendor, door, site), {"doorState": "locked"})
