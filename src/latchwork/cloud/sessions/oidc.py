"""A client of OpenID providers: authorization code flow with PKCE (OpenID Connect Core 1.0 §3.1, RFC 7636)."""

from __future__ import annotations

import secrets
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx2
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from latchwork.wire.api.problems import ProviderFailed

_ALGORITHMS: Final = ["RS256", "ES256", "PS256", "EdDSA"]
_LARGEST_ANSWER: Final = 256 * 1024
_LEEWAY: Final = 60
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Provider:
    """Where people sign in, and what we are called there."""

    issuer: str
    client_id: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A sign-in that has begun: what only we know of it."""

    nonce: str
    verifier: str


class _Metadata(msgspec.Struct):
    """OpenID Connect Discovery 1.0 §3, as much as is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(msgspec.Struct):
    id_token: str


def new_sign_in() -> UnderWay:
    return UnderWay(secrets.token_urlsafe(24), secrets.token_urlsafe(48))


def is_usable(issuer: str) -> bool:
    """Whether an issuer may be spoken to: https, or this machine itself."""
    parts = urlsplit(issuer)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    return is_safe and bool(parts.hostname) and not parts.query and not parts.fragment and parts.username is None


async def authorization_url(provider: Provider, under_way: UnderWay, state: str, redirect_uri: str) -> str:
    """Where the browser goes; raises ProviderFailed when the provider cannot be asked."""
    async with _http() as http:
        metadata = await _metadata(http, provider.issuer)
    challenge = urlsafe_b64encode(sha256(under_way.verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": "openid email",
        "state": state,
        "nonce": under_way.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    joint = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
    return metadata.authorization_endpoint + joint + urlencode(query)


async def email_of(provider: Provider, under_way: UnderWay, code: str, redirect_uri: str, now: int) -> str:
    """The e-mail that the provider vouches for; raises ProviderFailed."""
    async with _http() as http:
        metadata = await _metadata(http, provider.issuer)
        token = await _id_token(http, metadata, provider, under_way, code, redirect_uri)
        keys = await _json(http, metadata.jwks_uri)
    claims = _claims(token, keys)
    audience = claims.get("aud")
    is_ours = audience == provider.client_id or (isinstance(audience, list) and provider.client_id in audience)
    others = isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != provider.client_id
    is_good = claims.get("iss") == provider.issuer and is_ours and not others and claims.get("nonce") == under_way.nonce
    expires_at, email = claims.get("exp"), claims.get("email")
    if not is_good or not isinstance(expires_at, int | float) or expires_at < now - _LEEWAY:
        raise ProviderFailed
    if not isinstance(email, str) or claims.get("email_verified") is False:
        raise ProviderFailed("The sign-in provider does not vouch for your e-mail.")
    return email


def _claims(token: str, keys: Any) -> dict[str, Any]:
    try:
        return dict(jwt.decode(token, KeySet.import_key_set(keys), algorithms=_ALGORITHMS).claims)
    except (JoseError, ValueError, KeyError, TypeError):
        raise ProviderFailed from None


def _http() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=10, follow_redirects=False)


async def _metadata(http: httpx2.AsyncClient, issuer: str) -> _Metadata:
    found = await _json(http, issuer.rstrip("/") + "/.well-known/openid-configuration")
    try:
        metadata = msgspec.convert(found, _Metadata)
    except msgspec.ValidationError:
        raise ProviderFailed from None
    ours = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
    if metadata.issuer != issuer or not all(is_usable(url.partition("?")[0]) for url in ours):
        raise ProviderFailed("The sign-in provider calls itself otherwise than is set.")
    return metadata


async def _id_token(
    http: httpx2.AsyncClient, metadata: _Metadata, provider: Provider, under_way: UnderWay, code: str, redirect_uri: str
) -> str:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": under_way.verifier,
    }
    headers = {}
    if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
        headers["authorization"] = _basic(provider)
    else:
        form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
    try:
        answer = await http.post(metadata.token_endpoint, data=form, headers=headers)
        return msgspec.json.decode(_body(answer), type=_Tokens).id_token
    except (httpx2.HTTPError, msgspec.MsgspecError):
        raise ProviderFailed from None


def _basic(provider: Provider) -> str:
    """RFC 6749 §2.3.1: each part form-encoded."""
    pair = f"{quote_plus(provider.client_id)}:{quote_plus(provider.client_secret)}"
    return f"Basic {b64encode(pair.encode()).decode()}"


async def _json(http: httpx2.AsyncClient, url: str) -> Any:
    try:
        return msgspec.json.decode(_body(await http.get(url)))
    except (httpx2.HTTPError, msgspec.MsgspecError):
        raise ProviderFailed from None


def _body(answer: httpx2.Response) -> bytes:
    if answer.status_code != 200 or len(answer.content) > _LARGEST_ANSWER:
        raise ProviderFailed
    return answer.content
