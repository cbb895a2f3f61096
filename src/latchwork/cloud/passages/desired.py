"""Kind `mode`, and who the facts of doors are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

from latchwork.cloud.controllers import store as controllers
from latchwork.cloud.controllers.model import Computed, Desired
from latchwork.cloud.kernel.work import Connection, Scope, Touched
from latchwork.cloud.passages import store
from latchwork.cloud.people import store as people
from latchwork.cloud.phones import store as phones
from latchwork.wire import facts, state
from latchwork.wire.api.events import Actor


async def modes(conn: Connection, scope: Scope, touched: Touched) -> tuple[Computed, ...]:
    """One record per door that has a mode and a controller."""
    doors = touched.doors | {int(key) for key in touched.subjects.get("mode", ())}
    if not (doors or touched.controllers):
        return ()
    only = None if touched.controllers else sorted(doors)
    rows = await store.mode_records(conn, scope, only, list(touched.controllers) or None)
    records = tuple(
        Desired(
            row["controller_id"],
            "mode",
            str(row["access_point_id"]),
            state.codec.encode(state.ModeRecord(mode=row["mode"], until=row["until"])),
        )
        for row in rows
    )
    return (Computed("mode", frozenset(map(str, doors)) | {r.key for r in records}, records),)


async def describe(conn: Connection, scope: Scope, about: Sequence[facts.AnyFact]) -> list[dict[str, Any]]:
    """Of each attempt: the user by name, even one who is gone; the card's last digits; the phone; who asked for it."""
    decided = [fact for fact in about if isinstance(fact, facts.AccessDecided)]
    users = sorted({fact.user for fact in decided if fact.user is not None})
    cards = {int(fact.card) for fact in decided if _is_card(fact.card)}
    kids = {fact.phone for fact in decided if fact.phone is not None}
    ids = {fact.command for fact in decided if fact.command is not None}
    named = await people.name_users(conn, scope, users) if users else {}
    if gone := set(users) - named.keys():
        late = await store.name_gone_users(conn, scope, gone)
        named |= {user: (name, "") for user, name in late.items()}
    digits = await store.card_digits(conn, scope, cards) if cards else {}
    known = await phones.name_phones(conn, scope, kids) if kids else {}
    actors = await controllers.command_actors(conn, scope, ids) if ids else {}
    return [_described(fact, named, digits, known, actors) for fact in about]


def _described(
    fact: facts.AnyFact,
    users: dict[int, tuple[str, str]],
    digits: dict[int, str],
    known: dict[str, tuple[int, str]],
    actors: dict[int, Actor],
) -> dict[str, Any]:
    if not isinstance(fact, facts.AccessDecided):
        return {}
    said: dict[str, Any] = {}
    if fact.user in users:
        said["userName"], said["employeeCode"] = users[fact.user]
    if _is_card(fact.card) and int(fact.card) in digits:
        said["cardLastDigits"] = digits[int(fact.card)]
    if fact.phone in known:
        said["phoneId"], said["phoneName"] = known[fact.phone]
    if fact.command in actors:
        said["requestedBy"] = actors[fact.command]
    return said


def _is_card(key: str | None) -> TypeGuard[str]:
    """Whether a card record could have this key."""
    return key is not None and key.isascii() and key.isdecimal() and len(key) < 19
