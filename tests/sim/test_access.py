"""The Access SDK over the building's radio, across processes, without a cloud: what opens, and each named refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.edge.cast import FRONT, Organisation, mode
from tests.sim.test_radio import Scene, standing

from latchwork.edge.enrol import own_key
from latchwork.sdk.access import Access
from latchwork.sdk.bluetooth import BumbleLink, BumbleRadio
from latchwork.sdk.radio import Heard
from latchwork.sdk.refusals import (
    AccessError,
    BluetoothOff,
    ConnectionLost,
    Lockdown,
    NoReaderNear,
    NotPermitted,
    Offline,
    ReaderNotTrusted,
    TooFar,
)
from latchwork.sdk.wallet import Contents, MemoryWallet
from latchwork.wire import p256
from latchwork.wire.api.phones import Keyring, KeyringDoor, Phone, ReaderKey
from latchwork.wire.link import Record

NOBODY = "http://127.0.0.1:1"
FAR_AWAY = -95
"""dBm, beyond fifty metres."""


class Withdrawn(BumbleRadio):
    """Its user turns away while the reader is about to prove itself."""

    async def connect(self, heard: Heard) -> BumbleLink:
        link = await super().connect(heard)
        await link.close()
        return link


@asynccontextmanager
async def held_by_bob(scene: Scene, kind: type[BumbleRadio] = BumbleRadio) -> AsyncIterator[Access]:
    """His phone as it was when the cloud was last there."""
    bob, point = scene.bob, p256.public_bytes(scene.alice.readers_key.public_key())
    tap_kid, code_kid = (p256.b64url(bytes.fromhex(kid)) for kid in (bob.tap_kid, bob.code_kid))
    door = KeyringDoor(FRONT, "Front door", "", 1, "House", "UTC", None, None, None, ["tap", "click"], 5, True)
    elsewhere = KeyringDoor(FRONT + 1, "Elsewhere", "", 1, "House", "UTC", None, None, None, ["tap"], 5, True)
    phone = Phone(1, bob.user, "Bob's", tap_kid, code_kid, 0, None, 1, 0)
    signs = ReaderKey(p256.b64url(p256.kid(point)), p256.b64url(point))
    keyring = Keyring(1, "Alice's", bob.user, "Bob", 0, phone, [signs], [door, elsewhere])
    keys = (p256.private_bytes(key) for key in (p256.new_key(), bob.tap_key, bob.code_key))
    radio = kind(scene.hci)
    try:
        async with Access(NOBODY, MemoryWallet(Contents(NOBODY, "lwr_x", *keys, 0, keyring=keyring)), radio) as access:
            yield access
    finally:
        await radio.close()


async def learn(scene: Scene, *records: Record) -> None:
    for record in records:
        scene.site.peer.put(record.kind, record.key, record.body)
    scene.site.peer.publish()
    await scene.site.peer.until_applied()


async def test_doors_open_and_stand_as_asked_and_only_what_needs_the_cloud_says_that_it_is_away(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, held_by_bob(scene) as access:
        assert (await access.tap()).name == "Front door"
        assert (await access.click(FRONT)).access_point == FRONT
        for steer, sentence in (
            (access.hold_open, "The door stands open for everybody."),
            (access.lock, "The door is locked for everybody."),
            (access.normal, "The door is back to normal."),
        ):
            assert (await steer(FRONT)).sentence == sentence
        assert access.code().text.startswith("LW1:")
        with pytest.raises(Offline):
            await access.unlock(FRONT)


async def test_every_refusal_at_a_reader_has_its_class(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, held_by_bob(scene) as access:
        with pytest.raises(NoReaderNear):
            await access.click(FRONT + 1, seconds=0.5)
        await scene.move(FAR_AWAY)
        for asked in (access.tap, lambda seconds: access.click(FRONT, seconds)):
            with pytest.raises(TooFar):
                await asked(seconds=0.5)
        await scene.move(-50)
        await learn(scene, mode(FRONT, "locked"))
        with pytest.raises(Lockdown):
            await access.tap()
        await learn(scene, mode(FRONT, "access_control"))
        for record in scene.bob.records:
            scene.site.peer.put(record.kind, record.key, None)
        await learn(scene)
        with pytest.raises(NotPermitted):
            await access.tap()
        await learn(scene, Organisation().certify(own_key(tmp_path / "reader.key").public_key()))
        with pytest.raises(ReaderNotTrusted):
            await access.tap()
        async with held_by_bob(scene, Withdrawn) as withdrawn:
            with pytest.raises(ConnectionLost):
                await withdrawn.tap()


async def test_without_an_adapter_bluetooth_is_off(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene:
        scene.hci = "tcp-client:127.0.0.1:1"
        async with held_by_bob(scene) as access:
            with pytest.raises(BluetoothOff) as off:
                await access.tap()
    assert isinstance(off.value, AccessError) and off.value.code == "bluetooth_off"
