"""Every code block of the guides runs as it stands, in order, against a running demo."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.demo.running import Running, start

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    running = start(tmp_path_factory.mktemp("demo"))
    yield running
    running.stop()


async def test_the_visitors_qr(demo: Running, tmp_path: Path) -> None:
    ran = await run(DOCS / "visitor-qr.md", demo, tmp_path)
    assert ran == ["python", "sh", "python", "python", "python", "python", "sh", "text", "python", "python", "python"]


async def run(guide: Path, demo: Running, folder: Path) -> list[str]:
    """Runs a guide in a folder and answers its blocks' languages; a `text` block is what the one before it printed."""
    line = demo.line
    names: dict[str, Any] = {
        "base_url": line["baseUrl"],
        "client_id": line["clientId"],
        "client_secret": line["clientSecret"],
        "doors_url": line["doorsUrl"],
    }
    ran, printed = [], ""
    with contextlib.chdir(folder):
        for language, text in BLOCK.findall(guide.read_text()):
            ran.append(language)
            match language:
                case "python":
                    await run_python(guide, text, names)
                case "sh":
                    printed = run_shell(text, demo)
                case "text":
                    assert text.strip() == printed.strip()
                case _:
                    raise AssertionError(f"{guide.name} has a block of {language}, which nobody runs")
    return ran


async def run_python(guide: Path, text: str, names: dict[str, Any]) -> None:
    code = compile(text, str(guide), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if (running := eval(code, names)) is not None:
        await running


def run_shell(text: str, demo: Running) -> str:
    line = demo.line
    own = {
        "BASE": line["baseUrl"],
        "CLIENT": line["clientId"],
        "SECRET": line["clientSecret"],
        "DOORS": line["doorsUrl"],
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, env={**os.environ, **own, "PATH": path}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    return done.stdout
