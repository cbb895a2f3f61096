"""What users, permissions, cards and schedules may look like: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UnsetType

from latchwork.cloud.accounts.roles import ROLES, covers, has_module
from latchwork.cloud.accounts.roles import powers as role_powers
from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.texts import is_text, name_errors, text_errors
from latchwork.cloud.kernel.work import Powers, Reach, Scope
from latchwork.cloud.people.model import Pair
from latchwork.policy.model import Schedule as PolicySchedule
from latchwork.policy.pins import is_pin
from latchwork.policy.schedule import find_zone, problems
from latchwork.wire.api.people import (
    Access,
    AccessPatch,
    DoorGrantDraft,
    DoorPermissionsPatch,
    GrantDraft,
    Limits,
    PermissionsPatch,
    Role,
    RoleName,
    ScheduleDraft,
    SchedulePatch,
    User,
    UserDraft,
    UserPatch,
)
from latchwork.wire.api.problems import Conflict, FieldError, Forbidden, Invalid, NotFound

MOST_IN_A_CALL = 10_000
MOST_OF_A_USER = 1_000
"""Roles, terms or sites of one user: more is a mistake."""
LARGEST_CARD = 2**63 - 1
EARLIEST, LATEST = 0, 4_102_444_800
_NOT_IN_EMAIL = r"""@\s<>()\[\],;:\\"\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"""
_EMAIL = re.compile(rf"[^{_NOT_IN_EMAIL}]+@[^.{_NOT_IN_EMAIL}]+(\.[^.{_NOT_IN_EMAIL}]+)+")
_PHONE = re.compile(r"(?=(.*[0-9]){3})[+0-9() ./-]{3,40}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

# ------------------------------------------------------------------------------------------------- users


def user_errors(user: UserDraft | UserPatch, where: str = "") -> list[FieldError]:
    """Every field that cannot be; `where` stands before each field's name."""
    errors = [
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
        *_few(user.roles, "roles"),
        *_few(user.terms, "terms"),
        *_few(user.admin_of_sites, "adminOfSites"),
    ]
    return [msgspec.structs.replace(error, field=where + error.field) for error in errors] if where else errors


@dataclass(frozen=True, slots=True)
class References:
    """What users refer to."""

    roles: frozenset[RoleName]
    sites: frozenset[int]
    terms: frozenset[int]
    chiefs: frozenset[int]


def new_references(changes: Sequence[tuple[User | None, User]]) -> References:
    """What users refer to after (before, after) and did not before: what was there once may be gone by now.

    Raises Invalid for somebody who would report to themselves.
    """
    if any(after.id and after.reporting_to == after.id for _, after in changes):
        raise Invalid(errors=[FieldError("reportingTo", "Nobody reports to themselves.")])
    pairs = [(_references(before), _references(after)) for before, after in changes]
    return References(
        frozenset(role for before, after in pairs for role in after.roles - before.roles),
        frozenset(site for before, after in pairs for site in after.sites - before.sites),
        frozenset(term for before, after in pairs for term in after.terms - before.terms),
        frozenset(chief for before, after in pairs for chief in after.chiefs - before.chiefs),
    )


def _references(user: User | None) -> References:
    if user is None:
        return References(frozenset(), frozenset(), frozenset(), frozenset())
    return References(
        roles=frozenset(user.roles),
        sites=frozenset(user.admin_of_sites) | _one(user.home_site_id),
        terms=frozenset(user.terms),
        chiefs=_one(user.reporting_to),
    )


def _one(id: int | None) -> frozenset[int]:
    return frozenset() if id is None else frozenset((id,))


def role_errors(roles: Collection[RoleName], modules: Collection[str]) -> list[FieldError]:
    """A role whose module is switched off is none."""
    missing = [role for role in roles if not has_module(role, modules)]
    return [FieldError("roles", f"There is no {role} without the {ROLES[role].module} module.") for role in missing]


def needs_module(roles: Collection[RoleName]) -> bool:
    return any(ROLES[role].module for role in roles)


def check_reaches_no_further(powers: Powers | None, before: User | None, after: User | None) -> None:
    """Raises Forbidden when a user (their powers) would touch somebody of more powers, or make them so.

    Sites count as given even to somebody who is no site admin yet. `powers` None: no user, and nothing to compare.
    """
    if powers is None:
        return
    if before is not None and not covers(powers, _powers(before)):
        raise Forbidden("This user's roles reach further than yours: only somebody whose roles do may change them.")
    if after is not None and not covers(powers, _powers(after)):
        raise Forbidden("You cannot give roles or sites that reach further than your own.")


def check_stays(oneself: User, after: User | None, now: float) -> None:
    """Of whoever asks: raises Conflict when they would shut themselves out, perhaps as the last to let others in."""
    if (
        after is None
        or not (after.is_active and set(oneself.roles) <= set(after.roles))
        or (after.access_expires_at is not None and after.access_expires_at <= now)
    ):
        raise Conflict("You would shut yourself out. Ask another administrator to do this for you.")


def _powers(user: User) -> Powers:
    """What their roles could give, whatever modules are switched on now."""
    roles = [*user.roles, "site_admin"] if user.admin_of_sites else user.roles
    return role_powers(user.id, roles, user.admin_of_sites)


def offered(role: Role, powers: Powers | None) -> Role:
    """The role, and whether whoever has these powers may give it: at most for the sites where they change users."""
    if powers is None:
        return role
    reach = powers.get("users:write", Reach())
    gives = role_powers(0, [role.name], reach.sites if reach else ())
    return msgspec.structs.replace(role, may_give="users:write" in powers and covers(powers, gives))


def check_within(scope: Scope, own_id: str, before: User | None, after: User) -> None:
    """Raises NotFound or Forbidden when a user would be at home, or report to somebody, out of reach."""
    if scope.reach is None:
        return
    if after.home_site_id is None:
        raise Forbidden("Name one of your own sites as the home site.")
    if after.home_site_id not in scope.reach.sites:
        raise NotFound(f"There is no site with the id {after.home_site_id}.")
    is_new = before is None or before.reporting_to != after.reporting_to
    if is_new and after.reporting_to is not None and str(after.reporting_to) == own_id:
        raise Forbidden("Nobody makes themselves somebody's manager; let somebody else do it.")


def check_search(text: str) -> None:
    raise_any(text_errors(text, "search"))


def check_term(name: str) -> None:
    raise_any(name_errors(name))


def check_may_grant(scopes: Collection[str]) -> None:
    """Raises Forbidden: whoever gives doors to a user needs the scope for that, whatever the call."""
    if "permissions:write" not in scopes:
        raise Forbidden("This client may not do that: its token lacks the scope permissions:write.")


# ------------------------------------------------------------------------------------------------- permissions


def wishes(user: int, patch: PermissionsPatch) -> tuple[dict[Pair, Limits], list[Pair], list[Pair]]:
    """What a patch of a user's permissions gives, takes, and takes where it is pending. Raises Invalid."""
    check_ids([grant.access_point_id for grant in patch.add], [*patch.remove, *patch.withdraw])
    check_limits(patch.add)
    add = {(user, grant.access_point_id): _limits(grant) for grant in patch.add}
    return add, [(user, door) for door in patch.remove], [(user, door) for door in patch.withdraw]


def door_wishes(door: int, patch: DoorPermissionsPatch) -> tuple[dict[Pair, Limits], list[Pair], list[Pair]]:
    """The same of a patch from the door's side."""
    check_ids([grant.user_id for grant in patch.add], [*patch.remove, *patch.withdraw])
    check_limits(patch.add)
    add = {(grant.user_id, door): _limits(grant) for grant in patch.add}
    return add, [(user, door) for user in patch.remove], [(user, door) for user in patch.withdraw]


def check_limits(grants: Sequence[GrantDraft | DoorGrantDraft]) -> None:
    """Raises Invalid with every field error, NotFound for what can be no schedule's id."""
    raise_any([error for n, grant in enumerate(grants) for error in _limit_errors(grant, f"add.{n}")])
    for grant in grants:
        if grant.schedule_id is not None and not is_id(grant.schedule_id):
            raise NotFound("There is no schedule with this id.")


def _limits(grant: GrantDraft | DoorGrantDraft) -> Limits:
    return Limits(grant.starts_at, grant.ends_at, grant.schedule_id)


def _limit_errors(grant: GrantDraft | DoorGrantDraft, field: str) -> list[FieldError]:
    errors = [
        *_instant_errors(grant.starts_at, f"{field}.startsAt"),
        *_instant_errors(grant.ends_at, f"{field}.endsAt"),
    ]
    if grant.starts_at is not None and grant.ends_at is not None and grant.ends_at <= grant.starts_at:
        errors.append(FieldError(f"{field}.endsAt", "It must end after it starts."))
    return errors


def check_ids(add: Sequence[int], remove: Sequence[int]) -> None:
    """Raises Invalid for an id in both, for one that is added twice, and for more than a call may carry."""
    if both := set(add) & set(remove):
        raise Invalid(errors=[FieldError("add", f"{min(both)} is added and removed in the same call.")])
    check_each_once(add, "add")
    check_number([*add, *remove])


def check_each_once(ids: Sequence[int], field: str) -> None:
    raise_any(_twice(ids, field))


def check_number(ids: Collection[object]) -> None:
    """Raises Invalid for more than a call may carry."""
    if len(ids) > MOST_IN_A_CALL:
        raise Invalid(errors=[FieldError("", f"At most {MOST_IN_A_CALL} in one call.")])


def check_known(kind: str, ids: Collection[int], known: Collection[int] | None = None) -> None:
    """Raises NotFound for an id that is not among the known, or (None) could not be anybody's."""
    for id in sorted(ids):
        if not is_id(id) or (known is not None and id not in known):
            raise NotFound(f"There is no {kind} with the id {id}.")


# ------------------------------------------------------------------------------------------------- cards, schedules


def check_schedule(schedule: ScheduleDraft | SchedulePatch) -> None:
    """Raises Invalid with every field error."""
    errors = name_errors(schedule.name)
    if not isinstance(schedule.week, UnsetType):
        holiday = () if isinstance(schedule.holiday, UnsetType) else schedule.holiday
        pairs = tuple(tuple((i.start, i.end) for i in day) for day in schedule.week)
        found = problems(PolicySchedule(pairs, tuple((i.start, i.end) for i in holiday)))
        errors += [FieldError("week", sentence) for sentence in found]
    raise_any(errors)


def check_card(number: int, field: str = "number") -> None:
    """Raises Invalid."""
    if not 0 < number <= LARGEST_CARD:
        raise Invalid(errors=[FieldError(field, "A card's number is a whole number from 1 upward, below 2^63.")])


def days(texts: Sequence[str]) -> list[date]:
    """Dates, each once, ascending; raises Invalid for a text that is none."""
    raise_any([error for n, text in enumerate(texts) for error in _day_errors(text or "-", f"dates.{n}")])
    return sorted({date.fromisoformat(text) for text in texts})


# ------------------------------------------------------------------------------------------------- instants


def expiry(text: str, timezone: str) -> int:
    """The instant that an ISO 8601 text names; without an offset it is local time, a bare date is the end of that day.

    The end of a day is its last second, so that whoever reads it sees that day. Raises ValueError for anything else.
    """
    if _DAY.fullmatch(text):
        return day_bounds(date.fromisoformat(text), timezone)[1] - 1
    if "T" not in text.upper() and " " not in text:
        raise ValueError(text)
    at = datetime.fromisoformat(text)
    return seconds(at if at.tzinfo else at.replace(tzinfo=_zone(timezone)))


def day_bounds(day: date, timezone: str) -> tuple[int, int]:
    """From and before: the instants of a local day; raises ValueError for a day too far away to have any."""
    zone = _zone(timezone)
    try:
        starts = [datetime.combine(at, time(), zone) for at in (day, day + timedelta(days=1))]
        return seconds(starts[0]), seconds(starts[1])
    except OverflowError:
        raise ValueError(day) from None


def _zone(timezone: str) -> ZoneInfo:
    """As the doors know it; raises ValueError for one that they do not."""
    zone = find_zone(timezone)
    if zone is None:
        raise ValueError(timezone)
    return zone


def moments(text: str, timezones: Mapping[int, str]) -> dict[int, tuple[int, int]]:
    """From and before, in each of these time zones: of a day, or of an instant. Raises ValueError for anything else."""
    if _DAY.fullmatch(text):
        return {site: day_bounds(date.fromisoformat(text), zone) for site, zone in timezones.items()}
    found = {site: expiry(text, zone) for site, zone in timezones.items()}
    return {site: (at, at + 1) for site, at in found.items()}


def seconds(at: datetime) -> int:
    """Whole seconds since the epoch; raises ValueError for an instant before it or in the far future."""
    try:
        found = int(at.astimezone(UTC).timestamp())
    except OverflowError:
        raise ValueError(at) from None
    if not EARLIEST <= found <= LATEST:
        raise ValueError(at)
    return found


def raise_any(errors: Sequence[FieldError]) -> None:
    if errors:
        raise Invalid(errors=errors)


# ------------------------------------------------------------------------------------------------- single fields


def _matching(
    text: str | UnsetType, field: str, pattern: re.Pattern[str], longest: int, sentence: str
) -> list[FieldError]:
    if isinstance(text, UnsetType) or text == "":
        return []
    return [] if is_text(text, longest) and pattern.fullmatch(text) else [FieldError(field, sentence)]


def _day_errors(text: str | UnsetType, field: str) -> list[FieldError]:
    if isinstance(text, UnsetType) or text == "":
        return []
    try:
        if _DAY.fullmatch(text):
            date.fromisoformat(text)
            return []
    except ValueError:
        pass
    return [FieldError(field, "A date is written YYYY-MM-DD.")]


def _instant_errors(at: int | UnsetType | None, field: str) -> list[FieldError]:
    if not isinstance(at, int) or EARLIEST <= at <= LATEST:
        return []
    return [FieldError(field, "Whole seconds since the epoch (10 digits; more look like milliseconds).")]


def _access_errors(access: Access | AccessPatch | UnsetType) -> list[FieldError]:
    if isinstance(access, UnsetType) or isinstance(access.click_range, UnsetType) or 0 <= access.click_range <= 1000:
        return []
    return [FieldError("access.clickRange", "From 0 to 1000 metres.")]


def _pin_errors(pin: str | UnsetType | None) -> list[FieldError]:
    if not isinstance(pin, str) or is_pin(pin):
        return []
    return [FieldError("pin", "A PIN has 4 to 8 digits.")]


def _few(values: Sequence[object] | UnsetType, field: str) -> list[FieldError]:
    if isinstance(values, UnsetType):
        return []
    if len(values) > MOST_OF_A_USER:
        return [FieldError(field, f"At most {MOST_OF_A_USER}.")]
    return _twice(values, field)


def _twice(values: Collection[object], field: str) -> list[FieldError]:
    if len(set(values)) == len(values):
        return []
    return [FieldError(field, "The same one stands here twice.")]
