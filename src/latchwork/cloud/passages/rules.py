"""What a door's mode, a question and an enrolment may look like, and what a decision rests on: pure."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from latchwork.cloud.passages.model import Judged, Mode, Standing
from latchwork.cloud.people.rules import LATEST, check_card
from latchwork.policy.model import BrokenPass, RemoteUnlock, VerifiedPass
from latchwork.policy.reasons import Reason
from latchwork.wire.api.passages import CardEnrolmentDraft, DoorModeDraft, Question
from latchwork.wire.api.problems import FieldError, Invalid
from latchwork.wire.facts import AccessDecided, DoorChanged

MOST_MINUTES = 60 * 24 * 366
NORMAL = Mode("access_control", None)
ASKED_MODES: Mapping[str, Mode] = {
    "hold_open": Mode("unlocked", None),
    "lock": Mode("locked", None),
    "normal": NORMAL,
}
"""What a phone's request makes of a door's mode; to open it once: nothing."""


def is_of_mode(fact: AccessDecided) -> bool:
    """Whether somebody was allowed to set a door's mode there."""
    return fact.reason == "granted" and fact.user is not None and fact.ask in ASKED_MODES


def wanted_mode(draft: DoorModeDraft, now: int) -> Mode:
    """The mode that is asked for; raises Invalid for one that ends before it begins."""
    if draft.until is not None and draft.minutes is not None:
        raise _invalid("minutes", "Either `until` or `minutes`.")
    if draft.minutes is not None and not 1 <= draft.minutes <= MOST_MINUTES:
        raise _invalid("minutes", f"From 1 to {MOST_MINUTES} minutes.")
    until = draft.until if draft.minutes is None else now + 60 * draft.minutes
    if until is None:
        return Mode(draft.mode, None)
    if draft.mode == "access_control":
        raise _invalid("until", "access_control is what a door goes back to; it has no end.")
    if not now < until <= LATEST:
        raise _invalid(
            "until", "Whole seconds since the epoch (10 digits; more look like milliseconds), in the future."
        )
    return Mode(draft.mode, until)


def mode_now(mode: Mode | None, now: int) -> Mode:
    """How the door stands; a mode that is over holds no more, even if nobody has cleared it away."""
    if mode is None or (mode.until is not None and mode.until <= now):
        return Mode("access_control", None)
    return mode


_STANDINGS: Mapping[str, Mapping[str, Any]] = {
    "opened": {"is_open": True},
    "closed": {"is_open": False, "alarm": None},
    "forced": {"is_open": True, "alarm": "forced"},
    "held": {"is_open": True, "alarm": "held"},
    "unforced": {"alarm": None},
    "fire_release": {"fire": True},
    "fire_clear": {"fire": False},
}
"""What each change of a door makes of how it stands; other changes: nothing."""


def is_of_standing(change: DoorChanged) -> bool:
    return change.change in _STANDINGS


def standing_after(standing: Standing, change: DoorChanged) -> Standing:
    """How a door stands after a change that `is_of_standing`."""
    return replace(standing, **_STANDINGS[change.change], told_at=change.at)


def check_enrolment(draft: CardEnrolmentDraft) -> None:
    if not 5 <= draft.seconds <= 120:
        raise _invalid("seconds", "A reader waits 5 to 120 seconds for a card.")


def check_question(question: Question) -> None:
    """Raises Invalid unless it asks one thing."""
    shown = (question.user_id, question.card_number, question.qr_data)
    asked = sum(one is not None for one in shown)
    if question.event_number is not None:
        if asked or question.access_point_id is not None or question.at is not None:
            raise _invalid("eventNumber", "A question about an event names nothing else.")
        return
    if asked != 1:
        raise _invalid("", "Exactly one of userId, cardNumber and qrData, or an eventNumber.")
    if question.access_point_id is None:
        raise _invalid("accessPointId", "This field is missing.")
    if question.card_number is not None:
        check_card(question.card_number, "cardNumber")
    if question.at is not None and not 0 <= question.at <= LATEST:
        raise _invalid("at", "Seconds since the epoch (10 digits; more look like milliseconds).")


def days_of(month: str) -> tuple[date, date]:
    """The first and the last day of a month such as 2026-10; raises Invalid for what is none."""
    try:
        if not re.fullmatch(r"[12][0-9]{3}-[0-9]{2}", month):
            raise ValueError
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise _invalid("month", "A month such as 2026-10.") from None
    return first, first.replace(day=monthrange(first.year, first.month)[1])


_OF_PERSON = {
    Reason.NO_PERMISSION,
    Reason.DEACTIVATED,
    Reason.ACCESS_EXPIRED,
    Reason.WAY_OFF,
    Reason.PIN_NEEDED,
    Reason.PIN_WRONG,
    Reason.PIN_NOT_SET,
    Reason.TOO_FAR,
    Reason.NOT_YOUR_ROLE,
    Reason.ALREADY_USED,
    Reason.PASS_EXPIRED,
    Reason.PASS_FROM_FUTURE,
}
_OF_DOOR = {Reason.UNKNOWN_DOOR, Reason.NO_READER, Reason.NOT_SYNCED, Reason.LOCKDOWN, Reason.OFFLINE_TOO_LONG}


def subject(judged: Judged) -> str:
    """What decided, as the log names its subjects; empty when nothing is known of what was shown."""
    reason, door, shown = judged.decision.reason, judged.attempt.access_point, judged.attempt.evidence
    person = judged.gathered.snapshot.person
    if reason in _OF_DOOR or (isinstance(shown, RemoteUnlock) and shown.user is None):
        return f"access_point/{door}"
    if isinstance(shown, VerifiedPass):
        return f"meeting/{shown.meeting}"
    if person is None or isinstance(shown, BrokenPass):
        return ""
    if reason is Reason.OUTSIDE_SCHEDULE:
        return f"schedule/{judged.gathered.schedule}"
    return f"user/{person.id}" if reason in _OF_PERSON else f"permission/{person.id}.{door}"


def _invalid(field: str, detail: str) -> Invalid:
    return Invalid(errors=[FieldError(field, detail)])
