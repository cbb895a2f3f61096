"""What a password may be, and how long a guesser waits: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from latchwork.cloud.kernel.texts import is_text
from latchwork.wire.api.problems import FieldError, Invalid

SHORTEST_PASSWORD: Final = 10
LONGEST_PASSWORD: Final = 200
LONGEST_EMAIL: Final = 254
SESSION_SECONDS: Final = 14 * 86_400
LINK_SECONDS: Final = 3 * 86_400
FREE_FAILURES: Final = 5
"""Wrong passwords for an account from one network before it waits."""
FREE_FAILURES_ELSEWHERE: Final = 50
"""The same from all unfamiliar networks together, before all of these wait."""
LONGEST_WAIT: Final = 900
FORGET_AFTER: Final = 3_600
"""Seconds after a network's last failure when its failures are forgotten."""
FAMILIAR_FOR: Final = 90 * 86_400
"""Seconds after a log-in during which its network is the account's own."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Wrong passwords lately, and the instant of the last one."""

    count: int
    last_at: int


def check_password(password: str, email: str) -> None:
    """Raises Invalid: what counts is length (NIST SP 800-63B-4 §3.1.1.2), and that it is nothing obvious."""
    problem = None
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or not is_text(password):
        problem = f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
    elif len(set(password)) < 4 or password.casefold() in (email.casefold(), email.partition("@")[0].casefold()):
        problem = "This password is too easy to guess."
    if problem:
        raise Invalid(problem, [FieldError("password", problem)])


def seconds_to_wait(here: Failures, elsewhere: Failures, is_familiar: bool, now: int) -> int:
    """How long the next attempt from a network has to wait; 0: not at all.

    `elsewhere`: of all unfamiliar networks together. Guesses from there keep nobody out who logs in as ever.
    """
    own = _left(here, FREE_FAILURES, now)
    return own if is_familiar else max(own, _left(elsewhere, FREE_FAILURES_ELSEWHERE, now))


def _left(failures: Failures, free: int, now: int) -> int:
    """Doubles from a second on with each failure that is not free any more."""
    if failures.count < free:
        return 0
    return max(0, failures.last_at + min(1 << min(failures.count - free, 16), LONGEST_WAIT) - now)
