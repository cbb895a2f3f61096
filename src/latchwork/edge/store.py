"""The state store: what the cloud wants this controller to know, in one SQLite file.

Rules:
1. A batch counts as a whole or not at all; a batch in several chunks is staged until its last one (design §10).
2. Readers (`known.py`) have a connection and a cache of their own, for the event loop's thread alone, and never wait.
3. A record that cannot be read denies its subject: a door, a key or a card is unknown, a meeting's passes are all
   revoked, a person's cards and phones are unknown, a permission does not exist (nor one whose schedule or holidays
   cannot be read), a door whose mode cannot be read is in lockdown. Two cards with one number are both unknown.
4. A file that cannot be read is set aside: the controller then holds nothing, and the cloud sends a snapshot. Once that
   is applied, what was set aside is removed.
5. Gone is gone: what is removed or replaced is overwritten, and the write-ahead log that still holds it is cut off.
   When SQLite rearranges a page, copies of what was there may stay in its unused part, whatever `secure_delete` says.
   So a card's number is never in the file, only a hash of it, keyed with a secret of the file; and after a secret was
   removed the whole file is written anew, at once when it is small, else within TIDY_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from latchwork.edge import sqlite
from latchwork.edge.known import Known, hashed
from latchwork.edge.records import LARGEST, read, unreadable
from latchwork.wire.link import Changes, Record
from latchwork.wire.state import CardRecord

log = logging.getLogger(__name__)

_APPLICATION: Final = 0x4C575332  # "LWS2"
_COLUMNS: Final = """(
    kind text, key text, revision integer not null, body blob,
    number integer, holder text  -- instead of the body of a card: its hashed number, and whom it belongs to
)"""
_STAGED: Final = f"create table if not exists staged {_COLUMNS}"
_BY_KEY: Final = "create unique index if not exists records_by_key on records (kind, key)"
_BY_NUMBER: Final = (
    "create index if not exists records_by_number on records (number, holder, key) where number is not null"
)
_SCHEMA: Final = f"""{_STAGED};
create table if not exists records {_COLUMNS};
{_BY_KEY};
{_BY_NUMBER};
create table if not exists held (
    revision integer not null, mark blob not null, secret blob not null, untidy integer not null
);
insert into held select 0, x'', randomblob(32), 0 where not exists (select 1 from held)
"""  # noqa: S608 - constants
_SECRET_KINDS: Final = ("card", "person", "key", "phone")
"""Of which nothing must linger."""
_SMALL: Final = 4 << 20
"""Bytes that are written anew in 30 ms."""

TIDY_SECONDS: Final = 600.0

Row = tuple[str, str, int, bytes | None, int | None, str | None]


class BatchRefused(Exception):
    """A batch that does not follow from what is held; nothing was changed by it."""


@dataclass(frozen=True, slots=True)
class Held:
    """The state that the store holds; revision 0 with an empty mark: nothing."""

    revision: int
    mark: bytes


class Store(Known):
    """The records held, and the one place that changes them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._conn = sqlite.open_or_set_aside(path, lambda: sqlite.writer(path, _APPLICATION, _SCHEMA))
        super().__init__(sqlite.reader(path))
        self._thread = ThreadPoolExecutor(1, "state")
        self._batch: Changes | None = None
        self._working: set[asyncio.Future[Any]] = set()
        self._tidying: asyncio.TimerHandle | None = None
        self.on_applied: Callable[[], None] = lambda: None
        """Called on the event loop after every batch, before it is confirmed; also after one that failed."""
        self.on_unreadable: Callable[[list[Record]], None] = lambda records: None
        """Called on the event loop with the records just taken over that this controller cannot read."""

    @property
    def held(self) -> Held:
        return Held(*self._reader.execute("select revision, mark from held").fetchall()[0])

    async def settled(self) -> None:
        """Returns when nothing is being written."""
        while self._working:
            await asyncio.wait(self._working)

    def close(self) -> None:
        """Lets go of the file."""
        if self._tidying is not None:
            self._tidying.cancel()
        self._thread.shutdown()
        self._reader.close()
        self._conn.close()

    # What the link changes.

    async def apply(self, changes: Changes) -> Held | None:
        """Applies one chunk off the event loop; what is now held when the batch is complete and durable, else None.

        Raises `BatchRefused` on a chunk that does not follow from what came before. Goes on without its caller.
        """
        task = asyncio.create_task(self._apply(changes))
        self._keep(task)
        return await asyncio.shield(task)

    async def _apply(self, changes: Changes) -> Held | None:
        """Whatever goes wrong: what was read before a last chunk counts no more."""
        loop = asyncio.get_running_loop()
        try:
            held = await loop.run_in_executor(self._thread, self.apply_now, changes)
            rejected = await loop.run_in_executor(self._thread, self._rejected, changes)
            if rejected:
                self.on_unreadable(rejected)
            return held
        finally:
            if changes.last:
                self.forget_what_was_read()
                self.on_applied()
                self.tidy_later()

    def tidy_later(self) -> None:
        """Sees to it that what is left of removed secrets is overwritten; after the start and after every batch."""
        [(untidy,)] = self._reader.execute("select untidy from held").fetchall()
        if untidy and self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(TIDY_SECONDS, self._begin_tidying)

    def _begin_tidying(self) -> None:
        self._tidying = None
        self._keep(asyncio.get_running_loop().run_in_executor(self._thread, self.tidy))

    def _keep(self, work: asyncio.Future[Any]) -> None:
        self._working.add(work)
        work.add_done_callback(self._working.discard)

    def _rejected(self, changes: Changes) -> list[Record]:
        """What of a chunk that was taken in denies its subject; with the last one, also cards that share a number."""
        found = unreadable(changes.records)
        if not changes.last:
            return found
        alone = changes.first and not changes.snapshot
        return found + (self._sharing_cards(changes.records) if alone else self._all_sharing_cards())

    def _sharing_cards(self, records: list[Record]) -> list[Record]:
        """The cards whose number is also that of a card among these records."""
        numbers = {row[4] for row in map(self._row, records) if row[4] is not None}
        select = "select kind, key, revision, body from records where number = ?"
        groups = [self._conn.execute(select, (number,)).fetchall() for number in numbers]
        return [Record(*row) for group in groups if len(group) > 1 for row in group]

    def _all_sharing_cards(self) -> list[Record]:
        rows = self._conn.execute(
            "select kind, key, revision, body from records where number in"
            " (select number from records where number is not null group by number having count(*) > 1)"
        )
        return [Record(*row) for row in rows]

    def apply_now(self, changes: Changes) -> Held | None:
        """`apply` in the calling thread, without telling the readers' caches.

        What is only staged need not survive a power cut; not syncing it leaves the disk to the journal.
        """
        self._follow(changes)
        removed = self._commit(changes)
        if not changes.last:
            return None
        self._batch = None
        self._clear_away(removed, changes.snapshot)
        return Held(changes.revision, changes.mark)

    def _clear_away(self, removed: bool, everything: bool) -> None:
        """What is left of records that count no more. The batch counts, whatever becomes of this."""
        try:
            if removed:
                self._conn.execute("pragma wal_checkpoint(truncate)")
            if everything:
                sqlite.forget_set_aside(self._path)
            if self._path.stat().st_size <= _SMALL:
                self.tidy()
        except (sqlite3.Error, OSError) as error:
            log.error("what was removed cannot be cleared away: %s; with the next change again", error)

    def tidy(self) -> None:
        """Writes the file anew if a secret was removed from it; in the thread that applies."""
        try:
            if self._conn.execute("select untidy from held").fetchone()[0]:
                self._conn.execute("vacuum")
                self._conn.execute("update held set untidy = 0")
                self._conn.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.Error as error:
            log.error("the records cannot be written anew: %s; with the next change again", error)

    def _commit(self, changes: Changes) -> bool:
        """One transaction; True when something was removed that must not linger in the log."""
        try:
            self._conn.execute(f"pragma synchronous = {'full' if changes.last else 'normal'}")
            self._conn.execute("begin immediate")
            removed = self._write(changes)
            self._conn.execute("commit")
        except BaseException:
            self._batch = None
            if self._conn.in_transaction:
                self._conn.execute("rollback")
            raise
        return removed

    def _follow(self, changes: Changes) -> None:
        """Refuses what cannot come next; a first chunk forgets a batch that was never finished."""
        if not all(
            0 <= number <= LARGEST for number in (changes.revision, *(each.revision for each in changes.records))
        ):
            raise BatchRefused("a revision is out of range")
        if changes.first:
            self._refuse_older(changes)
            self._batch = changes
        elif self._batch is None or _batch_of(changes) != _batch_of(self._batch):
            self._batch = None
            raise BatchRefused("a chunk came without the batch it belongs to")

    def _refuse_older(self, changes: Changes) -> None:
        row = self._conn.execute("select revision, mark from held").fetchone()
        older = changes.revision < row[0] or (changes.revision == row[0] and changes.mark != row[1])
        if not changes.snapshot and older:
            raise BatchRefused(f"changes to revision {changes.revision} do not follow from {row[0]}")

    def _write(self, changes: Changes) -> bool:
        """Inside the transaction; True when something was removed."""
        removed = changes.first and self._conn.execute("delete from staged").rowcount > 0
        if changes.first and changes.last and not changes.snapshot:
            removed |= self._merge(changes.records)
        else:
            self._stage(changes.records)
            if changes.last:
                removed |= self._swap() if changes.snapshot else self._merge_staged()
        if changes.last:
            untidy = removed and _may_concern_secrets(changes)
            self._conn.execute(
                "update held set revision = ?, mark = ?, untidy = max(untidy, ?)",
                (changes.revision, changes.mark, untidy),
            )
        return removed

    def _stage(self, records: Iterable[Record]) -> None:
        self._conn.executemany("insert into staged values (?, ?, ?, ?, ?, ?)", map(self._row, records))

    def _merge(self, records: list[Record]) -> bool:
        """Nearly always a handful."""
        here = [record for record in records if record.body is not None]
        removed = any(self._replaces_secret(record) for record in here)
        self._conn.executemany("insert or replace into records values (?, ?, ?, ?, ?, ?)", map(self._row, here))
        gone = [(record.kind, record.key) for record in records if record.body is None]
        self._conn.executemany("delete from records where kind = ? and key = ?", gone)
        return removed or bool(gone)

    def _replaces_secret(self, record: Record) -> bool:
        if record.kind not in _SECRET_KINDS:
            return False
        kind, key, _, *content = self._row(record)
        select = "select body, number, holder from records where kind = ? and key = ?"
        return any(before != tuple(content) for before in self._conn.execute(select, (kind, key)).fetchall())

    def _merge_staged(self) -> bool:
        self._keep_the_last_of_each("staged")
        [(removed,)] = self._conn.execute("select exists (select 1 from staged where body is null)").fetchall()
        gone = self._conn.execute("delete from records where (kind, key) in (select kind, key from staged)")
        self._conn.execute("insert into records select * from staged where body is not null")
        self._conn.execute("delete from staged")
        return bool(removed) or gone.rowcount > 0

    def _swap(self) -> bool:
        """The staged records become the records; what they were is dropped.

        They get their indexes only now: in whatever order records come, sorting them once costs least.
        """
        self._conn.execute("drop table records")
        self._conn.execute("alter table staged rename to records")
        try:
            self._conn.execute(_BY_KEY)
        except sqlite3.IntegrityError:
            self._keep_the_last_of_each("records")
            self._conn.execute(_BY_KEY)
        self._conn.execute("delete from records where body is null")
        self._conn.execute(_BY_NUMBER)
        self._conn.execute(_STAGED)
        return True

    def _keep_the_last_of_each(self, table: str) -> None:
        self._conn.execute(
            f"delete from {table} where rowid not in (select max(rowid) from {table} group by kind, key)"  # noqa: S608
        )

    def _row(self, record: Record) -> Row:
        """The record as it is stored; of a card that can be read, without its body."""
        card = None
        if record.kind == "card" and record.body is not None:
            card = read(CardRecord, record.key, record.body)
        if card is None:
            return record.kind, record.key, record.revision, record.body, None, None
        return record.kind, record.key, record.revision, b"", hashed(card.number, self._secret), str(card.user)


def _may_concern_secrets(changes: Changes) -> bool:
    """A snapshot needs no tidying: it leaves nothing of the table before."""
    several = not (changes.first and changes.last)
    return not changes.snapshot and (several or any(record.kind in _SECRET_KINDS for record in changes.records))


def _batch_of(changes: Changes) -> tuple[int, bytes, bool]:
    return changes.revision, changes.mark, changes.snapshot
