"""Promises of the state store, on real SQLite files."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.edge.cast import FRONT, LAB, MEETING, Organisation, delta, door, revocation, snapshot

from latchwork.edge.known import REFUSE_EVERY_VERSION
from latchwork.edge.records import unreadable
from latchwork.edge.store import BatchRefused, Held, Store
from latchwork.policy.model import Direction
from latchwork.wire import p256, state
from latchwork.wire.link import Changes, Record
from latchwork.wire.state import CardRecord, DoorRecord, GrantRecord, KeyRecord, PersonRecord, RevocationRecord


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state.db")


def test_a_new_store_holds_nothing(store: Store) -> None:
    assert store.held == Held(0, b"")
    assert store.doors() == {}
    assert store.key(b"12345678") is None
    assert store.refuse_below(MEETING) == 0


async def test_a_snapshot_is_what_is_known(store: Store, alice: Organisation) -> None:
    held = await store.apply(snapshot(alice.key_record, door(), revocation(MEETING, 3)))
    assert held == store.held == Held(1, b"snapshot")
    known = store.door(FRONT)
    assert known is not None
    assert known.readers == {Direction.ENTRY, Direction.EXIT}
    key = store.key(alice.kid)
    assert key is not None
    assert p256.public_bytes(key.public) == alice.point
    assert store.refuse_below(MEETING) == 3


async def test_a_second_snapshot_leaves_nothing_of_the_first(store: Store, alice: Organisation) -> None:
    await store.apply(snapshot(alice.key_record, door(), revocation(MEETING, 3)))
    assert store.key(alice.kid) is not None
    await store.apply(snapshot(door(LAB), revision=5, mark=b"another!"))
    assert list(store.doors()) == [LAB]
    assert store.key(alice.kid) is None
    assert store.refuse_below(MEETING) == 0


async def test_a_change_replaces_and_a_tombstone_removes(store: Store) -> None:
    await store.apply(snapshot(door(), door(LAB)))
    await store.apply(delta(door(name="Main door", revision=2), Record("door", str(LAB), 2, None)))
    assert {key: record.name for key, record in store.doors().items()} == {FRONT: "Main door"}


async def test_a_batch_in_chunks_counts_only_when_its_last_chunk_is_there(store: Store) -> None:
    await store.apply(snapshot(door()))
    chunks = [
        Changes(2, b"mark", [door(LAB)], first=True, last=False),
        Changes(2, b"mark", [revocation(MEETING, 2)], first=False, last=False),
        Changes(2, b"mark", [Record("door", str(FRONT), 2, None)], first=False, last=True),
    ]
    for chunk in chunks[:2]:
        assert await store.apply(chunk) is None
        assert list(store.doors()) == [FRONT]
        assert store.refuse_below(MEETING) == 0
        assert store.held.revision == 1
    assert await store.apply(chunks[2]) == Held(2, b"mark")
    assert list(store.doors()) == [LAB]
    assert store.refuse_below(MEETING) == 2


async def test_a_snapshot_in_chunks_replaces_everything_at_once(store: Store) -> None:
    await store.apply(snapshot(door(), revocation(MEETING, 2)))
    await store.apply(Changes(9, b"m", [door(LAB)], snapshot=True, first=True, last=False))
    assert list(store.doors()) == [FRONT]
    await store.apply(Changes(9, b"m", [door(3)], snapshot=True, first=False, last=True))
    assert sorted(store.doors()) == [LAB, 3]
    assert store.refuse_below(MEETING) == 0


@pytest.mark.parametrize("is_snapshot", [True, False])
async def test_of_a_record_that_comes_twice_in_a_batch_the_last_counts(store: Store, is_snapshot: bool) -> None:
    first = [door(name="Old"), door(LAB), revocation(MEETING, 2)]
    last = [door(name="New"), Record("door", str(LAB), 2, None), door(3)]
    await store.apply(Changes(2, b"m", first, is_snapshot, first=True, last=False))
    await store.apply(Changes(2, b"m", last, is_snapshot, first=False, last=True))
    assert {key: record.name for key, record in store.doors().items()} == {FRONT: "New", 3: "Front door"}
    assert store.refuse_below(MEETING) == 2


async def test_a_batch_that_was_never_finished_is_forgotten(store: Store) -> None:
    await store.apply(snapshot(door()))
    await store.apply(Changes(2, b"m", [door(LAB)], first=True, last=False))
    await store.apply(Changes(2, b"m", [door(3)], first=True, last=True))
    assert sorted(store.doors()) == [FRONT, 3]


async def test_the_same_batch_twice_changes_nothing_more(store: Store) -> None:
    await store.apply(snapshot(door()))
    change = delta(revocation(MEETING, 2))
    assert await store.apply(change) == await store.apply(change) == store.held
    assert store.refuse_below(MEETING) == 2


@pytest.mark.parametrize(
    "chunk",
    [
        Changes(4, b"older", []),
        Changes(5, b"another mark", []),
        Changes(6, b"m", [], first=False),
        Changes(2**63, b"m", []),
        Changes(6, b"m", [Record("door", "1", 2**64 - 1, b"")]),
    ],
    ids=["older revision", "same revision, other mark", "no beginning", "too large", "record too large"],
)
async def test_what_does_not_follow_is_refused_and_changes_nothing(store: Store, chunk: Changes) -> None:
    await store.apply(snapshot(door(), revision=5, mark=b"mark"))
    with pytest.raises(BatchRefused):
        await store.apply(chunk)
    assert store.held == Held(5, b"mark")
    assert list(store.doors()) == [FRONT]


async def test_a_chunk_of_another_batch_ends_the_batch(store: Store) -> None:
    await store.apply(Changes(1, b"m", [door()], snapshot=True, first=True, last=False))
    with pytest.raises(BatchRefused):
        await store.apply(Changes(2, b"n", [door()], snapshot=True, first=False, last=True))
    with pytest.raises(BatchRefused):
        await store.apply(Changes(1, b"m", [door()], snapshot=True, first=False, last=True))


async def test_a_snapshot_may_lead_back(store: Store) -> None:
    """An administrator of a cloud that was rolled back accepts one (design §10.6)."""
    await store.apply(snapshot(door(), revision=50))
    assert await store.apply(snapshot(door(LAB), revision=3, mark=b"back")) == Held(3, b"back")


MALFORMED = [
    Record("door", str(FRONT), 1, b"\xff not msgpack"),
    Record("door", str(FRONT), 1, state.codec.encode(RevocationRecord(3))),
    door(strike_seconds=-1.0),
    door(strike_seconds=float("nan")),
    door(held_seconds=float("inf")),
    door(offline_limit=-5),
    Record("door", "front", 1, door().body),
    Record("door", "9" * 5000, 1, door().body),
    Record("revocation", str(MEETING), 1, b""),
    Record("revocation", str(MEETING), 1, door().body),
    revocation(MEETING, -1),
    Record("key", "0" * 16, 1, state.codec.encode(KeyRecord("organisation", b"\x04" + b"\x01" * 64))),
    Record("elevator", "1", 1, b"?"),
]


@pytest.mark.parametrize("record", MALFORMED, ids=lambda record: f"{record.kind}-{record.key[:8]}")
async def test_a_malformed_record_denies_its_subject_and_is_reported(store: Store, record: Record) -> None:
    reported: list[Record] = []
    store.on_unreadable = reported.extend
    await store.apply(snapshot(record, door(LAB)))
    assert reported == [record]
    assert list(store.doors()) == [LAB]
    if record.kind == "revocation":
        assert store.refuse_below(MEETING) == REFUSE_EVERY_VERSION


async def test_a_key_under_another_name_is_unknown(store: Store, alice: Organisation) -> None:
    other = Record("key", "00" * 8, 1, alice.key_record.body)
    await store.apply(snapshot(other))
    assert store.key(b"\0" * 8) is None
    assert unreadable([other, alice.key_record]) == [other]


async def test_what_is_removed_is_gone_from_the_disk(store: Store, tmp_path: Path) -> None:
    secret = "Ministry of Silly Walks"
    await store.apply(snapshot(door(name=secret), door(LAB)))
    await store.apply(delta(Record("door", str(FRONT), 2, None)))
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())
    await store.apply(delta(door(3, name=secret), revision=3))
    await store.apply(snapshot(door(LAB), revision=4))
    assert all(secret.encode() not in file.read_bytes() for file in tmp_path.iterdir())


async def test_everything_survives_a_restart(tmp_path: Path, alice: Organisation) -> None:
    first = Store(tmp_path / "state.db")
    await first.apply(snapshot(alice.key_record, door()))
    first.close()
    second = Store(tmp_path / "state.db")
    assert second.held == Held(1, b"snapshot")
    assert second.key(alice.kid) is not None


@pytest.mark.parametrize("damage", ["garbage", "cut", "empty tables", "zeros"])
async def test_an_unreadable_file_is_set_aside_and_nothing_is_held(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    await store.apply(snapshot(*(door(number) for number in range(1, 500))))
    store.close()
    content = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"This is not a database. " * 500)
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "zeros":
        path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    else:
        path.unlink()
        sqlite3.connect(path).execute("create table something (else_)")
    again = Store(path)
    assert again.held == Held(0, b"")
    assert again.doors() == {}
    assert list(tmp_path.glob("state.db.unreadable-*"))
    assert await again.apply(snapshot(door())) is not None


def test_files_are_their_owners_only(store: Store, tmp_path: Path) -> None:
    store.apply_now(snapshot(door()))
    assert [file.name for file in tmp_path.iterdir() if file.stat().st_mode & 0o077] == []


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.edge.cast import revocation
from latchwork.edge.store import Store
from latchwork.wire.link import Changes
store = Store(Path({path!r}))
print("ready", flush=True)
revision = store.held.revision
while True:
    revision += 1
    mark = revision.to_bytes(8, "big")
    for part in range(4):
        records = [revocation(part * 500 + n, revision, revision) for n in range(500)]
        store.apply_now(Changes(revision, mark, records, revision % 2 == 0, part == 0, part == 3))
"""


def test_killed_at_any_instant_it_holds_one_whole_revision(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    code = KILLED.format(tests=str(Path(__file__).parents[2]), path=str(path))
    seen = set()
    for wait in (0.013, 0.04, 0.07, 0.11, 0.17, 0.23):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(wait)
            os.kill(child.pid, signal.SIGKILL)
        store = Store(path)
        revision = store.held.revision
        assert {store.refuse_below(meeting) for meeting in range(2000)} == {revision}
        assert store.held.mark == (revision.to_bytes(8, "big") if revision else b"")
        store.close()
        seen.add(revision)
    assert len(seen) > 1
    assert not list(tmp_path.glob("*unreadable*"))


bodies = st.one_of(
    st.binary(max_size=60),
    st.builds(RevocationRecord, st.integers(-5, 2**63)).map(state.codec.encode),
    st.builds(DoorRecord, st.text(max_size=5), st.integers(0, 5)).map(state.codec.encode),
    st.builds(CardRecord, st.integers(-1, 3), st.integers(0, 3)).map(state.codec.encode),
    st.builds(PersonRecord, st.booleans()).map(state.codec.encode),
    st.builds(GrantRecord).map(state.codec.encode),
)
records = st.builds(
    Record,
    st.sampled_from(["door", "key", "revocation", "card", "person", "grant", "other"]),
    st.integers(0, 9).map(str) | st.text(max_size=4) | st.integers(0, 3).map(lambda user: f"{user}.{FRONT}"),
    st.integers(0, 2**63 - 1),
    st.none() | bodies,
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.lists(records, max_size=6), min_size=1, max_size=5), st.randoms())
def test_however_changes_are_cut_into_chunks_and_repeated_the_end_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Record]], random: object
) -> None:
    whole = Store(tmp_path_factory.mktemp("whole") / "state.db")
    cut = Store(tmp_path_factory.mktemp("cut") / "state.db")
    for revision, batch in enumerate(batches, 1):
        unique = list({(each.kind, each.key): each for each in batch}.values())
        mark = bytes([revision])
        whole.apply_now(Changes(revision, mark, unique))
        for _ in range(random.randint(1, 2)):  # type: ignore[attr-defined]
            middle = random.randint(0, len(unique))  # type: ignore[attr-defined]
            cut.apply_now(Changes(revision, mark, unique[:middle], first=True, last=False))
            cut.apply_now(Changes(revision, mark, unique[middle:], first=False, last=True))
    assert _everything(whole) == _everything(cut)
    for store in (whole, cut):
        store.close()


def _everything(store: Store) -> tuple[Held, list[object]]:
    """Also whose each card is; that the files hash its number differently is meant so."""
    rows = store._reader.execute("select kind, key, revision, body, holder from records order by kind, key").fetchall()
    return store.held, rows + [store.holder(number, FRONT) for number in range(4)]
