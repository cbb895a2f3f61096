"""Promises of the program: it ends cleanly when told, and being killed costs it nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.edge.cast import Organisation
from tests.edge.site import Site

from latchwork.edge import config
from latchwork.wire.facts import ControllerStarted

PROGRAM = """
import asyncio, sys
from pathlib import Path
from latchwork.edge import config, runner
asyncio.run(runner.run(config.load(Path(sys.argv[1]))))
"""


def start(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)])


async def test_it_ends_cleanly_on_sigterm_and_starts_again_after_sigkill(tmp_path: Path, alice: Organisation) -> None:
    site = Site(tmp_path)
    site.furnish(alice)
    async with site.peer.serving() as url:
        config.save(tmp_path / "edge.toml", site.config(url))
        for number, ending in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGINT), 1):
            with start(tmp_path / "edge.toml") as child:
                await site.peer.until_linked(number)
                await site.peer.until_applied()
                await site.peer.until_fact(ControllerStarted, number)
                os.kill(child.pid, ending)
                status = await asyncio.to_thread(child.wait, 10)
                assert status == (-ending if ending == signal.SIGKILL else 0)
    assert [hello.revision for hello in site.peer.hellos] == [0, 1, 1, 1]
    assert [len(bodies) for bodies in site.peer.bodies.values()] == [1, 1, 1, 1]
    assert not list(tmp_path.rglob("*unreadable*"))
