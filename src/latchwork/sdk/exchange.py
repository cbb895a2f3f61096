"""One call, one answer: over HTTP, tried a bounded number of times where a repeat can do no harm."""

from __future__ import annotations

import asyncio

import httpx2

from latchwork.sdk.calls import USER_AGENT, Call, Tries, unreachable


class Exchange:
    """The way to one cloud."""

    def __init__(
        self, base_url: str, transport: httpx2.AsyncBaseTransport | None, timeout: float = 30.0, tries: int = 3
    ) -> None:
        """Raises ValueError for an address that is none."""
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"{base_url!r} is no cloud's address: one begins with https:// or http://.")
        self._http = httpx2.AsyncClient(
            base_url=base_url, transport=transport, timeout=timeout, headers={"user-agent": USER_AGENT}
        )
        self._timeout = timeout
        self._tries = tries

    async def answer(self, call: Call, authorization: str | None = None) -> httpx2.Response:
        """The last answer that came, whatever its status; raises CloudUnreachable when none did."""
        tries = Tries(call, self._tries)
        while True:
            try:
                response = await self._once(call, authorization)
            except httpx2.TransportError as error:
                if (pause := tries.after_loss(error)) is None:
                    raise unreachable(self._http.base_url, error) from error
            else:
                if (pause := tries.after(response)) is None:
                    return tries.settled(response)
            await asyncio.sleep(pause)

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
