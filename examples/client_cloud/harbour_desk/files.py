"""The client app's files, as browsers get them: read once, with a policy that lets nothing else in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

APP: Final = Path(__file__).parents[1] / "app"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_VISITORS_OWN: Final = frozenset({"/visit", "/visit.js"})


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    media_type: str


def load(sdk: Path, latchwork: str) -> dict[str, File]:
    """Every file by its path. The service worker is told all that the app needs without a network, and its version."""
    found = {f"/{path.relative_to(APP)}": path for path in APP.rglob("*") if path.suffix in _TYPES}
    found |= {f"/sdk/{path.relative_to(sdk)}": path for path in sdk.rglob("*.js")}
    files = {_address(name): File(path.read_bytes(), _TYPES[path.suffix]) for name, path in sorted(found.items())}
    files["/config.json"] = File(json.dumps({"latchwork": latchwork}).encode(), _TYPES[".json"])
    worker = files["/service-worker.js"]
    files["/service-worker.js"] = File(_head(files).encode() + worker.content, worker.media_type)
    return files


def policy(latchwork: str) -> dict[str, str]:
    """Headers of every answer: scripts and styles are our own files, and the network is us and Latchwork."""
    return {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; "
            f"worker-src 'self'; connect-src 'self' {latchwork}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ),
        "permissions-policy": "screen-wake-lock=(self), camera=(), microphone=(), geolocation=()",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }


def _address(name: str) -> str:
    return {"/index.html": "/", "/visit.html": "/visit"}.get(name, name)


def _head(files: Mapping[str, File]) -> str:
    """A changed file changes the version, and so the worker, which then fetches all of them anew, together."""
    kept = sorted(files.keys() - _VISITORS_OWN - {"/service-worker.js"})
    version = sha256(b"".join(files[name].content for name in [*kept, "/service-worker.js"])).hexdigest()[:16]
    return f"const VERSION = {json.dumps(version)};\nconst FILES = {json.dumps(kept)};\n"
