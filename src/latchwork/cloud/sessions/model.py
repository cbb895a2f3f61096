"""Records of sessions that never leave the cloud."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "lws_"
"""How a session's token begins: a secret scanner and the gate know it by that."""


@dataclass(frozen=True, slots=True)
class Credential:
    """An account as log-in sees it."""

    organisation: int
    user: int
    email: str
    password_hash: str
    """Empty: no password is set."""


@dataclass(frozen=True, slots=True)
class Live:
    """A session as the gate sees it."""

    organisation: int
    id: int
    user: int
    created_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Trust:
    """An organisation's OpenID provider, as stored."""

    organisation: int
    name: str
    issuer: str
    client_id: str
    sealed_secret: bytes
    domains: tuple[str, ...]
