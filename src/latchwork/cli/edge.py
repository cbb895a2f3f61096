"""`latchwork edge`: the controller at the door."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from latchwork.cli.console import out, told
from latchwork.edge import config, enrol, runner

edge = typer.Typer(help="The controller at the door.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Option("--config", help="The controller's configuration.")]


@edge.command("enrol")
def enrol_here(
    code: Annotated[str, typer.Argument(help="The one-time code, as the cloud showed it.")],
    url: Annotated[str, typer.Option(help="The cloud, such as https://access.example.org")],
    config_file: ConfigFile = Path("edge.toml"),
    data: Annotated[Path, typer.Option(help="The folder for key, state and journal.")] = Path("controller"),
) -> None:
    """Makes this machine a controller: its key is made here and never leaves it."""
    with told():
        made = enrol.enrol(code, url, config_file, data)
        out.print(
            f"Enrolled as controller {made.controller} ({made.name}). Run it: latchwork edge run --config {config_file}"
        )


@edge.command()
def run(config_file: ConfigFile = Path("edge.toml")) -> None:
    """Runs the controller until it is stopped; it decides by itself, with or without its cloud."""
    logging.getLogger().setLevel(logging.INFO)
    with told():
        asyncio.run(runner.run(config.load(config_file)))
