"""Who enters at a door has come."""

from __future__ import annotations

from collections.abc import Sequence

from latchwork.cloud.controllers.model import Held
from latchwork.cloud.kernel.work import Work
from latchwork.cloud.visitors import store
from latchwork.wire import facts


async def witness(work: Work, held: Held, told: Sequence[facts.AnyFact]) -> None:
    """The first entry with a visit's code checks its visitor in; the entry itself is the event of it."""
    entries = [fact for fact in told if isinstance(fact, facts.AccessDecided) and fact.direction == "entry"]
    came: dict[int, int] = {}
    for entry in entries:
        if entry.reason == "granted" and entry.meeting is not None:
            came.setdefault(entry.meeting, int(entry.at))
    if came:
        await store.arrive(work.conn, work.scope, came)
