"""Measures a controller that holds many people: how soon a card is decided, what it costs to hold and learn them.

    python tests/edge/measure_people.py [--people 250000] [--grants 4] [--folder /work]

One card and `--grants` permissions per person, half of them with a schedule. Every phase runs in a process of its own,
so that its memory is its own.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.edge.cast import NOW, card, door, grant, person, schedule, snapshot

from latchwork.edge.clock import Clock
from latchwork.edge.controller import Controller
from latchwork.edge.journal import Journal
from latchwork.edge.snapshot import gather
from latchwork.edge.store import Store
from latchwork.policy.decide import decide
from latchwork.policy.model import Attempt, CardRead, Direction
from latchwork.sim.doors import VirtualWiring
from latchwork.wire import link
from latchwork.wire.link import Changes, Record

CHUNK = 2500
DOORS = 16
FIRST_USER = 1_000_000
ALWAYS = (((0, 1440),),) * 7


def number_of(user: int) -> int:
    return (user * 2654435761) % 2**37


def records(people: int, grants: int) -> Iterator[Record]:
    """In no order: a cloud sends them as its table has them."""
    users = [FIRST_USER + each * 7919 % people for each in range(people)]
    assert len(set(users)) == people
    yield schedule(1, ALWAYS)
    yield from (door(each, timezone="Europe/Berlin") for each in range(1, DOORS + 1))
    yield from (card(str(5_000_000 + user), number_of(user), user) for user in users)
    for user in users:
        yield from (grant(user, each, schedule=1 if each % 2 else None) for each in range(1, grants + 1))
    yield from (person(user, pin="1234") for user in users)


def frames(people: int, grants: int) -> Iterator[bytes]:
    """The snapshot as it comes over the wire."""
    found, first = records(people, grants), True
    chunk = list(itertools.islice(found, CHUNK))
    while chunk:
        following = list(itertools.islice(found, CHUNK))
        yield link.from_cloud.encode(Changes(7, b"snapshot", chunk, True, first, not following))
        chunk, first = following, False


async def learn(folder: Path, people: int, grants: int) -> None:
    store = Store(folder / "state.db")
    at_first, took, most = resident(), 0.0, 0.0
    for frame in frames(people, grants):
        began = time.perf_counter()
        message = link.from_cloud.decode(frame)
        assert isinstance(message, Changes)
        await store.apply(message)
        took += time.perf_counter() - began
        most = max(most, resident())
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    print(f"snapshot applied in {took:.1f} s into {size:.0f} MB of files")
    print(f"resident {at_first:.0f} MB before, at most {most:.0f} MB meanwhile")
    store.close()


async def start(folder: Path, people: int, grants: int) -> None:
    began = time.perf_counter()
    controller, *opened = opened_in(folder)
    answer = await controller.present(1, Direction.ENTRY, card=number_of(FIRST_USER + people // 2))
    took = time.perf_counter() - began
    lived = time.time() - psutil.Process().create_time()
    assert answer.decision.granted, answer
    print(f"start to first decision {took:.2f} s, {lived:.2f} s with the interpreter; resident {resident():.0f} MB")
    await controller.close()
    for each in opened:
        each.close()


async def ask(folder: Path, people: int, grants: int) -> None:
    controller, journal, store = opened_in(folder)
    rng = random.Random(1)
    for name, cards in (("known cards", True), ("unknown cards", False)):
        times = []
        for _ in range(50_000):
            shown = number_of(FIRST_USER + rng.randrange(people)) if cards else rng.getrandbits(60) | 1 << 61
            attempt = Attempt(rng.randint(1, grants), Direction.ENTRY, CardRead(shown), NOW, True)
            began = time.perf_counter()
            decision = decide(gather(store, journal, attempt, NOW), attempt)
            times.append(time.perf_counter() - began)
            assert decision.granted is cards, decision
        show(f"gather and decide, {name}", times)
    print(f"resident after that {resident():.0f} MB")
    times = []
    for _ in range(500):
        began = time.perf_counter()
        await controller.present(1, Direction.ENTRY, card=number_of(FIRST_USER + rng.randrange(people)))
        times.append(time.perf_counter() - began)
    show("presented to released, journal on this disk", times)
    await controller.close()
    journal.close()
    store.close()


async def removal(folder: Path, people: int, grants: int) -> None:
    """What one person's removal costs."""
    store = Store(folder / "state.db")
    times = []
    for each in range(50):
        user, revision = FIRST_USER + each * 17, 10 + each
        gone = [("card", 5_000_000 + user), ("person", user), *(("grant", f"{user}.{n}") for n in range(1, grants + 1))]
        began = time.perf_counter()
        await store.apply(Changes(revision, b"m", [Record(kind, str(key), revision, None) for kind, key in gone]))
        times.append(time.perf_counter() - began)
    show("one person removed, to durable and gone", times)
    began = time.perf_counter()
    await store.apply(snapshot(door(), revision=1000))
    print(f"everything replaced by one door in {time.perf_counter() - began:.2f} s")
    store.close()


def opened_in(folder: Path) -> tuple[Controller, Journal, Store]:
    journal, store = Journal(folder / "journal.db"), Store(folder / "state.db")
    clock = Clock(NOW, NOW)
    clock.hear(NOW, 0)
    return Controller(store, journal, clock, VirtualWiring()), journal, store


def show(name: str, times: list[float]) -> None:
    cuts = statistics.quantiles(times, n=100)
    print(f"{name}: p50 {cuts[49] * 1e6:.1f} µs, p99 {cuts[98] * 1e6:.1f} µs, worst {max(times) * 1e6:.0f} µs")


def resident() -> float:
    """MB now; what the system counts for this process."""
    return psutil.Process().memory_info().rss / 1e6


PHASES = {each.__name__: each for each in (learn, start, ask, removal)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, default=250_000)
    parser.add_argument("--grants", type=int, default=4, help="permissions per person")
    parser.add_argument("--folder", type=Path, help="on which disk")
    parser.add_argument("--phase", choices=PHASES)
    arguments = parser.parse_args()
    if arguments.phase:
        asyncio.run(PHASES[arguments.phase](arguments.folder, arguments.people, arguments.grants))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"  ({arguments.phase}: peak of the process {peak:.0f} MB)", flush=True)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for phase in PHASES:
            options = ("--people", str(arguments.people), "--grants", str(arguments.grants), "--folder", folder)
            subprocess.run([sys.executable, __file__, "--phase", phase, *options], check=True, env=os.environ)


if __name__ == "__main__":
    main()
