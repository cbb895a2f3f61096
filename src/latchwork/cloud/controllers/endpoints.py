"""`/v1/controllers`, `/v1/pass-keys`, `/v1/enrol` and the link."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import litestar
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect

from latchwork.cloud.controllers import enrolment, service, store
from latchwork.cloud.controllers.link import Closed
from latchwork.cloud.kernel.http import Anybody, Caller, anybody, delete, get, may, patch, post
from latchwork.cloud.kernel.paging import Cursor, Limit, paged
from latchwork.wire.api.accounts import PassKey, PassKeyActivation
from latchwork.wire.api.controllers import (
    Controller,
    ControllerDraft,
    ControllerPatch,
    EnrolmentCode,
    Rebuilt,
)
from latchwork.wire.api.enrolment import Enrolled, Enrolment
from latchwork.wire.api.events import Actor
from latchwork.wire.api.pages import DEFAULT_LIMIT, Page
from latchwork.wire.api.problems import EnrolmentRefused
from latchwork.wire.link import PATH


@get("/v1/controllers")
async def page_controllers(
    by: Annotated[Caller, may("controllers:read")], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Controller]:
    """Lists controllers, with what each should hold and has confirmed."""
    return await paged(limit, cursor, lambda after, n: by.read(lambda c, s: store.page(c, s, after, n, by.now)))


@post("/v1/controllers", status=201)
async def add_controller(draft: ControllerDraft, by: Annotated[Caller, may("controllers:write")]) -> Controller:
    """Creates a controller; make an enrolment code for it next."""
    return await by.create(
        lambda work: service.add(work, draft), lambda work, id: store.get(work.conn, work.scope, int(id), work.now)
    )


@get("/v1/controllers/{controller_id:int}")
async def get_controller(controller_id: int, by: Annotated[Caller, may("controllers:read")]) -> Controller:
    """Answers one controller."""
    return await by.read(lambda conn, scope: store.get(conn, scope, controller_id, by.now))


@patch("/v1/controllers/{controller_id:int}")
async def change_controller(
    controller_id: int, draft: ControllerPatch, by: Annotated[Caller, may("controllers:write")]
) -> Controller:
    """Renames a controller, or gives it other doors."""
    return await by.change(lambda work: service.change(work, controller_id, draft))


@delete("/v1/controllers/{controller_id:int}")
async def remove_controller(controller_id: int, by: Annotated[Caller, may("controllers:write")]) -> None:
    """Deletes a controller: its link ends and its doors have none."""
    hints = by.request.app.state.hints
    await by.change(lambda work: service.remove(work, hints, controller_id))


@post("/v1/controllers/{controller_id:int}/enrolment-code", status=201)
async def make_enrolment_code(controller_id: int, by: Annotated[Caller, may("controllers:write")]) -> EnrolmentCode:
    """Makes a one-time code, good for 15 minutes, for `latchwork edge enrol` at the door."""
    settings = by.request.app.state.settings
    return await by.create(
        lambda work: enrolment.make_code(work, controller_id, settings.tls_fingerprint, settings.public_url),
        enrolment.code_again,
        id_of=lambda _: controller_id,
    )


@post("/v1/controllers/{controller_id:int}/rebuild")
async def rebuild_controller(controller_id: int, by: Annotated[Caller, may("controllers:write")]) -> Rebuilt:
    """Computes the controller's whole state anew and sends what differed."""
    state = by.request.app.state
    return await by.change(lambda work: service.rebuild(work, state.hints, state.desired, controller_id))


@post("/v1/controllers/{controller_id:int}/accept-snapshot")
async def accept_snapshot(controller_id: int, by: Annotated[Caller, may("controllers:write")]) -> Controller:
    """Ends the freeze after the cloud was restored from a backup: the doors take the cloud's state as it is now."""
    hints = by.request.app.state.hints
    return await by.change(lambda work: service.accept_snapshot(work, hints, controller_id))


@get("/v1/organisation/pass-keys")
async def list_pass_keys(by: Annotated[Caller, may("organisation:read")]) -> list[PassKey]:
    """Lists the keys that sign visitors' passes."""
    return await by.read(service.pass_keys)


@post("/v1/organisation/pass-keys", status=201)
async def add_pass_key(by: Annotated[Caller, may("organisation:write")]) -> PassKey:
    """Makes a new key: the doors learn it now; activate it when they all have."""
    seal = by.request.app.state.seal
    return await by.create(
        lambda work: service.add_pass_key(work, seal),
        lambda work, kid: service.get_pass_key(work.conn, work.scope, kid),
        id_of=lambda key: key.kid,
    )


@post("/v1/organisation/pass-keys/{kid:str}/activate")
async def activate_pass_key(
    kid: str, draft: PassKeyActivation, by: Annotated[Caller, may("organisation:write")]
) -> PassKey:
    """Signs passes with this key from now on; 409 names the controllers that have not confirmed it."""
    return await by.change(lambda work: service.activate_pass_key(work, kid, draft.accept_unconfirmed))


@delete("/v1/organisation/pass-keys/{kid:str}")
async def remove_pass_key(kid: str, by: Annotated[Caller, may("organisation:write")]) -> None:
    """Deletes a key that is not active: every pass that it signed is refused."""
    await by.change(lambda work: service.remove_pass_key(work, kid))


@get("/v1/pass-keys/{organisation_id:int}")
async def pass_jwks(organisation_id: int, by: Annotated[Anybody, anybody()]) -> dict[str, list[dict[str, str]]]:
    """Answers an organisation's public pass keys as a JWKS (RFC 7517 §5), for anybody.

    `kid` is base64url; an unknown organisation answers with an empty set.
    """
    if not 0 < organisation_id < 2**62:
        return {"keys": []}
    async with by.database.connection() as conn:
        return await service.jwks(conn, organisation_id)


@post("/v1/enrol")
async def enrol(draft: Enrolment, by: Annotated[Anybody, anybody()]) -> Enrolled:
    """Enrols a controller's own key with a one-time code: for the program at the door. The code is all it needs."""
    async with by.database.connection() as conn:
        scope = await enrolment.find_organisation(conn, draft.code)
    actor = Actor("controller", draft.code.partition("-")[0], "")
    hints = by.request.app.state.hints
    answer = await by.database.run(scope, actor, by.now, lambda work: enrolment.enrol(work, hints, draft))
    if answer is None:
        raise EnrolmentRefused
    return answer


class _Accepted:
    """A Litestar WebSocket as the link sees it."""

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._socket = socket

    async def send(self, frame: bytes) -> None:
        try:
            await self._socket.send_bytes(frame)
        except (WebSocketDisconnect, RuntimeError):
            raise Closed from None

    async def receive(self) -> bytes:
        try:
            data = await self._socket.receive_data(mode="binary")
        except (WebSocketDisconnect, KeyError, RuntimeError):
            raise Closed from None
        return data if isinstance(data, bytes) else b""

    async def close(self, code: int) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # it is gone already, which is all that was wanted
            await self._socket.close(code)


@litestar.websocket(PATH)
async def link(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.app.state.links.serve(_Accepted(socket))


endpoints = [
    page_controllers,
    add_controller,
    get_controller,
    change_controller,
    remove_controller,
    make_enrolment_code,
    rebuild_controller,
    accept_snapshot,
    list_pass_keys,
    add_pass_key,
    activate_pass_key,
    remove_pass_key,
    pass_jwks,
    enrol,
    link,
]
