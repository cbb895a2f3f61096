"""Lines between a client and its cloud: one that remembers what passed, and one that fails as it is told."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2


@dataclass(frozen=True)
class Exchanged:
    request: httpx2.Request
    response: httpx2.Response


class Recorder(httpx2.AsyncBaseTransport):
    """Passes everything on and remembers it."""

    def __init__(self, line: httpx2.AsyncBaseTransport) -> None:
        self._line = line
        self.passed: list[Exchanged] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._line.handle_async_request(request)
        await response.aread()
        self.passed.append(Exchanged(request, response))
        return response

    def calls(self, path: str = "/v1/") -> list[httpx2.Request]:
        return [each.request for each in self.passed if each.request.url.path.startswith(path)]


class Flaky(httpx2.AsyncBaseTransport):
    """Meets each call below `/v1/` with the next of its faults; None, and after the last: passes it on."""

    def __init__(self, line: httpx2.AsyncBaseTransport, *faults: httpx2.Response | str | None) -> None:
        self._line = line
        self._faults = list(faults)
        self.calls = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.startswith("/v1/"):
            return await self._line.handle_async_request(request)
        self.calls += 1
        fault = self._faults.pop(0) if self._faults else None
        if isinstance(fault, httpx2.Response):
            return fault
        if fault == "no connection":
            raise httpx2.ConnectError("refused")
        answer = await self._line.handle_async_request(request)
        if fault == "lost answer":
            raise httpx2.ReadError("cut off")
        return answer


class Dead(httpx2.AsyncBaseTransport):
    """Nobody is there."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")
