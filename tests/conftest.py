"""One real PostgreSQL for the whole test session, and a fresh database in it for whoever asks."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import argon2
import asyncpg
import pytest
import pytest_asyncio

from latchwork.cloud.accounts import hashing
from latchwork.cloud.kernel.migrate import migrate
from latchwork.cloud.kernel.postgres import embedded

_TEMPLATE = "migrated"
_SHARING = {"browser", "demo", "docs", "example"}
_numbers = itertools.count(1)
_MEMORY = Path("/dev/shm")
_ROOM = 1 << 30
"""Bytes that must be free in memory for databases to be kept there: each takes ten million."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of `pytest -n auto`: tests wait for clocks, doors and browsers about as long as they compute."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a demo or a browser of their module go to one worker: others would start the same again."""
    for item in items:
        if item.path.parent.name in _SHARING:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="session", autouse=True)
def _quick_hashes() -> Iterator[None]:
    """Passwords and secrets are hashed as they are in earnest, only not a twentieth of a second long each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_hasher", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


def forget_cluster(folder: Path) -> None:
    """Remove what a test's data folder left below /var/lib when the tests run as root."""
    pointer = folder / "postgresql.location"
    if pointer.exists():
        shutil.rmtree(pointer.read_text().splitlines()[-1], ignore_errors=True)


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("latchwork-server")
    with embedded(folder) as dsn:
        yield dsn
    forget_cluster(folder)


@pytest_asyncio.fixture(scope="session")
async def _administrator(_server: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection beside the databases under test. Tests survive no power cut, so nothing waits for the disk."""
    connection = await asyncpg.connect(_server.replace("/latchwork?", "/postgres?"))
    await connection.execute("alter system set fsync = off")
    await connection.execute("select pg_reload_conf()")
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="session")
async def _where(_administrator: asyncpg.Connection) -> AsyncIterator[str]:
    """Where databases of tests are made: in memory if there is room, which takes a tenth of the time."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ROOM:
        yield ""
        return
    folder = Path(tempfile.mkdtemp(prefix="latchwork-tests-", dir=_MEMORY))
    owner = Path(await _administrator.fetchval("show data_directory")).stat()
    os.chown(folder, owner.st_uid, owner.st_gid)
    await _administrator.execute(f"create tablespace memory location '{folder}'")
    yield "tablespace memory strategy file_copy"
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session")
async def database_dsn(_server: str, _administrator: asyncpg.Connection, _where: str) -> str:
    """A migrated database shared by the session: leave it as you found it (roll back), or take `fresh_dsn`."""
    await migrate(_server)
    await _administrator.execute(f"create database {_TEMPLATE} template latchwork {_where}")
    return _server


@pytest_asyncio.fixture
async def empty_dsn(_server: str, _administrator: asyncpg.Connection, _where: str) -> AsyncIterator[str]:
    """A database of the test's own without anything in it."""
    async for dsn in _lent_database(_server, _administrator, f"template1 {_where}"):
        yield dsn


@pytest_asyncio.fixture
async def fresh_dsn(database_dsn: str, _administrator: asyncpg.Connection, _where: str) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async for dsn in _lent_database(database_dsn, _administrator, f"{_TEMPLATE} {_where}"):
        yield dsn


async def _lent_database(server: str, administrator: asyncpg.Connection, template: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    await administrator.execute(f"create database {name} template {template}")
    yield urlsplit(server)._replace(path=f"/{name}").geturl()
    await administrator.execute(f"drop database {name} with (force)")
