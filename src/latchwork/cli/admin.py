"""`latchwork admin`: what an operator does at the machine itself, on the database, without a token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from latchwork import serve
from latchwork.cli.console import DataFolder, out, show, told
from latchwork.cloud import admin as office_work
from latchwork.cloud.admin import Office
from latchwork.cloud.kernel.bodies import field_errors
from latchwork.cloud.kernel.migrate import migrate
from latchwork.cloud.kernel.settings import settings_of
from latchwork.wire.api.problems import Invalid

T = TypeVar("T")

admin = typer.Typer(
    help="Organisations, API clients, keys, sites, doors and controllers, at the machine itself.",
    no_args_is_help=True,
)

Organisation = Annotated[int, typer.Option("--organisation", "-o", help="The organisation's id.", min=1, max=2**31 - 1)]
Id = Annotated[int, typer.Argument(min=1, max=2**31 - 1)]
Positive = Annotated[int, typer.Argument(min=1, max=1_000_000)]
Fields = Annotated[
    list[str] | None,
    typer.Argument(help="Fields as name=value, named as in the API; a list as 1,2,3; nothing as null."),
]


def _run(data: Any, work: Callable[[Office], Awaitable[T]]) -> T:
    found = settings_of(data, os.environ)

    async def in_office(dsn: str) -> T:
        await migrate(dsn)
        async with office_work.open_office(found, dsn) as office:
            return await work(office)

    with serve.database(found) as dsn:
        return asyncio.run(in_office(dsn))


# ------------------------------------------------------------------------------------------------- organisations

organisation = typer.Typer(help="Organisations (tenants).", no_args_is_help=True)
admin.add_typer(organisation, name="organisation")


@organisation.command("add")
def add_organisation(name: str, data: DataFolder = None) -> None:
    """Founds an organisation, with the key that signs its visitors' passes."""
    with told():
        show(_run(data, lambda office: office_work.found(office, name)))


@organisation.command("list")
def list_organisations(data: DataFolder = None) -> None:
    """Lists all organisations."""
    with told():
        show(_run(data, office_work.organisations))


# ------------------------------------------------------------------------------------------------- clients

client = typer.Typer(help="API clients of an organisation.", no_args_is_help=True)
admin.add_typer(client, name="client")


@client.command("add")
def add_client(
    name: str,
    organisation: Organisation,
    scope: Annotated[list[str] | None, typer.Option(help="What it may call; repeat it. Default: everything.")] = None,
    days: Annotated[float, typer.Option(help="How long its tokens live.", min=0.01, max=90)] = 1,
    data: DataFolder = None,
) -> None:
    """Makes a client and shows its secret, this once."""
    with told():
        show(_run(data, lambda office: office_work.add_client(office, organisation, name, scope or [], days)))


@client.command("list")
def list_clients(organisation: Organisation, data: DataFolder = None) -> None:
    """Lists an organisation's clients, without their secrets."""
    with told():
        show(_run(data, lambda office: office_work.clients(office, organisation)))


@client.command("rotate")
def rotate_secret(id: Id, organisation: Organisation, data: DataFolder = None) -> None:
    """Gives a client a new secret and shows it, this once; the old one and all its tokens end."""
    with told():
        show(_run(data, lambda office: office_work.rotate_secret(office, organisation, id)))


@client.command("revoke")
def revoke_client(id: Id, organisation: Organisation, data: DataFolder = None) -> None:
    """Revokes a client: it is refused everywhere within a second."""
    with told():
        _run(data, lambda office: office_work.revoke_client(office, organisation, id))
        out.print(f"Client {id} was revoked.")


@client.command("rate")
def set_rate(
    id: Id, per_second: Positive, burst: Positive, organisation: Organisation, data: DataFolder = None
) -> None:
    """Sets how fast a client may call: so many requests a second, and so many at once."""
    with told():
        _run(data, lambda office: office_work.set_rate(office, organisation, id, per_second, burst))
        out.print(f"Client {id} may call {per_second} times a second, {burst} at once.")


@admin.command("administrator")
def add_administrator(name: str, email: str, organisation: Organisation, data: DataFolder = None) -> None:
    """Makes a super administrator, and shows the link with which they choose a password for the website."""
    with told():
        url = settings_of(data, os.environ).public_url
        show(_run(data, lambda office: office_work.add_administrator(office, organisation, name, email, url)))


# ------------------------------------------------------------------------------------------------- keys

key = typer.Typer(help="Keys that sign visitors' passes and access tokens.", no_args_is_help=True)
admin.add_typer(key, name="key")


@key.command("list")
def list_keys(organisation: Organisation, data: DataFolder = None) -> None:
    """Lists the keys that sign visitors' passes, and which controllers have not confirmed them."""
    with told():
        show(_run(data, lambda office: office_work.pass_keys(office, organisation)))


@key.command("add")
def add_key(organisation: Organisation, data: DataFolder = None) -> None:
    """Makes a new pass key, which the doors learn at once; activate it when all have confirmed it."""
    with told():
        show(_run(data, lambda office: office_work.add_pass_key(office, organisation)))


@key.command("activate")
def activate_key(
    kid: str,
    organisation: Organisation,
    accept_unconfirmed: Annotated[
        bool, typer.Option("--accept-unconfirmed", help="Although some controllers have not confirmed it.")
    ] = False,
    data: DataFolder = None,
) -> None:
    """Signs passes with this key from now on."""
    with told():
        show(_run(data, lambda office: office_work.activate_pass_key(office, organisation, kid, accept_unconfirmed)))


@key.command("rotate-tokens")
def rotate_token_key(
    retire_old: Annotated[bool, typer.Option("--retire-old", help="Refuse every token issued so far.")] = False,
    data: DataFolder = None,
) -> None:
    """Makes a new key for signing access tokens."""
    with told():
        _run(data, lambda office: office_work.rotate_token_key(office, retire_old))
        out.print("A new key signs access tokens; running servers know it within a second.")


# ------------------------------------------------------------------------------------------------- resources


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that can be created, read, changed and deleted."""

    name: str
    help: str
    verbs: office_work.Verbs


def _add_resource(resource: Resource) -> None:
    group = typer.Typer(help=resource.help, no_args_is_help=True)
    admin.add_typer(group, name=resource.name)
    verbs = resource.verbs

    @group.command("list")
    def show_all(organisation: Organisation, data: DataFolder = None) -> None:
        with told():
            show(_run(data, lambda office: office_work.page(office, organisation, verbs)))

    @group.command("show")
    def show_one(id: Id, organisation: Organisation, data: DataFolder = None) -> None:
        with told():
            show(_run(data, lambda office: office_work.get(office, organisation, verbs, id)))

    @group.command("add")
    def add(organisation: Organisation, fields: Fields = None, data: DataFolder = None) -> None:
        with told():
            draft = _record(fields or [], verbs.draft)
            show(_run(data, lambda office: office.run(organisation, lambda work: verbs.add(work, draft))))

    @group.command("change")
    def change(id: Id, organisation: Organisation, fields: Fields = None, data: DataFolder = None) -> None:
        with told():
            patch = _record(fields or [], verbs.patch)
            show(_run(data, lambda office: office.run(organisation, lambda work: verbs.change(work, id, patch))))

    @group.command("delete")
    def delete(id: Id, organisation: Organisation, data: DataFolder = None) -> None:
        with told():
            _run(data, lambda office: office_work.remove(office, organisation, verbs, id))
            out.print(f"{resource.name} {id} was deleted.")

    names = {field.encode_name for kind in (verbs.draft, verbs.patch) for field in msgspec.structs.fields(kind)}
    listed = f"Fields: {', '.join(sorted(names))}."
    for command, sentence in (
        (show_all, "Lists them."),
        (show_one, "Shows one."),
        (add, f"Creates one. {listed}"),
        (change, f"Changes one. {listed}"),
        (delete, "Deletes one."),
    ):
        command.__doc__ = sentence
    for info in group.registered_commands:
        info.help = info.callback.__doc__ if info.callback else None


def _record(fields: list[str], kind: type[Any]) -> Any:
    """A record from name=value pairs; raises Invalid with every field error."""
    given = dict(_pair(field) for field in fields)
    if errors := list(field_errors(given, kind, "", strict=False)):
        raise Invalid(errors=errors)
    return msgspec.convert(given, kind, strict=False)


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Invalid(f"{text!r} is not of the form name=value.")
    if value == "null":
        return name, None
    is_list = name.casefold().endswith("accesspoints")
    return name, [part for part in value.split(",") if part] if is_list else value


for _resource in (
    Resource("site", "Sites of an organisation.", office_work.SITES),
    Resource("access-point", "Doors, and which controller runs each.", office_work.ACCESS_POINTS),
    Resource("controller", "Controllers, and which doors each runs.", office_work.CONTROLLERS),
):
    _add_resource(_resource)


@admin.command("enrolment-code")
def enrolment_code(controller: Id, organisation: Organisation, data: DataFolder = None) -> None:
    """Makes a one-time code, good for 15 minutes, for `latchwork edge enrol` at the door."""
    with told():
        fingerprint = settings_of(data, os.environ).tls_fingerprint
        show(_run(data, lambda office: office_work.enrolment_code(office, organisation, controller, fingerprint)))


@admin.command("accept-snapshot")
def accept_snapshot(controller: Id, organisation: Organisation, data: DataFolder = None) -> None:
    """After a restore: lets a frozen controller take the cloud's state as it is now."""
    with told():
        show(_run(data, lambda office: office_work.accept_snapshot(office, organisation, controller)))
