"""What all commands share: where the database is, how errors are told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from latchwork.cloud.kernel.archive import BrokenArchive, DatabaseNotEmpty
from latchwork.cloud.kernel.migrate import MigrationError
from latchwork.cloud.kernel.postgres import PostgresError
from latchwork.cloud.kernel.seal import WrongMasterKey
from latchwork.cloud.kernel.settings import Settings, read_settings
from latchwork.edge.config import ConfigInvalid
from latchwork.edge.enrol import EnrolmentFailed
from latchwork.edge.runner import AlreadyRunning
from latchwork.sdk.client import CloudUnreachable
from latchwork.sim.demo import DemoFailed
from latchwork.wire.api.problems import Problem

out = Console(highlight=False, soft_wrap=True)

DataFolder = Annotated[
    Path | None,
    typer.Option("--data", help="The data folder; default LATCHWORK_DATA, else ~/.local/share/latchwork."),
]

_TOLD = (
    PostgresError,
    MigrationError,
    BrokenArchive,
    DatabaseNotEmpty,
    WrongMasterKey,
    ConfigInvalid,
    EnrolmentFailed,
    AlreadyRunning,
    DemoFailed,
    CloudUnreachable,
    OSError,
    ValueError,
)


@contextmanager
def told() -> Iterator[None]:
    """Errors that a person can do something about end the command with a sentence and status 1."""
    try:
        yield
    except Problem as problem:
        for error in problem.errors:
            print(f"{error.field}: {error.detail}", file=sys.stderr)
        _fail(problem.detail)
    except _TOLD as error:
        _fail(str(error) or type(error).__name__)


def settings(data: Path | None) -> Settings:
    """The settings of the environment, with the data folder of the command line."""
    found = read_settings(os.environ)
    return replace(found, data=data) if data else found


def _fail(sentence: str) -> None:
    print(f"latchwork: {sentence}", file=sys.stderr)
    raise typer.Exit(1)
