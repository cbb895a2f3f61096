"""Organisation, clients, keys: who may call, and how passes are signed."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

Scope = Literal[
    "organisation:read",
    "organisation:write",
    "clients:read",
    "clients:write",
    "sites:read",
    "sites:write",
    "controllers:read",
    "controllers:write",
    "visitors:read",
    "visitors:write",
    "users:read",
    "users:write",
    "permissions:read",
    "permissions:write",
    "events:read",
    "doors:unlock",
    "decisions:explain",
    "users:act",
]


class WhoAmI(msgspec.Struct, frozen=True, rename="camel"):
    """Whose token this is: a client's, or a user's for whom that client acts."""

    organisation_id: int
    organisation_name: str
    client_id: str
    client_name: str
    scopes: list[str]
    expires_at: int
    user_id: int | None = None
    user_name: str | None = None
    roles: list[str] = []
    sites: list[int] = []
    """Of a user: the sites whose admin they are."""
    modules: list[str] = []
    """What the organisation has switched on: `visitor`, `attendance`."""
    everywhere: list[str] = []
    """Those of `scopes` that hold in the whole organisation."""


class Organisation(msgspec.Struct, frozen=True, rename="camel"):
    id: int
    name: str
    visitor_module: bool
    attendance_module: bool
    """Whether users may be a `manager`."""
    pass_seconds: int | None
    """How long a visitor's QR lives; null: static, for the whole meeting."""
    single_use: bool
    """A QR opens each door once."""
    meeting_max_days: int
    offline_limit: int | None
    """Seconds a door goes on deciding, or stays unlocked, without its cloud; null: for ever."""
    phones_per_user: int = 2
    """How many phones a user may enrol; one whose phones are bound to them (`deviceLock`) has one."""
    version: int = 1
    """Rises with each change: the ETag."""


class OrganisationPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    visitor_module: bool | UnsetType = UNSET
    attendance_module: bool | UnsetType = UNSET
    pass_seconds: int | UnsetType | None = UNSET
    single_use: bool | UnsetType = UNSET
    meeting_max_days: int | UnsetType = UNSET
    offline_limit: int | UnsetType | None = UNSET
    phones_per_user: int | UnsetType = UNSET


class Client(msgspec.Struct, frozen=True, rename="camel"):
    """An OAuth2 client of an integrator. The secret is shown once, when it is made."""

    id: int
    client_id: str
    name: str
    scopes: list[str]
    token_seconds: int
    revoked_at: int | None
    created_at: int
    client_secret: str | None = None
    last_used_at: int | None = None
    """When it last fetched a token, up to five minutes early; null: never yet."""


class ClientDraft(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str
    scopes: list[Scope]
    token_seconds: int = 86_400
    """60 s to 90 days."""


class ClientPatch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    scopes: list[Scope] | UnsetType = UNSET
    token_seconds: int | UnsetType = UNSET


class PassKey(msgspec.Struct, frozen=True, rename="camel"):
    """A key that signs visitors' passes."""

    kid: str
    """8 bytes, base64url."""
    state: Literal["staged", "active", "retired"]
    created_at: int
    unconfirmed_controllers: list[int]
    """Controllers that have not confirmed this key yet; their doors would refuse what it signs."""


class PassKeyActivation(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    accept_unconfirmed: bool = False
    """Use the key although some controllers have not confirmed it."""
