"""`/v1/whoami`, `/v1/organisation`, `/v1/clients`."""

from __future__ import annotations

from typing import Annotated

from litestar import Response

from latchwork.cloud.accounts import service, store
from latchwork.cloud.kernel.http import Caller, delete, get, may, patch, post
from latchwork.cloud.kernel.paging import Cursor, Limit, paged
from latchwork.cloud.kernel.versions import IfMatch, known_in, tagged
from latchwork.wire.api.accounts import (
    Client,
    ClientDraft,
    ClientPatch,
    Organisation,
    OrganisationPatch,
    WhoAmI,
)
from latchwork.wire.api.pages import DEFAULT_LIMIT, Page


@get("/v1/whoami")
async def whoami(by: Annotated[Caller, may(None, within=True)]) -> WhoAmI:
    """Answers whose token this is and what it may do: the call to test a key with."""
    tenant = await by.read(store.get_tenant)
    who = by.identity
    return WhoAmI(
        organisation_id=who.organisation,
        organisation_name=tenant.organisation.name,
        client_id=who.client_id,
        client_name=who.name,
        scopes=sorted(who.scopes),
        expires_at=who.expires_at,
        user_id=who.user.id if who.user else None,
        user_name=who.user.name if who.user else None,
        roles=list(who.user.roles) if who.user else [],
        sites=list(who.user.sites) if who.user else [],
        modules=[name for name in ("visitor", "attendance") if getattr(tenant.organisation, f"{name}_module")],
        everywhere=sorted(scope for scope in who.scopes if who.reach(scope) is None),
    )


@get("/v1/organisation")
async def get_organisation(by: Annotated[Caller, may("organisation:read")]) -> Response[Organisation]:
    """Answers the organisation's settings, with an ETag."""
    return tagged((await by.read(store.get_tenant)).organisation)


@patch("/v1/organisation")
async def change_organisation(
    draft: OrganisationPatch, by: Annotated[Caller, may("organisation:write")], if_match: IfMatch = None
) -> Response[Organisation]:
    """Changes settings; the doors follow at once. With If-Match only the version that you know (412 otherwise)."""
    known = known_in(if_match)
    return tagged(await by.change(lambda work: service.change_organisation(work, draft, known)))


@get("/v1/clients")
async def page_clients(
    by: Annotated[Caller, may("clients:read")], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Client]:
    """Lists the organisation's API clients."""
    return await paged(limit, cursor, lambda after, n: by.read(lambda c, s: store.page_clients(c, s, after, n)))


@post("/v1/clients", status=201)
async def add_client(draft: ClientDraft, by: Annotated[Caller, may("clients:write")]) -> Client:
    """Makes an API client; its secret is in this answer and never shown again. It cannot get more than you have."""
    service.check_no_more_than(by.identity.scopes, draft.scopes)
    secret = await service.new_secret()
    return await by.create(
        lambda work: service.add_client(work, draft, secret),
        lambda work, id: store.get_client(work.conn, work.scope, int(id)),
    )


@get("/v1/clients/{client_id:int}")
async def get_client(client_id: int, by: Annotated[Caller, may("clients:read")]) -> Client:
    """Answers one API client."""
    return await by.read(lambda conn, scope: store.get_client(conn, scope, client_id))


@patch("/v1/clients/{client_id:int}")
async def change_client(client_id: int, draft: ClientPatch, by: Annotated[Caller, may("clients:write")]) -> Client:
    """Changes an API client; scopes taken away are gone within a second, also from tokens already issued."""
    service.check_no_more_than(by.identity.scopes, draft.scopes)
    hints = by.request.app.state.hints
    return await by.change(lambda work: service.change_client(work, hints, client_id, draft))


@post("/v1/clients/{client_id:int}/secret")
async def rotate_secret(client_id: int, by: Annotated[Caller, may("clients:write")]) -> Client:
    """Replaces the secret; the old one and every token made with it end."""
    hints, secret = by.request.app.state.hints, await service.new_secret()
    return await by.change(lambda work: service.rotate_secret(work, hints, by.identity.scopes, client_id, secret))


@delete("/v1/clients/{client_id:int}")
async def revoke_client(client_id: int, by: Annotated[Caller, may("clients:write")]) -> None:
    """Revokes an API client: it is refused everywhere within a second. It stays in the list."""
    hints = by.request.app.state.hints
    await by.change(lambda work: service.revoke_client(work, hints, client_id))


endpoints = [
    whoami,
    get_organisation,
    change_organisation,
    page_clients,
    add_client,
    get_client,
    change_client,
    rotate_secret,
    revoke_client,
]
