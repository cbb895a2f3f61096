"""The servers under measurement, each a process of its own: `python -m benchmarks.servers {cloud,floor} PORT`.

Both are served by the same uvicorn with the same options on the same PostgreSQL.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import uvicorn

from benchmarks import floor
from latchwork import serve
from latchwork.cloud.kernel.settings import Settings

_READY_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """What the process has computed so far, in all of its threads."""
        if sys.platform == "linux":
            return time.clock_gettime((~self.pid << 3) | 2)  # clock_getcpuclockid(3): psutil knows hundredths only
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system


@contextmanager
def serving(kind: str, settings: Settings, dsn: str) -> Iterator[Server]:
    """A server in another process that listens, for as long as the context lasts."""
    port = int(settings.public_url.rpartition(":")[2]) if kind == "cloud" else free_port()
    environment = {
        "LATCHWORK_DATA": str(settings.data),
        "LATCHWORK_PUBLIC_URL": settings.public_url,
        "DATABASE_URL": dsn,
    }
    command = [sys.executable, "-m", "benchmarks.servers", kind, str(port)]
    process = subprocess.Popen(command, env=os.environ | environment)
    try:
        _await(process, port)
        yield Server(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _READY_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("a server under measurement did not start")


def main(kind: str, port: int) -> None:
    app = serve.create() if kind == "cloud" else floor.create(os.environ["DATABASE_URL"])
    uvicorn.run(app, **serve.options(host="127.0.0.1", port=port, timeout_keep_alive=60))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
