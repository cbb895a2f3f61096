"""The handful of records that matter to one attempt, gathered at the edge."""

from __future__ import annotations

from typing import NamedTuple

from latchwork.edge.journal import CODE_USES, Journal, code_id
from latchwork.edge.known import Holder
from latchwork.edge.modes import Modes
from latchwork.edge.slowdown import Slowdown
from latchwork.edge.store import Store
from latchwork.policy.model import (
    Attempt,
    CardRead,
    Evidence,
    PhoneProof,
    RemoteUnlock,
    Snapshot,
    VerifiedPass,
    VerifiedPhoneCode,
)


class Gathered(NamedTuple):
    """What `decide` needs to know, and what it need not: whose credential it was."""

    snapshot: Snapshot
    holder: Holder | None = None


def gather(store: Store, journal: Journal, attempt: Attempt, heard_at: float | None) -> Snapshot:
    """What `decide` needs to know. `heard_at`: when the cloud last spoke. Raises sqlite3.Error."""
    return gather_all(store, journal, Modes(store, journal), attempt, heard_at, Slowdown({})).snapshot


def gather_all(
    store: Store, journal: Journal, modes: Modes, attempt: Attempt, heard_at: float | None, slowdown: Slowdown
) -> Gathered:
    """`gather`, and who it is about."""
    door, mode, shown = store.door(attempt.access_point), modes.of(attempt.access_point), attempt.evidence
    if door is None:
        return Gathered(Snapshot(synced_at=heard_at))
    if isinstance(shown, VerifiedPass):
        used = journal.first_used_at(shown.pass_id, attempt.access_point, attempt.direction)
        below = store.refuse_below(shown.meeting)
        return Gathered(Snapshot(door, below, used, mode, synced_at=heard_at))
    holder = _holder(store, attempt)
    return Gathered(
        Snapshot(
            door=door,
            first_used_at=_code_used_at(journal, shown),
            mode=mode,
            person=None if holder is None else holder.person,
            grant=None if holder is None else holder.grant,
            holidays=store.holidays(attempt.access_point) or frozenset(),
            slowed_until=_slowed_until(slowdown, attempt, holder if door.needs_pin else None),
            synced_at=heard_at,
        ),
        holder,
    )


def _code_used_at(journal: Journal, shown: Evidence) -> float | None:
    return journal.first_used_at(code_id(shown), *CODE_USES) if isinstance(shown, VerifiedPhoneCode) else None


def _holder(store: Store, attempt: Attempt) -> Holder | None:
    match attempt.evidence:
        case CardRead(number=number):
            return store.holder(number, attempt.access_point)
        case PhoneProof(key=key):
            return store.tapping(key, attempt.access_point)
        case VerifiedPhoneCode(key=key):
            return store.showing(key, attempt.access_point)
        case RemoteUnlock(user=int(user)):
            return store.user(user, attempt.access_point)
        case _:
            return None


def _slowed_until(slowdown: Slowdown, attempt: Attempt, holder: Holder | None) -> float | None:
    """Only who can guess is slowed: the number of a card and a PIN can be guessed, a signature cannot."""
    if not isinstance(attempt.evidence, CardRead):
        return None
    card = None if holder is None else holder.card
    return slowdown.until((attempt.access_point, attempt.direction), card, attempt.at)
