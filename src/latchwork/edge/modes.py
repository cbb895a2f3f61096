"""What a mode that somebody set means for a door now. `policy.decide` judges a lockdown in the same way."""

from __future__ import annotations

from typing import Final

from latchwork.edge.clock import Reading
from latchwork.edge.door import Input
from latchwork.policy.model import DoorMode, Mode

INPUTS: Final[dict[Mode, Input]] = {
    Mode.UNLOCKED: Input.HOLD,
    Mode.LOCKED: Input.LOCK,
    Mode.ACCESS_CONTROL: Input.NORMAL,
}


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
