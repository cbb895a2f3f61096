"""Promises of an adapter that `edge.toml` names: it is a reader, and a door works whatever becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bumble.hci import (
    HCI_ErrorCode,
    HCI_LE_Set_Extended_Advertising_Enable_Command,
    HCI_StatusReturnParameters,
)
from tests.edge.cast import BOB, FRONT, Dora, Organisation, Phone, grant, person
from tests.edge.site import Site

from latchwork.edge import config
from latchwork.edge.config import BluetoothReader, ConfigInvalid
from latchwork.edge.drivers import bluetooth
from latchwork.edge.enrol import own_key
from latchwork.edge.runner import Edge
from latchwork.policy.model import Direction
from latchwork.sdk.bluetooth import BumbleLink, BumbleRadio
from latchwork.sdk.radio import LinkLost, exchange
from latchwork.sim.building import loopback_socket
from latchwork.sim.radio import Adapter, VirtualRadio
from latchwork.wire import p256
from latchwork.wire.advert import Advert
from latchwork.wire.tap import Answer


@asynccontextmanager
async def air(port: int, nobody: Dora, kind: type[VirtualRadio] = VirtualRadio) -> AsyncIterator[str]:
    """A radio without readers of its own; whoever joins over TCP has an adapter, be it a phone or a reader."""
    with loopback_socket("127.0.0.1", port) as listening:
        radio = kind(nobody.readers)
        try:
            yield await radio.open(listening)
        finally:
            await radio.close()


@asynccontextmanager
async def reading(folder: Path, transport: str, bob: Phone) -> AsyncIterator[tuple[Site, Edge]]:
    """Dora with a Bluetooth adapter at the front door, which she may trust."""
    site = Site(folder)
    site.furnish(bob.owner)
    reader = own_key(folder / "reader.key").public_key()
    who = person(BOB, ways=("mobile", "tap"))
    for record in [who, grant(BOB), *bob.records, bob.owner.certify(reader)]:
        site.peer.put(record.kind, record.key, record.body)
    site.peer.publish()
    named = (BluetoothReader(transport, FRONT, power=-55),)
    async with site.peer.serving() as url, site.running(url, bluetooth=named) as edge:
        await site.peer.until_applied()
        yield site, edge


async def tap(hci: str, bob: Phone) -> Answer:
    radio = BumbleRadio(hci)
    try:
        [heard] = await radio.scan(10, lambda heard: True)
        assert heard.advert == Advert(1, FRONT, False, -55)
        link = await radio.connect(heard)
        answer = await exchange(link, bob.side())
        await link.close()
        return answer
    finally:
        await radio.close()


@pytest.fixture
def bob(alice: Organisation) -> Phone:
    return Phone(alice)


async def test_an_adapter_is_a_reader(dora: Dora, bob: Phone, tmp_path: Path) -> None:
    async with air(0, dora) as hci, reading(tmp_path / "site", hci, bob) as (site, _):
        assert await tap(hci, bob) == Answer(True, "granted")
        assert site.wiring(FRONT).strike_is_on
        [hello] = site.peer.hellos
        reader = own_key(tmp_path / "site" / "reader.key").public_key()
        assert hello.reader_key == p256.public_bytes(reader)
        site.peer.put("reader", f"{FRONT}.entry", None)
        site.peer.publish()
        await site.peer.until_applied()
        for _ in range(2):
            with pytest.raises(LinkLost):
                await tap(hci, bob)
        site.peer.put("reader", f"{FRONT}.entry", bob.owner.certify(reader).body)
        site.peer.publish()
        await site.peer.until_applied()
        assert await tap(hci, bob) == Answer(True, "granted")


@asynccontextmanager
async def connected(hci: str, count: int = 1) -> AsyncIterator[list[BumbleLink]]:
    """So many phones, one after the other, that have said nothing yet."""
    radios = [BumbleRadio(hci) for _ in range(count)]
    try:
        yield [await radio.connect((await radio.scan(5, lambda heard: True))[0]) for radio in radios]
    finally:
        await asyncio.gather(*(radio.close() for radio in radios))


async def until_hung_up_on(link: BumbleLink) -> float:
    """After how many seconds."""
    began = time.monotonic()
    with pytest.raises(LinkLost):
        async with asyncio.timeout(8):
            while True:
                await link.receive()
    return time.monotonic() - began


async def test_whoever_is_silent_longest_makes_place_for_the_next(dora: Dora, bob: Phone, tmp_path: Path) -> None:
    async with (
        air(0, dora) as hci,
        reading(tmp_path / "site", hci, bob),
        connected(hci, bluetooth.MOST_CONNECTIONS) as links,
    ):
        phone = bob.side()
        told = phone.receive(await links[0].receive())
        assert isinstance(told, bytes)
        await links[0].send(told)
        assert await links[0].receive()
        assert await tap(hci, bob) == Answer(True, "granted")
        assert await until_hung_up_on(links[1]) < 1
        for link in (links[0], *links[2:]):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    while True:
                        await link.receive()


class FewConnections(VirtualRadio):
    """With adapters that advertise only while they have less than three connections, and never at first."""

    def adapter(self) -> Adapter:
        return FewConnections.Own(self._link, lambda: self.rssi)

    class Own(Adapter):
        refuses = 1

        def on_hci_le_set_extended_advertising_enable_command(
            self, command: HCI_LE_Set_Extended_Advertising_Enable_Command
        ) -> HCI_StatusReturnParameters:
            if command.enable and (self.refuses or len(self.le_connections) > 2):
                self.refuses -= self.refuses > 0
                return HCI_StatusReturnParameters(HCI_ErrorCode.CONNECTION_LIMIT_EXCEEDED_ERROR)
            return super().on_hci_le_set_extended_advertising_enable_command(command)


async def test_a_small_adapter_is_not_kept_busy_by_silent_phones_and_gets_on_the_air_again(
    dora: Dora, bob: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bluetooth, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(bluetooth, "ANSWER_SECONDS", 0.5)
    async with (
        air(0, dora, FewConnections) as hci,
        reading(tmp_path / "site", hci, bob),
        connected(hci, 3) as links,
    ):
        async with asyncio.timeout(5):
            assert await tap(hci, bob) == Answer(True, "granted")
        assert await until_hung_up_on(links[0]) < 0.5


async def test_who_says_nothing_is_hung_up_on_whatever_pieces_they_send(
    dora: Dora, bob: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bluetooth, "EXCHANGE_SECONDS", 1.5)
    async with air(0, dora) as hci, reading(tmp_path / "site", hci, bob), connected(hci, 2) as (silent, drip):
        told = bob.side().receive(await drip.receive())
        assert isinstance(told, bytes)
        with pytest.raises(LinkLost):
            for piece in told[:60]:
                await drip.send(bytes((piece,)))
                await asyncio.sleep(0.05)
        assert await until_hung_up_on(silent) < 0.5


@pytest.mark.parametrize("said", [1, 2], ids=["after the proof", "after the answer"])
async def test_who_stays_silent_later_is_hung_up_on_too(
    dora: Dora, bob: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: int
) -> None:
    monkeypatch.setattr(bluetooth, "ANSWER_SECONDS", 0.5)
    async with air(0, dora) as hci, reading(tmp_path / "site", hci, bob), connected(hci) as [link]:
        phone = bob.side()
        for _ in range(said):
            told = phone.receive(await link.receive())
            assert isinstance(told, bytes)
            await link.send(told)
        assert await link.receive()
        assert 0.3 < await until_hung_up_on(link) < 2


async def test_an_adapter_that_comes_back_is_a_reader_again(
    dora: Dora, bob: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bluetooth, "AGAIN_SECONDS", 0.1)
    async with air(0, dora) as hci:
        port = int(hci.rpartition(":")[2])
        reader = reading(tmp_path / "site", hci, bob)
        await reader.__aenter__()
        assert await tap(hci, bob) == Answer(True, "granted")
    try:
        await asyncio.sleep(0.3)
        async with air(port, dora) as hci:
            assert await tap(hci, bob) == Answer(True, "granted")
    finally:
        await reader.__aexit__(None, None, None)


async def test_a_door_works_without_its_adapter(bob: Phone, tmp_path: Path) -> None:
    async with reading(tmp_path, "tcp-client:127.0.0.1:9", bob) as (_, edge):
        await asyncio.sleep(0.2)
        told = await edge.controller.present(FRONT, Direction.ENTRY, card=5)
        assert told.decision.reason == "unknown_credential"


async def test_a_controller_without_adapters_names_no_key(alice: Organisation, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url):
        await site.peer.until_applied()
    assert [hello.reader_key for hello in site.peer.hellos] == [b""]
    assert (tmp_path / "reader.key").stat().st_mode & 0o777 == 0o600


def test_adapters_are_kept_in_the_configuration(tmp_path: Path) -> None:
    path, readers = (
        tmp_path / "edge.toml",
        (BluetoothReader("hci-socket:0", 7), BluetoothReader("usb:1", 8, Direction.EXIT, -62)),
    )
    made = config.Config("http://127.0.0.1:1", 1, 2, "n", "0a" * 16, "", tmp_path, bluetooth=readers)
    config.save(path, made)
    assert config.load(path) == made
    path.write_text(path.read_text().replace("-62", "99"))
    with pytest.raises(ConfigInvalid):
        config.load(path)


def test_an_adapter_written_by_hand_needs_only_its_name_and_its_door(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    config.save(path, config.Config("http://127.0.0.1:1", 1, 2, "n", "0a" * 16, "", tmp_path))
    with path.open("a") as file:
        file.write('\n[[bluetooth]]\ntransport = "hci-socket:0"\ndoor = 7\n\n[[bluetooth]]\ntransport = "usb:0"\n')
        file.write('door = 7\ndirection = "exit"\n')
    assert config.load(path).bluetooth == (
        BluetoothReader("hci-socket:0", 7),
        BluetoothReader("usb:0", 7, Direction.EXIT),
    )
