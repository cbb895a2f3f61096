"""One person: doors and where each has arrived, cards, PIN, log-in, what they did last; and every change of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any, Final, Literal, TypeVar

from litestar import Response

from latchwork.web import clocks, person_form, phones
from latchwork.web.catalogue import Say
from latchwork.web.forms import NOTHING_WRONG, Wrong, wrong_of
from latchwork.web.lines import Moment, moment, moment_in
from latchwork.web.look import Look, form, page
from latchwork.web.overtaken import known_in, overtaken
from latchwork.web.passages import zone_of
from latchwork.web.people import check_email, choices, row, sites
from latchwork.web.people import chief as chief_of
from latchwork.web.places import Places, everything
from latchwork.web.standing import Stand, stand_of
from latchwork.wire.api.passages import CardEnrolmentDraft, DoorOffline, NoCardPresented, Passage
from latchwork.wire.api.people import (
    Card,
    CardDraft,
    GrantDraft,
    Permission,
    PermissionsPatch,
    Schedule,
    User,
    UserPatch,
)
from latchwork.wire.api.problems import Conflict, Forbidden, Invalid, NotFound, Outdated, Problem
from latchwork.wire.api.sessions import Account
from latchwork.wire.api.sites import AccessPoint

T = TypeVar("T")

LAST: Final = 10
"""Passages shown."""
CARD_SECONDS: Final = 30
"""How long a reader waits for a card that is enrolled."""

# ------------------------------------------------------------------------------------------------- what is shown


@dataclass(frozen=True, slots=True)
class DoorRow:
    """A door that somebody has, gets or loses."""

    id: int
    name: str
    site: str
    has_controller: bool
    state: Stand | Literal["shut", "unheard"]
    """`shut`, `unheard`: of somebody whom no door should let in; the door knows it, or does not yet."""
    since: Moment | None
    limits: Sequence[str]
    """From, until, schedule, in words; empty: always."""


@dataclass(frozen=True, slots=True)
class Doors:
    """The part of the page that follows by itself what the doors confirm."""

    rows: Sequence[DoorRow]
    free: Sequence[tuple[str, Sequence[AccessPoint]]]
    """Doors that can be given, by site."""
    schedules: Sequence[Schedule]

    @property
    def is_settled(self) -> bool:
        return all(row.state in ("assigned", "over", "early", "shut") for row in self.rows)


@dataclass(frozen=True, slots=True)
class Visit:
    """An entry or a refusal."""

    passage: Passage
    when: Moment


def door_rows(
    say: Say,
    permissions: Sequence[Permission],
    doors: Mapping[int, AccessPoint],
    places: Places,
    schedules: Mapping[int, Schedule],
) -> list[DoorRow]:
    """By site and name; what is being taken away comes last."""
    rows = [_door_row(say, each, doors.get(each.access_point_id), places, schedules) for each in permissions]
    return sorted(rows, key=lambda row: (row.state == "removing", row.site.casefold(), row.name.casefold(), row.id))


def shut_rows(rows: Sequence[DoorRow], unheard: Collection[int]) -> list[DoorRow]:
    """The doors of somebody whom no door should let in; `unheard`: those that may not have heard of it."""
    return [replace(row, state="unheard" if row.id in unheard else "shut", since=None) for row in rows]


def _door_row(
    say: Say, given: Permission, door: AccessPoint | None, places: Places, schedules: Mapping[int, Schedule]
) -> DoorRow:
    site = door.site_id if door else None
    return DoorRow(
        id=given.access_point_id,
        name=door.name if door else say("person.door", id=given.access_point_id),
        site=places.site_name(site),
        has_controller=door is None or door.controller_id is not None,
        state=stand_of(given, time.time()),
        since=None if given.since is None else moment(given.since, places, site),
        limits=limits(say, given, places.zone(site), schedules),
    )


def limits(say: Say, given: Permission, zone: tzinfo, schedules: Mapping[int, Schedule]) -> list[str]:
    """When a permission holds, in words."""
    schedule = schedules.get(given.schedule_id or 0)
    words = [
        say("person.from", at=clocks.written(given.starts_at, zone, say)) if given.starts_at is not None else "",
        say("person.until", at=clocks.written(given.ends_at, zone, say)) if given.ends_at is not None else "",
        say("person.on_schedule", name=schedule.name if schedule else "") if given.schedule_id is not None else "",
    ]
    return [each for each in words if each]


def free_doors(
    doors: Sequence[AccessPoint], held: Collection[int], places: Places
) -> list[tuple[str, list[AccessPoint]]]:
    """The doors that somebody does not have, by site."""
    by_site: dict[int, list[AccessPoint]] = {}
    for door in sorted(doors, key=lambda door: door.name.casefold()):
        if door.id not in held:
            by_site.setdefault(door.site_id, []).append(door)
    named = [(places.sites[id].name if id in places.sites else "", found) for id, found in by_site.items()]
    return sorted(named, key=lambda one: one[0].casefold())


# ------------------------------------------------------------------------------------------------- the page


@page("/people/{user_id:int}", needs="users:read")
async def show(look: Look, user_id: int) -> Response[str]:
    if look.is_part:
        user, where = await asyncio.gather(look.cloud.get_user(user_id), sites(look))
        return look.show("people/doors.html", user_id=user_id, doors=await _doors(look, user, where))
    return await _page(look, user_id)


async def _page(look: Look, user_id: int, refused: Problem | None = None) -> Response[str]:
    """The whole page; `refused`: what went wrong with a form of it."""
    user, where = await asyncio.gather(look.cloud.get_user(user_id), sites(look))
    doors, cards, account, last = await asyncio.gather(
        _doors(look, user, where),
        look.cloud.list_cards(user_id),
        _account(look, user_id),
        _last(look, user_id),
    )
    home = where.sites.get(user.home_site_id or 0)
    zone = _zone(user, where, last)
    held, apps = await phones.of_person(look, user_id, zone)
    return look.show(
        "people/person.html",
        refused.status if refused else 200,
        user=user,
        user_id=user_id,
        state=row(user, time.time()).state,
        home=home.name if home else "",
        admin_of=[where.sites[id].name for id in user.admin_of_sites if id in where.sites],
        terms=await _terms(look, user),
        chief=await _name(look, user.reporting_to),
        expires=clocks.written(user.access_expires_at, zone, look.say) if user.access_expires_at is not None else "",
        deactivated=moment_in(user.deactivated_at, zone) if user.deactivated_at is not None else None,
        doors=doors,
        cards=[(card, moment_in(card.created_at, zone)) for card in cards],
        phones=held,
        apps=apps,
        readers=await _readers(look),
        account=account,
        seen=_seen(account, zone),
        last=last,
        card_seconds=CARD_SECONDS,
        wrong=told(refused) if refused else "",
    )


def told(refused: Problem) -> str:
    """What is wrong, in a sentence or a few."""
    return " ".join(error.detail for error in refused.errors) or refused.detail


def _seen(account: Account | None, zone: tzinfo) -> Moment | None:
    at = account.last_log_in_at if account else None
    return None if at is None else moment_in(at, zone)


def _zone(user: User, where: Places, last: Sequence[Visit] | None) -> tzinfo:
    """Of their home site; of where they were last, for whoever may not see that site."""
    zone = where.zone(user.home_site_id)
    return zone_of(last[0].passage.timezone) if zone is UTC and last else zone


async def _doors(look: Look, user: User, where: Places) -> Doors | None:
    """None: whoever looks may not know."""
    if not look.may("permissions:read"):
        return None
    permissions, doors, schedules = await asyncio.gather(
        everything(look.cloud.page_permissions(user.id)),
        _all_doors(look),
        everything(look.cloud.page_schedules()),
    )
    known, weeks = {door.id: door for door in doors}, {schedule.id: schedule for schedule in schedules}
    held = {each.access_point_id for each in permissions if each.state != "removing"}
    rows = door_rows(look.say, permissions, known, where, weeks)
    if rows and row(user, time.time()).state != "active":
        rows = shut_rows(rows, await _behind(look))
    return Doors(rows, free_doors(doors, held, where) if look.may("permissions:write") else [], schedules)


async def _behind(look: Look) -> set[int]:
    """The doors whose controllers have not confirmed everything yet; those of nobody who may not ask."""
    if not look.may("sites:read"):
        return set()
    states = await everything(look.cloud.page_door_states())
    return {state.access_point_id for state in states if state.pending_since is not None}


async def _all_doors(look: Look) -> list[AccessPoint]:
    return await everything(look.cloud.page_access_points()) if look.may("sites:read") else []


async def _readers(look: Look) -> list[AccessPoint]:
    """The doors at which a card can be enrolled."""
    if not look.may("users:write"):
        return []
    return [door for door in await _all_doors(look) if door.controller_id is not None and door.entry_reader]


async def _account(look: Look, user_id: int) -> Account | None:
    try:
        return await look.cloud.get_user_account(user_id)
    except NotFound:
        return None


async def _last(look: Look, user_id: int) -> list[Visit] | None:
    """Newest first; None: whoever looks may not know."""
    if not look.may("events:read"):
        return None
    found = (await look.cloud.page_passages(user=user_id, limit=LAST)).items
    return [Visit(passage, moment_in(passage.at, zone_of(passage.timezone))) for passage in found]


async def _terms(look: Look, user: User) -> list[str]:
    if not user.terms:
        return []
    return [term.name for term in await look.cloud.list_terms() if term.id in user.terms]


async def _name(look: Look, user_id: int | None) -> tuple[int, str] | None:
    """Somebody's id and name; None: nobody, or nobody that whoever looks may see."""
    if user_id is None:
        return None
    try:
        return user_id, (await look.cloud.get_user(user_id)).name
    except (NotFound, Forbidden):
        return None


# ------------------------------------------------------------------------------------------------- what is changed


async def _done(look: Look, user_id: int, act: Awaitable[Any], said: str, **values: Any) -> Response[Any]:
    """What was asked for, and then the page, which says that it was done, or why not."""
    try:
        await act
    except (Invalid, Conflict, Forbidden, DoorOffline, NoCardPresented, Outdated) as refused:
        return await _page(look, user_id, refused)
    return look.go(f"/people/{user_id}", said=look.say(said, **values))


@page("/people/{user_id:int}/edit", needs="users:write")
async def edit(look: Look, user_id: int) -> Response[str]:
    user = await look.cloud.get_user(user_id)
    return await _edit(look, user, await _shown(look, user))


@form("/people/{user_id:int}/edit", needs="users:write")
async def change(look: Look, user_id: int) -> Response[Any]:
    """Only what differs, and only if nobody changed the person since the form was shown."""
    fields = await look.fields()
    known = known_in(dict(fields), await look.cloud.get_user(user_id))
    offered = {role.name for role in await look.cloud.list_roles() if role.may_give}
    filled = person_form.read(fields, keep=[role for role in known.roles if role not in offered])
    is_asked = any(name == "reportingTo" for name, _ in fields)
    try:
        await check_email(look, filled.texts["email"], fields, own=known)
        filled = replace(filled, chief_id=await chief_of(look, filled.chief) if is_asked else known.reporting_to)
        patch = filled.patch((await sites(look)).zone(known.home_site_id), look.say, known)
        await look.cloud.change_user(user_id, patch, version=known.version)
    except Outdated:
        now = await look.cloud.get_user(user_id)
        filled = filled.kept(await _shown(look, known), await _shown(look, now))
        return await _edit(look, now, filled, await overtaken(look, known, now, f"user/{user_id}"))
    except Problem as refused:
        return await _edit(look, known, filled, wrong_of(refused))
    return look.go(f"/people/{user_id}", said=look.say("person.changed"))


async def _shown(look: Look, user: User) -> person_form.PersonForm:
    """A user as their form shows them."""
    chief = await _name(look, user.reporting_to)
    return person_form.form_of(user, (await sites(look)).zone(user.home_site_id), chief[1] if chief else "")


async def _edit(look: Look, user: User, filled: person_form.PersonForm, wrong: Wrong = NOTHING_WRONG) -> Response[str]:
    chosen = await choices(look)
    offered = {role.name for role in chosen.roles}
    return look.show(
        "people/edit.html",
        wrong.status,
        user=user,
        form=filled,
        choices=chosen,
        kept=[role for role in user.roles if role not in offered],
        wrong=wrong,
    )


@form("/people/{user_id:int}/active", needs="users:write")
async def activate(look: Look, user_id: int) -> Response[Any]:
    """`active`: yes or no."""
    active = (await look.form()).get("active") == "yes"
    changing = look.cloud.change_user(user_id, UserPatch(is_active=active))
    return await _done(look, user_id, changing, "person.activated" if active else "person.deactivated")


@page("/people/{user_id:int}/delete", needs="users:write")
async def delete_page(look: Look, user_id: int) -> Response[str]:
    """What will be gone."""
    user, account = await asyncio.gather(look.cloud.get_user(user_id), _account(look, user_id))
    doors = await everything(look.cloud.page_permissions(user_id)) if look.may("permissions:read") else []
    held = sum(each.state != "removing" for each in doors)
    return look.show("people/delete.html", user=user, account=account, doors=held)


@form("/people/{user_id:int}/delete", needs="users:write")
async def delete(look: Look, user_id: int) -> Response[Any]:
    user = await look.cloud.get_user(user_id)
    try:
        await look.cloud.remove_user(user_id)
    except (Conflict, Forbidden) as refused:
        return await _page(look, user_id, refused)
    return look.go("/people", said=look.say("person.deleted", name=user.name))


# Doors


def grant(fields: Mapping[str, str], door: int, zone: tzinfo, say: Say) -> GrantDraft:
    """A door with the limits of a form, on the clock of the door's site; raises Invalid."""
    try:
        starts, ends = (clocks.typed(fields.get(name, ""), zone) for name in ("startsAt", "endsAt"))
    except (ValueError, OverflowError):
        raise Invalid(say("people.no_time")) from None
    return GrantDraft(door, starts, ends, person_form.number(fields.get("schedule")))


@form("/people/{user_id:int}/doors", needs="permissions:write")
async def give(look: Look, user_id: int) -> Response[Any]:
    """The doors that are ticked, with the same limits, each on its own site's clock."""
    fields = await look.fields()
    doors = person_form.ids(fields, "door")
    if not doors:
        return look.go(f"/people/{user_id}", said=look.say("person.no_door_ticked"))
    where, known = await sites(look), {door.id: door.site_id for door in await _all_doors(look)}

    async def giving() -> None:
        grants = [grant(dict(fields), door, where.zone(known.get(door)), look.say) for door in doors]
        await look.cloud.change_permissions(user_id, PermissionsPatch(add=grants))

    return await _done(look, user_id, giving(), "person.given" if len(doors) == 1 else "person.given_some")


@page("/people/{user_id:int}/doors/{door_id:int}", needs="permissions:write")
async def door_page(look: Look, user_id: int, door_id: int) -> Response[str]:
    """When the permission for a door holds."""
    given = await _permission(look, user_id, door_id)
    zone = (await sites(look)).zone((await look.cloud.get_access_point(door_id)).site_id)
    values = {
        "startsAt": clocks.field(given.starts_at, zone),
        "endsAt": clocks.field(given.ends_at, zone),
        "schedule": str(given.schedule_id or ""),
    }
    return await _door_page(look, user_id, door_id, values)


@form("/people/{user_id:int}/doors/{door_id:int}", needs="permissions:write")
async def change_door(look: Look, user_id: int, door_id: int) -> Response[Any]:
    fields = await look.form()
    await _permission(look, user_id, door_id)
    door = await look.cloud.get_access_point(door_id)
    try:
        changed = grant(fields, door_id, (await sites(look)).zone(door.site_id), look.say)
        await look.cloud.change_permissions(user_id, PermissionsPatch(add=[changed]))
    except (Invalid, Conflict) as refused:
        return await _door_page(look, user_id, door_id, fields, refused)
    return look.go(f"/people/{user_id}", said=look.say("person.limits_changed", door=door.name))


async def _door_page(
    look: Look, user_id: int, door_id: int, values: Mapping[str, str], refused: Problem | None = None
) -> Response[str]:
    user, door, schedules = await asyncio.gather(
        look.cloud.get_user(user_id),
        look.cloud.get_access_point(door_id),
        everything(look.cloud.page_schedules()),
    )
    return look.show(
        "people/limits.html",
        refused.status if refused else 200,
        user=user,
        door=door,
        values=values,
        schedules=schedules,
        wrong=told(refused) if refused else "",
    )


async def _permission(look: Look, user_id: int, door_id: int) -> Permission:
    """Raises NotFound when somebody does not have the door."""
    async for each in look.cloud.page_permissions(user_id):
        if each.access_point_id == door_id and each.state != "removing":
            return each
    raise NotFound


@form("/people/{user_id:int}/doors/{door_id:int}/take", needs="permissions:write")
async def take(look: Look, user_id: int, door_id: int) -> Response[Any]:
    taking = look.cloud.change_permissions(user_id, PermissionsPatch(remove=[door_id]))
    return await _done(look, user_id, taking, "person.taken")


@form("/people/{user_id:int}/doors/{door_id:int}/withdraw", needs="permissions:write")
async def withdraw(look: Look, user_id: int, door_id: int) -> Response[Any]:
    """Where the door confirmed it meanwhile, it stays, and the page says so."""
    changed = await look.cloud.change_permissions(user_id, PermissionsPatch(withdraw=[door_id]))
    stays = any(each.access_point_id == door_id and each.state == "assigned" for each in changed.permissions)
    return look.go(f"/people/{user_id}", said=look.say("person.too_late" if stays else "person.withdrawn"))


# Cards and PIN


@form("/people/{user_id:int}/cards", needs="users:write")
async def add_card(look: Look, user_id: int) -> Response[Any]:
    digits = (await look.form()).get("number", "").replace(" ", "")

    async def adding() -> Card:
        if (card := person_form.number(digits)) is None:
            raise Invalid(look.say("person.card_wrong"))
        return await look.cloud.add_card(user_id, CardDraft(card))

    return await _done(look, user_id, adding(), "person.card_added", digits=digits[-4:])


@form("/people/{user_id:int}/cards/enrol", needs="users:write")
async def enrol_card(look: Look, user_id: int) -> Response[Any]:
    """Answers when a card was presented, or nobody did in time."""
    door = person_form.number((await look.form()).get("door"))
    try:
        card = await look.cloud.enrol_card(door or 0, CardEnrolmentDraft(user_id, CARD_SECONDS))
    except (Conflict, Forbidden, DoorOffline, NoCardPresented) as refused:
        return await _page(look, user_id, refused)
    return look.go(f"/people/{user_id}", said=look.say("person.card_added", digits=card.last_digits))


@form("/people/{user_id:int}/cards/{card_id:int}/remove", needs="users:write")
async def remove_card(look: Look, user_id: int, card_id: int) -> Response[Any]:
    return await _done(look, user_id, look.cloud.remove_card(user_id, card_id), "person.card_removed")


@form("/people/{user_id:int}/pin", needs="users:write")
async def set_pin(look: Look, user_id: int) -> Response[Any]:
    pin = (await look.form()).get("pin", "")
    return await _done(look, user_id, look.cloud.change_user(user_id, UserPatch(pin=pin)), "person.pin_set")


@form("/people/{user_id:int}/pin/remove", needs="users:write")
async def remove_pin(look: Look, user_id: int) -> Response[Any]:
    return await _done(look, user_id, look.cloud.change_user(user_id, UserPatch(pin=None)), "person.pin_removed")


# Log-in


@form("/people/{user_id:int}/invite", needs="users:write")
async def invite(look: Look, user_id: int) -> Response[Any]:
    """Shows the link this once: it stands in no URL and no cookie. The same form sent again makes none."""
    try:
        invitation = await look.cloud.invite_user(user_id, idempotency_key=await look.once())
    except (Invalid, Conflict, Forbidden) as refused:
        return await _page(look, user_id, refused)
    user, where = await look.cloud.get_user(user_id), await sites(look)
    until = clocks.written(invitation.expires_at, where.zone(user.home_site_id), look.say)
    return look.show("people/invited.html", user=user, invitation=invitation, until=until)


@form("/people/{user_id:int}/log-in/remove", needs="users:write")
async def remove_log_in(look: Look, user_id: int) -> Response[Any]:
    return await _done(look, user_id, look.cloud.remove_user_account(user_id), "person.log_in_removed")


endpoints = [
    show,
    edit,
    change,
    activate,
    delete_page,
    delete,
    give,
    door_page,
    change_door,
    take,
    withdraw,
    add_card,
    enrol_card,
    remove_card,
    set_pin,
    remove_pin,
    invite,
    remove_log_in,
]
