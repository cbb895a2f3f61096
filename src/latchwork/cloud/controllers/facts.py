"""Facts become events: each journal entry exactly once, in its order, whatever the link does."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from latchwork.cloud.controllers import store
from latchwork.cloud.controllers.model import Held
from latchwork.cloud.events import service as events
from latchwork.cloud.events import store as event_log
from latchwork.cloud.kernel.work import Connection, Scope, Work
from latchwork.cloud.sites import store as sites
from latchwork.wire import facts, p256
from latchwork.wire.api.events import EventType
from latchwork.wire.api.problems import Unavailable
from latchwork.wire.cards import last_digits
from latchwork.wire.link import Committed, Facts, Former, Hello

Describe: TypeAlias = Callable[[Connection, Scope, Sequence[facts.AnyFact]], Awaitable[list[dict[str, Any]]]]
"""Who each fact is about, as they are called today: the log keeps these names."""

Witness: TypeAlias = Callable[[Work, Held, Sequence[facts.AnyFact]], Awaitable[None]]
"""Does what follows from facts of a controller in the unit of work that takes them; each fact comes once."""

_DOOR_CHANGES: Final[dict[str, EventType]] = {
    "opened": "door_opened",
    "closed": "door_closed",
    "forced": "door_forced",
    "held": "door_held",
    "unforced": "door_secured",
    "request_to_exit": "request_to_exit",
    "fire_release": "fire_released",
    "fire_clear": "fire_cleared",
    "held_open": "door_unlocked",
    "locked_down": "door_locked_down",
    "normal": "door_back_to_normal",
}


async def take(
    work: Work,
    held: Held,
    session: int,
    message: Facts,
    describers: Sequence[Describe],
    witnesses: Sequence[Witness],
    told: Committed | None = None,
) -> Committed | None:
    """Appends what is new of these facts to the log, and lets others act on it.

    Answers the next number wanted, and by which revision of the state all of that is settled; None when the session is
    over. `told`: the latest that this session knows the log to
    have. Raises Unavailable when the log was set back since: the next hello says what the controller still holds.
    """
    wanted = await store.lock_journal(work.conn, work.scope, held.controller, session, message.journal)
    if wanted is None:
        return None
    if told is not None and await store.committed(work.conn, held.controller, told.journal) < told.next:
        raise Unavailable("The log was set back.")
    if message.first > wanted:
        wanted = await _skip(work, held, message.journal, wanted, message.first)
    bodies = message.bodies[wanted - message.first :]
    if bodies:
        known = await _record(work, held, message.journal, wanted, bodies, describers)
        for witness in witnesses:
            await witness(work, held, known)
        wanted += len(bodies)
        await store.commit_journal(work.conn, held.controller, message.journal, wanted)
    return Committed(message.journal, wanted, await _settled_by(work, held))


async def _settled_by(work: Work, held: Held) -> int:
    """The revision to which the end of this unit of work may bring the controller's state; 0: it changes none."""
    if not work.touched:
        return 0
    await event_log.lock(work.conn, work.scope)
    revision, _ = await store.present_revision(work.conn, held.controller)
    return revision + 1


async def miss(work: Work, held: Held, session: int, hello: Hello) -> Committed | None:
    """Notes what this controller has let go of and the log, set back since, does not have.

    Answers the latest that the log knows of then. A controller tells its journals in order, so a log that has what
    was let go of one has that of those before, too.
    """
    let_go = [each for each in (Former(hello.journal, hello.first), *hello.former) if each.first > 1]
    for each in let_go:
        if await store.committed(work.conn, held.controller, each.journal) >= each.first:
            break
        wanted = await store.lock_journal(work.conn, work.scope, held.controller, session, each.journal)
        if wanted is not None and wanted < each.first:
            await _skip(work, held, each.journal, wanted, each.first)
    return Committed(let_go[0].journal, let_go[0].first) if let_go else None


async def _skip(work: Work, held: Held, journal: bytes, wanted: int, first: int) -> int:
    """Notes that the numbers from `wanted` to before `first` will never come; answers the next number wanted."""
    gap = {"journal": journal.hex(), "from": wanted, "to": first - 1}
    events.record(work, "journal_gap", f"controller/{held.controller}", data=gap)
    await store.commit_journal(work.conn, held.controller, journal, first)
    return first


async def _record(
    work: Work, held: Held, journal: bytes, start: int, bodies: Sequence[bytes], describers: Sequence[Describe]
) -> list[facts.AnyFact]:
    """Records an event for each body; answers the facts that could be read."""
    read = [_readable(body) for body in bodies]
    known = [fact for fact in read if fact is not None]
    names = await sites.name_doors(work.conn, work.scope, sorted({door for f in known if (door := _door_of(f))}))
    about = iter(await _described(work, known, describers))
    for number, fact in enumerate(read, start):
        origin = {"controllerId": held.controller, "journal": journal.hex(), "journalNumber": number}
        if fact is None:
            events.record(work, "unreadable_fact", f"controller/{held.controller}", data=origin)
            continue
        _record_one(work, held, fact, {**origin, **_place(fact, names), **next(about)})
    return known


async def _described(
    work: Work, known: Sequence[facts.AnyFact], describers: Sequence[Describe]
) -> list[dict[str, Any]]:
    """What all describers say of each fact."""
    told = [await describe(work.conn, work.scope, known) for describe in describers]
    return [{name: value for said in each for name, value in said.items()} for each in zip(*told, strict=True)]


def _record_one(work: Work, held: Held, fact: facts.AnyFact, data: dict[str, Any]) -> None:
    subject = f"controller/{held.controller}"
    match fact:
        case facts.AccessDecided():
            granted = fact.reason == "granted"
            data |= _access(fact)
            subject = f"access_point/{fact.door}"
            events.record(work, "access_granted" if granted else "access_refused", subject, data=data, at=fact.at)
            if fact.shared_suspected:
                events.record(work, "pass_shared_suspected", subject, data=data, at=fact.at)
        case facts.StrikeWithheld():
            data |= {"grantNumber": fact.number}
            events.record(work, "strike_withheld", f"access_point/{fact.door}", data=data, at=fact.at)
        case facts.DoorChanged():
            events.record(work, _DOOR_CHANGES[fact.change], f"access_point/{fact.door}", data=data, at=fact.at)
        case facts.ControllerStarted():
            data |= {"version": fact.version, "clockTrusted": fact.clock_trusted}
            at = fact.at if fact.clock_trusted else None  # it does not know the time yet
            events.record(work, "controller_started", subject, data=data, at=at)
        case facts.CardPresented():
            data |= {"commandId": fact.command, "lastDigits": last_digits(fact.number)}
            events.record(work, "card_presented", f"access_point/{fact.door}", data=data, at=fact.at)
        case facts.RecordRejected():
            data |= {"kind": fact.kind, "key": fact.key, "revision": fact.revision}
            events.record(work, "record_rejected", subject, data=data, at=fact.at)


def _readable(body: bytes) -> facts.AnyFact | None:
    try:
        fact = facts.codec.decode(body)
    except msgspec.MsgspecError:
        return None
    return fact if math.isfinite(fact.at) and 0 <= fact.at < 2**40 and _storable(fact) else None


def _storable(fact: facts.AnyFact) -> bool:
    """No text that a database refuses, and no number that it has no room for."""
    values = [getattr(fact, name) for name in fact.__struct_fields__]
    texts = (value for value in values if isinstance(value, str))
    numbers = (value for value in values if isinstance(value, int))
    return all("\0" not in text and len(text) <= 1_000 for text in texts) and all(0 <= n < 2**63 for n in numbers)


def _door_of(fact: facts.AnyFact) -> int | None:
    door = getattr(fact, "door", None)
    return door if isinstance(door, int) and 0 < door < 2**31 else None


def _place(fact: facts.AnyFact, names: Mapping[int, tuple[str, int]]) -> dict[str, Any]:
    door = getattr(fact, "door", None)
    if door is None:
        return {}
    name, site = names.get(door, ("", None))
    return {"accessPointId": door, "accessPointName": name, "siteId": site}


def _access(fact: facts.AccessDecided) -> dict[str, Any]:
    data: dict[str, Any] = {"direction": fact.direction, "reason": fact.reason, "credential": fact.credential}
    if fact.pass_id is not None:
        data["passId"] = p256.b64url(fact.pass_id)
    if fact.meeting is not None:
        data |= {"meetingId": fact.meeting, "visitorId": fact.visitor}
    others = {"userId": fact.user, "cardId": fact.card, "commandId": fact.command, "manner": fact.manner}
    data |= {name: value for name, value in others.items() if value is not None}
    if fact.ask != "open":
        data["ask"] = fact.ask
    if fact.count != 1:
        data["count"] = fact.count
    return data
