"""A figure with its bar, the table that people read and the file that programs read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table

LATEST = Path(__file__).with_name("latest.json")

Better = Literal["lower", "higher"]


class Figure(msgspec.Struct, frozen=True):
    """One measured value; `bar` is what it must not miss, None: only reported."""

    value: float
    unit: str
    bar: float | None
    better: Better = "lower"

    @property
    def is_missed(self) -> bool:
        if self.bar is None:
            return False
        return self.value > self.bar if self.better == "lower" else self.value < self.bar


Figures = dict[str, Figure]


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` of a hundred values do not exceed."""
    ordered = sorted(values)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def ratio(ours: Iterable[float], floor: Iterable[float]) -> float:
    """The median of the ratios of rounds that ran side by side: what slows the machine down slows both."""
    return statistics.median(a / b for a, b in zip(ours, floor, strict=True))


def keep(figures: Figures) -> None:
    """Writes the figures to `latest.json`, where those that were not measured now stay."""
    kept = msgspec.json.decode(LATEST.read_bytes(), type=Figures) if LATEST.exists() else {}
    encoded = msgspec.json.encode(dict(sorted((kept | figures).items())))
    LATEST.write_bytes(msgspec.json.format(encoded) + b"\n")


def show(figures: Figures) -> None:
    table = Table("figure", "value", "unit", "bar", "", title="Latchwork, measured here and now")
    for column in (1, 3):
        table.columns[column].justify = "right"
    for name, figure in figures.items():
        sign = "≤" if figure.better == "lower" else "≥"
        bar = "" if figure.bar is None else f"{sign} {figure.bar:g}"
        verdict = "" if figure.bar is None else "[bold red]MISS[/]" if figure.is_missed else "[green]ok[/]"
        table.add_row(name, f"{figure.value:.4g}", figure.unit, bar, verdict)
    Console().print(table)
