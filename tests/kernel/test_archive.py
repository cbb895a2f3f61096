from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import asyncpg
import msgspec
import pytest

from latchwork.cloud.kernel.archive import BrokenArchive, DatabaseNotEmpty, backup, restore
from latchwork.cloud.kernel.migrate import SchemaNewer, migrate
from latchwork.cloud.kernel.postgres import PostgresFailed, tool

DOORS = "create table doors (id int generated always as identity primary key, name text not null unique);"
BELLS = """
create type tone as enum ('low', 'high');
create table bells (door int not null references doors, tone tone not null);
create function ring() returns int language sql as 'select count(*)::int from bells';
alter table doors add column floor int not null default 0;
"""


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_doors.sql").write_text(DOORS)
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "monday.latchwork"


@pytest.fixture
async def dsn(empty_dsn: str, migrations: Path) -> str:
    """A database with the first schema and two doors, one of them with a difficult name."""
    await migrate(empty_dsn, migrations)
    await tell(empty_dsn, "insert into doors (name) values ('Front'), (E'Bäck\\t\\\\.\\n''door''')")
    return empty_dsn


async def tell(dsn: str, statement: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def everything(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """Each table with each of its rows, each sequence with where it stands."""
    relations = await tell(
        dsn,
        "select oid::regclass::text, case relkind when 'r' then '*' else 'last_value, is_called' end from pg_class"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'S') order by 1",
    )
    return {str(name): await tell(dsn, f"select {what} from {name} order by 1") for name, what in relations}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def rewritten(archive: Path, **changes: object) -> None:
    """The archive with some claims of its manifest changed."""
    with tarfile.open(archive) as tar:
        parts = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    parts["manifest.json"] = json.dumps({**json.loads(parts["manifest.json"]), **changes}).encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))


async def test_a_backup_comes_back_into_an_empty_database_row_by_row(dsn: str, archive: Path, migrations: Path) -> None:
    before = await everything(dsn)
    made = backup(dsn, archive)
    await tell(dsn, "drop schema public cascade")
    assert restore(dsn, archive, migrations=migrations) == made
    assert await everything(dsn) == before
    assert await tell(dsn, "insert into doors (name) values ('Side') returning id") == [(3,)]


async def test_an_older_backup_over_a_newer_database_brings_back_exactly_the_old_rows(
    dsn: str, archive: Path, migrations: Path
) -> None:
    before = await everything(dsn)
    backup(dsn, archive)
    (migrations / "0002_bells.sql").write_text(BELLS)
    await migrate(dsn, migrations)
    await tell(dsn, "insert into bells values (1, 'low')")
    await tell(dsn, "update doors set name = 'Changed'  where id = 1")
    await tell(dsn, "create schema extra create table forgotten (id int)")
    restore(dsn, archive, replace=True, migrations=migrations)
    assert await everything(dsn) == before
    assert await tell(dsn, "select 1 from pg_namespace where nspname = 'extra'") == []
    assert await migrate(dsn, migrations) == ["0002_bells.sql"]
    assert await tell(dsn, "select count(*), (select count(*) from bells) from doors") == [(2, 0)]


async def test_our_own_schema_survives_the_round_trip(fresh_dsn: str, archive: Path) -> None:
    before = await everything(fresh_dsn)
    backup(fresh_dsn, archive)
    restore(fresh_dsn, archive, replace=True)
    assert await everything(fresh_dsn) == before
    assert await migrate(fresh_dsn) == []


async def test_an_archive_is_private_and_says_what_it_is(dsn: str, archive: Path) -> None:
    os.umask(0)
    made = backup(dsn, archive)
    os.umask(0o022)
    assert mode(archive) == 0o600
    assert [applied.name for applied in made.migrations] == ["0001_doors.sql"]
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["manifest.json", "dump"]
        said = json.load(tar.extractfile("manifest.json"))
    assert said == msgspec.to_builtins(made)
    assert set(said) >= {"format", "created_at", "latchwork", "migrations", "sha256"}
    assert [path.name for path in archive.parent.iterdir() if path.name.startswith(".")] == []


async def test_a_backup_of_a_cloud_at_work_is_one_consistent_snapshot(
    dsn: str, archive: Path, migrations: Path
) -> None:
    await tell(dsn, "create table a as select 0 as n; ")
    await tell(dsn, "create table b as select 0 as n")
    working = True

    async def work() -> None:
        connection = await asyncpg.connect(dsn)
        while working:
            async with connection.transaction():
                await connection.execute("update a set n = n + 1")
                await connection.execute("update b set n = n + 1")
        await connection.close()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.05)
    await asyncio.to_thread(backup, dsn, archive)
    working = False
    await task
    restore(dsn, archive, replace=True, migrations=migrations)
    assert await tell(dsn, "select a.n = b.n, a.n > 0 from a, b") == [(True, True)]


async def test_a_database_with_something_in_it_is_replaced_only_on_request(
    dsn: str, archive: Path, migrations: Path
) -> None:
    backup(dsn, archive)
    await tell(dsn, "insert into doors (name) values ('Side')")
    before = await everything(dsn)
    with pytest.raises(DatabaseNotEmpty):
        restore(dsn, archive, migrations=migrations)
    assert await everything(dsn) == before


@pytest.mark.parametrize(
    "damage", ["truncated", "empty", "text", "one bit", "no dump", "no manifest", "swapped format"]
)
async def test_a_damaged_archive_is_refused_and_changes_nothing(
    dsn: str, archive: Path, migrations: Path, damage: str
) -> None:
    backup(dsn, archive)
    content = archive.read_bytes()
    with tarfile.open(archive) as tar:
        middle = tar.getmember("dump").offset_data + tar.getmember("dump").size // 2
    match damage:
        case "truncated":
            archive.write_bytes(content[:middle])
        case "empty":
            archive.write_bytes(b"")
        case "text":
            archive.write_text("dear diary" * 1000)
        case "one bit":
            archive.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        case "no dump":
            archive.write_bytes(content.replace(b"dump\0", b"dumb\0", 1))
        case "no manifest":
            archive.write_bytes(content.replace(b"manifest.json\0", b"manifest.jsom\0", 1))
        case "swapped format":
            rewritten(archive, format=2)
    before = await everything(dsn)
    with pytest.raises(BrokenArchive):
        restore(dsn, archive, replace=True, migrations=migrations)
    assert await everything(dsn) == before


async def test_a_dump_that_breaks_in_the_middle_changes_nothing(dsn: str, archive: Path, migrations: Path) -> None:
    await tell(dsn, "create table filler as select i, md5(i::text) from generate_series(1, 20000) i")
    backup(dsn, archive)
    with tarfile.open(archive) as tar:
        dump = tar.extractfile("dump").read()
    for broken in (dump[: len(dump) * 3 // 4], dump[:-2000] + bytes(2000)):
        _forge(archive, broken)
        before = await everything(dsn)
        with pytest.raises(PostgresFailed):
            restore(dsn, archive, replace=True, migrations=migrations)
        assert await everything(dsn) == before


def _forge(archive: Path, dump: bytes) -> None:
    """An archive whose digest is right and whose dump is not."""
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))
    manifest["sha256"] = hashlib.sha256(dump).hexdigest()
    with tarfile.open(archive, "w") as tar:
        for name, content in (("manifest.json", json.dumps(manifest).encode()), ("dump", dump)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))


async def test_a_restore_killed_half_way_changes_nothing(dsn: str, archive: Path, migrations: Path) -> None:
    await tell(dsn, "create table filler as select i, md5(i::text) from generate_series(1, 300000) i")
    backup(dsn, archive)
    await tell(dsn, "insert into doors (name) values ('Newer')")
    script = (
        "import sys; from pathlib import Path; from latchwork.cloud.kernel.archive import restore;"
        "restore(sys.argv[1], Path(sys.argv[2]), replace=True, migrations=Path(sys.argv[3]))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, dsn, str(archive), str(migrations)])
    working = "select 1 from pg_stat_activity where query ilike 'copy public.filler%' and datname = current_database()"
    while process.poll() is None and not await tell(dsn, working):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert await tell(dsn, "select count(*) from doors where name = 'Newer'") == [(1,)]
    assert await tell(dsn, "select count(*) from filler") == [(300_000,)]


async def test_an_archive_of_a_newer_version_is_refused(dsn: str, archive: Path, migrations: Path) -> None:
    backup(dsn, archive)
    (migrations / "0001_doors.sql").unlink()
    before = await everything(dsn)
    with pytest.raises(SchemaNewer, match=r"0001_doors\.sql"):
        restore(dsn, archive, replace=True, migrations=migrations)
    assert await everything(dsn) == before


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file that we or our children write can become larger than this: to them, the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_backup_without_room_leaves_the_older_archive_and_no_litter(
    dsn: str, archive: Path, migrations: Path
) -> None:
    backup(dsn, archive)
    old = archive.read_bytes()
    await tell(dsn, "create table filler as select i, md5(i::text) from generate_series(1, 20000) i")
    for room in (100_000, 20_000):
        with room_for(room), pytest.raises((PostgresFailed, OSError)):
            backup(dsn, archive)
    assert archive.read_bytes() == old
    assert {path.name for path in archive.parent.iterdir()} == {archive.name, migrations.name}


async def test_a_backup_of_a_database_that_is_not_there_fails_and_writes_nothing(dsn: str, archive: Path) -> None:
    with pytest.raises(PostgresFailed, match="does not exist"):
        backup(dsn.replace("/test_", "/missing_"), archive)
    assert not archive.exists()


def test_the_programs_for_archives_come_with_us() -> None:
    for name in ("pg_dump", "pg_restore", "psql"):
        assert tool(name).is_file()
        assert tool(name, 18).is_file()
