"""Access tokens: ES256 JWTs (RFC 9068), issued here, checked once and then remembered until they expire."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from hashlib import sha256
from typing import Any, Protocol

import asyncpg
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from latchwork.cloud.accounts import roles, rules, store
from latchwork.cloud.accounts.model import AppSession, ClientSecret, Revocation, UserAccount
from latchwork.cloud.accounts.service import REVOCATIONS
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.http import ActingUser, Identity
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.work import Connection, Database, Scope
from latchwork.wire import p256
from latchwork.wire.api.problems import Unauthorized, Unavailable

log = logging.getLogger(__name__)

_REVOKED = "This access token was revoked."
_OVER = "This session is over; please log in."
LOOK_EVERY = 0.4
"""Seconds between two looks for revocations: a hint usually comes first."""
_MOST_REMEMBERED = 20_000
_LONGEST_TOKEN = 4_096
_SEEN_EVERY = 600
"""Seconds between two looks at a session, which note that it is used."""
_RATE, _BURST = 50, 200
"""Calls per second of a session, and at once."""
_USER = "user/"
"""How the subject of a user's token begins."""
_OWN = "own"
"""The client (RFC 9068 §2.2) of a token whose session no client began, but the user; no client has such an id."""


class Session(Protocol):
    """Somebody is logged in."""

    @property
    def organisation(self) -> int: ...
    @property
    def id(self) -> int: ...
    @property
    def user(self) -> int: ...
    @property
    def created_at(self) -> int: ...
    @property
    def expires_at(self) -> int: ...


class Sessions(Protocol):
    """Tokens of people who are logged in, which are no JWTs."""

    def is_one(self, token: str) -> bool: ...

    async def find(self, conn: Connection, token: str, now: int) -> Session | None: ...


class Tokens:
    """Issues and checks tokens. One per process; every process forgets a revoked client within a second."""

    def __init__(self, database: Database, seal: Seal, hints: Hints, issuer: str, sessions: Sessions) -> None:
        self._database = database
        self._sessions = sessions
        self._seal = seal
        self._hints = hints
        self._issuer = issuer
        self._private: ECKey | None = None
        self._public = KeySet([])
        self._remembered: dict[bytes, Identity] = {}
        self._kids: set[str] = set()
        self._reload_at = 0.0
        self._seen = 0
        self._turn = 0

    async def load_keys(self, now: int) -> None:
        """Reads the signing keys; the first process ever makes one."""
        async with self._database.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock(hashtext('latchwork token keys'))")
            if not await store.token_keys(conn):
                await add_key(conn, self._seal, now)
            rows = await store.token_keys(conn)
        kid, _, sealed = rows[0]
        self._private = _private_jwk(kid, self._seal.open(sealed, "token"))
        self._public = KeySet([_public_jwk(kid, point) for kid, point, _ in rows])
        self._kids = {kid for kid, _, _ in rows}

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517 §5)."""
        return {"keys": [key.as_dict(private=False) for key in self._public.keys]}

    def issue(self, found: ClientSecret, scopes: list[str], now: int) -> str:
        """A token for the client; its life is the client's `token_seconds`."""
        own = {
            "sub": found.client.client_id,
            "iat": max(now, found.tokens_from),
            "exp": now + found.client.token_seconds,
        }
        return self._signed(found.client.client_id, scopes, own)

    def issue_for(
        self, user: UserAccount, found: ClientSecret, scopes: list[str], now: int, expires_at: int, **more: Any
    ) -> str:
        """A token for a user, with the client as its actor (RFC 8693 §4.1)."""
        own = {
            "sub": f"{_USER}{user.id}",
            "act": {"sub": found.client.client_id},
            "iat": max(now, found.tokens_from, user.tokens_from),
            "exp": expires_at,
            **more,
        }
        return self._signed(found.client.client_id, scopes, own)

    def issue_in_app(
        self,
        session: AppSession,
        user: UserAccount,
        found: ClientSecret | None,
        scopes: list[str],
        now: int,
        expires_at: int,
    ) -> str:
        """A token for a user in an app; `found`: the client that began the session, None: the user did."""
        if found is not None:
            return self.issue_for(user, found, scopes, now, expires_at, sid=session.id)
        own = {"sub": f"{_USER}{user.id}", "iat": max(now, user.tokens_from), "exp": expires_at}
        return self._signed(_OWN, scopes, {**own, "sid": session.id, "org": session.organisation})

    def _signed(self, client_id: str, scopes: list[str], own: dict[str, Any]) -> str:
        if self._private is None:
            raise RuntimeError("no signing key is loaded")
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "client_id": client_id,
            "scope": " ".join(scopes),
            "jti": secrets.token_hex(12),
            **own,
        }
        return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": self._private.kid}, claims, self._private)

    async def check(self, token: str, now: float) -> Identity:
        """Who the token belongs to; raises Unauthorized when it is forged, expired or revoked."""
        digest = sha256(token.encode("utf-8", "replace")).digest()
        identity = self._remembered.get(digest)
        if identity is None or now >= identity.look_again_at:
            identity = await self._first_look(token, digest)
        if now >= identity.expires_at:
            self._remembered.pop(digest, None)
            raise Unauthorized("This access token has expired.")
        return identity

    async def _first_look(self, token: str, digest: bytes) -> Identity:
        claims = None if self._sessions.is_one(token) else await self._verified(token)
        turn = -1
        while turn != self._turn:  # a revocation that came while we read is read again
            turn = self._turn
            identity = await (self._logged_in(token) if claims is None else self._identified(claims))
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[digest] = identity
        return identity

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            if _kid(token) not in self._kids and time.monotonic() > self._reload_at:
                self._reload_at = time.monotonic() + 1
                await self.load_keys(int(time.time()))  # the key may be newer than this process
            return self._claims(token)
        except (JoseError, ValueError, KeyError, TypeError, RecursionError):
            raise Unauthorized from None

    def _claims(self, token: str) -> dict[str, Any]:
        decoded = jwt.decode(token, self._public, algorithms=["ES256"])
        claims = decoded.claims
        if decoded.header.get("typ") != "at+jwt" or claims["iss"] != self._issuer or claims["aud"] != self._issuer:
            raise ValueError("a token for something else")
        for name, kind in (("sub", str), ("client_id", str), ("scope", str), ("jti", str), ("iat", int), ("exp", int)):
            if not isinstance(claims[name], kind):
                raise TypeError(name)
        for name in ("sid", "org"):
            if not isinstance(claims.get(name, 0), int):
                raise TypeError(name)
        return dict(claims)

    async def _identified(self, claims: dict[str, Any]) -> Identity:
        """The client and the user as they are now: what was taken away since the token was issued is gone."""
        if claims["client_id"] == _OWN:
            return await self._in_own_app(claims)
        async with self._database.connection() as conn:
            found = await store.find_secret(conn, claims["client_id"])
            if found is None or await store.is_revoked(conn, claims["client_id"], claims["jti"], claims["iat"]):
                raise Unauthorized(_REVOKED)
            user = await _user(conn, found, claims)
        scopes = frozenset(claims["scope"].split()) & frozenset(found.client.scopes)
        acting = None if user is None else _acting(user)
        ends = None if user is None else user.access_expires_at
        return Identity(
            organisation=found.organisation,
            client=found.client.id,
            client_id=found.client.client_id,
            name=found.client.name,
            scopes=scopes if acting is None else scopes & acting.powers.keys(),
            issued_at=claims["iat"],
            expires_at=claims["exp"] if ends is None else min(claims["exp"], ends),
            rate_per_second=found.rate_per_second,
            rate_burst=found.rate_burst,
            jti=claims["jti"],
            user=acting,
            app_session=claims.get("sid"),
        )

    async def _in_own_app(self, claims: dict[str, Any]) -> Identity:
        """Whoever began this session themselves, as they are now; it is for what is their own alone."""
        scope = Scope(claims["org"])
        async with self._database.connection() as conn:
            user = await _able_user(conn, scope, claims)
        acting = _acting(user)
        return Identity(
            organisation=scope.organisation,
            client=0,
            client_id="",
            name=user.name,
            scopes=frozenset(),
            issued_at=claims["iat"],
            expires_at=min(claims["exp"], user.access_expires_at or claims["exp"]),
            rate_per_second=_RATE,
            rate_burst=_BURST,
            jti=claims["jti"],
            user=acting,
            app_session=claims["sid"],
        )

    async def _logged_in(self, token: str) -> Identity:
        """Whoever has this session, as they are now."""
        now = int(time.time())
        async with self._database.connection() as conn:
            found = await self._sessions.find(conn, token, now)
            user = None if found is None else await store.find_user(conn, Scope(found.organisation), found.user)
        if found is None or user is None or not rules.may_act(user, now) or found.created_at < user.tokens_from:
            raise Unauthorized(_OVER)
        acting = _acting(user)
        ends = (found.expires_at, user.access_expires_at or found.expires_at)
        return Identity(
            organisation=found.organisation,
            client=0,
            client_id="",
            name=user.name,
            scopes=frozenset(acting.powers),
            issued_at=found.created_at,
            expires_at=min(ends),
            rate_per_second=_RATE,
            rate_burst=_BURST,
            jti="",
            user=acting,
            session=found.id,
            look_again_at=now + _SEEN_EVERY,
        )

    async def watch_revocations(self) -> None:
        """Forgets what was revoked, for ever; runs beside the app."""
        with self._hints.listening(REVOCATIONS) as flag:
            while True:
                flag.clear()
                try:
                    await self._look()
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable) as error:
                    log.warning("revocations cannot be read for now: %s", type(error).__name__)
                    self._remembered.clear()  # every token is looked up again, or refused with the database
                try:
                    async with asyncio.timeout(LOOK_EVERY):
                        await flag.wait()
                except TimeoutError:
                    continue

    async def _look(self) -> None:
        async with self._database.connection() as conn:
            news = await store.revocations_after(conn, self._seen)
            kids = await store.token_kids(conn)
        if kids != self._kids:
            await self.load_keys(int(time.time()))
            self._turn += 1
            self._remembered.clear()
        if news:
            self._turn += 1
            self._seen = news[-1].number
            self._remembered = {d: i for d, i in self._remembered.items() if not any(_concerns(r, i) for r in news)}


async def _user(conn: Connection, found: ClientSecret, claims: dict[str, Any]) -> UserAccount | None:
    """For whom the client acts; None: for itself. Raises Unauthorized when it may do so no more."""
    if not claims["sub"].startswith(_USER):
        return None
    if rules.ACT not in found.client.scopes:
        raise Unauthorized(_REVOKED)
    return await _able_user(conn, Scope(found.organisation), claims)


async def _able_user(conn: Connection, scope: Scope, claims: dict[str, Any]) -> UserAccount:
    """The user of a token; raises Unauthorized when they may do nothing now, or their session is over."""
    user = await store.find_user(conn, scope, int(claims["sub"].removeprefix(_USER)))
    if user is None or not rules.may_act(user, time.time()) or claims["iat"] < user.tokens_from:
        raise Unauthorized(_REVOKED)
    if "sid" in claims and not await _lasts(conn, scope, user.id, claims["sid"]):
        raise Unauthorized(_OVER)
    return user


async def _lasts(conn: Connection, scope: Scope, user: int, app_session: int) -> bool:
    return await store.find_app_session_of(conn, scope, user, app_session, int(time.time())) is not None


def _acting(user: UserAccount) -> ActingUser:
    powers = roles.powers(user.id, user.roles, user.sites, user.modules)
    return ActingUser(user.id, user.name, user.roles, user.sites, powers)


async def add_key(conn: Any, seal: Seal, now: int) -> None:
    """A new key for signing tokens; the newest signs, all that are not retired verify."""
    key = p256.new_key()
    point = p256.public_bytes(key.public_key())
    kid = p256.b64url(p256.kid(point))
    await store.add_token_key(conn, kid, point, seal.close(p256.private_bytes(key), "token"), now)


def _kid(token: str) -> str:
    """Which key the token claims to be signed with; raises ValueError when it is no JWT of a sensible size."""
    if len(token) > _LONGEST_TOKEN:
        raise ValueError("too long")
    header = msgspec.json.decode(p256.from_b64url(token.partition(".")[0]))
    return str(header["kid"])


def _concerns(revocation: Revocation, identity: Identity) -> bool:
    if revocation.client_id is None:
        is_theirs = identity.user is not None and revocation.user in (None, identity.user.id)
        return is_theirs and revocation.organisation == identity.organisation
    if revocation.client_id != identity.client_id:
        return False
    return revocation.jti in (None, identity.jti)


def _public_jwk(kid: str, point: bytes) -> ECKey:
    return ECKey.import_key(_jwk(kid, point))


def _private_jwk(kid: str, scalar: bytes) -> ECKey:
    point = p256.public_bytes(p256.load_private(scalar).public_key())
    return ECKey.import_key({**_jwk(kid, point), "d": p256.b64url(scalar)})


def _jwk(kid: str, point: bytes) -> dict[str, str | list[str]]:
    x, y = p256.b64url(point[1:33]), p256.b64url(point[33:])
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "alg": "ES256", "use": "sig"}
