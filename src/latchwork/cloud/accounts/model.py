"""Records of accounts that never leave the cloud."""

from __future__ import annotations

from dataclasses import dataclass

from latchwork.wire.api.accounts import Client, Organisation


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation with what only the cloud needs to know of it."""

    organisation: Organisation
    passes_shortened_at: int


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client as the token endpoint sees it."""

    organisation: int
    client: Client
    secret_hash: str
    rate_per_second: int
    rate_burst: int
    tokens_from: int
    """Tokens issued before this were revoked."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Tokens to be looked up anew: one (`jti`) or all of a client; of a user, or of all users of an organisation."""

    number: int
    client_id: str | None
    jti: str | None
    organisation: int | None
    user: int | None


@dataclass(frozen=True, slots=True)
class UserAccount:
    """A user as the token endpoint sees them."""

    id: int
    name: str
    roles: tuple[str, ...]
    sites: tuple[int, ...]
    modules: frozenset[str]
    """Those of the organisation that are switched on."""
    is_active: bool
    access_expires_at: int | None
    tokens_from: int
    """Tokens issued before this were revoked."""


@dataclass(frozen=True, slots=True)
class AppSession:
    """A user's session in an app, as the token endpoint sees it."""

    organisation: int
    id: int
    user: int
    client: int | None
    """That began it; None: the user did, who was logged in."""
    scopes: tuple[str, ...] | None
    """No more than these; None: whatever user and client may."""
    newest_hash: bytes
    former_hash: bytes | None
    """Of the token that was exchanged for the newest: good again from the same key, for its answer may be lost."""
    thumbprint: str | None
    """RFC 7638, of the app's key; None: the app has not begun it."""
    created_at: int
    used_at: int | None
    expires_at: int
