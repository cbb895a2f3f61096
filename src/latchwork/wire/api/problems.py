"""What can be wrong with a request: named facts, one class each, shared by cloud and SDK (RFC 9457 problem details)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 1_000
"""Errors that one answer lists: somebody who sends a million is not answered with as many sentences."""


class FieldError(msgspec.Struct, frozen=True):
    """One field of the request and what is wrong with it; `field` is a path such as `visitor.key`, empty: all."""

    field: str
    detail: str


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of every error answer (RFC 9457 §3)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):
    """A refused request. Subclasses fix `status`, `code` and the default sentence; a code never changes its meaning."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    sentence: ClassVar[str] = "Something went wrong on our side; the request changed nothing."
    by_code: ClassVar[dict[str, type[Problem]]] = {}

    def __init__(self, detail: str | None = None, errors: Sequence[FieldError] = (), retry_after: int | None = None):
        super().__init__(detail or self.sentence)
        self.detail = detail or self.sentence
        self.errors = tuple(errors[:MOST_ERRORS])
        if more := len(errors) - len(self.errors):
            self.errors += (FieldError("", f"There are {more} more errors; these are the first {MOST_ERRORS}."),)
        self.retry_after = retry_after
        """Whole seconds after which the same request may succeed."""

    def __init_subclass__(cls) -> None:
        Problem.by_code[cls.code] = cls

    def details(self) -> ProblemDetails:
        return ProblemDetails(
            type=f"/docs/errors#{self.code}",
            title=self.code.replace("_", " ").capitalize(),
            status=self.status,
            detail=self.detail,
            code=self.code,
            errors=self.errors,
        )


class Malformed(Problem):
    status, code = 400, "malformed"
    sentence = "The request cannot be read."


class Invalid(Problem):
    status, code = 400, "invalid"
    sentence = "The request has fields that cannot be accepted."


class Unauthorized(Problem):
    status, code = 401, "unauthorized"
    sentence = "A valid access token is needed: Authorization: Bearer <token>."


class Forbidden(Problem):
    status, code = 403, "forbidden"
    sentence = "This client may not do that."


class ModuleOff(Problem):
    status, code = 403, "module_off"
    sentence = "The visitor module is switched off for this organisation."


class NotFound(Problem):
    status, code = 404, "not_found"
    sentence = "There is nothing with this id."


class MethodNotAllowed(Problem):
    status, code = 405, "method_not_allowed"
    sentence = "This path does not answer to this method."


class Conflict(Problem):
    status, code = 409, "conflict"
    sentence = "This cannot be done in the present state."


class Outdated(Problem):
    status, code = 412, "outdated"
    sentence = "Somebody else has changed this meanwhile; read it again."


class TooLarge(Problem):
    status, code = 413, "too_large"
    sentence = "The request's body is too large."


class UnsupportedMediaType(Problem):
    status, code = 415, "unsupported_media_type"
    sentence = "The body must be application/json."


class IdempotencyKeyReused(Problem):
    status, code = 422, "idempotency_key_reused"
    sentence = "This Idempotency-Key was used before with another request."


class TooManyRequests(Problem):
    status, code = 429, "too_many_requests"
    sentence = "Too many requests; please slow down."


class Internal(Problem):
    status, code = 500, "internal_error"


class Unavailable(Problem):
    status, code = 503, "unavailable"
    sentence = "The service cannot answer right now; please try again."


class EnrolmentRefused(Problem):
    status, code = 403, "enrolment_refused"
    sentence = "This enrolment code is wrong, used or expired; please make a new one."


class LinkOver(Problem):
    status, code = 410, "link_over"
    sentence = "This link was used before or is too old; please ask for a new one."


class ProviderFailed(Problem):
    status, code = 502, "provider_failed"
    sentence = "The sign-in provider did not answer as it should; please try again, or log in with a password."
