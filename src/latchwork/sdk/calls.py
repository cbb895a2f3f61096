"""What is asked of the cloud, and how often: the decisions about a call, without the way there and without waiting."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal

import httpx2
import msgspec

from latchwork.sdk.answers import CloudUnreachable, retry_after
from latchwork.wire.api.problems import Problem

Method = Literal["GET", "POST", "PATCH", "DELETE"]

USER_AGENT: Final = f"latchwork-python/{version('latchwork')}"
LONGEST_PAUSE: Final = 30
"""Seconds: when the cloud asks for more patience than this, its answer is the caller's to judge."""
_JSON: Final = {"content-type": "application/json"}
_PASSING: Final = frozenset({429, 502, 503})
"""Answers that say: later, perhaps."""
_LOST: Final = (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ConnectTimeout)
"""The connection failed; a server that is merely slow is not asked again."""
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout)
"""Nothing went out."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the cloud, without its token."""

    method: Method
    path: str
    query: Mapping[str, str | int | float] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    is_safe: bool = True
    """Whether a repeat changes nothing more than the call itself."""
    patience: float = 0
    """Seconds for which the cloud may wait on purpose before it answers."""


def with_body(
    method: Method,
    path: str,
    body: msgspec.Struct | None,
    is_safe: bool,
    *,
    query: Mapping[str, str | float] | None = None,
    headers: Mapping[str, str] | None = None,
    patience: float = 0,
) -> Call:
    """A call that hands the cloud a record, or nothing."""
    if body is None:
        return Call(method, path, query, headers=headers, is_safe=is_safe, patience=patience)
    content = msgspec.json.encode(body)
    return Call(method, path, query, content, {**_JSON, **(headers or {})}, is_safe, patience)


class Tries:
    """How often a call is made: at most `most` times, and once when a repeat could do harm."""

    def __init__(self, call: Call, most: int) -> None:
        self._call = call
        self._most = most if call.is_safe else 1
        self._made = 0
        self._may_be_done = False

    def after_loss(self, error: httpx2.TransportError) -> float | None:
        """Seconds until the next try, when no answer came; None: there is none."""
        self._may_be_done |= not isinstance(error, _UNSENT)
        return self._next() if isinstance(error, _LOST) else None

    def after(self, response: httpx2.Response) -> float | None:
        """Seconds until the next try; None: this answer stands."""
        if response.status_code not in _PASSING:
            return None
        self._may_be_done |= response.status_code == 502  # a proxy lost the answer
        asked = retry_after(response) or 0
        return None if asked > LONGEST_PAUSE else self._next(asked)

    def settled(self, response: httpx2.Response) -> httpx2.Response:
        """A deletion whose first answer was lost has done its work when the thing is no longer there."""
        if self._may_be_done and self._call.method == "DELETE" and response.status_code == 404:
            return httpx2.Response(204)
        return response

    def _next(self, asked: int = 0) -> float | None:
        self._made += 1
        return asked + _backed_off(self._made) if self._made < self._most else None


def pause_after(failure: Exception, failures: int) -> float:
    """Seconds that somebody waits who tries for ever: not less than the cloud asked for."""
    asked = failure.retry_after if isinstance(failure, Problem) else None
    return (asked or 0) + _backed_off(failures)


def unreachable(base_url: httpx2.URL, error: httpx2.TransportError) -> CloudUnreachable:
    why = f"{base_url} does not answer: {str(error) or type(error).__name__}"
    return CloudUnreachable(why, may_be_done=not isinstance(error, _UNSENT))


def _backed_off(failures: int) -> float:
    """Seconds, at most ten, spread so that many clients do not come back at once."""
    return random.uniform(0.5, 1) * min(10, 0.1 * 2.0 ** min(failures, 7))  # noqa: S311 - no secret
