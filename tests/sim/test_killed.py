"""The promise that being killed costs nothing: every opening is told to the cloud once, whoever dies whenever."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

from tests.edge.cast import FRONT, Organisation
from tests.edge.site import Site

from latchwork.edge import config
from latchwork.sim import building, scan
from latchwork.wire.facts import AccessDecided


async def test_every_opening_is_told_once_though_the_building_is_killed_and_the_line_is_cut(tmp_path: Path) -> None:
    site, alice = Site(tmp_path), Organisation()
    site.furnish(alice)
    granted: list[int] = []
    shown = iter(range(10_000))

    async def visit(url: str) -> None:
        """Vic after Vic shows a pass, until nobody answers any more."""
        while True:
            visitor = next(shown)
            try:
                text = alice.invite(time.time(), visitor=visitor)
                told = await asyncio.to_thread(scan.present, url, str(FRONT), text)
            except scan.DoorsUnreachable:
                return
            if told.granted:
                granted.append(visitor)

    async with site.peer.serving() as url:
        config.save(tmp_path / "edge.toml", site.config(url))
        for number in range(4):
            child, doors_url = await asyncio.to_thread(building.start, tmp_path / "edge.toml")
            await site.peer.until_linked(number + 1)
            await site.peer.until_applied()
            visits = [asyncio.create_task(visit(doors_url)) for _ in range(3)]
            await asyncio.sleep(random.uniform(0.1, 0.4))
            await site.peer.hang_up()
            await asyncio.sleep(random.uniform(0.05, 0.3))
            os.kill(child.pid, signal.SIGKILL)
            await asyncio.gather(*visits)
            await asyncio.to_thread(child.wait)
            site.peer.sessions = number + 1
        child, _ = await asyncio.to_thread(building.start, tmp_path / "edge.toml")
        found = await site.peer.until_fact(AccessDecided, len(granted))
        await asyncio.sleep(0.3)
        child.terminate()
        await asyncio.to_thread(child.wait)
    found = [fact for fact in site.peer.facts() if isinstance(fact, AccessDecided) and fact.reason == "granted"]
    told_of = [fact.visitor for fact in found]  # type: ignore[union-attr]
    assert len(granted) > 20
    assert set(granted) <= set(told_of)
    assert len(told_of) == len(set(told_of))
    assert len(site.peer.bodies) == 5, "each start opened a journal of its own"
