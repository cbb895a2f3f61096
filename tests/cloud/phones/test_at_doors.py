"""What phones do at doors, as the cloud hears of it: in the history, as the door's mode, and when it is asked why."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from cloud.cast import Account, Client, Line, Script
from cloud.people.cast import Integrator
from cloud.phones.cast import App
from latchwork.cloud.kernel.work import Scope
from latchwork.cloud.passages import snapshot
from latchwork.cloud.passages.service import drop_expired_modes
from latchwork.policy.model import Ask, Attempt, Direction, Evidence, PhoneProof, VerifiedPhoneCode
from latchwork.wire import p256, pass_, state
from latchwork.wire.facts import AccessDecided, DoorChanged
from latchwork.wire.link import Changes


@pytest_asyncio.fixture
async def phone(app: App) -> App:
    """Enrolled."""
    await (await app.refresh()).post("/v1/account/phones", app.draft())
    return app


@pytest_asyncio.fixture
async def line(dora: Script, phone: App) -> AsyncIterator[Line]:
    """Dora, linked and in step."""
    async with dora.linked() as line:
        await line.take_state()
        yield line


def point(key: p256.PrivateKey) -> bytes:
    return p256.public_bytes(key.public_key())


def kid(key: p256.PrivateKey) -> bytes:
    return p256.kid(point(key))


def used(app: App, **changes: Any) -> AccessDecided:
    """Dora's word that Bob's phone was used at the front door."""
    plain: dict[str, Any] = {
        "at": time.time(),
        "door": 1,
        "direction": "entry",
        "reason": "granted",
        "credential": "phone",
        "user": app.user,
        "phone": kid(app.tap).hex(),
        "manner": "tap",
    }
    return AccessDecided(**{**plain, **changes})


def modes(batch: Changes) -> dict[str, state.StateRecord | None]:
    return {r.key: state.codec.decode(r.body) if r.body else None for r in batch.records if r.kind == "mode"}


# ------------------------------------------------------------------------------------------------- history


async def test_the_history_says_how_a_phone_was_used(alice: Client, line: Line, phone: App) -> None:
    code = {"manner": "code", "phone": kid(phone.code).hex(), "pass_id": os.urandom(8)}
    await line.tell(1, used(phone), used(phone, manner="click"), used(phone, **code))
    passages = (await alice.get("/v1/passages"))["items"]
    assert [(p["credential"], p["manner"], p["ask"]) for p in passages] == [
        ("phone", "code", "open"),
        ("phone", "click", "open"),
        ("phone", "tap", "open"),
    ]
    assert {p["user"]["name"] for p in passages} == {"Bob"}
    events = [event for event in await alice.events() if event["type"] == "access_granted"]
    [known] = await alice.get(f"/v1/users/{phone.user}/phones")
    assert {(e["data"]["phoneId"], e["data"]["phoneName"]) for e in events} == {(known["id"], "Bob's Pixel")}


async def test_the_saams_wire_tells_taps_from_clicks(
    alice: Client, line: Line, phone: App, accounts: dict[str, Account]
) -> None:
    code = {"manner": "code", "phone": kid(phone.code).hex()}
    await line.tell(1, used(phone), used(phone, manner="click"), used(phone, **code))
    vendor = Integrator(alice.cloud.http, accounts["alice"])
    path = f"/v2/organisationManagement/integrator/organisations/{vendor.o}/accessHistory"
    told = (await vendor.good("POST", path, {}))["accessHistory"]
    assert [(e["accessType"], e["mobileAccessMode"]) for e in told] == [
        ("mobile", "tap_to_access"),
        ("mobile", "click_to_access"),
        ("mobile", "tap_to_access"),
    ]


async def test_locking_a_door_is_no_coming_or_going(alice: Client, line: Line, phone: App) -> None:
    await alice.patch("/v1/organisation", {"attendanceModule": True})
    now = time.time()
    await line.tell(1, used(phone, ask="lock"), used(phone, ask="normal", direction="exit"))
    month = time.strftime("%Y-%m", time.gmtime(now))
    assert (await alice.get("/v1/attendance", params={"user": phone.user, "month": month}))["days"] == []
    counted = await alice.get("/v1/passages/hours", params={"since": int(now) - 60, "hours": 1})
    assert counted["hours"][0]["entries"] == 0


# ------------------------------------------------------------------------------------------------- modes


@pytest.mark.parametrize(("ask", "mode"), [("hold_open", "unlocked"), ("lock", "locked")])
async def test_what_a_phone_asked_is_the_door_s_mode(
    alice: Client, line: Line, phone: App, ask: str, mode: Any
) -> None:
    at = time.time() - 300
    committed = await line.tell(1, used(phone, ask=ask, at=at))
    batch = await line.take_state()
    assert modes(batch) == {"1": state.ModeRecord(mode=mode)}
    assert committed.revision == batch.revision, "the door knows when it has what became of its fact"
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == mode
    [event] = [e for e in await alice.events() if e["type"] == "door_mode_changed"]
    assert event["actor"] == {"kind": "user", "id": str(phone.user), "name": "Bob"}
    assert event["at"] == pytest.approx(at)
    assert (event["before"]["mode"], event["after"]["mode"]) == ("access_control", mode)
    await line.tell(2, used(phone, ask="normal", in_lockdown=mode == "locked"))
    assert modes(await line.take_state()) == {"1": None}
    assert await alice.rebuilt(1) == 0


async def test_a_later_change_of_the_website_stays(alice: Client, line: Line, phone: App) -> None:
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    await line.take_state()
    await line.tell(1, used(phone, ask="hold_open", at=time.time() - 300))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "locked"
    await alice.post("/v1/access-points/1/mode", {"mode": "access_control"})
    await line.take_state()
    await line.tell(2, used(phone, ask="lock", at=time.time() - 300))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "access_control"
    await line.tell(3, used(phone, ask="lock", at=time.time() + 1))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "locked"


async def test_a_door_that_was_held_open_unaware_of_a_lockdown_is_locked_down(
    alice: Client, line: Line, phone: App
) -> None:
    """The door was out of reach when it was locked down, and so let somebody hold it open."""
    await alice.post("/v1/access-points/1/mode", {"mode": "locked"})
    await line.take_state()
    await line.tell(1, used(phone, ask="hold_open", at=time.time() + 1))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "locked"
    await line.tell(2, used(phone, ask="normal", at=time.time() + 2))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "locked", "nor did whoever asked for normal know"
    ended = used(phone, ask="normal", at=time.time() + 3, in_lockdown=True)
    await line.tell(3, ended, used(phone, ask="hold_open", at=time.time() + 4))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "unlocked", "it was ended at the door first"


async def test_a_door_whose_clock_is_ahead_does_not_win_over_what_is_set_later(
    alice: Client, line: Line, phone: App
) -> None:
    await line.tell(1, used(phone, ask="hold_open", at=time.time() + 3600))
    await line.take_state()
    await alice.post("/v1/access-points/1/mode", {"mode": "access_control"})
    await line.take_state()
    await line.tell(2, used(phone, ask="hold_open", at=time.time() - 300))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "access_control"
    await line.tell(3, used(phone, ask="lock"))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "locked", "a phone's own asking was never later"


async def test_a_mode_that_ended_by_itself_is_nobody_s_later_change(alice: Client, line: Line, phone: App) -> None:
    until = (await alice.post("/v1/access-points/1/mode", {"mode": "unlocked", "minutes": 1}))["until"]
    await line.take_state()
    await drop_expired_modes(alice.cloud.state["database"], until + 30)
    await line.take_state()
    await line.tell(1, used(phone, ask="lock", at=until + 1))
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "locked"


async def test_facts_come_in_their_order_and_only_grants_of_its_own_doors_count(
    alice: Client, line: Line, phone: App
) -> None:
    now = time.time()
    await line.tell(
        1,
        used(phone, ask="lock", reason="not_your_role"),
        used(phone, ask="lock", door=3),
        used(phone, ask="lock", door=99),
        used(phone, ask="lock", user=None),
        DoorChanged(at=now, door=1, change="locked_down"),
    )
    for door in (1, 3):
        assert (await alice.get(f"/v1/access-points/{door}/mode"))["mode"] == "access_control"
    asked = [
        used(phone, ask=ask, at=now + place, in_lockdown=ask == "normal")
        for place, ask in enumerate(("lock", "normal", "hold_open"))
    ]
    await line.tell(6, *asked)
    assert (await alice.get("/v1/access-points/1/mode"))["mode"] == "unlocked"


# ------------------------------------------------------------------------------------------------- why


async def judged(alice: Client, evidence: Evidence, door: int = 1) -> str:
    attempt = Attempt(door, Direction.ENTRY, evidence, time.time())
    async with alice.cloud.state["database"].connection() as conn:
        return (await snapshot.judge(conn, Scope(alice.organisation), attempt)).decision.reason


async def test_the_cloud_decides_about_a_phone_as_the_door_does(alice: Client, phone: App) -> None:
    user, tap = f"/v1/users/{phone.user}", point(phone.tap)
    assert await judged(alice, PhoneProof(tap)) == "granted"
    assert await judged(alice, PhoneProof(tap, metres=5.0)) == "too_far"
    assert await judged(alice, PhoneProof(point(phone.code))) == "unknown_credential"
    assert await judged(alice, PhoneProof(b"nobodys!")) == "unknown_credential"
    assert await judged(alice, PhoneProof(tap, from_afar=True)) == "way_off"
    await alice.patch(user, {"access": {"clickRange": 10, "tap": False}})
    assert await judged(alice, PhoneProof(tap, from_afar=True, metres=9.0)) == "granted"
    assert await judged(alice, PhoneProof(tap)) == "way_off"
    assert await judged(alice, PhoneProof(tap, Ask.LOCK, from_afar=True)) == "not_your_role"
    await alice.patch(user, {"roles": ["site_admin"], "adminOfSites": [1]})
    assert await judged(alice, PhoneProof(tap, Ask.LOCK, from_afar=True)) == "granted"
    await alice.patch(user, {"isActive": False})
    assert await judged(alice, PhoneProof(tap, from_afar=True)) == "deactivated"


async def test_a_phone_s_code_is_good_once_at_a_controller(alice: Client, line: Line, phone: App) -> None:
    code = VerifiedPhoneCode(os.urandom(8), kid(phone.code), int(time.time()))
    assert await judged(alice, code) == "granted"
    assert await judged(alice, VerifiedPhoneCode(os.urandom(8), kid(phone.tap), int(time.time()))) == (
        "unknown_credential"
    )
    await line.tell(1, used(phone, manner="code", phone=kid(phone.code).hex(), pass_id=code.pass_id, door=2))
    assert await judged(alice, code) == "already_used"
    await alice.patch(f"/v1/users/{phone.user}/permissions", {"add": [{"accessPointId": 3}]})
    assert await judged(alice, code, door=3) == "granted"


async def test_explain_reads_a_phone_s_code(alice: Client, phone: App) -> None:
    text = pass_.sign_phone_code(os.urandom(8), int(time.time()), kid(phone.code), phone.code)
    said = (await alice.post("/v1/decisions/explain", {"accessPointId": 1, "qrData": text}))["decision"]
    assert (said["granted"], said["reason"]) == (True, "granted")
    stranger = p256.new_key()
    text = pass_.sign_phone_code(os.urandom(8), int(time.time()), kid(stranger), stranger)
    said = (await alice.post("/v1/decisions/explain", {"accessPointId": 1, "qrData": text}))["decision"]
    assert said["reason"] == "pass_unknown_key"


async def test_explain_asks_the_same_use_of_the_phone_again(alice: Client, line: Line, phone: App) -> None:
    ask = {"accessPointId": 1, "userId": phone.user, "way": "tap"}
    assert (await alice.post("/v1/decisions/explain", ask))["decision"]["granted"]
    await line.tell(1, used(phone, ask="lock", reason="not_your_role"), used(phone, manner="click", reason="way_off"))
    events = [event for event in await alice.events() if event["type"] == "access_refused"]
    for event, reason in zip(events, ("not_your_role", "way_off"), strict=True):
        said = await alice.post("/v1/decisions/explain", {"eventNumber": event["number"]})
        assert (said["then"]["reason"], said["decision"]["reason"]) == (reason, reason)
        assert said["decision"]["subject"] == f"user/{phone.user}"
