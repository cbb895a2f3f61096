"""A running demo, used as its users do: the command, its JSON line, HTTP."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil

LATCHWORK = [sys.executable, "-m", "latchwork.cli"]


@dataclass
class Running:
    """A demo process and what its line says."""

    process: subprocess.Popen[str]
    line: dict[str, Any]
    api: httpx2.Client = field(init=False)
    doors: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.api = httpx2.Client(base_url=self.line["baseUrl"], timeout=15)
        credentials = (self.line["clientId"], self.line["clientSecret"])
        answer = self.api.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=credentials)
        self.api.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        self.doors = httpx2.Client(base_url=self.line["doorsUrl"], timeout=15)

    def book(self, doors: list[int], **more: Any) -> dict[str, Any]:
        now = int(time.time())
        visit = {"visitor": {"key": "vic"}, "startTime": now - 60, "endTime": now + 3600, "accessPoints": doors, **more}
        answer = self.api.post("/v1/meetings", json=visit)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def show(self, text: str, door: int = 1, **more: Any) -> str:
        """The reason of the door's answer to a QR's text."""
        return self.present(door, qr=text, **more)

    def present(self, door: int, **shown: Any) -> str:
        """The reason of the door's answer to a QR or a card."""
        answer = self.doors.post(f"/doors/{door}/present", json=shown)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["granted"] == (told["reason"] == "granted")
        return told["reason"]

    def link(self, up: bool) -> None:
        assert self.doors.post("/link", json={"up": up}).status_code == 200
        self.until(lambda: self.controller()["online"] is up or not up)

    def on_time(self) -> None:
        """Takes back every advance of the building's clock."""
        so_far = self.doors.post("/clock", json={"advance": 0}).json()["advance"]
        self.doors.post("/clock", json={"advance": -so_far})

    def controller(self) -> dict[str, Any]:
        return self.api.get("/v1/controllers").json()["items"][0]

    def until_confirmed(self) -> None:
        def is_confirmed() -> bool:
            found = self.controller()
            return found["online"] and found["confirmedRevision"] == found["revision"]

        self.until(is_confirmed)

    def until(self, holds: Any, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)

    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while page := self.api.get("/v1/events", params={"after": len(found), "limit": 200}).json()["events"]:
            found += page
        return found

    def journalled(self) -> list[tuple[str, int]]:
        """(journal, number) of each fact in the log, in the log's order."""
        told = [e["data"] for e in self.events() if e["type"] != "pass_shared_suspected"]
        return [(data["journal"], data["journalNumber"]) for data in told if "journalNumber" in data]

    def building(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(c for c in children if "latchwork.sim.building" in " ".join(c.cmdline()))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def start(data: Path | None) -> Running:
    """A demo on free ports, ready."""
    command = [*LATCHWORK, "demo", "--json", "--port", "0", *(("--data", str(data)) if data else ())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 60)
    assert readable, "the demo said nothing for a minute"
    return Running(process, json.loads(process.stdout.readline()))
