from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.edge.cast import Dora, Organisation


@pytest.fixture
def alice() -> Organisation:
    """Alice's organisation."""
    return Organisation()


@pytest.fixture
async def dora(tmp_path: Path) -> AsyncIterator[Dora]:
    controller = Dora(tmp_path)
    yield controller
    await controller.close()
