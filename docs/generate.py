"""Writes the pages that are drawn from the code: python docs/generate.py. A test holds them fresh."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from latchwork.cloud.accounts.roles import ROLES
from latchwork.cloud.accounts.rules import ALL_SCOPES
from latchwork.cloud.app import create_app
from latchwork.cloud.kernel.settings import read_settings
from latchwork.cloud.saams.wire import ERROR_CODES
from latchwork.edge.door import TABLE, Effect, State
from latchwork.policy.reasons import Reason
from latchwork.wire.api.problems import Problem

FOLDER = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the code. -->\n\n"


def pages() -> dict[str, str]:
    """The text of each generated page, by file name."""
    return {"reasons.md": reasons(), "errors.md": errors(), "door.md": door(), "api.md": api(), "roles.md": roles()}


def reasons() -> str:
    rows = "\n".join(f"| `{reason.value}` | {reason.sentence} |" for reason in Reason)
    head = f"# Why a door opened, or did not\n\n{NOTE}A code never changes its meaning.\n\n"
    return f"{head}| code | sentence |\n|---|---|\n{rows}\n"


def errors() -> str:
    rows = "\n".join(
        f'| <a id="{kind.code}"></a>`{kind.code}` | {kind.status} | {ERROR_CODES.get(kind, "")} | {kind.sentence} |'
        for kind in sorted(Problem.by_code.values(), key=lambda kind: (kind.status, kind.code))
    )
    return (
        f"# Errors\n\n{NOTE}The native API answers with problem details (RFC 9457) that carry a stable `code`, a"
        " sentence in `detail`, and in `errors` every field that was wrong. The SAAMS wire answers with its"
        " `errorCode`.\n\n"
        f"| code | HTTP status | SAAMS errorCode | sentence |\n|---|---|---|---|\n{rows}\n"
    )


def door() -> str:
    lines = "\n".join(f"    {state} --> {following}: {', '.join(causes)}" for state, following, causes in _arrows())
    rows = "\n".join(
        f"| {state} | {given} | {following} | {', '.join(str(e) for e in effects)} |"
        for (state, given), (following, effects) in TABLE.items()
        if effects or following != state
    )
    return (
        f"# What a door does\n\n{NOTE}Everything that is not here changes nothing.\n\n"
        f"```mermaid\nstateDiagram-v2\n    [*] --> {State.LOCKED}\n{lines}\n```\n\n"
        f"| state | input | becomes | effects and reports |\n|---|---|---|---|\n{rows}\n\n"
        f"Effects: {', '.join(f'`{effect}`' for effect in Effect)}.\n"
    )


def _arrows() -> Iterator[tuple[State, State, list[str]]]:
    """One arrow per pair of states, with the inputs that lead along it."""
    moves = sorted((state, following, given) for (state, given), (following, _) in TABLE.items() if following != state)
    for (state, following), found in groupby(moves, key=lambda move: move[:2]):
        yield state, following, [given for _, _, given in found]


def roles() -> str:
    rows = "\n".join(
        f"| `{scope}` | {' | '.join(_WHERE[role.where] if scope in role.scopes else '' for role in ROLES.values())} |"
        for scope in ALL_SCOPES
    )
    heads = (f"`{name}`" + (f" ({role.module} module)" if role.module else "") for name, role in ROLES.items())
    return (
        f"# What each role may do\n\n{NOTE}For whom a client acts ([python-client.md](python-client.md)), may do at most"
        " this. Several roles add up: for each scope the widest reach counts. A role whose module is switched off gives"
        " nothing. A client's own token reaches the whole organisation.\n\n"
        f"| scope | {' | '.join(heads)} |\n|{'---|' * (len(ROLES) + 1)}\n{rows}\n\n"
        "- *own sites*: those in `adminOfSites`, their doors, and the people whose home site they are. A permission"
        " belongs to its door, an entry or refusal to the site where it happened, a meeting to its doors: all of them"
        " must be within reach. A visitor is within reach when one of their meetings is, or when they have none;"
        " what is known of them is changed only by whoever reaches all of their visits that are not over.\n"
        "- *own reports*: the people who report to the user directly, their cards, entries and refusals.\n"
        "- What is out of reach is not found, in lists and counts neither. A call that concerns the whole organisation"
        " (no *within reach* in [api.md](api.md)) answers 403 to whoever reaches a part of it; so does every SAAMS call."
        "\n- Schedules, roles and terms belong to no site: whoever may read some may read all.\n"
        "- Nobody gives roles or sites that reach further than their own, nor changes, deletes or gives cards to"
        " somebody whose roles do: 403. A site admin's people stay at the site admin's sites.\n"
    )


_WHERE = {"organisation": "all", "own sites": "own sites", "own reports": "own reports"}


def api() -> str:
    rows = "\n".join(_operations(openapi()))
    return (
        f"# The native API\n\n{NOTE}The whole document is at `/openapi.json`, a page to read it at `/reference`."
        " Every instant is whole seconds since the epoch. A list takes `limit` and `cursor`; a POST that creates takes"
        " an `Idempotency-Key`. Errors are in [errors.md](errors.md). *Within reach*: users whose"
        " [roles](roles.md) reach a part of the organisation may call it too, and meet only that part.\n\n"
        f"| call | scope | what it does |\n|---|---|---|\n{rows}\n"
    )


def openapi() -> dict[str, Any]:
    """The OpenAPI document of the cloud."""
    app = create_app(read_settings({"LATCHWORK_DATA": "."}), "")
    document: dict[str, Any] = app.litestar.openapi_schema.to_schema()
    return document


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if path.startswith("/v1/"):
                security = operation.get("security")
                scope = ", ".join(f"`{s}`" for s in security[0]["oauth2"]) or "any token" if security else "no token"
                scope += ", within reach" if operation.get("x-within-reach") else ""
                yield f"| `{method.upper()} {path}` | {scope} | {operation['summary']} |"


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
