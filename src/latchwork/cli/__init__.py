"""The command line (`latchwork --help`)."""

from latchwork.cli.main import main

__all__ = ["main"]
