"""How a SAAMS call is served: bare or Bearer token, own organisation only, `{}` for no body, 200 for every success."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import litestar
import msgspec
from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from latchwork.cloud.kernel import bodies
from latchwork.cloud.kernel.http import Caller, as_problem, may
from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.saams import wire
from latchwork.wire.api.problems import NotFound

Call = Callable[..., Awaitable[Any]]
_paths: set[str] = set()
_EMPTY_LIST = re.compile(rb"\[\s*\]")
_ROOTS = (
    "/saamsIdm/",
    "/organisationManagement/",
    "/accessManagementV3/",
    "/userManagement/",
    "/visitorManagementV3/",
    "/v2/organisationManagement/",
)


def call(method: str, path: str, scope: str | None) -> Callable[[Call], HTTPRouteHandler]:
    """Registers `async def call(by, body, *path ids) -> message` under a path such as `/x/{o}/sites/{siteId}`.

    `body` is decoded into the record of its annotation, leniently: numeric strings are numbers, unknown fields are
    ignored, and so is the difference between an empty object and an empty list, which PHP does not know.
    """

    def register(function: Call) -> HTTPRouteHandler:
        decoder = msgspec.json.Decoder(get_type_hints(function)["body"], strict=False)

        async def handler(request: Request[Any, Any, Any]) -> Response[bytes]:
            by = await caller(request, scope)
            ids = {name: text for name, text in request.path_params.items() if name != "o"}
            body = bodies.decode(_with_objects((await request.body()) or b"{}", decoder.type), decoder)
            return answer(await function(by, body, *(number(text) for text in ids.values())))

        return route(method, path, handler, function)

    return register


def _with_objects(body: bytes, expected: Any) -> bytes:
    """The body with `{}` for each `[]` where a record is expected."""
    if not _EMPTY_LIST.search(body):
        return body
    try:
        return msgspec.json.encode(_as_expected(msgspec.json.decode(body), expected))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return body  # which is no JSON


def _as_expected(value: Any, expected: Any) -> Any:
    for kind in get_args(expected) if isinstance(expected, UnionType) else (expected,):
        if bodies.is_record(kind) and value == []:
            return {}
        if bodies.is_record(kind) and isinstance(value, dict):
            types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
            return {name: _as_expected(inner, types.get(name)) for name, inner in value.items()}
        if get_origin(kind) is list and isinstance(value, list):
            return [_as_expected(inner, get_args(kind)[0]) for inner in value]
    return value


async def caller(request: Request[Any, Any, Any], scope: str | None) -> Caller:
    """Who calls; raises NotFound for another organisation's path: nobody learns which organisations exist."""
    by: Caller = await request.app.state.gate.admit(request, may(scope), bare_token=True)
    if request.path_params.get("o", str(by.identity.organisation)) != str(by.identity.organisation):
        raise NotFound
    return by


def route(method: str, path: str, handler: Any, function: Call) -> HTTPRouteHandler:
    handler.__name__ = f"{function.__name__}_{method.lower()}"
    handler.__doc__ = function.__doc__
    _paths.add(litestar_path(path))
    return litestar.route(litestar_path(path), http_method=method, status_code=200, include_in_schema=False)(handler)  # type: ignore[arg-type]


def litestar_path(path: str) -> str:
    return re.sub(r"{(\w+)}", r"{\1:str}", path)


def is_ours(path: str) -> bool:
    """Whether a path, known or not, is one of this wire: its errors look like this wire's errors."""
    return path.startswith(_ROOTS)


def preflights() -> list[HTTPRouteHandler]:
    """CORS preflight on every registered path: one known client runs in a browser page."""

    async def preflight() -> Response[None]:
        return Response(None, status_code=204)

    return [
        litestar.route(path, http_method="OPTIONS", status_code=204, include_in_schema=False)(preflight)
        for path in sorted(_paths)
    ]


def answer(message: Any) -> Response[bytes]:
    return Response(wire.success(message), status_code=200, media_type="application/json")


def answer_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any exception on this wire's paths, with the true HTTP status."""
    problem = as_problem(error)
    headers = {"retry-after": str(problem.retry_after)} if problem.retry_after is not None else {}
    return Response(
        wire.failure(problem),
        status_code=problem.status,
        media_type="application/json",
        headers={**headers, **wire.CORS},
    )


def with_cors(response: Response[Any]) -> Response[Any]:
    response.headers.update(wire.CORS)
    return response


def number(text: str) -> int:
    """An id in a path; what is no small positive integer is the id of nothing."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and is_id(int(text))):
        raise NotFound
    return int(text)
