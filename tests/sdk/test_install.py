"""Who installs the client or a controller does not install the cloud: what a part loads is what its extra brings."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
CLIENT = ("latchwork.sdk.client", "latchwork.sdk.blocking", "latchwork.sdk.access", "latchwork.sdk.wallet")
WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
sys.argv[1:] = {words!r}
from latchwork.cli import main
main()
"""


def named(distribution: str) -> str:
    """As PyPI compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def brought(asked: list[str]) -> set[str]:
    """The distributions that come with those requirements, and with theirs."""
    found: set[str] = set()
    todo = list(asked)
    while todo:
        name = named(re.split(r"[^\w.-]", todo.pop())[0])
        if name not in found:
            found.add(name)
            with suppress(PackageNotFoundError):  # it is for other systems
                todo += [each for each in requires(name) or () if "extra ==" not in each]
    return found


def loaded(modules: tuple[str, ...]) -> set[str]:
    """The distributions that are in use once these modules are imported."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    owners = packages_distributions()
    return {named(owner) for name in done.stdout.split() for owner in owners.get(name, ())} - {"latchwork"}


def without(missing: set[str], *words: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(missing=missing, words=list(words))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_client_and_the_sdk_need_no_extra() -> None:
    assert loaded(CLIENT) <= brought(PROJECT["dependencies"])


def test_a_controller_needs_its_extra_only() -> None:
    extra = PROJECT["optional-dependencies"]["controller"]
    assert loaded(("latchwork.cli.edge", "latchwork.cli.main")) <= brought(PROJECT["dependencies"] + extra)


@pytest.mark.parametrize(("missing", "words"), [("typer", "edge"), ("asyncpg", "serve"), ("uvicorn", "demo")])
def test_a_command_says_what_must_be_installed_for_it(missing: str, words: str) -> None:
    done = without({missing}, words)
    assert done.returncode == 1
    assert f"{missing} is not installed" in done.stderr
    assert "latchwork[server]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_controller_runs_without_the_cloud() -> None:
    done = without({"asyncpg", "litestar", "uvicorn"}, "edge", "--help")
    assert (done.returncode, "enrol" in done.stdout) == (0, True)
