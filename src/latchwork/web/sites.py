"""Sites with their doors: the list, and the forms that make and change them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import available_timezones

from litestar import Response

from latchwork.web.forms import NOTHING_WRONG, Wrong, check_name, decimal, id_of, kept, wrong_of
from latchwork.web.look import Look, form, page
from latchwork.web.overtaken import known_in, overtaken
from latchwork.web.places import Places, everything, places
from latchwork.web.standing import Tag, alarm_tags, link_tag, mode_tags
from latchwork.wire.api.passages import DoorState
from latchwork.wire.api.problems import Conflict, Invalid, NotFound, Outdated
from latchwork.wire.api.sites import AccessPoint, AccessPointDraft, AccessPointPatch, Site, SiteDraft, SitePatch

DOORS: Final = 100
"""How many a page lists."""
ZONES: Final = [*sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")), "UTC"]

WHOLE: Final = "organisation:write"
"""The scope of whoever runs the whole organisation; a site's administrator changes doors, and makes none."""


@dataclass(frozen=True, slots=True)
class DoorRow:
    door: AccessPoint
    tags: list[Tag]


@dataclass(frozen=True, slots=True)
class SiteRows:
    site: Site
    doors: list[DoorRow]


# ------------------------------------------------------------------------------------------------- the list


@page("/doors", needs="doors:unlock")
async def show(look: Look) -> Response[str]:
    """Sites with their doors, a page of doors at a time; `?site=` shows one site alone."""
    site, cursor = id_of(look.query.get("site")), look.query.get("cursor")
    where, doors, states = await asyncio.gather(
        places(look.cloud),
        look.cloud.page_access_points(site=site, limit=DOORS, cursor=cursor),
        look.cloud.page_door_states(site=site, limit=DOORS, cursor=cursor),
    )
    if site is not None and site not in where.sites:
        raise NotFound
    known = {state.access_point_id: state for state in states.items}
    rows = [DoorRow(door, _tags(known.get(door.id), look)) for door in doors.items]
    return look.show(
        "doors/doors.html",
        sites=_by_site(where, rows, site, is_first=cursor is None),
        chosen=where.sites.get(site) if site is not None else None,
        is_first=cursor is None,
        more=_more(site, doors.next_cursor),
        is_whole=is_whole(look),
    )


def is_whole(look: Look) -> bool:
    """Whether somebody looks after the whole organisation: sites and new doors are theirs to make."""
    return look.may(WHOLE)


def _tags(state: DoorState | None, look: Look) -> list[Tag]:
    if state is None:
        return []
    return [*alarm_tags(state, look.say), *mode_tags(state, look.say), link_tag(state.link, look.say)]


def _by_site(where: Places, rows: list[DoorRow], site: int | None, is_first: bool) -> list[SiteRows]:
    """Sites by name with their doors by name; on the first page also sites without doors."""
    shown = [each for id, each in where.sites.items() if site in (None, id)]
    grouped = [SiteRows(each, [row for row in rows if row.door.site_id == each.id]) for each in shown]
    for each in grouped:
        each.doors.sort(key=lambda row: row.door.name.casefold())
    return sorted((each for each in grouped if each.doors or is_first), key=lambda each: each.site.name.casefold())


def _more(site: int | None, cursor: str | None) -> str:
    """The link to the next page; empty: this is the last."""
    fields = {"site": site, "cursor": cursor}
    return "/doors?" + urlencode({name: value for name, value in fields.items() if value}) if cursor else ""


# ------------------------------------------------------------------------------------------------- sites


@page("/doors/sites/new", needs=WHOLE)
async def new_site(look: Look) -> Response[str]:
    return _site_form(look, None, {"timezone": "Europe/London"})


@form("/doors/sites/new", needs=WHOLE)
async def add_site(look: Look) -> Response[Any]:
    fields = await look.form()
    try:
        await _check_site_name(look, fields)
        site = await look.cloud.add_site(SiteDraft(**_site_fields(fields)), idempotency_key=await look.once())
    except Invalid as refused:
        return _site_form(look, None, fields, wrong_of(refused))
    return look.go(f"/doors?site={site.id}", said=look.say("doors.site_made", name=site.name))


@page("/doors/sites/{site_id:int}", needs=WHOLE)
async def site(look: Look, site_id: int) -> Response[str]:
    found = await look.cloud.get_site(site_id)
    return _site_form(look, found, _site_shown(found))


@form("/doors/sites/{site_id:int}", needs=WHOLE)
async def change_site(look: Look, site_id: int) -> Response[Any]:
    fields, now = await look.form(), await look.cloud.get_site(site_id)
    known = known_in(fields, now)
    try:
        if fields.get("name", "").strip() != known.name:
            await _check_site_name(look, fields, site_id)
        site = await look.cloud.change_site(site_id, SitePatch(**_site_fields(fields)), version=known.version)
    except Invalid as refused:
        return _site_form(look, known, fields, wrong_of(refused))
    except Outdated:
        now = await look.cloud.get_site(site_id)
        fields = kept(fields, _site_shown(known), _site_shown(now))
        return _site_form(look, now, fields, await overtaken(look, known, now, f"site/{site_id}"))
    return look.go("/doors", said=look.say("doors.site_changed", name=site.name))


@form("/doors/sites/{site_id:int}/delete", needs=WHOLE)
async def remove_site(look: Look, site_id: int) -> Response[Any]:
    found = await look.cloud.get_site(site_id)
    try:
        await look.cloud.remove_site(site_id)
    except Conflict as refused:
        return _site_form(look, found, _site_shown(found), wrong_of(refused))
    return look.go("/doors", said=look.say("doors.site_deleted", name=found.name))


async def _check_site_name(look: Look, fields: Mapping[str, str], own: int | None = None) -> None:
    """Raises Invalid: nobody could tell two sites of one name apart."""
    sites = await everything(look.cloud.page_sites())
    check_name(fields.get("name", "").strip(), sites, look.say("doors.site_named_so"), own)


async def _check_door_name(look: Look, name: str, site: int, own: int | None = None) -> None:
    """Raises Invalid: another site may have a front door, too, but no site has two."""
    doors = await everything(look.cloud.page_access_points(site=site))
    check_name(name, doors, look.say("doors.named_so"), own)


def _site_shown(site: Site) -> dict[str, str]:
    """A site as its form's fields have it."""
    return {"name": site.name, "location": site.location, "timezone": site.timezone}


def _site_fields(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: fields.get(name, "").strip() for name in ("name", "location", "timezone")}


def _site_form(look: Look, site: Site | None, fields: Mapping[str, str], wrong: Wrong = NOTHING_WRONG) -> Response[str]:
    return look.show("doors/site.html", wrong.status, site=site, fields=fields, wrong=wrong, zones=ZONES)


# ------------------------------------------------------------------------------------------------- doors


@page("/doors/new", needs=WHOLE)
async def new_door(look: Look) -> Response[str]:
    """`?site=`: where it will be."""
    draft = AccessPointDraft(id_of(look.query.get("site")) or 0, "")
    return await _door_form(look, None, _shown(draft))


@form("/doors/new", needs=WHOLE)
async def add_door(look: Look) -> Response[Any]:
    fields = await look.form()
    try:
        draft = AccessPointDraft(site_id=id_of(fields.get("siteId")) or 0, **_door_fields(look, fields))
        await _check_door_name(look, draft.name, draft.site_id)
        door = await look.cloud.add_access_point(draft, idempotency_key=await look.once())
    except (Invalid, NotFound) as refused:
        return await _door_form(look, None, fields, wrong_of(refused))
    return look.go(f"/doors/{door.id}", said=look.say("doors.made", name=door.name))


@page("/doors/{door_id:int}/change", needs="sites:write")
async def door(look: Look, door_id: int) -> Response[str]:
    found = await look.cloud.get_access_point(door_id)
    return await _door_form(look, found, _shown(found))


@form("/doors/{door_id:int}/change", needs="sites:write")
async def change_door(look: Look, door_id: int) -> Response[Any]:
    fields, now = await look.form(), await look.cloud.get_access_point(door_id)
    known = known_in(fields, now)
    try:
        given = _door_fields(look, fields)
        if given["name"] != known.name:
            await _check_door_name(look, given["name"], now.site_id, door_id)
        patch = AccessPointPatch(**given)
        changed = await look.cloud.change_access_point(door_id, patch, version=known.version)
    except Invalid as refused:
        return await _door_form(look, known, fields, wrong_of(refused))
    except Outdated:
        now = await look.cloud.get_access_point(door_id)
        fields = kept(fields, _shown(known), _shown(now))
        return await _door_form(look, now, fields, await overtaken(look, known, now, f"access_point/{door_id}"))
    return look.go(f"/doors/{door_id}", said=look.say("doors.changed", name=changed.name))


@form("/doors/{door_id:int}/delete", needs=WHOLE)
async def remove_door(look: Look, door_id: int) -> Response[Any]:
    found = await look.cloud.get_access_point(door_id)
    await look.cloud.remove_access_point(door_id)
    return look.go("/doors", said=look.say("doors.deleted", name=found.name))


def _shown(door: AccessPoint | AccessPointDraft) -> dict[str, str]:
    """A door as its form's fields have it."""
    ticks = {name: "on" for name, ticked in (("needsPin", door.needs_pin), ("isDefault", door.is_default)) if ticked}
    return {
        "siteId": str(door.site_id),
        "name": door.name,
        "zone": door.zone,
        "entryReader": door.entry_reader or "",
        "exitReader": door.exit_reader or "",
        "strikeSeconds": f"{door.strike_seconds:g}",
        "heldSeconds": f"{door.held_seconds:g}",
        "degraded": door.degraded,
        "controllerId": str(door.controller_id or ""),
        **ticks,
    }


def _door_fields(look: Look, fields: Mapping[str, str]) -> dict[str, Any]:
    """What both drafts and patches take; raises Invalid. Which controller runs it is left to who may say so."""
    number = look.say("doors.number")
    given: dict[str, Any] = {
        "name": fields.get("name", "").strip(),
        "zone": fields.get("zone", "").strip(),
        "entry_reader": fields.get("entryReader", "").strip() or None,
        "exit_reader": fields.get("exitReader", "").strip() or None,
        "strike_seconds": decimal(fields.get("strikeSeconds", ""), "strikeSeconds", number),
        "held_seconds": decimal(fields.get("heldSeconds", ""), "heldSeconds", number),
        "needs_pin": "needsPin" in fields,
        "is_default": "isDefault" in fields,
        "degraded": "admit" if fields.get("degraded") == "admit" else "refuse",
    }
    return {**given, "controller_id": id_of(fields.get("controllerId"))} if "controllerId" in fields else given


async def _door_form(
    look: Look, door: AccessPoint | None, fields: Mapping[str, str], wrong: Wrong = NOTHING_WRONG
) -> Response[str]:
    return look.show(
        "doors/change.html",
        wrong.status,
        door=door,
        fields=fields,
        wrong=wrong,
        where=await places(look.cloud),
        is_whole=is_whole(look),
    )


endpoints = [
    show,
    new_site,
    add_site,
    site,
    change_site,
    remove_site,
    new_door,
    add_door,
    door,
    change_door,
    remove_door,
]
