from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.demo.running import Running, start


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("demo"))
    yield running
    if running.process.poll() is None:
        running.stop()
