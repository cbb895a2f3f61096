"""Hints: «there is news about X», inside this process at once and to the other processes over LISTEN/NOTIFY.

A hint may be lost and may come for nothing; whoever waits for one also looks by itself now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg

log = logging.getLogger(__name__)

CHANNEL = "latchwork"
_GATHER = 0.005
"""Seconds over which hints to other processes are gathered into one statement."""
_RECONNECT = 1.0


class Hints:
    """Topics and who waits for them. `give` never blocks and never fails."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._outgoing: set[str] = set()
        self._wake = asyncio.Event()

    @contextmanager
    def listening(self, topic: str) -> Iterator[asyncio.Event]:
        """An event that is set at each hint of the topic. Subscribe before the first read."""
        flag = asyncio.Event()
        waiting = self._waiting.setdefault(topic, set())
        waiting.add(flag)
        try:
            yield flag
        finally:
            waiting.discard(flag)
            if not waiting and self._waiting.get(topic) is waiting:
                del self._waiting[topic]

    def give(self, topic: str, elsewhere: bool = True) -> None:
        """Wakes everybody here who waits for the topic, and tells the other processes."""
        self._wake_here(topic)
        if elsewhere:
            self._outgoing.add(topic)
            self._wake.set()

    def waiting_for(self, topic: str) -> bool:
        """Whether anybody in this process waits for the topic."""
        return topic in self._waiting

    def _wake_here(self, topic: str) -> None:
        for flag in self._waiting.get(topic, ()):
            flag.set()

    async def send(self, conn: asyncpg.Connection[asyncpg.Record]) -> None:
        """Tells the other processes what was gathered."""
        for payload in _payloads(self._outgoing):
            await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)

    async def carry(self, dsn: str) -> None:
        """Carries hints to and from the other processes, for ever; reconnects when the database goes away."""
        while True:
            try:
                await self._carry_once(dsn)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("hints are not carried for now: %s", type(error).__name__)
            await asyncio.sleep(_RECONNECT)

    async def _carry_once(self, dsn: str) -> None:
        conn = await asyncpg.connect(dsn)
        try:
            pid = conn.get_server_pid()

            def heard(_: Any, sender: int, __: str, payload: object) -> None:
                if sender != pid:
                    for topic in str(payload).split():
                        self._wake_here(topic)

            await conn.add_listener(CHANNEL, heard)
            conn.add_termination_listener(lambda _: self._wake.set())
            while not conn.is_closed():
                await self._wake.wait()
                await asyncio.sleep(_GATHER)
                self._wake.clear()
                if not conn.is_closed():
                    await self.send(conn)
        finally:
            with suppress(Exception):
                await conn.close(timeout=1)


def _payloads(topics: set[str]) -> Iterator[str]:
    """Takes all topics out of the set, in texts below NOTIFY's 8,000 bytes."""
    batch: list[str] = []
    while topics:
        batch.append(topics.pop())
        if len(batch) == 200 or not topics:
            yield " ".join(batch)
            batch.clear()
