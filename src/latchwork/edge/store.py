"""The state store: what the cloud wants this controller to know, in one SQLite file.

Rules:
1. A batch counts as a whole or not at all; a batch in several chunks is staged until its last one (design §10).
2. Readers have their own connection and cache, used by the event loop's thread alone, and never wait for the writer.
3. A record that cannot be read denies its subject: a door or a key is unknown, a meeting's passes are all revoked.
4. A file that cannot be read is set aside: the controller then holds nothing, and the cloud sends a snapshot.
5. Gone is gone: what is removed is overwritten, and the write-ahead log that still holds it is cut off.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from latchwork.edge import sqlite
from latchwork.policy.model import Degraded, Direction, Door
from latchwork.wire import p256, state
from latchwork.wire.link import Changes, Record
from latchwork.wire.pass_ import PassKey
from latchwork.wire.state import DoorRecord, KeyRecord, RevocationRecord, StateRecord

REFUSE_EVERY_VERSION: Final = 2**63
"""Above every version that a pass can carry."""

_APPLICATION: Final = 0x4C575331  # "LWS1"
_STAGED: Final = """
create table if not exists staged (
    kind text, key text, revision integer not null, body blob, primary key (kind, key)
) without rowid
"""
_SCHEMA: Final = f"""{_STAGED};
create table if not exists records (
    kind text, key text, revision integer not null, body blob, primary key (kind, key)
) without rowid;
create table if not exists held (revision integer not null, mark blob not null);
insert into held select 0, x'' where not exists (select 1 from held);
delete from staged
"""  # noqa: S608 - two constants
_LARGEST: Final = 2**63 - 1
"""What an SQLite integer can hold."""
_CACHED: Final = 1024

Body = TypeVar("Body", bound=StateRecord)


class BatchRefused(Exception):
    """A batch that does not follow from what is held; nothing was changed by it."""


@dataclass(frozen=True, slots=True)
class Held:
    """The state that the store holds; revision 0 with an empty mark: nothing."""

    revision: int
    mark: bytes


class Store:
    """The records held, and the one place that changes them."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite.open_or_set_aside(path, lambda: sqlite.writer(path, _APPLICATION, _SCHEMA))
        self._reader = sqlite.reader(path)
        self._thread = ThreadPoolExecutor(1, "state")
        self._batch: Changes | None = None
        self._doors: dict[int, DoorRecord] | None = None
        self._keys: dict[bytes, PassKey] = {}
        self._applying: set[asyncio.Task[Held | None]] = set()
        self.on_applied: Callable[[], None] = lambda: None
        """Called on the event loop after every batch, before it is confirmed."""
        self.on_unreadable: Callable[[list[Record]], None] = lambda records: None
        """Called on the event loop with the records just taken over that this controller cannot read."""

    @property
    def held(self) -> Held:
        return Held(*self._reader.execute("select revision, mark from held").fetchall()[0])

    async def settled(self) -> None:
        """Returns when no chunk is being applied."""
        if self._applying:
            await asyncio.wait(self._applying)

    def close(self) -> None:
        """Lets go of the file."""
        self._thread.shutdown()
        self._reader.close()
        self._conn.close()

    # What a decision asks. Event loop's thread only.

    def doors(self) -> dict[int, DoorRecord]:
        """Every readable door by its id."""
        if self._doors is None:
            rows = self._reader.execute("select key, body from records where kind = 'door'").fetchall()
            read = ((key, _read(DoorRecord, key, body)) for key, body in rows)
            self._doors = {int(key): record for key, record in read if record is not None}
        return self._doors

    def door(self, door: int) -> Door | None:
        """The door as the decision knows it, or None."""
        record = self.doors().get(door)
        return None if record is None else _policy_door(door, record)

    def key(self, kid: bytes) -> PassKey | None:
        """The key that may sign under this kid, or None."""
        known = self._keys.get(kid)
        if known is None:
            known = self._find_key(kid)
            if known is not None:
                if len(self._keys) >= _CACHED:
                    self._keys.clear()
                self._keys[kid] = known
        return known

    def refuse_below(self, meeting: int) -> int:
        """Passes of this meeting with a version below the answer are revoked."""
        body = self._body("revocation", str(meeting))
        if body is None:
            return 0
        record = _read(RevocationRecord, str(meeting), body)
        return REFUSE_EVERY_VERSION if record is None else record.refuse_below

    def _find_key(self, kid: bytes) -> PassKey | None:
        body = self._body("key", kid.hex())
        record = None if body is None else _read(KeyRecord, kid.hex(), body)
        return None if record is None else PassKey(kid, record.kind, p256.load_public(record.public_key))

    def _body(self, kind: str, key: str) -> bytes | None:
        rows = self._reader.execute("select body from records where kind = ? and key = ?", (kind, key)).fetchall()
        return rows[0][0] if rows else None

    # What the link changes.

    async def apply(self, changes: Changes) -> Held | None:
        """Applies one chunk off the event loop; what is now held when the batch is complete and durable, else None.

        Raises `BatchRefused` on a chunk that does not follow from what came before. Goes on without its caller.
        """
        task = asyncio.create_task(self._apply(changes))
        self._applying.add(task)
        task.add_done_callback(self._applying.discard)
        return await asyncio.shield(task)

    async def _apply(self, changes: Changes) -> Held | None:
        loop = asyncio.get_running_loop()
        held = await loop.run_in_executor(self._thread, self.apply_now, changes)
        rejected = await loop.run_in_executor(self._thread, unreadable, changes.records)
        if rejected:
            self.on_unreadable(rejected)
        if held is not None:
            self._doors = None
            self._keys.clear()
            self.on_applied()
        return held

    def apply_now(self, changes: Changes) -> Held | None:
        """`apply` in the calling thread, without telling the readers' caches.

        What is only staged need not survive a power cut; not syncing it leaves the disk to the journal.
        """
        self._follow(changes)
        removed = self._commit(changes)
        if not changes.last:
            return None
        self._batch = None
        if removed:
            self._conn.execute("pragma wal_checkpoint(truncate)")
        return Held(changes.revision, changes.mark)

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
            0 <= number <= _LARGEST for number in (changes.revision, *(each.revision for each in changes.records))
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
        if changes.first:
            self._conn.execute("delete from staged")
        if changes.first and changes.last and not changes.snapshot:
            removed = self._merge(changes.records)
        else:
            self._stage(changes.records)
            removed = changes.last and (self._swap() if changes.snapshot else self._merge_staged())
        if changes.last:
            self._conn.execute("update held set revision = ?, mark = ?", (changes.revision, changes.mark))
        return removed

    def _stage(self, records: Iterable[Record]) -> None:
        self._conn.executemany(
            "insert or replace into staged (kind, key, revision, body) values (?, ?, ?, ?)",
            [(record.kind, record.key, record.revision, record.body) for record in records],
        )

    def _merge(self, records: list[Record]) -> bool:
        self._conn.executemany(
            "insert or replace into records (kind, key, revision, body) values (?, ?, ?, ?)",
            [(record.kind, record.key, record.revision, record.body) for record in records if record.body is not None],
        )
        gone = [(record.kind, record.key) for record in records if record.body is None]
        self._conn.executemany("delete from records where kind = ? and key = ?", gone)
        return bool(gone)

    def _merge_staged(self) -> bool:
        self._conn.execute("insert or replace into records select * from staged where body is not null")
        gone = self._conn.execute(
            "delete from records where (kind, key) in (select kind, key from staged where body is null)"
        )
        self._conn.execute("delete from staged")
        return gone.rowcount > 0

    def _swap(self) -> bool:
        """The staged records become the records; what they were is dropped."""
        self._conn.execute("delete from staged where body is null")
        self._conn.execute("drop table records")
        self._conn.execute("alter table staged rename to records")
        self._conn.execute(_STAGED)
        return True


def unreadable(records: Iterable[Record]) -> list[Record]:
    """Those of the records that this controller cannot read or does not know the kind of; tombstones are never."""
    return [
        record
        for record in records
        if record.body is not None and not _is_readable(record.kind, record.key, record.body)
    ]


def _is_readable(kind: str, key: str, body: bytes) -> bool:
    wanted = _KINDS.get(kind)
    return wanted is not None and _read(wanted, key, body) is not None


def _read(wanted: type[Body], key: str, body: bytes) -> Body | None:
    """The record in a body when it is of the wanted type and makes sense under its key, else None."""
    try:
        record = state.codec.decode(body)
        return record if isinstance(record, wanted) and _makes_sense(record, key) else None
    except (msgspec.MsgspecError, ValueError):
        return None


def _makes_sense(record: StateRecord, key: str) -> bool:
    """True when every value is one that can be acted on; may raise ValueError instead of answering False."""
    match record:
        case DoorRecord():
            seconds = (record.strike_seconds, record.held_seconds)
            limited = record.offline_limit is None or record.offline_limit >= 0
            return _is_id(key) and limited and all(math.isfinite(each) and 0 < each <= 86400 for each in seconds)
        case KeyRecord():
            p256.load_public(record.public_key)
            return p256.kid(record.public_key).hex() == key
        case RevocationRecord():
            return _is_id(key) and record.refuse_below >= 0


def _is_id(key: str) -> bool:
    """True for an id as we write them: decimal, no sign, no leading zero."""
    return key.isascii() and key.isdigit() and str(int(key)) == key


def _policy_door(door: int, record: DoorRecord) -> Door:
    sides = ((Direction.ENTRY, record.entry_reader), (Direction.EXIT, record.exit_reader))
    return Door(
        id=door,
        name=record.name,
        readers=frozenset(side for side, reader in sides if reader is not None),
        degraded=Degraded(record.degraded),
        single_use=record.single_use,
        offline_limit=record.offline_limit,
    )


def _batch_of(changes: Changes) -> tuple[int, bytes, bool]:
    return changes.revision, changes.mark, changes.snapshot


_KINDS: Final[dict[str, type[StateRecord]]] = {
    "door": DoorRecord,
    "key": KeyRecord,
    "revocation": RevocationRecord,
}
