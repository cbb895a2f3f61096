"""Kind `reader`: the organisation certifies the key with which a controller's readers prove themselves to phones.

A controller names that key in its hello. A certificate follows from the organisation's newest key for readers, the
controller's key and the instant from which it counts (RFC 6979), so that computing it again gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import asyncpg

from latchwork.cloud.controllers import desired, store
from latchwork.cloud.controllers.model import Computed, Desired, ReaderKeyRow
from latchwork.cloud.events import store as event_log
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.work import SYSTEM, Connection, Database, Scope, Touched, Work
from latchwork.wire import certificate, p256, state

CERTIFIED_FOR: Final = 366 * 86_400
CERTIFIED_ANEW: Final = 180 * 86_400
"""Seconds after which certificates are made anew, whether their controller is linked or not."""


async def note_key(work: Work, seal: Seal, controller: int, key: bytes) -> None:
    """What a hello says: a key that is new is certified; none, and nothing is."""
    if key == await store.get_reader_key(work.conn, work.scope, controller):
        return
    await event_log.lock(work.conn, work.scope)
    if key:
        await ensure_signing_key(work, seal)
    await store.put_reader_key(work.conn, work.scope, controller, key, work.now)
    await _certify_anew(work, controller)


async def renew(database: Database, now: int) -> None:
    """Certifies the keys anew that were certified long ago."""
    async with database.connection() as conn:
        due = await store.certified_before(conn, now - CERTIFIED_ANEW)
    for organisation in due:
        await database.run(Scope(organisation), SYSTEM, now, _renew)


async def _renew(work: Work) -> None:
    await event_log.lock(work.conn, work.scope)
    for controller in await store.renew_certified(work.conn, work.scope, work.now - CERTIFIED_ANEW, work.now):
        await _certify_anew(work, controller)


async def _certify_anew(work: Work, controller: int) -> None:
    doors = await store.door_ids(work.conn, work.scope, controller)
    work.touch("reader", *(name for door in doors for name in _names(door)))


async def ensure_signing_key(work: Work, seal: Seal) -> None:
    """The organisation has a key that signs certificates from now on."""
    await event_log.lock(work.conn, work.scope)
    if not await store.reader_keys(work.conn, work.scope):
        key = p256.new_key()
        point = p256.public_bytes(key.public_key())
        sealed = seal.close(p256.private_bytes(key), _purpose(work.scope))
        await store.add_reader_key(work.conn, work.scope, ReaderKeyRow(p256.kid(point), point, sealed, work.now))


def certifying(seal: Seal) -> desired.Compute:
    """The function that computes a record for each reader of the doors whose controller has named a key."""
    keys: dict[bytes, p256.PrivateKey] = {}

    async def readers(conn: Connection, scope: Scope, touched: Touched) -> tuple[Computed, ...]:
        changed = touched.doors | {int(key) for key in touched.subjects.get("door", ())}
        names = set(touched.subjects.get("reader", ())) | {name for door in changed for name in _names(door)}
        if not (names or touched.controllers):
            return ()
        doors = None if touched.controllers else sorted({int(name.partition(".")[0]) for name in names})
        rows = await store.reader_records(conn, scope, doors, list(touched.controllers) or None)
        signing = (await store.reader_keys(conn, scope))[:1] if rows else []
        records = tuple(record for row in rows for key in signing for record in _records(scope, row, key))
        return (Computed("reader", frozenset(names) | {r.key for r in records}, records),)

    def _records(scope: Scope, row: asyncpg.Record, signing: ReaderKeyRow) -> list[Desired]:
        if signing.kid not in keys:
            keys[signing.kid] = p256.load_private(seal.open(signing.sealed_private_key, _purpose(scope)))
        sides = (("entry", row["entry_reader"]), ("exit", row["exit_reader"]))
        return [
            Desired(
                row["controller_id"],
                "reader",
                f"{row['id']}.{side}",
                _body(scope, row, side, signing, keys[signing.kid]),
            )
            for side, reader in sides
            if reader is not None
        ]

    return readers


def _body(scope: Scope, row: asyncpg.Record, side: str, signing: ReaderKeyRow, key: p256.PrivateKey) -> bytes:
    said = certificate.ReaderCertificate(
        site=certificate.site_id(scope.organisation, row["site_id"]),
        reader=certificate.reader_id(row["id"], side == "exit"),
        public_key=row["reader_key"],
        issued_at=row["certified_at"],
        expires_at=row["certified_at"] + CERTIFIED_FOR,
    )
    return state.codec.encode(state.ReaderRecord(certificate.certify(said, signing.kid, key)))


def _names(door: int) -> Collection[str]:
    return f"{door}.entry", f"{door}.exit"


def _purpose(scope: Scope) -> str:
    return f"readers {scope.organisation}"
