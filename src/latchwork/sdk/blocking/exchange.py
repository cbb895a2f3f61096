# Generated from latchwork/sdk/exchange.py by `make generate`: change that file, not this one.
"""One call, one answer: over HTTP, tried a bounded number of times where a repeat can do no harm."""

from __future__ import annotations

import time

import httpx2

from latchwork.sdk.calls import USER_AGENT, Call, Tries, unreachable


class Exchange:
    """The way to one cloud."""

    def __init__(
        self, base_url: str, transport: httpx2.BaseTransport | None, timeout: float = 30.0, tries: int = 3
    ) -> None:
        """Raises ValueError for an address that is none."""
        if not base_url.startswith(("http://", "https://")):
            raise ValueError(f"{base_url!r} is no cloud's address: one begins with https:// or http://.")
        self._http = httpx2.Client(
            base_url=base_url, transport=transport, timeout=timeout, headers={"user-agent": USER_AGENT}
        )
        self._timeout = timeout
        self._tries = tries

    def answer(self, call: Call, authorization: str | None = None) -> httpx2.Response:
        """The last answer that came, whatever its status; raises CloudUnreachable when none did."""
        tries = Tries(call, self._tries)
        while True:
            try:
                response = self._once(call, authorization)
            except httpx2.TransportError as error:
                if (pause := tries.after_loss(error)) is None:
                    raise unreachable(self._http.base_url, error) from error
            else:
                if (pause := tries.after(response)) is None:
                    return tries.settled(response)
            time.sleep(pause)

    def close(self) -> None:
        """Ends the connections; with a transport that was handed in, that transport."""
        self._http.close()

    def _once(self, call: Call, authorization: str | None) -> httpx2.Response:
        headers = dict(call.headers) if call.headers else {}
        if authorization is not None:
            headers["authorization"] = authorization
        return self._http.request(
            call.method,
            call.path,
            params=call.query,
            content=call.content,
            headers=headers,
            timeout=self._timeout + call.patience,
        )
