"""Controllers: how they are, how a new one is enrolled, and how one is replaced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec
from litestar import Response

from latchwork.web.forms import NOTHING_WRONG, Wrong, id_of, wrong_of
from latchwork.web.lines import Moment, moment
from latchwork.web.look import Look, form, page
from latchwork.web.places import Places, everything, places
from latchwork.web.standing import Health, health, hour, minutes_left
from latchwork.wire.api.controllers import Controller, ControllerDraft, ControllerPatch
from latchwork.wire.api.problems import Invalid, NotFound
from latchwork.wire.api.sites import AccessPoint

ROWS: Final = 50
"""How many a page lists."""
CODE: Final = "latchwork-code"
"""The cookie that keeps an enrolment code in the browser that asked for it, for as long as it is good."""


class Shown(msgspec.Struct, frozen=True):
    """An enrolment code while it is shown."""

    controller: int
    code: str
    url: str
    expires_at: int
    before: int | None
    """When the controller had enrolled the last time; once it says otherwise, the code is used."""


@dataclass(frozen=True, slots=True)
class Row:
    controller: Controller
    health: Health
    seen: Moment | None


# ------------------------------------------------------------------------------------------------- how they are


@page("/controllers", needs="controllers:read")
async def show(look: Look) -> Response[str]:
    where, listed = await asyncio.gather(
        places(look.cloud), look.cloud.page_controllers(limit=ROWS, cursor=look.query.get("cursor"))
    )
    rows = [_row(each, where, look) for each in listed.items]
    return look.show("controllers/controllers.html", rows=rows, more=listed.next_cursor)


@page("/controllers/{controller_id:int}", needs="controllers:read")
async def controller(look: Look, controller_id: int) -> Response[str]:
    found, where, doors = await asyncio.gather(
        look.cloud.get_controller(controller_id), places(look.cloud), _doors(look)
    )
    return look.show(
        "controllers/controller.html",
        row=_row(found, where, look),
        doors=[door for door in doors if door.controller_id == found.id],
        where=where,
        enrolled=None if found.enrolled_at is None else moment(found.enrolled_at, where, None),
    )


def _row(controller: Controller, where: Places, look: Look) -> Row:
    seen = controller.last_seen_at
    return Row(controller, health(controller, look.say), None if seen is None else moment(seen, where, None))


async def _doors(look: Look) -> list[AccessPoint]:
    """All doors by name."""
    doors = await everything(look.cloud.page_access_points())
    return sorted(doors, key=lambda door: door.name.casefold())


@form("/controllers/{controller_id:int}/rebuild", needs="controllers:write")
async def rebuild(look: Look, controller_id: int) -> Response[Any]:
    rebuilt = await look.cloud.rebuild_controller(controller_id)
    which = "nothing" if rebuilt.changed == 0 else "changed"
    return look.go(f"/controllers/{controller_id}", said=look.say(f"controllers.rebuilt_{which}", n=rebuilt.changed))


@form("/controllers/{controller_id:int}/accept", needs="controllers:write")
async def accept(look: Look, controller_id: int) -> Response[Any]:
    found = await look.cloud.accept_snapshot(controller_id)
    return look.go(f"/controllers/{controller_id}", said=look.say("controllers.accepted", name=found.name))


@form("/controllers/{controller_id:int}/delete", needs="controllers:write")
async def remove(look: Look, controller_id: int) -> Response[Any]:
    found = await look.cloud.get_controller(controller_id)
    await look.cloud.remove_controller(controller_id)
    return look.go("/controllers", said=look.say("controllers.deleted", name=found.name))


# ------------------------------------------------------------------------------------------------- name and doors


@page("/controllers/new", needs="controllers:write")
async def new(look: Look) -> Response[str]:
    return await _form(look, None, "", [])


@form("/controllers/new", needs="controllers:write")
async def add(look: Look) -> Response[Any]:
    """The first step; its code is the second."""
    name, doors = await _given(look)
    try:
        made = await look.cloud.add_controller(ControllerDraft(name, doors), idempotency_key=await look.once())
    except (Invalid, NotFound) as refused:
        return await _form(look, None, name, doors, wrong_of(refused))
    return await _with_code(look, made)


@page("/controllers/{controller_id:int}/change", needs="controllers:write")
async def change_page(look: Look, controller_id: int) -> Response[str]:
    found = await look.cloud.get_controller(controller_id)
    return await _form(look, found, found.name, found.access_points)


@form("/controllers/{controller_id:int}/change", needs="controllers:write")
async def change(look: Look, controller_id: int) -> Response[Any]:
    name, doors = await _given(look)
    try:
        changed = await look.cloud.change_controller(controller_id, ControllerPatch(name, doors))
    except (Invalid, NotFound) as refused:
        return await _form(look, await look.cloud.get_controller(controller_id), name, doors, wrong_of(refused))
    return look.go(f"/controllers/{controller_id}", said=look.say("controllers.changed", name=changed.name))


async def _given(look: Look) -> tuple[str, list[int]]:
    """Name and doors."""
    fields = await look.fields()
    doors = [id for name, value in fields if name == "door" and (id := id_of(value)) is not None]
    return dict(fields).get("name", "").strip(), doors


async def _form(
    look: Look, controller: Controller | None, name: str, ticked: Collection[int], wrong: Wrong = NOTHING_WRONG
) -> Response[str]:
    where, doors = await asyncio.gather(places(look.cloud), _doors(look))
    return look.show(
        "controllers/change.html",
        wrong.status,
        controller=controller,
        name=name,
        ticked=ticked,
        wrong=wrong,
        where=where,
        sites=_by_site(where, doors),
    )


def _by_site(where: Places, doors: Sequence[AccessPoint]) -> list[tuple[str, list[AccessPoint]]]:
    """Sites that have doors, by name."""
    grouped = [(site.name, [door for door in doors if door.site_id == id]) for id, site in where.sites.items()]
    return sorted((each for each in grouped if each[1]), key=lambda each: each[0].casefold())


# ------------------------------------------------------------------------------------------------- enrolment


@page("/controllers/{controller_id:int}/enrol", needs="controllers:write")
async def enrol_page(look: Look, controller_id: int) -> Response[str]:
    """The code while it is good, then whether it was used and the controller has linked; without one, how to get it."""
    found, where = await asyncio.gather(look.cloud.get_controller(controller_id), places(look.cloud))
    shown = _shown(look, controller_id)
    left = minutes_left(shown.expires_at, time.time()) if shown else 0
    return look.show(
        "controllers/enrol.html",
        controller=found,
        shown=shown,
        step=_step(found, shown, left),
        minutes=left,
        until=hour(shown.expires_at, where, None, look.say) if shown else "",
    )


def _step(controller: Controller, shown: Shown | None, minutes: int) -> str:
    """How far the enrolment is: `start`, `waiting`, `over`, `enrolled`, `linked`."""
    if shown is None:
        return "start"
    if controller.enrolled_at != shown.before:
        is_linked = controller.online and (controller.last_seen_at or 0) >= (controller.enrolled_at or 0)
        return "linked" if is_linked else "enrolled"
    return "waiting" if minutes else "over"


@form("/controllers/{controller_id:int}/enrol", needs="controllers:write")
async def enrol(look: Look, controller_id: int) -> Response[Any]:
    return await _with_code(look, await look.cloud.get_controller(controller_id))


async def _with_code(look: Look, controller: Controller) -> Response[Any]:
    """A new code, kept by this browser alone: the page that shows it may be loaded again."""
    code = await look.cloud.make_enrolment_code(controller.id)
    shown = Shown(controller.id, code.code, code.url, code.expires_at, controller.enrolled_at)
    path = f"/controllers/{controller.id}/enrol"
    response = look.go(path)
    response.set_cookie(
        CODE,
        quote(msgspec.json.encode(shown)),
        path=path,
        max_age=max(1, code.expires_at - int(time.time())),
        httponly=True,
        samesite="strict",
        secure=look.request.app.state.entrance.secure,
    )
    return response


def _shown(look: Look, controller: int) -> Shown | None:
    """The code that this browser asked for; None: none for this controller, or its time is over."""
    try:
        shown = msgspec.json.decode(unquote(look.request.cookies.get(CODE) or ""), type=Shown)
    except msgspec.MsgspecError:
        return None
    return shown if shown.controller == controller else None


endpoints = [
    show,
    controller,
    rebuild,
    accept,
    remove,
    new,
    add,
    change_page,
    change,
    enrol_page,
    enrol,
]
