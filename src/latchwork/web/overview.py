"""Everything that the first page shows, gathered through the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from latchwork.sdk.client import Client
from latchwork.web.attention import Need, needs
from latchwork.web.chart import Chart, chart
from latchwork.web.doors import SiteCard, cards
from latchwork.web.lines import Line, is_told, line_of
from latchwork.web.look import Look
from latchwork.web.places import Places, allowed, places
from latchwork.web.visits import midnights
from latchwork.wire.api.events import Event
from latchwork.wire.api.pages import MAX_LIMIT

LINES: Final = 50
"""How many the feed begins with."""
LOOK_BACK: Final = 5
"""Pages of events that are searched for them."""


ALARMS: Final = 10
"""Open alarms that are shown; the next ones follow as these are seen to."""


@dataclass(frozen=True, slots=True)
class Day:
    """Today at a site, or everywhere where that is the same day."""

    chart: Chart
    site: int | None
    """Whose day it is; None: everybody's."""


@dataclass(frozen=True, slots=True)
class Overview:
    sites: Sequence[SiteCard]
    lines: Sequence[Line]
    """The latest first."""
    last: int
    """The number of the newest event in it: the live feed goes on from there."""
    alarms: Sequence[Line]
    """Open ones, the latest first."""
    has_more_alarms: bool
    needs: Sequence[Need]
    day: Day

    @property
    def has_doors(self) -> bool:
        return any(card.doors for card in self.sites)


async def overview(look: Look, site: int | None) -> Overview:
    """As it is now; the day is that of a site, where sites differ in their time zone."""
    cloud, now = look.cloud, time.time()
    where, states, alarms, (events, last) = await asyncio.gather(
        places(cloud),
        allowed(cloud.page_door_states(limit=MAX_LIMIT)),
        cloud.page_alarms(open=True, limit=ALARMS),
        _latest(cloud),
    )
    lines = [line_of(event, where, look.say) for event in events if is_told(event)]
    return Overview(
        sites=cards(where, lines, states, look.say),
        lines=lines[: -LINES - 1 : -1],
        last=last,
        alarms=[line_of(alarm.event, where, look.say) for alarm in alarms.items],
        has_more_alarms=alarms.next_cursor is not None,
        needs=needs(states, where, look.say, now),
        day=await _day(cloud, where, site, now),
    )


async def _day(cloud: Client, where: Places, site: int | None, now: float) -> Day:
    """One clock for all, if there is one; else that of the site asked for, or of the first."""
    zones = {each.timezone for each in where.sites.values()}
    chosen = None if len(zones) < 2 else site if site in where.sites else next(iter(where.sites))
    begins, ends = midnights(int(now), where.zone(chosen))
    counts = await cloud.count_passages(begins, hours=-(-(ends - begins) // 3600), site=chosen)
    return Day(chart(counts.hours, where.zone(chosen), now), chosen)


async def _latest(cloud: Client) -> tuple[list[Event], int]:
    """The end of the log, oldest first, far enough back to fill the feed, and the last number."""
    last = upper = (await cloud.last_event()).last
    events: list[Event] = []
    for _ in range(LOOK_BACK):
        if upper == 0 or sum(map(is_told, events)) >= LINES:
            break
        lower = max(0, upper - MAX_LIMIT)
        events = [*(await cloud.page_events(lower, limit=upper - lower)).events, *events]
        upper = lower
    return events, last
