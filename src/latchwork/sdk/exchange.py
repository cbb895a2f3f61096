"""One call, one answer: over HTTP, tried a bounded number of times where a repeat can do no harm."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final, Literal

import httpx2

from latchwork.sdk.answers import CloudUnreachable, retry_after

Method = Literal["GET", "POST", "PATCH", "DELETE"]

USER_AGENT: Final = f"latchwork-python/{version('latchwork')}"
LONGEST_PAUSE: Final = 30
"""Seconds: when the cloud asks for more patience than this, its answer is the caller's to judge."""
_PASSING: Final = frozenset({429, 502, 503})
"""Answers that say: later, perhaps."""
_LOST: Final = (httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ConnectTimeout)
"""The connection failed; a server that is merely slow is not asked again."""


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


class Exchange:
    """The way to one cloud."""

    def __init__(self, base_url: str, transport: httpx2.AsyncBaseTransport | None, timeout: float, tries: int) -> None:
        self._http = httpx2.AsyncClient(
            base_url=base_url, transport=transport, timeout=timeout, headers={"user-agent": USER_AGENT}
        )
        self._timeout = timeout
        self._tries = tries

    async def answer(self, call: Call, authorization: str | None = None) -> httpx2.Response:
        """The last answer that came, whatever its status; raises CloudUnreachable when none did."""
        left, lost = self._tries if call.is_safe else 1, False
        while True:
            left -= 1
            try:
                response = await self._once(call, authorization)
            except httpx2.TransportError as error:
                if not left or not isinstance(error, _LOST):
                    raise CloudUnreachable(f"{self._http.base_url} does not answer: {_told(error)}") from error
                lost, pause = True, None
            else:
                if not left or response.status_code not in _PASSING:
                    return _settled(call, response, lost)
                pause = retry_after(response)
            if pause is not None and pause > LONGEST_PAUSE:
                return response
            await asyncio.sleep(_backed_off(self._tries - left) if pause is None else pause)

    async def aclose(self) -> None:
        """Ends the connections; with a transport that was handed in, that transport."""
        await self._http.aclose()

    async def _once(self, call: Call, authorization: str | None) -> httpx2.Response:
        headers = dict(call.headers) if call.headers else {}
        if authorization is not None:
            headers["authorization"] = authorization
        return await self._http.request(
            call.method,
            call.path,
            params=call.query,
            content=call.content,
            headers=headers,
            timeout=self._timeout + call.patience,
        )


def _settled(call: Call, response: httpx2.Response, lost: bool) -> httpx2.Response:
    """A deletion whose first answer was lost has done its work when the thing is no longer there."""
    if lost and call.method == "DELETE" and response.status_code == 404:
        return httpx2.Response(204)
    return response


def _backed_off(tries: int) -> float:
    """Seconds before the next try, spread so that many clients do not come back at once."""
    return random.uniform(0.5, 1) * 0.1 * 2.0**tries  # noqa: S311 - no secret


def _told(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__
