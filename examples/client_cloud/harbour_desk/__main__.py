"""Runs Harbour Desk: `python -m harbour_desk [--port 8081] [--seed FILE] [--while-stdin-is-open]`.

Settings come from the environment (settings.py). Prints `{"url": …}` on one line when it listens, and runs until
SIGTERM or SIGINT. `--seed`: members and rooms that are made first, where they are not there yet.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvicorn

from harbour_desk import files, settings
from harbour_desk.members import Gate
from harbour_desk.seed import Seed, sow
from harbour_desk.store import Store
from harbour_desk.visits import Links, Visits
from harbour_desk.web import Desk, create_app
from latchwork.sdk.client import Client, CloudUnreachable, UnexpectedAnswer
from latchwork.wire.api.problems import Problem


@asynccontextmanager
async def opened(found: settings.Settings) -> AsyncIterator[Desk]:
    """Harbour Desk with its own data and its way to Latchwork."""
    found.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = Store(found.data / "harbour-desk.sqlite")
    try:
        async with Client(found.latchwork, found.client_id, found.client_secret) as cloud:
            visits = Visits(store, cloud, Links(_key(found.data / "links.key")), found.url)
            yield Desk(store, Gate(store), visits, found, files.load(found.sdk, found.latchwork))
    finally:
        store.close()


async def run(found: settings.Settings, listening: socket.socket, seed: Seed | None) -> None:
    async with opened(found) as desk:
        if seed is not None:
            await sow(seed, desk.store, desk.visits.cloud)
        print(json.dumps({"url": found.url}), flush=True)
        await server(desk).serve(sockets=[listening])


def server(desk: Desk) -> uvicorn.Server:
    serving = uvicorn.Config(
        create_app(desk),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        forwarded_allow_ips=desk.settings.proxy,
    )
    return uvicorn.Server(serving)


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s harbour-desk %(levelname)s %(message)s")
    if arguments.while_stdin_is_open:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        seed = msgspec.json.decode(arguments.seed.read_bytes(), type=Seed) if arguments.seed else None
        with socket.create_server((arguments.host, arguments.port)) as listening:
            url = f"http://{arguments.host}:{listening.getsockname()[1]}"
            asyncio.run(run(settings.read(os.environ, url), listening, seed))
    except KeyError as missing:
        sys.exit(f"Harbour Desk needs {missing} in its environment.")
    except (CloudUnreachable, UnexpectedAnswer, Problem, msgspec.MsgspecError, OSError) as error:
        sys.exit(f"Harbour Desk cannot run: {error}")


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _key(path: Path) -> bytes:
    """Made when it is not there; for nobody else to read."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    return path.read_bytes()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harbour_desk", description="Harbour Desk, a co-working company.")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--port", type=int, default=8081, help="0: any free one")
    parser.add_argument("--seed", type=Path, help="a JSON file with members and rooms")
    parser.add_argument("--while-stdin-is-open", action="store_true", help="end with the process that holds the pipe")
    return parser.parse_args()


if __name__ == "__main__":
    main()
