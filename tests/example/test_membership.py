"""Members come, get other doors and leave, while Harbour Desk runs."""

from __future__ import annotations

import pytest
from tests.example.desk import PASSWORDS, House, draft

from harbour_desk import staff
from harbour_desk.membership import Membership, NewMember
from harbour_desk.model import Refused
from latchwork.sdk.client import Client, CloudUnreachable

MIA, _ = PASSWORDS
ZOE = "zoe@harbour.example"


async def _told(house: House, *words: str) -> str:
    return await staff.obey(staff._arguments().parse_args(words), house.desk.settings)


async def test_who_joins_logs_in_and_opens_doors(house: House) -> None:
    front, office = house.doors
    said = await _told(house, "join", "Zoe", ZOE, "--doors", str(front), "--steers")
    password = said.rpartition(" ")[2]
    async with house.browser() as browser:
        assert (await browser.post("/api/log-in", json={"email": ZOE, "password": password})).is_success
    assert ZOE in await _told(house, "list")
    [zoe] = [user async for user in house.building.page_users() if user.name == "Zoe"]
    assert zoe.roles == ["end_user", "site_admin"] and len(zoe.admin_of_sites) == 1
    assert await _doors(house, zoe.id) == {front}
    said = await _told(house, "doors", ZOE, "--give", str(office), "--take", str(front))
    assert said == f"Done; on its way to doors {office}.", "no controller runs it"
    assert await _doors(house, zoe.id) == {office}
    async with house.browser() as browser:
        await browser.post("/api/log-in", json={"email": ZOE, "password": password})
        assert (await browser.get("/api/rooms")).json() == []
        assert (await browser.post("/api/visits", json=draft())).status_code == 403, "the front door was taken away"


async def _doors(house: House, user: int) -> set[int]:
    return {each.access_point_id async for each in house.building.page_permissions(user)}


async def test_of_who_leaves_nothing_is_left_that_opens_or_logs_in(house: House) -> None:
    async with house.browser(MIA) as browser:
        assert (await browser.post("/api/visits", json=draft())).is_success
        assert (await browser.post("/api/app-session", json={})).is_success
        [meeting] = [each async for each in house.building.page_meetings()]
        await _told(house, "leave", MIA)
        assert (await browser.get("/api/me")).status_code == 401
        assert [each async for each in house.building.page_meetings()] == [], meeting
        assert "Mia" not in [user.name async for user in house.building.page_users()]
        again = await browser.post("/api/log-in", json={"email": MIA, "password": PASSWORDS[MIA]})
        assert again.status_code == 401
    with pytest.raises(Refused):
        await _told(house, "leave", MIA)
    await _told(house, "join", "Mia", MIA, "--doors", str(house.doors[1]))
    assert [user.name async for user in house.building.page_users()].count("Mia") == 1


async def test_a_member_whose_making_was_not_answered_is_made_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_user = Client.add_user

    async def unanswered(*said: object, **more: object) -> None:
        await add_user(*said, **more)  # type: ignore[arg-type]
        raise CloudUnreachable("the line was cut")

    zoe = NewMember("Zoe", ZOE, "zoes-password", house.doors)
    members = Membership(house.desk.store, house.desk.visits.cloud)
    with monkeypatch.context() as line:
        line.setattr(Client, "add_user", unanswered)
        with pytest.raises(CloudUnreachable):
            await members.join(zoe)
    assert house.desk.store.find_member(ZOE) is None
    await members.join(zoe)
    assert [user.name async for user in house.building.page_users()].count("Zoe") == 1
    with pytest.raises(Refused):
        await members.join(zoe)
