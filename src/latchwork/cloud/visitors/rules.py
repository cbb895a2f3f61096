"""The rules of the visit: pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from latchwork.cloud.kernel.texts import is_name, is_text, text_errors
from latchwork.cloud.visitors.model import House
from latchwork.wire.api.problems import Conflict, FieldError, Invalid
from latchwork.wire.api.visitors import Meeting, MeetingPatch, MeetingVisitor, VisitorDraft, VisitorPatch

MOST_DOORS = 64
LONGEST_KEY = 128
EARLIEST, LATEST = 1_000_000_000, 4_102_444_800
"""2001 and 2100: a time outside is a mistake."""
SLACK = 60
"""Seconds that a revocation outlives the last pass: controllers' clocks differ."""


def time_errors(start: int, end: int, now: int, max_days: int, names: tuple[str, str]) -> list[FieldError]:
    """A visit ends in the future and after it starts; it may have started (clients' clocks differ)."""
    errors = [e for field, at in zip(names, (start, end), strict=True) for e in _instant_errors(at, field)]
    if errors:
        return errors
    if end <= start:
        errors.append(FieldError(names[1], f"{names[1]} must be after {names[0]}."))
    elif end - start > max_days * 86_400:
        errors.append(FieldError(names[1], f"A visit lasts at most {max_days} days."))
    if end <= now:
        errors.append(FieldError(names[1], f"{names[1]} must be in the future."))
    return errors


def _instant_errors(at: int, field: str) -> list[FieldError]:
    if EARLIEST <= at <= LATEST:
        return []
    if at >= EARLIEST * 100:
        return [FieldError(field, f"{field} looks like milliseconds; it is whole seconds since the epoch (10 digits).")]
    return [FieldError(field, f"{field} is whole seconds since the epoch (10 digits).")]


def door_errors(doors: Sequence[int], field: str = "accessPoints") -> list[FieldError]:
    if len(set(doors)) != len(doors):
        return [FieldError(field, "The same access point stands here twice.")]
    if len(doors) > MOST_DOORS:
        return [FieldError(field, f"At most {MOST_DOORS} access points.")]
    return []


def pass_errors(seconds: int | UnsetType | None) -> list[FieldError]:
    if isinstance(seconds, int) and not 5 <= seconds <= 86_400:
        return [FieldError("passSeconds", "A QR lives 5 to 86400 seconds; null makes it static.")]
    return []


def visitor_errors(visitor: VisitorDraft | VisitorPatch | MeetingVisitor, prefix: str = "") -> list[FieldError]:
    errors = [
        *text_errors(visitor.name, f"{prefix}name"),
        *text_errors(visitor.phone, f"{prefix}phone", 40),
        *text_errors(visitor.company, f"{prefix}company"),
        *text_errors(visitor.host, f"{prefix}host"),
        *_email_errors(visitor.email, f"{prefix}email"),
    ]
    if not isinstance(visitor, VisitorPatch):
        errors += key_errors(visitor.key, f"{prefix}key")
    return errors


def key_errors(key: str, field: str) -> list[FieldError]:
    if key.strip() and is_text(key, LONGEST_KEY):
        return []
    return [FieldError(field, f"A visitor's key has 1 to {LONGEST_KEY} characters.")]


def _email_errors(email: str | UnsetType, field: str) -> list[FieldError]:
    if isinstance(email, UnsetType) or email == "":
        return []
    local, at, domain = email.rpartition("@")
    if at and local and is_name(email) and "." in domain.strip(".") and " " not in email:
        return []
    return [FieldError(field, "This is not an e-mail address.")]


def raise_any(errors: Sequence[FieldError]) -> None:
    """Raises Invalid with every field error."""
    if errors:
        raise Invalid(errors=errors)


def changed_doors(before: Sequence[int], patch: MeetingPatch) -> list[int]:
    """The doors after a change, ascending; raises Invalid when the change contradicts itself."""
    add, remove = patch.add_access_points, patch.remove_access_points
    if patch.access_points is not UNSET:
        if add or remove:
            field = "accessPoints"
            raise Invalid(errors=[FieldError(field, "Give the whole set, or what to add and remove, not both.")])
        raise_any(door_errors(patch.access_points))
        return sorted(patch.access_points)
    if set(add) & set(remove):
        raise Invalid(errors=[FieldError("addAccessPoints", "The same access point is added and removed.")])
    doors = sorted((set(before) | set(add)) - set(remove))
    raise_any(door_errors(doors, "addAccessPoints"))
    return doors


def checked_in(meeting: Meeting, now: int) -> Meeting:
    """The visitor is there, perhaps again. Raises Conflict when the meeting is over."""
    if meeting.end_time <= now:
        raise Conflict("This meeting is over; change its end first.")
    came_at = now if meeting.checked_in_at is None else meeting.checked_in_at
    return replace(meeting, checked_in_at=came_at, checked_out_at=None)


def checked_out(meeting: Meeting, now: int) -> Meeting:
    """The visitor has left; the first time counts. Raises Conflict when they have not come."""
    if meeting.checked_in_at is None:
        raise Conflict("This visitor has not come yet.")
    return replace(meeting, checked_out_at=meeting.checked_out_at or max(now, meeting.checked_in_at))


def ended(meeting: Meeting, now: int) -> Meeting:
    """The meeting is over now, and whoever came has left. Raises Conflict when it has not begun."""
    if meeting.start_time >= now:
        raise Conflict("This meeting has not begun; delete it instead.")
    if meeting.end_time <= now:
        return meeting
    left = meeting if meeting.checked_in_at is None else checked_out(meeting, now)
    return replace(left, end_time=now, version=meeting.version + 1)


def pass_times(meeting: Meeting, now: int) -> tuple[int, int]:
    """(expires at, not before): exp alone tells any verifier the truth; a static pass ends with its meeting."""
    seconds = meeting.pass_seconds
    expires_at = meeting.end_time if seconds is None else min(meeting.end_time, now + seconds)
    return expires_at, meeting.start_time


def last_pass_expires(before: Meeting, own_pass: bool, house: House, now: int) -> int:
    """The latest instant at which a pass of the meeting, issued before now, can expire.

    Passes were longer before the organisation shortened them, so an older meeting's may live to its end.
    """
    longer_once = not own_pass and before.created_at <= house.passes_shortened_at
    if before.pass_seconds is None or longer_once:
        return before.end_time
    return min(before.end_time, now + before.pass_seconds)


def unknown_doors(asked: Collection[int], house: House) -> list[int]:
    return sorted(set(asked) - house.doors)
