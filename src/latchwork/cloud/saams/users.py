"""Roles, users and cards: create, update, delete, list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.kernel.work import Connection, Scope, Work
from latchwork.cloud.people import rules, service, store
from latchwork.cloud.people.model import UserFilter
from latchwork.cloud.saams import wire
from latchwork.cloud.saams import wire_people as people
from latchwork.cloud.saams.calls import call
from latchwork.cloud.saams.lenient import ids, number
from latchwork.cloud.saams.wire_people import Around, House
from latchwork.cloud.sites import store as sites
from latchwork.wire.api.people import User

_USERS = "/userManagement/integrator/v1/organisations/{o}"
_CARDS = "/organisationManagement/v1/organisations/{o}/users/{userId}"
_LEGACY = "/v2/organisationManagement/integrator/organisations/{o}"

# ------------------------------------------------------------------------------------------------- what there is


@call("GET", f"{_USERS}/formData", "users:read")
async def form_data(by: Caller, body: wire.Nothing) -> dict[str, Any]:
    """The lists that the query's keys name; without any, all."""
    asked = [key for key in _FORM if key in by.request.query_params] or list(_FORM)
    return {key: await by.read(_FORM[key]) for key in asked}


async def _roles(conn: Connection, scope: Scope) -> list[dict[str, Any]]:
    return [{"id": role.id, "name": role.name} for role in await service.roles(conn, scope)]


async def _sites(conn: Connection, scope: Scope) -> list[dict[str, Any]]:
    found, _ = await sites.search_sites(conn, scope, "", 0, wire.EVERYTHING)
    return [{"id": site.id, "name": site.name} for site in found]


async def _doors(conn: Connection, scope: Scope) -> list[dict[str, Any]]:
    found, _ = await sites.search_doors(conn, scope, None, "", 0, wire.EVERYTHING)
    return [{"id": door.id, "name": door.name, "siteId": door.site_id} for door in found]


async def _terms(conn: Connection, scope: Scope) -> list[dict[str, Any]]:
    return [{"id": term.id, "name": term.name} for term in await store.list_terms(conn, scope)]


_FORM: dict[str, Callable[[Connection, Scope], Any]] = {
    "roles": _roles,
    "sites": _sites,
    "accessPoints": _doors,
    "terms": _terms,
}


async def house_of(conn: Connection, scope: Scope) -> House:
    """What the organisation's ids mean."""
    roles = {role.id: role.name for role in await service.roles(conn, scope)}
    return House(roles, await store.timezones(conn, scope))


# ------------------------------------------------------------------------------------------------- create


@call("POST", f"{_USERS}/users/create", "users:write")
async def create_user(by: Caller, body: people.UserCreate) -> dict[str, Any]:
    [id] = await _create(by, [body])
    return {"userIds": [id], "userId": id, "orgUserId": id}


@call("POST", f"{_LEGACY}/users", "users:write")
async def legacy_create_users(by: Caller, body: people.LegacyUsers) -> dict[str, Any]:
    return {"userIds": await _create(by, [one.as_create() for one in body.users])}


async def _create(by: Caller, new: Sequence[people.UserCreate]) -> list[int]:
    """All or none."""
    house = await by.read(house_of)
    drafts = [people.draft(one, house) for one in new]
    cards = [number(one.credential_id, "credentialId") for one in new]
    if any(draft.access_points for draft in drafts):
        rules.check_may_grant(by.identity.scopes)

    async def create(work: Work) -> list[int]:
        users = await service.add_users(work, drafts)
        for user, card in zip(users, cards, strict=True):
            if card is not None:
                await service.replace_saams_card(work, user.id, card)
        return [user.id for user in users]

    return await by.change(create)


# ------------------------------------------------------------------------------------------------- update, delete


@call("PATCH", f"{_USERS}/users/update", "users:write")
async def update_users(by: Caller, body: people.UserUpdates) -> str:
    """All or nothing."""
    doors = {update.id: update.doors for update in body.users}
    replaced = {id: some for id, some in doors.items() if some is not None}
    if replaced:
        rules.check_may_grant(by.identity.scopes)

    async def update(work: Work) -> None:
        house = await house_of(work.conn, work.scope)
        homes = await _homes(work, [update.id for update in body.users])
        patches = [(update.id, people.patch(update, house, homes[update.id])) for update in body.users]
        await service.change_users(work, patches)
        if replaced:
            await service.set_doors(work, replaced)

    await by.change(update)
    return f"{_count(len(body.users))} changed."


async def _homes(work: Work, users: Sequence[int]) -> dict[int, int | None]:
    """The home site of each; raises NotFound unless all are the organisation's."""
    rules.check_number(users)
    rules.check_known("user", users)
    return {user.id: user.home_site_id for user in await store.lock_users(work.conn, work.scope, users)}


@call("POST", f"{_USERS}/users/delete", "users:write")
async def delete_users(by: Caller, body: people.UserIds) -> str:
    """For good; all or nothing."""
    users = ids(body.user_ids, "userIds")
    await by.change(lambda work: service.remove_users(work, users))
    return f"{_count(len(users))} deleted."


def _count(users: int) -> str:
    return "1 user was" if users == 1 else f"{users} users were"


# ------------------------------------------------------------------------------------------------- list


async def _list_users(by: Caller, body: people.UserList) -> dict[str, Any]:
    part = wire.sliced(body.pagination)
    wanted = people.wanted(body.filters, await by.read(house_of)) if body.filters else None
    found, total = await by.read(lambda conn, scope: _slice(conn, scope, wanted, part))
    around = await by.read(lambda conn, scope: _around(conn, scope, found, by.now))
    return {"users": [people.user(u, around) for u in found], "pagination": part.answer(total)}


user_list = call("POST", f"{_USERS}/users", "users:read")(_list_users)
legacy_user_list = call("POST", f"{_LEGACY}/users/list", "users:read")(_list_users)


async def _slice(conn: Connection, scope: Scope, wanted: UserFilter | None, part: wire.Slice) -> tuple[list[User], int]:
    if wanted is None:
        return await store.all_users(conn, scope, part.skip, part.limit)
    return await store.filter_users(conn, scope, wanted, part.skip, part.limit)


async def _around(conn: Connection, scope: Scope, users: Sequence[User], now: int) -> Around:
    found = [user.id for user in users]
    cards = await store.saams_cards_of(conn, scope, [user.id for user in users if user.cards])
    return Around(
        roles={role.name: role.id for role in await store.list_roles(conn, scope)},
        terms={term.id: term.name for term in await store.list_terms(conn, scope)},
        cards={user: str(card.number) for user, card in cards.items()},
        reportees=await store.reportees(conn, scope, found),
        now=now,
    )


# ------------------------------------------------------------------------------------------------- cards


async def _assign(by: Caller, body: people.Credential, user: int) -> str:
    card = body.number
    await by.change(lambda work: service.replace_saams_card(work, user, card))
    return "The card was assigned."


async def _unassign(by: Caller, body: wire.Nothing, user: int) -> str:
    await by.change(lambda work: service.replace_saams_card(work, user, None))
    return "The user has no card now."


assign_card = call("POST", f"{_CARDS}/assignCredential", "users:write")(_assign)
unassign_card = call("POST", f"{_CARDS}/unassignCredential", "users:write")(_unassign)
legacy_assign_card = call("POST", f"{_LEGACY}/users/{{userId}}/assignCard", "users:write")(_assign)
legacy_unassign_card = call("POST", f"{_LEGACY}/users/{{userId}}/unassignCard", "users:write")(_unassign)

handlers = [
    form_data,
    create_user,
    legacy_create_users,
    update_users,
    delete_users,
    user_list,
    legacy_user_list,
    assign_card,
    unassign_card,
    legacy_assign_card,
    legacy_unassign_card,
]
