"""Access tokens by client credentials (RFC 6749 §4.4) or for a user (RFC 8693): fetched once for all who wait."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus, urlencode

import msgspec

from latchwork.sdk.answers import UnexpectedAnswer, token_problem_of
from latchwork.sdk.exchange import Call, Exchange
from latchwork.wire.api.problems import Unauthorized

PATH: Final = "/oauth2/token"
CLIENT_CREDENTIALS: Final = {"grant_type": "client_credentials"}
EARLY: Final = 30.0
"""Seconds before its end in which a token is no longer begun with (a tenth of its life when that is less)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API client's id and secret."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header, each part form-encoded (RFC 6749 §2.3.1)."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        return f"Basic {b64encode(pair.encode()).decode()}"


class _Answer(msgspec.Struct):
    """RFC 6749 §5.1."""

    access_token: str
    expires_in: int


_answer: Final = msgspec.json.Decoder(_Answer)


def exchanged_for(user: int) -> dict[str, str]:
    """What asks for a user's token (RFC 8693 §2.1)."""
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": str(user),
        "subject_token_type": "urn:latchwork:params:oauth:token-type:user",
    }


def offered_to(user: int) -> dict[str, str]:
    """What asks for a one-time token for a user's app."""
    return {**exchanged_for(user), "requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}


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
        self._form = form
        self._bearer = ""
        self._good_until = float("-inf")
        self._fetching: asyncio.Task[str] | None = None

    def for_user(self, user: int) -> Tokens:
        """A user's, by the same client on the same way."""
        return Tokens(self._exchange, self._credentials, self._clock, exchanged_for(user))

    async def offered_to(self, user: int) -> str:
        """A one-time token for a user's app; raises Unauthorized for a wrong id or secret, Invalid for no such user."""
        return (await self._asked(offered_to(user))).access_token

    async def bearer(self) -> str:
        """The Authorization header; raises Unauthorized for a wrong id or secret, Invalid for no such user."""
        if self._clock() < self._good_until:
            return self._bearer
        return await self._fetched()

    async def instead_of(self, refused: str) -> str:
        """Another header than the one that was refused; fetched unless somebody already has."""
        if refused == self._bearer:
            self._good_until = float("-inf")
        return await self.bearer()

    def forget(self) -> None:
        """Ends a fetch under way, and keeps no token."""
        self._good_until, self._bearer = float("-inf"), ""
        if self._fetching is not None:
            self._fetching.cancel()

    async def _fetched(self) -> str:
        """Who waits shares one fetch, and goes away without ending it for the others."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch())
            self._fetching.add_done_callback(_seen)
        return await asyncio.shield(self._fetching)

    async def _fetch(self) -> str:
        began = self._clock()
        answer = await self._asked(self._form)
        self._bearer = f"Bearer {answer.access_token}"
        self._good_until = began + answer.expires_in - min(EARLY, answer.expires_in / 10)
        return self._bearer

    async def _asked(self, form: Mapping[str, str]) -> _Answer:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        call = Call("POST", PATH, content=urlencode(form).encode(), headers=headers)
        response = await self._exchange.answer(call, self._credentials.basic)
        if response.status_code != 200:
            raise token_problem_of(response)
        try:
            return _answer.decode(response.content)
        except msgspec.MsgspecError:
            raise UnexpectedAnswer("The token endpoint's answer holds no token.") from None


def _seen(fetch: asyncio.Task[str]) -> None:
    """A failed fetch that everybody stopped waiting for is nobody's news."""
    if not fetch.cancelled():
        fetch.exception()


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
