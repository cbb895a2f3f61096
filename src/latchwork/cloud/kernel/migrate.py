"""The schema's history: plain SQL files `NNNN_name.sql`, applied in order, each once and in its own transaction."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

FOLDER = Path(__file__).parents[1] / "migrations"

LOCK = 0x6C617463_68776B  # "latchwk": one advisory lock for all who change the schema as a whole
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_TABLE = """
create table if not exists schema_migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""


class MigrationError(Exception):
    """The migrations of the code and those of a database do not fit together; nothing was changed."""


class MigrationMisnamed(MigrationError):
    """A file is not named NNNN_name.sql, or its number is not the next one: a gap, or twice the same."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"Migration {name} should be named {number:04}_<name>.sql, in lower case and without gaps.")


class MigrationChanged(MigrationError):
    """A file was edited after it had been applied."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Migration {name} was changed after it had been applied; write a new one instead.")


class MigrationSkipped(MigrationError):
    """The database has a later migration but lacks this one."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Migration {name} was never applied, though later ones were.")


class SchemaNewer(MigrationError):
    """The database has migrations this code does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The database has migration {name}, which this version does not know; use a newer version.")


class MigrationFailed(MigrationError):
    """The database refused a migration, which was rolled back; those before it stay. The cause is chained."""

    def __init__(self, name: str, cause: Exception) -> None:
        super().__init__(f"Migration {name} failed and was rolled back: {str(cause).partition(chr(10))[0]}")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file, known by name and the digest of its bytes."""

    name: str
    sha256: str
    sql: str


def read(folder: Path = FOLDER) -> list[Migration]:
    """The folder's migrations in order, numbered from 1 without a gap. Raises MigrationMisnamed."""
    files = sorted(folder.glob("*.sql"))
    for number, file in enumerate(files, start=1):
        match = _FILE_NAME.fullmatch(file.name)
        if not match or int(match[1]) != number:
            raise MigrationMisnamed(file.name, number)
    return [_read_file(file) for file in files]


def _read_file(file: Path) -> Migration:
    content = file.read_bytes()
    return Migration(file.name, hashlib.sha256(content).hexdigest(), content.decode())


def pending(known: Sequence[Migration], applied: Sequence[tuple[str, str]]) -> list[Migration]:
    """Which known migrations a database that has applied these (name, sha256), in order of name, still lacks.

    Raises SchemaNewer, MigrationSkipped and MigrationChanged.
    """
    names = {migration.name for migration in known}
    for name, _ in applied:
        if name not in names:
            raise SchemaNewer(name)
    for migration, (name, sha256) in zip(known, applied, strict=False):
        if migration.name != name:
            raise MigrationSkipped(migration.name)
        if migration.sha256 != sha256:
            raise MigrationChanged(name)
    return list(known[len(applied) :])


async def migrate(dsn: str, folder: Path = FOLDER) -> list[str]:
    """Bring the database up to the folder's newest schema; the names of what was applied now.

    Any number of processes may do this at once: one works, the others wait and find nothing to do.
    Raises MigrationError, before anything is changed, except for MigrationFailed.
    """
    known = read(folder)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1)", LOCK)  # ends with the connection
        await connection.execute(_TABLE)
        rows = await connection.fetch('select name, sha256 from schema_migrations order by name collate "C"')
        todo = pending(known, [(row["name"], row["sha256"]) for row in rows])
        for migration in todo:
            await _apply(connection, migration)
    finally:
        await connection.close()
    return [migration.name for migration in todo]


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "insert into schema_migrations (name, sha256) values ($1, $2)", migration.name, migration.sha256
            )
    except asyncpg.PostgresError as error:
        raise MigrationFailed(migration.name, error) from error
