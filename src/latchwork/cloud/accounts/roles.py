"""What each role may do, and where: the one table, and how roles add up. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from latchwork.cloud.accounts.rules import ALL_SCOPES
from latchwork.cloud.kernel.work import Powers, Reach
from latchwork.wire.api.people import RoleName

Where = Literal["organisation", "own sites", "own reports"]


@dataclass(frozen=True, slots=True)
class Role:
    """What a role gives."""

    scopes: tuple[str, ...] = ()
    where: Where = "organisation"
    module: str | None = None
    """Without this module of the organisation the role gives nothing, and nobody can be given it."""


ROLES: Final[dict[RoleName, Role]] = {
    "end_user": Role(),
    "site_admin": Role(
        (
            *("sites:read", "sites:write", "users:read", "users:write", "permissions:read", "permissions:write"),
            *("visitors:read", "visitors:write", "events:read", "doors:unlock", "decisions:explain"),
        ),
        "own sites",
    ),
    "super_admin": Role(ALL_SCOPES),
    "front_desk": Role(("sites:read", "visitors:read", "visitors:write"), module="visitor"),
    "manager": Role(("users:read", "events:read"), "own reports", module="attendance"),
}
MODULES: Final = frozenset(role.module for role in ROLES.values() if role.module)


def has_module(role: str, modules: Collection[str]) -> bool:
    """Whether users may have the role while these modules are switched on."""
    module = next((known.module for name, known in ROLES.items() if name == role), None)
    return module is None or module in modules


def powers(user: int, roles: Collection[str], sites: Iterable[int], modules: Collection[str] = MODULES) -> Powers:
    """What a user with these roles may do: of several roles, for each scope string, the widest reach."""
    reaches = {"organisation": None, "own sites": Reach(sites=frozenset(sites)), "own reports": Reach(chief=user)}
    found: dict[str, Reach | None] = {}
    for name, role in ROLES.items():
        reach = reaches[role.where]
        if name in roles and has_module(name, modules) and (reach is None or reach):
            found |= {scope: _joined(found.get(scope, Reach()), reach) for scope in role.scopes}
    return found


def covers(own: Powers, other: Powers) -> bool:
    """Whether nothing of the other reaches further than one's own."""
    return all(scope in own and _within(reach, own[scope]) for scope, reach in other.items())


def _joined(one: Reach | None, other: Reach | None) -> Reach | None:
    if one is None or other is None:
        return None
    return Reach(one.sites | other.sites, other.chief if one.chief is None else one.chief)


def _within(inner: Reach | None, outer: Reach | None) -> bool:
    if inner is None or outer is None:
        return outer is None
    return inner.sites <= outer.sites and inner.chief in (None, outer.chief)
