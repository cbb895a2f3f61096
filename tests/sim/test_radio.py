"""Promises of a phone on the virtual radio: it opens a door, from a process of its own, with or without the cloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.edge.cast import BOB, FRONT, OPEN, Organisation, Phone, grant, person
from tests.edge.site import Site

from latchwork.edge import config
from latchwork.edge.enrol import own_key
from latchwork.sdk.bluetooth import BumbleRadio
from latchwork.sdk.radio import Heard, exchange
from latchwork.sim import building, scan
from latchwork.sim.service import RadioSeen
from latchwork.wire.facts import AccessDecided
from latchwork.wire.link import Record
from latchwork.wire.tap import Answer, Request

WAYS = {"ways": ("mobile", "card", "remote", "tap"), "click_range": 5}


@dataclass
class Scene:
    """A building in a process of its own, and Bob with a phone before its front door."""

    site: Site
    alice: Organisation
    bob: Phone
    hci: str
    doors_url: str
    pid: int

    async def tap(self, radio: BumbleRadio, request: Request = OPEN) -> Answer:
        return await tap(radio, self.bob, request)


async def hear(radio: BumbleRadio, door: int = FRONT) -> Heard:
    def is_wanted(heard: Heard) -> bool:
        return (heard.advert.access_point, heard.advert.is_exit) == (door, False)

    return next(heard for heard in await radio.scan(5, is_wanted) if is_wanted(heard))


async def tap(radio: BumbleRadio, phone: Phone, request: Request = OPEN, door: int = FRONT) -> Answer:
    link = await radio.connect(await hear(radio, door))
    try:
        return await exchange(link, phone.side(request))
    finally:
        await link.close()


@asynccontextmanager
async def standing(folder: Path, *more: Record) -> AsyncIterator[Scene]:
    site, alice = Site(folder), Organisation()
    bob = Phone(alice)
    site.furnish(alice)
    reader = own_key(folder / "reader.key").public_key()
    for record in [person(BOB, **WAYS), grant(BOB), *bob.records, alice.certify(reader), *more]:
        site.peer.put(record.kind, record.key, record.body)
    site.peer.publish()
    async with site.peer.serving() as url:
        config.save(folder / "edge.toml", site.config(url))
        child, doors_url = await asyncio.to_thread(building.start, folder / "edge.toml")
        try:
            await site.peer.until_linked()
            await site.peer.until_applied()
            seen = await asyncio.to_thread(scan._ask, doors_url, "GET", "/radio", RadioSeen)
            yield Scene(site, alice, bob, seen.hci, doors_url, child.pid)
        finally:
            child.terminate()
            await asyncio.to_thread(child.wait)


@pytest.mark.parametrize("reads", [False, True], ids=["notified", "reading"])
async def test_a_phone_opens_the_door_before_which_it_is_held(tmp_path: Path, reads: bool) -> None:
    async with standing(tmp_path) as scene:
        radio = BumbleRadio(scene.hci, reads=reads)
        try:
            assert await scene.tap(radio) == Answer(True, "granted")
        finally:
            await radio.close()
        [fact] = await scene.site.peer.until_fact(AccessDecided)
    assert isinstance(fact, AccessDecided)
    assert (fact.user, fact.credential, fact.phone, fact.manner) == (BOB, "phone", scene.bob.tap_kid, "tap")
