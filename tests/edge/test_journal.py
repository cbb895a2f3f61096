"""Promises of the journal, on real SQLite files."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.edge.cast import FRONT, NOW

from latchwork.edge.journal import Journal, JournalUnavailable, Marks, Page, Use
from latchwork.wire.facts import AccessDecided, AnyFact, ControllerStarted, StrikeWithheld, codec
from latchwork.wire.link import MOST_FORMER, Former


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = Journal(tmp_path / "journal.db")
    yield opened
    opened.close()


def fact(number: int = 0) -> AnyFact:
    return ControllerStarted(at=NOW + number, version=str(number), clock_trusted=True)


def use(pass_id: bytes = b"8 bytes!", first_at: float = NOW, expires_at: float = NOW + 65) -> Use:
    return Use(pass_id, FRONT, "entry", first_at, expires_at)


def held(journal: Journal) -> list[AnyFact]:
    """What is offered of the oldest journal."""
    page = journal.page(100_000, 1 << 30)
    return [codec.decode(body) for body in page.bodies] if page else []


def some(journal: Journal, limit: int = 100_000, max_bytes: int = 1 << 30) -> Page:
    """The next page, which there must be."""
    page = journal.page(limit, max_bytes)
    assert page is not None
    return page


def take(journal: Journal, count: int) -> None:
    """The cloud takes the next entries."""
    journal.committed(some(journal, count))


async def settle(journal: Journal) -> None:
    """One more transaction."""
    await asyncio.wrap_future(journal.mark(Marks(NOW, None), NOW))


async def test_numbers_begin_at_one_and_have_no_gaps(journal: Journal) -> None:
    assert (journal.first, journal.next, len(journal.id)) == (1, 1, 16)
    assert [await journal.append(fact(n), NOW) for n in range(3)] == [1, 2, 3]
    assert sorted(await asyncio.gather(*(journal.append(fact(n), NOW) for n in range(100)))) == list(range(4, 104))


async def test_what_the_cloud_has_is_let_go_and_numbering_goes_on(journal: Journal) -> None:
    for n in range(5):
        await journal.append(fact(n), NOW)
    take(journal, 3)
    assert await journal.append(fact(5), NOW) == 6
    assert (journal.first, journal.next) == (4, 7)
    take(journal, 3)
    await settle(journal)
    assert (journal.first, journal.next) == (7, 7)
    assert journal.page(10, 1 << 30) is None
    assert await journal.append(fact(), NOW) == 7


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    for n in range(3):
        await first.append(fact(n), NOW, use())
    take(first, 2)
    await settle(first)
    first.close()
    second = Journal(tmp_path / "journal.db")
    assert (some(second).journal, some(second).first, held(second)) == (first.id, 3, [fact(2)])
    assert second.first_used_at(b"8 bytes!", FRONT, "entry") == NOW
    assert second.marks == Marks(NOW, None)
    second.close()


async def test_every_start_begins_a_journal_and_entries_keep_theirs(tmp_path: Path) -> None:
    identities = []
    for n in range(3):
        journal = Journal(tmp_path / "journal.db")
        assert (journal.first, journal.next) == (1, 1)
        assert [await journal.append(fact(n), NOW), await journal.append(fact(n), NOW)] == [1, 2]
        identities.append(journal.id)
        journal.close()
    journal = Journal(tmp_path / "journal.db")
    assert journal.former == tuple(Former(each, 1) for each in reversed(identities))
    for n, identity in enumerate(identities):
        page = some(journal)
        assert (page.journal, page.first, page.next, held(journal)) == (identity, 1, 3, [fact(n)] * 2)
        journal.committed(page)
    assert journal.page(10, 1 << 30) is None
    await journal.append(fact(), NOW)
    assert (some(journal).journal, some(journal).first) == (journal.id, 1)
    assert journal.former == tuple(Former(each, 3) for each in reversed(identities))
    journal.close()


async def test_a_start_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(3):
        journal = Journal(tmp_path / "journal.db")
        await settle(journal)
        assert journal.former == ()
        journal.close()


async def test_as_many_earlier_journals_are_remembered_as_a_hello_can_name(journal: Journal) -> None:
    for _ in range(MOST_FORMER + 20):
        journal.renew()
        await journal.append(fact(), NOW)
        take(journal, 1)
    assert [former.first for former in journal.former] == [2] * MOST_FORMER
    assert journal._one("select count(*) from books")[0] <= MOST_FORMER + 2


async def test_no_journal_is_forgotten_while_the_cloud_lacks_its_entries(journal: Journal) -> None:
    for _ in range(MOST_FORMER + 20):
        journal.renew()
        await journal.append(fact(), NOW)
    for _ in range(MOST_FORMER + 20):
        take(journal, 1)
    assert journal.page(1, 1) is None


async def test_what_the_cloud_took_is_offered_again_until_it_is_deleted(journal: Journal) -> None:
    """A cloud that was set back gets what is still here, under its own numbers, and the rest is a hole."""
    for n in range(6):
        await journal.append(fact(n), NOW)
    take(journal, 3)
    await settle(journal)
    take(journal, 2)
    assert (some(journal).first, held(journal)) == (6, [fact(5)])
    journal.offer_again()
    assert (journal.first, some(journal).first, held(journal)) == (4, 4, [fact(3), fact(4), fact(5)])
    await settle(journal)
    assert journal.first == 4


async def test_a_page_stops_at_a_hole_and_says_where_it_begins(journal: Journal) -> None:
    for n in range(1, 8):
        await journal.append(fact(n), NOW)
    journal._conn.execute("delete from entries where number in (1, 4)")
    page = some(journal)
    assert (page.first, page.next, held(journal)) == (2, 4, [fact(2), fact(3)])
    journal.committed(page)
    assert (some(journal).first, some(journal).next) == (5, 8)


async def test_a_page_is_bounded_but_never_empty_while_there_are_entries(journal: Journal) -> None:
    for n in range(10):
        await journal.append(fact(n), NOW)
    size = len(codec.encode(fact(1)))
    assert len(some(journal, 4).bodies) == 4
    assert len(some(journal, 100, size * 3).bodies) == 3
    assert len(some(journal, 100, 1).bodies) == 1
    take(journal, 10)
    assert journal.page(100, 1 << 20) is None


async def test_the_first_use_is_what_is_remembered(journal: Journal) -> None:
    await journal.append(fact(), NOW, use())
    await journal.append(fact(), NOW, use(first_at=NOW + 30))
    assert journal.first_used_at(b"8 bytes!", FRONT, "entry") == NOW
    assert journal.first_used_at(b"8 bytes!", FRONT, "exit") is None


async def test_uses_that_expired_are_forgotten_and_others_are_not(journal: Journal) -> None:
    await journal.append(fact(), NOW, use(b"earlier!", expires_at=NOW + 5))
    await journal.append(fact(), NOW, use(b"later!!!", expires_at=NOW + 500))
    await asyncio.wrap_future(journal.mark(Marks(NOW + 60, NOW), NOW + 60))
    assert journal.first_used_at(b"earlier!", FRONT, "entry") is None
    assert journal.first_used_at(b"later!!!", FRONT, "entry") == NOW
    assert journal.marks == Marks(NOW + 60, NOW)


async def test_the_base_clock_it_remembers_never_falls(journal: Journal) -> None:
    await journal.append(fact(), NOW + 100)
    await journal.append(fact(), NOW)
    await asyncio.wrap_future(journal.mark(Marks(NOW + 5, None), NOW))
    assert journal.marks == Marks(NOW + 100, None)


async def test_withholding_a_grant_takes_its_use_back(journal: Journal) -> None:
    number = await journal.append(fact(), NOW, use())
    await asyncio.wrap_future(journal.withhold(StrikeWithheld(at=NOW, door=FRONT, number=number), NOW))
    assert journal.first_used_at(b"8 bytes!", FRONT, "entry") is None
    assert held(journal)[-1] == StrikeWithheld(at=NOW, door=FRONT, number=1)


async def test_withholding_one_grant_keeps_the_use_of_a_later_one(journal: Journal) -> None:
    first = await journal.append(fact(), NOW, use())
    await journal.append(fact(), NOW, use(first_at=NOW + 1))
    await asyncio.wrap_future(journal.withhold(StrikeWithheld(at=NOW, door=FRONT, number=first), NOW))
    assert journal.first_used_at(b"8 bytes!", FRONT, "entry") is not None


async def test_withholding_a_grant_takes_back_no_use_of_an_earlier_start(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    await first.append(fact(), NOW, use())
    first.close()
    second = Journal(tmp_path / "journal.db")
    number = await second.append(fact(), NOW)
    await asyncio.wrap_future(second.withhold(StrikeWithheld(at=NOW, door=FRONT, number=number), NOW))
    assert second.first_used_at(b"8 bytes!", FRONT, "entry") == NOW
    second.close()


async def test_an_entry_that_still_waits_can_be_taken_back_without_a_gap(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", commit_delay=0.1)
    first = journal.submit(fact(1), NOW)
    await asyncio.sleep(0.05)
    waiting = journal.submit(fact(2), NOW, use())
    assert waiting.cancel()
    assert await journal.append(fact(3), NOW) == 2
    assert first.result() == 1
    assert journal.first_used_at(b"8 bytes!", FRONT, "entry") is None
    journal.close()


async def test_many_who_wait_share_one_commit(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", commit_delay=0.05)
    began = time.monotonic()
    await asyncio.gather(*(journal.append(fact(n), NOW) for n in range(200)))
    assert time.monotonic() - began < 5
    journal.close()


async def test_a_full_journal_says_so_and_leaves_no_gap(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", max_bytes=100_000)
    big = ControllerStarted(at=NOW, version="x" * 2000, clock_trusted=True)
    written = 0
    with pytest.raises(JournalUnavailable):
        for _ in range(1000):
            await journal.append(big, NOW, use(os.urandom(8)))
            written += 1
    assert (journal.next, len(held(journal))) == (written + 1, written)
    take(journal, written)
    assert await journal.append(big, NOW) == written + 1
    journal.close()


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.edge.test_journal import fact, use
from latchwork.edge.journal import Journal, JournalUnavailable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def main():
    journal = Journal(Path({path!r}))
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    count = 0
    try:
        while True:
            count = await journal.append(fact(count), 5.0)
    except JournalUnavailable:
        print("refused after", count, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    assert journal.next == count + 1, journal.next
    journal.committed(journal.page(count, 1 << 30))
    assert await journal.append(fact(), 5.0) == count + 1

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_refuses_and_recovers_without_a_gap(tmp_path: Path) -> None:
    code = FULL_DISK.format(tests=str(Path(__file__).parents[2]), path=str(tmp_path / "journal.db"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "refused after" in done.stdout


@pytest.mark.parametrize("damage", [b"This is not a database. " * 500, b"\0" * 9000])
async def test_an_unreadable_journal_is_set_aside_and_is_a_new_one(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal.db"
    first = Journal(path)
    await first.append(fact(), NOW)
    identity = first.id
    first.close()
    path.write_bytes(damage)
    second = Journal(path)
    assert second.id != identity
    assert await second.append(fact(), NOW) == 1
    assert list(tmp_path.glob("journal.db.unreadable-*"))
    second.close()


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.edge.cast import NOW
from tests.edge.test_journal import fact, use
from latchwork.edge.journal import Journal

async def main():
    journal = Journal(Path({path!r}))
    print("ready", journal.next, flush=True)
    while True:
        numbers = await asyncio.gather(
            *(journal.append(fact(n), NOW, use((journal.next + n).to_bytes(8, "big"))) for n in range(3))
        )
        print(max(numbers), flush=True)

asyncio.run(main())
"""


def test_killed_at_any_instant_it_lost_nothing_it_had_promised(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    code = KILLED.format(tests=str(Path(__file__).parents[2]), path=str(path))
    for wait in (0.01, 0.02, 0.05, 0.09, 0.13):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready 1\n"
            promised = [int(child.stdout.readline())]
            time.sleep(wait)
            os.kill(child.pid, signal.SIGKILL)
            promised += [int(line) for line in child.stdout if line.endswith("\n")]
        journal = Journal(path)
        numbers = list(range(1, len(held(journal)) + 1))
        assert (some(journal).first, journal.former[0].first) == (1, 1)
        assert promised[-1] in numbers
        uses = journal._reader.execute("select number from uses order by number").fetchall()
        assert [row[0] for row in uses] == numbers
        journal.close()
        path.unlink()


def test_access_facts_fit(tmp_path: Path) -> None:
    decided = AccessDecided(at=NOW, door=1, direction="entry", reason="granted", credential="qr")
    assert codec.decode(codec.encode(decided)) == decided
