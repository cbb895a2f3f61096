"""`/reference`: the OpenAPI document as a page, without a script and without asking anybody else for one."""

from __future__ import annotations

import json
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .4rem 0; }
details { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
code, pre { font: 14px/1.5 ui-monospace, monospace; } pre { overflow-x: auto; padding: .75rem;
background: color-mix(in srgb, currentColor 7%, transparent); border-radius: .4rem; }
.method { display: inline-block; width: 4.5rem; font-weight: 600; } .quiet { opacity: .7; }
"""


def page(document: dict[str, Any]) -> str:
    """The whole document: every operation with its scope, parameters and body, and every record."""
    operations = "".join(
        _operation(method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    )
    records = "".join(_record(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Latchwork API</title><link rel=stylesheet href='/reference.css'><h1>Latchwork API</h1>"
        f"<p>{escape(document['info']['description'])} All of it: <a href='/openapi.json'>openapi.json</a>.</p>"
        f"<h2>Operations</h2>{operations}<h2>Records</h2>{records}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    security = operation.get("security")
    scope = (", ".join(security[0]["oauth2"]) or "any token") if security else "no token"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return (
        f"<details id='{escape(operation['operationId'])}'><summary><code><span class=method>{method.upper()}</span>"
        f"{escape(path)}</code> {escape(operation.get('summary') or '')} <span class=quiet>({escape(scope)})</span>"
        f"</summary>{_paragraphs(operation.get('description') or '')}{_parameters(operation)}"
        f"{f'<p>Body: {_named(body)}</p>' if body else ''}{_answer(operation)}</details>"
    )


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n")[1:])


def _parameters(operation: dict[str, Any]) -> str:
    found = operation.get("parameters", [])
    items = "".join(
        f"<li><code>{escape(p['name'])}</code> ({p['in']}) {escape(p.get('description') or '')}" for p in found
    )
    return f"<ul>{items}</ul>" if items else ""


def _answer(operation: dict[str, Any]) -> str:
    for status, response in operation["responses"].items():
        for content in response.get("content", {}).values():
            if status.startswith("2"):
                return f"<p>Answer {status}: {_named(content.get('schema', {}))}</p>"
    return ""


def _named(schema: dict[str, Any]) -> str:
    """A record by its name with a link, anything else as it stands in the document."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    return f"<code>{escape(json.dumps(schema))}</code>"


def _record(name: str, schema: dict[str, Any]) -> str:
    return f"<h3 id='{escape(name)}'>{escape(name)}</h3><pre>{escape(json.dumps(schema, indent=2))}</pre>"
