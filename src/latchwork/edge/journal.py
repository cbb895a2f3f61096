"""The journal: what happened here, until the cloud has it, in an SQLite file of its own.

Rules:
1. Every start of the program begins a journal with a new random id and entries numbered 1, 2, … without gaps, whatever
   fails. An entry keeps the id and the number it was born with. So a restored older copy of the file can only repeat
   what the cloud has met, and never gives a number to something else.
2. A grant and the use of its pass or code are one transaction: who was let in is remembered after a restart.
3. One thread writes. Whatever waits while it commits goes into its next transaction (group commit).
4. What could not be made durable raises `JournalUnavailable` to whoever wanted it written, and left nothing behind.
5. What the cloud has is deleted with the next transaction. Until then it is held, and offered again on the next link.
6. An earlier journal is remembered after its last entry (the latest `wire.link.MOST_FORMER` are): a cloud that was set
   back learns from it what is lost.
7. A file that is lost or unreadable is replaced by an empty one.
8. Wrong PINs are remembered here by the key of the card's record, so that a restart forgets none.
9. What a phone made of a door's mode is remembered with the entry that tells it, until the cloud has taken it over.
10. Only a card shown to be enrolled is here by its number, until the cloud has it; then it is overwritten, and the
   write-ahead log that still holds it is cut off.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from latchwork.edge import sqlite
from latchwork.edge.slowdown import FORGOTTEN_AFTER, Misses
from latchwork.policy.model import Mode, VerifiedPhoneCode
from latchwork.wire import facts
from latchwork.wire.link import MOST_FORMER, Former

log = logging.getLogger(__name__)

_APPLICATION: Final = 0x4C574A32  # "LWJ2"
_SCHEMA: Final = """
create table if not exists books (book integer primary key, journal blob not null unique, next integer not null);
create table if not exists entries (
    book integer, number integer, body blob not null, primary key (book, number)
) without rowid;
create table if not exists uses (
    pass_id blob, door integer, direction text, first_at real not null, expires_at real not null,
    book integer not null, number integer not null, primary key (pass_id, door, direction)
) without rowid;
create index if not exists uses_by_entry on uses (book, number);
create table if not exists local_modes (
    book integer, number integer, door integer not null, mode text not null, revision integer not null,
    primary key (book, number)
) without rowid;
create table if not exists misses (
    card text primary key, count integer not null, last_at real not null
) without rowid;
create table if not exists marks (base_clock real not null, heard_at real);
insert into marks select 0, null where not exists (select 1 from marks)
"""
_OLDEST_HELD: Final = """
select journal, coalesce((select min(number) from entries where entries.book = books.book), next) from books
"""
_BACKLOG: Final = """
select coalesce(sum(next - case when book = ? then ? else
    coalesce((select min(number) from entries where entries.book = books.book), next) end), 0)
from books where book >= ?
"""
_PAGE: Final = 4096
_GROUP: Final = 256
_QUICK_PAGES: Final = 512
"""Are written anew within 20 ms."""
_NOTHING: Final = (0, 0)


class JournalUnavailable(Exception):
    """The journal could not make an entry durable."""


@dataclass(frozen=True, slots=True)
class Use:
    """A pass opens a door in a direction; `expires_at`: when this need not be remembered any more."""

    pass_id: bytes
    door: int
    direction: str
    first_at: float
    expires_at: float


CODE_USES: Final = (0, "")
"""In place of door and direction: a phone's code opens one door of the controller, once."""


def code_id(code: VerifiedPhoneCode) -> bytes:
    """What a phone's code is remembered by, in place of a pass's id: no phone can use up another one's."""
    return code.key + code.pass_id


@dataclass(frozen=True, slots=True)
class LocalMode:
    """A mode that a phone gave a door, and that the cloud may not know of yet."""

    door: int
    mode: Mode
    revision: int
    """Of the mode record that was held then; 0: none."""
    entry: tuple[bytes, int] = (b"", 0)
    """The journal and the number of the fact that tells it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What the journal knows of the past: the latest base clock, and when the cloud was last heard (None: never)."""

    base_clock: float
    heard_at: float | None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of one journal, numbered first, first + 1, …; `book` is the journal's place in the file."""

    book: int
    journal: bytes
    first: int
    bodies: list[bytes]

    @property
    def next(self) -> int:
        """The number after the last one."""
        return self.first + len(self.bodies)


Write = Callable[[sqlite3.Connection], int]
"""Runs inside a transaction of the writer's thread; its answer is handed to whoever submitted it."""


class Journal:
    """Entries, uses and marks. `append` and its like may be called from the event loop; they write in one thread."""

    def __init__(self, path: Path, *, max_bytes: int = 1 << 30, commit_delay: float = 0) -> None:
        """`max_bytes` bounds the file, so that a long offline spell cannot fill the disk for everything else.

        `commit_delay` (seconds, slept by the writer's thread just before each COMMIT) stands in for a slower disk.
        """
        self._conn = sqlite.open_or_set_aside(path, lambda: sqlite.writer(path, _APPLICATION, _SCHEMA))
        self._conn.execute(f"pragma max_page_count = {max(max_bytes // _PAGE, 1)}")
        self._reader = sqlite.reader(path)
        self._commit_delay = commit_delay
        self.id = os.urandom(16)
        """The present journal's; the file learns it with the first entry."""
        self._taken = _NOTHING
        """(book, number): the cloud has every entry before this one."""
        self.settled_by = 0
        """The revision of the state that holds what followed in the cloud from the entries that it has."""
        self._secret = self._last_entry()
        """The last entry that may hold a card's number; of those of earlier runs nobody knows."""
        self._using: dict[Future[int], Use] = {}
        """The uses under way."""
        self._queue: SimpleQueue[tuple[Write, Future[int]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()
        self.on_appended: Callable[[], None] = lambda: None
        """Called in the writer's thread after every commit."""

    def close(self) -> None:
        """Writes what waits, then lets go of the file."""
        self._queue.put(None)
        self._thread.join()
        self._reader.close()
        self._conn.close()

    # Reading. Event loop's thread only.

    @property
    def next(self) -> int:
        """The number that the next entry will get."""
        number: int = self._one("select coalesce((select next from books where journal = ?), 1)", self.id)[0]
        return number

    @property
    def first(self) -> int:
        """The number of the present journal's oldest entry held; `next` when there is none."""
        rows = self._reader.execute(f"{_OLDEST_HELD} where journal = ?", (self.id,)).fetchall()
        number: int = rows[0][1] if rows else 1
        return number

    @property
    def former(self) -> tuple[Former, ...]:
        """The journals before this one, latest first."""
        rows = self._reader.execute(
            f"{_OLDEST_HELD} where journal != ? order by book desc limit ?", (self.id, MOST_FORMER)
        ).fetchall()
        return tuple(Former(journal, number) for journal, number in rows)

    @property
    def marks(self) -> Marks:
        return Marks(*self._one("select base_clock, heard_at from marks"))

    def page(self, limit: int, max_bytes: int) -> Page | None:
        """The oldest entries that the cloud is not known to have: of one journal, without a hole.

        At most `limit`, together at most `max_bytes`, but at least one; None when there are none.
        """
        rows = self._reader.execute(
            "select book, journal, number, body from entries join books using (book)"
            " where (book, number) >= (?, ?) order by book, number limit ?",
            (*self._taken, limit),
        ).fetchall()
        if not rows:
            return None
        book, journal, first, _ = rows[0]
        bodies = [body for place, (of, _, number, body) in enumerate(rows, first) if (of, number) == (book, place)]
        return Page(book, journal, first, _fitting(bodies, max_bytes))

    @property
    def backlog(self) -> int:
        """How many entries, of all journals, the cloud is not known to have."""
        book, number = self._taken
        count: int = self._one(_BACKLOG, book, number, book)[0]
        return count

    def first_used_at(self, pass_id: bytes, door: int, direction: str) -> float | None:
        """When this pass first opened this door in this direction, or None."""
        wanted = pass_id, door, direction
        for use in tuple(self._using.values()):
            if (use.pass_id, use.door, use.direction) == wanted:
                return use.first_at
        rows = self._reader.execute(
            "select first_at from uses where pass_id = ? and door = ? and direction = ?", wanted
        ).fetchall()
        return rows[0][0] if rows else None

    def local_modes(self) -> dict[int, LocalMode]:
        """The latest local mode of each door that has one."""
        rows = self._reader.execute(
            "select door, mode, revision, journal, number from local_modes join books using (book)"
            " order by book, number"
        ).fetchall()
        return {door: LocalMode(door, Mode(mode), seen, (of, number)) for door, mode, seen, of, number in rows}

    def is_taken(self, entry: tuple[bytes, int]) -> bool:
        """Whether the cloud has this entry."""
        rows = self._reader.execute(
            "select 1 from entries join books using (book)"
            " where journal = ? and number = ? and (book, number) >= (?, ?)",
            (*entry, *self._taken),
        )
        return not rows.fetchall()

    def misses(self) -> dict[str, Misses]:
        """The wrong PINs remembered, by the key of the card's record."""
        rows = self._reader.execute("select card, count, last_at from misses").fetchall()
        return {card: Misses(count, last_at) for card, count, last_at in rows}

    def _last_entry(self) -> tuple[int, int]:
        rows = self._reader.execute(
            "select book, number from entries order by book desc, number desc limit 1"
        ).fetchall()
        return rows[0] if rows else _NOTHING

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._reader.execute(query, values).fetchall()[0]
        return row

    # Writing.

    async def append(self, fact: facts.AnyFact, base_clock: float, use: Use | None = None) -> int:
        """Makes a fact durable and answers its number; raises `JournalUnavailable`."""
        return await asyncio.wrap_future(self.submit(fact, base_clock, use))

    def submit(
        self, fact: facts.AnyFact, base_clock: float, use: Use | None = None, local: LocalMode | None = None
    ) -> Future[int]:
        """`append` without waiting, with what goes into the same transaction: the use of a pass, a door's local mode.

        The future can be cancelled until its transaction begins. A use counts from now on, unless it fails.
        """
        body = facts.codec.encode(fact)
        if isinstance(fact, facts.CardPresented):
            return self._submit(lambda conn: self._append_secret(conn, body, base_clock))
        future = self._submit(lambda conn: _append(conn, self.id, body, base_clock, use, local))
        if use is not None:
            self._using[future] = use
            future.add_done_callback(self._using.pop)
        return future

    def withhold(self, fact: facts.StrikeWithheld, base_clock: float) -> Future[int]:
        """Appends that an earlier grant came too late, and forgets the use that the grant remembered."""
        body = facts.codec.encode(fact)
        return self._submit(lambda conn: _withhold(conn, self.id, body, base_clock, fact.number))

    def committed(self, page: Page, revision: int = 0) -> None:
        """Lets go of every entry up to the end of this page, because the cloud has it.

        `revision`: from which on the state holds what followed from them; 0: nothing did.

        They go with the next transaction, at the latest with the next minute's mark: a transaction of their own would
        make the next door wait for it, and wear out the disk twice as fast.
        """
        self._taken = page.book, page.next
        self.settled_by = max(self.settled_by, revision)

    def offer_again(self) -> None:
        """Pages begin anew with the oldest entry held: the cloud may have been set back since it took them."""
        self._taken, self.settled_by = _NOTHING, 0

    def remember_misses(self, card: str, misses: Misses) -> Future[int]:
        """Remembers the wrong PINs behind a card."""
        return self._submit(lambda conn: _remember_misses(conn, card, misses))

    def forget_local_mode(self, local: LocalMode) -> Future[int]:
        """Forgets a door's local mode and those before it."""
        return self._submit(lambda conn: _forget_local_mode(conn, local))

    def forget_misses(self, card: str) -> Future[int]:
        return self._submit(lambda conn: conn.execute("delete from misses where card = ?", (card,)).rowcount)

    def mark(self, marks: Marks, now: float) -> Future[int]:
        """Remembers the clock and the cloud's last word, and forgets uses that expired, and wrong PINs that were
        forgiven, before `now`."""
        return self._submit(lambda conn: _mark(conn, marks, now))

    def renew(self) -> None:
        """Begins another journal, as a start does; the entries held stay what they are."""
        self.id = os.urandom(16)

    def _submit(self, write: Write) -> Future[int]:
        future: Future[int] = Future()
        self._queue.put((write, future))
        return future

    def _write_all(self) -> None:
        while (item := self._queue.get()) is not None:
            group = [item]
            while len(group) < _GROUP and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    self._queue.put(None)
                    break
                group.append(following)
            self._commit([(write, future) for write, future in group if future.set_running_or_notify_cancel()])

    def _commit(self, group: Sequence[tuple[Write, Future[int]]]) -> None:
        """One transaction for the whole group; a failure fails everybody in it and leaves nothing of it."""
        taken = self._taken
        try:
            self._conn.execute("begin immediate")
            self._conn.execute("delete from entries where (book, number) < (?, ?)", taken)
            answers = [write(self._conn) for write, _ in group]
            if self._commit_delay:
                time.sleep(self._commit_delay)
            self._conn.execute("commit")
        except Exception as error:
            self._roll_back(error)
            for _, future in group:
                future.set_exception(JournalUnavailable(type(error).__name__))
            return
        if _NOTHING < self._secret < taken:
            self._cut_log()
        for (_, future), answer in zip(group, answers, strict=True):
            future.set_result(answer)
        with suppress(RuntimeError):  # an event loop that closed meanwhile
            self.on_appended()

    def _append_secret(self, conn: sqlite3.Connection, body: bytes, base_clock: float) -> int:
        number = _append(conn, self.id, body, base_clock)
        [(book,)] = conn.execute("select book from books where journal = ?", (self.id,)).fetchall()
        self._secret = book, number
        return number

    def _cut_log(self) -> None:
        """Leaves nothing of a card's number that was let go, not even in unused parts of pages (`store.py`, rule 5).

        If that fails now, or would keep a door waiting, the next transaction does it.
        """
        with suppress(sqlite3.Error):
            [(pages,)] = self._conn.execute(
                "select page_count - freelist_count from pragma_page_count, pragma_freelist_count"
            ).fetchall()
            if pages <= _QUICK_PAGES:
                self._conn.execute("vacuum")
                [(busy, *_)] = self._conn.execute("pragma wal_checkpoint(truncate)").fetchall()
                self._secret = self._secret if busy else _NOTHING

    def _roll_back(self, error: Exception) -> None:
        log.error("the journal cannot be written: %s", error)
        try:
            if self._conn.in_transaction:
                self._conn.execute("rollback")
            self._conn.execute("pragma wal_checkpoint(passive)")
        except sqlite3.Error:
            log.error("the journal cannot be rolled back; the next attempt begins anew")


def _append(
    conn: sqlite3.Connection,
    journal: bytes,
    body: bytes,
    base_clock: float,
    use: Use | None = None,
    local: LocalMode | None = None,
) -> int:
    book, number = _next(conn, journal)
    conn.execute("insert into entries (book, number, body) values (?, ?, ?)", (book, number, body))
    conn.execute("update marks set base_clock = max(base_clock, ?)", (base_clock,))
    if use is not None:
        conn.execute(
            "insert into uses (pass_id, door, direction, first_at, expires_at, book, number)"
            " values (?, ?, ?, ?, ?, ?, ?)"
            " on conflict do update set book = excluded.book, number = excluded.number",
            (use.pass_id, use.door, use.direction, use.first_at, use.expires_at, book, number),
        )
    if local is not None:
        conn.execute(
            "insert into local_modes (book, number, door, mode, revision) values (?, ?, ?, ?, ?)",
            (book, number, local.door, local.mode.value, local.revision),
        )
    return number


def _next(conn: sqlite3.Connection, journal: bytes) -> tuple[int, int]:
    """The next entry's book and number. The first one of a journal opens its book, and closes the oldest empty ones."""
    book, number = conn.execute(
        "insert into books (journal, next) values (?, 2)"
        " on conflict (journal) do update set next = next + 1 returning book, next - 1",
        (journal,),
    ).fetchall()[0]
    if number == 1:
        conn.execute(
            "delete from books where book < ? and not exists (select 1 from entries where entries.book = books.book)"
            " and not exists (select 1 from local_modes where local_modes.book = books.book)",
            (book - MOST_FORMER,),
        )
    return book, number


def _withhold(conn: sqlite3.Connection, journal: bytes, body: bytes, base_clock: float, number: int) -> int:
    conn.execute(
        "delete from uses where book = (select book from books where journal = ?) and number = ?", (journal, number)
    )
    return _append(conn, journal, body, base_clock)


def _forget_local_mode(conn: sqlite3.Connection, local: LocalMode) -> int:
    journal, number = local.entry
    return conn.execute(
        "delete from local_modes where door = ? and (book, number) <= ((select book from books where journal = ?), ?)",
        (local.door, journal, number),
    ).rowcount


def _remember_misses(conn: sqlite3.Connection, card: str, misses: Misses) -> int:
    values = (card, misses.count, misses.last_at)
    return conn.execute("insert or replace into misses (card, count, last_at) values (?, ?, ?)", values).rowcount


def _mark(conn: sqlite3.Connection, marks: Marks, now: float) -> int:
    conn.execute("delete from uses where expires_at < ?", (now,))
    conn.execute("delete from misses where last_at < ?", (now - FORGOTTEN_AFTER,))
    return conn.execute(
        "update marks set base_clock = max(base_clock, ?), heard_at = coalesce(?, heard_at)",
        (marks.base_clock, marks.heard_at),
    ).rowcount


def _fitting(bodies: list[bytes], max_bytes: int) -> list[bytes]:
    total = 0
    for count, body in enumerate(bodies):
        total += len(body)
        if count and total > max_bytes:
            return bodies[:count]
    return bodies
