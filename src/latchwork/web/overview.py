"""Everything that the first page shows, gathered through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from latchwork.sdk.client import Client
from latchwork.web.doors import SiteCard, cards
from latchwork.web.lines import Line, is_told, line_of
from latchwork.web.places import places
from latchwork.wire.api.events import Event
from latchwork.wire.api.pages import MAX_LIMIT

LINES: Final = 50
"""How many the feed begins with."""
LOOK_BACK: Final = 5
"""Pages of events that are searched for them."""


@dataclass(frozen=True, slots=True)
class Overview:
    organisation: str
    sites: Sequence[SiteCard]
    lines: Sequence[Line]
    """The latest first."""
    last: int
    """The number of the newest event in it: the live feed goes on from there."""

    @property
    def has_doors(self) -> bool:
        return any(card.doors for card in self.sites)


async def overview(cloud: Client) -> Overview:
    """As it is now."""
    whoami, where, (events, last) = await asyncio.gather(cloud.whoami(), places(cloud), _latest(cloud))
    lines = [line_of(event, where) for event in events if is_told(event)]
    sites = cards(where, lines, events)
    return Overview(whoami.organisation_name, sites, lines[: -LINES - 1 : -1], last)


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
