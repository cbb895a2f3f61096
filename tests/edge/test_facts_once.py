"""Every fact is in the cloud's log exactly once, whatever is restored: the real journal, link, cloud and PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.cloud.cast import Cloud, serving
from tests.cloud.cast import settings as cloud_settings

from latchwork.cloud import admin
from latchwork.cloud.controllers import facts, store
from latchwork.cloud.kernel.work import Work
from latchwork.edge.config import Config
from latchwork.edge.enrol import enrol
from latchwork.edge.journal import Journal, Marks
from latchwork.edge.runner import Edge, running
from latchwork.sim.doors import VirtualWiring
from latchwork.wire.api.problems import Unavailable
from latchwork.wire.facts import AnyFact, DoorChanged
from latchwork.wire.link import Committed, Facts, Hello

Entry = tuple[str, int]
"""A fact's identity: its journal's id in hex and its number."""
FIRST = 1_000_000_000


def opened(at: int) -> DoorChanged:
    return DoorChanged(at=float(FIRST + at), door=1, change="opened")


class Log:
    """The cloud's log and what it has committed, seen and set back from beside the application."""

    def __init__(self, db: asyncpg.Connection) -> None:
        self._db = db

    async def openings(self) -> list[int]:
        """Which of `opened` are in the log, in its order."""
        rows = await self._db.fetch("SELECT at FROM events WHERE type = 'door_opened' ORDER BY number")
        return [int(row["at"]) - FIRST for row in rows]

    async def holes(self) -> list[Entry]:
        """The numbers that the log says are missing."""
        rows = await self._db.fetch(
            "SELECT data->>'journal' AS journal, generate_series((data->>'from')::bigint, (data->>'to')::bigint) AS n"
            " FROM events WHERE type = 'journal_gap'"
        )
        return [(row["journal"], row["n"]) for row in rows]

    async def clear(self) -> None:
        await self._db.fetch("WITH gone AS (DELETE FROM events) DELETE FROM journals")

    async def back_up(self) -> tuple[int, list[asyncpg.Record]]:
        last = await self._db.fetchval("SELECT coalesce(max(number), 0) FROM events")
        return last, await self._db.fetch("SELECT * FROM journals")

    async def restore(self, backup: tuple[int, list[asyncpg.Record]]) -> None:
        last, journals = backup
        rows = [list(column) for column in zip(*journals, strict=True)] or [[], [], [], []]
        await self._db.fetch(
            """
            WITH lost AS (DELETE FROM events WHERE number > $1),
                kept AS (SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[])
                    AS k (organisation_id, controller_id, journal, next)),
                gone AS (DELETE FROM journals j WHERE NOT EXISTS (
                    SELECT FROM kept WHERE (kept.controller_id, kept.journal) = (j.controller_id, j.journal)))
            INSERT INTO journals SELECT * FROM kept
            ON CONFLICT (controller_id, journal) DO UPDATE SET next = excluded.next
            """,
            last,
            *rows,
        )

    async def until_opened(self, *wanted: int, seconds: float = 30) -> None:
        """Waits until these are in the log, and says what is there if they are not, or not once each."""
        try:
            async with asyncio.timeout(seconds):
                while not set(wanted) <= set(await self.openings()):
                    await asyncio.sleep(0.01)
        finally:
            assert sorted(await self.openings()) == sorted(wanted)


def copied(journal: Path, copy: Path) -> Path:
    with closing(sqlite3.connect(journal)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def put_back(copy: Path, journal: Path) -> None:
    for companion in ("-wal", "-shm"):
        journal.with_name(journal.name + companion).unlink(missing_ok=True)
    shutil.copy(copy, journal)


# ------------------------------------------------------------------------------------------------- end to end


@dataclass
class Building:
    """Dora's folder, the cloud that she is enrolled at, and the copies that somebody makes of her journal."""

    cloud: Cloud
    config: Config
    log: Log

    @asynccontextmanager
    async def running(self, linked: bool = True) -> AsyncIterator[Dora]:
        async with running(self.config, VirtualWiring()) as edge:
            edge.link.up = linked
            yield Dora(edge)

    @property
    def journal(self) -> Path:
        return self.config.folder / "journal.db"

    def copy(self) -> Path:
        """A backup of the journal as it is now."""
        return copied(self.journal, self.config.folder / "copy.db")

    def restore(self, copy: Path) -> None:
        put_back(copy, self.journal)


@dataclass
class Dora:
    edge: Edge

    @property
    def journal(self) -> Journal:
        return self.edge.link._journal

    async def journals(self, *numbers: int) -> None:
        """These happen, and share a transaction."""
        await asyncio.gather(*(self.journal.append(opened(n), 0) for n in numbers))

    async def settle(self) -> None:
        """One more transaction of the journal: what the cloud has is deleted."""
        await asyncio.wrap_future(self.journal.mark(Marks(0, None), 0))


@pytest.fixture
async def log(fresh_dsn: str) -> AsyncIterator[Log]:
    conn = await asyncpg.connect(fresh_dsn)
    yield Log(conn)
    await conn.close()


@pytest.fixture
async def building(fresh_dsn: str, log: Log, tmp_path: Path) -> AsyncIterator[Building]:
    async with serving(fresh_dsn) as cloud:
        code = await _enrolment_code(cloud)
        config = await asyncio.to_thread(enrol, code, cloud.url, tmp_path / "edge.toml", tmp_path)
        config.folder.mkdir(parents=True, exist_ok=True)
        yield Building(cloud, config, log)


async def _enrolment_code(cloud: Cloud) -> str:
    async with admin.open_office(cloud_settings(), cloud.dsn) as office:
        organisation = await admin.found(office, "Alice's house")
        client = await admin.add_client(office, organisation.id, "backend", [], 1)
    form = {"grant_type": "client_credentials", "client_id": client.client_id, "client_secret": client.client_secret}
    token = (await cloud.http.post("/oauth2/token", data=form)).json()["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    await cloud.http.post("/v1/sites", json={"name": "Head office"}, headers=headers)
    await cloud.http.post("/v1/access-points", json={"siteId": 1, "name": "Front door"}, headers=headers)
    await cloud.http.post("/v1/controllers", json={"name": "Dora", "accessPoints": [1]}, headers=headers)
    made = await cloud.http.post("/v1/controllers/1/enrolment-code", headers=headers)
    code: str = made.json()["code"]
    return code


async def test_a_restored_cloud_gets_again_what_the_controller_still_holds(building: Building) -> None:
    async with building.running() as dora:
        await dora.journals(1, 2, 3)
        await building.log.until_opened(1, 2, 3)
        backup = await building.log.back_up()
        await dora.journals(4, 5, 6, 7)
        await building.log.until_opened(*range(1, 8))
        dora.edge.link.up = False
        await building.log.restore(backup)
        dora.edge.link.up = True
        await building.log.until_opened(*range(1, 8))
        await dora.journals(8)
        await building.log.until_opened(*range(1, 9))
    assert await building.log.holes() == []


async def test_a_restored_cloud_that_lost_what_is_held_nowhere_says_so_once_and_loses_and_repeats_nothing_else(
    building: Building,
) -> None:
    async with building.running() as dora:
        await dora.journals(1, 2, 3)
        await building.log.until_opened(1, 2, 3)
        backup = await building.log.back_up()
        await dora.journals(4, 5, 6)
        await building.log.until_opened(*range(1, 7))
        await dora.settle()
        await dora.journals(7, 8)
        await building.log.until_opened(*range(1, 9))
        dora.edge.link.up = False
        await building.log.restore(backup)
        await dora.journals(9)  # and with it goes what the cloud had: 7 and 8
        dora.edge.link.up = True
        await building.log.until_opened(1, 2, 3, 9)
        holes = await building.log.holes()
        assert [number for _, number in holes] == [5, 6, 7, 8, 9]
        await dora.journals(10)
        await building.log.until_opened(1, 2, 3, 9, 10)
    async with building.running() as dora:
        await dora.journals(11)
        await building.log.until_opened(1, 2, 3, 9, 10, 11)
    assert await building.log.holes() == holes


async def test_a_cloud_restored_to_before_earlier_starts_says_what_is_missing_of_each(building: Building) -> None:
    backup = await building.log.back_up()
    starts = []
    for start in range(3):
        async with building.running() as dora:
            await dora.journals(start)
            await building.log.until_opened(*range(start + 1))
            await dora.settle()
            starts.append(dora.journal.id.hex())
    await building.log.restore(backup)
    async with building.running() as dora:
        await dora.journals(9)
        await building.log.until_opened(9)
    assert sorted(await building.log.holes()) == sorted((journal, number) for journal in starts for number in (1, 2))


async def test_a_restored_older_journal_that_grew_while_offline_loses_nothing(building: Building) -> None:
    async with building.running() as dora:
        await dora.journals(*range(9))
        await building.log.until_opened(*range(9))
        await dora.settle()
        copy = building.copy()
        await dora.journals(*range(9, 29))
        await building.log.until_opened(*range(29))
    building.restore(copy)
    async with building.running(linked=False) as dora:
        await dora.journals(*range(29, 54))
        dora.edge.link.up = True
        await building.log.until_opened(*range(54))
    assert await building.log.holes() == []


async def test_a_restored_older_journal_repeats_nothing_that_the_cloud_has(building: Building) -> None:
    async with building.running() as dora:
        await dora.journals(1)
        await building.log.until_opened(1)
        dora.edge.link.up = False
        await dora.journals(2, 3, 4)
        copy = building.copy()
        await dora.journals(5)
        dora.edge.link.up = True
        await building.log.until_opened(*range(1, 6))
    for later in (6, 7):
        building.restore(copy)
        async with building.running() as dora:
            await dora.journals(later)
            await building.log.until_opened(*range(1, later + 1))
    assert await building.log.holes() == []


async def test_a_log_that_is_set_back_under_a_link_is_told_again_what_is_held(building: Building) -> None:
    async with building.running() as dora:
        await dora.journals(1)
        await building.log.until_opened(1)
        backup = await building.log.back_up()
        await dora.journals(2, 3)
        await building.log.until_opened(1, 2, 3)
        await asyncio.sleep(0.1)
        await building.log.restore(backup)
        await dora.journals(4)  # with it went 2 and 3
        await building.log.until_opened(1, 4)
    assert [number for _, number in await building.log.holes()] == [3, 4]


# ------------------------------------------------------------------------------------------------- whatever happens


@dataclass
class Copied:
    """A copy of the journal, and its past."""

    file: Path
    past: dict[int, Entry]


@dataclass
class History:
    """One controller's journal and one cloud's log: what happens to them is told step by step, answers get lost."""

    office: admin.Office
    log: Log
    folder: Path
    past: dict[int, Entry] = field(default_factory=dict)
    """Which openings the present file has ever had, and as what."""
    openings: Iterator[int] = field(default_factory=itertools.count)
    copied: Copied | None = None
    backup: tuple[int, list[asyncpg.Record]] | None = None
    was_restored: bool = False
    linked: bool = False
    told: Committed | None = None

    def __post_init__(self) -> None:
        self.path = self.folder / "journal.db"
        self.journal = Journal(self.path)

    # What may happen

    async def happen(self, count: int) -> None:
        for each in itertools.islice(self.openings, count):
            self.past[each] = (self.journal.id.hex(), await self.journal.append(opened(each), 0))

    async def tell(self, limit: int, is_answered: bool) -> None:
        """Sends one page, on a new link if need be."""
        if not self.linked:
            await self.greet()
        page = self.journal.page(limit, 1 << 20)
        if page is None:
            return
        message = Facts(page.journal, page.first, page.bodies)
        before = Counter(await self.log.holes())
        try:
            told = await self._do(lambda work, held: facts.take(work, held, 0, message, [_describe], [], self.told))
        except Unavailable:
            self.linked = False
            return
        assert told is not None
        assert told.next >= page.next
        assert Counter(await self.log.holes()) == before, "what is missing was said with the hello"
        self.told = told
        self.linked = is_answered
        if is_answered:
            self.journal.committed(page)

    async def tell_all(self) -> None:
        while self.journal.page(1, 1) is not None:
            await self.tell(100, is_answered=True)

    async def greet(self) -> None:
        self.journal.offer_again()
        j = self.journal
        hello = Hello(1, 1, b"", 0, b"", j.id, j.first, j.next, b"", former=j.former)
        held = self.held()
        before = Counter(await self.log.holes())
        self.told = await self._do(lambda work, known: facts.miss(work, known, 0, hello))
        assert not set(Counter(await self.log.holes()) - before) & held, "the controller still holds what is named lost"
        self.linked = True

    async def settle(self) -> None:
        await asyncio.wrap_future(self.journal.mark(Marks(0, None), 0))

    async def restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self.path)
        self.linked = False

    async def copy(self) -> None:
        self.copied = Copied(copied(self.path, self.folder / "copy.db"), dict(self.past))

    async def restore_copy(self) -> None:
        if self.copied is None:
            return
        self.journal.close()
        put_back(self.copied.file, self.path)
        self.past = dict(self.copied.past)
        self.journal = Journal(self.path)
        self.linked = False

    async def back_up(self) -> None:
        self.backup = await self.log.back_up()

    async def restore_backup(self) -> None:
        if self.backup is not None:
            await self.log.restore(self.backup)
            self.was_restored = True

    # What must hold

    def held(self) -> set[Entry]:
        rows = self.journal._reader.execute("select journal, number from entries join books using (book)").fetchall()
        return {(journal.hex(), number) for journal, number in rows}

    async def check(self) -> None:
        """Tells everything, and then: in the log exactly once, or said to be missing."""
        await self.greet()
        await self.tell_all()
        there, missing = Counter(await self.log.openings()), Counter(await self.log.holes())
        assert {*there.values(), *missing.values()} <= {1}
        assert self.was_restored or not missing
        for opening, entry in self.past.items():
            assert (opening in there) is not (entry in missing)

    async def _do(self, use_case: Any) -> Any:
        async def with_held(work: Work) -> Any:
            held = await store.find_held(work.conn, 1, 1)
            return await use_case(work, held)

        return await self.office.run(1, with_held)


async def _describe(conn: object, scope: object, known: list[AnyFact]) -> list[dict[str, Any]]:
    return [{} for _ in known]


SET_BACK_BETWEEN_TWO_JOURNALS: list[tuple[Any, ...]] = [
    ("happen", 1), ("restart",), ("happen", 1), ("back_up",), ("tell", 5, True), ("settle",), ("restore_backup",),
    ("tell", 5, True), ("settle",),
]  # fmt: skip
SET_BACK_AFTER_THE_HELLO: list[tuple[Any, ...]] = [
    ("happen", 1), ("back_up",), ("tell", 5, True), ("settle",), ("restart",), ("tell", 5, True), ("happen", 1),
    ("restore_backup",), ("tell", 5, True), ("settle",),
]  # fmt: skip

steps = st.lists(
    st.tuples(st.just("happen"), st.integers(1, 4))
    | st.tuples(st.just("tell"), st.integers(1, 3), st.booleans())
    | st.tuples(st.sampled_from(["tell_all", "settle", "restart"]))
    | st.tuples(st.sampled_from(["copy", "restore_copy", "back_up", "restore_backup"])),
    min_size=10,
    max_size=40,
)


@pytest.fixture
async def office(fresh_dsn: str) -> AsyncIterator[admin.Office]:
    """Of an organisation with one controller that has never linked."""
    async with serving(fresh_dsn) as cloud:
        await _enrolment_code(cloud)
    async with admin.open_office(cloud_settings(), fresh_dsn) as entered:
        yield entered


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(story=steps)
@example(story=SET_BACK_BETWEEN_TWO_JOURNALS)
@example(story=SET_BACK_AFTER_THE_HELLO)
async def test_in_any_history_every_fact_is_in_the_log_once_or_said_to_be_missing(
    office: admin.Office, log: Log, tmp_path_factory: pytest.TempPathFactory, story: list[tuple[Any, ...]]
) -> None:
    await log.clear()
    history = History(office, log, tmp_path_factory.mktemp("dora"))
    try:
        for name, *values in story:
            await getattr(history, name)(*values)
        await history.check()
    finally:
        history.journal.close()
