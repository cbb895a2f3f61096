"""The promise of design §10 as a whole: processes are killed, links cut, backups restored, and it all ends right.

Real processes: two of the cloud (one is killed again and again, one is not) and the virtual building. Each seed is one
history; what it does is printed, so that a failure can be read and repeated.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cloud.cast import MASTER_KEY, PUBLIC_URL, Account, Client, Cloud, Conn, Script
from latchwork.cloud.kernel import archive
from latchwork.edge.config import Config
from latchwork.edge.enrol import own_key
from latchwork.policy.model import VerifiedPass
from latchwork.wire import p256
from latchwork.wire.pass_ import PassKey, verify

SERVE = Path(__file__).with_name("serve.py")
STEPS = 20
DOORS = (1, 2)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@dataclass
class Shown:
    """A pass that was shown at a door, and the answer, when there was one."""

    pass_id: str
    granted: bool | None


@dataclass
class Kept:
    """A backup of the cloud's database, and what was true then."""

    file: Path
    meetings: dict[int, set[int]]


@dataclass
class World:
    dsn: str
    folder: Path
    account: Account
    random: random.Random
    http: httpx2.AsyncClient
    ports: dict[str, int] = field(default_factory=lambda: {"a": _free_port(), "b": _free_port()})
    clouds: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    building: subprocess.Popen[bytes] | None = None
    doors_url: str = ""
    config: Config | None = None
    meetings: dict[int, set[int]] = field(default_factory=dict)
    old_passes: list[str] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    backup: Kept | None = None
    edge_copy: Path | None = None
    was_restored: bool = False
    story: list[str] = field(default_factory=list)

    # Processes

    def start_cloud(self, name: str) -> None:
        command = [sys.executable, str(SERVE), self.dsn, str(self.ports[name]), MASTER_KEY, PUBLIC_URL]
        self.clouds[name] = subprocess.Popen(command)

    async def cloud_is_up(self, name: str) -> None:
        async with asyncio.timeout(20):
            while True:
                try:
                    if (await self.http.get(f"{self.url(name)}/healthz")).status_code == 200:
                        return
                except httpx2.TransportError:
                    pass
                await asyncio.sleep(0.05)

    def kill_cloud(self, name: str) -> None:
        self.clouds[name].kill()
        self.clouds[name].wait()

    async def start_building(self) -> None:
        command = [sys.executable, "-m", "latchwork.sim.building", "--config", str(self.folder / "edge.toml")]
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        more = ["--port", "0", "--ready-file", str(ready), "--while-stdin-is-open"]
        quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.building = subprocess.Popen([*command, *more], **quiet)  # type: ignore[call-overload]
        async with asyncio.timeout(20):
            while not ready.exists():
                await asyncio.sleep(0.02)
        self.doors_url = json.loads(ready.read_text())["doorsUrl"]

    def kill_building(self) -> None:
        assert self.building is not None
        assert self.building.stdin is not None
        self.building.kill()
        self.building.wait()
        self.building.stdin.close()

    def end(self) -> None:
        for name in self.clouds:
            self.kill_cloud(name)
        if self.building is not None:
            self.kill_building()

    # The API

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def alice(self) -> Client:
        """Alice at the process that is never killed, or at the one that is, when that is alive."""
        name = self.random.choice("ab") if self.clouds["a"].poll() is None else "b"
        http = httpx2.AsyncClient(base_url=self.url(name), timeout=20)
        return Client(Cloud(self.url(name), self.dsn, http, None), self.account.organisation, self.account.token)

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """Retries what an unlucky moment refused."""
        async with asyncio.timeout(30):
            while True:
                alice = self.alice
                try:
                    response = await alice.call(method, path, **({} if body is None else {"json": body}))
                    if response.status_code < 500:
                        return response.json() if response.content else {"status": response.status_code}
                except httpx2.TransportError:
                    pass
                finally:
                    await alice.cloud.http.aclose()
                await asyncio.sleep(0.1)

    # What may happen

    async def invite(self) -> None:
        doors = set(self.random.sample(DOORS, self.random.randint(1, 2)))
        now = int(time.time())
        body = {"visitor": {"key": "vic"}, "startTime": now - 9, "endTime": now + 9000, "accessPoints": sorted(doors)}
        made = await self.ask("POST", "/v1/meetings", body)
        self.meetings[made["id"]] = doors
        self.old_passes.append(made["pass"]["qrData"])

    async def change_meeting(self) -> None:
        if self.meetings:
            meeting = self.random.choice(sorted(self.meetings))
            self.meetings[meeting] ^= {self.random.choice(DOORS)}
            body = {"accessPoints": sorted(self.meetings[meeting])}
            await self.ask("PATCH", f"/v1/meetings/{meeting}", body)

    async def change_meeting_twice(self) -> None:
        """A repeat of the same request changes nothing."""
        await self.change_meeting()
        for meeting, doors in list(self.meetings.items())[-1:]:
            await self.ask("PATCH", f"/v1/meetings/{meeting}", {"accessPoints": sorted(doors)})

    async def remove_meeting(self) -> None:
        if len(self.meetings) > 1:
            meeting = self.random.choice(sorted(self.meetings))
            del self.meetings[meeting]
            await self.ask("DELETE", f"/v1/meetings/{meeting}")

    async def show_a_pass(self) -> None:
        for meeting in self.random.sample(sorted(self.meetings), min(3, len(self.meetings))):
            await self.show((await self.ask("POST", f"/v1/meetings/{meeting}/pass"))["qrData"])

    async def show_a_pass_while_the_building_is_killed(self) -> None:
        if self.meetings:
            texts = [(await self.ask("POST", f"/v1/meetings/{m}/pass"))["qrData"] for m in list(self.meetings)[:3]]
            showing = asyncio.gather(*(self.show(text) for text in texts))
            await asyncio.sleep(self.random.uniform(0, 0.02))
            self.kill_building()
            await showing
            await self.start_building()

    async def kill_the_cloud(self) -> None:
        self.kill_cloud("a")
        for _ in range(2):
            await self.random.choice([self.change_meeting, self.invite, self.show_a_pass])()
        self.start_cloud("a")

    async def kill_the_cloud_while_it_writes(self) -> None:
        going = asyncio.gather(*(self.invite() for _ in range(4)), self.show_a_pass())
        await asyncio.sleep(self.random.uniform(0, 0.05))
        self.kill_cloud("a")
        self.start_cloud("a")
        await going

    async def cut_and_restore_the_link(self) -> None:
        await self.http.post(f"{self.doors_url}/link", json={"up": False})
        await self.change_meeting()
        await self.show_a_pass()
        await self.http.post(f"{self.doors_url}/link", json={"up": True})

    async def open_a_second_socket(self) -> None:
        """Somebody has a copy of the controller's key; the building comes back as after a restart."""
        assert self.config is not None
        cloud_id = bytes.fromhex(self.config.cloud_id)
        key = own_key(self.config.key)
        script = Script(self.url("b"), self.config.organisation, self.config.controller, cloud_id, key)
        async with script.linked():
            await self.change_meeting()
        self.kill_building()
        await self.start_building()

    async def copy_the_edge_store(self) -> None:
        assert self.config is not None
        self.kill_building()
        self.edge_copy = self.folder / "copy"
        shutil.rmtree(self.edge_copy, ignore_errors=True)
        self.edge_copy.mkdir()
        for file in self.config.folder.glob("state.db*"):
            shutil.copy(file, self.edge_copy)
        await self.start_building()

    async def restore_the_edge_store(self) -> None:
        assert self.config is not None
        if self.edge_copy is None:
            return
        self.kill_building()
        for file in self.config.folder.glob("state.db*"):
            file.unlink()
        for file in self.edge_copy.iterdir():
            shutil.copy(file, self.config.folder)
        await self.start_building()

    async def back_up(self) -> None:
        file = self.folder / f"backup-{time.monotonic_ns()}"
        await asyncio.to_thread(archive.backup, self.dsn, file)
        self.backup = Kept(file, {meeting: set(doors) for meeting, doors in self.meetings.items()})

    async def restore_the_database(self) -> None:
        if self.backup is None:
            return
        for name in self.clouds:
            self.kill_cloud(name)
        kept = self.backup
        await asyncio.to_thread(lambda: archive.restore(self.dsn, kept.file, replace=True))
        self.meetings = {meeting: set(doors) for meeting, doors in kept.meetings.items()}
        self.was_restored = True
        for name in self.clouds:
            self.start_cloud(name)
        await self.cloud_is_up("b")

    async def show(self, text: str) -> None:
        read = verify(text, self._key)
        assert isinstance(read, VerifiedPass)
        record = Shown(p256.b64url(read.pass_id), None)
        self.shown.append(record)
        try:
            path = f"{self.doors_url}/doors/{self.random.choice(DOORS)}/present"
            response = await self.http.post(path, json={"qr": text})
        except httpx2.TransportError:
            return
        if response.status_code == 200:  # 404: the building has not got its doors yet
            record.granted = response.json()["granted"]
        else:
            self.shown.remove(record)

    def _key(self, kid: bytes) -> PassKey | None:
        return self.keys.get(kid)

    keys: dict[bytes, PassKey] = field(default_factory=dict)

    async def settle(self) -> None:
        """Everything is up; the administrator accepts a snapshot where one is asked for; the controller confirms."""
        for name in self.clouds:
            await self.cloud_is_up(name)
        await self.http.post(f"{self.doors_url}/link", json={"up": True})
        restart_at = time.monotonic() + 6
        async with asyncio.timeout(60):
            while True:
                if time.monotonic() > restart_at:  # after so many broken links the controller waits up to 30 s
                    self.kill_building()
                    await self.start_building()
                    restart_at += 20
                found = await self.ask("GET", "/v1/controllers/1")
                if found["frozen"]:
                    assert self.was_restored, "only a restored database freezes"
                    await self.ask("POST", "/v1/controllers/1/accept-snapshot")
                if found["online"] and not found["frozen"] and found["revision"] == found["confirmedRevision"]:
                    held = self.held()
                    if held[0] == found["revision"] and await self.log_is_quiet():
                        return
                await asyncio.sleep(0.1)

    def held(self) -> tuple[int, bytes, dict[tuple[str, str], bytes]]:
        """What the edge's own file holds."""
        assert self.config is not None
        conn = sqlite3.connect(self.config.folder / "state.db")
        try:
            revision, mark = conn.execute("SELECT revision, mark FROM held").fetchone()
            rows = conn.execute("SELECT kind, key, body FROM records").fetchall()
            return revision, mark, {(kind, key): body for kind, key, body in rows}
        finally:
            conn.close()

    async def log_is_quiet(self) -> bool:
        """Whether nothing more comes: a controller with a link tells its facts at once."""
        before = await Conn(self.dsn).value("SELECT last FROM event_counters WHERE organisation_id = 1")
        await asyncio.sleep(1)
        return bool(before == await Conn(self.dsn).value("SELECT last FROM event_counters WHERE organisation_id = 1"))


LIKELY = (
    "invite", "change_meeting", "change_meeting_twice", "remove_meeting", "show_a_pass", "cut_and_restore_the_link",
    "kill_the_cloud_while_it_writes", "show_a_pass_while_the_building_is_killed",
)  # fmt: skip
RARE = (
    "kill_the_cloud", "open_a_second_socket", "copy_the_edge_store", "restore_the_edge_store", "back_up",
    "restore_the_database",
)  # fmt: skip


@pytest.mark.parametrize(("seed", "restores"), [(7, False), (20, True)])
async def test_whatever_happens_doors_and_cloud_agree_and_every_event_is_told_once(
    alice: Client, dsn: str, tmp_path: Path, accounts: dict[str, Account], seed: int, restores: bool
) -> None:
    async with httpx2.AsyncClient(timeout=10) as http:
        world = World(dsn, tmp_path, accounts["alice"], random.Random(seed), http)
        try:
            await _live(world, alice, restores)
        except BaseException:
            print("\n".join(world.story))
            raise
        finally:
            world.end()


async def _live(world: World, alice: Client, restores: bool) -> None:
    for name in "ab":
        world.start_cloud(name)
    jwks = (await alice.cloud.http.get(f"/v1/pass-keys/{alice.organisation}")).json()["keys"]
    for key in jwks:
        point = b"\4" + p256.from_b64url(key["x"]) + p256.from_b64url(key["y"])
        world.keys[p256.kid(point)] = PassKey(p256.kid(point), "organisation", p256.load_public(point))
    await world.cloud_is_up("a")
    await world.cloud_is_up("b")
    at_a = Client(Cloud(world.url("a"), world.dsn, httpx2.AsyncClient(base_url=world.url("a")), None), 1, alice.token)
    world.config = await at_a.enrol(1, world.folder)
    await at_a.cloud.http.aclose()
    await world.start_building()
    await world.invite()
    await world.settle()
    rare = [name for name in RARE if restores or name != "restore_the_database"]
    world.random.shuffle(rare)
    plan = [world.random.choice(LIKELY) for _ in range(STEPS - len(rare))]
    for name in rare:
        plan.insert(world.random.randrange(len(plan)), name)
    plan += ["restore_the_database", "change_meeting", "show_a_pass"] if restores else []
    for name in plan:
        world.story.append(name)
        await getattr(world, name)()
    await world.settle()
    await _agree(world)


async def _agree(world: World) -> None:
    db = Conn(world.dsn)
    # the door holds what it should, and what it should hold is what a rebuild makes of the business rows
    revision, mark, records = world.held()
    [row] = await db.fetch("SELECT revision, mark FROM controllers WHERE id = 1")
    assert (revision, mark) == (row["revision"], row["mark"])
    wanted = await db.fetch("SELECT kind, key, body FROM desired_records WHERE controller_id = 1 AND body IS NOT NULL")
    assert records == {(r["kind"], r["key"]): r["body"] for r in wanted}
    assert (await world.ask("POST", "/v1/controllers/1/rebuild"))["changed"] == 0
    # the cloud's meetings are the ones that were agreed on
    for meeting, doors in world.meetings.items():
        assert (await world.ask("GET", f"/v1/meetings/{meeting}"))["accessPoints"] == sorted(doors)
    # the log: no number missing, no fact twice, every hole named
    events = await db.fetch("SELECT number, type, data FROM events WHERE organisation_id = 1 ORDER BY number")
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    await _each_fact_once(world, events)
    # a code from before the last change opens nothing, a fresh one opens its doors
    for meeting, doors in world.meetings.items():
        fresh = (await world.ask("POST", f"/v1/meetings/{meeting}/pass"))["qrData"]
        for door in DOORS:
            told = (await world.http.post(f"{world.doors_url}/doors/{door}/present", json={"qr": fresh})).json()
            assert told["granted"] is (door in doors), told
    for text in world.old_passes:
        read = verify(text, world._key)
        assert isinstance(read, VerifiedPass)
        now = await world.ask("GET", f"/v1/meetings/{read.meeting}")
        if now.get("version") != read.version and not world.was_restored:
            told = (await world.http.post(f"{world.doors_url}/doors/1/present", json={"qr": text})).json()
            assert told["reason"] in ("pass_revoked", "pass_expired"), told


async def _each_fact_once(world: World, events: list[Any]) -> None:
    told: dict[str, list[int]] = {}
    holes: dict[str, set[int]] = {}
    passes: Counter[str] = Counter()
    for event in events:
        data = json.loads(event["data"])
        if event["type"] == "journal_gap":
            holes.setdefault(data["journal"], set()).update(range(data["from"], data["to"] + 1))
        elif "journalNumber" in data and event["type"] != "pass_shared_suspected":
            told.setdefault(data["journal"], []).append(data["journalNumber"])
            if "passId" in data:
                passes[data["passId"]] += 1
    for journal, numbers in told.items():
        assert len(numbers) == len(set(numbers)), "a fact stands in the log twice"
        assert not set(numbers) & holes.get(journal, set())
        all_of_it = set(numbers) | holes.get(journal, set())
        assert all_of_it == set(range(1, max(all_of_it) + 1)), "a fact is missing"
    if not world.was_restored:
        assert not holes
    world.story.append(f"{len(world.shown)} shown, {sum(s.granted is True for s in world.shown)} granted")
    assert any(shown.granted for shown in world.shown)
    for shown in world.shown:
        assert passes[shown.pass_id] <= 1
        if shown.granted is not None and not world.was_restored:
            assert passes[shown.pass_id] == 1, "somebody was answered and the log does not know"
