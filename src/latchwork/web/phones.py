"""Phones: of a person, with the apps in which they are logged in; one's own, and this browser as one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

import msgspec
from litestar import Response

from latchwork.web.lines import Moment, moment_in
from latchwork.web.look import NO_STORE, Look, form
from latchwork.wire.api.phones import AppSession, Phone
from latchwork.wire.api.problems import NotFound


@dataclass(frozen=True, slots=True)
class PhoneRow:
    """A phone, when it was enrolled and when it last spoke to the cloud."""

    phone: Phone
    since: Moment
    used: Moment | None


@dataclass(frozen=True, slots=True)
class AppRow:
    """An app in which somebody is logged in."""

    session: AppSession
    since: Moment
    used: Moment | None


async def of_person(look: Look, user_id: int, zone: tzinfo) -> tuple[list[PhoneRow], list[AppRow]]:
    phones, sessions = await asyncio.gather(look.cloud.list_phones(user_id), look.cloud.list_app_sessions(user_id))
    apps = [AppRow(each, moment_in(each.created_at, zone), _used(each, zone)) for each in sessions]
    return rows(phones, zone), apps


def rows(phones: Sequence[Phone], zone: tzinfo) -> list[PhoneRow]:
    return [PhoneRow(each, moment_in(each.created_at, zone), _used(each, zone)) for each in phones]


def _used(what: Phone | AppSession, zone: tzinfo) -> Moment | None:
    return None if what.last_used_at is None else moment_in(what.last_used_at, zone)


@form("/people/{user_id:int}/phones/{phone_id:int}/remove", needs="users:write")
async def remove(look: Look, user_id: int, phone_id: int) -> Response[Any]:
    with suppress(NotFound):
        await look.cloud.remove_phone(user_id, phone_id)
    return look.go(f"/people/{user_id}", said=look.say("phones.removed"))


@form("/people/{user_id:int}/apps/{session_id:int}/end", needs="users:write")
async def end(look: Look, user_id: int, session_id: int) -> Response[Any]:
    with suppress(NotFound):
        await look.cloud.end_app_session(user_id, session_id)
    return look.go(f"/people/{user_id}", said=look.say("phones.ended"))


@form("/mine/key")
async def begin_key(look: Look) -> Response[Any]:
    """What this browser becomes a phone with: `{"token": …}`, for the page's script."""
    offer = await look.cloud.begin_own_app_session()
    return Response(msgspec.json.encode({"token": offer.token}), media_type="application/json", headers=NO_STORE)


endpoints = [remove, end, begin_key]
