"""`python -m benchmarks [--scale] [name …]`: measures, prints a table and writes `benchmarks/latest.json`.

A name is a figure's, or the beginning of several.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks import (
    bundle,
    calls,
    cards,
    cedar,
    change,
    client,
    decision,
    fleet,
    lists,
    site,
    strike,
    tap,
    tap_cpu,
    tokens,
)
from benchmarks.figures import Figure, Figures, keep, show


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A function that measures figures of these names."""

    run: Callable[[], Figures]
    names: Sequence[str]


QUICK = (
    Benchmark(decision.run, decision.NAMES),
    Benchmark(cedar.run, cedar.NAMES),
    Benchmark(strike.run, strike.NAMES),
    Benchmark(tap.run, tap.NAMES),
    Benchmark(tap_cpu.run, tap_cpu.NAMES),
    Benchmark(calls.run, calls.NAMES),
    Benchmark(tokens.run, tokens.NAMES),
    Benchmark(client.run, client.NAMES),
    Benchmark(change.run, change.NAMES),
    Benchmark(site.run, site.NAMES),
    Benchmark(bundle.run, bundle.NAMES),
)
SCALE = (
    Benchmark(strike.run_at_scale, strike.SCALE_NAMES),
    Benchmark(fleet.run, fleet.NAMES),
    Benchmark(cards.run, cards.NAMES),
    Benchmark(lists.run, lists.NAMES),
    Benchmark(site.run_at_scale, site.SCALE_NAMES),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Latchwork on this machine.")
    parser.add_argument("names", nargs="*", metavar="name", help="only figures whose names begin so")
    parser.add_argument("--scale", action="store_true", help="the measurements that take longer")
    arguments = parser.parse_args()
    chosen = _chosen(SCALE if arguments.scale else QUICK, arguments.names)
    if not chosen:
        parser.error(
            f"nothing is called so; there are {', '.join(name for each in QUICK + SCALE for name in each.names)}"
        )
    figures: dict[str, Figure] = {}
    for benchmark in chosen:
        print(f"measuring {', '.join(benchmark.names)} …", file=sys.stderr)
        measured = _alone(benchmark)
        keep(measured)
        figures |= measured
    show(figures)


def _chosen(benchmarks: Sequence[Benchmark], names: Sequence[str]) -> list[Benchmark]:
    if not names:
        return list(benchmarks)
    return [each for each in benchmarks if any(figure.startswith(name) for figure in each.names for name in names)]


def _alone(benchmark: Benchmark) -> Figures:
    """Runs in a process of its own, so that no measurement leaves anything behind for the next."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(benchmark.run).result()


if __name__ == "__main__":
    main()
