"""A controller's data folder, the peer it is enrolled at, and the doors it moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.edge.cast import FRONT, Organisation, door
from tests.edge.peer import Peer

from latchwork.edge.config import Config
from latchwork.edge.enrol import own_key
from latchwork.edge.runner import Edge, running
from latchwork.sim.doors import VirtualWiring


class Site:
    """A data folder that belongs to a peer's controller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.peer = Peer(own_key(folder / "controller.key").public_key())
        self.wiring = VirtualWiring()

    def config(self, url: str, **changes: object) -> Config:
        config = Config(url, 1, 12, "Dora", self.peer.cloud_id.hex(), "", self.folder, system_clock=False)
        return replace(config, **changes)  # type: ignore[arg-type]

    @asynccontextmanager
    async def running(self, url: str, **changes: object) -> AsyncIterator[Edge]:
        async with running(self.config(url, **changes), self.wiring) as edge:
            yield edge

    def furnish(self, alice: Organisation) -> None:
        """Alice's key and one door."""
        self.peer.put("key", alice.kid.hex(), alice.key_record.body)
        self.peer.put("door", FRONT, door().body)
        self.peer.publish()
