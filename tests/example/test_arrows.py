"""The example shows what anybody can build: it sees the client of the public API, its records, and nothing behind."""

from __future__ import annotations

import ast
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "client_cloud"
PUBLIC = ("latchwork.sdk.client", "latchwork.wire.api.")


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_the_backend_uses_the_public_api_alone() -> None:
    files = list(EXAMPLE.rglob("*.py"))
    imported = {name for path in files for name in _imported(path) if name.startswith("latchwork")}
    assert files and imported
    assert {name for name in imported if not name.startswith(PUBLIC)} == set()


def test_the_app_includes_its_own_files_and_the_sdk_and_nothing_else() -> None:
    sources = [line for path in (EXAMPLE / "app").glob("*.js") for line in path.read_text().splitlines()]
    imported = {line.split('"')[1] for line in sources if line.startswith("import ") and '"' in line}
    own = {f"/{path.name}" for path in (EXAMPLE / "app").glob("*.js")}
    assert {name for name in imported - own if not name.startswith("/sdk/")} == set()
