"""A backup of the whole database in one file, and the way back. Blocking; for a shell or a thread, not for a request.

The file is a tar of two members, in this order: `manifest.json` (see Manifest) and `dump` (pg_dump's custom format).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import IO

import msgspec

from latchwork.cloud.kernel import migrate
from latchwork.cloud.kernel.postgres import PostgresFailed, complaint, run_tool, tool, tool_connection

FORMAT = 1
_MANIFEST, _DUMP = "manifest.json", "dump"
_MANIFEST_LIMIT = 1_000_000
_PORTABLE = ("--no-owner", "--no-privileges")

_EMPTY_IT = f"""
begin;
set local lock_timeout = '10s';
select pg_advisory_xact_lock({migrate.LOCK});
do $$
declare found name;
begin
    for found in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
        execute format('drop schema %I cascade', found);
    end loop;
end $$;
create schema public;
"""  # noqa: S608 (a constant of ours)
_IS_EMPTY = """
select not exists (
    select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
)
"""


class ArchiveError(Exception):
    """A backup could not be taken or brought back; neither the database nor an older archive was changed."""


class BrokenArchive(ArchiveError):
    """The file is not one of ours, or not whole."""


class DatabaseNotEmpty(ArchiveError):
    """There is something in the database, and nobody said that it may be replaced."""


class AppliedMigration(msgspec.Struct, frozen=True):
    """A migration that the archived database has."""

    name: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What an archive says about its dump: its digest, when and by which version it was made, and its schema."""

    format: int
    created_at: datetime
    latchwork: str
    postgres_tools: int
    """Major version of the pg_dump that wrote it; an older pg_restore cannot read it."""
    migrations: list[AppliedMigration]
    sha256: str


# Taking a backup ------------------------------------------------------------------------------------------------------


def backup(dsn: str, target: Path) -> Manifest:
    """Write a consistent snapshot of the database, which may go on working, to `target` (0600, whole or not at all).

    An archive already there is replaced once the new one is on the disk. Raises PostgresFailed and OSError.
    """
    major = _tools_major(dsn)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        dump, draft = Path(folder) / _DUMP, Path(folder) / "archive"
        run_tool("pg_dump", "--format=custom", *_PORTABLE, f"--file={dump}", dsn=dsn, major=major)
        manifest = _describe(dump, major)
        _write(draft, manifest, dump)
        draft.replace(target)
    _sync(target.parent)
    return manifest


def _tools_major(dsn: str) -> int:
    """The major version of the bundled programs that understand this server."""
    server = int(run_tool("psql", "-XAtc", "show server_version_num", dsn=dsn)) // 10_000
    return 16 if server <= 16 else 18


def _describe(dump: Path, major: int) -> Manifest:
    with dump.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Manifest(
        format=FORMAT,
        created_at=datetime.now(UTC),
        latchwork=version("latchwork"),
        postgres_tools=major,
        migrations=_migrations_in(dump, major),
        sha256=digest,
    )


def _migrations_in(dump: Path, major: int) -> list[AppliedMigration]:
    """The migrations as the dump itself has them: whatever happened since its snapshot, the two agree."""
    rows = run_tool("pg_restore", "--data-only", "--table=schema_migrations", "--file=-", str(dump), major=major)
    found = re.findall(r"^(\d{4}_[a-z0-9_]+\.sql)\t([0-9a-f]{64})\t", rows, re.MULTILINE)
    return [AppliedMigration(name, sha256) for name, sha256 in sorted(found)]


def _write(path: Path, manifest: Manifest, dump: Path) -> None:
    with _private(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        content = msgspec.json.encode(manifest)
        tar.addfile(_member(_MANIFEST, len(content)), BytesIO(content))
        with dump.open("rb") as source:
            tar.addfile(_member(_DUMP, dump.stat().st_size), source)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


@contextmanager
def _private(path: Path) -> Iterator[IO[bytes]]:
    """A new file that only we can read, on the disk when the block ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Bringing it back -----------------------------------------------------------------------------------------------------


def restore(dsn: str, source: Path, *, replace: bool = False, migrations: Path = migrate.FOLDER) -> Manifest:
    """Make the database what it was at the backup, schema included; `migrate` afterwards, if the code has grown since.

    Checks all it can first, then works in one transaction: whatever goes wrong, the database is as before. What exists
    goes only with `replace`, and the cloud must not be running on it (a lock is awaited for ten seconds). Raises
    BrokenArchive, DatabaseNotEmpty, migrate.SchemaNewer and other MigrationErrors, PostgresFailed and OSError.
    """
    with tempfile.TemporaryFile() as dump:
        manifest = _read(source, dump)
        migrate.pending(migrate.read(migrations), [(applied.name, applied.sha256) for applied in manifest.migrations])
        if not replace and run_tool("psql", "-XAtc", _IS_EMPTY, dsn=dsn).strip() != "t":
            raise DatabaseNotEmpty("There is already something in this database; it is replaced only on request.")
        _replay(dsn, dump, max(manifest.postgres_tools, _tools_major(dsn)))
    return manifest


def _read(source: Path, dump: BufferedRandom) -> Manifest:
    """The manifest of an archive that is whole, its dump copied to the given file, from where nobody can change it."""
    try:
        with source.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            manifest = _manifest(_open(tar, _MANIFEST).read(_MANIFEST_LIMIT))
            shutil.copyfileobj(_open(tar, _DUMP), dump)
    except (tarfile.TarError, EOFError, KeyError, ValueError, msgspec.MsgspecError) as error:
        raise BrokenArchive(f"{source} is not a whole archive of ours.") from error
    dump.seek(0)
    if hashlib.file_digest(dump, "sha256").hexdigest() != manifest.sha256:
        raise BrokenArchive(f"{source} was damaged: its dump does not have the digest that its manifest names.")
    dump.seek(0)
    return manifest


def _open(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    member = tar.extractfile(name)
    if member is None:
        raise KeyError(name)
    return member


def _manifest(content: bytes) -> Manifest:
    stated = msgspec.json.decode(content, type=dict[str, object]).get("format")
    if stated != FORMAT:
        raise BrokenArchive(f"The archive has format {stated}; this version reads format {FORMAT}.")
    return msgspec.json.decode(content, type=Manifest)


def _replay(dsn: str, dump: IO[bytes], major: int) -> None:
    """Empty the database and play the dump in one transaction of one session, committed only if all of it was read.

    pg_restore --single-transaction cannot do it: it drops only what the archive knows, and a newer schema has more.
    """
    address, environment = tool_connection(dsn)
    script = [str(tool("pg_restore", major)), "--file=-", *_PORTABLE]
    session = [str(tool("psql", major)), address, "-X", "--quiet", "--set=ON_ERROR_STOP=1"]
    with tempfile.TemporaryFile() as unreadable, tempfile.TemporaryFile() as refused:
        with (
            subprocess.Popen(  # noqa: S603
                session, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=refused
            ) as psql,
            subprocess.Popen(script, stdin=dump, stdout=subprocess.PIPE, stderr=unreadable) as pg_restore,  # noqa: S603
            suppress(BrokenPipeError),  # psql met an error and left; its status says so
        ):
            _play(pg_restore, psql)
        _judge("pg_restore", pg_restore.returncode if psql.returncode == 0 else 0, unreadable)
        _judge("psql", psql.returncode, refused)


def _play(pg_restore: subprocess.Popen[bytes], psql: subprocess.Popen[bytes]) -> None:
    """Only a script that came to its end is committed: if either side dies, or we do, the session ends without."""
    assert psql.stdin and pg_restore.stdout
    with psql.stdin as session:
        session.write(_EMPTY_IT.encode())
        shutil.copyfileobj(pg_restore.stdout, session)
        if pg_restore.wait() == 0:
            session.write(b"\ncommit;\n")


def _judge(name: str, status: int, errors: IO[bytes]) -> None:
    errors.seek(0)
    if status != 0:
        raise PostgresFailed(complaint(name, errors.read()))
