"""The cloud of the tests around, seen by an integrator's backend."""

from __future__ import annotations

import pytest

from cloud.cast import Account, Cloud
from cloud.people.cast import Integrator


@pytest.fixture
def vendor(cloud: Cloud, accounts: dict[str, Account]) -> Integrator:
    return Integrator(cloud.http, accounts["alice"])


@pytest.fixture
def stranger(cloud: Cloud, accounts: dict[str, Account]) -> Integrator:
    """Charlie's backend."""
    return Integrator(cloud.http, accounts["charlie"])
