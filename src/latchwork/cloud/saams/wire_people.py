"""The records of users, permissions and cards on the SAAMS wire: lenient in, every key out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from latchwork.cloud.people import rules
from latchwork.cloud.people.model import UserFilter
from latchwork.cloud.saams import lenient
from latchwork.cloud.saams.lenient import Ids, Text, wrong
from latchwork.cloud.saams.wire import Pagination, iso
from latchwork.wire.api.people import Access, AccessPatch, Permission, RoleName, User, UserDraft, UserPatch
from latchwork.wire.api.sites import AccessPoint

MaybeText: TypeAlias = str | int | UnsetType | None

# ------------------------------------------------------------------------------------------------- in: users


class AccessData(msgspec.Struct, frozen=True, rename="camel"):
    """What is absent or null is as it was, or as it is by default."""

    mobile: bool | None = None
    card: bool | None = None
    fingerprint: bool | None = None
    remote_access: bool | None = None
    tap_to_access: bool | None = None
    gps: bool | None = None
    device_lock: bool | None = None
    face_access: bool | None = None
    click_to_access_range: Text = None
    access_expires_at: MaybeText = UNSET
    access_points: Ids = None


class UserCreate(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    phone: Text = None
    email: str | None = None
    roles: Ids = None
    admin_of_sites: Ids = None
    device_lock: bool | None = msgspec.field(default=None, name="devicelock")
    access_data: AccessData | None = None
    home_site_id: Text = None
    terms: Ids = None
    employee_code: Text = None
    reporting_to: Text = None
    probation_period: Text = None
    joining_date: Text = None
    gender: str | None = None
    credential_id: Text = None


class LegacyUser(msgspec.Struct, frozen=True, rename="camel"):
    """Everything on one level."""

    name: str
    email: str | None = None
    phone: Text = None
    roles: Ids = None
    access_points: Ids = None
    mobile: bool | None = None
    card: bool | None = None
    fingerprint: bool | None = None
    remote_access: bool | None = None
    tap_to_access: bool | None = None
    proximity_access: bool | None = None
    gps: bool | None = None
    device_lock: bool | None = None
    click_to_access_range: Text = None
    access_expires_at: Text = None
    employee_code: Text = None
    reporting_to: Text = None
    probation_period: Text = None
    joining_date: Text = None
    gender: str | None = None
    credential_id: Text = None

    def as_create(self) -> UserCreate:
        """The same in the present form; without proximity access no click opens."""
        given = {name: getattr(self, name) for name in UserCreate.__struct_fields__ if hasattr(self, name)}
        access = {name: getattr(self, name) for name in AccessData.__struct_fields__ if hasattr(self, name)}
        if self.proximity_access is False:
            access["click_to_access_range"] = 0
        return UserCreate(**given, access_data=AccessData(**access))


class LegacyUsers(msgspec.Struct, frozen=True):
    users: list[LegacyUser]


class UserUpdate(msgspec.Struct, frozen=True, rename="camel"):
    """Absent: unchanged. Null is unchanged too, but where the contract has it as a value: it ends what was there."""

    id: int
    name: str | None = None
    email: str | None = None
    phone: Text = None
    employee_code: Text = None
    access_expires_at: MaybeText = UNSET
    reporting_to: MaybeText = UNSET
    home_site_id: Text = None
    admin_of_sites: Ids = None
    roles: Ids = None
    terms: Ids = None
    joining_date: Text = None
    access_points: Ids = None
    access_data: AccessData | None = None
    deactivate_user: bool | None = None

    @property
    def expiry(self) -> MaybeText:
        """The one inside accessData wins, as it does for the doors."""
        inside = UNSET if self.access_data is None else self.access_data.access_expires_at
        return self.access_expires_at if inside is UNSET else inside

    @property
    def doors(self) -> list[int] | None:
        """The set of doors that replaces the user's; None: unchanged."""
        inside = None if self.access_data is None else self.access_data.access_points
        listed = self.access_points if inside is None else inside
        return None if listed is None else lenient.ids(listed, "accessPoints")


class UserUpdates(msgspec.Struct, frozen=True):
    users: list[UserUpdate]


class UserIds(msgspec.Struct, frozen=True, rename="camel"):
    user_ids: Ids


@dataclass(frozen=True, slots=True)
class House:
    """What an organisation's ids mean."""

    roles: Mapping[int, RoleName]
    timezones: Mapping[int, str]
    """By site."""

    def timezone(self, home: int | None) -> str:
        """Of the home site, else of the first site."""
        first = next(iter(self.timezones.values()), "UTC")
        return first if home is None else self.timezones.get(home, first)

    def named(self, roles: Ids) -> list[RoleName]:
        """Raises NotFound for a role that is not listed here."""
        asked = lenient.ids(roles, "roles")
        rules.check_known("role", asked, self.roles)
        return [self.roles[id] for id in asked]


def draft(new: UserCreate, house: House) -> UserDraft:
    """The user to be made, as the native API has it."""
    access = new.access_data or AccessData()
    home = lenient.number(new.home_site_id, "homeSiteId")
    expires = None if access.access_expires_at is UNSET else access.access_expires_at
    modes = {name: value for name, value in _modes(access).items() if value is not UNSET}
    if new.device_lock is not None:
        modes.setdefault("device_lock", new.device_lock)
    return UserDraft(
        name=new.name,
        email=lenient.text(new.email),
        phone=lenient.text(new.phone),
        employee_code=lenient.text(new.employee_code),
        home_site_id=home,
        roles=house.named(new.roles),
        admin_of_sites=lenient.ids(new.admin_of_sites, "adminOfSites"),
        terms=lenient.ids(new.terms, "terms"),
        reporting_to=lenient.number(new.reporting_to, "reportingTo"),
        joining_date=lenient.day(new.joining_date, "joiningDate"),
        probation_period=lenient.text(new.probation_period),
        gender=lenient.text(new.gender),
        access=Access(**modes),
        access_expires_at=lenient.expiry(expires, house.timezone(home), "accessExpiresAt"),
        access_points=lenient.ids(access.access_points, "accessPoints"),
    )


def patch(update: UserUpdate, house: House, home: int | None) -> UserPatch:
    """What the update changes; `home`: the user's home site as it is now."""
    moved = lenient.number(update.home_site_id, "homeSiteId")
    timezone = house.timezone(home if moved is None else moved)
    expires, chief = update.expiry, update.reporting_to
    return UserPatch(
        name=UNSET if update.name is None else update.name,
        email=UNSET if update.email is None else lenient.text(update.email),
        phone=UNSET if update.phone is None else lenient.text(update.phone),
        employee_code=UNSET if update.employee_code is None else lenient.text(update.employee_code),
        home_site_id=UNSET if moved is None else moved,
        roles=UNSET if update.roles is None else house.named(update.roles),
        admin_of_sites=_set(update.admin_of_sites, "adminOfSites"),
        terms=_set(update.terms, "terms"),
        reporting_to=UNSET if isinstance(chief, UnsetType) else lenient.number(chief, "reportingTo"),
        joining_date=UNSET if update.joining_date is None else lenient.day(update.joining_date, "joiningDate"),
        access=UNSET if update.access_data is None else AccessPatch(**_modes(update.access_data)),
        access_expires_at=UNSET
        if isinstance(expires, UnsetType)
        else lenient.expiry(expires, timezone, "accessExpiresAt"),
        is_active=UNSET if update.deactivate_user is None else not update.deactivate_user,
    )


def _set(values: Ids, field: str) -> list[int] | UnsetType:
    return UNSET if values is None else lenient.ids(values, field)


def _modes(access: AccessData) -> dict[str, Any]:
    """The native names of the modes; UNSET where nothing was sent."""
    click = lenient.number(access.click_to_access_range, "clickToAccessRange")
    found = {
        "mobile": access.mobile,
        "card": access.card,
        "remote": access.remote_access,
        "tap": access.tap_to_access,
        "click_range": click,
        "device_lock": access.device_lock,
        "fingerprint": access.fingerprint,
        "face": access.face_access,
        "gps": access.gps,
    }
    return {name: UNSET if value is None else value for name, value in found.items()}


# ------------------------------------------------------------------------------------------------- in: lists


class Search(msgspec.Struct, frozen=True, rename="camel"):
    email: Text = None
    name: Text = None
    phone: Text = None
    employee_id: Text = None


class Span(msgspec.Struct, frozen=True, rename="camel"):
    """Two days or instants, both within; either may be absent."""

    start_date: Text = None
    end_date: Text = None
    start: Text = None
    end: Text = None


class UserFilters(msgspec.Struct, frozen=True, rename="camel"):
    created_on: Span | Text = None
    user_type: list[str | None] | str | None = None
    access_expires_at: Span | Text = None
    s: Search | str | None = None
    terms: Ids = None
    sites: Ids = None


class UserList(msgspec.Struct, frozen=True):
    pagination: Pagination | None = None
    filters: UserFilters | None = None


def wanted(filters: UserFilters, house: House) -> UserFilter | None:
    """The filter; None when it keeps everybody. Days of creation are told in UTC, as `createdAt` is."""
    search = filters.s if isinstance(filters.s, Search) else Search()
    created = _when(filters.created_on, {0: "UTC"}, "createdOn")
    timezones = {0: house.timezone(None), **house.timezones}
    found = UserFilter(
        name=lenient.some(search.name),
        email=lenient.some(search.email),
        phone=lenient.some(search.phone),
        employee_code=lenient.some(search.employee_id),
        is_active=_is_active(filters.user_type),
        created=created[0] if created else None,
        expiring=_when(filters.access_expires_at, timezones, "accessExpiresAt"),
        terms=lenient.some_ids(filters.terms, "terms"),
        sites=lenient.some_ids(filters.sites, "sites"),
    )
    return None if found == UserFilter() else found


def _is_active(kinds: list[str | None] | str | None) -> bool | None:
    listed = {lenient.text(kind) for kind in (kinds if isinstance(kinds, list) else [kinds])} - {""}
    if not listed <= {"active", "deactivated"}:
        raise wrong("userType", "userType is active or deactivated.")
    return None if len(listed) != 1 else listed == {"active"}


def _when(asked: Span | Text, timezones: Mapping[int, str], field: str) -> dict[int, tuple[int, int]] | None:
    """From and before, by site."""
    span = asked if isinstance(asked, Span) else Span(start=asked, end=asked)
    first = lenient.some(span.start_date) or lenient.some(span.start)
    last = lenient.some(span.end_date) or lenient.some(span.end)
    if first is None and last is None:
        return None
    begins = _moments(first, timezones, field) if first else dict.fromkeys(timezones, (0, 0))
    ends = _moments(last, timezones, field) if last else dict.fromkeys(timezones, (0, 2**62))
    return {site: (begins[site][0], ends[site][1]) for site in timezones}


def _moments(written: str, timezones: Mapping[int, str], field: str) -> dict[int, tuple[int, int]]:
    try:
        return rules.moments(written, timezones)
    except ValueError:
        raise wrong(field, lenient.not_iso(written, field)) from None


# ------------------------------------------------------------------------------------------------- in: permissions


class Permissions(msgspec.Struct, frozen=True):
    sites: Ids = None


class PermissionsUpdate(msgspec.Struct, frozen=True, rename="camel"):
    permissions_to_add: Ids = None
    permissions_to_remove: Ids = None
    pending_permissions_to_remove: Ids = None

    def lists(self) -> tuple[list[int], list[int], list[int]]:
        """Ids to add, to remove, to withdraw; raises Invalid when they contradict each other."""
        add = lenient.ids(self.permissions_to_add, "permissionsToAdd")
        remove = lenient.ids(self.permissions_to_remove, "permissionsToRemove")
        withdraw = lenient.ids(self.pending_permissions_to_remove, "pendingPermissionsToRemove")
        lenient.not_both(add, [*remove, *withdraw])
        return add, remove, withdraw


class DoorUsers(msgspec.Struct, frozen=True):
    pagination: Pagination | None = None


class Credential(msgspec.Struct, frozen=True, rename="camel"):
    card_id: Text = None
    credential_id: Text = None
    """The legacy name."""

    @property
    def number(self) -> int:
        """The card's; raises Invalid when there is none."""
        found = lenient.number(self.card_id, "cardId")
        found = lenient.number(self.credential_id, "credentialId") if found is None else found
        if found is None:
            raise wrong("cardId", "The card's number is missing.")
        return found


# ------------------------------------------------------------------------------------------------- out


@dataclass(frozen=True, slots=True)
class Around:
    """What a list of users needs besides the users themselves."""

    roles: Mapping[str, int]
    terms: Mapping[int, str]
    cards: Mapping[int, str]
    reportees: Mapping[int, list[int]]
    now: int


def user(u: User, around: Around) -> dict[str, Any]:
    """Every key of the contract; what does not exist here is said in docs/saams.md."""
    return {
        "id": u.id,
        "name": u.name,
        "email": u.email,
        "phone": u.phone,
        "uniqueId": u.email or u.phone or str(u.id),
        "employeeCode": u.employee_code,
        "isSignedUp": False,
        "cardAssigned": u.cards > 0,
        "credentialId": around.cards.get(u.id),
        "accessExpiresAt": _iso(u.access_expires_at),
        "accessExpired": u.access_expires_at is not None and u.access_expires_at <= around.now,
        "roles": [{"id": around.roles[name], "name": name} for name in u.roles if name in around.roles],
        "attributes": [],
        "terms": [{"id": id, "name": around.terms[id]} for id in u.terms if id in around.terms],
        "reportingTo": u.reporting_to,
        "reportees": around.reportees.get(u.id, []),
        "gps": u.access.gps,
        "mobile": u.access.mobile,
        "gender": u.gender,
        "joiningDate": u.joining_date or None,
        "probationPeriod": _probation(u.probation_period),
        "accessorId": u.id,
        "approveDeviceLock": False,
        "deactivatedOn": _iso(u.deactivated_at),
        "createdAt": iso(u.created_at),
    }


def permissions(
    doors: Sequence[AccessPoint], held: Mapping[int, Permission], site_names: Mapping[int, str]
) -> dict[str, list[dict[str, Any]]]:
    """Each door in exactly one of the three lists."""
    lists: dict[str, list[dict[str, Any]]] = {
        "permissionAssigned": [],
        "permissionNotAssigned": [],
        "pendingPermissions": [],
    }
    for door in doors:
        name, more = _standing(held.get(door.id))
        item = {"id": door.id, "name": door.name, "siteId": door.site_id, "siteName": site_names[door.site_id]}
        lists[name].append(item | more)
    return lists


def _standing(permission: Permission | None) -> tuple[str, dict[str, Any]]:
    if permission is None:
        return "permissionNotAssigned", {}
    if permission.state == "assigned":
        return "permissionAssigned", {}
    if permission.state == "pending":
        return "pendingPermissions", {"pending": "add", "since": permission.since}
    return "permissionNotAssigned", {"pending": "remove", "since": permission.since}


def door_user(permission: Permission, u: User) -> dict[str, Any]:
    pending = permission.state != "assigned"
    return {"id": u.id, "name": u.name, "email": u.email, "employeeCode": u.employee_code, "pending": pending}


def _iso(at: int | None) -> str | None:
    return None if at is None else iso(at)


def _probation(text: str) -> int | str | None:
    """Clients send a number of days; what else they sent comes back as it came."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or None
