"""Everything that the first page shows, gathered through the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from latchwork.sdk.client import Client
from latchwork.web.attention import Need, needs
from latchwork.web.catalogue import Say
from latchwork.web.chart import Chart, chart
from latchwork.web.doors import SiteCard, cards
from latchwork.web.lines import Line, is_told, line_of, line_of_passage
from latchwork.web.look import Look
from latchwork.web.places import Places, allowed, places
from latchwork.web.visits import midnights
from latchwork.wire.api.events import Event
from latchwork.wire.api.pages import MAX_LIMIT

LINES: Final = 50
"""How many the feed begins with."""
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
    where, last = await asyncio.gather(places(cloud), cloud.last_event())
    states, alarms, deeds = await asyncio.gather(
        allowed(cloud.page_door_states(limit=MAX_LIMIT)),
        cloud.page_alarms(open=True, limit=ALARMS),
        cloud.page_events(order="newest", deed="doors", limit=LINES),
    )
    return Overview(
        sites=cards(where, states, look.say),
        lines=await _latest(cloud, deeds.events, where, look.say),
        last=last.last,
        alarms=[line_of(alarm.event, where, look.say) for alarm in alarms.items],
        has_more_alarms=alarms.next_cursor is not None,
        needs=needs(states, where, look.say, now, deeds.events),
        day=await _day(cloud, where, site, now),
    )


async def _day(cloud: Client, where: Places, site: int | None, now: float) -> Day:
    """One clock for all, if there is one; else that of the site asked for, or of the first."""
    zones = {each.timezone for each in where.sites.values()}
    chosen = None if len(zones) < 2 else site if site in where.sites else next(iter(where.sites))
    begins, ends = midnights(int(now), where.zone(chosen))
    counts = await cloud.count_passages(begins, hours=-(-(ends - begins) // 3600), site=chosen)
    return Day(chart(counts.hours, where.zone(chosen), now), chosen)


async def _latest(cloud: Client, deeds: Sequence[Event], where: Places, say: Say) -> list[Line]:
    """The newest lines, the latest first.

    Entries, alarms, and what somebody did with a door are asked for by themselves, so that nothing else that the log
    is filled with, such as an import of people, drowns them.
    """
    passages, alarms, log = await asyncio.gather(
        cloud.page_passages(limit=LINES),
        cloud.page_alarms(limit=LINES),
        cloud.page_events(order="newest", limit=MAX_LIMIT),
    )
    events = [*(alarm.event for alarm in alarms.items), *deeds, *filter(is_told, log.events)]
    lines = [line_of_passage(each, where, say) for each in passages.items]
    lines += [line_of(event, where, say) for event in events]
    by_number = {line.number: line for line in lines}
    return sorted(by_number.values(), key=lambda line: line.number, reverse=True)[:LINES]
