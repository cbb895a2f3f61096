"""What the cloud's answers mean: the same named problems that the cloud raises, and two faults of the way between."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from functools import cache
from math import ceil
from typing import Any, Final, TypeVar

import httpx2
import msgspec

from latchwork.wire.api.problems import Invalid, Problem, ProblemDetails, TooManyRequests, Unauthorized, Unavailable

T = TypeVar("T")


class CloudUnreachable(Exception):
    """No answer came. Whether the call was carried out is unknown, unless nothing went out."""

    def __init__(self, why: str = "", may_be_done: bool = True) -> None:
        super().__init__(why)
        self.may_be_done = may_be_done


class UnexpectedAnswer(Exception):
    """Something answered, but not as a Latchwork cloud does: a proxy's page, or another server."""


class _OAuthError(msgspec.Struct):
    """RFC 6749 §5.2."""

    error: str
    error_description: str = ""


_details: Final = msgspec.json.Decoder(ProblemDetails)
_oauth_error: Final = msgspec.json.Decoder(_OAuthError)
_by_status: Final[dict[int, type[Problem]]] = {
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""What a proxy before the cloud may say in its own words."""


def problem_of(response: httpx2.Response) -> Problem | UnexpectedAnswer:
    """The problem in an error answer, of the class that the cloud raised (RFC 9457)."""
    try:
        details = _details.decode(response.content)
    except msgspec.MsgspecError:
        return _without_details(response)
    named = Problem.by_code.get(details.code)
    if named is not None:
        return named(details.detail, details.errors, retry_after(response))
    problem = Problem(details.detail, details.errors, retry_after(response))
    problem.status, problem.code = details.status, details.code  # type: ignore[misc]  # a code of a newer cloud
    return problem


def token_problem_of(response: httpx2.Response) -> Problem | UnexpectedAnswer:
    """The problem in an error answer of the token endpoint (RFC 6749 §5.2)."""
    try:
        error = _oauth_error.decode(response.content)
    except msgspec.MsgspecError:
        return problem_of(response)
    kind = Unauthorized if error.error == "invalid_client" else Invalid
    return kind(error.error_description or None)


def retry_after(response: httpx2.Response) -> int | None:
    """Whole seconds from now in `Retry-After`, given so or as a date (RFC 9110 §10.2.3); None when it holds neither."""
    text = response.headers.get("retry-after", "")
    try:
        if text.isascii() and text.isdecimal():
            return int(text)
        pause = parsedate_to_datetime(text) - parsedate_to_datetime(response.headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0, ceil(pause.total_seconds()))


def record_of(body: bytes, record: type[T]) -> T:
    """The record in an answer; raises UnexpectedAnswer when it is not there."""
    try:
        answer: T = _decoder(record).decode(body)  # type: ignore[arg-type]  # a record's type is hashable
    except msgspec.MsgspecError as error:
        raise UnexpectedAnswer(f"The answer cannot be read: {error}.") from None
    return answer


@cache
def _decoder(record: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(record)


def _without_details(response: httpx2.Response) -> Problem | UnexpectedAnswer:
    named = _by_status.get(response.status_code)
    if named is not None:
        return named(retry_after=retry_after(response))
    return UnexpectedAnswer(f"The answer {response.status_code} is not one of a Latchwork cloud.")
