from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.chromium import chromium
from tests.browser.house import House
from tests.demo.running import Running, start

expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    running = start(None)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def house(demo: Running) -> House:
    return House(demo)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
