"""`latchwork phone`: a phone in a file, to try the Access SDK without one in the hand."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from latchwork.cli.console import out
from latchwork.sdk.access import Access
from latchwork.sdk.refusals import AccessError, NotLoggedIn
from latchwork.sdk.wallet import FileWallet

phone = typer.Typer(help="A phone in a file: the Access SDK, to try it out.", no_args_is_help=True)

Done = TypeVar("Done")

DEFAULT_CLOUD: Final = "http://127.0.0.1:8080"
Kept = Annotated[Path, typer.Argument(help="The file that holds the phone: its keys, session and doors.")]


@phone.command()
def enrol(
    file: Kept,
    url: Annotated[str | None, typer.Option(help="The cloud; default: as before, or the demo's.")] = None,
    session: Annotated[str, typer.Option(help="A session token, lwr_…, that a backend asked for.")] = "",
    name: Annotated[str, typer.Option(help="How its owner tells it from another.")] = "A phone in a file",
    replaces: Annotated[int | None, typer.Option(help="The id of a lost phone, which is removed.")] = None,
) -> None:
    """Logs a user in with a session token and makes this phone known to their doors (docs/your-app.md)."""

    async def begin(access: Access) -> str:
        if session:
            await access.log_in(session)
        made = await access.enrol(name, replaces)
        doors = "".join(
            f"\n    {door.access_point_id}  {door.name}: {', '.join(door.allows)}" for door in access.doors()
        )
        return f"Enrolled as phone {made.id} ({made.name}).{doors}"

    out.print(_with(file, begin, url, DEFAULT_CLOUD if session else None))


@phone.command()
def doors(file: Kept) -> None:
    """Fetches the doors that the user may open, and prints what this phone may do at each."""

    async def ask(access: Access) -> str:
        keyring = await access.refresh()
        return "\n".join(
            f"{door.access_point_id}  {door.name}: {', '.join(door.allows)}{'' if door.is_ready else ' (on its way)'}"
            for door in keyring.doors
        )

    out.print(_with(file, ask))


@phone.command()
def code(file: Kept) -> None:
    """Prints the text of the user's own code; it opens for 30 seconds and needs no network."""

    async def make(access: Access) -> str:
        return access.code().text

    print(_with(file, make))


@phone.command("log-out")
def log_out(file: Kept) -> None:
    """Removes this phone from the cloud and its doors, and the file."""

    async def end(access: Access) -> str:
        await access.log_out()
        return "Logged out."

    out.print(_with(file, end))


def _with(
    file: Path, use: Callable[[Access], Awaitable[Done]], url: str | None = None, default: str | None = None
) -> Done:
    """What the phone in a file answers; ends with status 2 and a sentence when it cannot.

    `url`: the cloud that was asked for; without one it is the phone's own, or `default` for a new phone.
    """

    async def run() -> Done:
        wallet = FileWallet(file)
        held = wallet.load()
        address = url or (default if held is None else held.url)
        if address is None or (held is None and default is None):
            raise NotLoggedIn(f"There is no phone in {file}; make one: latchwork phone enrol {file} --session lwr_…")
        async with Access(address, wallet) as access:
            return await use(access)

    try:
        return asyncio.run(run())
    except AccessError as error:
        print(f"latchwork: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
