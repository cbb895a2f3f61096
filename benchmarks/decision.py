"""From the text of a QR code to a decision at the door, against the one thing it cannot do without: a P-256 verify."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.doors import FRONT, Organisation, snapshot
from benchmarks.figures import Figure, Figures, ratio
from latchwork.edge.journal import Journal
from latchwork.edge.modes import Modes
from latchwork.edge.slowdown import Slowdown
from latchwork.edge.snapshot import gather_all
from latchwork.edge.store import Store
from latchwork.policy.decide import decide
from latchwork.policy.model import Attempt, Direction
from latchwork.wire.pass_ import verify

NAMES = ("pass_decide_over_verify",)

_ROUNDS, _TIMES = 41, 200
_MEETINGS = 1_000
"""Revocations that the store holds while it is asked."""


def run() -> Figures:
    return asyncio.run(_measure())


async def _measure() -> Figures:
    with tempfile.TemporaryDirectory() as name:
        folder, alice = Path(name), Organisation()
        store, journal = Store(folder / "state.db"), Journal(folder / "journal.db")
        try:
            await store.apply(snapshot(alice, _MEETINGS))
            decided, verified = _rounds(_deciding(store, journal, alice), _verifying())
        finally:
            store.close()
            journal.close()
    return {NAMES[0]: Figure(ratio(decided, verified), "×", 1.6)}


def _rounds(deciding: Callable[[], None], verifying: Callable[[], None]) -> tuple[list[float], list[float]]:
    decided, verified = [], []
    for _ in range(_ROUNDS):
        decided.append(_seconds(deciding))
        verified.append(_seconds(verifying))
    return decided[1:], verified[1:]


def _seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    for _ in range(_TIMES):
        function()
    return time.perf_counter() - began


def _deciding(store: Store, journal: Journal, alice: Organisation) -> Callable[[], None]:
    """Another pass each time: nothing but the key is known before."""
    now = time.time()
    texts = iter([alice.invite(now) for _ in range(_ROUNDS * _TIMES)])
    modes, slowdown = Modes(store, journal), Slowdown({})

    def once() -> None:
        attempt = Attempt(FRONT, Direction.ENTRY, verify(next(texts), store.key), now, True)
        assert decide(gather_all(store, journal, modes, attempt, now, slowdown).snapshot, attempt).granted

    return once


def _verifying() -> Callable[[], None]:
    """The library's own verify, with everything made ready before."""
    key, message, es256 = ec.generate_private_key(ec.SECP256R1()), os.urandom(100), ec.ECDSA(hashes.SHA256())
    signature, public = key.sign(message, es256), key.public_key()
    return lambda: public.verify(signature, message, es256)
