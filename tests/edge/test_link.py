"""Promises of the link, over a real WebSocket to a peer that speaks `wire/link.py`."""

from __future__ import annotations

import asyncio
import ssl
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from tests.edge.cast import ENTRY, FRONT, LAB, MEETING, Organisation, door
from tests.edge.certificate import make_certificate
from tests.edge.site import Site

from latchwork.edge.journal import Journal
from latchwork.edge.link import LONGEST_PAUSE, REFUSED_PAUSE, Pauses, link_url
from latchwork.edge.runner import AlreadyRunning, Edge
from latchwork.edge.store import Held, Store
from latchwork.wire.facts import AccessDecided, ControllerStarted, DoorChanged, RecordRejected, codec
from latchwork.wire.link import Challenge, Changes, Close, Committed, Former
from latchwork.wire.state import KINDS, RevocationRecord


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def show(edge: Edge, text: str) -> str:
    answer = await edge.controller.present(FRONT, ENTRY, qr=text)
    return answer.decision.reason.value


async def test_a_new_controller_gets_a_snapshot_and_opens(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        assert await show(edge, alice.invite(site.peer.now)) == "granted"
        assert site.wiring(FRONT).strike_is_on
        [fact] = await site.peer.until_fact(AccessDecided)
        assert isinstance(fact, AccessDecided)
        assert (fact.reason, fact.meeting) == ("granted", MEETING)


async def test_hello_says_what_is_held_and_is_signed(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url:
        for session in (1, 2):
            async with site.running(url):
                await site.peer.until_linked(session)
                await site.peer.until_applied()
                await site.peer.until_fact(ControllerStarted, session)
    first, second = site.peer.hellos
    assert (first.revision, first.mark, first.first) == (0, b"", 1)
    assert first.next in (1, 2), "the start itself may or may not be written already"
    assert (second.revision, second.mark) == (1, site.peer.marks[1])
    assert second.next in (1, 2)
    assert second.kinds == KINDS
    assert second.former == (Former(first.journal, 2),)
    assert first.instance != second.instance
    assert second.version
    assert second.tzdata


async def test_a_change_reaches_the_door_and_is_confirmed_at_once(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        text = alice.invite(site.peer.now)
        assert await show(edge, text) == "granted"
        for number in range(20):
            site.peer.put("revocation", 900 + number, RevocationRecord(2))
            began = time.perf_counter()
            await site.peer.until_applied(site.peer.publish())
        assert time.perf_counter() - began < 15
        site.peer.put("revocation", MEETING, RevocationRecord(2))
        await site.peer.until_applied(site.peer.publish())
        assert await show(edge, text) == "pass_revoked"


async def test_changes_and_facts_of_an_offline_spell_catch_up(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        edge.link.up = False
        assert not edge.link.up
        await asyncio.sleep(0.05)
        site.peer.put("revocation", MEETING, RevocationRecord(2))
        site.peer.publish()
        text = alice.invite(site.peer.now)
        for _ in range(3):
            assert await show(edge, text) == "granted"
        assert edge.link.session is None
        edge.link.up = True
        await site.peer.until_applied()
        assert await show(edge, text) == "pass_revoked"
        found = await site.peer.until_fact(AccessDecided, 4)
        assert [fact.reason for fact in found] == ["granted"] * 3 + ["pass_revoked"]  # type: ignore[union-attr]


async def test_a_line_that_breaks_anywhere_loses_no_fact_and_repeats_none(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        for number in range(12):
            await show(edge, alice.invite(site.peer.now, visitor=number))
            edge.link.up = False
            await asyncio.sleep(0.003 * number)
            edge.link.up = True
            await asyncio.sleep(0.004 * number)
        found = await site.peer.until_fact(AccessDecided, 12)
        assert [fact.visitor for fact in found] == list(range(12))  # type: ignore[union-attr]


async def test_facts_wait_for_a_cloud_that_cannot_commit(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    site.peer.commits = False
    async with site.peer.serving() as url:
        async with site.running(url) as edge:
            await site.peer.until_applied()
            for number in range(5):
                await show(edge, alice.invite(site.peer.now, visitor=number))
            assert site.peer.facts() == []
        site.peer.commits = True
        async with site.running(url):
            found = await site.peer.until_fact(AccessDecided, 5)
            assert [fact.visitor for fact in found] == list(range(5))  # type: ignore[union-attr]
            await asyncio.sleep(0.1)
    journal = Journal(site.config(url).folder / "journal.db")
    assert journal.page(100, 1 << 20) is None
    assert len(journal.former) == 2
    journal.close()


async def test_thousands_of_facts_go_up_in_batches(site: Site) -> None:
    config = site.config("")
    config.folder.mkdir()
    journal = Journal(config.folder / "journal.db")
    facts = [DoorChanged(at=float(n), door=1, change="opened") for n in range(3000)]
    await asyncio.gather(*(journal.append(fact, fact.at) for fact in facts))
    journal.close()
    async with site.peer.serving() as url, site.running(url):
        assert await site.peer.until_fact(DoorChanged, 3000) == facts


async def test_a_large_snapshot_arrives_whole(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    for number in range(5000):
        site.peer.put("revocation", 1000 + number, RevocationRecord(number))
    site.peer.chunk = 300
    site.peer.publish()
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        assert await show(edge, alice.invite(site.peer.now, meeting=5999, version=4998)) == "pass_revoked"
        assert await show(edge, alice.invite(site.peer.now, meeting=5999, version=4999)) == "granted"


async def test_malformed_records_are_reported_and_stop_nothing(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    site.peer.put("door", LAB, b"\xc1")
    site.peer.put("hologram", "h1", b"\xc1")
    site.peer.publish()
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        assert await show(edge, alice.invite(site.peer.now)) == "granted"
        assert list(edge.controller.doors) == [FRONT]
        found = await site.peer.until_fact(RecordRejected, 2)
        assert {(fact.kind, fact.key) for fact in found} == {("door", "2"), ("hologram", "h1")}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff",
        b"",
        "text",
        Changes(1, b"unknown!", []),
        Changes(9, b"m", [], first=False),
        Changes(2**63, b"m", []),
        Committed(b"another journal", 1),
        Challenge(b"", b"", 0.0),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, msgspec.Struct) else repr(each),
)
async def test_nonsense_from_the_cloud_ends_the_session_and_nothing_else(
    site: Site, alice: Organisation, nonsense: bytes | str | msgspec.Struct
) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        assert site.peer._socket is not None
        if isinstance(nonsense, msgspec.Struct):
            await site.peer.send(nonsense)  # type: ignore[arg-type]
        else:
            await site.peer._socket.send(nonsense)
        await site.peer.until_linked(2)
        assert await show(edge, alice.invite(site.peer.now)) == "granted"


async def test_a_cloud_that_commits_what_was_never_sent_is_not_believed(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        await site.peer.until_fact(ControllerStarted)
        await site.peer.send(Committed(site.peer.hellos[0].journal, 1000))
        await site.peer.until_linked(2)
        await show(edge, alice.invite(site.peer.now))
        await site.peer.until_fact(AccessDecided)


async def test_a_machine_set_back_while_it_ran_goes_on_under_a_new_journal(site: Site, alice: Organisation) -> None:
    """The cloud has more of the running program's journal than the program ever wrote."""
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_fact(ControllerStarted)
        [identity] = site.peer.bodies
        site.peer.bodies[identity] *= 100
        await site.peer.hang_up()
        before = len(site.peer.healths)
        async with asyncio.timeout(30):
            while len(site.peer.healths) == before:  # said once the cloud's welcome was understood
                await asyncio.sleep(0.01)
        await show(edge, alice.invite(site.peer.now))
        await site.peer.until_fact(AccessDecided)
        assert len(site.peer.bodies) == 2


async def test_facts_of_earlier_starts_go_up_first_and_under_their_own_journal(site: Site) -> None:
    config = site.config("")
    config.folder.mkdir()
    told = []
    for start in range(3):
        journal = Journal(config.folder / "journal.db")
        for n in range(start + 1):
            fact = DoorChanged(at=float(10 * start + n), door=1, change="opened")
            await journal.append(fact, fact.at)
            told.append((journal.id, n + 1, fact))
        journal.close()
    async with site.peer.serving() as url, site.running(url):
        await site.peer.until_fact(ControllerStarted)
    got = [(f.journal, f.first + n, codec.decode(b)) for f in site.peer.frames for n, b in enumerate(f.bodies)]
    assert got[:6] == told
    assert got[6][:2] == (site.peer.hellos[0].journal, 1)


async def test_what_the_cloud_knows_more_of_an_earlier_journal_is_no_matter(site: Site) -> None:
    config = site.config("")
    config.folder.mkdir()
    journal = Journal(config.folder / "journal.db")
    fact = DoorChanged(at=1.0, door=1, change="opened")
    await journal.append(fact, fact.at)
    journal.close()
    site.peer.bodies[journal.id] = [codec.encode(fact)] * 30
    async with site.peer.serving() as url, site.running(url):
        await site.peer.until_fact(ControllerStarted)
    assert len(site.peer.facts(journal.id)) == 30
    assert site.peer.sessions == 1


async def test_a_controller_whose_state_was_lost_gets_a_snapshot(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url:
        async with site.running(url):
            await site.peer.until_applied()
        (site.config(url).folder / "state.db").write_bytes(b"rust" * 5000)
        site.peer.confirmed = 0
        async with site.running(url) as edge:
            await site.peer.until_applied()
            assert await show(edge, alice.invite(site.peer.now)) == "granted"
    assert [hello.revision for hello in site.peer.hellos] == [0, 0]


async def test_a_controller_that_was_set_back_gets_a_snapshot(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        site.peer.marks[1] = b"not this"
        site.peer.records.pop(("door", str(FRONT)))
        site.peer.put("door", LAB, door(LAB).body)
        site.peer.publish()
        await site.peer.hang_up()
        await site.peer.until_applied()
        assert list(edge.controller.doors) == [LAB]


async def test_a_frozen_controller_goes_on_with_what_it_has(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        site.peer.frozen = True
        await site.peer.hang_up()
        await site.peer.until_linked(2)
        assert await show(edge, alice.invite(site.peer.now)) == "granted"
        await site.peer.until_fact(AccessDecided)


async def test_the_cloud_sets_the_clock(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    site.peer.skew = 5_000_000
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        assert edge.clock.read().at == pytest.approx(site.peer.now, abs=1)
        assert await show(edge, alice.invite(site.peer.now)) == "granted"
        site.peer.skew += 100
        await site.peer.tick()
        await asyncio.sleep(0.1)
        assert edge.clock.read().at == pytest.approx(site.peer.now, abs=1)


async def test_a_restart_while_offline_goes_on_with_state_uses_and_time(site: Site, alice: Organisation) -> None:
    site.peer.put("key", alice.kid.hex(), alice.key_record.body)
    site.peer.put("door", FRONT, door(single_use=True).body)
    site.peer.publish()
    text = alice.invite(time.time())
    async with site.peer.serving() as url:
        async with site.running(url) as edge:
            await site.peer.until_applied()
            assert await show(edge, text) == "granted"
        async with site.running(url) as edge:
            edge.link.up = False
            edge.clock._system = time.time
            edge.clock.advance(10)
            assert await show(edge, text) == "already_used"
            assert await show(edge, alice.invite(time.time())) == "granted"


async def test_another_cloud_hears_nothing_from_this_controller(site: Site) -> None:
    async with site.peer.serving() as url, site.running(url, cloud_id="00" * 16) as edge:
        await asyncio.sleep(0.2)
        assert site.peer.hellos == []
        assert edge.link.session is None


@pytest.mark.parametrize("code", [Close.SUPERSEDED, Close.REMOVED, Close.NOT_AUTHENTIC])
async def test_a_controller_that_is_not_wanted_does_not_hammer(
    site: Site, alice: Organisation, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    site.peer.refuse_with = code
    async with site.peer.serving() as url, site.running(url):
        await asyncio.sleep(1)
        assert len(site.peer.hellos) == 1
    assert "no link" in caplog.text


async def test_a_link_that_is_restored_does_not_wait_for_its_pause(site: Site) -> None:
    site.peer.refuse_with = Close.SUPERSEDED
    async with site.peer.serving() as url, site.running(url) as edge:
        await asyncio.sleep(0.2)
        site.peer.refuse_with = None
        edge.link.up = False
        edge.link.up = True
        await site.peer.until_linked(1, seconds=15)


def test_pauses_grow_with_jitter_and_shrink_after_a_good_session() -> None:
    pauses = Pauses()
    waited = [pauses.next(refused=False, lasted=0.1) for _ in range(12)]
    assert 0.05 <= waited[0] <= 0.1
    assert all(later > earlier * 0.9 for earlier, later in pairwise(waited) if later < 15)
    assert LONGEST_PAUSE / 2 <= waited[-1] <= LONGEST_PAUSE
    assert REFUSED_PAUSE / 2 <= pauses.next(refused=True, lasted=100) <= REFUSED_PAUSE
    assert pauses.next(refused=False, lasted=10) <= 0.1


async def test_a_cloud_that_is_away_is_found_when_it_comes_back(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url:
        port = int(url.rsplit(":", 1)[1])
    async with site.running(url) as edge:
        await asyncio.sleep(0.3)
        assert edge.link.session is None
        async with site.peer.serving(port):
            await site.peer.until_applied()


async def test_over_tls_only_the_pinned_key_hears_a_hello(site: Site, alice: Organisation, tmp_path: Path) -> None:
    site.furnish(alice)
    certificate, fingerprint = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with site.peer.serving(tls=context) as url:
        async with site.running(url, fingerprint="ab" * 32):
            await asyncio.sleep(0.3)
            assert site.peer.hellos == []
        async with site.running(url, fingerprint=""):
            await asyncio.sleep(0.3)
            assert site.peer.hellos == [], "no authority has signed this certificate"
        async with site.running(url, fingerprint=fingerprint) as edge:
            await site.peer.until_applied()
            assert await show(edge, alice.invite(site.peer.now)) == "granted"


async def test_two_programs_do_not_share_a_folder(site: Site) -> None:
    async with site.peer.serving() as url, site.running(url):
        with pytest.raises(AlreadyRunning):
            async with site.running(url):
                pass


async def test_a_program_that_ends_in_the_middle_of_a_snapshot_starts_again_from_what_it_held(
    site: Site, alice: Organisation
) -> None:
    site.furnish(alice)
    async with site.peer.serving() as url:
        async with site.running(url):
            await site.peer.until_applied()
            await site.peer.send(Changes(7, b"half", [door(LAB)], snapshot=True, last=False))
            await asyncio.sleep(0.05)
        store = Store(site.config(url).folder / "state.db")
        assert store.held == Held(1, site.peer.marks[1])
        assert list(store.doors()) == [FRONT]
        store.close()


def test_the_links_address_follows_the_clouds() -> None:
    assert link_url("https://access.example.org") == "wss://access.example.org/link"
    assert link_url("http://127.0.0.1:8080/") == "ws://127.0.0.1:8080/link"


async def test_a_controller_says_how_it_is_after_its_welcome_and_every_tick(site: Site, alice: Organisation) -> None:
    site.furnish(alice)
    site.peer.commits = False
    async with site.peer.serving() as url, site.running(url) as edge:
        await site.peer.until_applied()
        await show(edge, "LW1:NOBODYS")
        await site.peer.tick()
        async with asyncio.timeout(30):
            while len(site.peer.healths) < 2:
                await asyncio.sleep(0.01)
        health = site.peer.healths[-1]
        assert health.backlog == 2, "its start and the refusal"
        assert abs(health.time - site.peer.now) < 20
        assert not health.own_clock
