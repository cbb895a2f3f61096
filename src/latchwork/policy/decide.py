"""THE DECISION: the only function that says yes or no to a person at a door.

No clock, no I/O, no randomness: the reader calls it with its local store as the snapshot, the cloud calls the same
function to answer "why was I refused?". Among several true refusals it names the one whose sentence helps most.
"""

from __future__ import annotations

from typing import Final

from latchwork.policy.model import Attempt, BrokenPass, Decision, Degraded, Door, Snapshot, VerifiedPass
from latchwork.policy.reasons import Reason

LEEWAY: Final = 5
"""Seconds by which the clocks of a door and of a pass's maker may differ."""
HELD_STILL: Final = 5
"""Seconds within which the same pass at the same reader is one person holding the phone still."""

_END_OF_TIME: Final = 2**53


def decide(snapshot: Snapshot, attempt: Attempt) -> Decision:
    """Granted or refused, with one reason; total: any records give a decision, and what makes no sense is refused."""
    door = snapshot.door
    if door is None or door.id != attempt.access_point:
        return Decision(Reason.UNKNOWN_DOOR)
    refusal = _refused_by_the_door(door, snapshot.synced_at, attempt)
    if refusal is not None:
        return Decision(refusal)
    if not isinstance(attempt.evidence, VerifiedPass):
        return Decision(Reason.UNKNOWN_CREDENTIAL)
    return _decide_pass(door, snapshot, attempt, attempt.evidence)


def _refused_by_the_door(door: Door, synced_at: float | None, attempt: Attempt) -> Reason | None:
    """What refuses everybody here now, whatever they show."""
    if synced_at is None or not _is_instant(synced_at):
        return Reason.NOT_SYNCED
    if attempt.direction not in door.readers:
        return Reason.NO_READER
    if isinstance(attempt.evidence, BrokenPass):
        return _refusal(attempt.evidence.reason)
    if not _is_instant(attempt.at):
        return Reason.CLOCK_UNTRUSTED
    if door.offline_limit is not None and attempt.at - synced_at > door.offline_limit:
        return Reason.OFFLINE_TOO_LONG
    return None


def _decide_pass(door: Door, snapshot: Snapshot, attempt: Attempt, shown: VerifiedPass) -> Decision:
    if not attempt.clock_trusted and door.degraded is not Degraded.ADMIT:
        return Decision(Reason.CLOCK_UNTRUSTED)
    if shown.version < snapshot.refuse_below:
        return Decision(Reason.PASS_REVOKED)
    untimely = _untimely(shown, attempt.at) if attempt.clock_trusted else None
    if untimely is not None:
        return Decision(untimely)
    if door.id not in shown.doors:
        return Decision(Reason.PASS_WRONG_DOOR)
    shared = _was_used_before(snapshot.first_used_at, attempt.at)
    return Decision(Reason.ALREADY_USED if shared and door.single_use else Reason.GRANTED, shared_suspected=shared)


def _untimely(shown: VerifiedPass, at: float) -> Reason | None:
    """Why a pass is outside its time; one made (and expired) before its visit begins is too early, not too late."""
    if shown.issued_at - LEEWAY > at:
        return Reason.PASS_FROM_FUTURE
    if shown.not_before - LEEWAY > at:
        return Reason.PASS_NOT_YET_VALID
    if shown.expires_at + LEEWAY <= at:
        return Reason.PASS_EXPIRED
    return None


def _was_used_before(first_used_at: float | None, at: float) -> bool:
    """True when the pass was used here at another time than just now (clocks wobble, so "just now" has two sides)."""
    return first_used_at is not None and not -HELD_STILL <= at - first_used_at <= HELD_STILL


def _is_instant(at: float) -> bool:
    """False for NaN, the infinities and what no clock has ever shown."""
    return 0 <= at < _END_OF_TIME


def _refusal(reason: Reason) -> Reason:
    """A broken pass refuses, even one that says it is granted."""
    return Reason.PASS_UNREADABLE if reason is Reason.GRANTED else reason
