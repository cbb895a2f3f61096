"""A door: how it stands, who was there, who may open it, and what can be done with it from afar."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response

from latchwork.sdk.client import Client
from latchwork.web.catalogue import Say, reason
from latchwork.web.forms import NOTHING_WRONG, Wrong, whole, wrong_of
from latchwork.web.lines import Line, Moment, moment
from latchwork.web.look import Look, form, page
from latchwork.web.passages import means, who, who_path
from latchwork.web.places import Places, everything, places
from latchwork.web.standing import Kind, Tag, alarm_tags, link_tag, mode_sentence, mode_tags, stand_of, week
from latchwork.web.visits import midnights
from latchwork.wire.api.pages import MAX_LIMIT, Page
from latchwork.wire.api.passages import DoorModeDraft, DoorOffline, DoorState, Passage
from latchwork.wire.api.people import Permission, Schedule
from latchwork.wire.api.problems import Invalid
from latchwork.wire.api.sites import AccessPoint

ROWS: Final = 20
"""Entries, and people, that a page lists."""
CONFIRMS_WITHIN: Final = 2.0
"""Seconds that an answer waits for a door that is online to confirm its mode."""
HOLD_MINUTES: Final = "10"


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who may open the door, or is about to."""

    user: int
    name: str
    tags: Sequence[Tag]
    is_new: bool
    """Whether `since` is when its change began to be told to the door, not when it was given."""
    since: Moment | None
    times: str
    schedule: str


@page("/doors/{door_id:int}", needs="doors:unlock")
async def show(look: Look, door_id: int) -> Response[str]:
    return await _show(look, door_id)


async def _show(look: Look, id: int, wrong: Wrong = NOTHING_WRONG, minutes: str = HOLD_MINUTES) -> Response[str]:
    door, state, where = await asyncio.gather(
        look.cloud.get_access_point(id), look.cloud.get_door_state(id), places(look.cloud)
    )
    passages, permissions, schedules, visits = await asyncio.gather(
        _passages(look, id), _permissions(look, id), _schedules(look), _visits(look, door, where)
    )
    used = sorted({each.schedule_id for each in permissions.items if each.schedule_id is not None})
    return look.show(
        "doors/door.html",
        wrong.status,
        door=door,
        site=where.sites[door.site_id],
        controller=where.controllers.get(door.controller_id or 0),
        state=state,
        tags=[*alarm_tags(state, look.say), *mode_tags(state, look.say), link_tag(state.link, look.say)],
        stands=mode_sentence(state, look.say, where, door.site_id),
        told=_moment(state.told_at, where, door),
        seen=_moment(state.last_seen_at, where, door),
        lines=[line_of(each, where, look.say) for each in passages.items],
        holders=[_holder(each, state, where, door, schedules, look.say) for each in permissions.items],
        is_settling=state.confirmed is False or any(each.state != "assigned" for each in permissions.items),
        weeks=[(schedules[each], week(schedules[each], look.say)) for each in used if each in schedules],
        older=_next(look, id, "history", passages),
        others=_next(look, id, "who", permissions),
        visits=visits,
        wrong=wrong,
        minutes=minutes,
    )


async def _passages(look: Look, door: int) -> Page[Passage]:
    """Who was there, the latest first."""
    if not look.may("events:read"):
        return Page([], None)
    return await look.cloud.page_passages(door=door, limit=ROWS, cursor=look.query.get("history"))


async def _permissions(look: Look, door: int) -> Page[Permission]:
    if not look.may("permissions:read"):
        return Page([], None)
    return await look.cloud.page_door_permissions(door, limit=ROWS, cursor=look.query.get("who"))


async def _schedules(look: Look) -> Mapping[int, Schedule]:
    """By id."""
    if not look.may("permissions:read"):
        return {}
    return {each.id: each for each in await everything(look.cloud.page_schedules())}


async def _visits(look: Look, door: AccessPoint, where: Places) -> str:
    """How many visitors may open it today besides, in words; empty: none, or not for whoever looks."""
    if not look.may("visitors:read") or "visitor" not in look.who.modules:
        return ""
    now = int(time.time())
    _, midnight = midnights(now, where.zone(door.site_id))
    found = await look.cloud.page_meetings(ends_after=now, starts_before=midnight, order="start", limit=MAX_LIMIT)
    count = sum(door.id in each.access_points and each.checked_out_at is None for each in found.items)
    if found.next_cursor is not None:
        return look.say("doors.visitors_at_least", n=count)
    return look.say("doors.visitors" if count > 1 else "doors.visitor", n=count) if count else ""


def _next(look: Look, door: int, name: str, listed: Page[Any]) -> str:
    """The link to the next page of one of the lists, the other staying where it is; empty: this is the last."""
    if listed.next_cursor is None:
        return ""
    kept = {each: value for each in ("history", "who") if (value := look.query.get(each))}
    return f"/doors/{door}?{urlencode({**kept, name: listed.next_cursor})}#{name}"


def line_of(passage: Passage, where: Places, say: Say) -> Line:
    """An entry or refusal as a row of the door's history."""
    is_in = passage.granted and not passage.withheld
    digits = f" …{passage.card_last_digits}" if passage.card_last_digits else ""
    return Line(
        number=passage.number,
        kind="granted" if is_in else "refused",
        who=who(passage, say),
        who_path=who_path(passage),
        what=_done(passage, say),
        why="" if passage.granted else reason(say, passage.reason, passage.sentence),
        door=passage.access_point_id,
        where=say(f"doors.with_{means(passage)}") + digits,
        where_path="",
        site="",
        when=moment(passage.at, where, passage.site_id),
        count=passage.count,
    )


def _done(passage: Passage, say: Say) -> str:
    """What became of it, in words; who asked from afar, or steered the door with a phone, did not come in."""
    is_in = passage.granted and not passage.withheld
    if is_in and passage.credential == "remote":
        return say("doors.unlocked_it")
    if is_in and passage.ask != "open":
        return say(f"doors.asked_{passage.ask}")
    outcome = "withheld" if passage.withheld else "granted" if passage.granted else "refused"
    return say(f"doors.{passage.direction}_{outcome}")


_KINDS: Final[Mapping[str, Kind]] = {"assigned": "good", "pending": "wait", "removing": "bad", "unheard": "bad"}


def states_of(permission: Permission, state: DoorState, now: float) -> list[str]:
    """How somebody stands with a door; of whom no door should let in, also whether this one may not know it yet."""
    ends = permission.user_access_expires_at
    is_out = not permission.user_is_active or (ends is not None and ends <= now)
    if permission.state == "removing" or not is_out:
        return [stand_of(permission, now)]
    out = "expired" if permission.user_is_active else "deactivated"
    return [out] if state.pending_since is None else [out, "unheard"]


def _holder(
    permission: Permission,
    state: DoorState,
    where: Places,
    door: AccessPoint,
    schedules: Mapping[int, Schedule],
    say: Say,
) -> Holder:
    schedule = schedules.get(permission.schedule_id or 0)
    return Holder(
        permission.user_id,
        permission.user_name or say("doors.deleted_user"),
        [Tag(_KINDS.get(each, ""), say(f"doors.state_{each}")) for each in states_of(permission, state, time.time())],
        permission.state != "assigned",
        _moment(permission.since, where, door),
        _times(permission, where, door, say),
        schedule.name if schedule else say("doors.always"),
    )


def _times(permission: Permission, where: Places, door: AccessPoint, say: Say) -> str:
    begins, ends = (_moment(each, where, door) for each in (permission.starts_at, permission.ends_at))
    said = [say("doors.from", when=f"{begins.day(say)}, {begins.clock[:5]}")] if begins else []
    return " ".join([*said, *([say("doors.to", when=f"{ends.day(say)}, {ends.clock[:5]}")] if ends else [])])


def _moment(at: float | None, where: Places, door: AccessPoint) -> Moment | None:
    return None if at is None else moment(at, where, door.site_id)


# ------------------------------------------------------------------------------------------------- from afar


@form("/doors/{door_id:int}/unlock", needs="doors:unlock")
async def unlock(look: Look, door_id: int) -> Response[Any]:
    """Opens it once, now; the next page says which of the four answers came."""
    door = await look.cloud.get_access_point(door_id)
    try:
        answer = await look.cloud.unlock(door_id, idempotency_key=await look.once())
    except DoorOffline:
        return look.go(f"/doors/{door_id}", said=look.say("doors.unlock_no_link", name=door.name))
    said = look.say(f"doors.unlock_{answer.outcome}", name=door.name, sentence=answer.sentence)
    return look.go(f"/doors/{door_id}", said=said)


@form("/doors/{door_id:int}/hold", needs="doors:unlock")
async def hold(look: Look, door_id: int) -> Response[Any]:
    minutes = (await look.form()).get("minutes", "")
    try:
        draft = DoorModeDraft("unlocked", minutes=whole(minutes, "minutes", look.say("doors.minutes_wrong")))
        return await _set(look, door_id, draft)
    except Invalid as refused:
        return await _show(look, door_id, wrong_of(refused), minutes)


@form("/doors/{door_id:int}/lock", needs="doors:unlock")
async def lock(look: Look, door_id: int) -> Response[Any]:
    return await _set(look, door_id, DoorModeDraft("locked"))


@form("/doors/{door_id:int}/normal", needs="doors:unlock")
async def normal(look: Look, door_id: int) -> Response[Any]:
    return await _set(look, door_id, DoorModeDraft("access_control"))


async def _set(look: Look, id: int, draft: DoorModeDraft) -> Response[Any]:
    """Sets a mode; the next page says what it is now, and whether the door has it already."""
    await look.cloud.set_mode(id, draft)
    door, state, where = await asyncio.gather(
        look.cloud.get_access_point(id), _settled(look.cloud, id), places(look.cloud)
    )
    arrived = "nobody" if state.confirmed is None else "applied" if state.confirmed else f"pending_{state.link}"
    stands = mode_sentence(state, look.say, where, door.site_id)
    said = look.say("doors.mode_said", name=door.name, stands=stands, arrived=look.say(f"doors.mode_{arrived}"))
    return look.go(f"/doors/{id}", said=said)


async def _settled(cloud: Client, door: int) -> DoorState:
    """How the door is when it has confirmed its mode, or when it is not worth waiting any longer."""
    until = asyncio.get_running_loop().time() + CONFIRMS_WITHIN
    while True:
        state = await cloud.get_door_state(door)
        is_late = asyncio.get_running_loop().time() >= until
        if state.confirmed is not False or state.link != "online" or is_late:
            return state
        await asyncio.sleep(0.1)


endpoints = [show, unlock, hold, lock, normal]
