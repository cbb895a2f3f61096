from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from tests.sdk.town import Town, opened_town


@pytest_asyncio.fixture
async def town(fresh_dsn: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with opened_town(fresh_dsn, tmp_path) as town:
        yield town


@pytest.fixture(params=["asyncio", "blocking"])
def either(town: Town, request: pytest.FixtureRequest) -> Town:
    """The town, once with asyncio's client and once with the one without await: both keep the same promises."""
    return replace(town, blocking=request.param == "blocking")
