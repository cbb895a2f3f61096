"""Promises of a phone on the virtual radio: it opens a door, from a process of its own, with or without the cloud."""

from __future__ import annotations

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from bumble.core import AdvertisingData
from bumble.device import Advertisement, Device, DeviceConfiguration
from bumble.hci import Address
from bumble.transport import open_transport
from tests.edge.cast import BOB, FRONT, OPEN, Organisation, Phone, door, grant, person
from tests.edge.site import Site

from latchwork.edge import config
from latchwork.edge.enrol import own_key
from latchwork.policy.model import Ask, Direction
from latchwork.sdk.bluetooth import BumbleLink, BumbleRadio
from latchwork.sdk.radio import Heard, LinkLost, RadioFailed, RadioOff, exchange
from latchwork.sim import building, scan
from latchwork.sim.service import DoorSeen, Network, RadioSeen
from latchwork.wire import p256
from latchwork.wire.facts import AccessDecided
from latchwork.wire.link import Record
from latchwork.wire.tap import ANSWER_SECONDS, Answer, Request, TapFailed, TapFailure

ADDRESS = Address("F0:F1:F2:F3:F4:F5")
WAYS = {"ways": ("mobile", "card", "remote", "tap"), "click_range": 5, "steers": (1,)}


@dataclass
class Scene:
    """A building in a process of its own, and Bob with a phone before its front door."""

    site: Site
    alice: Organisation
    bob: Phone
    child: subprocess.Popen[bytes]
    doors_url: str
    hci: str = ""

    async def look(self) -> Scene:
        """How phones join the radio now."""
        seen = await asyncio.to_thread(scan._ask, self.doors_url, "GET", "/radio", RadioSeen)
        self.hci = seen.hci
        return self

    async def move(self, rssi: int) -> None:
        await asyncio.to_thread(scan._ask, self.doors_url, "POST", "/radio", RadioSeen, {"rssi": rssi})

    async def kill_and_restart(self) -> None:
        self.child.kill()
        await asyncio.to_thread(self.child.wait)
        self.child, self.doors_url = await asyncio.to_thread(building.start, self.site.folder / "edge.toml")
        await self.look()

    async def state(self) -> str:
        [door] = await asyncio.to_thread(scan._ask, self.doors_url, "GET", "/doors", list[DoorSeen])
        return door.state

    async def strike(self) -> str:
        [door] = await asyncio.to_thread(scan._ask, self.doors_url, "GET", "/doors", list[DoorSeen])
        return door.strike

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
async def standing(folder: Path, user: int = BOB) -> AsyncIterator[Scene]:
    site, alice = Site(folder), Organisation()
    bob = Phone(alice, user)
    site.furnish(alice)
    reader = own_key(folder / "reader.key").public_key()
    for record in [person(user, **WAYS), grant(user), *bob.records, alice.certify(reader)]:
        site.peer.put(record.kind, record.key, record.body)
    site.peer.publish()
    async with site.peer.serving() as url:
        config.save(folder / "edge.toml", site.config(url))
        child, doors_url = await asyncio.to_thread(building.start, folder / "edge.toml")
        scene = Scene(site, alice, bob, child, doors_url)
        try:
            await site.peer.until_linked()
            await site.peer.until_applied()
            yield await scene.look()
        finally:
            scene.child.terminate()
            await asyncio.to_thread(scene.child.wait)


@asynccontextmanager
async def carrying(scene: Scene, reads: bool = False) -> AsyncIterator[BumbleRadio]:
    radio = BumbleRadio(scene.hci, reads=reads)
    try:
        yield radio
    finally:
        await radio.close()


@pytest.mark.parametrize("reads", [False, True], ids=["notified", "reading"])
async def test_a_phone_opens_the_door_before_which_it_is_held(tmp_path: Path, reads: bool) -> None:
    async with standing(tmp_path) as scene:
        async with carrying(scene, reads) as radio:
            assert await scene.tap(radio) == Answer(True, "granted")
            assert await scene.strike() == "on"
        [fact] = await scene.site.peer.until_fact(AccessDecided)
    assert isinstance(fact, AccessDecided)
    assert (fact.user, fact.credential, fact.phone, fact.manner) == (BOB, "phone", scene.bob.tap_kid, "tap")
    [hello] = scene.site.peer.hellos
    assert hello.reader_key == p256.public_bytes(own_key(tmp_path / "reader.key").public_key())


async def test_a_phone_opens_with_the_cloud_away_and_the_cloud_is_told_later(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, carrying(scene) as radio:
        await asyncio.to_thread(scan._ask, scene.doors_url, "POST", "/link", Network, {"up": False})
        assert await scene.tap(radio) == Answer(True, "granted")
        assert await scene.tap(radio, Request(Ask.HOLD_OPEN)) == Answer(True, "granted")
        assert await scene.state() == "unlocked"
        assert scene.site.peer.facts() == [] or not _access(scene)
        await asyncio.to_thread(scan._ask, scene.doors_url, "POST", "/link", Network, {"up": True})
        await scene.site.peer.until_fact(AccessDecided, 2)
        assert [fact.ask for fact in _access(scene)] == ["open", "hold_open"]


async def test_who_is_far_away_is_told_to_come_closer(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, carrying(scene) as radio:
        await scene.move(-70)
        [heard] = await radio.scan(5, lambda heard: True)
        assert heard.rssi == -70
        assert await scene.tap(radio) == Answer(False, "too_far")
        assert await scene.tap(radio, Request(from_afar=True)) == Answer(True, "granted")
        await scene.move(-80)
        assert await scene.tap(radio, Request(from_afar=True, rssi=-40)) == Answer(False, "too_far")


async def test_a_strangers_phone_is_refused_and_a_removed_one_too(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, carrying(scene) as radio:
        assert await tap(radio, Phone(scene.alice)) == Answer(False, "unknown_credential")
        with pytest.raises(TapFailed) as failed:
            await tap(radio, Phone(Organisation()))
        assert failed.value.failure is TapFailure.NOT_TRUSTED
        for record in scene.bob.records:
            scene.site.peer.put(record.kind, record.key, None)
        scene.site.peer.publish()
        await scene.site.peer.until_applied()
        assert await scene.tap(radio) == Answer(False, "unknown_credential")


async def test_readers_come_and_go_with_their_certificates(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, carrying(scene) as radio:
        reader = own_key(tmp_path / "reader.key").public_key()
        peer = scene.site.peer
        peer.put("reader", f"{FRONT}.exit", scene.alice.certify(reader, direction=Direction.EXIT).body)
        peer.publish()
        await peer.until_applied()
        await _until_heard(radio, {(FRONT, False), (FRONT, True)})
        peer.put("reader", f"{FRONT}.entry", None)
        peer.publish()
        await peer.until_applied()
        await _until_heard(radio, {(FRONT, True)})


async def _until_heard(radio: BumbleRadio, wanted: set[tuple[int, bool]]) -> None:
    async with asyncio.timeout(10):
        while {(heard.advert.access_point, heard.advert.is_exit) for heard in await radio.scan(0.3)} != wanted:
            pass


async def test_a_reader_lists_its_service_and_goes_by_its_doors_name(tmp_path: Path) -> None:
    """What a browser's chooser filters by and shows."""
    listed, whole, cut = (
        AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
        AdvertisingData.Type.COMPLETE_LOCAL_NAME,
        AdvertisingData.Type.SHORTENED_LOCAL_NAME,
    )
    async with standing(tmp_path) as scene, asyncio.timeout(20), listening(scene.hci) as heard:
        said = await heard()
        assert (said.get(listed, raw=True), said.get(whole)) == (b"\xf0\xff", "Front door")
        for name, kind, shown in (("Ätelier", whole, "Ätelier"), ("Ä" * 20, cut, "Ä" * 14)):
            scene.site.peer.put("door", FRONT, door(name=name).body)
            scene.site.peer.publish()
            while (await heard()).get(kind) != shown:
                pass


@asynccontextmanager
async def listening(hci: str) -> AsyncIterator[Callable[[], Awaitable[AdvertisingData]]]:
    """All that a reader says next to whoever asks for more."""
    said: asyncio.Queue[Advertisement] = asyncio.Queue()
    async with await open_transport(hci) as (source, sink):
        phone = Device.from_config_with_hci(DeviceConfiguration(address=ADDRESS), source, sink)
        await phone.power_on()
        phone.on(Device.EVENT_ADVERTISEMENT, said.put_nowait)
        await phone.start_scanning(active=True)

        async def heard() -> AdvertisingData:
            while not (advertised := await said.get()).is_scannable:
                pass
            return advertised.data

        yield heard


async def test_several_phones_open_at_the_same_time(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene:

        async def once() -> Answer:
            async with carrying(scene) as radio:
                return await scene.tap(radio)

        told = await asyncio.gather(*(once() for _ in range(4)))
    assert told == [Answer(True, "granted")] * 4


async def test_one_phone_opens_twice_at_the_same_time(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, carrying(scene) as radio, asyncio.timeout(8):
        told = await asyncio.gather(scene.tap(radio), scene.tap(radio))
    assert told == [Answer(True, "granted")] * 2


async def test_a_phone_that_is_gone_or_talks_nonsense_leaves_the_reader_to_the_next(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene:
        for number in range(10):
            radio = BumbleRadio(scene.hci)
            link = await radio.connect(await hear(radio))
            if number % 2:
                await link.send(bytes(range(200)))
                with pytest.raises(LinkLost):
                    while True:
                        await asyncio.wait_for(link.receive(), 5)
            await radio.close()
        async with carrying(scene) as radio:
            assert await scene.tap(radio) == Answer(True, "granted")


async def test_nothing_on_the_air_tells_a_phone_or_its_user(tmp_path: Path) -> None:
    """All that passes between the phone's process and its adapter, both ways: every HCI, L2CAP and ATT byte."""
    async with standing(tmp_path, user=0x5EC2E7B0B) as scene, _tapped(scene.hci) as (hci, air):
        for reads in (False, True):
            radio = BumbleRadio(hci, reads=reads)
            assert await scene.tap(radio) == Answer(True, "granted")
            await radio.close()
    spoken, point = b"".join(air), p256.public_bytes(scene.bob.tap_key.public_key())
    assert len(spoken) > 2000
    assert bytes.fromhex(p256.public_bytes(own_key(tmp_path / "reader.key").public_key()).hex())[1:20] in spoken
    user = scene.bob.user.to_bytes(5, "big")
    kid = bytes.fromhex(scene.bob.tap_kid)
    for secret in (point[1:17], point[33:49], kid, kid[::-1], scene.bob.tap_kid.encode(), user, user[::-1]):
        assert secret not in spoken
    assert str(scene.bob.user).encode() not in spoken


@asynccontextmanager
async def _tapped(hci: str) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The same adapter with somebody listening in, and what they hear."""
    _, host, port = hci.split(":")
    air: list[bytes] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            air.append(data)
            writer.write(data)
        writer.close()

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(host, int(port))
        await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))

    server = await asyncio.start_server(joined, "127.0.0.1", 0)
    async with server:
        yield f"tcp-client:127.0.0.1:{server.sockets[0].getsockname()[1]}", air


# Somebody between the phone and the reader


async def test_who_answers_late_is_hung_up_on(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene, carrying(scene) as radio:
        link, phone = await radio.connect(await hear(radio)), scene.bob.side()
        await link.send(_bytes(phone.receive(await link.receive())))
        proof = _bytes(phone.receive(await link.receive()))
        await asyncio.sleep(ANSWER_SECONDS + 0.1)
        await _is_hung_up_on(link, proof)
        assert await scene.strike() == "off"


@pytest.mark.parametrize("reads", [False, True], ids=["notified", "reading"])
async def test_what_was_heard_on_the_air_opens_nothing_again(tmp_path: Path, reads: bool) -> None:
    async with standing(tmp_path) as scene, carrying(scene, reads) as radio:
        link, phone = await radio.connect(await hear(radio)), scene.bob.side()
        heard: list[bytes] = []
        while isinstance(told := phone.receive(await link.receive()), bytes):
            heard.append(told)
            await link.send(told)
        assert told == Answer(True, "granted")
        await link.close()
        link = await radio.connect(await hear(radio))
        await link.send(heard[0])
        await _is_hung_up_on(link, heard[1])
        assert [fact.reason for fact in _access(scene)] == ["granted"]


async def test_what_is_relayed_from_another_reader_opens_nothing(tmp_path: Path) -> None:
    """Somebody inside, before the exit reader, relays to it what Bob's phone says to the reader outside."""
    async with standing(tmp_path) as scene, carrying(scene) as outside, carrying(scene) as inside:
        reader = own_key(tmp_path / "reader.key").public_key()
        scene.site.peer.put("reader", f"{FRONT}.exit", scene.alice.certify(reader, direction=Direction.EXIT).body)
        scene.site.peer.publish()
        await scene.site.peer.until_applied()
        shown = await outside.connect(await hear(outside))
        [exit_reader] = [each for each in await inside.scan(1) if each.advert.is_exit]
        meant, phone = await inside.connect(exit_reader), scene.bob.side()
        opening = await shown.receive()
        assert (await meant.receive())[:2] == opening[:2]
        await meant.send(_bytes(phone.receive(opening)))
        with pytest.raises(TapFailed) as failed:
            phone.receive(await meant.receive())
        assert failed.value.failure is TapFailure.NOT_TRUSTED
        assert await scene.strike() == "off"


@pytest.mark.parametrize("number", [0, 1], ids=["transient key", "proof"])
@pytest.mark.parametrize("place", [0, 1, 2, 40, -1], ids=["tag", "length", "first", "middle", "last"])
async def test_what_is_altered_on_its_way_opens_nothing(scene: Scene, number: int, place: int) -> None:
    async with carrying(scene) as radio:
        link, phone = await radio.connect(await hear(radio)), scene.bob.side()
        with pytest.raises((TapFailed, LinkLost, TimeoutError)):
            for turn in range(3):
                async with asyncio.timeout(0.5):
                    told = bytearray(_bytes(phone.receive(await link.receive())))
                if (turn, number, place) == (0, 0, -1):
                    place = 40  # the last byte is of the version, which means nothing
                if turn == number:
                    told[place] ^= 0x01
                await link.send(bytes(told))
        await link.close()
        assert await scene.strike() == "off"
        assert _access(scene) == []


@pytest.mark.parametrize("turn", [0, 1], ids=["opening", "proof"])
@pytest.mark.parametrize("place", [0, 1, 12, 60, -1])
async def test_a_reader_whose_words_were_altered_learns_nobodys_name(scene: Scene, turn: int, place: int) -> None:
    async with carrying(scene) as radio:
        link, phone = await radio.connect(await hear(radio)), scene.bob.side()
        said = bytearray(await link.receive())
        if turn:
            await link.send(_bytes(phone.receive(bytes(said))))
            said = bytearray(await link.receive())
        said[place] ^= 0x01
        try:
            told = phone.receive(bytes(said))
        except TapFailed:
            told = None
        if told is not None:  # an altered transient key, which its proof will not fit
            assert turn == 0
            await link.send(_bytes(told))
            with pytest.raises((TapFailed, LinkLost)):
                phone.receive(await link.receive())
        await link.close()
        assert _access(scene) == []


@pytest.mark.parametrize(
    ("certified", "failure"),
    [
        (lambda alice, key: Organisation().certify(key), TapFailure.NOT_TRUSTED),
        (lambda alice, key: alice.certify(p256.new_key().public_key()), TapFailure.FORGED),
        (lambda alice, key: alice.certify(key, lives=-3600), TapFailure.NOT_TRUSTED),
        (lambda alice, key: alice.certify(key, site=2), TapFailure.NOT_TRUSTED),
        (lambda alice, key: alice.certify(key, organisation=2), TapFailure.NOT_TRUSTED),
    ],
    ids=["by somebody else", "for another key", "until yesterday", "of another site", "of another organisation"],
)
async def test_a_reader_that_cannot_prove_itself_learns_nobodys_name(
    scene: Scene, certified: Callable[[Organisation, p256.PublicKey], Record], failure: TapFailure
) -> None:
    reader, peer = own_key(scene.site.folder / "reader.key").public_key(), scene.site.peer
    peer.put("reader", f"{FRONT}.entry", certified(scene.alice, reader).body)
    peer.publish()
    await peer.until_applied()
    async with carrying(scene) as radio:
        phone, link = scene.bob.side(), await radio.connect(await hear(radio))
        await link.send(_bytes(phone.receive(await link.receive())))
        with pytest.raises(TapFailed) as failed:
            phone.receive(await link.receive())
        await link.close()
    assert failed.value.failure is failure
    assert _access(scene) == []
    peer.put("reader", f"{FRONT}.entry", scene.alice.certify(reader).body)
    peer.publish()
    await peer.until_applied()


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """One building for all that opens nothing."""
    async with standing(tmp_path_factory.mktemp("scene")) as made:
        yield made


def _bytes(told: bytes | Answer | None) -> bytes:
    assert isinstance(told, bytes)
    return told


async def _is_hung_up_on(link: BumbleLink, said: bytes) -> None:
    with pytest.raises(LinkLost):
        await link.send(said)
        while True:
            await asyncio.wait_for(link.receive(), 5)


async def test_a_building_that_is_killed_has_lost_no_opening_and_no_mode(tmp_path: Path) -> None:
    async with standing(tmp_path) as scene:
        granted = 0
        for _ in range(3):
            async with carrying(scene) as radio:
                for _ in range(3):
                    granted += (await scene.tap(radio)).opened
                granted += (await scene.tap(radio, Request(Ask.HOLD_OPEN))).opened
                going = asyncio.create_task(_tap_on(radio, scene))
                await asyncio.sleep(random.uniform(0, 0.1))
                await scene.kill_and_restart()
                granted += await going
            await _until(scene.state, "unlocked")
            async with carrying(scene) as radio:
                granted += (await scene.tap(radio, Request(Ask.NORMAL))).opened
        await scene.site.peer.until_fact(AccessDecided, granted)
        await asyncio.sleep(0.3)
        told = sum(fact.reason == "granted" for fact in _access(scene))
    assert granted <= told <= granted + 3, "at most the one under way at each kill was not heard of by its phone"


async def _tap_on(radio: BumbleRadio, scene: Scene) -> int:
    opened = 0
    with suppress(RadioFailed, TimeoutError, StopIteration):
        while True:
            opened += (await asyncio.wait_for(scene.tap(radio), 3)).opened
    return opened


async def _until(look: Callable[[], Awaitable[str]], wanted: str) -> None:
    async with asyncio.timeout(10):
        while await look() != wanted:
            await asyncio.sleep(0.05)


def _access(scene: Scene) -> list[AccessDecided]:
    return [fact for fact in scene.site.peer.facts() if isinstance(fact, AccessDecided)]


async def test_without_a_radio_nothing_is_heard_and_the_reason_is_told() -> None:
    radio = BumbleRadio("tcp-client:127.0.0.1:9")
    with pytest.raises(RadioOff):
        await radio.scan(0.1)
