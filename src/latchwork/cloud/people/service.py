"""Use cases of people: who they are, which doors they may open, with which cards."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

import msgspec
from msgspec import UNSET, UnsetType

from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.bodies import given
from latchwork.cloud.kernel.work import Connection, Scope, Work
from latchwork.cloud.people import rules, store
from latchwork.cloud.sites import store as sites
from latchwork.policy.pins import hash_pin
from latchwork.wire.api.people import (
    Card,
    GrantDraft,
    Holidays,
    Permission,
    PermissionsPatch,
    Schedule,
    ScheduleDraft,
    SchedulePatch,
    User,
    UserDraft,
    UserPatch,
)
from latchwork.wire.api.problems import Conflict, NotFound, Outdated

NO_PIN = (b"", b"")

# ------------------------------------------------------------------------------------------------- users


async def add_user(work: Work, draft: UserDraft) -> User:
    """A new user, with the default doors and those asked for."""
    rules.raise_any(rules.user_errors(draft))
    rules.check_ids(draft.access_points, [])
    await _check_sites(work, [*draft.admin_of_sites, *([draft.home_site_id] if draft.home_site_id else [])])
    id, doors = await store.add_user(
        work.conn, work.scope, _drafted(draft, work.now), _pin(draft.pin), draft.access_points
    )
    user = await store.get_user(work.conn, work.scope, id)
    work.touch("person", id)
    work.touch("grant", *(f"{id}.{door}" for door in doors))
    events.record(work, "user_created", f"user/{id}", after=user)
    for door in sorted(doors):
        events.record(work, "permission_granted", f"user/{id}", data={"accessPointId": door})
    return user


async def change_user(work: Work, id: int, patch: UserPatch, version: int | None = None) -> User:
    """Raises Outdated when somebody else changed the user since the version the caller knows."""
    return (await change_users(work, [(id, patch)], version))[0]


async def change_users(work: Work, patches: Sequence[tuple[int, UserPatch]], version: int | None = None) -> list[User]:
    """All or nothing."""
    rules.raise_any([error for _, patch in patches for error in rules.user_errors(patch)])
    rules.check_ids([id for id, _ in patches], [])
    before = {user.id: user for user in await store.lock_users(work.conn, work.scope, [id for id, _ in patches])}
    return [await _change(work, before[id], patch, version) for id, patch in patches]


async def remove_users(work: Work, ids: Collection[int]) -> None:
    """For good: credentials, permissions, cards. What they did stays in the log under their name."""
    rules.check_ids(list(ids), [])
    users = await store.lock_users(work.conn, work.scope, ids)
    work.touch("person", *ids)
    work.touch("grant", *(f"{user}.{door}" for user, door in await store.doors_of(work.conn, work.scope, ids)))
    work.touch("card", *(card.id for card in await store.cards_of(work.conn, work.scope, ids)))
    work.touch("schedule", *(await store.schedules_of(work.conn, work.scope, ids)))
    await store.remove_users(work.conn, work.scope, ids)
    for user in users:
        events.record(work, "user_deleted", f"user/{user.id}", data={"name": user.name})


async def _change(work: Work, before: User, patch: UserPatch, version: int | None) -> User:
    if version is not None and version != before.version:
        raise Outdated
    after = _patched(before, patch, work.now)
    if after == before and patch.pin is UNSET:
        return before
    await _check_sites(work, [*after.admin_of_sites, *([after.home_site_id] if after.home_site_id else [])])
    after = msgspec.structs.replace(after, version=before.version + 1, updated_at=work.now)
    pin = None if isinstance(patch.pin, UnsetType) else _pin(patch.pin)
    await store.change_user(work.conn, work.scope, after, pin)
    after = msgspec.structs.replace(after, has_pin=before.has_pin if pin is None else pin != NO_PIN)
    work.touch("person", before.id)
    events.record(work, _user_event(before, after), f"user/{before.id}", before=before, after=after)
    return after


def _patched(before: User, patch: UserPatch, now: int) -> User:
    fields = {name: value for name, value in given(patch).items() if name not in ("access", "pin", "is_active")}
    if patch.access is not UNSET:
        fields["access"] = msgspec.structs.replace(before.access, **given(patch.access))
    if patch.is_active is not UNSET and patch.is_active != before.is_active:
        fields |= {"is_active": patch.is_active, "deactivated_at": None if patch.is_active else now}
    return msgspec.structs.replace(before, **fields)


def _user_event(before: User, after: User) -> str:
    if before.is_active == after.is_active:
        return "user_changed"
    return "user_activated" if after.is_active else "user_deactivated"


def _drafted(draft: UserDraft, now: int) -> User:
    """The user before the database gave them an id."""
    return User(
        id=0,
        name=draft.name,
        email=draft.email,
        phone=draft.phone,
        employee_code=draft.employee_code,
        home_site_id=draft.home_site_id,
        roles=draft.roles or ["end_user"],
        admin_of_sites=draft.admin_of_sites,
        terms=draft.terms,
        reporting_to=draft.reporting_to,
        joining_date=draft.joining_date,
        probation_period=draft.probation_period,
        gender=draft.gender,
        access=draft.access,
        has_pin=draft.pin is not None,
        access_expires_at=draft.access_expires_at,
        is_active=True,
        deactivated_at=None,
        cards=0,
        created_at=now,
        updated_at=now,
        version=1,
    )


def _pin(pin: str | None) -> tuple[bytes, bytes]:
    """(salt, hash); empty: no PIN."""
    if pin is None:
        return NO_PIN
    salt = os.urandom(16)
    return salt, hash_pin(pin, salt)


async def _check_sites(work: Work, ids: Sequence[int]) -> None:
    for id in sorted(set(ids)):
        if not 0 < id < 2**31:
            raise NotFound("There is no site with this id.")
        await sites.get_site(work.conn, work.scope, id)


# ------------------------------------------------------------------------------------------------- permissions


async def change_permissions(work: Work, user: int, patch: PermissionsPatch) -> list[Permission]:
    """The user's permissions after the change; with `dry_run` it is undone, and nothing has happened."""
    rules.check_permissions(patch)
    await store.lock_users(work.conn, work.scope, [user])
    if patch.dry_run:
        await work.conn.execute("SAVEPOINT dry_run")
    pending = await _pending(work, user, patch.withdraw) if patch.withdraw else []
    await give_and_take(
        work, [(user, grant) for grant in patch.add], [(user, door) for door in (*patch.remove, *pending)]
    )
    permissions = await store.permissions_of(work.conn, work.scope, user)
    if patch.dry_run:
        await work.conn.execute("ROLLBACK TO dry_run")
        work.forget()
    return permissions


async def give_and_take(work: Work, add: Sequence[tuple[int, GrantDraft]], remove: Sequence[tuple[int, int]]) -> None:
    """All or nothing; what is there is not given twice, what is not there is not taken."""
    doors = {grant.access_point_id for _, grant in add} | {door for _, door in remove}
    await _check_doors(work, doors)
    users = {user for user, _ in add} | {user for user, _ in remove}
    before = {
        (p.user_id, p.access_point_id): p
        for user in sorted(users)
        for p in await store.permissions_of(work.conn, work.scope, user)
        if p.state != "removing"
    }
    new = [(user, grant) for user, grant in add if _differs(before.get((user, grant.access_point_id)), grant)]
    gone = [pair for pair in remove if pair in before]
    await store.put_grants(work.conn, work.scope, new, work.now)
    await store.remove_grants(work.conn, work.scope, gone)
    _touch_grants(work, before, new, gone)


def _touch_grants(
    work: Work,
    before: dict[tuple[int, int], Permission],
    new: Sequence[tuple[int, GrantDraft]],
    gone: Sequence[tuple[int, int]],
) -> None:
    for user, grant in new:
        pair = (user, grant.access_point_id)
        kind = "permission_changed" if pair in before else "permission_granted"
        events.record(work, kind, f"user/{user}", before=before.get(pair), after=grant)
        _touch_pair(work, pair, {grant.schedule_id, before[pair].schedule_id if pair in before else None})
    for pair in gone:
        events.record(work, "permission_withdrawn", f"user/{pair[0]}", before=before[pair])
        _touch_pair(work, pair, {before[pair].schedule_id})


def _touch_pair(work: Work, pair: tuple[int, int], schedules: set[int | None]) -> None:
    user, door = pair
    work.touch("grant", f"{user}.{door}")
    work.touch("person", user)
    work.touch("schedule", *(schedule for schedule in schedules if schedule is not None))


def _differs(before: Permission | None, grant: GrantDraft) -> bool:
    if before is None:
        return True
    return (before.starts_at, before.ends_at, before.schedule_id) != (grant.starts_at, grant.ends_at, grant.schedule_id)


async def _pending(work: Work, user: int, doors: Sequence[int]) -> list[int]:
    """Those of the doors that have not confirmed the user's grant."""
    await _check_doors(work, set(doors))
    held = await store.permissions_of(work.conn, work.scope, user)
    return [p.access_point_id for p in held if p.state == "pending" and p.access_point_id in doors]


async def _check_doors(work: Work, doors: set[int]) -> None:
    if not all(0 < door < 2**31 for door in doors):
        raise NotFound("There is no access point with one of these ids.")
    found = await sites.name_doors(work.conn, work.scope, sorted(doors))
    if missing := sorted(doors - found.keys()):
        raise NotFound(f"There is no access point with the id {missing[0]}.")


# ------------------------------------------------------------------------------------------------- cards


async def add_card(work: Work, user: int, number: int, is_saams: bool = False) -> Card:
    """Raises Conflict when the card belongs to somebody else; the user's own again is no change."""
    rules.check_card(number)
    await store.lock_users(work.conn, work.scope, [user])
    card = await store.add_card(work.conn, work.scope, user, number, is_saams, work.now)
    if card is None:
        held = await store.find_card(work.conn, work.scope, number)
        if held is None or held.user_id != user:
            raise Conflict("This card belongs to somebody else.")
        return held
    work.touch("person", user)
    events.record(work, "card_assigned", f"user/{user}", data={"cardId": card.id, "lastDigits": card.last_digits})
    return card


async def remove_card(work: Work, user: int, id: int) -> None:
    card = await store.get_card(work.conn, work.scope, user, id)
    await store.remove_card(work.conn, work.scope, id)
    work.touch("card", id)
    events.record(work, "card_unassigned", f"user/{user}", data={"cardId": id, "lastDigits": card.last_digits})


async def replace_saams_card(work: Work, user: int, number: int | None) -> None:
    """The one card of the SAAMS wire: replaced, or taken away (None)."""
    await store.lock_users(work.conn, work.scope, [user])
    held = (await store.saams_cards_of(work.conn, work.scope, [user])).get(user)
    if held is not None and held.number == number:
        return
    if held is not None:
        await remove_card(work, user, held.id)
    if number is not None:
        await add_card(work, user, number, is_saams=True)


# ------------------------------------------------------------------------------------------------- schedules


async def add_schedule(work: Work, draft: ScheduleDraft) -> Schedule:
    rules.check_schedule(draft)
    schedule = await store.add_schedule(work.conn, work.scope, draft)
    events.record(work, "schedule_created", f"schedule/{schedule.id}", after=schedule)
    return schedule


async def change_schedule(work: Work, id: int, patch: SchedulePatch) -> Schedule:
    before = await store.lock_schedule(work.conn, work.scope, id)
    after = msgspec.structs.replace(before, **given(patch))
    rules.check_schedule(ScheduleDraft(after.name, after.week, after.holiday))
    if after == before:
        return before
    await store.change_schedule(work.conn, work.scope, after)
    work.touch("schedule", id)
    events.record(work, "schedule_changed", f"schedule/{id}", before=before, after=after)
    return after


async def remove_schedule(work: Work, id: int) -> None:
    schedule = await store.lock_schedule(work.conn, work.scope, id)
    if not await store.remove_schedule(work.conn, work.scope, id):
        raise Conflict("Permissions use this schedule; change or withdraw them first.")
    events.record(work, "schedule_deleted", f"schedule/{id}", before=schedule)


async def holidays(conn: Connection, scope: Scope, site: int) -> Holidays:
    await sites.get_site(conn, scope, site)
    return Holidays([day.isoformat() for day in await store.get_holidays(conn, scope, site)])


async def check_door(conn: Connection, scope: Scope, door: int) -> None:
    """Raises NotFound unless the door is the organisation's."""
    await sites.get_door(conn, scope, door)


async def set_holidays(work: Work, site: int, wanted: Holidays) -> Holidays:
    """The site's whole list of holidays."""
    days = rules.days(wanted.dates)
    await sites.lock_site(work.conn, work.scope, site)
    before = Holidays([day.isoformat() for day in await store.get_holidays(work.conn, work.scope, site)])
    after = Holidays([day.isoformat() for day in days])
    if after != before:
        await store.set_holidays(work.conn, work.scope, site, days)
        work.touch("holidays", site)
        events.record(work, "holidays_changed", f"site/{site}", before=before, after=after)
    return after
