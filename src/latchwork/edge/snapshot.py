"""The handful of records that matter to one attempt, gathered at the edge."""

from __future__ import annotations

import logging
import sqlite3

from latchwork.edge.journal import Journal
from latchwork.edge.store import Store
from latchwork.policy.model import Attempt, Snapshot, VerifiedPass

log = logging.getLogger(__name__)


def gather(store: Store, journal: Journal, attempt: Attempt, heard_at: float | None) -> Snapshot:
    """What `decide` needs to know; an unreadable store knows nothing. `heard_at`: when the cloud last spoke."""
    try:
        return _gather(store, journal, attempt, heard_at)
    except sqlite3.Error as error:
        log.error("the records cannot be read: %s", error)
        return Snapshot()


def _gather(store: Store, journal: Journal, attempt: Attempt, heard_at: float | None) -> Snapshot:
    door = store.door(attempt.access_point)
    shown = attempt.evidence
    if door is None or not isinstance(shown, VerifiedPass):
        return Snapshot(door=door, synced_at=heard_at)
    return Snapshot(
        door=door,
        refuse_below=store.refuse_below(shown.meeting),
        first_used_at=journal.first_used_at(shown.pass_id, attempt.access_point, attempt.direction),
        synced_at=heard_at,
    )
