"""The command line (`latchwork --help`)."""

from __future__ import annotations

import sys

NEEDS = """latchwork: {missing} is not installed. Without an extra the package is the API client and the Access SDK.
  pip install 'latchwork[controller]'   for `latchwork edge`, the controller at a door
  pip install 'latchwork[server]'       for all else: the cloud, its website, the demo"""


def main() -> None:
    """Runs the command, or says what must be installed for it."""
    try:
        from latchwork.cli.main import commands

        app = commands(sys.argv[1:])
    except ModuleNotFoundError as error:
        missing, _, _ = (error.name or "").partition(".")
        if missing in ("", "latchwork"):
            raise
        sys.exit(NEEDS.format(missing=missing))
    app()
