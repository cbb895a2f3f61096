"""The command line: `latchwork demo | serve | scan | backup | restore | edge … | admin …`"""

from __future__ import annotations

import logging
import signal
import sys
from importlib.metadata import version
from types import FrameType
from typing import Annotated

import typer

from latchwork.cli.console import out
from latchwork.cli.edge import edge

app = typer.Typer(
    name="latchwork",
    help="The open, self-hosted access-control cloud: who may open which door, when, and proof of who did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(edge, name="edge")


def commands(words: list[str]) -> typer.Typer:
    """The commands, of which `words` names one; what a controller does not need is not loaded for it."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGTERM, _end)
    if words[:1] != ["edge"]:
        from latchwork.cli import cloud

        cloud.register(app)
    return app


def _end(number: int, frame: FrameType | None) -> None:
    """SIGTERM is a normal end: whatever was started is stopped."""
    raise SystemExit(128 + number)


@app.callback(invoke_without_command=True)
def _root(
    shown: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if shown:
        out.print(version("latchwork"))
        raise typer.Exit
