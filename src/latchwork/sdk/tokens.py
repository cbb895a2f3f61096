"""Access tokens by client credentials (RFC 6749 §4.4) or for a user (RFC 8693): fetched once for all who wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from latchwork.sdk.credentials import CLIENT_CREDENTIALS, Credentials, asking, exchanged_for, granted, offered_to
from latchwork.sdk.exchange import Exchange
from latchwork.wire.api.problems import Unauthorized


class TokenSource(Protocol):
    """Where a client's calls get their Authorization header from."""

    async def bearer(self) -> str:
        """The header; raises Unauthorized where there is none."""
        ...

    async def instead_of(self, refused: str) -> str:
        """Another header than the one that was refused; raises Unauthorized where there is none."""
        ...

    def forget(self) -> None:
        """Keeps no token."""
        ...


class Tokens:
    """The token of a client, or of a user for whom it acts. `clock` is monotonic seconds."""

    def __init__(
        self,
        exchange: Exchange,
        credentials: Credentials,
        clock: Callable[[], float] = time.monotonic,
        form: Mapping[str, str] = CLIENT_CREDENTIALS,
    ) -> None:
        self._exchange = exchange
        self._credentials = credentials
        self._clock = clock
        self._call = asking(form)
        self._bearer = ""
        self._good_until = float("-inf")
        self._fetching = asyncio.Lock()
        self._fetches = 0
        self._failure: Exception | None = None

    def for_user(self, user: int) -> Tokens:
        """A user's, by the same client on the same way."""
        return Tokens(self._exchange, self._credentials, self._clock, exchanged_for(user))

    async def offered_to(self, user: int, scopes: Collection[str]) -> str:
        """A one-time token for a user's app; raises Unauthorized for a wrong id or secret, Invalid for no such user."""
        call = asking(offered_to(user, scopes))
        return granted(await self._exchange.answer(call, self._credentials.basic)).access_token

    async def bearer(self) -> str:
        """The Authorization header; raises Unauthorized for a wrong id or secret, Invalid for no such user."""
        seen = self._fetches
        if self._clock() < self._good_until:
            return self._bearer
        return await self._fetched(seen)

    async def instead_of(self, refused: str) -> str:
        """Another header than the one that was refused; fetched unless somebody already has."""
        seen = self._fetches
        if refused != self._bearer:
            return await self.bearer()
        return await self._fetched(seen)

    def forget(self) -> None:
        """Keeps no token."""
        self._good_until, self._bearer = float("-inf"), ""

    async def _fetched(self, seen: int) -> str:
        """Who waits for the next fetch after those `seen` may go away without ending it for the others."""
        return await asyncio.shield(self._next(seen))

    async def _next(self, seen: int) -> str:
        """What came of that fetch: whoever waited while another made it shares also its failure."""
        async with self._fetching:
            if self._fetches == seen:
                await self._fetch()
            if self._failure is not None:
                raise self._failure
            return self._bearer

    async def _fetch(self) -> None:
        self._good_until = float("-inf")
        began = self._clock()
        try:
            token = granted(await self._exchange.answer(self._call, self._credentials.basic))
        except Exception as failure:
            self._failure = failure
        else:
            self._failure = None
            self._bearer = f"Bearer {token.access_token}"
            self._good_until = began + token.begun_with
        self._fetches += 1


class SessionToken:
    """The token of somebody who is logged in: it lives as long as their session, and nothing renews it."""

    def __init__(self, token: str | None) -> None:
        self._bearer = "" if token is None else f"Bearer {token}"

    async def bearer(self) -> str:
        """The Authorization header; raises Unauthorized when nobody is logged in."""
        if not self._bearer:
            raise Unauthorized
        return self._bearer

    async def instead_of(self, refused: str) -> str:
        """There is no other."""
        raise Unauthorized

    def forget(self) -> None:
        self._bearer = ""
