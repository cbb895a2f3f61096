"""Who came in today, hour by hour: the measures of a chart that needs no script. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from latchwork.wire.api.passages import HourCount

HEIGHT: Final = 100
"""Of the highest bar, in the chart's own units."""
STEP: Final = 20
"""From bar to bar."""
LABELLED: Final = 6
"""Every so many hours the axis has a label."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour."""

    start: str
    """14:00, on the clock of the zone."""
    entries: int
    refusals: int
    x: int
    entries_height: float
    refusals_height: float
    is_labelled: bool
    is_now: bool


@dataclass(frozen=True, slots=True)
class Chart:
    bars: Sequence[Bar]
    peak: int
    """The most within an hour: as high as the chart."""
    zone: str

    @property
    def width(self) -> int:
        return STEP * len(self.bars)

    @property
    def entries(self) -> int:
        return sum(bar.entries for bar in self.bars)

    @property
    def refusals(self) -> int:
        return sum(bar.refusals for bar in self.bars)

    @property
    def told(self) -> list[Bar]:
        """The hours in which anybody came."""
        return [bar for bar in self.bars if bar.entries or bar.refusals]


def chart(hours: Sequence[HourCount], zone: tzinfo, now: float) -> Chart:
    """The day that begins with the first of these hours."""
    peak = max((hour.entries + hour.refusals for hour in hours), default=0)
    scale = HEIGHT / max(1, peak)
    bars = [
        Bar(
            start=f"{datetime.fromtimestamp(hour.start, zone):%H:%M}",
            entries=hour.entries,
            refusals=hour.refusals,
            x=STEP * n,
            entries_height=round(hour.entries * scale, 1),
            refusals_height=round(hour.refusals * scale, 1),
            is_labelled=n % LABELLED == 0,
            is_now=hour.start <= now < hour.start + 3600,
        )
        for n, hour in enumerate(hours)
    ]
    first = datetime.fromtimestamp(hours[0].start if hours else now, zone)
    return Chart(bars, peak, f"{first:%Z}")
