"""The event log's use cases: numbering what a unit of work recorded, and waiting for news."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from latchwork.cloud.events import store
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.texts import text_errors
from latchwork.cloud.kernel.work import ClosingStep, Connection, EventDraft, Scope, Work
from latchwork.wire.api.events import Acknowledgement, Alarm, EventPage, EventType
from latchwork.wire.api.problems import Invalid

MOST_LOOKED_AT = 5_000
"""Events that are looked at in one go for somebody who may see only some of them."""
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
) -> None:
    """Notes a fact of this unit of work; `before` and `after` are records of the native API."""
    work.events.append(
        EventDraft(
            fact,
            subject,
            work.now if at is None else at,
            msgspec.json.encode(data if data is not None else {}),
            msgspec.json.encode(before) if before is not None else None,
            msgspec.json.encode(after) if after is not None else None,
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


async def sleep_until_news(hints: Hints, scope: Scope, seconds: float) -> None:
    """Returns at the next hint, or after the time given at the latest; holds no connection."""
    with hints.listening(news(scope)) as flag:
        try:
            async with asyncio.timeout(seconds):
                await flag.wait()
        except TimeoutError:
            return
