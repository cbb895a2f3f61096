"""What Harbour Desk's staff type: `python -m harbour_desk.staff {list,join,doors,leave}`, also while it runs.

With the same environment as `python -m harbour_desk` (settings.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys

from harbour_desk import settings
from harbour_desk.__main__ import opened
from harbour_desk.membership import Membership, NewMember
from harbour_desk.model import Refused
from latchwork.sdk.client import CloudUnreachable, UnexpectedAnswer
from latchwork.wire.api.problems import Problem


async def obey(told: argparse.Namespace, found: settings.Settings) -> str:
    """What there is to say afterwards; raises Refused, or what the client raises."""
    async with opened(found) as desk:
        members = Membership(desk.store, desk.visits.cloud)
        match told.command:
            case "join":
                password = secrets.token_urlsafe(9)
                await members.join(NewMember(told.name, told.email, password, told.doors, told.steers))
                return f"{told.name} logs in as {told.email} with the password {password}"
            case "doors":
                waiting = await members.change_doors(told.email, told.give, told.take)
                doors = ", ".join(map(str, waiting))
                return f"Done; on its way to doors {doors}." if waiting else "Done, and every door knows."
            case "leave":
                await members.leave(told.email)
                return "Gone: visits, app, phones and all."
            case _:
                return "\n".join(f"{each.email:<30}{each.name}" for each in desk.store.members()) or "Nobody yet: join."


def main() -> None:
    told = _arguments().parse_args()
    try:
        print(asyncio.run(obey(told, settings.read(os.environ, ""))))
    except KeyError as missing:
        sys.exit(f"Harbour Desk needs {missing} in its environment.")
    except (Refused, CloudUnreachable, UnexpectedAnswer, Problem, OSError) as error:
        sys.exit(str(error))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harbour_desk.staff", description="Harbour Desk's members.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="who there is")
    join = commands.add_parser("join", help="somebody becomes a member; prints their password")
    join.add_argument("name")
    join.add_argument("email")
    join.add_argument("--doors", type=int, nargs="*", default=[], help="ids of the doors that they may open")
    join.add_argument("--steers", action="store_true", help="they may hold these doors open, and lock them")
    doors = commands.add_parser("doors", help="a member gets other doors")
    doors.add_argument("email")
    doors.add_argument("--give", type=int, nargs="*", default=[], help="ids of doors")
    doors.add_argument("--take", type=int, nargs="*", default=[], help="ids of doors")
    leave = commands.add_parser("leave", help="a member leaves")
    leave.add_argument("email")
    return parser


if __name__ == "__main__":
    main()
