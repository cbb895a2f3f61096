"""The records of history and doors on the SAAMS wire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from latchwork.cloud.passages.model import Search
from latchwork.cloud.people.rules import moments
from latchwork.cloud.saams import lenient
from latchwork.cloud.saams.lenient import Ids, Text, wrong
from latchwork.cloud.saams.wire import Pagination, iso
from latchwork.cloud.saams.wire_people import House
from latchwork.cloud.saams.wire_people import Search as PersonSearch
from latchwork.wire.api.passages import Passage
from latchwork.wire.api.sites import Site

ACCESS_TYPES = {"qr": "qr", "card": "card", "phone": "mobile", "remote": "remote"}
"""By credential."""
_CREDENTIALS = {access_type: credential for credential, access_type in ACCESS_TYPES.items()}
_GAP = re.compile(r" (?=[+-][0-9]{2}:?[0-9]{2}$|Z$)")


# ------------------------------------------------------------------------------------------------- in


class Range(msgspec.Struct, frozen=True, rename="camel"):
    start_date: Text = None
    end_date: Text = None


class HistoryFilters(msgspec.Struct, frozen=True, rename="camel"):
    access_points: Ids = None
    reporting_manager: Ids = None
    roles: Ids = None
    terms: Ids = None
    users: Ids = None
    sites: Ids = None
    direction: str | None = None
    access_types: list[str | None] | str | None = None
    start: Text = None
    end: Text = None
    access_range: Range | str | None = None
    employee_id: Text = None
    name: Text = None
    location: Text = None
    s: PersonSearch | str | None = None


class History(msgspec.Struct, frozen=True):
    pagination: Pagination | None = None
    filters: HistoryFilters | None = None


class DoorState(msgspec.Struct, frozen=True, rename="camel"):
    door_state: Literal["access_control", "unlocked", "locked"]


def wanted(filters: HistoryFilters, house: House) -> Search:
    """The entries that are meant: only doors that opened."""
    s = filters.s if isinstance(filters.s, PersonSearch) else PersonSearch()
    span = filters.access_range if isinstance(filters.access_range, Range) else Range()
    timezone = house.timezone(None)
    first = lenient.some(filters.start) or lenient.some(span.start_date)
    last = lenient.some(filters.end) or lenient.some(span.end_date)
    return Search(
        doors=lenient.some_ids(filters.access_points, "accessPoints"),
        sites=lenient.some_ids(filters.sites, "sites"),
        users=lenient.some_ids(filters.users, "users"),
        direction=_direction(filters.direction),
        credentials=_credentials(filters.access_types),
        granted=True,
        from_at=_moment(first, timezone, "start")[0] if first else None,
        to_at=_moment(last, timezone, "end")[1] if last else None,
        name=lenient.some(filters.name) or lenient.some(s.name),
        employee_code=lenient.some(filters.employee_id) or lenient.some(s.employee_id),
        email=lenient.some(s.email),
        phone=lenient.some(s.phone),
        roles=_roles(filters.roles, house),
        terms=lenient.some_ids(filters.terms, "terms"),
        managers=lenient.some_ids(filters.reporting_manager, "reportingManager"),
        location=lenient.some(filters.location),
    )


def _roles(values: Ids, house: House) -> list[str] | None:
    asked = lenient.some_ids(values, "roles")
    return None if asked is None else [house.roles[id] for id in asked if id in house.roles]


def _direction(asked: str | None) -> str | None:
    if asked in (None, "", "entry", "exit"):
        return asked or None
    raise wrong("direction", "direction is entry or exit.")


def _credentials(asked: list[str | None] | str | None) -> list[str] | None:
    """Types of other systems find nothing."""
    types = [text for one in (asked if isinstance(asked, list) else [asked]) if (text := lenient.text(one))]
    return [_CREDENTIALS[one] for one in types if one in _CREDENTIALS] if types else None


def _moment(written: str, timezone: str, field: str) -> tuple[int, int]:
    """From and before: the second, or the day, that is named."""
    try:
        return moments(_GAP.sub("", written), {0: timezone})[0]
    except ValueError:
        raise wrong(field, lenient.not_iso(written, field, "2030-12-31 18:00:00 +05:30")) from None


# ------------------------------------------------------------------------------------------------- out


def entry(passage: Passage, sites: Mapping[int, Site]) -> dict[str, Any]:
    """Every key of the contract; what is not known here is said in docs/saams.md."""
    user = _user(passage)
    site = sites.get(passage.site_id or 0)
    return {
        "id": passage.number,
        "accessorId": user["id"],
        "accessedAt": int(passage.at),
        "latitude": None,
        "longitude": None,
        "direction": passage.direction,
        "accessType": ACCESS_TYPES[passage.credential],
        "mobileAccessMode": _access_mode(passage),
        "createdAt": iso(int(passage.recorded_at)),
        "user": user,
        "accessPoint": {
            "id": passage.access_point_id,
            "name": passage.access_point_name,
            "location": (site.location or site.name) if site else "",
            "forAttendance": False,
            "forAaccess": True,
        },
    }


def _access_mode(passage: Passage) -> str | None:
    """How a phone was used: clicked from a distance, or else held to the reader."""
    if passage.credential != "phone":
        return None
    return "click_to_access" if passage.manner == "click" else "tap_to_access"


def _user(passage: Passage) -> dict[str, Any]:
    """Always an object: a user, a visitor by the client's key, or the client that opened the door from afar."""
    if passage.user is not None:
        id, name, code = passage.user.id, passage.user.name, passage.user.employee_code
    elif passage.visitor is not None:
        id, name, code = passage.visitor.id, passage.visitor.key, ""
    else:
        id, name, code = 0, passage.requested_by.name if passage.requested_by else "", ""
    return {"id": id, "name": name, "employeeCode": code, "attributes": []}
