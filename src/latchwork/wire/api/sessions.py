"""Accounts and sessions: how a person logs in to the website."""

from __future__ import annotations

import msgspec


class LogIn(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """E-mail and password; `device` is shown in the list of sessions, such as the browser's name."""

    email: str
    password: str
    device: str = ""


class NewSession(msgspec.Struct, frozen=True, rename="camel"):
    """A session and its token, which is shown this once: `Authorization: Bearer <token>`."""

    id: int
    token: str
    expires_at: int


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody is logged in somewhere."""

    id: int
    device: str
    network: str
    """The address it was begun from; of an IPv6 address its /64."""
    created_at: int
    seen_at: int
    """Used at this instant or up to ten minutes later."""
    expires_at: int
    is_current: bool
    """The session that asks."""


class Account(msgspec.Struct, frozen=True, rename="camel"):
    """The log-in of one user."""

    user_id: int
    email: str
    has_password: bool
    """Without one they were invited, or sign in through the organisation's OpenID provider."""
    last_log_in_at: int | None


class Invitation(msgspec.Struct, frozen=True, rename="camel"):
    """A link with which a user chooses a password; it works once."""

    url: str
    """Empty in the answer to a repeated request: the first one had it."""
    expires_at: int
    mailed: bool
    """Whether it was sent to the user; otherwise somebody has to hand it over."""


class PasswordToken(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`token`: the last part of the link of an invitation or a reset."""

    token: str


class PasswordLink(msgspec.Struct, frozen=True, rename="camel"):
    """Whose password a link is for; asking does not use it up."""

    email: str


class PasswordChoice(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`token`: the last part of the link of an invitation or a reset."""

    token: str
    password: str


class PasswordChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    current_password: str
    password: str


class PasswordReset(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    email: str


class IdentityProvider(msgspec.Struct, frozen=True, rename="camel"):
    """An organisation's own OpenID provider, where its people sign in."""

    name: str
    issuer: str
    client_id: str
    domains: list[str]
    """Whose e-mail ends with one of these is sent there."""
    redirect_uri: str
    """What the provider has to know as the place to come back to."""


class IdentityProviderDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`client_secret` empty: the one that is there already."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = ""
    domains: list[str] = []


class SignInOffer(msgspec.Struct, frozen=True, rename="camel"):
    """Whether anybody's organisation has an OpenID provider of its own here."""

    is_offered: bool


class SignInDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`email` empty: the only provider there is."""

    email: str = ""


class SignIn(msgspec.Struct, frozen=True, rename="camel"):
    """Where the browser goes to sign in, and the state that it has to come back with."""

    url: str
    state: str


class SignedIn(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What the provider sent the browser back with (OpenID Connect Core §3.1.2.5)."""

    state: str
    code: str
    device: str = ""
