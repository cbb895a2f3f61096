"""The controller program: the parts put together, started, marked every minute, and ended cleanly."""

from __future__ import annotations

import asyncio
import gc
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from latchwork.edge import clock as clocks
from latchwork.edge.clock import Clock
from latchwork.edge.config import BluetoothReader, Config, ConfigInvalid
from latchwork.edge.controller import Controller
from latchwork.edge.drivers.door import DriverFactory
from latchwork.edge.drivers.unwired import UnwiredDoor
from latchwork.edge.enrol import own_key
from latchwork.edge.journal import Journal
from latchwork.edge.link import Identity, Link
from latchwork.edge.store import Store
from latchwork.edge.tap import Readers
from latchwork.wire import p256

HAS_BLUETOOTH: Final = find_spec("bumble") is not None
"""Whether the extra `bluetooth` is installed."""
MARK_SECONDS: Final = 60.0
_SWITCH_SECONDS: Final = 0.0005
"""How long a thread that applies state may keep the interpreter from a door that wants to decide."""


class AlreadyRunning(Exception):
    """Another program works in this controller's folder."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A running controller."""

    controller: Controller
    link: Link
    clock: Clock
    readers: Readers


async def run(config: Config, drivers: DriverFactory = UnwiredDoor) -> None:
    """Runs the controller until SIGTERM or SIGINT; raises `AlreadyRunning`."""
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    async with running(config, drivers):
        await stop.wait()


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Calls `stop` on SIGTERM and SIGINT instead of dying."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


@asynccontextmanager
async def running(config: Config, drivers: DriverFactory, *, has_radio: bool = False) -> AsyncIterator[Edge]:
    """A controller that decides and keeps its link for as long as the context lasts; raises `ConfigInvalid`.

    `has_radio`: whoever calls puts its readers on the air, beside those that the configuration names.
    """
    if config.bluetooth and not HAS_BLUETOOTH:
        raise ConfigInvalid("readers for phones need more than is installed: pip install 'latchwork[bluetooth]'")
    _put_doors_first()
    config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone_in(config.folder):
        store = Store(config.folder / "state.db")
        journal = Journal(config.folder / "journal.db", commit_delay=config.commit_delay)
        try:
            store.tidy_later()
            async with _composed(config, store, journal, drivers, has_radio) as edge:
                yield edge
        finally:
            await store.settled()
            store.close()
            journal.close()


@asynccontextmanager
async def _composed(
    config: Config, store: Store, journal: Journal, drivers: DriverFactory, has_radio: bool
) -> AsyncIterator[Edge]:
    clock, reader_key = _clock(config, journal), own_key(config.reader_key)
    controller = Controller(store, journal, clock, drivers)
    readers = Readers(config.organisation, reader_key, store, controller)
    named = p256.public_bytes(reader_key.public_key()) if has_radio or config.bluetooth else b""
    link = Link(config, _identity(config, named), store, journal, clock)
    link.on_welcome, link.on_command, link.on_heard = controller.mark, controller.obey, controller.hear
    controller.started(version_of("latchwork"))
    going = [link.run(), _mark_each_minute(controller), *_adapters(config.bluetooth, readers)]
    tasks = [asyncio.create_task(each) for each in going]
    try:
        yield Edge(controller, link, clock, readers)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        controller.mark()
        await controller.close()


def _put_doors_first() -> None:
    """Keeps the interpreter from making a door wait: short turns for threads, no garbage sought in the program."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    gc.freeze()


def _clock(config: Config, journal: Journal) -> Clock:
    marks = journal.marks
    system = clocks.synchronised_system_clock if config.system_clock else lambda: None
    return Clock(marks.base_clock, marks.heard_at, system=system)


def _identity(config: Config, reader_key: bytes) -> Identity:
    cloud_id = bytes.fromhex(config.cloud_id)
    return Identity(config.organisation, config.controller, own_key(config.key), cloud_id, reader_key)


def _adapters(wanted: Sequence[BluetoothReader], readers: Readers) -> list[Coroutine[None, None, None]]:
    """What keeps each adapter on the air."""
    if not wanted:
        return []
    from latchwork.edge.drivers import bluetooth

    return [bluetooth.keep_on_air(each, readers) for each in wanted]


async def _mark_each_minute(controller: Controller) -> None:
    while True:
        await asyncio.sleep(MARK_SECONDS)
        controller.mark()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Holds a lock on the folder that ends with the process, however it ends (SQLite's, which every system has)."""
    lock = sqlite3.connect(folder / "lock.db", timeout=0, isolation_level=None)
    try:
        lock.execute("begin exclusive")
    except sqlite3.OperationalError:
        lock.close()
        raise AlreadyRunning(f"another program works in {folder}") from None
    try:
        yield
    finally:
        lock.close()
