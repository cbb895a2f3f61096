"""OAuth2: tokens by client credentials (RFC 6749 §4.4), for users by token exchange (RFC 8693) and in their apps by
refresh tokens (RFC 6749 §6) that are bound to a key (RFC 9449); revocation (RFC 7009), metadata (RFC 8414), JWKS
(RFC 7517)."""

from __future__ import annotations

import binascii
import time
from base64 import b64decode
from collections.abc import Collection
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import litestar
import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec

from latchwork.cloud.accounts import app_sessions, dpop, roles, rules, service
from latchwork.cloud.accounts.model import ClientSecret, UserAccount
from latchwork.cloud.accounts.rules import ALL_SCOPES
from latchwork.cloud.kernel.work import SYSTEM, Scope
from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import Unauthorized

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"  # noqa: S105 - a name
USER = "urn:latchwork:params:oauth:token-type:user"
APP_TOKEN_SECONDS = 600
_NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class Grant(StrEnum):
    """What `grant_type` may be."""

    CLIENT_CREDENTIALS = "client_credentials"
    TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - a name


class TokenAnswer(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


class ExchangeAnswer(msgspec.Struct, frozen=True):
    """RFC 8693 §2.2.1."""

    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: int
    scope: str


class OfferAnswer(msgspec.Struct, frozen=True):
    """RFC 8693 §2.2.1 for a token that is no access token."""

    access_token: str
    issued_token_type: str
    token_type: str
    expires_in: int


class RefreshAnswer(msgspec.Struct, frozen=True):
    """RFC 6749 §5.1, with the refresh token for the next time."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str
    scope: str


Answer = TokenAnswer | ExchangeAnswer | OfferAnswer | RefreshAnswer


class OAuthError(Exception):
    """RFC 6749 §5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


def answer_oauth_error(request: Request[Any, Any, Any], error: OAuthError) -> Response[dict[str, str]]:
    headers = dict(_NO_STORE)
    if error.status == 401:
        headers["www-authenticate"] = 'Basic realm="latchwork"'
    body = {"error": error.error, "error_description": error.description}
    return Response(body, status_code=error.status, headers=headers)


@litestar.post(
    "/oauth2/token",
    status_code=200,
    operation_id="oauth_token",
    tags=["oauth2"],
    summary="Issues a token for client credentials, for a user for whom the client acts, or for a user's app.",
    responses={200: ResponseSpec(TokenAnswer, description="The token", generate_examples=False)},
)
async def token(request: Request[Any, Any, Any]) -> Response[Answer]:
    """Form body `grant_type=client_credentials`, optionally `scope`; the client by HTTP Basic or in the body.

    For a user: `grant_type=urn:ietf:params:oauth:grant-type:token-exchange`, `subject_token` their id,
    `subject_token_type=urn:latchwork:params:oauth:token-type:user`, optionally `scope`. The same with
    `requested_token_type=urn:ietf:params:oauth:token-type:refresh_token` is a one-time token for the user's app:
    without `scope` the app reaches what is the user's own, and nothing of what their roles allow.

    The app: `grant_type=refresh_token`, `refresh_token`, optionally `scope`, and a `DPoP` header; no client.
    """
    request.app.state.gate.slow_down(request)
    form = await _form(request)
    now = int(time.time())  # before the secret is looked up: a rotation in between ends this token too
    if form.get("grant_type") == Grant.REFRESH_TOKEN:
        return Response(await _refreshed(request, form, now), status_code=200, headers=_NO_STORE)
    found = await _client(request, form)
    match form.get("grant_type"):
        case Grant.CLIENT_CREDENTIALS:
            answer: Answer = _own(request, found, form, now)
        case Grant.TOKEN_EXCHANGE:
            answer = await _users(request, found, form, now)
        case _:
            raise OAuthError("unsupported_grant_type", f"The grant types are {', '.join(Grant)}.")
    await service.note_use(request.app.state.database, found, now)
    return Response(answer, status_code=200, headers=_NO_STORE)


async def _refreshed(request: Request[Any, Any, Any], form: dict[str, str], now: int) -> RefreshAnswer:
    """The next tokens of an app's session."""
    state, wanted = request.app.state, _wanted(form)
    proofs = request.headers.getall("dpop", [])
    try:
        proof = dpop.read(proofs[0] if len(proofs) == 1 else None, f"{state.settings.public_url}/oauth2/token", now)
    except dpop.ProofRefused as refused:
        raise OAuthError("invalid_dpop_proof", str(refused)) from None
    done = await app_sessions.refresh(state.database, state.seal, form.get("refresh_token", ""), proof, now)
    if isinstance(done, app_sessions.Refused):
        raise OAuthError(done.error, done.why)
    may = _may(done.client, done.user, done.session.scopes) if done.client else []
    scopes = [scope for scope in may if wanted is None or scope in wanted]
    seconds = min(APP_TOKEN_SECONDS, done.client.client.token_seconds) if done.client else APP_TOKEN_SECONDS
    expires_at = rules.user_token_expires(done.user, seconds, now)
    text = state.tokens.issue_in_app(done.session, done.user, done.client, scopes, now, expires_at)
    return RefreshAnswer(text, "Bearer", expires_at - now, done.token.text, " ".join(scopes))


def _may(found: ClientSecret, user: UserAccount, limits: Collection[str] | None) -> list[str]:
    """The scopes that client and user have both, within limits (None: there are none)."""
    may = roles.powers(user.id, user.roles, user.sites, user.modules)
    return [scope for scope in found.client.scopes if scope in may and (limits is None or scope in limits)]


def _own(request: Request[Any, Any, Any], found: ClientSecret, form: dict[str, str], now: int) -> TokenAnswer:
    scopes = _scopes(form.get("scope"), found.client.scopes)
    text = request.app.state.tokens.issue(found, scopes, now)
    return TokenAnswer(text, "Bearer", found.client.token_seconds, " ".join(scopes))


async def _users(
    request: Request[Any, Any, Any], found: ClientSecret, form: dict[str, str], now: int
) -> ExchangeAnswer | OfferAnswer:
    """A token for the user that the form names (RFC 8693 §2): what they, the client and the form all allow."""
    if rules.ACT not in found.client.scopes:
        raise OAuthError("unauthorized_client", f"This client may not act for users: it lacks the scope {rules.ACT}.")
    wanted = _wanted(form)
    user = await service.act_for(request.app.state.database, found.organisation, _subject(form), now)
    if user is None:
        raise OAuthError("invalid_request", "There is no user with this id.")
    if not rules.may_act(user, now):
        raise OAuthError("invalid_request", "This user is deactivated, or their access has expired.")
    if form.get("requested_token_type") == REFRESH_TOKEN:
        return await _offered(request, found, user, wanted, now)
    scopes = _may(found, user, wanted)
    expires_at = rules.user_token_expires(user, found.client.token_seconds, now)
    text = request.app.state.tokens.issue_for(user, found, scopes, now, expires_at)
    return ExchangeAnswer(text, ACCESS_TOKEN, "Bearer", expires_at - now, " ".join(scopes))


async def _offered(
    request: Request[Any, Any, Any], found: ClientSecret, user: UserAccount, wanted: set[str] | None, now: int
) -> OfferAnswer:
    """A one-time token, to be handed to the user's app: it reaches what is the user's own, and these scopes if any."""
    if lacking := sorted((wanted or set()) - set(found.client.scopes)):
        raise OAuthError("invalid_scope", f"This client lacks the scope {lacking[0]}, so its apps cannot have it.")
    offered = await request.app.state.database.run(
        Scope(found.organisation),
        Actor("client", found.client.client_id, found.client.name),
        now,
        lambda work: app_sessions.offer(work, found.client.id, user.id, wanted or ()),
    )
    return OfferAnswer(offered.text, REFRESH_TOKEN, "N_A", app_sessions.BEGIN_WITHIN)


def _subject(form: dict[str, str]) -> int:
    """The user's id (RFC 8693 §2.1); raises OAuthError for what this endpoint does not exchange."""
    if form.get("subject_token_type") != USER:
        raise OAuthError("invalid_request", f"subject_token_type is {USER}.")
    if "actor_token" in form or "actor_token_type" in form:
        raise OAuthError("invalid_request", "There is no actor_token: who acts is the client.")
    if form.get("requested_token_type", ACCESS_TOKEN) not in (ACCESS_TOKEN, REFRESH_TOKEN):
        raise OAuthError("invalid_request", f"requested_token_type is {ACCESS_TOKEN}, {REFRESH_TOKEN}, or left out.")
    if "audience" in form or "resource" in form:
        raise OAuthError("invalid_target", "The token is for this cloud; leave audience and resource out.")
    text = form.get("subject_token", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise OAuthError("invalid_request", "subject_token is the user's id.")
    return int(text)


def _wanted(form: dict[str, str]) -> set[str] | None:
    """The scopes asked for; None: all that there are."""
    wanted = set(form.get("scope", "").split())
    if not wanted <= set(ALL_SCOPES):
        raise OAuthError("invalid_scope", "There is no such scope.")
    return wanted or None


@litestar.post(
    "/oauth2/revoke",
    status_code=200,
    operation_id="oauth_revoke",
    tags=["oauth2"],
    summary="Revokes one of the client's own access tokens, or ends an app's session.",
)
async def revoke(request: Request[Any, Any, Any]) -> Response[None]:
    """Form body `token=…`; 200 also for a token that is none (RFC 7009 §2.2).

    A refresh token's session ends. The app sends it alone; a client ends the sessions that it began.
    """
    request.app.state.gate.slow_down(request)
    form = await _form(request)
    is_refresh = app_sessions.is_one(form.get("token", ""))
    if is_refresh and "client_id" not in form and "authorization" not in request.headers:
        await app_sessions.revoke(request.app.state.database, form["token"], None, int(time.time()))
        return Response(None, status_code=200)
    found = await _client(request, form)
    if is_refresh:
        await app_sessions.revoke(request.app.state.database, form["token"], found, int(time.time()))
        return Response(None, status_code=200)
    try:
        identity = await request.app.state.tokens.check(form.get("token", ""), time.time())
    except Unauthorized:
        return Response(None, status_code=200)
    if identity.client_id == found.client.client_id:
        hints = request.app.state.hints
        await request.app.state.database.run(
            Scope(identity.organisation),
            SYSTEM,
            int(time.time()),
            lambda work: service.revoke_token(work, hints, identity.client_id, identity.jti, identity.expires_at),
        )
    return Response(None, status_code=200)


@litestar.get("/.well-known/oauth-authorization-server", operation_id="oauth_metadata", tags=["oauth2"])
async def metadata(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Authorization server metadata (RFC 8414 §2)."""
    url = request.app.state.settings.public_url
    methods = ["client_secret_basic", "client_secret_post", "none"]
    return {
        "issuer": url,
        "token_endpoint": f"{url}/oauth2/token",
        "revocation_endpoint": f"{url}/oauth2/revoke",
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "grant_types_supported": list(Grant),
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "dpop_signing_alg_values_supported": ["ES256"],
        "scopes_supported": list(ALL_SCOPES),
        "service_documentation": f"{url}/docs",
    }


@litestar.get("/.well-known/jwks.json", operation_id="oauth_jwks", tags=["oauth2"])
async def jwks(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The public keys that sign access tokens (RFC 7517 §5)."""
    keys: dict[str, Any] = request.app.state.tokens.jwks()
    return keys


async def _form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The form's fields; raises OAuthError for another media type, a repeated field (RFC 6749 §3.2) or no UTF-8."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise OAuthError("invalid_request", "The body must be application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise OAuthError("invalid_request", "The body cannot be read.") from None
    if len(dict(pairs)) != len(pairs):
        raise OAuthError("invalid_request", "A field stands in the body twice.")
    return dict(pairs)


async def _client(request: Request[Any, Any, Any], form: dict[str, str]) -> ClientSecret:
    """The client that authenticates itself; raises OAuthError invalid_client."""
    header = request.headers.get("authorization")
    if header is not None and "client_secret" in form:
        raise OAuthError("invalid_request", "Use one way of client authentication, not two.")
    client_id, secret = _basic(header) if header else (form.get("client_id", ""), form.get("client_secret", ""))
    try:
        return await service.authenticate(request.app.state.database, client_id, secret)
    except Unauthorized as wrong:
        raise OAuthError("invalid_client", wrong.detail, 401) from None


def _basic(header: str) -> tuple[str, str]:
    """Id and secret of an HTTP Basic header, each form-encoded (RFC 6749 §2.3.1)."""
    scheme, _, value = header.partition(" ")
    try:
        client_id, colon, secret = b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise OAuthError("invalid_client", "The Authorization header cannot be read.", 401) from None
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "Client authentication is HTTP Basic.", 401)
    return unquote_plus(client_id), unquote_plus(secret)


def _scopes(wanted: str | None, allowed: list[str]) -> list[str]:
    if not wanted:
        return allowed
    scopes = wanted.split()
    if not set(scopes) <= set(allowed):
        raise OAuthError("invalid_scope", "This client may not have all of these scopes.")
    return scopes


endpoints = [token, revoke, metadata, jwks]
