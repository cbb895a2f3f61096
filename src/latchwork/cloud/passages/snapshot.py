"""The handful of records that matter to one attempt, gathered from the business rows.

It knows what the door's controller is told, no more: a person without a permission at any of its doors is unknown to
it, and so here. A door without a controller is judged as if one knew everything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import asyncpg

from latchwork.cloud.controllers import store as controllers
from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.cloud.passages import store
from latchwork.cloud.passages.model import Gathered, Judged
from latchwork.cloud.people import store as people
from latchwork.cloud.people.desired import person_of, weekly
from latchwork.cloud.phones import store as phones
from latchwork.cloud.phones.model import Purpose
from latchwork.policy.decide import LEEWAY, decide
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
        case PhoneProof(point) if user is None:
            return await _with_phone(conn, scope, base, p256.kid(point), "tap", row)
        case VerifiedPhoneCode() as code if user is None:
            return await _with_code(conn, scope, base, attempt, code, row)
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


async def _with_phone(
    conn: Connection, scope: Scope, base: Gathered, key: bytes, purpose: Purpose, door: asyncpg.Record
) -> Gathered:
    holder = await phones.find_holder(conn, scope, key.hex())
    user = holder.user if holder is not None and holder.purpose == purpose else None
    return await _with_person(conn, scope, _also(base, {("phone", key.hex())}), user, door)


async def _with_code(
    conn: Connection, scope: Scope, base: Gathered, attempt: Attempt, code: VerifiedPhoneCode, door: asyncpg.Record
) -> Gathered:
    gathered = await _with_phone(conn, scope, base, code.key, "code", door)
    if gathered.snapshot.person is None:
        return gathered
    used = await store.code_used_at(
        conn,
        scope,
        gathered.snapshot.person.id,
        p256.b64url(code.pass_id),
        attempt.access_point,
        code.issued_at - LEEWAY,
    )
    return replace(gathered, snapshot=replace(gathered.snapshot, first_used_at=used))


def _also(gathered: Gathered, rests_on: Collection[tuple[str, str]]) -> Gathered:
    return replace(gathered, rests_on=gathered.rests_on.union(rests_on))


async def evidence_of_qr(conn: Connection, scope: Scope, text: str) -> VerifiedPass | VerifiedPhoneCode | BrokenPass:
    """What a QR says when one of the organisation's keys, or the key of one of its phones, has signed it."""
    keys = {
        row.kid: pass_.PassKey(row.kid, "organisation", p256.load_public(row.public_key))
        for row in await controllers.pass_keys(conn, scope)
    }
    asked: list[bytes] = []
    pass_.verify(text, asked.append)
    for kid in asked:
        holder = await phones.find_holder(conn, scope, kid.hex())
        if holder is not None and holder.purpose == "code":
            keys.setdefault(kid, pass_.PassKey(kid, "phone", p256.load_public(holder.public_key)))
    return pass_.verify(text, keys.get)


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
        site=row["site_id"],
    )


def _mode(row: asyncpg.Record) -> DoorMode:
    return DoorMode(Mode(row["mode"]), row["until"]) if row["mode"] else DoorMode(Mode.ACCESS_CONTROL)


def _person(row: asyncpg.Record) -> Person:
    told = person_of(row)
    return Person(
        id=row["id"],
        is_active=told.is_active,
        ways=frozenset(map(Way, told.ways)),
        expires_at=told.expires_at,
        pin_salt=told.pin_salt,
        pin_hash=told.pin_hash,
        click_range=told.click_range,
        steers=frozenset(told.steers),
        steers_everywhere=told.steers_everywhere,
    )


def _grant(row: asyncpg.Record) -> Grant | None:
    if not row["has_grant"]:
        return None
    if row["schedule_id"] is None:
        return Grant(row["starts_at"], row["ends_at"])
    return Grant(row["starts_at"], row["ends_at"], weekly(row))
