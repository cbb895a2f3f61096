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


def effective(mode: DoorMode, reading: Reading) -> Mode:
    """The mode now.

    A clock that is not trusted is too early. So it may end a mode or prolong a lockdown, but it holds no door open that
    should perhaps be shut by now.
    """
    if mode.until is None:
        return mode.mode
    if not reading.at < mode.until or (mode.mode is Mode.UNLOCKED and not reading.trusted):
        return Mode.ACCESS_CONTROL
    return mode.mode


def is_running_out(mode: DoorMode, reading: Reading) -> bool:
    """True when time alone can change what `effective` says."""
    return mode.until is not None and mode.mode is not Mode.ACCESS_CONTROL and reading.at < mode.until
