"""What a hello means, and when an enrolment code is good: pure."""

from __future__ import annotations

from enum import Enum

from latchwork.cloud.controllers.model import Code, Held
from latchwork.wire.link import Hello

MOST_MISSES = 5
CODE_SECONDS = 15 * 60


class Course(Enum):
    """What state a controller gets after its hello."""

    CHANGES = "changes"
    SNAPSHOT = "snapshot"
    FROZEN = "frozen"


def course(held: Held, hello: Hello, known_mark: bytes | None) -> Course:
    """What to send (docs/sync.md). `known_mark` is the cloud's mark of the revision that the controller says it holds.

    A mark that the cloud does not know, at or above what was confirmed, means that the *cloud* was rolled back: nothing
    is sent, for it would re-admit revoked people. Below, the controller was rolled back: it gets a snapshot.
    """
    if held.frozen:
        return Course.FROZEN
    if hello.revision == 0 or held.snapshot_due:
        return Course.SNAPSHOT
    if known_mark == hello.mark and known_mark is not None:
        return Course.CHANGES if hello.revision >= held.oldest_tombstone else Course.SNAPSHOT
    if hello.revision < held.confirmed_revision:
        return Course.SNAPSHOT
    return Course.FROZEN


def is_cloned(held: Held, instance: bytes, now: int) -> bool:
    """Two programs take turns on one link: the one before the present one is back while the present one lives."""
    return held.instance != instance and held.previous_instance == instance and held.online_until > now


def is_burnt(code: Code, now: int) -> bool:
    return code.misses >= MOST_MISSES or code.expires_at <= now
