"""What differs between a record as it was and as it is, in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, get_args

from latchwork.web.catalogue import DEFAULT, LANGUAGES, Say
from latchwork.web.hours import write
from latchwork.web.lines import moment
from latchwork.web.places import Places
from latchwork.web.standing import week
from latchwork.wire.api.people import Interval, RoleName, Schedule

Record: TypeAlias = Mapping[str, Any]
"""As the API answers it: fields by their names."""
_UNTOLD: Final = frozenset(
    {"id", "userId", "cardId", "phoneId", "appSessionId", "userName", "updatedAt", "createdAt", "version"}
)
"""What says nothing to people, or changes with everything else."""
_SECRET: Final = re.compile(r"(secret|password|token|pin|hash|qrdata)$", re.IGNORECASE)
_INSTANT: Final = re.compile(r"(At|Time)$")
_FIELDS: Final = {name.removeprefix("audit.field_") for name in LANGUAGES[DEFAULT] if name.startswith("audit.field_")}
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LONGEST: Final = 300
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field, as it was and as it is; empty: it was not there."""

    field: str
    before: str
    after: str


def differences(
    was: Record | None, became: Record | None, where: Places, say: Say, data: Record | None = None
) -> list[Difference]:
    """Field by field; secrets are never said, and of what has come or gone only what it held. `data`: other facts."""
    before, after = _flat(was), _flat(became)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name) and not _is_untold(name)]
    told = {name: value for name, value in _flat(data).items() if not _is_untold(name)}
    facts = [Difference(_named(name, say), "", _shown(name, value, where, say)) for name, value in told.items()]
    changed = [
        Difference(
            _named(name, say),
            "" if was is None else _shown(name, before.get(name), where, say),
            "" if became is None else _shown(name, after.get(name), where, say),
        )
        for name in names
    ]
    both = was is not None and became is not None
    return [
        each for each in (*facts, *changed) if (both and each in changed) or NOTHING not in (each.before, each.after)
    ]


def _named(name: str, say: Say) -> str:
    """What a field is called; one that the catalogue does not know, after its name."""
    known = next((each for each in (name, name.rpartition(".")[2]) if each in _FIELDS), None)
    if known is not None:
        return say(f"audit.field_{known}")
    return _HUMP.sub(" ", name).replace(".", " · ").removesuffix("Id").strip().lower()


def _is_untold(name: str) -> bool:
    return name.rpartition(".")[2] in _UNTOLD


def _flat(record: Record | None, under: str = "") -> dict[str, Any]:
    """Fields of fields by names such as `access.card`."""
    found: dict[str, Any] = {}
    for name, value in (record or {}).items():
        found |= _flat(value, f"{under}{name}.") if isinstance(value, dict) else {f"{under}{name}": value}
    return found


def _shown(name: str, value: Any, where: Places, say: Say) -> str:
    if value is None or value in ("", []):
        return NOTHING
    if isinstance(value, bool):
        return say("audit.yes" if value else "audit.no")
    if _SECRET.search(name):
        return say("audit.hidden")
    if name == "why" and value in _ENDS:
        return say(f"audit.ended_{value}")
    if name == "degraded" and value in _DEGRADED:
        return say(f"doors.degraded_{value}")
    if isinstance(value, int) and _INSTANT.search(name) and value > 86_400:
        return moment(value, where, None).full(say)
    text = _listed(name, value, where, say) if isinstance(value, list) else _called(name, value, where)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"


def _listed(name: str, value: list[Any], where: Places, say: Say) -> str:
    if name == "week":
        days = [[Interval(int(start), int(end)) for start, end in day] for day in value]
        return "; ".join(f"{each.days} {each.hours}" for each in week(Schedule(0, "", days, []), say)[:-1])
    if name == "roles":
        return ", ".join(say(f"account.role_{role}") if role in _ROLES else str(role) for role in value)
    return _hours(value) if name == "holiday" else ", ".join(_called(name, each, where) for each in value)


def _called(name: str, value: Any, where: Places) -> str:
    """An id by the name of what it stands for, where that is known."""
    known: Mapping[int, Any] = next((of(where) for end, of in _NAMED.items() if name.endswith(end)), {})
    if isinstance(value, float):
        return f"{value:g}"
    return known[value].name if isinstance(value, int) and value in known else str(value)


_DEGRADED: Final = ("refuse", "admit")
_ROLES: Final = get_args(RoleName)
_ENDS: Final = ("revoked", "reused", "replaced", "phone_removed")
"""Why an app's session ended."""
_NAMED: Final[dict[str, Callable[[Places], Mapping[int, Any]]]] = {
    "iteId": lambda where: where.sites,
    "Sites": lambda where: where.sites,
    "ccessPointId": lambda where: where.doors,
    "ccessPoints": lambda where: where.doors,
    "ontrollerId": lambda where: where.controllers,
    "ontrollers": lambda where: where.controllers,
}


def _hours(day: list[Any]) -> str:
    return write([Interval(int(start), int(end)) for start, end in day])
