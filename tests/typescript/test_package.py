"""The TypeScript SDK: types hold, its own tests pass on the vectors, and what is committed is what its source makes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import segno
import zxingcpp
from PIL import Image
from sdks.typescript import build
from tests.typescript.page import readme_block

PACKAGE = json.loads((build.HERE / "package.json").read_text())


def test_types_hold() -> None:
    build.check_types()


def test_sources_are_formatted() -> None:
    build.check_format()


def test_its_own_tests_pass() -> None:
    build.install()
    tests = sorted(str(path.relative_to(build.HERE)) for path in (build.HERE / "tests").glob("*.test.ts"))
    assert tests
    build.node("--test", "--test-timeout=120000", *tests)


def test_the_types_of_the_api_are_those_of_the_clouds_document() -> None:
    assert build.API_TYPES.read_text() == build.api_types(), "run .venv/bin/python -m sdks.typescript.build"


def test_it_knows_what_doors_say() -> None:
    assert build.REASONS.read_text() == build.reasons(), "run .venv/bin/python -m sdks.typescript.build"


@pytest.mark.parametrize("entry", build.BUNDLES)
def test_a_committed_bundle_is_what_its_source_makes(entry: str) -> None:
    file = build.BUNDLES[entry]
    made = build.bundle(entry)
    assert [file.read_bytes(), (build.WEBSITE / file.name).read_bytes()] == [made, made], (
        "run .venv/bin/python -m sdks.typescript.build"
    )


def test_the_committed_types_are_what_its_source_makes(tmp_path: Path) -> None:
    build.write_types(tmp_path)
    made, committed = ({path.name: path.read_text() for path in folder.iterdir()} for folder in (tmp_path, build.TYPES))
    assert committed == made, "run .venv/bin/python -m sdks.typescript.build"


def test_an_app_carries_nothing_but_the_package() -> None:
    assert not PACKAGE.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}
    assert b"import" not in build.BUNDLES["index.ts"].read_bytes().replace(b"importKey", b"")


def test_the_readme_explains_every_error() -> None:
    readme = (build.HERE / "README.md").read_text()
    source = (build.HERE / "src" / "errors.ts").read_text()
    named = re.findall(r'class (\w+) extends AccessError {\n  static override readonly code = "(\w+)"', source)
    assert len(named) >= 15
    assert not [name for name, code in named if f"| `{name}` | `{code}` |" not in readme]


NATIVE = """
declare const ble: {
  isOn(): Promise<boolean>;
  scan(service: number, seconds: number): Promise<{ id: string; serviceData: Uint8Array; rssi: number }[]>;
  connect(heard: Heard, lost: typeof LinkLost): Promise<Link>;
};
declare const url: string;
export { access };
"""
"""What a hybrid app has besides."""


def test_an_app_installs_the_package_from_a_clone_and_has_its_types(tmp_path: Path) -> None:
    """The README's native radio, in an app that has nothing else."""
    clone = tmp_path / "clone"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."]
    for name in subprocess.run(listed, cwd=build.HERE, capture_output=True, text=True, check=True).stdout.splitlines():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(build.HERE / name, clone / name)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    build.npm("install", str(clone), "--prefix", str(tmp_path), "--offline", "--no-audit", "--no-fund")
    use = "import { Access } from '@latchwork/access'; import { qrSvg } from '@latchwork/access/qr'"
    (tmp_path / "app.js").write_text(f"{use}; console.log(typeof Access.open, typeof qrSvg)")
    assert build.node(str(tmp_path / "app.js")).split() == ["function", "function"]
    (tmp_path / "app.ts").write_text(
        f"import {{ Access }} from '@latchwork/access';\n{readme_block('ts radio')}{NATIVE}"
    )
    options = {"strict": True, "module": "NodeNext", "target": "ES2022", "noEmit": True, "types": []}
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["app.ts"]}))
    build.tool("typescript", "bin/tsc", "-p", str(tmp_path))


def test_tools_come_from_wherever_npm_is_told_to_look() -> None:
    locked = json.loads((build.HERE / "package-lock.json").read_text())
    assert not [name for name, package in locked["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in locked["packages"].items() if name)


ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
TEXTS = [
    "A",
    "HTTP://EXAMPLE.ORG/",
    *(("LW1:" + ALPHABET * 14)[:length] for length in (20, 61, 90, 154, 178, 201, 223, 262, 311, 366, 419, 483, 600)),
]


def test_a_drawn_code_is_read_by_another_library_and_as_small_as_a_third_draws_it() -> None:
    program = "import { qrModules } from './src/qr.ts'; for (const text of JSON.parse(process.argv[1]))"
    program += " console.log(qrModules(text).map((row) => row.map(Number).join('')).join(' '))"
    drawn = build.node("--input-type=module-typescript", "-e", program, json.dumps(TEXTS)).splitlines()
    for text, rows in zip(TEXTS, (line.split() for line in drawn), strict=True):
        assert [found.text for found in zxingcpp.read_barcodes(picture(rows))] == [text]
        same = segno.make(text, error="m", mode="alphanumeric", boost_error=False, micro=False)
        assert len(rows) == len(same.matrix)


def picture(rows: list[str], pixels: int = 5) -> Image.Image:
    size = len(rows) + 8
    light = Image.new("L", (size, size), 255)
    for y, row in enumerate(rows):
        for x, module in enumerate(row):
            light.putpixel((x + 4, y + 4), 0 if module == "1" else 255)
    return light.resize((size * pixels, size * pixels), Image.Resampling.NEAREST)
