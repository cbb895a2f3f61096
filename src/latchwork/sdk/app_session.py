"""An app's session of one user: access tokens by a refresh token that only this phone can use (RFC 6749 §6, RFC 9449).

A refresh token is good once. The next one is kept before anything is done with the answer that brought it; if that
answer is lost, the cloud gives another for the same token to the same key. Whoever exchanges one is alone with it: a
token that two programs have exchanged one after the other would end the session.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode

import httpx2
import msgspec

from latchwork.sdk.answers import UnexpectedAnswer, token_problem_of
from latchwork.sdk.calls import Call
from latchwork.sdk.credentials import PATH, Granted
from latchwork.sdk.exchange import Exchange
from latchwork.sdk.refusals import SessionOver
from latchwork.wire import p256

REVOKE: Final = "/oauth2/revoke"
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
_PROOFS: Final = 2
"""One may be refused: for the phone's clock, or because the answer to it was lost."""


class _Granted(Granted):
    refresh_token: str


class _Refused(msgspec.Struct):
    """RFC 6749 §5.2."""

    error: str = ""


class AppSession:
    """Tokens of a user in an app (`sdk.tokens.TokenSource`). `now` is the phone's clock, epoch seconds."""

    def __init__(
        self,
        exchange: Exchange,
        url: str,
        key: p256.PrivateKey,
        refresh_token: str,
        alone: Callable[[], AbstractAsyncContextManager[str]],
        keep: Callable[[str, float], None],
        now: Callable[[], float],
        clock_offset: float = 0.0,
    ) -> None:
        """`alone()` tells the present token, which nobody else exchanges meanwhile, and raises SessionOver without one;
        `keep(refresh_token, clock_offset)` makes the next one durable, and says by how much the cloud is ahead."""
        self._exchange = exchange
        self._url = url.rstrip("/") + PATH
        self._key = key
        self._refresh_token = refresh_token
        self._alone = alone
        self._keep = keep
        self._now = now
        self._offset = clock_offset
        self._bearer = ""
        self._good_until = float("-inf")
        self._turn = asyncio.Lock()

    async def bearer(self) -> str:
        """The Authorization header; raises SessionOver when the cloud has ended the session."""
        if self._now() >= self._good_until:
            await asyncio.shield(self._renew())
        return self._bearer

    async def instead_of(self, refused: str) -> str:
        """Another header than the one that was refused."""
        if refused == self._bearer:
            self._good_until = float("-inf")
        return await self.bearer()

    def forget(self) -> None:
        """Keeps no access token."""
        self._bearer, self._good_until = "", float("-inf")

    async def end(self) -> None:
        """Ends the session at the cloud (RFC 7009), which any token of it does; raises CloudUnreachable."""
        form = urlencode({"token": self._refresh_token, "token_type_hint": "refresh_token"}).encode()
        await self._exchange.answer(Call("POST", REVOKE, content=form, headers=_FORM))

    async def _renew(self) -> None:
        async with self._turn:
            began = self._now()
            if began < self._good_until:
                return
            async with self._alone() as present:
                granted = await self._granted(present)
                self._keep(granted.refresh_token, self._offset)  # if that fails, the same token is good once more
            self._bearer = f"Bearer {granted.access_token}"
            self._good_until = began + granted.begun_with

    async def _granted(self, refresh_token: str) -> _Granted:
        form = urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token}).encode()
        for left in reversed(range(_PROOFS)):
            call = Call("POST", PATH, content=form, headers={**_FORM, "dpop": self._proof()})
            began = self._now()
            response = await self._exchange.answer(call)
            self._learn_clock(response, began)
            if response.status_code == 200:
                return _read(response)
            if not left or _refused(response) != "invalid_dpop_proof":
                break
        if _refused(response) == "invalid_grant":
            raise SessionOver
        raise token_problem_of(response)

    def _proof(self) -> str:
        """A DPoP proof (RFC 9449 §4.2) for the token endpoint."""
        point = p256.public_bytes(self._key.public_key())
        jwk = {"kty": "EC", "crv": "P-256", "x": p256.b64url(point[1:33]), "y": p256.b64url(point[33:])}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
        made_at = int(self._now() + self._offset)
        claims = {"htm": "POST", "htu": self._url, "iat": made_at, "jti": secrets.token_urlsafe(12)}
        signed = ".".join(p256.b64url(msgspec.json.encode(part)) for part in (header, claims))
        return f"{signed}.{p256.b64url(p256.sign(self._key, signed.encode()))}"

    def _learn_clock(self, response: httpx2.Response, began: float) -> None:
        """Takes the cloud's clock from `Date` (RFC 9110 §6.6.1), where the answer tells it."""
        with suppress(KeyError, ValueError):
            told = parsedate_to_datetime(response.headers["date"]).timestamp()
            self._offset = clock_offset(self._offset, told, began, self._now())


def clock_offset(known: float, told: float, began: float, ended: float) -> float:
    """Seconds by which the cloud's clock is ahead, which told its time, in whole seconds, between two instants of ours.

    What was known stays as long as it can be true.
    """
    if told - ended - _ROUGHLY <= known <= told - began + _ROUGHLY:
        return known
    return told - (began + ended) / 2


_ROUGHLY: Final = 2.0
"""Seconds by which whole seconds and a clock that is being set may be wrong."""


def _read(response: httpx2.Response) -> _Granted:
    try:
        return msgspec.json.decode(response.content, type=_Granted)
    except msgspec.MsgspecError:
        raise UnexpectedAnswer("The token endpoint's answer holds no token.") from None


def _refused(response: httpx2.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=_Refused).error
    except msgspec.MsgspecError:
        return ""
