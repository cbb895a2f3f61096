"""The example client cloud beside the demo: Harbour Desk as a process of its own, with an API client of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from latchwork.edge import config
from latchwork.wire.api.accounts import Scope

DESK_SCOPES: Final[tuple[Scope, ...]] = (
    "sites:read",
    "users:write",
    "permissions:write",
    "visitors:write",
    "users:act",
)
"""What Harbour Desk does with the API, and no more."""

_INSTALLED: Final = Path(__file__).parents[1] / "examples"
_CLONE: Final = Path(__file__).parents[3]


class DeskMember(msgspec.Struct, frozen=True):
    """Somebody who logs in to Harbour Desk; the password is new with each demo."""

    name: str
    email: str
    password: str


class DeskSeeded(msgspec.Struct, frozen=True):
    """What the demo remembers of Harbour Desk."""

    client_id: str
    client_secret: str
    members: list[DeskMember]


class DeskFailed(Exception):
    """Harbour Desk did not start; it has said why on standard error."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Harbour Desk, which has been started."""

    child: subprocess.Popen[bytes]

    async def url(self) -> str:
        """Where it listens, as soon as it does; raises DeskFailed."""
        assert self.child.stdout is not None
        line = await asyncio.to_thread(self.child.stdout.readline)
        if not line:
            raise DeskFailed("Harbour Desk, the example, could not start")
        return str(json.loads(line)["url"])


@asynccontextmanager
async def running(
    seeded: DeskSeeded, doors: Sequence[int], base_url: str, data: Path, port: int
) -> AsyncIterator[Desk]:
    """Harbour Desk for as long as the context lasts."""
    data.mkdir(mode=0o700, exist_ok=True)
    config.write_private(data / "seed.json", json.dumps(_seed(seeded.members, doors)).encode())
    child = _start(seeded, base_url, data, port)
    try:
        yield Desk(child)
    finally:
        child.terminate()
        await asyncio.to_thread(child.wait)


def _start(seeded: DeskSeeded, base_url: str, data: Path, port: int) -> subprocess.Popen[bytes]:
    """As a child of this process, which it does not outlive."""
    backend, sdk = _places()
    environment = {
        **os.environ,
        "PYTHONPATH": str(backend),
        "LATCHWORK_URL": base_url,
        "LATCHWORK_CLIENT_ID": seeded.client_id,
        "LATCHWORK_CLIENT_SECRET": seeded.client_secret,
        "HARBOUR_DESK_DATA": str(data),
        "HARBOUR_DESK_SDK": str(sdk),
    }
    options = ["--port", str(port), "--seed", str(data / "seed.json"), "--while-stdin-is-open"]
    command = [sys.executable, "-m", "harbour_desk", *options]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603


def _places() -> tuple[Path, Path]:
    """Where the backend and the SDK's bundle are: in an installed package beside us, else in the clone."""
    if _INSTALLED.is_dir():
        return _INSTALLED / "client_cloud", _INSTALLED / "sdk"
    return _CLONE / "examples" / "client_cloud", _CLONE / "sdks" / "typescript" / "dist"


def _seed(members: Sequence[DeskMember], doors: Sequence[int]) -> dict[str, list[dict[str, object]]]:
    """Two rooms behind the front door. The first member opens all doors but the last; the second all, and steers."""
    front, office, meeting, *_ = doors
    return {
        "rooms": [
            {"name": "Meeting room", "doors": [front, meeting]},
            {"name": "Office", "doors": [front, office]},
        ],
        "members": [
            {**msgspec.to_builtins(members[0]), "doors": list(doors[:-1])},
            {**msgspec.to_builtins(members[1]), "doors": list(doors), "steers": True},
        ],
    }
