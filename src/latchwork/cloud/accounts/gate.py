"""The gate: no request passes without a token that allows it, faster than its client may, or further than its user."""

from __future__ import annotations

import ipaddress
import time
from typing import Any

from litestar import Request

from latchwork.cloud.accounts.store import IdempotencyKeys
from latchwork.cloud.accounts.tokens import Tokens
from latchwork.cloud.kernel.http import Anybody, Caller, Identity, May
from latchwork.cloud.kernel.limits import Limits
from latchwork.cloud.kernel.work import Database
from latchwork.wire.api.problems import Forbidden, Unauthorized

ADDRESS_RATE, ADDRESS_BURST = 10.0, 100
"""Calls of the token and enrolment endpoints, which need no token, per address."""


class TokenGate:
    """Admits requests by their bearer token (RFC 6750 §2.1)."""

    def __init__(self, database: Database, tokens: Tokens, limits: Limits, proxy_trusted: bool) -> None:
        self._database = database
        self._tokens = tokens
        self._limits = limits
        self._proxy_trusted = proxy_trusted
        self._idempotency = IdempotencyKeys()

    async def admit(self, request: Request[Any, Any, Any], needs: May, bare_token: bool = False) -> Caller | Anybody:
        """The caller; raises Unauthorized, TooManyRequests or Forbidden, in this order."""
        now = time.time()
        if not needs.needs_token:
            self.slow_down(request)
            return Anybody(self._database, int(now), request)
        identity = await self._identity(request, now, bare_token)
        key = (identity.client, identity.user.id) if identity.user else identity.client
        self._take(request, key, identity.rate_per_second, identity.rate_burst)
        return self._caller(identity, request, needs, now)

    async def recheck(self, request: Request[Any, Any, Any], needs: May) -> Caller:
        """As `admit`, of a request with a token that was admitted and has waited: it is not counted again."""
        now = time.time()
        return self._caller(await self._identity(request, now), request, needs, now)

    async def _identity(self, request: Request[Any, Any, Any], now: float, bare_token: bool = False) -> Identity:
        return await self._tokens.check(bearer(request.headers.get("authorization"), bare_token), now)

    def _caller(self, identity: Identity, request: Request[Any, Any, Any], needs: May, now: float) -> Caller:
        if needs.scope is not None and needs.scope not in identity.scopes:
            raise Forbidden(f"This client may not do that: its token lacks the scope {needs.scope}.")
        reach = identity.reach(needs.scope)
        if reach is not None and not needs.within:
            raise Forbidden("This concerns the whole organisation; this user's roles reach a part of it only.")
        return Caller(identity, self._database, self._idempotency, int(now), request, reach)

    def slow_down(self, request: Request[Any, Any, Any]) -> None:
        """Raises TooManyRequests when this address has called a public endpoint too often."""
        self._take(request, ("address", self.network(request)), ADDRESS_RATE, ADDRESS_BURST)

    def _take(self, request: Request[Any, Any, Any], key: object, rate: float, burst: int) -> None:
        """Counts the request; its answer tells the bucket, also when that is empty."""
        now = time.monotonic()
        bucket = request.scope["state"]["rate_limit"] = self._limits.bucket(key, rate, burst, now)
        bucket.take(now)

    def network(self, request: Request[Any, Any, Any]) -> str:
        """Where a request comes from: its address, of IPv6 the /64."""
        forwarded = request.headers.get("x-forwarded-for") if self._proxy_trusted else None
        if forwarded:
            return _network(forwarded.rpartition(",")[2].strip())
        return _network(request.client.host) if request.client else ""


def _network(address: str) -> str:
    """An address, or the /64 that an IPv6 address belongs to: whoever has one of those has all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address


def bearer(header: str | None, bare_token: bool) -> str:
    """The token in an Authorization header; raises Unauthorized. With `bare_token` also a JWT without a scheme."""
    scheme, _, token = (header or "").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if bare_token and not token and scheme.count(".") == 2:
        return scheme
    raise Unauthorized
