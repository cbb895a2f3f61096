"""What all commands share: how errors are told, how records are shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from latchwork.wire.api.problems import Problem

out = Console(highlight=False, soft_wrap=True)

DataFolder = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder; default LATCHWORK_DATA, else ~/.local/share/latchwork."),
]


@contextmanager
def told() -> Iterator[None]:
    """What a person can do something about ends the command with a sentence and status 1.

    That is every exception class of ours (each is a named fact with a sentence), and what the system refused.
    """
    try:
        yield
    except Problem as problem:
        for error in problem.errors:
            print(f"{error.field}: {error.detail}", file=sys.stderr)
        _fail(problem.detail)
    except Exception as error:
        thrower, _, _ = type(error).__module__.partition(".")
        if thrower == "asyncpg":  # its text may quote what is stored
            _fail(f"the database refused: {type(error).__name__}")
        if not (thrower == "latchwork" or isinstance(error, OSError | ValueError)):
            raise
        _fail(str(error) or type(error).__name__)


def show(record: Any) -> None:
    """A record of the API, as JSON."""
    out.print_json(msgspec.json.encode(record).decode())


def _fail(sentence: str) -> None:
    print(f"latchwork: {sentence}", file=sys.stderr)
    raise typer.Exit(1)
