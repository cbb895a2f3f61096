"""The cloud of the tests around, Bob who works for Alice, and Dora's line."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from cloud.cast import Client, Line, Script


@pytest_asyncio.fixture
async def bob(alice: Client) -> int:
    """Bob may open the front door, and has the card 4000123."""
    draft = {"name": "Bob", "employeeCode": "E7", "email": "bob@example.org", "accessPoints": [1]}
    user = await alice.post("/v1/users", draft)
    await alice.post(f"/v1/users/{user['id']}/cards", {"number": 4000123})
    return int(user["id"])


@pytest_asyncio.fixture
async def line(dora: Script, bob: int) -> AsyncIterator[Line]:
    """Dora, linked and in step."""
    async with dora.linked() as line:
        await line.take_state()
        yield line
