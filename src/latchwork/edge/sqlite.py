"""How the controller opens its SQLite files: write-ahead log, every commit on the disk, erased means erased."""

from __future__ import annotations

import glob
import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

Opened = TypeVar("Opened")

_COMPANIONS = ("", "-wal", "-shm")


class Unreadable(Exception):
    """The file is not one that this program wrote, or not whole any more."""


def writer(path: Path, application: int, schema: str) -> sqlite3.Connection:
    """The file's one writing connection, usable from any one thread at a time; raises `Unreadable`.

    `application` (a 32-bit number) tells our files from others and one layout from the next.
    """
    path.touch(mode=0o600)
    _read_ahead(path)
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    try:
        conn.execute("pragma journal_mode = wal")
        conn.execute("pragma synchronous = full")
        conn.execute("pragma secure_delete = on")
        _check(conn, application)
        conn.executescript(f"begin immediate; pragma application_id = {application}; {schema}; commit")
    except sqlite3.DatabaseError as error:
        conn.close()
        raise Unreadable(str(error)) from error
    except Unreadable:
        conn.close()
        raise
    return conn


def reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read; what it reads is always one committed state."""
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    conn.execute("pragma query_only = on")
    return conn


def open_or_set_aside(path: Path, attempt: Callable[[], Opened]) -> Opened:
    """What `attempt` opens at `path`; when the file is unreadable it is renamed and `attempt` makes a new one."""
    try:
        return attempt()
    except Unreadable as error:
        log.error("%s is unreadable (%s): set aside, starting without it", path.name, error)
        _set_aside(path)
        return attempt()


def forget_set_aside(path: Path) -> None:
    """Removes what was ever set aside of this file; what it held is in its successor, or must not be held any more."""
    for file in path.parent.glob(f"{glob.escape(path.name)}*.unreadable-*"):
        file.unlink(missing_ok=True)


def _read_ahead(path: Path) -> None:
    """Reads the whole file in order: the check would fetch its pages from the disk one by one, which takes ten times
    as long."""
    piece = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def _check(conn: sqlite3.Connection, application: int) -> None:
    found = conn.execute("pragma application_id").fetchone()[0]
    if found != application and conn.execute("select count(*) from sqlite_schema").fetchone()[0]:
        raise Unreadable("the file belongs to something else")
    verdict = conn.execute("pragma quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise Unreadable(verdict)


def _set_aside(path: Path) -> None:
    stamp = f".unreadable-{time.time_ns()}"
    for companion in _COMPANIONS:
        file = path.with_name(path.name + companion)
        if file.exists():
            file.rename(file.with_name(file.name + stamp))
