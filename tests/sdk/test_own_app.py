"""Somebody who is logged in begins a session in an app of their own: it is theirs, and reaches what is theirs alone."""

from __future__ import annotations

import pytest
import pytest_asyncio
from tests.cloud.sessions.test_log_in import employed, logged_in, until_refused
from tests.sdk.pocket import AppOf
from tests.sdk.town import CLOUD, Town

from latchwork.sdk.access import Access
from latchwork.sdk.client import Client
from latchwork.sdk.refusals import SessionOver
from latchwork.sdk.wallet import MemoryWallet
from latchwork.wire.api.problems import Forbidden


@pytest_asyncio.fixture
async def ada(town: Town) -> int:
    return await employed(town)


async def begun(town: Town, ada: int) -> Client:
    """What Ada's own app calls with, whose session she began herself."""
    token = (await (await logged_in(town)).begin_own_app_session()).token
    return await AppOf(town.client(town.alice), ada, token).caller()


async def test_a_phone_is_enrolled_without_any_client(town: Town, ada: int) -> None:
    offer = await (await logged_in(town)).begin_own_app_session()
    phone = Access(CLOUD, MemoryWallet(), transport=town.line())
    await phone.log_in(offer.token)
    made = await phone.enrol("Chrome on Linux")
    assert [each.id for each in await phone.phones()] == [made.id]
    alice = town.client(town.alice)
    [session] = await alice.list_app_sessions(ada)
    assert (session.client_id, session.client_name, session.phone_id) == (None, None, made.id)
    last = [event for event in (await alice.page_events(0, limit=200)).events if event.type == "app_session_begun"]
    assert [(event.actor.name, event.data) for event in last] == [("Ada", {"appSessionId": session.id})]
    with pytest.raises(SessionOver):
        await Access(CLOUD, MemoryWallet(), transport=town.line()).log_in(offer.token)


async def test_it_reaches_what_is_its_users_own_and_nothing_of_their_roles(town: Town, ada: int) -> None:
    app = await begun(town, ada)
    who = await app.whoami()
    assert (who.user_id, who.user_name, who.scopes) == (ada, "Ada", [])
    assert (await app.get_keyring()).user_id == ada
    for asking in (app.list_terms(), app.page_users(), app.list_sessions(), app.begin_own_app_session()):
        with pytest.raises(Forbidden):
            await asking


async def test_no_client_begins_one_for_somebody(town: Town, ada: int) -> None:
    alice = town.client(town.alice)
    for client in (alice, alice.acting_for(ada)):
        with pytest.raises(Forbidden):
            await client.begin_own_app_session()


async def test_it_ends_within_a_second_as_any_other_does(town: Town, ada: int) -> None:
    alice, app = town.client(town.alice), await begun(town, ada)
    await alice.end_app_session(ada, (await alice.list_app_sessions(ada))[0].id)
    await until_refused(app, 1)
    other = await begun(town, ada)
    await alice.remove_user(ada)
    await until_refused(other, 1)
