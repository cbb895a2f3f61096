"""Use cases of people: who they are, which doors they may open, with which cards."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from latchwork.cloud.accounts import service as accounts
from latchwork.cloud.accounts.roles import ROLES, has_module
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.bodies import given
from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.versions import Versions, check_known
from latchwork.cloud.kernel.work import Connection, Scope, Work
from latchwork.cloud.people import rules, spreadsheet, store
from latchwork.cloud.people.model import NO_PIN, GrantChange, NewUser, Pair
from latchwork.cloud.sessions import service as sessions
from latchwork.cloud.sites import store as sites
from latchwork.policy.pins import hash_pin
from latchwork.wire import sheet
from latchwork.wire.api.events import EventType
from latchwork.wire.api.people import (
    BadLine,
    Card,
    DoorPermissionsPatch,
    Holidays,
    Limits,
    PermissionChange,
    PermissionsChanged,
    PermissionsPatch,
    Role,
    Schedule,
    ScheduleDraft,
    SchedulePatch,
    Term,
    TermDraft,
    User,
    UserChanged,
    UserDraft,
    UserPatch,
    UsersImport,
    UsersImported,
)
from latchwork.wire.api.problems import MOST_ERRORS, Conflict, FieldError, Invalid, NotFound

MOST_SHOWN: Final = 100
"""Users whose changes the preview of an import tells."""

# ------------------------------------------------------------------------------------------------- users


async def add_user(work: Work, draft: UserDraft) -> User:
    """A new user, with the default doors and those asked for."""
    return (await add_users(work, [draft]))[0]


async def add_users(work: Work, drafts: Sequence[UserDraft]) -> list[User]:
    """All or none."""
    if not drafts:
        return []
    rules.check_number(drafts)
    rules.raise_any([e for n, draft in enumerate(drafts) for e in rules.user_errors(draft, _where(n, drafts))])
    for draft in drafts:
        rules.check_number(draft.access_points)
        rules.check_known("access point", draft.access_points)
    home = min(work.scope.sites, default=None) if work.scope.sites else None
    new = [NewUser(_drafted(draft, work.now, home), _pin(draft.pin), tuple(draft.access_points)) for draft in drafts]
    _check_reach(work, [(None, one.user) for one in new])
    await _check_references(work, [(None, one.user) for one in new])
    if work.scope.reach is not None:
        await _check_doors(work, {door for one in new for door in one.doors})
    added = await store.add_users(work.conn, work.scope, new)
    for user, doors in added:
        events.record(work, "user_created", f"user/{user.id}", after=user)
        for door in doors:
            _note(work, GrantChange((user.id, door), None, Limits()), user.name)
    return [user for user, _ in added]


async def change_user(work: Work, id: int, patch: UserPatch, known: Versions = None) -> User:
    """Raises Outdated when the user's version is none of those that are known."""
    return (await change_users(work, [(id, patch)], known))[0]


async def change_users(work: Work, patches: Sequence[tuple[int, UserPatch]], known: Versions = None) -> list[User]:
    """All or nothing."""
    ids = [id for id, _ in patches]
    rules.check_number(ids)
    rules.check_each_once(ids, "id")
    rules.check_known("user", ids)
    rules.raise_any([e for n, (_, patch) in enumerate(patches) for e in rules.user_errors(patch, _where(n, patches))])
    before = {user.id: user for user in await store.lock_users(work.conn, work.scope, ids)}
    check_known(known, *before.values())
    after = {id: _patched(before[id], patch, work.now) for id, patch in patches}
    _check_reach(work, [(before[id], after[id]) for id in ids])
    _check_stays(work, [(before[id], after[id]) for id in ids])
    await _check_references(work, [(before[id], after[id]) for id in ids])
    changed = [(id, patch) for id, patch in patches if after[id] != before[id] or patch.pin is not UNSET]
    pins = {id: None if isinstance(patch.pin, UnsetType) else _pin(patch.pin) for id, patch in changed}
    for id, pin in pins.items():
        after[id] = _next_version(before[id], after[id], pin, work.now)
    await store.change_users(work.conn, work.scope, [(after[id], pin) for id, pin in pins.items()])
    await _forget_tokens(work, [(before[id], after[id]) for id in pins])
    for id, pin in pins.items():
        _note_user(work, before[id], after[id], pin)
    return [after[id] for id in ids]


async def remove_users(work: Work, ids: Collection[int]) -> None:
    """For good: credentials, permissions, cards. What they did stays in the log under their name."""
    rules.check_number(ids)
    rules.check_known("user", ids)
    gone = await _lock(work, ids)
    _check_stays(work, [(user, None) for user in gone])
    await accounts.forget_users(work, ids, ended=True)
    work.touch("person", *ids)
    work.touch("grant", *(f"{user}.{door}" for user, door in await store.doors_of(work.conn, work.scope.whole, ids)))
    work.touch("card", *(card.id for card in await store.cards_of(work.conn, work.scope, ids)))
    work.touch("schedule", *(await store.schedules_of(work.conn, work.scope, ids)))
    await store.remove_users(work.conn, work.scope, ids)
    for user in gone:
        events.record(work, "user_deleted", f"user/{user.id}", data={"name": user.name})


def _check_stays(work: Work, changes: Sequence[tuple[User, User | None]]) -> None:
    """Raises Conflict when somebody would shut themselves out; `None`: they would be gone."""
    for before, after in changes:
        if work.actor.kind == "user" and work.actor.id == str(before.id):
            rules.check_stays(before, after, work.now)


async def _lock(work: Work, ids: Collection[int]) -> list[User]:
    """The users, ascending, who may be changed by whoever asks; raises NotFound or Forbidden."""
    users = await store.lock_users(work.conn, work.scope, ids)
    for user in users:
        rules.check_reaches_no_further(work.powers, user, None)
    return users


def _check_reach(work: Work, changes: Sequence[tuple[User | None, User]]) -> None:
    """Raises Forbidden or NotFound for changes that go further than whoever asks for them."""
    for before, after in changes:
        rules.check_reaches_no_further(work.powers, before, after)
        rules.check_within(work.scope, work.actor.id, before, after)


async def _forget_tokens(work: Work, changes: Sequence[tuple[User, User]]) -> None:
    """What decides what a user's token may, reaches every process within a second."""
    ended = [after.id for before, after in changes if before.is_active and not after.is_active]
    changed = [after.id for before, after in changes if _as_tokens_know(before) != _as_tokens_know(after)]
    for ids, end in ((ended, True), (changed, False)):
        if ids:
            await accounts.forget_users(work, ids, end)
    if ended:
        await sessions.end_sessions(work, ended)


def _as_tokens_know(user: User) -> tuple[object, ...]:
    return user.name, user.roles, user.admin_of_sites, user.access_expires_at


async def invite(work: Work, id: int) -> tuple[str, str]:
    """(e-mail, token) of a link with which the user chooses a password, and logs in from then on."""
    (user,) = await _lock(work, [id])
    if not user.is_active:
        raise Conflict("This user is switched off; activate them first.")
    return user.email, await sessions.invite(work, id, user.email)


async def remove_account(work: Work, id: int) -> None:
    """The user logs in no more; what doors let them do stays as it is."""
    _check_stays(work, [(user, None) for user in await _lock(work, [id])])
    await sessions.remove_account(work, id)


def _where(n: int, many: Sequence[object]) -> str:
    """What stands before a field's name when there are several of its kind."""
    return f"users.{n}." if len(many) > 1 else ""


def _next_version(before: User, after: User, pin: tuple[bytes, bytes] | None, now: int) -> User:
    has_pin = before.has_pin if pin is None else pin != NO_PIN
    return msgspec.structs.replace(after, version=before.version + 1, updated_at=now, has_pin=has_pin)


def _note_user(work: Work, before: User, after: User, pin: tuple[bytes, bytes] | None) -> None:
    if pin is not None or _as_doors_know(before) != _as_doors_know(after):
        work.touch("person", after.id)
    events.record(work, _user_event(before, after), f"user/{after.id}", before=before, after=after)


def _as_doors_know(user: User) -> tuple[object, ...]:
    return user.is_active, user.access, user.access_expires_at, user.roles, user.admin_of_sites


def _patched(before: User, patch: UserPatch, now: int) -> User:
    fields = {name: value for name, value in given(patch).items() if name not in ("access", "pin", "is_active")}
    if patch.access is not UNSET:
        fields["access"] = msgspec.structs.replace(before.access, **given(patch.access))
    if patch.is_active is not UNSET and patch.is_active != before.is_active:
        fields |= {"is_active": patch.is_active, "deactivated_at": None if patch.is_active else now}
    after = msgspec.structs.replace(before, **fields)
    return after if after.roles else msgspec.structs.replace(after, roles=["end_user"])


def _user_event(before: User, after: User) -> EventType:
    if before.is_active == after.is_active:
        return "user_changed"
    return "user_activated" if after.is_active else "user_deactivated"


def _drafted(draft: UserDraft, now: int, home: int | None) -> User:
    """The user before the database gave them an id; `home`: where they are at home when the draft does not say."""
    return User(
        id=0,
        name=draft.name,
        email=draft.email,
        phone=draft.phone,
        employee_code=draft.employee_code,
        home_site_id=home if draft.home_site_id is None else draft.home_site_id,
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


async def _check_references(work: Work, changes: Sequence[tuple[User | None, User]]) -> None:
    """Raises NotFound or Invalid for what the users newly refer to and is not there."""
    new = rules.new_references(changes)
    if rules.needs_module(new.roles):
        rules.raise_any(rules.role_errors(new.roles, await store.modules(work.conn, work.scope)))
    if new.sites:
        rules.check_known("site", new.sites)
        rules.check_known("site", new.sites, await sites.hold_sites(work.conn, work.scope, new.sites))
    if new.chiefs:
        rules.check_known("user", new.chiefs)
        rules.check_known("user", new.chiefs, await store.hold_chiefs(work.conn, work.scope, new.chiefs))
    if new.terms:
        rules.check_known("term", new.terms)
        rules.check_known("term", new.terms, await store.hold_terms(work.conn, work.scope, new.terms))


# ------------------------------------------------------------------------------------------------- many at once


async def import_users(work: Work, asked: UsersImport) -> UsersImported:
    """All lines or none; raises Invalid with every bad line, which a dry run answers instead.

    What is wrong with no line alone, a dry run raises as the import does.
    """
    lines, bad = spreadsheet.read(asked.csv)
    rules.check_number(lines)
    rows, worse = spreadsheet.judge(lines, await _known(work, lines))
    bad = sorted([*bad, *worse], key=lambda one: one.line)
    if bad and not asked.dry_run:
        raise Invalid(errors=[FieldError(f"line {one.line}: {one.column}".rstrip(": "), one.detail) for one in bad])
    changes: list[UserChanged] = []
    if not bad:
        before = await _shown(work, rows) if asked.dry_run else []
        await _try(work, asked.dry_run)
        await _take_in(work, rows)
        if asked.dry_run:
            changes = _differing(before, await _shown(work, rows))
        await _undo(work, asked.dry_run)
    changed = sum(row.id is not None for row in rows)
    if len(bad) > MOST_ERRORS:
        more = BadLine(bad[MOST_ERRORS].line, "", f"From here on there are {len(bad) - MOST_ERRORS} more errors.")
        bad = [*bad[:MOST_ERRORS], more]
    return UsersImported(len(rows) - changed, changed, bad, changes)


async def _shown(work: Work, rows: Sequence[spreadsheet.Row]) -> list[tuple[User, list[int]]]:
    """The users that the first lines name, as they are now, with their doors where the sheet has some."""
    named = [row for row in rows if row.id is not None][:MOST_SHOWN]
    users = await store.get_users(work.conn, work.scope, [row.id for row in named if row.id is not None])
    with_doors = [row.id for row in named if row.id is not None and row.doors is not None]
    pairs = await store.doors_of(work.conn, work.scope, with_doors)
    return [(user, sorted(door for id, door in pairs if id == user.id)) for user in users]


def _differing(before: Sequence[tuple[User, list[int]]], after: Sequence[tuple[User, list[int]]]) -> list[UserChanged]:
    return [
        UserChanged(was, is_now, had, has)
        for (was, had), (is_now, has) in zip(before, after, strict=True)
        if (was.version, had) != (is_now.version, has)
    ]


async def _known(work: Work, lines: Sequence[spreadsheet.Line]) -> spreadsheet.Known:
    doors, _ = await sites.search_doors(work.conn, work.scope, None, "", 0, None)
    users = [id for id in spreadsheet.named(lines) if is_id(id)]
    return spreadsheet.Known(
        timezones=await store.timezones(work.conn, work.scope),
        doors={door.id for door in doors},
        terms={term.id for term in await store.list_terms(work.conn, work.scope)},
        modules=await store.modules(work.conn, work.scope),
        users={user.id: user for user in await store.get_users(work.conn, work.scope, users)},
    )


async def _take_in(work: Work, rows: Sequence[spreadsheet.Row]) -> None:
    await add_users(work, [row.user for row in rows if isinstance(row.user, UserDraft)])
    patches = [(row.id, row.user) for row in rows if row.id is not None and isinstance(row.user, UserPatch)]
    await change_users(work, patches)
    await set_doors(work, {row.id: row.doors for row in rows if row.id is not None and row.doors is not None})


async def export_users(
    conn: Connection, scope: Scope, after: int, limit: int, doors_in: Scope | None
) -> tuple[str, int]:
    """(lines of CSV, the last user's id) for users above an id; empty after the last. `doors_in`: the doors shown."""
    users = await store.page_users(conn, scope, None, after, limit)
    doors: dict[int, list[int]] = {user.id: [] for user in users}
    if doors_in is not None:
        for user, door in sorted(await store.doors_of(conn, doors_in, doors)):
            doors[user].append(door)
    rows = [spreadsheet.cells(user, None if doors_in is None else doors[user.id]) for user in users]
    return sheet.write(rows), users[-1].id if users else after


# ------------------------------------------------------------------------------------------------- roles and terms


async def found(work: Work) -> None:
    """What a new organisation has of people from its first day: its roles."""
    await store.add_roles(work.conn, work.scope, list(ROLES))


async def roles(conn: Connection, scope: Scope) -> list[Role]:
    """The roles that users may be given here: some belong to a module."""
    modules = await store.modules(conn, scope)
    found = await store.list_roles(conn, scope)
    return [role for role in found if has_module(role.name, modules)]


async def add_term(work: Work, draft: TermDraft) -> Term:
    rules.check_term(draft.name)
    term = await store.add_term(work.conn, work.scope, draft.name)
    if term is None:
        raise Conflict("There is a term of this name already.")
    events.record(work, "term_created", f"term/{term.id}", after=term)
    return term


async def remove_term(work: Work, id: int) -> None:
    term = await store.lock_term(work.conn, work.scope, id)
    if not await store.remove_term(work.conn, work.scope, id):
        raise Conflict("Users have this term; take it from them first.")
    events.record(work, "term_deleted", f"term/{id}", before=term)


# ------------------------------------------------------------------------------------------------- permissions


async def change_permissions(work: Work, user: int, patch: PermissionsPatch) -> PermissionsChanged | None:
    """With `dry_run` what would have happened, and nothing has; else None."""
    add, remove, withdraw = rules.wishes(user, patch)
    names = await _hold(work, [user], [door for _, door in (*add, *remove, *withdraw)])
    await _try(work, patch.dry_run)
    changes = await _give_and_take(work, names, add, remove, withdraw)
    return await _tried(work, {*add, *remove, *withdraw}, changes) if patch.dry_run else None


async def change_door_permissions(work: Work, door: int, patch: DoorPermissionsPatch) -> PermissionsChanged | None:
    """The same from the door's side."""
    add, remove, withdraw = rules.door_wishes(door, patch)
    pairs = {*add, *remove, *withdraw}
    names = await _hold(work, {user for user, _ in pairs}, [door], at=door)
    await _try(work, patch.dry_run)
    changes = await _give_and_take(work, names, add, remove, withdraw)
    return await _tried(work, pairs, changes) if patch.dry_run else None


async def open_and_close(
    work: Work, add: Collection[Pair], remove: Collection[Pair], withdraw: Collection[Pair] = ()
) -> None:
    """Gives what is not there, without limits, and takes what is; a grant that is there keeps its limits."""
    pairs = (*add, *remove, *withdraw)
    names = await _hold(work, {user for user, _ in pairs}, {door for _, door in pairs})
    held = await store.grants(work.conn, work.scope, add)
    await _give_and_take(work, names, {pair: Limits() for pair in add if pair not in held}, remove, withdraw)


async def set_doors(work: Work, doors: Mapping[int, Collection[int]]) -> None:
    """Each of these users has these doors from now on, and no others; what they keep keeps its limits."""
    names = await _hold(work, doors, {door for some in doors.values() for door in some})
    wanted = {(user, door) for user, some in doors.items() for door in some}
    held = set(await store.doors_of(work.conn, work.scope, doors))
    await _give_and_take(work, names, dict.fromkeys(sorted(wanted - held), Limits()), sorted(held - wanted), ())


async def _hold(work: Work, users: Collection[int], doors: Collection[int], at: int | None = None) -> dict[int, str]:
    """Holds the users until commit and answers their names; raises NotFound unless users and doors are within reach.

    `at`: also who has a permission at this door is within reach.
    """
    rules.check_known("user", users)
    rules.check_known("access point", doors)
    return await store.hold(work.conn, work.scope, users, doors, at)


async def _check_doors(work: Work, doors: Collection[int]) -> None:
    """Raises NotFound unless all are within reach."""
    rules.check_known("access point", doors, await sites.name_doors(work.conn, work.scope, list(doors)))


async def _give_and_take(
    work: Work,
    names: Mapping[int, str],
    add: Mapping[Pair, Limits],
    remove: Collection[Pair],
    withdraw: Collection[Pair],
) -> list[GrantChange]:
    """What is there becomes as wanted, what is not there is not taken; the users are held by name, the doors exist."""
    pending = await _pending(work, withdraw) if withdraw else set()
    changes = [*await _give(work, add), *await _take(work, {*remove, *pending})]
    for change in changes:
        _note(work, change, names[change.pair[0]])
    return changes


async def _take(work: Work, pairs: Collection[Pair]) -> list[GrantChange]:
    taken = await store.take_grants(work.conn, work.scope, pairs) if pairs else {}
    return [GrantChange(pair, taken[pair], None) for pair in sorted(taken)]


async def _give(work: Work, wishes: Mapping[Pair, Limits]) -> list[GrantChange]:
    """Mostly nothing is given yet, and it is done at once."""
    new = await store.add_grants(work.conn, work.scope, wishes, work.now) if wishes else set()
    there = wishes.keys() - new
    held = await store.grants(work.conn, work.scope, there) if there else {}
    changed = {pair: wishes[pair] for pair in sorted(there) if held[pair] != wishes[pair]}
    if changed:
        await store.limit_grants(work.conn, work.scope, changed, work.now)
    return [GrantChange(pair, held.get(pair), wish) for pair, wish in wishes.items() if pair in new or pair in changed]


def _note(work: Work, change: GrantChange, name: str) -> None:
    user, door = change.pair
    work.touch("grant", f"{user}.{door}")
    work.touch("person", user)
    limits = [limit for limit in (change.before, change.after) if limit is not None]
    work.touch("schedule", *(limit.schedule_id for limit in limits if limit.schedule_id is not None))
    data = {"userName": name, "accessPointId": door}
    events.record(work, _grant_event(change), f"user/{user}", data=data, before=change.before, after=change.after)


def _grant_event(change: GrantChange) -> EventType:
    if change.before is None:
        return "permission_granted"
    return "permission_withdrawn" if change.after is None else "permission_changed"


async def _pending(work: Work, pairs: Collection[Pair]) -> set[Pair]:
    """Those that their doors have not confirmed."""
    found = await store.permissions_of_pairs(work.conn, work.scope, pairs)
    return {(p.user_id, p.access_point_id) for p in found if p.state == "pending"}


async def _try(work: Work, dry_run: bool) -> None:
    if dry_run:
        await work.conn.execute("SAVEPOINT dry_run")


async def _undo(work: Work, dry_run: bool) -> None:
    if dry_run:
        await work.conn.execute("ROLLBACK TO dry_run")
        work.forget()


async def _tried(work: Work, pairs: Collection[Pair], changes: Sequence[GrantChange]) -> PermissionsChanged:
    """After a dry run nothing has happened, and the answer says what would have."""
    permissions = await store.permissions_of_pairs(work.conn, work.scope, pairs)
    users = await store.name_users(work.conn, work.scope, sorted({change.pair[0] for change in changes}))
    doors = await sites.name_doors(work.conn, work.scope, sorted({change.pair[1] for change in changes}))
    await _undo(work, True)
    named = [
        PermissionChange(user, users[user][0], door, doors[door][0], change.before, change.after)
        for change in changes
        for user, door in [change.pair]
    ]
    return PermissionsChanged(permissions, changes=named)


# ------------------------------------------------------------------------------------------------- cards


async def add_card(work: Work, user: int, number: int, is_saams: bool = False) -> Card:
    """Raises Conflict when the card belongs to somebody else; the user's own again is no change."""
    rules.check_card(number)
    (holder,) = await _lock(work, [user])
    card = await store.add_card(work.conn, work.scope, user, number, is_saams, work.now)
    if card is None:
        held = await store.find_card(work.conn, work.scope, number)
        if held is None or held.user_id != user:
            raise Conflict(f"This card belongs to {await _holder(work, held)}.")
        return held
    work.touch("person", user)
    events.record(work, "card_assigned", f"user/{user}", data=_card_data(card, holder.name))
    return card


async def _holder(work: Work, card: Card | None) -> str:
    """Whose card it is, as far as whoever asks may know."""
    try:
        return (await store.get_user(work.conn, work.scope, card.user_id)).name if card else "somebody else"
    except NotFound:
        return "somebody else"


async def remove_card(work: Work, user: int, id: int) -> None:
    (holder,) = await _lock(work, [user])
    card = await store.get_card(work.conn, work.scope, user, id)
    await store.remove_card(work.conn, work.scope, id)
    work.touch("card", id)
    events.record(work, "card_unassigned", f"user/{user}", data=_card_data(card, holder.name))


def _card_data(card: Card, name: str) -> dict[str, object]:
    return {"userName": name, "cardId": card.id, "lastDigits": card.last_digits}


async def replace_saams_card(work: Work, user: int, number: int | None) -> None:
    """The one card of the SAAMS wire: replaced, or taken away (None)."""
    await store.hold(work.conn, work.scope, [user])
    held = (await store.saams_cards_of(work.conn, work.scope, [user])).get(user)
    if held is not None and held.number == number:
        return
    if held is not None:
        await remove_card(work, user, held.id)
    if number is not None:
        card = await add_card(work, user, number, is_saams=True)
        await store.make_saams(work.conn, work.scope, card.id)


# ------------------------------------------------------------------------------------------------- schedules


async def add_schedule(work: Work, draft: ScheduleDraft) -> Schedule:
    rules.check_schedule(draft)
    schedule = await store.add_schedule(work.conn, work.scope, draft)
    events.record(work, "schedule_created", f"schedule/{schedule.id}", after=schedule)
    return schedule


async def change_schedule(work: Work, id: int, patch: SchedulePatch, known: Versions = None) -> Schedule:
    before = await store.lock_schedule(work.conn, work.scope, id)
    check_known(known, before)
    after = msgspec.structs.replace(before, **given(patch))
    rules.check_schedule(ScheduleDraft(after.name, after.week, after.holiday))
    if after == before:
        return before
    after = msgspec.structs.replace(after, version=before.version + 1)
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
