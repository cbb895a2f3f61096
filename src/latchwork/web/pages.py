"""Templates and static files, read once. Everything that a template prints is escaped."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec

from latchwork.web.catalogue import reason
from latchwork.web.packing import packed

_HERE: Final = Path(__file__).parent
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


MENU: Final = (
    ("now", "/", "doors:unlock"),
    ("doors", "/doors", "doors:unlock"),
    ("people", "/people", "users:read"),
    ("visitors", "/visitors", "visitors:read"),
    ("controllers", "/controllers", "controllers:read"),
    ("reports", "/reports", "events:read"),
    ("settings", "/settings", "permissions:read"),
    ("mine", "/mine", None),
)
"""Name, path, and the scope without which a page is not offered; None: to everybody."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    packed: bytes
    media_type: str
    url: str
    """With the content's hash, so that it may be kept for ever."""


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    url = f"/static/{path.name}?v={sha256(content).hexdigest()[:12]}"
    return StaticFile(content, packed(content), _MEDIA_TYPES[path.suffix], url)


STATIC: Final = {path.name: _read(path) for path in sorted((_HERE / "static").iterdir()) if path.suffix in _MEDIA_TYPES}

_templates: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["static"] = {name: file.url for name, file in STATIC.items()}
_templates.globals["menu"] = MENU
_templates.globals["reason"] = reason
_templates.filters["json"] = lambda record: msgspec.json.encode(record).decode()


def render(template: str, **values: Any) -> str:
    return _templates.get_template(template).render(**values)
