"""An app's session of one user: access tokens by a refresh token that only this phone can use (RFC 6749 §6, RFC 9449).

A refresh token is good once. The next one is kept before anything is done with the answer that brought it; if that
answer is lost, the cloud gives another for the same token to the same key.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode

import httpx2
import msgspec

from latchwork.sdk.answers import UnexpectedAnswer, token_problem_of
from latchwork.sdk.exchange import Call, Exchange
from latchwork.sdk.tokens import EARLY, PATH
from latchwork.wire import p256
from latchwork.wire.api.problems import Unauthorized

REFUSED: Final = "The session is over; please log in again."
_OFTEN: Final = 2
"""A proof may be refused once, for the phone's clock."""


class _Answer(msgspec.Struct):
    """RFC 6749 §5.1."""

    access_token: str
    expires_in: int
    refresh_token: str


class _Refusal(msgspec.Struct):
    """RFC 6749 §5.2."""

    error: str


class AppSession:
    """Tokens of a user in an app. `now` is the phone's clock, epoch seconds."""

    def __init__(
        self,
        exchange: Exchange,
        url: str,
        key: p256.PrivateKey,
        refresh_token: str,
        keep: Callable[[str, float], None],
        now: Callable[[], float],
        clock_offset: float = 0.0,
    ) -> None:
        """`keep(refresh_token, clock_offset)` makes the next token durable, and says by how much the cloud is ahead."""
        self._exchange = exchange
        self._url = f"{url.rstrip('/')}{PATH}"
        self._key = key
        self._refresh_token = refresh_token
        self._keep = keep
        self._now = now
        self._offset = clock_offset
        self._bearer = ""
        self._good_until = float("-inf")
        self._turn = asyncio.Lock()

    @property
    def refresh_token(self) -> str:
        return self._refresh_token

    async def bearer(self) -> str:
        """The Authorization header; raises Unauthorized when the session is over."""
        if self._now() >= self._good_until:
            async with self._turn:
                if self._now() >= self._good_until:
                    await asyncio.shield(asyncio.ensure_future(self._refresh()))
        return self._bearer

    async def instead_of(self, refused: str) -> str:
        """Another header than the one that was refused."""
        if refused == self._bearer:
            self._good_until = float("-inf")
        return await self.bearer()

    def forget(self) -> None:
        """Keeps no access token."""
        self._bearer, self._good_until = "", float("-inf")

    async def _refresh(self) -> None:
        began = self._now()
        answer = await self._answer()
        self._refresh_token = answer.refresh_token
        self._keep(answer.refresh_token, self._offset)
        self._bearer = f"Bearer {answer.access_token}"
        self._good_until = began + answer.expires_in - min(EARLY, answer.expires_in / 10)

    async def _answer(self) -> _Answer:
        form = urlencode({"grant_type": "refresh_token", "refresh_token": self._refresh_token}).encode()
        for tries in range(_OFTEN):
            headers = {"content-type": "application/x-www-form-urlencoded", "dpop": self._proof()}
            response = await self._exchange.answer(Call("POST", PATH, content=form, headers=headers))
            if response.status_code == 200:
                self._learn_clock(response)
                return _decoded(response)
            refusal = _error_of(response)
            if refusal == "invalid_grant":
                raise Unauthorized(REFUSED)
            if refusal != "invalid_dpop_proof" or tries or not self._learn_clock(response):
                break
        raise token_problem_of(response)

    def _proof(self) -> str:
        """A DPoP proof (RFC 9449 §4.2) for the token endpoint."""
        point = p256.public_bytes(self._key.public_key())
        jwk = {"kty": "EC", "crv": "P-256", "x": p256.b64url(point[1:33]), "y": p256.b64url(point[33:])}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
        claims = {
            "htm": "POST",
            "htu": self._url,
            "iat": int(self._now() + self._offset),
            "jti": secrets.token_urlsafe(12),
        }
        signed = ".".join(p256.b64url(msgspec.json.encode(part)) for part in (header, claims))
        return f"{signed}.{p256.b64url(p256.sign(self._key, signed.encode()))}"

    def _learn_clock(self, response: httpx2.Response) -> bool:
        """Takes the cloud's clock from `Date` (RFC 9110 §6.6.1); False when the answer does not tell it."""
        try:
            told = parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return False
        self._offset = told - self._now() if abs(told - self._now()) > 1 else 0.0
        return True


def _decoded(response: httpx2.Response) -> _Answer:
    try:
        return msgspec.json.decode(response.content, type=_Answer)
    except msgspec.MsgspecError:
        raise UnexpectedAnswer("The token endpoint's answer holds no token.") from None


def _error_of(response: httpx2.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=_Refusal).error
    except msgspec.MsgspecError:
        return ""
