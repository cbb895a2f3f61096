"""What a mode that somebody set means for a door now. `policy.decide` judges a lockdown in the same way.

Rules of local modes:
1. A mode that a phone gave a door holds at once, over whatever the cloud has set, and is durable with its fact. But a
   lockdown that the door hears of afterwards holds at once, too: whoever asked knew nothing of it.
2. It ends when the cloud has the fact, the state held is one in which the cloud has settled it, and the mode of this
   door was set since: to what the phone asked for or to what somebody asked for later. What was set before, and reached
   the door after the phone, holds at no time.
3. Where the cloud has set nothing it ends with the second tick after it got the fact: what it sets takes less than the
   time between two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from latchwork.edge.clock import Reading
from latchwork.edge.door import Input
from latchwork.edge.journal import Journal, LocalMode
from latchwork.edge.store import Store
from latchwork.policy.model import Ask, DoorMode, Evidence, Mode, PhoneProof

INPUTS: Final[dict[Mode, Input]] = {
    Mode.UNLOCKED: Input.HOLD,
    Mode.LOCKED: Input.LOCK,
    Mode.ACCESS_CONTROL: Input.NORMAL,
}

_ASKED: Final[dict[Ask, Mode]] = {
    Ask.HOLD_OPEN: Mode.UNLOCKED,
    Ask.LOCK: Mode.LOCKED,
    Ask.NORMAL: Mode.ACCESS_CONTROL,
}


class Modes:
    """The modes that somebody set, at the door or in the cloud. Event loop's thread only."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._local = journal.local_modes()
        self._ticked: dict[int, LocalMode] = {}
        """Those of which the cloud had the fact when it last ticked."""
        self.on_begun: Callable[[], None] = lambda: None
        """Called when a phone's mode holds from now on."""

    def of(self, door: int) -> DoorMode:
        """What somebody set for a door, the nearest first; raises sqlite3.Error."""
        local = self._local.get(door)
        return self._store.mode(door) if local is None or self._is_locked_down_since(local) else DoorMode(local.mode)

    def asked(self, door: int, shown: Evidence) -> LocalMode | None:
        """What a phone makes of a door's mode if it is granted, for its fact's transaction; raises sqlite3.Error."""
        if not isinstance(shown, PhoneProof) or shown.ask is Ask.OPEN:
            return None
        return LocalMode(door, _ASKED[shown.ask], self._store.mode_revision(door))

    def _is_locked_down_since(self, local: LocalMode) -> bool:
        is_lockdown = self._store.mode(local.door).mode is Mode.LOCKED
        return is_lockdown and self._store.mode_revision(local.door) != local.revision

    def begin(self, local: LocalMode, number: int) -> None:
        """From now on it holds; `number`: of its fact."""
        self._local[local.door] = replace(local, entry=(self._journal.id, number))
        self.on_begun()

    def give_back(self, ticked: bool) -> bool:
        """Ends those that the cloud has taken over, and says whether there were any; raises sqlite3.Error.

        `ticked`: the cloud says that time goes on.
        """
        over = [local for local in self._local.values() if self._is_over(local, ticked)]
        for local in over:
            del self._local[local.door]
            self._journal.forget_local_mode(local)
        return bool(over)

    def _is_over(self, local: LocalMode, ticked: bool) -> bool:
        if not self._journal.is_taken(local.entry):
            return False
        is_settled = self._store.held.revision >= self._journal.settled_by
        if is_settled and self._store.mode_revision(local.door) != local.revision:
            return True
        has_ticked = self._ticked.get(local.door) is local
        if ticked:
            self._ticked[local.door] = local
        return ticked and has_ticked


def effective(mode: DoorMode, reading: Reading, cut_off_at: float | None = None) -> Mode:
    """The mode now.

    `cut_off_at`: when a door that hears nothing more has been offline for as long as it may; None: for ever. It holds
    nothing open after that, but a lockdown goes on. A clock that is not trusted is too early. So it may end a mode or
    prolong a lockdown, but it holds no door open that should perhaps be shut by now.
    """
    until = _end(mode, cut_off_at)
    if until is None:
        return mode.mode
    if not reading.at < until or (mode.mode is Mode.UNLOCKED and not reading.trusted):
        return Mode.ACCESS_CONTROL
    return mode.mode


def is_running_out(mode: DoorMode, reading: Reading, cut_off_at: float | None = None) -> bool:
    """True when time alone, or hearing from the cloud, can change what `effective` says."""
    if mode.until is not None and not reading.at < mode.until:
        return False
    return mode.mode is not Mode.ACCESS_CONTROL and _end(mode, cut_off_at) is not None


def _end(mode: DoorMode, cut_off_at: float | None) -> float | None:
    if mode.mode is not Mode.UNLOCKED or cut_off_at is None:
        return mode.until
    return cut_off_at if mode.until is None else min(mode.until, cut_off_at)
