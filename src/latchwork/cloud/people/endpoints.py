"""`/v1/users`, their permissions and cards; `/v1/roles`, `/v1/terms`; `/v1/schedules`, holidays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Annotated

from litestar import Response
from litestar.params import QueryParameter
from litestar.response import Stream

from latchwork.cloud.kernel.http import Caller, delete, get, may, patch, post
from latchwork.cloud.kernel.ids import MOST
from latchwork.cloud.kernel.paging import Cursor, Limit, paged, paged_by
from latchwork.cloud.kernel.versions import IfMatch, known_in, tagged
from latchwork.cloud.kernel.work import Scope, Work
from latchwork.cloud.people import arrival, rules, service, spreadsheet, store
from latchwork.cloud.people.model import Pair
from latchwork.cloud.sessions import links
from latchwork.cloud.sessions import store as session_store
from latchwork.wire import sheet
from latchwork.wire.api.pages import DEFAULT_LIMIT, Page
from latchwork.wire.api.people import (
    Card,
    CardDraft,
    DoorPermissionsPatch,
    Holidays,
    OwnDoor,
    Permission,
    PermissionsChanged,
    PermissionsPatch,
    Role,
    Schedule,
    ScheduleDraft,
    SchedulePatch,
    Term,
    TermDraft,
    User,
    UserDraft,
    UserPatch,
    UsersImport,
    UsersImported,
)
from latchwork.wire.api.problems import Invalid
from latchwork.wire.api.sessions import Account, Invitation

Search = Annotated[str | None, QueryParameter(description="The beginning of any word of the name.")]
Wait = Annotated[str | None, QueryParameter(description="`applied`: answer when every online door has confirmed.")]
AT_ONCE = 500
"""People of an export that are read together."""
Timeout = Annotated[float, QueryParameter(ge=0, le=30, description="Seconds to wait at most.")]


@get("/v1/users")
async def page_users(
    by: Annotated[Caller, may("users:read", within=True)],
    search: Search = None,
    active: Annotated[bool | None, QueryParameter(description="Only active ones, or only deactivated ones.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[User]:
    """Lists users, or those whose name has words that begin so, or whose e-mail or employee code does.

    Accents and punctuation do not count. Four digits also find a card that ends so.
    """
    if search is None or not search.strip():
        return await paged(
            limit, cursor, lambda after, n: by.read(lambda c, s: store.page_users(c, s, active, after, n))
        )
    rules.check_search(search)
    return await paged(
        limit, cursor, lambda after, n: by.read(lambda c, s: store.find_users(c, s, search, active, after, n))
    )


@post("/v1/users", status=201)
async def add_user(draft: UserDraft, by: Annotated[Caller, may("users:write", within=True)]) -> User:
    """Creates a user, with the default doors and those asked for (these need the scope `permissions:write`)."""
    if draft.access_points:
        rules.check_may_grant(by.identity.scopes)
    return await by.create(
        lambda work: service.add_user(work, draft), lambda work, id: store.get_user(work.conn, work.scope, int(id))
    )


@post("/v1/users/import")
async def import_users(draft: UsersImport, by: Annotated[Caller, may("users:write")]) -> UsersImported:
    """Takes in people from CSV: all lines or none. With `dryRun` nothing changes, and every bad line is listed."""
    if "accessPoints" in draft.csv.partition("\n")[0]:
        rules.check_may_grant(by.identity.scopes)
    if draft.dry_run:
        return await by.change(lambda work: service.import_users(work, draft))
    return await by.create(
        lambda work: service.import_users(work, draft), _imported_before, lambda done: f"{done.added}.{done.changed}"
    )


async def _imported_before(work: Work, counts: str) -> UsersImported:
    """A repeated import's answer."""
    added, changed = map(int, counts.split("."))
    return UsersImported(added, changed)


@get("/v1/users/export")
async def export_users(
    by: Annotated[Caller, may("users:read", within=True)],
    after: Annotated[int, QueryParameter(ge=0, le=MOST, description="Only above this id, without column names.")] = 0,
    most: Annotated[int | None, QueryParameter(ge=1, le=MOST, description="How many people at most.")] = None,
) -> Stream:
    """Answers everybody by id as CSV, which can be imported again; the doors only with the scope `permissions:read`.

    An apostrophe stands before what a spreadsheet program would take for a formula.
    """
    doors_in = by.scope_of("permissions:read")
    headers = {"content-disposition": 'attachment; filename="people.csv"'}
    return Stream(_exported(by, doors_in, after, most), media_type="text/csv", headers=headers)


async def _exported(by: Caller, doors_in: Scope | None, after: int, most: int | None) -> AsyncIterator[str]:
    """A page of people at a time, each from a connection of its own."""
    if after == 0:
        yield sheet.write([[c for c in spreadsheet.COLUMNS if doors_in or c != "accessPoints"]])
    left, text = MOST if most is None else most, "…"
    while text and left > 0:
        last, n = after, min(left, AT_ONCE)
        text, after = await by.read(lambda c, s, last=last, n=n: service.export_users(c, s, last, n, doors_in))  # type: ignore[misc]
        left -= n
        yield text


@get("/v1/users/{user_id:int}")
async def get_user(user_id: int, by: Annotated[Caller, may("users:read", within=True)]) -> Response[User]:
    """Answers one user, with an ETag."""
    return tagged(await by.read(lambda conn, scope: store.get_user(conn, scope, user_id)))


@patch("/v1/users/{user_id:int}")
async def change_user(
    user_id: int, draft: UserPatch, by: Annotated[Caller, may("users:write", within=True)], if_match: IfMatch = None
) -> Response[User]:
    """Changes, deactivates or activates a user; with If-Match only the version that you know (412 otherwise)."""
    known = known_in(if_match)
    return tagged(await by.change(lambda work: service.change_user(work, user_id, draft, known)))


@delete("/v1/users/{user_id:int}")
async def remove_user(user_id: int, by: Annotated[Caller, may("users:write", within=True)]) -> None:
    """Deletes a user for good, with permissions and cards; what they did stays in the log under their name."""
    await by.change(lambda work: service.remove_users(work, [user_id]))


@get("/v1/account/doors")
async def page_own_doors(
    by: Annotated[Caller, may(None, within=True)], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[OwnDoor]:
    """Lists the doors that the caller, a person, may open, and when."""
    user = by.person
    return await paged_by(
        limit,
        cursor,
        lambda after, n: by.read(lambda c, s: store.own_doors(c, s.whole, user, after, n)),
        lambda door: door.access_point_id,
    )


@get("/v1/users/{user_id:int}/account")
async def get_user_account(user_id: int, by: Annotated[Caller, may("users:read", within=True)]) -> Account:
    """Answers the log-in of a user; 404 when they have none."""
    await by.read(lambda conn, scope: store.get_user(conn, scope, user_id))
    return await by.read(lambda conn, scope: session_store.get_account(conn, scope, user_id))


@post("/v1/users/{user_id:int}/invitation", status=201)
async def invite_user(user_id: int, by: Annotated[Caller, may("users:write", within=True)]) -> Invitation:
    """Makes the link with which a user chooses a password and logs in; an older link ends. Mailed where mail is set."""
    return await links.invite(by, lambda work: service.invite(work, user_id))


@delete("/v1/users/{user_id:int}/account")
async def remove_user_account(user_id: int, by: Annotated[Caller, may("users:write", within=True)]) -> None:
    """Takes a user's log-in away: their sessions end; their doors stay."""
    await by.change(lambda work: service.remove_account(work, user_id))


@get("/v1/users/{user_id:int}/permissions")
async def page_permissions(
    user_id: int,
    by: Annotated[Caller, may("permissions:read", within=True)],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Permission]:
    """Lists a user's permissions, and where each has arrived: assigned, pending, or being removed."""
    await by.read(lambda conn, scope: store.get_user(conn, scope, user_id))
    return await paged_by(
        limit,
        cursor,
        lambda after, n: by.read(lambda c, s: store.permissions_of(c, s, user_id, after, n)),
        lambda permission: permission.access_point_id,
    )


@patch("/v1/users/{user_id:int}/permissions")
async def change_permissions(
    user_id: int,
    draft: PermissionsPatch,
    by: Annotated[Caller, may("permissions:write", within=True)],
    wait: Wait = None,
    timeout: Timeout = 5,
) -> PermissionsChanged:
    """Gives, changes and withdraws permissions: all or nothing.

    With `wait=applied` the answer comes when every online door has confirmed, and names those that have not.
    """
    waits = _waits(wait)
    tried = await by.change(lambda work: service.change_permissions(work, user_id, draft))
    doors = {*(grant.access_point_id for grant in draft.add), *draft.remove, *draft.withdraw}
    return tried or await _changed(by, [(user_id, door) for door in doors], timeout if waits else None)


@get("/v1/access-points/{access_point_id:int}/permissions")
async def page_door_permissions(
    access_point_id: int,
    by: Annotated[Caller, may("permissions:read", within=True)],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Permission]:
    """Lists who may open a door, and where each permission has arrived: assigned, pending, or being removed."""
    await by.read(lambda conn, scope: service.check_door(conn, scope, access_point_id))
    return await paged_by(
        limit,
        cursor,
        lambda after, n: by.read(lambda c, s: store.permissions_at(c, s, access_point_id, after, n)),
        lambda permission: permission.user_id,
    )


@patch("/v1/access-points/{access_point_id:int}/permissions")
async def change_door_permissions(
    access_point_id: int,
    draft: DoorPermissionsPatch,
    by: Annotated[Caller, may("permissions:write", within=True)],
    wait: Wait = None,
    timeout: Timeout = 5,
) -> PermissionsChanged:
    """Gives, changes and withdraws permissions of many users at one door: all or nothing."""
    waits = _waits(wait)
    tried = await by.change(lambda work: service.change_door_permissions(work, access_point_id, draft))
    users = {*(grant.user_id for grant in draft.add), *draft.remove, *draft.withdraw}
    return tried or await _changed(by, [(user, access_point_id) for user in users], timeout if waits else None)


async def _changed(by: Caller, pairs: Collection[Pair], timeout: float | None) -> PermissionsChanged:
    """What has become of these (user, door) pairs, as committed; `timeout`: seconds to wait for the doors."""
    online, offline = ([], []) if timeout is None else await arrival.wait(by, pairs, timeout)
    permissions = await by.read(lambda conn, scope: store.permissions_of_pairs(conn, scope, pairs))
    return PermissionsChanged(permissions, online, offline)


@get("/v1/users/{user_id:int}/cards")
async def list_cards(user_id: int, by: Annotated[Caller, may("users:read", within=True)]) -> list[Card]:
    """Lists a user's cards, by their last four digits."""
    await by.read(lambda conn, scope: store.get_user(conn, scope, user_id))
    return await by.read(lambda conn, scope: store.cards_of(conn, scope, [user_id]))


@post("/v1/users/{user_id:int}/cards", status=201)
async def add_card(user_id: int, draft: CardDraft, by: Annotated[Caller, may("users:write", within=True)]) -> Card:
    """Assigns a card; 409 when it belongs to somebody else."""
    return await by.create(
        lambda work: service.add_card(work, user_id, draft.number),
        lambda work, id: store.get_card(work.conn, work.scope, user_id, int(id)),
    )


@get("/v1/users/{user_id:int}/cards/{card_id:int}")
async def get_card(user_id: int, card_id: int, by: Annotated[Caller, may("users:write", within=True)]) -> Card:
    """Answers one card with its whole number."""
    return await by.read(lambda conn, scope: store.get_card(conn, scope, user_id, card_id))


@delete("/v1/users/{user_id:int}/cards/{card_id:int}")
async def remove_card(user_id: int, card_id: int, by: Annotated[Caller, may("users:write", within=True)]) -> None:
    """Takes a card away; the doors forget its number."""
    await by.change(lambda work: service.remove_card(work, user_id, card_id))


@get("/v1/roles")
async def list_roles(by: Annotated[Caller, may("users:read", within=True)]) -> list[Role]:
    """Lists the roles that users may have here; `front_desk` and `manager` come with their modules."""
    powers = by.identity.user.powers if by.identity.user else None
    return [rules.offered(role, powers) for role in await by.read(service.roles)]


@get("/v1/terms")
async def list_terms(by: Annotated[Caller, may("users:read", within=True)]) -> list[Term]:
    """Lists the organisation's terms: labels for users."""
    return await by.read(store.list_terms)


@post("/v1/terms", status=201)
async def add_term(draft: TermDraft, by: Annotated[Caller, may("users:write")]) -> Term:
    """Creates a term; 409 when there is one of this name."""
    return await by.create(
        lambda work: service.add_term(work, draft), lambda work, id: store.get_term(work.conn, work.scope, int(id))
    )


@delete("/v1/terms/{term_id:int}")
async def remove_term(term_id: int, by: Annotated[Caller, may("users:write")]) -> None:
    """Deletes a term that no user has."""
    await by.change(lambda work: service.remove_term(work, term_id))


@get("/v1/schedules")
async def page_schedules(
    by: Annotated[Caller, may("permissions:read", within=True)], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Schedule]:
    """Lists weekly schedules."""
    return await paged(limit, cursor, lambda after, n: by.read(lambda c, s: store.page_schedules(c, s, after, n)))


@post("/v1/schedules", status=201)
async def add_schedule(draft: ScheduleDraft, by: Annotated[Caller, may("permissions:write")]) -> Schedule:
    """Creates a weekly schedule; its times are the local times of each door's site."""
    return await by.create(
        lambda work: service.add_schedule(work, draft),
        lambda work, id: store.get_schedule(work.conn, work.scope, int(id)),
    )


@get("/v1/schedules/{schedule_id:int}")
async def get_schedule(
    schedule_id: int, by: Annotated[Caller, may("permissions:read", within=True)]
) -> Response[Schedule]:
    """Answers one schedule, with an ETag."""
    return tagged(await by.read(lambda conn, scope: store.get_schedule(conn, scope, schedule_id)))


@patch("/v1/schedules/{schedule_id:int}")
async def change_schedule(
    schedule_id: int,
    draft: SchedulePatch,
    by: Annotated[Caller, may("permissions:write")],
    if_match: IfMatch = None,
) -> Response[Schedule]:
    """Changes a schedule, and with it every permission that uses it; with If-Match only the version that you know."""
    known = known_in(if_match)
    return tagged(await by.change(lambda work: service.change_schedule(work, schedule_id, draft, known)))


@delete("/v1/schedules/{schedule_id:int}")
async def remove_schedule(schedule_id: int, by: Annotated[Caller, may("permissions:write")]) -> None:
    """Deletes a schedule that no permission uses."""
    await by.change(lambda work: service.remove_schedule(work, schedule_id))


@get("/v1/sites/{site_id:int}/holidays")
async def get_holidays(site_id: int, by: Annotated[Caller, may("permissions:read", within=True)]) -> Holidays:
    """Answers a site's holidays."""
    return await by.read(lambda conn, scope: service.holidays(conn, scope, site_id))


@post("/v1/sites/{site_id:int}/holidays")
async def set_holidays(
    site_id: int, draft: Holidays, by: Annotated[Caller, may("permissions:write", within=True)]
) -> Holidays:
    """Replaces a site's list of holidays."""
    return await by.change(lambda work: service.set_holidays(work, site_id, draft))


def _waits(wait: str | None) -> bool:
    """Raises Invalid for what one cannot wait for."""
    if wait not in (None, "applied"):
        raise Invalid("wait can only be `applied`.")
    return wait is not None


endpoints = [
    page_users,
    add_user,
    import_users,
    export_users,
    get_user,
    change_user,
    remove_user,
    page_own_doors,
    get_user_account,
    invite_user,
    remove_user_account,
    page_permissions,
    change_permissions,
    page_door_permissions,
    change_door_permissions,
    list_cards,
    add_card,
    get_card,
    remove_card,
    list_roles,
    list_terms,
    add_term,
    remove_term,
    page_schedules,
    add_schedule,
    get_schedule,
    change_schedule,
    remove_schedule,
    get_holidays,
    set_holidays,
]
