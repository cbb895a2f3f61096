"""The SAAMS wire: lenient records in, `{"type": …, "message": …}` out, error codes that never change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from latchwork.cloud.kernel.ids import MOST
from latchwork.wire.api import problems
from latchwork.wire.api.problems import FieldError, Invalid, Problem
from latchwork.wire.api.sites import AccessPoint, Site

EVERYTHING = 10_000
"""What `perPage: -1` answers at most."""


class LockedDown(Problem):
    """The texts of this and the next are those that clients look for."""

    status, code = 400, "locked_down"
    sentence = "Door is in Lockdown State"


class DeviceOffline(Problem):
    status, code = 400, "device_offline"
    sentence = "Device Offline"


class UnlockFailed(Problem):
    status, code = 400, "unlock_failed"
    sentence = "The door was not opened."


ERROR_CODES: dict[type[Problem], int] = {
    problems.Malformed: 1000,
    problems.Invalid: 1001,
    problems.UnsupportedMediaType: 1002,
    problems.TooLarge: 1003,
    problems.Unauthorized: 1100,
    problems.Forbidden: 1200,
    problems.ModuleOff: 1201,
    problems.NotFound: 1300,
    problems.MethodNotAllowed: 1301,
    problems.Conflict: 1400,
    problems.TooManyRequests: 1500,
    LockedDown: 1600,
    DeviceOffline: 1601,
    UnlockFailed: 1602,
    problems.Unavailable: 1900,
    problems.Internal: 1999,
}
"""`errorCode` by problem (listed in docs/saams.md); a code never changes its meaning."""

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PATCH, DELETE, OPTIONS",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "86400",
}


def success(message: Any) -> bytes:
    return msgspec.json.encode({"type": "success", "message": message})


def failure(problem: Problem) -> bytes:
    """The first field error is the sentence, when there is one: this wire has room for one."""
    sentence = _sentence(problem.errors[0]) if problem.errors else problem.detail
    other = problems.Malformed if problem.status < 500 else problems.Internal
    code = ERROR_CODES.get(type(problem), ERROR_CODES[other])
    return msgspec.json.encode({"type": "error", "message": {"errorCode": code, "errorMessage": sentence}})


def _sentence(error: FieldError) -> str:
    """The field stands in it."""
    return error.detail if not error.field or error.field in error.detail else f"{error.field}: {error.detail}"


class Pagination(msgspec.Struct, frozen=True, rename="camel"):
    """Anything else that rides along (`currentPage`, `per_page`, `total` …) is ignored."""

    page: int | None = None
    per_page: int | None = None


class Slice(msgspec.Struct, frozen=True):
    """Which part of a list is meant."""

    page: int
    per_page: int
    skip: int
    limit: int

    def answer(self, total: int) -> dict[str, int]:
        return {"total": total, "perPage": self.per_page, "currentPage": self.page}


def sliced(asked: Pagination | None) -> Slice:
    """The part asked for; without pagination everything. Raises Invalid for a page before the first, or of none."""
    page = 1 if asked is None or asked.page is None else asked.page
    per_page = EVERYTHING if asked is None or asked.per_page is None else asked.per_page
    if page < 1:
        raise Invalid(errors=[FieldError("page", "page counts from 1.")])
    if per_page != -1 and per_page < 1:
        raise Invalid(errors=[FieldError("perPage", "perPage is at least 1, or -1 for everything.")])
    limit = EVERYTHING if per_page == -1 else min(per_page, EVERYTHING)
    return Slice(page, per_page if per_page == -1 else limit, min((page - 1) * limit, MOST), limit)


class Nothing(msgspec.Struct, frozen=True):
    """A call without parameters."""


class TokenRequest(msgspec.Struct, frozen=True, rename="camel"):
    client_id: str | int
    client_secret: str
    grant_type: str | None = None


class SiteFilters(msgspec.Struct, frozen=True):
    name: str | None = None


class SiteList(msgspec.Struct, frozen=True):
    pagination: Pagination | None = None
    filters: SiteFilters | None = None


class AccessPointFilters(msgspec.Struct, frozen=True):
    search: str | None = None
    name: str | None = None


class AccessPointList(msgspec.Struct, frozen=True):
    pagination: Pagination | None = None
    filters: AccessPointFilters | None = None


class MeetingCreate(msgspec.Struct, frozen=True, rename="camel"):
    user_id: str | int
    """The client's own key for the visitor, a name space of its own."""
    start_time: int
    end_time: int
    permissions_to_add: list[int] | None = None


class MeetingUpdate(msgspec.Struct, frozen=True, rename="camel"):
    start_time: int | None = None
    end_time: int | None = None
    permissions_to_add: list[int] | None = None
    permissions_to_remove: list[int] | None = None


def site(s: Site) -> dict[str, Any]:
    return {
        "id": s.id,
        "name": s.name,
        "location": s.location,
        "timezone": s.timezone,
        "createdAt": iso(s.created_at),
        "updatedAt": iso(s.updated_at),
    }


def access_point(a: AccessPoint) -> dict[str, Any]:
    return {
        "id": a.id,
        "name": a.name,
        "siteId": a.site_id,
        "createdAt": iso(a.created_at),
        "updatedAt": iso(a.updated_at),
    }


def iso(at: int) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
