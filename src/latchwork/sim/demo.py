"""The whole system in one process tree: PostgreSQL, cloud, website, an organisation, a building with four doors."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from latchwork import serve
from latchwork.cloud import admin
from latchwork.cloud.kernel.migrate import migrate
from latchwork.cloud.kernel.postgres import embedded, forget
from latchwork.cloud.kernel.settings import Settings, read_settings
from latchwork.edge import config
from latchwork.sdk.client import Client
from latchwork.sim import building, example
from latchwork.wire.api.accounts import ClientDraft
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.people import UserDraft
from latchwork.wire.api.sessions import PasswordChoice
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft

HOST = "127.0.0.1"
READY_WITHIN = 30.0
ADMIN = UserDraft("Ada", email="ada@harbour.example", roles=["super_admin"])
"""Who logs in to the website; her password is new with each demo."""
MEMBERS = ("Mia", "Noah")
"""Of Harbour Desk, the example client cloud."""
DOORS = (
    AccessPointDraft(1, "Front door", zone="Lobby", exit_reader="exit"),
    AccessPointDraft(1, "Office", zone="First floor"),
    AccessPointDraft(1, "Meeting room", zone="First floor"),
    AccessPointDraft(1, "Garage", zone="Basement", strike_seconds=10),
)


class Login(msgspec.Struct, frozen=True):
    """An API client's credentials."""

    client_id: str
    client_secret: str


class Founded(msgspec.Struct, frozen=True):
    """The organisation and its client."""

    organisation: int
    client: Login


class Seeded(msgspec.Struct, frozen=True):
    """What the demo's data folder remembers (`demo.json`, mode 0600)."""

    founded: Founded
    site: int
    controller: int
    access_points: list[tuple[int, str]]
    admin_password: str
    desk: example.DeskSeeded | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts of a demo listen; 0: any free one."""

    cloud: int
    app: int
    doors: int


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    base_url: str
    doors_url: str
    app_url: str
    seeded: Seeded
    members: list[example.DeskMember]

    def line(self) -> str:
        """The one line of `--json` (docs/demo.md)."""
        return json.dumps(
            {
                "baseUrl": self.base_url,
                "organisationId": self.seeded.founded.organisation,
                "clientId": self.seeded.founded.client.client_id,
                "clientSecret": self.seeded.founded.client.client_secret,
                "siteId": self.seeded.site,
                "accessPoints": [{"id": id, "name": name} for id, name in self.seeded.access_points],
                "admin": {"email": ADMIN.email, "password": self.seeded.admin_password},
                "doorsUrl": self.doors_url,
                "clientAppUrl": self.app_url,
                "members": [msgspec.to_builtins(member) for member in self.members],
            }
        )


class DemoFailed(Exception):
    """The demo cannot go on; the text says why, for people."""


def run(ports: Ports, data: Path | None, ready: Callable[[Demo], None]) -> None:
    """Runs the demo until SIGINT or SIGTERM; `ready` is called once. Without a data folder it leaves nothing behind."""
    with _folder(data) as folder, embedded(folder, exclusive=True) as dsn:
        asyncio.run(_run(ports, folder, dsn, ready))


async def _run(ports: Ports, data: Path, dsn: str, ready: Callable[[Demo], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await migrate(dsn)
    with building.loopback_socket(HOST, ports.cloud) as listening:
        base_url = f"http://{HOST}:{listening.getsockname()[1]}"
        settings = read_settings({"LATCHWORK_DATA": str(data), "LATCHWORK_PUBLIC_URL": base_url})
        founded = await _founded(settings, dsn)
        api = Client(base_url, founded.client.client_id, founded.client.client_secret)
        async with _serving(serve.Composed(settings, dsn), listening), api as client:
            seeded = await _seeded(client, founded, data / "demo.json")
            desk = seeded.desk or await _add_desk(client, seeded, data / "demo.json")
            doors = [id for id, _ in seeded.access_points]
            async with example.running(desk, doors, base_url, data / "harbour-desk", ports.app) as app:
                edge = await asyncio.to_thread(_enrol, await _code(client, seeded.controller), base_url, data)
                async with _building(edge, ports.doors) as doors_url:
                    app_url = await app.url()
                    await _linked(client, seeded.controller)
                    ready(Demo(base_url, doors_url, app_url, seeded, desk.members))
                    await stop.wait()


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """The given folder, or one of its own that is removed at the end, with the database that belongs to it."""
    if data is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield data
        return
    folder = Path(tempfile.mkdtemp(prefix="latchwork-demo-"))
    try:
        yield folder
    finally:
        forget(folder)
        shutil.rmtree(folder, ignore_errors=True)


async def _founded(settings: Settings, dsn: str) -> Founded:
    """The organisation and its clients: as remembered, or new."""
    remembered = _remembered(settings.data / "demo.json")
    if remembered is not None:
        return remembered.founded
    async with admin.open_office(settings, dsn) as office:
        organisation = (await admin.found(office, "Harbour House")).id
        return Founded(organisation, await _login(office, organisation, "Demo", []))


async def _login(office: admin.Office, organisation: int, name: str, scopes: list[str]) -> Login:
    client = await admin.add_client(office, organisation, name, scopes, days=90)
    return Login(client.client_id, client.client_secret or "")


async def _seeded(client: Client, founded: Founded, path: Path) -> Seeded:
    """One site, four doors and their controller, made through the API."""
    remembered = _remembered(path)
    if remembered is not None:
        return remembered
    site = await client.add_site(SiteDraft("Harbour House", "Pier 4", "Europe/Berlin"))
    doors = [await client.add_access_point(msgspec.structs.replace(draft, site_id=site.id)) for draft in DOORS]
    controller = await client.add_controller(ControllerDraft("Dora", [door.id for door in doors]))
    password = await _let_in(client)
    seeded = Seeded(founded, site.id, controller.id, [(door.id, door.name) for door in doors], password)
    config.write_private(path, msgspec.json.encode(seeded))
    return seeded


async def _let_in(client: Client) -> str:
    """The password of the administrator, who was invited as everybody is."""
    ada = await client.add_user(ADMIN)
    invitation = await client.invite_user(ada.id)
    password = secrets.token_urlsafe(9)
    await client.choose_password(PasswordChoice(invitation.url.rpartition("/")[2], password))
    return password


async def _add_desk(client: Client, seeded: Seeded, path: Path) -> example.DeskSeeded:
    """Harbour Desk's own API client, and who its members are going to be."""
    added = await client.add_client(ClientDraft("Harbour Desk", list(example.DESK_SCOPES)))
    members = [example.DeskMember(name, f"{name.casefold()}@harbour.example", secrets.token_hex(4)) for name in MEMBERS]
    desk = example.DeskSeeded(added.client_id, added.client_secret or "", members)
    config.write_private(path, msgspec.json.encode(msgspec.structs.replace(seeded, desk=desk)))
    return desk


def _remembered(path: Path) -> Seeded | None:
    return msgspec.json.decode(path.read_bytes(), type=Seeded) if path.exists() else None


async def _code(client: Client, controller: int) -> str:
    return (await client.make_enrolment_code(controller)).code


def _enrol(code: str, url: str, data: Path) -> Path:
    """Enrols the building's controller with the command that an installer uses; its key stays from run to run."""
    path = data / "edge.toml"
    command = [sys.executable, "-m", "latchwork.cli", "edge", "enrol", code, "--url", url]
    options = ["--config", str(path), "--data", str(data / "controller")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise DemoFailed(f"the controller could not enrol: {done.stderr.strip()}")
    return path


@asynccontextmanager
async def _building(edge: Path, port: int) -> AsyncIterator[str]:
    """The virtual building as a process of its own; when it dies it is started again at the same address."""
    child, url = await asyncio.to_thread(building.start, edge, port)
    alive = _Alive(edge, int(url.rpartition(":")[2]), child)
    watching = asyncio.create_task(alive.watch())
    try:
        yield url
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        alive.child.terminate()
        await asyncio.to_thread(alive.child.wait)


@dataclass(slots=True)
class _Alive:
    edge: Path
    port: int
    child: subprocess.Popen[bytes]

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            if self.child.poll() is not None:
                print("the virtual building died; starting it again", file=sys.stderr)
                with suppress(RuntimeError):
                    self.child, _ = await asyncio.to_thread(building.start, self.edge, self.port)


async def _linked(client: Client, controller: int) -> None:
    """Until the doors hold everything that they should; raises DemoFailed when that takes too long."""
    until = time.monotonic() + READY_WITHIN
    while time.monotonic() < until:
        found = await client.get_controller(controller)
        if found.online and found.confirmed_revision == found.revision:
            return
        await asyncio.sleep(0.05)
    raise DemoFailed("the controller did not link to its cloud")


@asynccontextmanager
async def _serving(app: serve.Composed, listening: socket.socket) -> AsyncIterator[None]:
    server = _Server(app)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Server(serve.Server):
    """Leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
