"""Scripts of other origins may call the API with a token of their own (CORS, https://fetch.spec.whatwg.org §3.3).

No credentials of the browser: what cookies guard is not here. The website's pages are not shared.
"""

from __future__ import annotations

import re
from typing import Final

from litestar.types import HTTPScope, Send

_SHARED: Final = re.compile(r"/v1/.*|/oauth2/(token|revoke)|/\.well-known/.*")
_ANY_ORIGIN: Final = (b"access-control-allow-origin", b"*")
_EXPOSED: Final = (b"access-control-expose-headers", b"*")
_PREFLIGHT: Final = (
    _ANY_ORIGIN,
    (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type, dpop, idempotency-key, if-match"),
    (b"access-control-max-age", b"7200"),
)


def headers(scope: HTTPScope) -> tuple[tuple[bytes, bytes], ...]:
    """What every answer at this path says besides."""
    return (_ANY_ORIGIN, _EXPOSED) if _SHARED.fullmatch(scope["path"]) else ()


def is_preflight(scope: HTTPScope) -> bool:
    """Whether a browser asks what another origin's script may do at this path."""
    asks = scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )
    return asks and _SHARED.fullmatch(scope["path"]) is not None


async def answer(send: Send) -> None:
    """The answer to a preflight."""
    await send({"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT)})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
