"""People: the list, somebody new, many at once from a spreadsheet and back."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Response
from litestar.response import Stream

from latchwork.sdk.client import Client
from latchwork.web.catalogue import Say
from latchwork.web.differences import Difference, differences
from latchwork.web.forms import MOMENT
from latchwork.web.look import NO_STORE, Look, form, page
from latchwork.web.person_form import PersonForm, by_field, number, read
from latchwork.web.places import NOWHERE, Places, everything, places
from latchwork.wire import sheet
from latchwork.wire.api.people import Role, Term, User, UserChanged, UsersImport
from latchwork.wire.api.problems import FieldError, Invalid, Problem

ON_A_PAGE: Final = 50
EXPORTED_AT_ONCE: Final = 2_000
FOUND: Final = 20
"""People that a field suggests."""
PREVIEWED: Final = 10
"""Lines of a sheet that are shown before it is taken in."""
_ACTIVE: Final = {"yes": True, "no": False}
_TEMPLATE: Final = ("name", "email", "phone", "employeeCode", "homeSiteId", "roles", "accessPoints", "accessExpiresAt")
"""The columns that a newcomer needs; docs name the others."""

# ------------------------------------------------------------------------------------------------- the list


@dataclass(frozen=True, slots=True)
class Row:
    """Somebody in the list."""

    user: User
    state: str
    """`active`, `expired` or `deactivated`."""


def row(user: User, now: float) -> Row:
    expired = user.access_expires_at is not None and user.access_expires_at <= now
    return Row(user, "deactivated" if not user.is_active else "expired" if expired else "active")


@page("/people", needs="users:read")
async def show(look: Look) -> Response[str]:
    """`?search=` as the API finds people, `?active=yes|no`, `?cursor=`."""
    query = look.query
    search, active = query.get("search", "").strip(), query.get("active", "")
    listing = look.cloud.page_users(
        search=search or None, active=_ACTIVE.get(active), limit=ON_A_PAGE, cursor=query.get("cursor")
    )
    found = await listing
    filters = {name: value for name, value in (("search", search), ("active", active)) if value}
    return look.show(
        "people/list.html" if look.is_part else "people/people.html",
        rows=[row(user, time.time()) for user in found.items],
        search=search,
        active=active,
        first=_linked(filters) if query.get("cursor") else "",
        next=_linked({**filters, "cursor": found.next_cursor}) if found.next_cursor else "",
        may_import=may_import(look),
    )


def _linked(query: dict[str, str]) -> str:
    return "/people?" + urlencode(query) if query else "/people"


def may_import(look: Look) -> bool:
    """An import may concern everybody: it is offered to whoever runs the whole organisation."""
    return look.may("organisation:write")


# ------------------------------------------------------------------------------------------------- somebody new


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be chosen in the form of a person."""

    places: Places
    roles: Sequence[Role]
    """Those that whoever looks may give."""
    terms: Sequence[Term]
    default_doors: Sequence[str]


async def choices(look: Look) -> Choices:
    doors = await everything(look.cloud.page_access_points()) if look.may("sites:read") else []
    return Choices(
        await sites(look),
        [role for role in await look.cloud.list_roles() if role.may_give],
        await look.cloud.list_terms(),
        sorted(door.name for door in doors if door.is_default),
    )


async def sites(look: Look) -> Places:
    """The sites that whoever looks may see."""
    if not look.may("sites:read"):
        return NOWHERE
    return Places({site.id: site for site in await everything(look.cloud.page_sites())}, {}, {})


@page("/people/new", needs="users:write")
async def new(look: Look) -> Response[str]:
    return await _new(look, PersonForm())


@form("/people/new", needs="users:write")
async def add(look: Look) -> Response[Any]:
    fields = await look.fields()
    filled = read(fields)
    try:
        await check_email(look, filled.texts["email"], fields)
        filled = replace(filled, chief_id=await chief(look, filled.chief))
        zone = (await sites(look)).zone(filled.home_site)
        user = await look.cloud.add_user(filled.draft(zone, look.say), idempotency_key=await look.once())
    except Problem as refused:
        return await _new(look, filled, refused)
    return look.go(f"/people/{user.id}", said=look.say("people.added", name=user.name))


async def check_email(look: Look, email: str, fields: Sequence[tuple[str, str]], own: User | None = None) -> None:
    """Raises Invalid when somebody else has this e-mail, unless that is meant so. `own`: who has it or gets it.

    Somebody who was made a moment ago may be the same form, sent twice: the API tells.
    """
    if not email or ("emailAnyway", "yes") in fields or (own and own.email.casefold() == email.casefold()):
        return
    before = time.time() - MOMENT
    for other in (await look.cloud.page_users(search=email, limit=FOUND)).items:
        if other.email.casefold() == email.casefold() and other.created_at < before:
            sentence = look.say("people.email_taken", name=other.name)
            raise Invalid(errors=[FieldError("email", sentence), FieldError("emailAnyway", sentence)])


async def chief(look: Look, typed: str) -> int | None:
    """Whom somebody reports to: "Mia (9)", or a name that only one person has. Raises Invalid at the field."""
    if numbered := re.search(r"\((\d{1,9})\)$", typed):
        return int(numbered[1])
    found = (await look.cloud.page_users(search=typed)).items if typed else []
    ids = [user.id for user in found if user.name.casefold() == typed.casefold()]
    if typed and len(ids) != 1:
        sentence = look.say("people.several_called_so" if ids else "people.nobody_called_so")
        raise Invalid(errors=[FieldError("reportingTo", sentence)])
    return ids[0] if ids else None


@page("/people/names", needs="users:write")
async def names(look: Look) -> Response[str]:
    """The people that the form suggests."""
    found = await look.cloud.page_users(search=look.query.get("search", "").strip()[:200] or None, limit=FOUND)
    return look.show("people/names.html", users=found.items)


async def _new(look: Look, filled: PersonForm, refused: Problem | None = None) -> Response[str]:
    return look.show(
        "people/new.html",
        refused.status if refused else 200,
        form=filled,
        choices=await choices(look),
        errors=by_field(refused.errors) if refused else {},
        wrong=refused.detail if refused and not refused.errors else "",
    )


# ------------------------------------------------------------------------------------------------- many at once


@page("/people/import", needs="organisation:write")
async def import_page(look: Look) -> Response[str]:
    return look.show("people/import.html", sheet="", told=None, wrong="")


@form("/people/import", needs="organisation:write")
async def import_people(look: Look) -> Response[Any]:
    """First what would happen; the same sheet with `confirmed` is taken in."""
    fields = await look.form()
    given = fields.get("file", "").strip() or fields.get("csv", "").removeprefix(sheet.UTF_8)
    if wrong := sheet_error(given):
        return look.show("people/import.html", 400, sheet=given, told=None, wrong=look.say(wrong))
    if "confirmed" not in fields:
        return await _previewed(look, given)
    try:
        done = await look.cloud.import_users(UsersImport(given), idempotency_key=await look.once())
    except Invalid:
        return await _previewed(look, given)
    return look.go("/people", said=look.say("people.imported", added=done.added, changed=done.changed))


async def _previewed(look: Look, given: str) -> Response[str]:
    try:
        told = await look.cloud.import_users(UsersImport(given, dry_run=True))
    except Invalid as refused:
        detail = refused.errors[0].detail if refused.errors else refused.detail
        return look.show("people/import.html", 400, sheet=given, told=None, wrong=detail)
    lines = [] if told.bad_lines else first_lines(given)
    where = await sites(look) if not told.changes else await places(look.cloud)
    changes = [overwritten(each, where, look.say) for each in told.changes]
    return look.show("people/import.html", sheet=given, told=told, lines=lines, changes=changes, wrong="")


@dataclass(frozen=True, slots=True)
class Overwritten:
    """Somebody who is here already, and what a sheet would change about them."""

    user: User
    renamed: bool
    """Perhaps somebody else is meant: the id is theirs, the name is not."""
    differences: Sequence[Difference]


def overwritten(change: UserChanged, where: Places, say: Say) -> Overwritten:
    was, becomes = (
        {**msgspec.to_builtins(user), "accessPoints": doors}
        for user, doors in ((change.before, change.access_points_before), (change.after, change.access_points_after))
    )
    return Overwritten(change.before, change.before.name != change.after.name, differences(was, becomes, where, say))


def first_lines(given: str) -> list[list[str]]:
    """The header of a sheet and what follows it, as far as a glance needs it; empty lines left out."""
    lines = csv.reader(io.StringIO(given, newline=""), delimiter=sheet.delimiter(given))
    return list(islice((cells for cells in lines if any(cells)), 1 + PREVIEWED))


def sheet_error(given: str) -> str:
    """What a glance at a sheet tells, as the name of a sentence; empty: nothing is wrong with it so far."""
    header = given.lstrip().partition("\n")[0]
    if not header.strip():
        return "people.sheet_empty"
    if "\ufffd" in given or "\0" in given:
        return "people.sheet_encoding"
    return ""


@page("/people/template.csv", needs="organisation:write")
async def template(look: Look) -> Response[str]:
    """A sheet to fill in."""
    return Response(
        sheet.UTF_8 + sheet.write([_TEMPLATE]), media_type="text/csv", headers=_attached("people-template.csv")
    )


@page("/people/export.csv", needs="users:read")
async def export(look: Look) -> Response[Any]:
    """Everybody whom whoever asks may see."""
    first = await look.cloud.export_users(most=EXPORTED_AT_ONCE)
    return Stream(_exported(look.cloud, first), media_type="text/csv", headers=_attached("people.csv"))


async def _exported(cloud: Client, part: bytes) -> AsyncIterator[bytes]:
    """Part by part, so that a million people need no more memory than a few."""
    yield sheet.UTF_8.encode()
    while part:
        yield part
        last = number(part.rstrip().rpartition(b"\r\n")[2].partition(b",")[0].decode())
        part = await cloud.export_users(after=last, most=EXPORTED_AT_ONCE) if last else b""


def _attached(name: str) -> dict[str, str]:
    return {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}


endpoints = [show, new, add, names, import_page, import_people, template, export]
