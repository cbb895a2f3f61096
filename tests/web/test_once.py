"""A form that is sent twice, by a double click or because no answer came, is done once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.sdk.town import Town
from tests.web.cast import browser, proof_in, send
from tests.web.test_page import House, opened_house

DAYS = {f"day{n}": "always" for n in range(7)}
VISIT = {"name": "Vic", "from": "2040-01-01T10:00", "until": "2040-01-01T12:00", "door": "1"}


async def everything(house: House) -> list[Any]:
    """What there is to be made, by what makes it."""
    alice = house.alice
    lists = (alice.page_meetings(), alice.page_users(), alice.page_sites(), alice.page_access_points())
    more = (alice.page_controllers(), alice.page_schedules())
    return [[each.id async for each in one] for one in (*lists, *more)]


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        ("/visitors/book", VISIT),
        ("/people/new", {"name": "Bob", "roles": "end_user", "email": "bob@example.org"}),
        ("/people/import", {"csv": "name\nBob", "confirmed": "yes"}),
        ("/doors/sites/new", {"name": "Annexe", "timezone": "UTC"}),
        ("/doors/new", {"siteId": "1", "name": "Gate", "strikeSeconds": "5", "heldSeconds": "30"}),
        ("/controllers/new", {"name": "Eve"}),
        ("/settings/schedules/new", {"name": "Always", **DAYS}),
    ],
)
async def test_what_is_sent_twice_is_made_once(town: Town, form: str, fields: dict[str, str]) -> None:
    async with opened_house(town) as house, browser(town) as http:
        before = sum(map(len, await everything(house)))
        sent = {"csrf": proof_in((await http.get(form)).text), **fields}
        first = await http.post(form, data=sent)
        second = await http.post(form, data=sent)
        assert (first.status_code, second.status_code) == (303, 303), second.text
        assert second.headers["location"] == first.headers["location"]
        assert sum(map(len, await everything(house))) == before + 1
        both = await asyncio.gather(*(http.post(form, data={**sent, "name": "Once more"}) for _ in range(2)))
        assert {answer.status_code for answer in both} <= {303, 409}
        assert sum(map(len, await everything(house))) == before + 2, "a form that says something else is another"


async def test_the_same_visitor_can_be_booked_again(town: Town) -> None:
    async with opened_house(town) as house, browser(town) as http:
        for _ in range(2):
            assert (await send(http, "/visitors/book", **VISIT)).status_code == 303
        assert len((await house.alice.page_meetings()).items) == 2
