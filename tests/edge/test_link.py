"""Promises of the link, over a real WebSocket to a peer that speaks `wire/link.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cast import ENTRY, FRONT, Organisation
from edge.site import Site
from latchwork.wire.facts import AccessDecided


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_a_new_controller_gets_a_snapshot_and_opens(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        answer = await edge.controller.present(FRONT, ENTRY, qr=alice.invite(site.peer.now))
        assert answer.decision.granted
        assert site.wiring(FRONT).strike_is_on
        [fact] = await site.peer.until_fact(AccessDecided)
        assert fact.reason == "granted"
        assert fact.meeting == 70
