"""`/v1/sites` and `/v1/access-points`."""

from __future__ import annotations

from typing import Annotated

from litestar import Response

from latchwork.cloud.kernel.http import Caller, delete, get, may, patch, post
from latchwork.cloud.kernel.paging import Cursor, Filter, Limit, paged
from latchwork.cloud.kernel.versions import IfMatch, known_in, tagged
from latchwork.cloud.sites import service, store
from latchwork.wire.api.pages import DEFAULT_LIMIT, Page
from latchwork.wire.api.sites import AccessPoint, AccessPointDraft, AccessPointPatch, Site, SiteDraft, SitePatch


@get("/v1/sites")
async def page_sites(
    by: Annotated[Caller, may("sites:read", within=True)], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Site]:
    """Lists sites."""
    return await paged(limit, cursor, lambda after, n: by.read(lambda c, s: store.page_sites(c, s, after, n)))


@post("/v1/sites", status=201)
async def add_site(draft: SiteDraft, by: Annotated[Caller, may("sites:write")]) -> Site:
    """Creates a site."""
    return await by.create(
        lambda work: service.add_site(work, draft), lambda work, id: store.get_site(work.conn, work.scope, int(id))
    )


@get("/v1/sites/{site_id:int}")
async def get_site(site_id: int, by: Annotated[Caller, may("sites:read", within=True)]) -> Response[Site]:
    """Answers one site, with an ETag."""
    return tagged(await by.read(lambda conn, scope: store.get_site(conn, scope, site_id)))


@patch("/v1/sites/{site_id:int}")
async def change_site(
    site_id: int, draft: SitePatch, by: Annotated[Caller, may("sites:write")], if_match: IfMatch = None
) -> Response[Site]:
    """Changes a site; with If-Match only the version that you know (412 otherwise)."""
    known = known_in(if_match)
    return tagged(await by.change(lambda work: service.change_site(work, site_id, draft, known)))


@delete("/v1/sites/{site_id:int}")
async def remove_site(site_id: int, by: Annotated[Caller, may("sites:write")]) -> None:
    """Deletes a site that has no doors, is nobody's home and that nobody administers."""
    await by.change(lambda work: service.remove_site(work, site_id))


@get("/v1/access-points")
async def page_access_points(
    by: Annotated[Caller, may("sites:read", within=True)],
    site: Filter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[AccessPoint]:
    """Lists doors, of one site or of all."""
    return await paged(limit, cursor, lambda after, n: by.read(lambda c, s: store.page_doors(c, s, site, after, n)))


@post("/v1/access-points", status=201)
async def add_access_point(draft: AccessPointDraft, by: Annotated[Caller, may("sites:write")]) -> AccessPoint:
    """Creates a door; its controller knows it as soon as its link is up."""
    return await by.create(
        lambda work: service.add_door(work, draft), lambda work, id: store.get_door(work.conn, work.scope, int(id))
    )


@get("/v1/access-points/{access_point_id:int}")
async def get_access_point(
    access_point_id: int, by: Annotated[Caller, may("sites:read", within=True)]
) -> Response[AccessPoint]:
    """Answers one door, with an ETag."""
    return tagged(await by.read(lambda conn, scope: store.get_door(conn, scope, access_point_id)))


@patch("/v1/access-points/{access_point_id:int}")
async def change_access_point(
    access_point_id: int,
    draft: AccessPointPatch,
    by: Annotated[Caller, may("sites:write", within=True)],
    if_match: IfMatch = None,
) -> Response[AccessPoint]:
    """Changes a door, or moves it to another controller; with If-Match only the version that you know."""
    known = known_in(if_match)
    return tagged(await by.change(lambda work: service.change_door(work, access_point_id, draft, known)))


@delete("/v1/access-points/{access_point_id:int}")
async def remove_access_point(access_point_id: int, by: Annotated[Caller, may("sites:write")]) -> None:
    """Deletes a door: its controller forgets it, and every meeting loses it."""
    await by.change(lambda work: service.remove_door(work, access_point_id))


endpoints = [
    page_sites,
    add_site,
    get_site,
    change_site,
    remove_site,
    page_access_points,
    add_access_point,
    get_access_point,
    change_access_point,
    remove_access_point,
]
