"""What users, permissions, cards and schedules may look like: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import date

from msgspec import UnsetType

from latchwork.cloud.kernel.texts import is_text, name_errors, text_errors
from latchwork.policy.model import Schedule as PolicySchedule
from latchwork.policy.schedule import problems
from latchwork.wire.api.people import (
    Access,
    AccessPatch,
    GrantDraft,
    PermissionsPatch,
    ScheduleDraft,
    SchedulePatch,
    UserDraft,
    UserPatch,
)
from latchwork.wire.api.problems import FieldError, Invalid

MOST_IN_A_CALL = 10_000
LARGEST_CARD = 2**63 - 1
EARLIEST, LATEST = 0, 4_102_444_800
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile(r"[+0-9() ./-]{3,40}")


def user_errors(user: UserDraft | UserPatch) -> list[FieldError]:
    """Every field that cannot be."""
    return [
        *name_errors(user.name),
        *_matching(user.email, "email", _EMAIL, 254, "This is not an e-mail address."),
        *_matching(user.phone, "phone", _PHONE, 40, "This is not a phone number."),
        *text_errors(user.employee_code, "employeeCode", 100),
        *text_errors(user.probation_period, "probationPeriod", 100),
        *text_errors(user.gender, "gender", 50),
        *_day_errors(user.joining_date, "joiningDate"),
        *_instant_errors(user.access_expires_at, "accessExpiresAt"),
        *_access_errors(user.access),
        *_pin_errors(user.pin),
        *_twice(user.roles, "roles"),
        *_twice(user.admin_of_sites, "adminOfSites"),
    ]


def grant_errors(grant: GrantDraft, field: str) -> list[FieldError]:
    errors = [
        *_instant_errors(grant.starts_at, f"{field}.startsAt"),
        *_instant_errors(grant.ends_at, f"{field}.endsAt"),
    ]
    if grant.starts_at is not None and grant.ends_at is not None and grant.ends_at <= grant.starts_at:
        errors.append(FieldError(f"{field}.endsAt", "It must end after it starts."))
    return errors


def check_permissions(patch: PermissionsPatch) -> None:
    """Raises Invalid with every field error."""
    added = [grant.access_point_id for grant in patch.add]
    check_ids(added, [*patch.remove, *patch.withdraw])
    raise_any([error for n, grant in enumerate(patch.add) for error in grant_errors(grant, f"add.{n}")])


def check_ids(add: Sequence[int], remove: Sequence[int]) -> None:
    """Raises Invalid for an id in both, for one that stands twice, and for more than a call may carry."""
    if len(add) + len(remove) > MOST_IN_A_CALL:
        raise Invalid(errors=[FieldError("", f"At most {MOST_IN_A_CALL} ids in a call.")])
    if both := set(add) & set(remove):
        raise Invalid(errors=[FieldError("add", f"{min(both)} is added and removed in the same call.")])
    raise_any([*_twice(add, "add")])


def check_schedule(schedule: ScheduleDraft | SchedulePatch) -> None:
    """Raises Invalid with every field error."""
    errors = name_errors(schedule.name)
    if not isinstance(schedule.week, UnsetType):
        holiday = () if isinstance(schedule.holiday, UnsetType) else schedule.holiday
        pairs = tuple(tuple((i.start, i.end) for i in day) for day in schedule.week)
        found = problems(PolicySchedule(pairs, tuple((i.start, i.end) for i in holiday)))
        errors += [FieldError("week", sentence) for sentence in found]
    raise_any(errors)


def check_card(number: int) -> None:
    if not 0 < number <= LARGEST_CARD:
        raise Invalid(errors=[FieldError("number", "A card's number is a whole number from 1 upward, below 2^63.")])


def days(texts: Sequence[str]) -> list[date]:
    """Dates, each once, ascending; raises Invalid for a text that is none."""
    raise_any([error for n, text in enumerate(texts) for error in _day_errors(text or "-", f"dates.{n}")])
    return sorted({date.fromisoformat(text) for text in texts})


def raise_any(errors: Sequence[FieldError]) -> None:
    if errors:
        raise Invalid(errors=errors)


def _matching(
    text: str | UnsetType, field: str, pattern: re.Pattern[str], longest: int, sentence: str
) -> list[FieldError]:
    if isinstance(text, UnsetType) or text == "":
        return []
    return [] if pattern.fullmatch(text) and is_text(text, longest) else [FieldError(field, sentence)]


def _day_errors(text: str | UnsetType, field: str) -> list[FieldError]:
    if isinstance(text, UnsetType) or text == "":
        return []
    try:
        date.fromisoformat(text)
    except ValueError:
        return [FieldError(field, "A date is written YYYY-MM-DD.")]
    return [] if len(text) == 10 else [FieldError(field, "A date is written YYYY-MM-DD.")]


def _instant_errors(at: int | UnsetType | None, field: str) -> list[FieldError]:
    if not isinstance(at, int) or EARLIEST <= at <= LATEST:
        return []
    return [FieldError(field, "Whole seconds since the epoch (10 digits; more look like milliseconds).")]


def _access_errors(access: Access | AccessPatch | UnsetType) -> list[FieldError]:
    if isinstance(access, UnsetType) or isinstance(access.click_range, UnsetType) or 0 <= access.click_range <= 1000:
        return []
    return [FieldError("access.clickRange", "From 0 to 1000 metres.")]


def _pin_errors(pin: str | UnsetType | None) -> list[FieldError]:
    if not isinstance(pin, str) or (pin.isascii() and pin.isdigit() and 4 <= len(pin) <= 8):
        return []
    return [FieldError("pin", "A PIN has 4 to 8 digits.")]


def _twice(values: Collection[object] | UnsetType, field: str) -> list[FieldError]:
    if isinstance(values, UnsetType) or len(set(values)) == len(values):
        return []
    return [FieldError(field, "The same one stands here twice.")]
