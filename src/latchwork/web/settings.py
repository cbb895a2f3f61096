"""Settings: the organisation, its holidays and terms, where its people sign in, and the keys that sign its codes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from litestar import Response

from latchwork.web.catalogue import Say
from latchwork.web.clocks import in_words
from latchwork.web.forms import NOTHING_WRONG, Wrong, kept, whole, wrong_of
from latchwork.web.lines import moment
from latchwork.web.look import Look, form, page
from latchwork.web.overtaken import known_in, overtaken
from latchwork.web.places import everything, places
from latchwork.wire.api.accounts import Organisation, OrganisationPatch, PassKeyActivation
from latchwork.wire.api.people import Holidays, TermDraft
from latchwork.wire.api.problems import Conflict, FieldError, Invalid, NotFound, Outdated
from latchwork.wire.api.sessions import IdentityProvider, IdentityProviderDraft
from latchwork.wire.api.sites import Site

READ: Final = "organisation:read"
WRITE: Final = "organisation:write"
UNITS: Final = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
"""In seconds, the longest first."""
TOGETHER: Final = (frozenset({"codes", "passSeconds"}), frozenset({"offlineLimit", "offlineUnit"}))
"""Fields that mean nothing without each other."""


# ------------------------------------------------------------------------------------------------- the organisation


@page("/settings", needs="permissions:read")
async def show(look: Look) -> Response[Any]:
    """Whoever may not see the organisation's settings begins with the holidays."""
    if not look.may(READ):
        return look.go("/settings/holidays")
    organisation = await look.cloud.get_organisation()
    return _organisation(look, organisation, _fields_of(organisation))


@form("/settings", needs=WRITE)
async def change(look: Look) -> Response[Any]:
    fields, now = await look.form(), await look.cloud.get_organisation()
    known = known_in(fields, now)
    try:
        await look.cloud.change_organisation(_patched(look, fields), version=known.version)
    except Invalid as refused:
        return _organisation(look, known, fields, wrong_of(refused))
    except Outdated:
        now = await look.cloud.get_organisation()
        fields = kept(fields, _fields_of(known), _fields_of(now), *TOGETHER)
        return _organisation(look, now, fields, await overtaken(look, known, now, f"organisation/{now.id}"))
    return look.go("/settings", said=look.say("settings.changed"))


def _organisation(
    look: Look, organisation: Organisation, fields: Mapping[str, str], wrong: Wrong = NOTHING_WRONG
) -> Response[str]:
    return look.show(
        "settings/organisation.html",
        wrong.status,
        organisation=organisation,
        fields=fields,
        wrong=wrong,
        units=list(UNITS),
    )


def _fields_of(organisation: Organisation) -> dict[str, str]:
    ticks = {
        "visitorModule": organisation.visitor_module,
        "attendanceModule": organisation.attendance_module,
        "singleUse": organisation.single_use,
    }
    number, unit = amount(organisation.offline_limit)
    return {
        "name": organisation.name,
        **{name: "on" for name, is_on in ticks.items() if is_on},
        "codes": "static" if organisation.pass_seconds is None else "dynamic",
        "passSeconds": str(organisation.pass_seconds or 60),
        "meetingMaxDays": str(organisation.meeting_max_days),
        "phonesPerUser": str(organisation.phones_per_user),
        "offlineLimit": number,
        "offlineUnit": unit,
    }


def amount(seconds: int | None) -> tuple[str, str]:
    """A number and its unit, the longest that fits: 7200 is ("2", "hours"); None is ("", "forever")."""
    if seconds is None:
        return "", "forever"
    unit = next(name for name, length in UNITS.items() if seconds % length == 0)
    return str(seconds // UNITS[unit]), unit


def _patched(look: Look, fields: Mapping[str, str]) -> OrganisationPatch:
    """Raises Invalid at the field that is no number, or too small or large."""
    say = look.say
    is_static, is_endless = fields.get("codes") == "static", fields.get("offlineUnit") == "forever"
    length = UNITS.get(fields.get("offlineUnit", ""), 1)
    return OrganisationPatch(
        name=fields.get("name", "").strip(),
        visitor_module="visitorModule" in fields,
        attendance_module="attendanceModule" in fields,
        pass_seconds=None if is_static else _between(fields, "passSeconds", 5, 86_400, say("settings.seconds_wrong")),
        single_use="singleUse" in fields,
        meeting_max_days=_between(fields, "meetingMaxDays", 1, 3_660, say("settings.days_wrong")),
        phones_per_user=_between(fields, "phonesPerUser", 1, 20, say("settings.phones_wrong")),
        offline_limit=None
        if is_endless
        else length
        * _between(fields, "offlineLimit", -(-60 // length), (2**31 - 1) // length, say("settings.offline_wrong")),
    )


def _between(fields: Mapping[str, str], name: str, least: int, most: int, sentence: str) -> int:
    number = whole(fields.get(name, ""), name, sentence)
    if not least <= number <= most:
        raise Invalid(errors=[FieldError(name, sentence)])
    return number


# ------------------------------------------------------------------------------------------------- holidays


@dataclass(frozen=True, slots=True)
class Day:
    """A holiday."""

    iso: str
    text: str
    is_past: bool


@dataclass(frozen=True, slots=True)
class SiteDays:
    site: Site
    upcoming: list[Day]
    past: list[Day]


@page("/settings/holidays", needs="permissions:read")
async def holidays(look: Look) -> Response[str]:
    return await _holidays(look)


@form("/settings/holidays/{site_id:int}/add", needs="permissions:write")
async def add_holiday(look: Look, site_id: int) -> Response[Any]:
    fields = await look.form()
    days = (await look.cloud.get_holidays(site_id)).dates
    chosen = fields.get("day", "").strip()
    try:
        day = date.fromisoformat(chosen)
        if is_new := day.isoformat() not in days:
            await look.cloud.set_holidays(site_id, Holidays([*days, day.isoformat()]))
    except (ValueError, Invalid):
        return await _holidays(look, site_id, chosen)
    said = look.say("settings.holiday_added" if is_new else "settings.holiday_there", day=_said(day, look.say))
    return look.go(f"/settings/holidays#site-{site_id}", said=said)


@form("/settings/holidays/{site_id:int}/remove", needs="permissions:write")
async def remove_holiday(look: Look, site_id: int) -> Response[Any]:
    gone = (await look.form()).get("day", "")
    days = (await look.cloud.get_holidays(site_id)).dates
    if gone in days:
        await look.cloud.set_holidays(site_id, Holidays([day for day in days if day != gone]))
        text = _said(date.fromisoformat(gone), look.say)
        return look.go(f"/settings/holidays#site-{site_id}", said=look.say("settings.holiday_removed", day=text))
    return look.go(f"/settings/holidays#site-{site_id}")


async def _holidays(look: Look, wrong_at: int | None = None, typed: str = "") -> Response[str]:
    sites = sorted(await everything(look.cloud.page_sites()), key=lambda site: site.name.casefold())
    lists = await asyncio.gather(*(look.cloud.get_holidays(site.id) for site in sites))
    where = await places(look.cloud)
    found = [
        _days(site, listed.dates, datetime.now(where.zone(site.id)).date(), look.say)
        for site, listed in zip(sites, lists, strict=True)
    ]
    return look.show(
        "settings/holidays.html", 400 if wrong_at is not None else 200, sites=found, wrong_at=wrong_at, typed=typed
    )


def _said(day: date, say: Say) -> str:
    return in_words("date", day, say)


def _days(site: Site, dates: list[str], today: date, say: Say) -> SiteDays:
    days = [Day(text, _said(day, say), day < today) for text in sorted(dates) for day in [date.fromisoformat(text)]]
    return SiteDays(site, [day for day in days if not day.is_past], [day for day in days if day.is_past][::-1])


# ------------------------------------------------------------------------------------------------- terms


@page("/settings/terms", needs="users:read")
async def terms(look: Look) -> Response[str]:
    return await _terms(look)


@form("/settings/terms", needs=WRITE)
async def add_term(look: Look) -> Response[Any]:
    name = (await look.form()).get("name", "").strip()
    try:
        await look.cloud.add_term(TermDraft(name), idempotency_key=await look.once())
    except (Invalid, Conflict) as refused:
        return await _terms(look, wrong_of(refused), name)
    return look.go("/settings/terms", said=look.say("settings.term_added", name=name))


@form("/settings/terms/{term_id:int}/delete", needs=WRITE)
async def remove_term(look: Look, term_id: int) -> Response[Any]:
    try:
        await look.cloud.remove_term(term_id)
    except Conflict as refused:
        return await _terms(look, wrong_of(refused))
    return look.go("/settings/terms", said=look.say("settings.term_deleted"))


async def _terms(look: Look, wrong: Wrong = NOTHING_WRONG, typed: str = "") -> Response[str]:
    found = sorted(await look.cloud.list_terms(), key=lambda term: term.name.casefold())
    return look.show("settings/terms.html", wrong.status, terms=found, wrong=wrong, typed=typed)


# ------------------------------------------------------------------------------------------------- sign-in


@page("/settings/sign-in", needs=READ)
async def sign_in(look: Look) -> Response[str]:
    return _sign_in(look, await _provider(look))


@form("/settings/sign-in", needs=WRITE)
async def set_sign_in(look: Look) -> Response[Any]:
    fields = await look.form()
    draft = IdentityProviderDraft(
        name=fields.get("name", "").strip(),
        issuer=fields.get("issuer", "").strip(),
        client_id=fields.get("clientId", "").strip(),
        client_secret=fields.get("clientSecret", "").strip(),
        domains=fields.get("domains", "").replace(",", " ").split(),
    )
    try:
        await look.cloud.set_identity_provider(draft)
    except Invalid as refused:
        return _sign_in(look, await _provider(look), {**fields, "clientSecret": ""}, wrong_of(refused))
    return look.go("/settings/sign-in", said=look.say("settings.provider_set", name=draft.name))


@form("/settings/sign-in/remove", needs=WRITE)
async def remove_sign_in(look: Look) -> Response[Any]:
    await look.cloud.remove_identity_provider()
    return look.go("/settings/sign-in", said=look.say("settings.provider_removed"))


async def _provider(look: Look) -> IdentityProvider | None:
    try:
        return await look.cloud.get_identity_provider()
    except NotFound:
        return None


def _sign_in(
    look: Look,
    provider: IdentityProvider | None,
    fields: Mapping[str, str] | None = None,
    wrong: Wrong = NOTHING_WRONG,
) -> Response[str]:
    if fields is None:
        fields = {} if provider is None else {
            "name": provider.name,
            "issuer": provider.issuer,
            "clientId": provider.client_id,
            "domains": ", ".join(provider.domains),
        }  # fmt: skip
    back = provider.redirect_uri if provider else _own_redirect_uri(look)
    return look.show("settings/sign_in.html", wrong.status, provider=provider, fields=fields, wrong=wrong, back=back)


def _own_redirect_uri(look: Look) -> str:
    """As the browser calls this website, before the cloud has said it."""
    url = look.request.url
    scheme = "https" if look.request.app.state.entrance.secure else url.scheme
    return f"{scheme}://{url.netloc}/log-in/callback"


# ------------------------------------------------------------------------------------------------- pass keys


@page("/settings/keys", needs=READ)
async def keys(look: Look) -> Response[str]:
    return await _keys(look)


@form("/settings/keys/add", needs=WRITE)
async def add_key(look: Look) -> Response[Any]:
    await look.cloud.add_pass_key()
    return look.go("/settings/keys", said=look.say("settings.key_added"))


@form("/settings/keys/{kid:str}/activate", needs=WRITE)
async def activate_key(look: Look, kid: str) -> Response[Any]:
    is_accepted = "acceptUnconfirmed" in await look.form()
    try:
        await look.cloud.activate_pass_key(kid, PassKeyActivation(accept_unconfirmed=is_accepted))
    except Conflict as refused:
        return await _keys(look, wrong_of(refused))
    return look.go("/settings/keys", said=look.say("settings.key_activated"))


@form("/settings/keys/{kid:str}/delete", needs=WRITE)
async def remove_key(look: Look, kid: str) -> Response[Any]:
    try:
        await look.cloud.remove_pass_key(kid)
    except Conflict as refused:
        return await _keys(look, wrong_of(refused))
    return look.go("/settings/keys", said=look.say("settings.key_deleted"))


async def _keys(look: Look, wrong: Wrong = NOTHING_WRONG) -> Response[str]:
    found, where = await asyncio.gather(look.cloud.list_pass_keys(), places(look.cloud))
    rows = [
        (
            key,
            moment(key.created_at, where, None),
            [where.controllers[id].name if id in where.controllers else str(id) for id in key.unconfirmed_controllers],
        )
        for key in sorted(found, key=lambda key: (key.state != "active", -key.created_at))
    ]
    return look.show("settings/keys.html", wrong.status, keys=rows, wrong=wrong)


endpoints = [
    show,
    change,
    holidays,
    add_holiday,
    remove_holiday,
    terms,
    add_term,
    remove_term,
    sign_in,
    set_sign_in,
    remove_sign_in,
    keys,
    add_key,
    activate_key,
    remove_key,
]
