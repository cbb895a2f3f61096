"""Who may open which door: told and changed from the user's side and from the door's, each on two paths."""

from __future__ import annotations

from typing import Any

from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.kernel.work import Connection, Scope, Work
from latchwork.cloud.people import service, store
from latchwork.cloud.saams import wire
from latchwork.cloud.saams import wire_people as people
from latchwork.cloud.saams.calls import call
from latchwork.cloud.saams.lenient import ids
from latchwork.cloud.sites import store as sites

_USER = "/accessManagementV3/integrator/v1/organisations/{o}/users/{userId}/permissions"
_USER_V4 = "/organisationManagement/v4/organisations/{o}/users/{userId}/permissions"
_DOOR = "/accessManagementV3/integrator/v1/organisations/{o}/accessPoint/{apId}/users/permissions"
_DOOR_PLAIN = "/accessManagementV3/v1/organisations/{o}/accessPoint/{apId}/users/permissions"

CHANGED = "The permissions were changed."


@call("POST", _USER, "permissions:read")
async def user_permissions(by: Caller, body: people.Permissions, user: int) -> dict[str, Any]:
    only = set(ids(body.sites, "sites"))

    async def look(conn: Connection, scope: Scope) -> dict[str, Any]:
        await store.get_user(conn, scope, user)
        held = {p.access_point_id: p for p in await store.permissions_of(conn, scope, user)}
        doors, _ = await sites.search_doors(conn, scope, None, "", 0, None)
        named, _ = await sites.search_sites(conn, scope, "", 0, None)
        shown = [door for door in doors if not only or door.site_id in only]
        return people.permissions(shown, held, {site.id: site.name for site in named})

    return await by.read(look)


async def _change_of_user(by: Caller, body: people.PermissionsUpdate, user: int) -> str:
    add, remove, withdraw = ([(user, door) for door in doors] for doors in body.lists())

    async def change(work: Work) -> None:
        await store.hold(work.conn, work.scope, [user])
        await service.open_and_close(work, add, remove, withdraw)

    await by.change(change)
    return CHANGED


change_user_permissions = call("PATCH", _USER, "permissions:write")(_change_of_user)
change_user_permissions_v4 = call("PATCH", _USER_V4, "permissions:write")(_change_of_user)


async def _door_users(by: Caller, body: people.DoorUsers, door: int) -> dict[str, Any]:
    part = wire.sliced(body.pagination)

    async def look(conn: Connection, scope: Scope) -> dict[str, Any]:
        await sites.get_door(conn, scope, door)
        found, total = await store.slice_permissions_at(conn, scope, door, part.skip, part.limit)
        users = {user.id: user for user in await store.get_users(conn, scope, [p.user_id for p in found])}
        listed = [people.door_user(p, users[p.user_id]) for p in found if p.user_id in users]
        return {"usersWithPermissions": listed, "pagination": part.answer(total)}

    return await by.read(look)


async def _change_of_door(by: Caller, body: people.PermissionsUpdate, door: int) -> str:
    add, remove, withdraw = ([(user, door) for user in users] for users in body.lists())

    async def change(work: Work) -> None:
        await sites.get_door(work.conn, work.scope, door)
        await service.open_and_close(work, add, remove, withdraw)

    await by.change(change)
    return CHANGED


door_users = [
    call(method, path, "permissions:read")(_door_users) for path in (_DOOR, _DOOR_PLAIN) for method in ("GET", "POST")
]
change_door_permissions = [call("PATCH", path, "permissions:write")(_change_of_door) for path in (_DOOR, _DOOR_PLAIN)]

handlers = [
    user_permissions,
    change_user_permissions,
    change_user_permissions_v4,
    *door_users,
    *change_door_permissions,
]
