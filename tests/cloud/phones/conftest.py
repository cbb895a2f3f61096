from __future__ import annotations

import pytest_asyncio

from cloud.cast import Account, Client
from cloud.phones.cast import App, installed


@pytest_asyncio.fixture
async def bob(alice: Client) -> int:
    """Works here, and may open the front door and the laboratory."""
    made = await alice.post("/v1/users", {"name": "Bob", "accessPoints": [1, 2]})
    return int(made["id"])


@pytest_asyncio.fixture
async def app(alice: Client, accounts: dict[str, Account], bob: int) -> App:
    """On Bob's phone; its session has not begun yet."""
    return await installed(alice.cloud, accounts["alice"], bob)
