"""The commands of whoever runs the cloud, or tries it."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Never

import typer
from rich.panel import Panel

from latchwork import serve as serving
from latchwork.cli.admin import admin
from latchwork.cli.console import DataFolder, out, told
from latchwork.cli.phone import phone as phone_commands
from latchwork.cloud.kernel import archive
from latchwork.cloud.kernel.migrate import migrate
from latchwork.cloud.kernel.settings import settings_of
from latchwork.sim import demo as demos
from latchwork.sim import scan as scanning
from latchwork.sim.scan import NoPhone

GRANTED, REFUSED, UNREADABLE, UNREACHABLE = 0, 1, 2, 3

DoorsUrl = Annotated[str, typer.Option(envvar="LATCHWORK_DOORS_URL", help="The virtual doors.")]
DEFAULT_DOORS = "http://127.0.0.1:8082"


def register(app: typer.Typer) -> None:
    for command in (demo, serve, scan, tap, backup, restore):
        app.command()(command)
    app.add_typer(admin, name="admin")
    app.add_typer(phone_commands, name="phone")


def demo(
    port: Annotated[int, typer.Option(help="The cloud's port; 0: any free one.")] = 8080,
    app_port: Annotated[
        int, typer.Option(help="The example client app's port; 0: any. Default: 8081, or 0 with --port 0.")
    ] = -1,
    doors_port: Annotated[
        int, typer.Option(help="The virtual doors' port; 0: any. Default: 8082, or 0 with --port 0.")
    ] = -1,
    data: Annotated[Path | None, typer.Option(help="Keep everything here; default: a folder that is removed.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")] = False,
) -> None:
    """Runs the whole system: a cloud, a website, a virtual building with four doors, and a client app of its users."""
    app_port, doors_port = (
        given if given >= 0 else usual if port else 0 for given, usual in ((app_port, 8081), (doors_port, 8082))
    )

    def ready(running: demos.Demo) -> None:
        if json:
            print(running.line(), flush=True)
        else:
            out.print(Panel(_where_to_click(running), title="Latchwork is running", expand=False))

    if not json:
        out.print("Starting the database, the cloud and a building …")
    with told():
        demos.run(demos.Ports(port, app_port, doors_port), data, ready)


def _where_to_click(running: demos.Demo) -> str:
    seeded = running.seeded
    doors = "\n".join(f"    {id}  {name}" for id, name in seeded.access_points)
    elsewhere = "" if running.doors_url == DEFAULT_DOORS else f" \\\n        --doors-url {running.doors_url}"
    members = "\n".join(f"    {member.email:<22}{member.password}" for member in running.members)
    return (
        f"Website                   {running.base_url}/\n"
        f"Client app                {running.app_url}/\n"
        f"API reference             {running.base_url}/reference\n"
        f"The virtual doors         {running.doors_url}/doors\n\n"
        f"log in as     {demos.ADMIN.email}\n"
        f"password      {seeded.admin_password}\n\n"
        f"members of Harbour Desk, the example whose app opens the doors\n{members}\n\n"
        f"API client    {seeded.founded.client.client_id}\n"
        f"its secret    {seeded.founded.client.client_secret}\n"
        f"organisation  {seeded.founded.organisation}\n"
        f"doors\n{doors}\n\n"
        "Book a visit with curl: see README.md. Show its QR at a door:\n"
        f"    latchwork scan visit.png --door '{seeded.access_points[0][1]}'{elsewhere}\n\n"
        "Ctrl-C ends everything."
    )


def serve(
    data: DataFolder = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 8080,
    workers: Annotated[int, typer.Option(help="Processes.", min=1, max=64)] = 1,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain: https without a proxy.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key of the certificate.")] = None,
) -> None:
    """Runs the cloud, with the embedded PostgreSQL or the one that DATABASE_URL names.

    The first organisation and its first API client are made with `latchwork admin`.
    """
    with told():
        found = settings_of(data, os.environ)
        if (tls_cert is None) != (tls_key is None):
            raise ValueError("--tls-cert and --tls-key belong together")
        if "LATCHWORK_PUBLIC_URL" not in os.environ:
            found = replace(found, public_url=f"{'https' if tls_cert else 'http'}://{host}:{port}")
        if tls_cert and not found.tls_fingerprint:
            found = replace(found, tls_fingerprint=serving.fingerprint(tls_cert))
        with serving.database(found, exclusive=True) as dsn:
            asyncio.run(migrate(dsn))
            out.print(f"Latchwork listens on {found.public_url}")
            serving.run(found, dsn, host, port, workers, tls_cert, tls_key)


def scan(
    image: Annotated[Path, typer.Argument(help="A picture with one QR code.")],
    door: Annotated[str, typer.Option(help="The door's name or id.")],
    doors_url: DoorsUrl = DEFAULT_DOORS,
) -> None:
    """Reads a QR code from a picture and shows it at a door of the running demo.

    Ends with status 0: granted, 1: refused, 2: the picture holds no single readable code, 3: no such door, no answer.
    """
    try:
        told_by_door = scanning.present(doors_url, door, scanning.read_code(image))
    except scanning.Unscannable as error:
        print(f"latchwork: {error}", file=sys.stderr)
        raise typer.Exit(UNREADABLE) from None
    except scanning.DoorsUnreachable as error:
        print(f"latchwork: {error}", file=sys.stderr)
        raise typer.Exit(UNREACHABLE) from None
    _end_with(told_by_door)


def tap(
    door: Annotated[str, typer.Option(help="The door's name or id.")],
    card: Annotated[int | None, typer.Option(help="A card's number.", min=0, max=2**63 - 1)] = None,
    phone: Annotated[Path | None, typer.Option(help="The file of a phone: latchwork phone enrol.")] = None,
    pin: Annotated[str | None, typer.Option(help="The PIN entered behind the card.")] = None,
    doors_url: DoorsUrl = DEFAULT_DOORS,
) -> None:
    """Holds a card, or over virtual Bluetooth a phone, to the reader of a door of the running demo.

    Ends with status 0: granted, 1: refused, 2: no such number, no usable phone, 3: no such door, no answer.
    """
    if (card is None) == (phone is None):
        print("latchwork: give either --card or --phone", file=sys.stderr)
        raise typer.Exit(UNREADABLE)
    try:
        told_by_door = _held(doors_url, door, card, pin, phone)
    except NoPhone as error:
        print(f"latchwork: {error}", file=sys.stderr)
        raise typer.Exit(UNREADABLE) from None
    except scanning.DoorsUnreachable as error:
        print(f"latchwork: {error}", file=sys.stderr)
        raise typer.Exit(UNREACHABLE) from None
    _end_with(told_by_door)


def _held(doors_url: str, door: str, card: int | None, pin: str | None, phone: Path | None) -> scanning.Told:
    if card is not None:
        return scanning.tap(doors_url, door, card, pin)
    assert phone is not None
    from latchwork.sim import phone as phones  # Bluetooth is loaded by whoever uses it

    return asyncio.run(phones.tap(doors_url, door, phone))


def _end_with(told_by_door: scanning.Told) -> Never:
    """Prints the door's decision and ends with its status."""
    verdict = "granted" if told_by_door.granted else "refused"
    out.print(f"{verdict} ({told_by_door.reason}): {told_by_door.sentence}")
    raise typer.Exit(GRANTED if told_by_door.granted else REFUSED)


def backup(target: Annotated[Path, typer.Argument(help="The file to write.")], data: DataFolder = None) -> None:
    """Writes the whole database to one file, while the cloud runs or not.

    The master key is not in it: keep `master.key` of the data folder (or LATCHWORK_MASTER_KEY) in another safe place.
    """
    with told(), serving.database(settings_of(data, os.environ)) as dsn:
        archive.backup(dsn, target)
        out.print(f"Backed up to {target}. The master key is not in it; keep it too, elsewhere.")


def restore(
    source: Annotated[Path, typer.Argument(help="A file that `backup` wrote.")],
    data: DataFolder = None,
    replace_all: Annotated[bool, typer.Option("--replace", help="Replace what the database holds.")] = False,
) -> None:
    """Brings back a backup, completely or not at all; the cloud must not run.

    Controllers that know more than the backup freeze until an administrator accepts a snapshot for each of them.
    """
    with told(), serving.database(settings_of(data, os.environ), exclusive=True) as dsn:
        archive.restore(dsn, source, replace=replace_all)
        asyncio.run(migrate(dsn))
        out.print("Restored. Controllers that were ahead of this backup wait for `accept-snapshot`.")
