"""The event log's use cases: numbering what a unit of work recorded, and waiting for news."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal

import msgspec

from latchwork.cloud.events import store
from latchwork.cloud.events.model import Deeds
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.texts import text_errors
from latchwork.cloud.kernel.work import ClosingStep, Connection, EventDraft, Scope, Work
from latchwork.wire.api.events import (
    DEEDS,
    Acknowledgement,
    Actor,
    ActorKind,
    Alarm,
    Deed,
    Event,
    EventPage,
    EventType,
)
from latchwork.wire.api.problems import Invalid

MOST_LOOKED_AT = 5_000
"""Events that are looked at in one go for somebody who may see only some of them."""
MOST_SIFTED = 1_000
"""The same of the newest first."""
_WHO: Final = ("client", "user", "admin", "system")
NEWS_EVERY = 2.0
"""Seconds after which a waiting reader looks by itself: a hint may be lost."""
LONGEST_NOTE = 1_000
_PLACE = ("accessPointId", "accessPointName", "siteId")
"""What an acknowledgement takes over from its alarm, so that whoever sees the one sees the other."""


def record(
    work: Work,
    fact: EventType,
    subject: str,
    *,
    data: Any = None,
    before: Any = None,
    after: Any = None,
    at: float | None = None,
    actor: Actor | None = None,
) -> None:
    """Notes a fact of this unit of work; `before` and `after` are records of the native API.

    `actor`: who did it, where that is not whoever the unit of work is done for.
    """
    work.events.append(
        EventDraft(
            fact,
            subject,
            work.now if at is None else at,
            msgspec.json.encode(data if data is not None else {}),
            msgspec.json.encode(before) if before is not None else None,
            msgspec.json.encode(after) if after is not None else None,
            actor,
        )
    )


def numbering(hints: Hints) -> ClosingStep:
    """The closing step that stores a unit of work's events as its last statement."""

    async def number(work: Work) -> None:
        if work.events:
            await store.append(work.conn, work.scope, work.actor, work.now, work.events)
            topic = news(work.scope)
            work.after_commit.append(lambda: hints.give(topic))

    return number


def news(scope: Scope) -> str:
    """The hint's topic: this organisation has new events."""
    return f"events:{scope.organisation}"


async def page(conn: Connection, scope: Scope, after: int, limit: int) -> EventPage:
    """Events within reach. `last` is how far was looked, which may be further than the last of them."""
    if scope.reach is None:
        events = await store.page(conn, scope, after, limit)
        return EventPage(events, events[-1].number if events else after)
    until = min(await store.last_number(conn, scope), after + MOST_LOOKED_AT)
    events = await store.page_within(conn, scope, after, until, limit)
    return EventPage(events, events[-1].number if len(events) == limit else max(after, until))


async def acknowledge(work: Work, number: int, said: Acknowledgement) -> Alarm:
    """The alarm, seen to. Who was first stands: a second time changes nothing."""
    note = said.note.strip()
    if errors := text_errors(note, "note", LONGEST_NOTE):
        raise Invalid(errors=errors)
    alarm = await store.lock_alarm(work.conn, work.scope, number)
    if alarm.acknowledged_at is not None:
        return alarm
    await store.acknowledge(work.conn, work.scope, number, work.actor, work.now, note)
    event = alarm.event
    place = {name: event.data[name] for name in _PLACE if name in event.data}
    data = {"alarmNumber": number, "alarm": event.type, "note": note, **place}
    record(work, "alarm_acknowledged", event.subject, data=data)
    return Alarm(event, work.now, work.actor, note)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader of the newest asks for; None: whatever it is."""

    deed: Deed | Literal["any"] | None = None
    actor: ActorKind | None = None
    subject: str | None = None
    since: int | None = None
    until: int | None = None

    @property
    def is_all(self) -> bool:
        """Also what doors and controllers tell, which is most of the log."""
        return (self.deed, self.actor, self.subject, self.since, self.until) == (None,) * 5


async def newest(conn: Connection, scope: Scope, wanted: Wanted, before: int, limit: int) -> EventPage:
    """Events within reach below a number, newest first; `last` is how far was looked, 0: to the beginning."""
    looked = limit if scope.reach is None else MOST_SIFTED
    found = await _newest(conn, scope, wanted, before, looked)
    seen = (await store.within(conn, scope, found))[:limit]
    if len(seen) == limit:
        return EventPage(seen, seen[-1].number)
    return EventPage(seen, found[-1].number if len(found) == looked else 0)


async def _newest(conn: Connection, scope: Scope, wanted: Wanted, before: int, limit: int) -> list[Event]:
    if wanted.is_all:
        return await store.newest(conn, scope, before, limit)
    since, until = [
        None if at is None else await store.first_deed_from(conn, scope, at) for at in (wanted.since, wanted.until)
    ]
    if wanted.since is not None and since is None:
        return []
    deeds = Deeds(_types(wanted.deed), (wanted.actor,) if wanted.actor else _WHO, since or 0)
    before = before if until is None else min(before, until)
    if wanted.subject is None:
        return await store.newest_deeds(conn, scope, deeds, before, limit)
    return await store.newest_about(conn, scope, deeds, wanted.subject, before, limit)


def _types(deed: Deed | Literal["any"] | None) -> tuple[str, ...]:
    return tuple(chain(*DEEDS.values())) if deed is None or deed == "any" else DEEDS[deed]


async def sleep_until_news(hints: Hints, scope: Scope, seconds: float) -> None:
    """Returns at the next hint, or after the time given at the latest; holds no connection."""
    with hints.listening(news(scope)) as flag:
        try:
            async with asyncio.timeout(seconds):
                await flag.wait()
        except TimeoutError:
            return
