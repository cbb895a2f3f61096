from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from tests.sdk.town import Town, opened_town


@pytest_asyncio.fixture
async def town(fresh_dsn: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with opened_town(fresh_dsn, tmp_path) as town:
        yield town
