"""Measures the doors' latency, idle and while a large snapshot is taken over, and how soon one change is applied.

    python tests/edge/measure.py [--records 250000] [--uvloop]

The peer runs in a process of its own, as a cloud does.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.edge.cast import ENTRY, FRONT, Organisation, door
from tests.edge.peer import Peer
from tests.edge.site import Site

from latchwork.edge.enrol import own_key
from latchwork.wire.state import RevocationRecord


def peer_process(folder: Path, key: bytes, kid: str, records: int, wire: Connection) -> None:
    asyncio.run(_peer(folder, key, kid, records, wire))


async def _peer(folder: Path, key: bytes, kid: str, records: int, wire: Connection) -> None:
    peer = Peer(own_key(folder / "controller.key").public_key())
    peer.chunk = 4000
    peer.put("key", kid, key)
    peer.put("door", FRONT, door().body)
    peer.publish()
    loop = asyncio.get_running_loop()
    async with peer.serving() as url:
        wire.send((url, peer.cloud_id.hex()))
        while (order := await loop.run_in_executor(None, wire.recv)) != "stop":
            if order == "deltas":
                wire.send(await _deltas(peer))
            else:
                wire.send(await _snapshot(peer, records))


async def _deltas(peer: Peer) -> list[float]:
    times = []
    for number in range(300):
        peer.put("revocation", 5_000_000 + number, RevocationRecord(2))
        began = time.perf_counter()
        await peer.until_applied(peer.publish())
        times.append(peer.confirmations[-1][0] - began)
        await asyncio.sleep(0.01)
    return times


async def _snapshot(peer: Peer, records: int) -> float:
    for number in range(records):
        peer.put("revocation", 1_000_000 + number, RevocationRecord(2))
    peer.marks[peer.revision] = b"unknown!"  # what the controller holds is not known here: a snapshot
    peer.revision += 1
    peer.marks[peer.revision] = b"snapshot"
    began = time.perf_counter()
    await peer.hang_up()
    await peer.until_applied(peer.revision, 300)
    return time.perf_counter() - began


async def present_until(edge: object, alice: Organisation, done: asyncio.Event) -> list[float]:
    times = []
    while not done.is_set():
        text = alice.invite(time.time())
        began = time.perf_counter()
        answer = await edge.controller.present(FRONT, ENTRY, qr=text)  # type: ignore[attr-defined]
        times.append(time.perf_counter() - began)
        assert answer.decision.granted, answer
        await asyncio.sleep(0.01)
    return times


def show(name: str, times: list[float]) -> None:
    cuts = statistics.quantiles(times, n=100)
    p50, p90, p99, worst = (each * 1e3 for each in (cuts[49], cuts[89], cuts[98], max(times)))
    print(f"{name}: n={len(times)} p50={p50:.2f} p90={p90:.2f} p99={p99:.2f} max={worst:.2f} ms")


async def measure(records: int) -> None:
    with tempfile.TemporaryDirectory(dir="/work") as name:
        folder, alice = Path(name), Organisation()
        site = Site(folder)
        ours, theirs = multiprocessing.Pipe()
        key = alice.key_record
        process = multiprocessing.get_context("spawn").Process(
            target=peer_process, args=(folder, key.body, key.key, records, theirs), daemon=True
        )
        process.start()
        loop = asyncio.get_running_loop()
        url, cloud_id = await loop.run_in_executor(None, ours.recv)
        async with site.running(url, cloud_id=cloud_id) as edge:
            while FRONT not in edge.controller.doors:
                await asyncio.sleep(0.01)
            await _phase(edge, alice, "present, idle", asyncio.sleep(5))
            ours.send("deltas")
            show("one-record delta, published to confirmed", await loop.run_in_executor(None, ours.recv))
            for label in ("first", "replacing"):
                ours.send("snapshot")
                took = loop.run_in_executor(None, ours.recv)
                await _phase(edge, alice, f"present, during the {label} snapshot of {records}", took)
                print(f"  snapshot applied after {took.result():.2f} s")
        ours.send("stop")
        process.join()


async def _phase(edge: object, alice: Organisation, label: str, until: object) -> None:
    done = asyncio.Event()
    presenting = asyncio.create_task(present_until(edge, alice, done))
    await until  # type: ignore[misc]
    done.set()
    show(label, await presenting)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=250_000)
    parser.add_argument("--uvloop", action="store_true")
    arguments = parser.parse_args()
    if arguments.uvloop:
        import uvloop

        uvloop.run(measure(arguments.records))
    else:
        asyncio.run(measure(arguments.records))


if __name__ == "__main__":
    main()
