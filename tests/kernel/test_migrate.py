from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from latchwork.cloud.kernel.migrate import (
    MigrationChanged,
    MigrationFailed,
    MigrationMisnamed,
    MigrationSkipped,
    SchemaNewer,
    migrate,
    read,
)

DOORS = "create table doors (id int primary key, name text not null);\ninsert into doors values (1, 'Front');"
BELLS = "create table bells (door int references doors);"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_doors.sql").write_text(DOORS)
    (tmp_path / "0002_bells.sql").write_text(BELLS)
    return tmp_path


async def ask(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_migrations_are_applied_in_order_and_once(empty_dsn: str, folder: Path) -> None:
    assert await migrate(empty_dsn, folder) == ["0001_doors.sql", "0002_bells.sql"]
    assert await migrate(empty_dsn, folder) == []
    (folder / "0003_more.sql").write_text("insert into doors values (2, 'Back')")
    assert await migrate(empty_dsn, folder) == ["0003_more.sql"]
    assert await ask(empty_dsn, "select count(*) from doors") == 2
    assert await ask(empty_dsn, "select count(*) from schema_migrations where applied_at <= now()") == 3


async def test_of_many_that_migrate_at_once_exactly_one_does_the_work(empty_dsn: str, folder: Path) -> None:
    outcomes = await asyncio.gather(*(migrate(empty_dsn, folder) for _ in range(8)))
    assert sorted(map(len, outcomes)) == [0] * 7 + [2]
    assert await ask(empty_dsn, "select count(*) from doors") == 1


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_keeps_those_before(
    empty_dsn: str, folder: Path
) -> None:
    (folder / "0002_bells.sql").write_text("create table half (id int); insert into doors values (1, 'Twice');")
    with pytest.raises(MigrationFailed, match=r"0002_bells\.sql") as failure:
        await migrate(empty_dsn, folder)
    assert "Twice" not in str(failure.value)
    assert await ask(empty_dsn, "select to_regclass('half')::text") is None
    assert await ask(empty_dsn, "select string_agg(name, ' ') from schema_migrations") == "0001_doors.sql"
    (folder / "0002_bells.sql").write_text(BELLS)
    assert await migrate(empty_dsn, folder) == ["0002_bells.sql"]


async def test_an_applied_migration_cannot_be_edited(empty_dsn: str, folder: Path) -> None:
    await migrate(empty_dsn, folder)
    (folder / "0001_doors.sql").write_text(DOORS + " ")
    (folder / "0003_new.sql").write_text("create table new ()")
    with pytest.raises(MigrationChanged, match=r"0001_doors\.sql"):
        await migrate(empty_dsn, folder)
    assert await ask(empty_dsn, "select to_regclass('new')::text") is None


async def test_a_database_newer_than_the_code_is_left_alone(empty_dsn: str, folder: Path) -> None:
    await migrate(empty_dsn, folder)
    (folder / "0002_bells.sql").unlink()
    with pytest.raises(SchemaNewer, match=r"0002_bells\.sql"):
        await migrate(empty_dsn, folder)


async def test_a_database_that_skipped_a_migration_is_refused(empty_dsn: str, folder: Path) -> None:
    await migrate(empty_dsn, folder)
    await ask(empty_dsn, "delete from schema_migrations where name = '0001_doors.sql'")
    with pytest.raises(MigrationSkipped, match=r"0001_doors\.sql"):
        await migrate(empty_dsn, folder)


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_twice.sql", "0003-dash.sql", "3_short.sql", "0003_Upper.sql"])
async def test_a_gap_a_double_or_a_misnamed_file_is_refused_before_anything_happens(
    empty_dsn: str, folder: Path, name: str
) -> None:
    (folder / name).write_text("select 1")
    with pytest.raises(MigrationMisnamed):
        await migrate(empty_dsn, folder)
    assert await ask(empty_dsn, "select to_regclass('schema_migrations')::text") is None


def test_our_own_migrations_are_numbered_without_gaps() -> None:
    assert [int(migration.name[:4]) for migration in read()] == list(range(1, len(read()) + 1))


async def test_a_fresh_database_of_a_test_is_migrated(fresh_dsn: str) -> None:
    assert await migrate(fresh_dsn) == []
