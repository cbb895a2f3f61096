"""Pages and files travel packed (gzip, RFC 1952).

What is packed tells its length to whoever listens, and so perhaps whether a guess stands on the page twice. So each
packing is longer by a random name within it, and what a form proves itself with is another on each page.
"""

from __future__ import annotations

import gzip
import io
import secrets
from typing import Any, Final

from litestar.types import Scope, Send

_LEAST: Final = 500
"""Bytes; what is shorter does not get shorter."""
_LONGEST_NAME: Final = 100


def packed(content: bytes) -> bytes:
    """In a wrapping of random length."""
    name = "x" * secrets.randbelow(_LONGEST_NAME)
    into = io.BytesIO()
    with gzip.GzipFile(name, "wb", fileobj=into, mtime=0) as file:
        file.write(content)
    return into.getvalue()


def takes_packed(accept: str) -> bool:
    """Whether an Accept-Encoding header asks for gzip (RFC 9110 §12.5.3)."""
    weights = dict(_weighed(each) for each in accept.lower().split(","))
    return weights.get("gzip", weights.get("*", False))


def _weighed(coding: str) -> tuple[str, bool]:
    name, _, weight = coding.partition(";")
    return name.strip(), weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.")


def packing(scope: Scope, send: Send) -> Send:
    """Sends HTML packed to whoever takes it; everything else as it is."""
    accept = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
    if not takes_packed(accept.decode("latin-1")):
        return send
    start: Any = None

    async def sending(message: Any) -> None:
        nonlocal start
        if message["type"] == "http.response.start" and _is_html(message["headers"]):
            start = message
        elif message["type"] == "http.response.body" and start is not None:
            body = message.get("body", b"")
            if not message.get("more_body") and len(body) >= _LEAST:
                body = packed(body)
                start["headers"] = _for_packed(start["headers"], len(body))
            first, start = start, None
            await send(first)
            message["body"] = body
            await send(message)
        else:
            await send(message)

    return sending


def _is_html(headers: Any) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers)


def _for_packed(headers: Any, length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    packing = [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"), (b"content-length", b"%d" % length)]
    return kept + packing
