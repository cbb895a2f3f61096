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
    """Tokens to be forgotten: one (`jti`), or all of a client issued before `not_before`."""

    number: int
    client_id: str
    jti: str | None
    not_before: int
