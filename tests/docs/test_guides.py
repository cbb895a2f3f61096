"""Every code block of the guides runs as it stands, in order, against a running demo."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page
from tests.demo.running import Running, start
from tests.typescript.page import chromium, opened_app

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(tmp_path_factory.mktemp("demo"))
    yield running
    running.stop()


async def test_the_visitors_qr(demo: Running, tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        ran = await Reader(demo).read(DOCS / "visitor-qr.md")
    assert ran == ["python", "sh", "python", "python", "python", "python", "sh", "text", "python", "python", "python"]


async def test_your_own_app(demo: Running, tmp_path: Path) -> None:
    async with chromium() as browser:
        page = await opened_app(browser)
        await page.evaluate("() => Object.assign(globalThis, sdk)")
        guide = DOCS / "your-app.md"
        ran = await Reader(demo, page, client_of(demo, guide)).read(guide)
    assert (ran.count("python"), ran.count("sh"), ran.count("js")) == (5, 1, 5)


async def test_the_access_sdk(demo: Running, tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        ran = await Reader(demo).read(DOCS / "access-sdk.md")
    assert ran == ["python"] * 11


async def test_the_python_client(demo: Running) -> None:
    """The last: it makes another front door."""
    assert await Reader(demo).read(DOCS / "python-client.md") == ["python"] * 11


def client_of(demo: Running, guide: Path) -> dict[str, Any]:
    """An API client with the scopes that the guide names before its first block, and no other."""
    scopes = re.findall(r"`(\w+:\w+)`", guide.read_text().partition("```python")[0])
    made: dict[str, Any] = demo.api.post("/v1/clients", json={"name": "Backend", "scopes": scopes}).json()
    return made


class Reader:
    """Somebody who types in what they read: Python and JavaScript into one session each, commands into a shell."""

    def __init__(self, demo: Running, page: Page | None = None, client: dict[str, Any] | None = None) -> None:
        line = {**demo.line, **(client or {})}
        self._page = page
        self._printed = ""
        self._names: dict[str, Any] = {
            "base_url": line["baseUrl"],
            "client_id": line["clientId"],
            "client_secret": line["clientSecret"],
            "doors_url": line["doorsUrl"],
            "hci": demo.doors.get("/radio").json()["hci"],
        }
        self._environment = {
            **os.environ,
            "BASE": line["baseUrl"],
            "CLIENT": line["clientId"],
            "SECRET": line["clientSecret"],
            "DOORS": line["doorsUrl"],
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    async def read(self, guide: Path) -> list[str]:
        """The languages of the guide's blocks."""
        blocks = BLOCK.findall(guide.read_text())
        for language, text in blocks:
            match language:
                case "python":
                    await self._python(guide, text)
                case "js":
                    await self._javascript(text)
                case "sh":
                    self._printed = self._shell(text)
                case "text":
                    assert text.strip() == self._printed.strip()
                case _:
                    raise AssertionError(f"{guide.name} has a block of {language}, which nobody runs")
        return [language for language, _ in blocks]

    async def _python(self, guide: Path, text: str) -> None:
        code = compile(text, str(guide), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if (running := eval(code, self._names)) is not None:
            await running

    async def _javascript(self, text: str) -> None:
        """In the app's page; what a block declares is known to the next, and what both languages name is one thing."""
        assert self._page is not None
        given = {"cloudUrl": self._names["base_url"], "session": self._names["session"]}
        work = re.sub(r"^import .*$", "", text, flags=re.MULTILINE)
        work = re.sub(r"^(?:const|let) (\w+)", r"globalThis.\1", work, flags=re.MULTILINE)
        await self._page.evaluate(f"async (given) => {{ Object.assign(globalThis, given); {work} }}", given)
        self._names["code"] = await self._page.evaluate("() => globalThis.code?.text")
        self._names["over"] = await self._page.evaluate("() => globalThis.over")

    def _shell(self, text: str) -> str:
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout
