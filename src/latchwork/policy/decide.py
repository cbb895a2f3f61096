"""THE DECISION: the only function that says yes or no to a person at a door.

No clock, no I/O, no randomness: the reader calls it with its local store as the snapshot, the cloud calls the same
function to answer "why was I refused?" and to allow a remote unlock. Among several true refusals it names the one whose
sentence helps most, except that nobody learns more from a wrong PIN or a copied code than that it is one.

An untrusted clock is too early, never too late. So it may say that a person's access has expired or that a lockdown
goes on; that a permission holds at this time it may not, unless the door was told to admit in doubt.
"""

from __future__ import annotations

from typing import Final

from latchwork.policy import pins, schedule
from latchwork.policy.model import (
    Ask,
    Attempt,
    BrokenPass,
    CardRead,
    Decision,
    Degraded,
    Door,
    DoorMode,
    Evidence,
    Grant,
    Mode,
    Person,
    PhoneProof,
    RemoteUnlock,
    Snapshot,
    VerifiedPass,
    VerifiedPhoneCode,
    Way,
)
from latchwork.policy.reasons import Reason

LEEWAY: Final = 5
"""Seconds by which the clocks of a door and of a pass's maker may differ."""
HELD_STILL: Final = 5
"""Seconds within which the same pass at the same reader is one person holding the phone still."""
CODE_SECONDS: Final = 35
"""How long a phone's own code opens, from the instant at which it was made."""

TAP_METRES: Final = 2.0
"""How near a phone is that is held to the reader; Bluetooth tells distances roughly."""
REACH_METRES: Final = 10.0
"""How far away a phone counts as that can be heard, where nobody can tell its distance."""

_WAYS: Final[dict[type[Evidence], Way]] = {
    CardRead: Way.CARD,
    RemoteUnlock: Way.REMOTE,
    VerifiedPhoneCode: Way.MOBILE,
    PhoneProof: Way.MOBILE,
}
_END_OF_TIME: Final = 2**53


def decide(snapshot: Snapshot, attempt: Attempt) -> Decision:
    """Granted or refused, with one reason; total: any records give a decision, and what makes no sense is refused."""
    door, shown = snapshot.door, attempt.evidence
    if door is None or door.id != attempt.access_point:
        return Decision(Reason.UNKNOWN_DOOR)
    refusal = _refused_by_the_door(door, snapshot, attempt)
    if refusal is not None:
        return Decision(refusal)
    if isinstance(shown, VerifiedPass):
        return _decide_pass(door, snapshot, attempt, shown)
    if isinstance(shown, RemoteUnlock) and shown.user is None:
        return Decision(Reason.GRANTED)
    return Decision(_refused_to_a_person(door, snapshot, attempt) or Reason.GRANTED)


def _refused_by_the_door(door: Door, snapshot: Snapshot, attempt: Attempt) -> Reason | None:
    """What refuses everybody here now, whatever they show."""
    if snapshot.synced_at is None or not _is_instant(snapshot.synced_at):
        return Reason.NOT_SYNCED
    if attempt.direction not in door.readers and not isinstance(attempt.evidence, RemoteUnlock):
        return Reason.NO_READER
    if _is_locked_down(snapshot.mode, attempt.at) and not leaves_it_shut(attempt.evidence):
        return Reason.LOCKDOWN
    if isinstance(attempt.evidence, BrokenPass):
        return _refusal(attempt.evidence.reason)
    if not _is_instant(attempt.at):
        return Reason.CLOCK_UNTRUSTED
    if door.offline_limit is not None and attempt.at - snapshot.synced_at > door.offline_limit:
        return Reason.OFFLINE_TOO_LONG
    if snapshot.slowed_until is not None and not attempt.at >= snapshot.slowed_until:
        return Reason.SLOWED_DOWN
    return None


def _is_locked_down(mode: DoorMode, at: float) -> bool:
    """What an instant that makes no sense says does not end a lockdown."""
    return mode.mode is Mode.LOCKED and (mode.until is None or not at >= mode.until)


def leaves_it_shut(shown: Evidence) -> bool:
    """Whoever may steer a door may lock it again in a lockdown, and end the lockdown; neither opens it."""
    return isinstance(shown, PhoneProof) and shown.ask in (Ask.LOCK, Ask.NORMAL)


# A visitor's pass


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


# A person's card, phone or request from afar


def _refused_to_a_person(door: Door, snapshot: Snapshot, attempt: Attempt) -> Reason | None:
    person, grant, shown = snapshot.person, snapshot.grant, attempt.evidence
    if person is None or (isinstance(shown, RemoteUnlock) and shown.user != person.id):
        return Reason.UNKNOWN_CREDENTIAL
    if isinstance(shown, VerifiedPhoneCode):
        stale = _refused_code(door, snapshot.first_used_at, attempt, shown)
        if stale is not None:
            return stale
    refusal = _refused_person(person, shown, attempt.at)
    if refusal is not None:
        return refusal
    if grant is None:
        return Reason.NO_PERMISSION
    if isinstance(shown, PhoneProof):
        refusal = _refused_phone(door, person, shown)
        if refusal is not None:
            return refusal
    refusal = _refused_at_this_time(door, snapshot.holidays, person, grant, attempt)
    if refusal is None and door.needs_pin and isinstance(shown, CardRead):
        return _refused_pin(person, shown.pin)  # last, so that a PIN tried tells of nothing but itself
    return refusal


def _refused_code(door: Door, first_used_at: float | None, attempt: Attempt, shown: VerifiedPhoneCode) -> Reason | None:
    """A phone's code opens once and only now; an old one proves nobody's presence, so it is told nothing else."""
    if first_used_at is not None:
        return Reason.ALREADY_USED
    if not attempt.clock_trusted:
        return _in_doubt(door)
    if shown.issued_at - LEEWAY > attempt.at:
        return Reason.PASS_FROM_FUTURE
    return Reason.PASS_EXPIRED if shown.issued_at + CODE_SECONDS <= attempt.at else None


def _refused_person(person: Person, shown: Evidence, at: float) -> Reason | None:
    """What no permission outweighs."""
    if not person.is_active:
        return Reason.DEACTIVATED
    if person.expires_at is not None and person.expires_at <= at:
        return Reason.ACCESS_EXPIRED
    return None if _WAYS.get(type(shown)) in person.ways else Reason.WAY_OFF


def _refused_phone(door: Door, person: Person, shown: PhoneProof) -> Reason | None:
    """How a phone may be used here: by whom held to the reader, from how far, and for what."""
    if shown.ask is not Ask.OPEN and not (person.steers_everywhere or door.site in person.steers):
        return Reason.NOT_YOUR_ROLE
    if not shown.from_afar:
        if Way.TAP not in person.ways:
            return Reason.WAY_OFF
        return None if shown.metres is None or shown.metres <= TAP_METRES else Reason.TOO_FAR
    if person.click_range <= 0:
        return Reason.WAY_OFF
    metres = REACH_METRES if shown.metres is None else shown.metres
    return None if metres <= person.click_range else Reason.TOO_FAR


def _refused_at_this_time(
    door: Door, holidays: frozenset[int], person: Person, grant: Grant, attempt: Attempt
) -> Reason | None:
    if not attempt.clock_trusted:
        return _in_doubt(door) if _is_limited(person, grant) else None
    if grant.starts_at is not None and grant.starts_at > attempt.at:
        return Reason.PERMISSION_NOT_BEGUN
    if grant.ends_at is not None and grant.ends_at <= attempt.at:
        return Reason.PERMISSION_ENDED
    if grant.schedule is not None and not schedule.holds(grant.schedule, door.timezone, holidays, attempt.at):
        return Reason.OUTSIDE_SCHEDULE
    return None


def _is_limited(person: Person, grant: Grant) -> bool:
    limits = (person.expires_at, grant.starts_at, grant.ends_at, grant.schedule)
    return any(limit is not None for limit in limits)


def _refused_pin(person: Person, pin: str | None) -> Reason | None:
    if not person.pin_hash:
        return Reason.PIN_NOT_SET
    if not pin:
        return Reason.PIN_NEEDED
    return None if pins.pin_matches(person, pin) else Reason.PIN_WRONG


def _in_doubt(door: Door) -> Reason | None:
    """What a door says to whatever has a time when it does not know the time."""
    return None if door.degraded is Degraded.ADMIT else Reason.CLOCK_UNTRUSTED


def _is_instant(at: float) -> bool:
    """False for NaN, the infinities and what no clock has ever shown."""
    return 0 <= at < _END_OF_TIME


def _refusal(reason: Reason) -> Reason:
    """A broken pass refuses, even one that says it is granted."""
    return Reason.PASS_UNREADABLE if reason is Reason.GRANTED else reason
