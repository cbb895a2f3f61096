"""API clients: the programs that call in the organisation's name, what each may do, and their secrets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from litestar import Response

from latchwork.web.forms import NOTHING_WRONG, Wrong, whole, wrong_of
from latchwork.web.lines import Moment, moment
from latchwork.web.look import Look, form, page
from latchwork.web.places import Places, places
from latchwork.wire.api.accounts import Client, ClientDraft, ClientPatch, Scope
from latchwork.wire.api.problems import Conflict, Forbidden, Invalid

READ: Final = "clients:read"
WRITE: Final = "clients:write"
ROWS: Final = 50
GROUPS: Final[dict[str, tuple[Scope, ...]]] = {
    "visitors": ("visitors:read", "visitors:write"),
    "people": ("users:read", "users:write", "permissions:read", "permissions:write"),
    "doors": ("sites:read", "sites:write", "controllers:read", "controllers:write", "doors:unlock"),
    "history": ("events:read", "decisions:explain"),
    "organisation": ("organisation:read", "organisation:write", "clients:read", "clients:write", "users:act"),
}
"""Scopes as the form shows them."""
SCOPES: Final = tuple(scope for group in GROUPS.values() for scope in group)
PRESETS: Final[dict[str, tuple[Scope, ...]]] = {
    "visitors": ("visitors:read", "visitors:write", "sites:read"),
    "read": tuple(scope for scope in SCOPES if scope.endswith(":read")),
    "everything": SCOPES,
}
TOKEN_SECONDS: Final = (900, 3_600, 86_400, 2_592_000, 7_776_000)


@dataclass(frozen=True, slots=True)
class Row:
    """A client as the list shows it."""

    client: Client
    made: Moment
    used: Moment | None
    revoked: Moment | None


@page("/settings/clients", needs=READ)
async def show(look: Look) -> Response[str]:
    found = await look.cloud.page_clients(limit=ROWS, cursor=look.query.get("cursor"))
    where = await places(look.cloud)
    rows = [_row(client, where) for client in found.items]
    rows.sort(key=lambda row: row.revoked is not None)
    return look.show("settings/clients.html", rows=rows, next=found.next_cursor, all=SCOPES)


def _row(client: Client, where: Places) -> Row:
    used, revoked = (None if at is None else moment(at, where, None) for at in (client.last_used_at, client.revoked_at))
    return Row(client, moment(client.created_at, where, None), used, revoked)


@page("/settings/clients/new", needs=WRITE)
async def new(look: Look) -> Response[str]:
    """The form; `?preset=` ticks its scopes."""
    ticked = PRESETS.get(look.query.get("preset", ""), ())
    return _form(look, "settings/client_new.html", {}, ticked)


@form("/settings/clients/new", needs=WRITE)
async def add(look: Look) -> Response[Any]:
    """The answer holds the secret; the same form sent again makes no second client, and shows none."""
    fields, ticked = await _sent(look)
    try:
        draft = ClientDraft(fields.get("name", "").strip(), ticked, _token_seconds(look, fields))
        client = await look.cloud.add_client(draft, idempotency_key=await look.once())
    except (Invalid, Forbidden, Conflict) as refused:
        return _form(look, "settings/client_new.html", fields, ticked, wrong_of(refused))
    return _secret(look, client, is_new=True)


@page("/settings/clients/{client_id:int}", needs=READ)
async def edit(look: Look, client_id: int) -> Response[str]:
    return await _client(look, await look.cloud.get_client(client_id))


@form("/settings/clients/{client_id:int}", needs=WRITE)
async def change(look: Look, client_id: int) -> Response[Any]:
    fields, ticked = await _sent(look)
    try:
        patch = ClientPatch(fields.get("name", "").strip(), ticked, _token_seconds(look, fields))
        client = await look.cloud.change_client(client_id, patch)
    except (Invalid, Forbidden, Conflict) as refused:
        return await _client(look, await look.cloud.get_client(client_id), fields, ticked, wrong_of(refused))
    return look.go(f"/settings/clients/{client_id}", said=look.say("clients.changed", name=client.name))


@form("/settings/clients/{client_id:int}/rotate", needs=WRITE)
async def rotate(look: Look, client_id: int) -> Response[Any]:
    try:
        return _secret(look, await look.cloud.rotate_secret(client_id), is_new=False)
    except (Forbidden, Conflict) as refused:
        return await _client(look, await look.cloud.get_client(client_id), wrong=wrong_of(refused))


@form("/settings/clients/{client_id:int}/revoke", needs=WRITE)
async def revoke(look: Look, client_id: int) -> Response[Any]:
    client = await look.cloud.get_client(client_id)
    await look.cloud.revoke_client(client_id)
    return look.go("/settings/clients", said=look.say("clients.revoked", name=client.name))


def _secret(look: Look, client: Client, is_new: bool) -> Response[str]:
    """The only page that ever shows it."""
    return look.show("settings/client_secret.html", client=client, is_new=is_new)


async def _client(
    look: Look,
    client: Client,
    fields: Mapping[str, str] | None = None,
    ticked: Collection[str] | None = None,
    wrong: Wrong = NOTHING_WRONG,
) -> Response[str]:
    row = _row(client, await places(look.cloud))
    fields = {"name": client.name, "tokenSeconds": str(client.token_seconds)} if fields is None else fields
    return _form(
        look, "settings/client.html", fields, client.scopes if ticked is None else ticked, wrong, row=row, client=client
    )


def _form(
    look: Look,
    template: str,
    fields: Mapping[str, str],
    ticked: Collection[str],
    wrong: Wrong = NOTHING_WRONG,
    **more: Any,
) -> Response[str]:
    chosen = fields.get("tokenSeconds", "86400")
    lengths = sorted({*TOKEN_SECONDS, int(chosen) if chosen.isdecimal() and len(chosen) < 9 else 86_400})
    own = look.who.scopes
    return look.show(
        template,
        wrong.status,
        fields={**fields, "tokenSeconds": chosen},
        ticked=ticked,
        wrong=wrong,
        groups=GROUPS,
        presets=PRESETS,
        lengths=[(seconds, length_text(look, seconds)) for seconds in lengths],
        own=own,
        **more,
    )


def length_text(look: Look, seconds: int) -> str:
    """A time span in the longest unit that fits."""
    for name, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds % length == 0:
            n = seconds // length
            return look.say(f"clients.one_{name}") if n == 1 else look.say(f"clients.{name}", n=n)
    return look.say("clients.seconds", n=seconds)


async def _sent(look: Look) -> tuple[dict[str, str], list[Any]]:
    """The fields, and the scopes that are ticked."""
    fields = await look.fields()
    return dict(fields), [value for name, value in fields if name == "scope" and value in SCOPES]


def _token_seconds(look: Look, fields: Mapping[str, str]) -> int:
    return whole(fields.get("tokenSeconds", "86400"), "tokenSeconds", look.say("clients.length_wrong"))


endpoints = [show, new, add, edit, change, rotate, revoke]
