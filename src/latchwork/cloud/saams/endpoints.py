"""The SAAMS integrator API: a thin adapter over the use cases of the other slices."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import unquote

import litestar
import msgspec
from litestar import Request, Response

from latchwork.cloud.accounts import service as accounts
from latchwork.cloud.kernel import bodies
from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.kernel.texts import is_text
from latchwork.cloud.saams import calls, passages, permissions, users, wire
from latchwork.cloud.saams.calls import call
from latchwork.cloud.sites import store as sites
from latchwork.cloud.visitors import service as visitors
from latchwork.cloud.visitors import store as visitor_store
from latchwork.wire.api.problems import FieldError, Invalid, NotFound
from latchwork.wire.api.visitors import MeetingDraft, MeetingPatch, MeetingVisitor, MeetingWithPass

_IDM = "/saamsIdm"
_ORGANISATION = "/organisationManagement"
_LEGACY = "/v2/organisationManagement/integrator/organisations/{o}"
_VISITORS = "/visitorManagementV3/integrator/v1/organisations/{o}"

GRANT_TYPES = (
    "urn:ietf:params:oauth:grant-type:client-credentials",
    "client-credentials",
    "client_credentials",
    None,
)

# ------------------------------------------------------------------------------------------------- token

_token_request = msgspec.json.Decoder(wire.TokenRequest)


async def _token(request: Request[Any, Any, Any]) -> Response[bytes]:
    request.app.state.gate.slow_down(request)
    body = bodies.decode((await request.body()) or b"{}", _token_request)
    if body.grant_type not in GRANT_TYPES:
        raise Invalid(errors=[FieldError("grantType", "The only grant type is client-credentials.")])
    now = int(time.time())  # before the secret is looked up: a rotation in between ends this token too
    found = await accounts.authenticate(request.app.state.database, str(body.client_id), body.client_secret)
    token = request.app.state.tokens.issue(found, found.client.scopes, now)
    await accounts.note_use(request.app.state.database, found, now)
    payload = {
        "access_token": token,
        "refresh_token": secrets.token_urlsafe(32),  # clients look for the field; nothing accepts it
        "token_type": "Bearer",
        "expires_in": found.client.token_seconds,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    response = calls.answer({"payload": payload, "statusCode": 200})
    response.headers["cache-control"] = "no-store"
    return response


token = calls.route("POST", f"{_IDM}/oauth/token", _token, _token)


@call("GET", f"{_IDM}/oauth/organisation", None)
async def organisation(by: Caller, body: wire.Nothing) -> dict[str, int]:
    return {"organisationId": by.identity.organisation}


# ------------------------------------------------------------------------------------------------- sites and doors


async def _sites(by: Caller, body: wire.SiteList) -> dict[str, Any]:
    part = wire.sliced(body.pagination)
    name = (body.filters.name if body.filters else None) or ""
    found, total = await by.read(lambda c, s: sites.search_sites(c, s, name, part.skip, part.limit))
    return {"sites": [wire.site(s) for s in found], "pagination": part.answer(total)}


async def _access_points(by: Caller, body: wire.AccessPointList, site: int | None = None) -> dict[str, Any]:
    part = wire.sliced(body.pagination)
    if site is not None:
        await by.read(lambda c, s: sites.get_site(c, s, site))
    filters = body.filters or wire.AccessPointFilters()
    text = filters.search or filters.name or ""
    found, total = await by.read(lambda c, s: sites.search_doors(c, s, site, text, part.skip, part.limit))
    return {"accessPoints": [wire.access_point(a) for a in found], "pagination": part.answer(total)}


site_list = call("POST", _ORGANISATION + "/v2/integrator/organisations/{o}/sites", "sites:read")(_sites)
legacy_site_list = call("POST", _LEGACY + "/sites", "sites:read")(_sites)
access_point_list = call(
    "POST", _ORGANISATION + "/v1/integrator/organisations/{o}/sites/{siteId}/accessPoints/list", "sites:read"
)(_access_points)
all_access_points = call("GET", "/accessManagementV3/integrator/v1/organisations/{o}/getAccessPointList", "sites:read")(
    _access_points
)
legacy_access_points = call("POST", _LEGACY + "/accessPoint", "sites:read")(_access_points)

# ------------------------------------------------------------------------------------------------- meetings


@call("POST", f"{_VISITORS}/meeting", "visitors:write")
async def create_meeting(by: Caller, body: wire.MeetingCreate) -> dict[str, Any]:
    signer = by.request.app.state.signer
    draft = MeetingDraft(
        MeetingVisitor(str(body.user_id)), body.start_time, body.end_time, sorted(set(body.permissions_to_add or ()))
    )
    return _meeting(await by.change(lambda work: visitors.invite(work, signer, draft)))


@call("PATCH", f"{_VISITORS}/meeting/{{meetingId}}/update", "visitors:write")
async def update_meeting(by: Caller, body: wire.MeetingUpdate, meeting: int) -> dict[str, Any]:
    signer = by.request.app.state.signer
    patch = MeetingPatch(
        start_time=msgspec.UNSET if body.start_time is None else body.start_time,
        end_time=msgspec.UNSET if body.end_time is None else body.end_time,
        add_access_points=sorted(set(body.permissions_to_add or ())),
        remove_access_points=sorted(set(body.permissions_to_remove or ())),
    )
    return _meeting(await by.change(lambda work: visitors.change_meeting(work, signer, meeting, patch)))


async def _regenerate(by: Caller, body: wire.Nothing, meeting: int) -> dict[str, Any]:
    signer = by.request.app.state.signer
    current = await by.read(lambda c, s: visitors.current(c, s, signer, meeting, by.now))
    return {**_meeting(current), "expiresAt": current.current_pass.expires_at}


regenerate = call("POST", f"{_VISITORS}/meeting/{{meetingId}}/regenerateQr", "visitors:write")(_regenerate)
regenerate_by_get = call("GET", f"{_VISITORS}/meeting/{{meetingId}}/regenerateQr", "visitors:write")(_regenerate)


@call("DELETE", f"{_VISITORS}/meeting/{{meetingId}}", "visitors:write")
async def delete_meeting(by: Caller, body: wire.Nothing, meeting: int) -> str:
    await by.change(lambda work: visitors.remove_meeting(work, meeting))
    return "The meeting was deleted."


async def _delete_visitor(request: Request[Any, Any, Any]) -> Response[bytes]:
    """`{userId}` is the client's key: any text, also with a slash (`%2F`), so it is read from the path as it came."""
    by = await calls.caller(request, "visitors:write")
    key = unquote(request.scope["raw_path"].partition(b"/visitor/")[2].decode("ascii", "replace"))
    if not is_text(key):
        raise NotFound("There is no visitor with this userId.")
    found = await by.read(lambda c, s: visitor_store.find_visitor(c, s, key))
    if found is None:
        raise NotFound("There is no visitor with this userId.")
    await by.change(lambda work: visitors.remove_visitor(work, found.id))
    return calls.answer("The visitor was deleted with all of their meetings.")


delete_visitor = [
    calls.route("DELETE", path, _delete_visitor, _delete_visitor)
    for path in (f"{_VISITORS}/visitor/{{userId:path}}", f"{_VISITORS}/visitor")  # the router drops a key of slashes
]


def _meeting(meeting: MeetingWithPass) -> dict[str, Any]:
    return {
        "meetingId": meeting.id,
        "visitorId": meeting.visitor.id,
        "qrData": meeting.current_pass.qr_data,
    }


router = litestar.Router(
    "/",
    route_handlers=[
        token,
        organisation,
        site_list,
        legacy_site_list,
        access_point_list,
        all_access_points,
        legacy_access_points,
        *users.handlers,
        *permissions.handlers,
        *passages.handlers,
        create_meeting,
        update_meeting,
        regenerate,
        regenerate_by_get,
        delete_meeting,
        *delete_visitor,
        *calls.preflights(),
    ],
    after_request=calls.with_cors,
    exception_handlers={Exception: calls.answer_failure, 500: calls.answer_failure},
)
