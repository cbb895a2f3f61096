"""The handful of records that matter to one attempt, gathered from the business rows.

It knows what the door's controller is told, no more: a person without a permission at any of its doors is unknown to
it, and so here. A door without a controller is judged as if one knew everything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import asyncpg
import msgspec

from latchwork.cloud.controllers import store as controllers
from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.cloud.passages import store
from latchwork.cloud.passages.model import Gathered, Judged
from latchwork.cloud.people import store as people
from latchwork.cloud.people.desired import ways, weekly
from latchwork.policy.decide import decide
from latchwork.policy.model import (
    Attempt,
    BrokenPass,
    CardRead,
    Degraded,
    Direction,
    Door,
    DoorMode,
    Grant,
    Mode,
    Person,
    PhoneProof,
    RemoteUnlock,
    Snapshot,
    VerifiedPass,
    VerifiedPhoneCode,
    Way,
)
from latchwork.policy.reasons import Reason
from latchwork.wire import p256, pass_
from latchwork.wire.api.people import Access


async def judge(conn: Connection, scope: Scope, attempt: Attempt, user: int | None = None) -> Judged:
    """What `decide` says on the cloud's own records; raises NotFound for a door that is not the organisation's.

    `user`: whose credential it is, where what was shown does not tell.
    """
    gathered = await gather(conn, scope, attempt, user)
    return Judged(attempt, decide(gathered.snapshot, attempt), gathered)


async def gather(conn: Connection, scope: Scope, attempt: Attempt, user: int | None = None) -> Gathered:
    """As `judge`, without the decision. The cloud takes the link to be up: it is what the doors hear from."""
    row = await store.get_door(conn, scope, attempt.access_point)
    key = str(row["id"])
    base = Gathered(
        Snapshot(door=_door(row), mode=_mode(row), synced_at=attempt.at),
        row["controller_id"],
        frozenset({("door", key), ("mode", key)}),
    )
    match attempt.evidence:
        case VerifiedPass() as shown:
            return await _with_visit(conn, scope, base, attempt, shown)
        case BrokenPass(reason):
            return _also(base, {("key", "*")} if reason is Reason.PASS_UNKNOWN_KEY else set())
        case CardRead(number) if user is None:
            card = await people.find_card(conn, scope, number)
            # which record an unknown card had at the door, nobody can tell any more
            base = _also(base, {("card", str(card.id) if card else "*")})
            return await _with_person(conn, scope, base, card.user_id if card else None, row)
        case RemoteUnlock(asking):
            return await _with_person(conn, scope, base, asking, row)
        case _:
            return await _with_person(conn, scope, base, user, row)


async def _with_visit(
    conn: Connection, scope: Scope, base: Gathered, attempt: Attempt, shown: VerifiedPass
) -> Gathered:
    used = await store.first_used_at(
        conn, scope, shown.visitor, p256.b64url(shown.pass_id), attempt.access_point, attempt.direction
    )
    below = await store.refuse_below(conn, scope, shown.meeting, base.controller)
    snapshot = replace(base.snapshot, refuse_below=below, first_used_at=used)
    return _also(replace(base, snapshot=snapshot), {("revocation", str(shown.meeting)), ("key", "*")})


async def _with_person(
    conn: Connection, scope: Scope, base: Gathered, user: int | None, door: asyncpg.Record
) -> Gathered:
    if user is None:
        return base
    rests_on = {("person", str(user)), ("grant", f"{user}.{door['id']}"), ("holidays", str(door["site_id"]))}
    row = await store.find_person(conn, scope, user, door["id"], base.controller)
    if row is None:
        return _also(base, rests_on)
    if row["schedule_id"] is not None:
        rests_on |= {("schedule", str(row["schedule_id"]))}
    snapshot = replace(
        base.snapshot,
        person=_person(row),
        grant=_grant(row),
        holidays=frozenset(day.toordinal() for day in door["holidays"]),
    )
    return _also(replace(base, snapshot=snapshot, schedule=row["schedule_id"]), rests_on)


def _also(gathered: Gathered, rests_on: Collection[tuple[str, str]]) -> Gathered:
    return replace(gathered, rests_on=gathered.rests_on.union(rests_on))


async def evidence_of_qr(conn: Connection, scope: Scope, text: str) -> VerifiedPass | VerifiedPhoneCode | BrokenPass:
    """What a QR says when one of the organisation's keys has signed it."""
    rows = {row.kid: row for row in await controllers.pass_keys(conn, scope)}

    def find(kid: bytes) -> pass_.PassKey | None:
        row = rows.get(kid)
        return None if row is None else pass_.PassKey(kid, "organisation", p256.load_public(row.public_key))

    return pass_.verify(text, find)


def evidence_of_user(way: Way, user: int, at: float) -> CardRead | VerifiedPhoneCode | PhoneProof | RemoteUnlock:
    """What the user shows; the card's number is none, and means any of theirs."""
    match way:
        case Way.CARD:
            return CardRead(0)
        case Way.MOBILE:
            return VerifiedPhoneCode(b"", b"", int(at))
        case Way.TAP:
            return PhoneProof(b"")
        case Way.REMOTE:
            return RemoteUnlock(user)


def _door(row: asyncpg.Record) -> Door:
    readers = ((Direction.ENTRY, row["entry_reader"]), (Direction.EXIT, row["exit_reader"]))
    return Door(
        id=row["id"],
        name=row["name"],
        readers=frozenset(direction for direction, reader in readers if reader is not None),
        degraded=Degraded(row["degraded"]),
        single_use=row["single_use"],
        offline_limit=row["offline_limit"],
        needs_pin=row["needs_pin"],
        timezone=row["timezone"],
    )


def _mode(row: asyncpg.Record) -> DoorMode:
    return DoorMode(Mode(row["mode"]), row["until"]) if row["mode"] else DoorMode(Mode.ACCESS_CONTROL)


def _person(row: asyncpg.Record) -> Person:
    return Person(
        id=row["id"],
        is_active=row["is_active"],
        ways=frozenset(map(Way, ways(msgspec.json.decode(row["access"], type=Access)))),
        expires_at=row["access_expires_at"],
        pin_salt=row["pin_salt"],
        pin_hash=row["pin_hash"],
    )


def _grant(row: asyncpg.Record) -> Grant | None:
    if not row["has_grant"]:
        return None
    if row["schedule_id"] is None:
        return Grant(row["starts_at"], row["ends_at"])
    return Grant(row["starts_at"], row["ends_at"], weekly(row))
