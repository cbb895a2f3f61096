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

from latchwork.edge.journal import Journal, JournalUnavailable, Marks, Use
from latchwork.wire.facts import AccessDecided, AnyFact, ControllerStarted, StrikeWithheld, codec


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
    return [codec.decode(body) for body in journal.page(journal.first, 100_000, 1 << 30)]


async def test_numbers_begin_at_one_and_have_no_gaps(journal: Journal) -> None:
    assert (journal.first, journal.next, len(journal.id)) == (1, 1, 16)
    assert [await journal.append(fact(n), NOW) for n in range(3)] == [1, 2, 3]
    assert sorted(await asyncio.gather(*(journal.append(fact(n), NOW) for n in range(100)))) == list(range(4, 104))


async def test_what_the_cloud_has_is_let_go_and_numbering_goes_on(journal: Journal) -> None:
    for n in range(5):
        await journal.append(fact(n), NOW)
    journal.committed(4)
    assert await journal.append(fact(5), NOW) == 6
    assert (journal.first, journal.next) == (4, 7)
    journal.committed(7)
    await asyncio.wrap_future(journal.mark(Marks(NOW, None), NOW))
    assert (journal.first, journal.next) == (7, 7)
    assert await journal.append(fact(), NOW) == 7


async def test_it_survives_a_restart(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    await first.append(fact(1), NOW, use())
    first.committed(2)
    await asyncio.wrap_future(first.mark(Marks(NOW, None), NOW))
    identity = first.id
    first.close()
    second = Journal(tmp_path / "journal.db")
    assert (second.id, second.first, second.next) == (identity, 2, 2)
    assert second.first_used_at(b"8 bytes!", FRONT, "entry") == NOW
    assert second.marks == Marks(NOW, None)
    second.close()


async def test_a_page_is_bounded_but_never_empty_while_there_are_entries(journal: Journal) -> None:
    for n in range(10):
        await journal.append(fact(n), NOW)
    size = len(codec.encode(fact(1)))
    assert len(journal.page(1, 4, 1 << 20)) == 4
    assert len(journal.page(1, 100, size * 3)) == 3
    assert len(journal.page(1, 100, 1)) == 1
    assert journal.page(11, 100, 1 << 20) == []


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


async def test_a_journal_that_was_set_back_becomes_another_and_keeps_its_entries(journal: Journal) -> None:
    for n in range(5):
        await journal.append(fact(n), NOW, use())
    journal.committed(3)
    await asyncio.wrap_future(journal.mark(Marks(NOW, None), NOW))
    identity, before = journal.id, held(journal)
    await asyncio.wrap_future(journal.renew())
    assert journal.id != identity
    assert (journal.first, journal.next) == (1, 4)
    assert held(journal) == before
    assert await journal.append(fact(), NOW) == 4
    journal.committed(3)
    assert await journal.append(fact(), NOW) == 5
    assert journal.first == 3
    assert journal.first_used_at(b"8 bytes!", FRONT, "entry") == NOW


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
    assert time.monotonic() - began < 1
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
    journal.committed(written + 1)
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
    journal.committed(count + 1)
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
            child.stdout.readline()
            time.sleep(wait)
            os.kill(child.pid, signal.SIGKILL)
            promised = [int(line) for line in child.stdout if line.endswith("\n")]
        journal = Journal(path)
        count = len(journal.page(1, 1_000_000, 1 << 30))
        assert journal.next == count + 1
        assert not promised or promised[-1] <= count
        uses = journal._reader.execute("select number from uses order by number").fetchall()
        assert [row[0] for row in uses] == list(range(1, count + 1))
        journal.close()


def test_access_facts_fit(tmp_path: Path) -> None:
    decided = AccessDecided(at=NOW, door=1, direction="entry", reason="granted", credential="qr")
    assert codec.decode(codec.encode(decided)) == decided
