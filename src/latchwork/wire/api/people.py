"""Users, their permissions and cards; schedules and holidays."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

RoleName = Literal["end_user", "site_admin", "super_admin", "front_desk", "manager"]


class Role(msgspec.Struct, frozen=True, rename="camel"):
    """A role that users of this organisation may have."""

    id: int
    name: RoleName
    may_give: bool = True
    """Whether whoever asks may give it to users."""


class Term(msgspec.Struct, frozen=True, rename="camel"):
    """A label for users, such as a department."""

    id: int
    name: str


class TermDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str


class Access(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The ways in that are switched on. `fingerprint`, `face` and `gps` are kept for other systems and open nothing."""

    mobile: bool = True
    card: bool = True
    remote: bool = False
    tap: bool = True
    click_range: int = 0
    """Metres from which a click on the phone opens; 0: not at all."""
    device_lock: bool = False
    fingerprint: bool = False
    face: bool = False
    gps: bool = False


class AccessPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    mobile: bool | UnsetType = UNSET
    card: bool | UnsetType = UNSET
    remote: bool | UnsetType = UNSET
    tap: bool | UnsetType = UNSET
    click_range: int | UnsetType = UNSET
    device_lock: bool | UnsetType = UNSET
    fingerprint: bool | UnsetType = UNSET
    face: bool | UnsetType = UNSET
    gps: bool | UnsetType = UNSET


class User(msgspec.Struct, frozen=True, rename="camel"):
    """A person with permissions."""

    id: int
    name: str
    email: str
    phone: str
    employee_code: str
    home_site_id: int | None
    roles: list[RoleName]
    admin_of_sites: list[int]
    """For a `site_admin`."""
    terms: list[int]
    reporting_to: int | None
    """Another user."""
    joining_date: str
    """YYYY-MM-DD, or empty."""
    probation_period: str
    gender: str
    access: Access
    has_pin: bool
    access_expires_at: int | None
    is_active: bool
    deactivated_at: int | None
    cards: int
    created_at: int
    updated_at: int
    version: int
    """Rises with each change: the ETag."""


class UserDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str
    email: str = ""
    phone: str = ""
    employee_code: str = ""
    home_site_id: int | None = None
    """Absent: the organisation's first site."""
    roles: list[RoleName] = []
    """Absent: `end_user`."""
    admin_of_sites: list[int] = []
    terms: list[int] = []
    reporting_to: int | None = None
    joining_date: str = ""
    probation_period: str = ""
    gender: str = ""
    access: Access = Access()
    pin: str | None = None
    """4 to 8 digits; never shown again."""
    access_expires_at: int | None = None
    access_points: list[int] = []
    """Doors granted besides those that are default for every new user."""


class UserPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    employee_code: str | UnsetType = UNSET
    home_site_id: int | UnsetType | None = UNSET
    roles: list[RoleName] | UnsetType = UNSET
    admin_of_sites: list[int] | UnsetType = UNSET
    terms: list[int] | UnsetType = UNSET
    reporting_to: int | UnsetType | None = UNSET
    joining_date: str | UnsetType = UNSET
    probation_period: str | UnsetType = UNSET
    gender: str | UnsetType = UNSET
    access: AccessPatch | UnsetType = UNSET
    pin: str | UnsetType | None = UNSET
    access_expires_at: int | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET


class Permission(msgspec.Struct, frozen=True, rename="camel"):
    """A user's permission for a door, and the truth about where it has arrived."""

    user_id: int
    access_point_id: int
    starts_at: int | None
    ends_at: int | None
    schedule_id: int | None
    state: Literal["assigned", "pending", "removing"]
    """assigned: the door's controller has confirmed it; pending: not yet; removing: taken away, not yet confirmed."""
    since: int | None
    """When it was given; of one that is removing, since when. Null: not known."""
    user_name: str = ""
    """Empty: the user was deleted."""
    user_is_active: bool = True
    """Whether the user is neither deactivated nor deleted: doors refuse whoever is, whatever their permission says."""
    user_access_expires_at: int | None = None
    """When every door refuses the user from."""


class OwnDoor(msgspec.Struct, frozen=True, rename="camel"):
    """A door that the caller may open, and when."""

    access_point_id: int
    name: str
    zone: str
    site_name: str
    timezone: str
    """Of the site: its clock decides."""
    starts_at: int | None
    ends_at: int | None
    schedule: str | None
    """The weekly schedule's name; null: at any time."""
    needs_pin: bool
    is_ready: bool
    """Whether the door knows of it already."""
    has_controller: bool = True
    """False: nothing moves its lock yet, so it opens for nobody."""


class Limits(msgspec.Struct, frozen=True, rename="camel"):
    """When a permission holds: from–until, and within a weekly schedule."""

    starts_at: int | None = None
    ends_at: int | None = None
    schedule_id: int | None = None


class GrantDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A permission to give to a user, or to change."""

    access_point_id: int
    starts_at: int | None = None
    ends_at: int | None = None
    schedule_id: int | None = None


class DoorGrantDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A permission to give at a door, or to change."""

    user_id: int
    starts_at: int | None = None
    ends_at: int | None = None
    schedule_id: int | None = None


class PermissionsPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """All or nothing. What is there already is changed to what stands here; removing what is not there is nothing."""

    add: list[GrantDraft] = []
    remove: list[int] = []
    """Access point ids."""
    withdraw: list[int] = []
    """Taken away only where the door has not confirmed it yet."""
    dry_run: bool = False
    """Nothing changes; the answer says what would."""


class DoorPermissionsPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The same from the door's side: for many users at once."""

    add: list[DoorGrantDraft] = []
    remove: list[int] = []
    """User ids."""
    withdraw: list[int] = []
    dry_run: bool = False


class PermissionChange(msgspec.Struct, frozen=True, rename="camel"):
    """What becomes of one permission; no `before`: it is new, no `after`: it is taken away."""

    user_id: int
    user_name: str
    access_point_id: int
    access_point_name: str
    before: Limits | None
    after: Limits | None


class PermissionsChanged(msgspec.Struct, frozen=True, rename="camel"):
    permissions: list[Permission]
    """What has become of the permissions in the call."""
    unconfirmed_controllers: list[int] = []
    """With `wait=applied`: the online controllers that had not confirmed in time."""
    offline_controllers: list[int] = []
    changes: list[PermissionChange] = []
    """With `dryRun`: what would change, for whom, at which door."""


class UsersImport(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """People as CSV (RFC 4180) with a line of column names; as exported, or fewer columns.

    A line with an `id` changes that user, one without makes a new one. In a line with an `id` an empty cell, like a
    column that is not there, leaves the field as it is.
    """

    csv: str
    dry_run: bool = False
    """Nothing changes; the answer lists every line that is bad."""


class BadLine(msgspec.Struct, frozen=True, rename="camel"):
    line: int
    """As a text editor counts, the column names being on line 1."""
    column: str
    detail: str


class UserChanged(msgspec.Struct, frozen=True, rename="camel"):
    """A user as they are, and as a line of an import would make them."""

    before: User
    after: User
    access_points_before: list[int] = []
    access_points_after: list[int] = []
    """Both empty when the sheet has no such column."""


class UsersImported(msgspec.Struct, frozen=True, rename="camel"):
    added: int
    changed: int
    """How many lines name a user that was there, whether or not anything differs."""
    bad_lines: list[BadLine] = []
    """Only with `dryRun`; without it, a bad line refuses the whole import."""
    changes: list[UserChanged] = []
    """Only with `dryRun`: the users whom it would make different, the first 100 lines that name one."""


class Card(msgspec.Struct, frozen=True, rename="camel"):
    """A card of a user. The whole number is shown on the card's own page only."""

    id: int
    user_id: int
    last_digits: str
    """Four, or fewer: never more than half of the number."""
    number: int | None
    created_at: int


class CardDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    number: int


class Interval(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """(from, to) in minutes after the day's midnight; beyond 1440 it reaches into the next day."""

    start: int
    end: int


class Schedule(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    name: str
    week: list[list[Interval]]
    """Seven days, Monday first."""
    holiday: list[Interval]
    """What holds instead on a holiday."""
    version: int = 1
    """Rises with each change: the ETag."""


class ScheduleDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str
    week: list[list[Interval]]
    holiday: list[Interval] = []


class SchedulePatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    week: list[list[Interval]] | UnsetType = UNSET
    holiday: list[Interval] | UnsetType = UNSET


class Holidays(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A site's holidays: local dates, YYYY-MM-DD."""

    dates: list[str]
