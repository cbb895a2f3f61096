from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.example.desk import House, opened_house


@pytest_asyncio.fixture
async def house(fresh_dsn: str, tmp_path: Path) -> AsyncIterator[House]:
    async with opened_house(fresh_dsn, tmp_path) as house:
        yield house
