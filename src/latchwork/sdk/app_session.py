"""An app's session of one user: access tokens by a refresh token that only this phone can use (RFC 6749 §6, RFC 9449).

A refresh token is good once. The next one is kept before anything is done with the answer that brought it; if that
answer is lost, the cloud gives another for the same token to the same key. Whoever exchanges one is alone with it: a
token that two programs have exchanged one after the other would end the session.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode

import httpx2
import msgspec
from msgspec.structs import replace

from latchwork.sdk.answers import UnexpectedAnswer, problem_of
from latchwork.sdk.calls import Call
from latchwork.sdk.credentials import PATH, Granted
from latchwork.sdk.exchange import Exchange
from latchwork.sdk.refusals import CloudRefused, NotLoggedIn, SessionOver, WalletUnreadable
from latchwork.sdk.wallet import Contents, Wallet
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
    error_description: str | None = None


class AppSession:
    """Tokens of a user in an app (`sdk.tokens.TokenSource`), and what a wallet holds of this session, of no other."""

    contents: Contents
    """As this program knows them."""

    def __init__(
        self,
        exchange: Exchange,
        wallet: Wallet,
        contents: Contents,
        now: Callable[[], float],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`contents`: of the wallet. `now`: the phone's clock, epoch seconds. `changed` is called whenever they are."""
        self.contents = contents
        self._exchange = exchange
        self._wallet = wallet
        self._url = contents.url + PATH
        self._key = p256.load_private(contents.session_key)
        self._now = now
        self._changed = changed
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
        form = urlencode({"token": self.contents.refresh_token, "token_type_hint": "refresh_token"}).encode()
        await self._exchange.answer(Call("POST", REVOKE, content=form, headers=_FORM))

    def look(self) -> None:
        """Takes over what other programs with the same wallet have kept.

        Raises SessionOver or NotLoggedIn when that is not of this session: one of them has found it over, or left it.
        """
        kept = self._wallet.load()
        if kept is None or not self.contents.of_session(kept):
            raise SessionOver if kept is not None and kept.is_over else NotLoggedIn
        self.contents = kept
        self._changed()

    async def change(self, make: Callable[[Contents], Contents]) -> None:
        """Keeps what is made of the contents; raises as `look` when the wallet holds another session by now."""
        async with self._wallet.alone():
            self._keep(make)

    def move(self, wallet: Wallet, contents: Contents, changed: Callable[[], None]) -> None:
        """From now on it is kept there, in the place of what is."""
        wallet.save(contents)
        self._wallet, self.contents, self._changed = wallet, contents, changed

    def leave(self, behind: Contents | None) -> None:
        """Leaves this behind in the wallet, unless that holds another session by now; waits for nobody."""
        with suppress(WalletUnreadable):  # nobody can go on with that
            if not self.contents.of_session(self._wallet.load()):
                return
        if behind is None:
            self._wallet.clear()
        else:
            self._wallet.save(behind)

    def _keep(self, make: Callable[[Contents], Contents]) -> None:
        self.look()  # whoever logs out does not wait
        contents = make(self.contents)
        self._wallet.save(contents)
        self.contents = contents
        self._changed()

    async def _renew(self) -> None:
        async with self._turn:
            began = self._now()
            if began < self._good_until:
                return
            async with self._wallet.alone():
                self.look()
                granted, ahead = await self._granted()
                token = granted.refresh_token
                self._keep(lambda held: replace(held, refresh_token=token, clock_offset=ahead))
                # if that fails, the same token is good once more
            self._bearer = f"Bearer {granted.access_token}"
            self._good_until = began + granted.begun_with

    async def _granted(self) -> tuple[_Granted, float]:
        """New tokens, and by how many seconds the cloud's clock is ahead."""
        form = urlencode({"grant_type": "refresh_token", "refresh_token": self.contents.refresh_token}).encode()
        ahead = self.contents.clock_offset
        for left in reversed(range(_PROOFS)):
            began = self._now()
            call = Call("POST", PATH, content=form, headers={**_FORM, "dpop": self._proof(int(began + ahead))})
            response = await self._exchange.answer(call)
            ahead = self._learnt(ahead, response, began)
            if response.status_code == 200:
                return _read(response), ahead
            if not left or _refused(response).error != "invalid_dpop_proof":
                break
        said = _refused(response)
        if said.error == "invalid_grant":
            raise SessionOver
        raise CloudRefused(said.error_description, code=said.error) if said.error else problem_of(response)

    def _proof(self, made_at: int) -> str:
        """A DPoP proof (RFC 9449 §4.2) for the token endpoint. `made_at`: by the cloud's clock."""
        point = p256.public_bytes(self._key.public_key())
        jwk = {"kty": "EC", "crv": "P-256", "x": p256.b64url(point[1:33]), "y": p256.b64url(point[33:])}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
        claims = {"htm": "POST", "htu": self._url, "iat": made_at, "jti": secrets.token_urlsafe(12)}
        signed = ".".join(p256.b64url(msgspec.json.encode(part)) for part in (header, claims))
        return f"{signed}.{p256.b64url(p256.sign(self._key, signed.encode()))}"

    def _learnt(self, ahead: float, response: httpx2.Response, began: float) -> float:
        """By how much the cloud is ahead, of whose clock `Date` (RFC 9110 §6.6.1) tells where it is in the answer."""
        with suppress(KeyError, ValueError):
            told = parsedate_to_datetime(response.headers["date"]).timestamp()
            return clock_offset(ahead, told, began, self._now())
        return ahead


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


def _refused(response: httpx2.Response) -> _Refused:
    try:
        return msgspec.json.decode(response.content, type=_Refused)
    except msgspec.MsgspecError:
        return _Refused()
