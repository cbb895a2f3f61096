"""The virtual building as a program: a controller with virtual doors, and the doors' HTTP service on loopback.

    python -m latchwork.sim.building --config edge.toml [--port 0] [--ready-file F] [--while-stdin-is-open]

Prints `{"doorsUrl": …}` on one line when it listens, and runs until SIGTERM or SIGINT. With `--while-stdin-is-open` it
also ends when its standard input does: a pipe from the parent process ends with the parent, however that dies, on
every system and whoever inherits the child.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import uvicorn

from latchwork.edge import config, runner
from latchwork.sim.doors import VirtualWiring
from latchwork.sim.service import Air, service

_GRACE: Final = 5.0
"""Seconds after which a program without its parent ends without ceremony."""


async def run(settings: config.Config, host: str, port: int, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Runs the building until `stop`; `ready` is called with the doors' address. Raises ValueError off loopback."""
    with loopback_socket(host, port) as listening:
        wiring = VirtualWiring()
        async with runner.running(settings, wiring, has_radio=runner.HAS_BLUETOOTH) as edge, _on_air(edge, host) as air:
            bound = listening.getsockname()[1]
            app = service(edge, wiring, bound, air)
            server = _Server(
                uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1),
                lambda: ready(f"http://{_in_url(host)}:{bound}"),
            )
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            server.should_exit = True
            await serving


@asynccontextmanager
async def _on_air(edge: runner.Edge, host: str) -> AsyncIterator[Air | None]:
    """The readers of the building, for phones; None where what that takes is not installed."""
    if not runner.HAS_BLUETOOTH:
        yield None
        return
    from latchwork.sim.radio import VirtualRadio

    virtual = VirtualRadio(edge.readers)
    with loopback_socket(host, 0) as listening:
        try:
            edge.controller.on_records = virtual.follow
            yield Air(await virtual.open(listening), virtual)
        finally:
            edge.controller.on_records = lambda: None
            await virtual.close()


def loopback_socket(host: str, port: int) -> socket.socket:
    """A socket bound to this address, which must be one of loopback; raises ValueError on any other."""
    address = ipaddress.ip_address(host)
    if not address.is_loopback:
        raise ValueError("the virtual doors open without a password, so they listen on loopback only")
    bound = socket.socket(
        socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    if os.name == "posix":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


def start(config_file: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], str]:
    """The building as a child of this process, which it does not outlive, and the doors' address."""
    command = [sys.executable, "-m", "latchwork.sim.building", "--config", str(config_file), "--port", str(port)]
    child = subprocess.Popen([*command, "--while-stdin-is-open"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        child.wait()
        raise RuntimeError(f"the virtual building ended with status {child.returncode} before it listened")
    return child, json.loads(line)["doorsUrl"]


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s building %(levelname)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(_main(arguments))
    except (config.ConfigInvalid, runner.AlreadyRunning, ValueError, OSError) as error:
        sys.exit(f"the virtual building cannot run: {error}")


async def _main(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    runner.stop_on_signals(stop.set)
    if arguments.while_stdin_is_open:
        _stop_with_stdin(asyncio.get_running_loop(), stop)

    def ready(url: str) -> None:
        line = json.dumps({"doorsUrl": url})
        print(line, flush=True)
        if arguments.ready_file:
            config.write_private(arguments.ready_file, line.encode() + b"\n")

    await run(config.load(arguments.config), arguments.host, arguments.port, ready, stop)


class _Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, settings: uvicorn.Config, listens: Callable[[], None]) -> None:
        super().__init__(settings)
        self._listens = listens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listens()


def _stop_with_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def watch() -> None:
        while os.read(0, 4096):
            pass
        threading.Timer(_GRACE, os._exit, (1,)).start()
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, daemon=True).start()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m latchwork.sim.building", description="The virtual building.")
    parser.add_argument("--config", type=Path, required=True, help="edge.toml, as enrolment wrote it")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=8082, help="0: any free one")
    parser.add_argument("--ready-file", type=Path, help="gets the printed line, when listening")
    parser.add_argument("--while-stdin-is-open", action="store_true", help="end with the process that holds the pipe")
    return parser.parse_args()


if __name__ == "__main__":
    main()
