"""Time zones are those of the tzdata package on every side; what the machine has instead makes no difference."""

from __future__ import annotations

import shutil
import zoneinfo
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from cloud.cast import Client, problem
from cloud.people.cast import Integrator


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[None]:
    """A machine with odd ideas: in Berlin it is as late as in Tokyo, and there is a city on Mars."""
    here = tmp_path / "zoneinfo"
    for name in ("Europe/Berlin", "Mars/Olympus"):
        (here / name).parent.mkdir(parents=True)
        tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo")
        with tokyo.open("rb") as source, (here / name).open("wb") as target:
            shutil.copyfileobj(source, target)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(here)])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath(before)
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("machine")
async def test_a_day_ends_when_it_does_at_the_doors_whatever_the_machine_knows(
    vendor: Integrator, alice: Client
) -> None:
    id = await vendor.create(accessData={"accessExpiresAt": "2031-05-01"})
    assert (await vendor.user(id))["accessExpiresAt"] == "2031-05-01T21:59:59Z"
    assert await vendor.ids(accessExpiresAt="2031-05-01") == [id]
    await alice.post("/v1/users/import", {"csv": f"id,accessExpiresAt\r\n{id},2031-01-01T10:00\r\n"})
    assert (await vendor.user(id))["accessExpiresAt"] == "2031-01-01T09:00:00Z"


@pytest.mark.usefixtures("machine")
async def test_a_site_cannot_be_where_its_doors_know_no_time(alice: Client) -> None:
    refused = problem(await alice.call("POST", "/v1/sites", json={"name": "Olympus", "timezone": "Mars/Olympus"}))
    assert [error["field"] for error in refused["errors"]] == ["timezone"]
