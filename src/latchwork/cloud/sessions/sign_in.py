"""Use cases of signing in at an organisation's own OpenID provider."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Final

from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.texts import is_text, name_errors
from latchwork.cloud.kernel.work import Database, Work
from latchwork.cloud.sessions import oidc, service, store
from latchwork.cloud.sessions.model import Trust
from latchwork.wire.api.problems import FieldError, Invalid, NotFound, Unauthorized
from latchwork.wire.api.sessions import IdentityProvider, IdentityProviderDraft, NewSession, SignedIn, SignIn

SIGN_IN_SECONDS: Final = 600
MOST_DOMAINS: Final = 50
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_SEALED_FOR: Final = "identity provider"


def redirect_uri(public_url: str) -> str:
    return f"{public_url}/log-in/callback"


def told(trust: Trust, public_url: str) -> IdentityProvider:
    """Without its secret."""
    return IdentityProvider(trust.name, trust.issuer, trust.client_id, list(trust.domains), redirect_uri(public_url))


async def set_provider(work: Work, seal: Seal, draft: IdentityProviderDraft, public_url: str) -> IdentityProvider:
    """Trusts a provider from now on, instead of another; raises Invalid."""
    before = await store.find_provider(work.conn, work.scope.organisation)
    _check(draft, has_secret=before is not None)
    sealed = seal.close(draft.client_secret.encode(), _SEALED_FOR) if draft.client_secret else b""
    domains = tuple(sorted({domain.strip().lower() for domain in draft.domains}))
    kept = before.sealed_secret if before and not sealed else sealed
    after = Trust(work.scope.organisation, draft.name, draft.issuer, draft.client_id, kept, domains)
    await store.set_provider(work.conn, after)
    shown = told(after, public_url)
    events.record(
        work,
        "identity_provider_changed",
        f"organisation/{work.scope.organisation}",
        before=told(before, public_url) if before else None,
        after=shown,
    )
    return shown


async def remove_provider(work: Work) -> None:
    """Nobody signs in there any more; sessions that were begun go on."""
    before = await store.find_provider(work.conn, work.scope.organisation)
    if before is None:
        raise NotFound("There is no sign-in provider.")
    await store.remove_provider(work.conn, work.scope)
    events.record(work, "identity_provider_removed", f"organisation/{work.scope.organisation}")


def _check(draft: IdentityProviderDraft, has_secret: bool) -> None:
    errors = name_errors(draft.name)
    if not is_text(draft.issuer) or not oidc.is_usable(draft.issuer):
        errors.append(FieldError("issuer", "The provider's https:// address, as it calls itself."))
    if not draft.client_id or not is_text(draft.client_id):
        errors.append(FieldError("clientId", "What the provider calls this cloud."))
    if not (draft.client_secret or has_secret) or not is_text(draft.client_secret):
        errors.append(FieldError("clientSecret", "The secret that the provider gave out is needed."))
    if len(draft.domains) > MOST_DOMAINS or not all(_DOMAIN.fullmatch(d.strip().lower()) for d in draft.domains):
        errors.append(FieldError("domains", "Domains such as example.org."))
    if errors:
        raise Invalid(errors=errors)


async def begin(database: Database, seal: Seal, email: str, public_url: str, now: int) -> SignIn:
    """Where somebody signs in; raises NotFound when there is no provider for their e-mail, ProviderFailed."""
    domain = email.strip().lower().rpartition("@")[2]
    async with database.connection() as conn:
        trust = await store.provider_for(conn, domain if is_text(domain) else "")
    if trust is None:
        raise NotFound("There is no sign-in provider for this e-mail; log in with your password.")
    state, under_way = secrets.token_urlsafe(32), oidc.new_sign_in()
    url = await oidc.authorization_url(_provider(seal, trust), under_way, state, redirect_uri(public_url))
    async with database.connection() as conn:
        await store.add_sign_in(conn, _digest(state), trust.organisation, under_way, now + SIGN_IN_SECONDS)
    return SignIn(url, state)


async def finish(
    database: Database, seal: Seal, given: SignedIn, public_url: str, network: str, now: int
) -> NewSession:
    """A session of whom the provider vouches for; raises Unauthorized for nobody we know, ProviderFailed."""
    async with database.connection() as conn:
        found = await store.take_sign_in(conn, _digest(given.state), now)
    if found is None:
        raise Unauthorized("This sign-in took too long, or was used before; please begin again.")
    trust, under_way = found
    provider = _provider(seal, trust)
    email = await oidc.email_of(provider, under_way, given.code, redirect_uri(public_url), now)
    async with database.connection() as conn:
        who = await store.find_credential(conn, email) if is_text(email, 254) else None
    if who is None or who.organisation != trust.organisation:
        raise Unauthorized("You signed in, but nobody here has this e-mail; ask your administrator to invite you.")
    return await service.begin(database, who, given.device, network, now)


def _provider(seal: Seal, trust: Trust) -> oidc.Provider:
    return oidc.Provider(trust.issuer, trust.client_id, seal.open(trust.sealed_secret, _SEALED_FOR).decode())


def _digest(state: str) -> bytes:
    return sha256(state.encode("utf-8", "replace")).digest()
