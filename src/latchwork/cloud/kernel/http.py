"""HTTP without repetition: an endpoint's signature says who may call; everything else about a route is derived from it.

    @post("/v1/meetings", status=201)
    async def create(draft: MeetingDraft, by: Annotated[Caller, may("visitors:write")]) -> Meeting: ...

`by` is admitted before anything else happens (token, rate limit, scope, reach), `draft` is the JSON body (every field
error at once), the rest are path and query parameters. A public endpoint says `by: Annotated[Anybody, anybody()]`.
"""

from __future__ import annotations

import hmac
import inspect
import logging
import math
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

import asyncpg
import litestar
import msgspec
from litestar import Request, Response
from litestar.dto import AbstractDTO
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Operation
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import HTTPResponseStartEvent, Receive, Send
from litestar.types import Scope as ASGIScope

from latchwork.cloud.kernel import bodies
from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.work import Connection, Database, Powers, Reach, Retry, Scope, UseCase, Work
from latchwork.wire.api import problems
from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import FieldError, Invalid, Problem

log = logging.getLogger(__name__)

T = TypeVar("T")
Method = Literal["GET", "POST", "PATCH", "DELETE"]
Endpoint = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class May:
    """What a caller's token must allow; scope None: any valid token."""

    scope: str | None
    needs_token: bool = True
    within: bool = False
    """Also callers whose reach is a part of the organisation: all that the endpoint calls honours `Scope.reach`."""


def may(scope: str | None, *, within: bool = False) -> May:
    return May(scope, within=within)


def anybody() -> May:
    """No token is needed; calls are counted by address."""
    return May(None, needs_token=False)


@dataclass(frozen=True, slots=True)
class ActingUser:
    """The user for whom a client acts, as they are now."""

    id: int
    name: str
    roles: tuple[str, ...]
    sites: tuple[int, ...]
    powers: Powers


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token belongs to: a client, or a user for whom a client acts."""

    organisation: int
    client: int
    client_id: str
    name: str
    scopes: frozenset[str]
    issued_at: int
    expires_at: int
    rate_per_second: int
    rate_burst: int
    jti: str
    user: ActingUser | None = None
    session: int | None = None
    """The session's id, when somebody is logged in themselves."""
    look_again_at: float = math.inf
    """When the database is asked anew, although nothing was revoked."""
    app_session: int | None = None
    """The app session's id, when somebody's app calls."""

    def reach(self, scope: str | None) -> Reach | None:
        """Where the token allows what a scope string names; None: in the whole organisation. No scope: everything."""
        if self.user is None:
            return None
        if scope is not None:
            return self.user.powers.get(scope, Reach())
        powers = self.user.powers
        return None if powers and not any(reach is not None for reach in powers.values()) else Reach()


@dataclass(frozen=True, slots=True)
class Stored:
    """An idempotency row: a hash and an id; the answer is rendered anew."""

    request_hash: bytes
    result_id: str


def _id_of(result: Any) -> object:
    return result.id


class IdempotencyStore(Protocol):
    async def find(self, work: Work, client: int, key_hash: bytes) -> Stored | None: ...

    async def add(self, work: Work, client: int, key_hash: bytes, stored: Stored) -> None: ...


@dataclass(frozen=True, slots=True)
class Caller:
    """An admitted request: who calls, and the way to the database for them."""

    identity: Identity
    database: Database
    idempotency: IdempotencyStore
    now: int
    request: Request[Any, Any, Any]
    reach: Reach | None = None
    """Where the caller may do what the endpoint does."""

    @property
    def scope(self) -> Scope:
        return Scope(self.identity.organisation, self.reach)

    @property
    def own(self) -> Caller:
        """The same for what is the caller's own, wherever that is: roles do not limit it."""
        return replace(self, reach=None)

    def scope_of(self, name: str) -> Scope | None:
        """Where the caller may do something beside what the endpoint is for; None: nowhere."""
        if name not in self.identity.scopes:
            return None
        return Scope(self.identity.organisation, self.identity.reach(name))

    @property
    def person(self) -> int:
        """The user who calls, or for whom a client does; raises Forbidden when it is nobody."""
        if self.identity.user is None:
            raise problems.Forbidden("This is for people: log in, or act for a user.")
        return self.identity.user.id

    @property
    def actor(self) -> Actor:
        if user := self.identity.user:
            return Actor("user", str(user.id), user.name)
        return Actor("client", self.identity.client_id, self.identity.name)

    async def still(self) -> Caller:
        """The caller as they are by now, of a request that waited; raises Unauthorized or Forbidden."""
        gate: Gate = self.request.app.state.gate
        return await gate.recheck(self.request, self.request.route_handler.opt["needs"])

    async def change(self, use_case: UseCase[T]) -> T:
        """Runs a use case in one transaction."""
        powers = self.identity.user.powers if self.identity.user else None
        return await self.database.run(self.scope, self.actor, self.now, use_case, powers)

    async def read(self, query: Callable[[Connection, Scope], Awaitable[T]]) -> T:
        """Runs a query of single statements."""
        async with self.database.connection() as conn:
            return await query(conn, self.scope)

    async def create(
        self, use_case: UseCase[T], again: Callable[[Work, str], Awaitable[T]], id_of: Callable[[T], object] = _id_of
    ) -> T:
        """As `change`; with an Idempotency-Key a repeat renders what the first one made `again`, by its id."""
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return await self.change(use_case)
        if not 1 <= len(key) <= 255:
            raise Invalid("An Idempotency-Key has 1 to 255 characters.")
        # the key itself is not kept, so that nobody finds a card's number by trying them all
        request = self.request.url.path.encode() + b"\0" + await self.request.body()
        request_hash = hmac.digest(key.encode(), request, "sha256")
        return await self.change(
            lambda work: self._once(work, self._key_hash(key), request_hash, use_case, again, id_of)
        )

    def _key_hash(self, key: str) -> bytes:
        """A user's keys are their own; no header holds a NUL."""
        mine = f"user/{self.identity.user.id}\0{key}" if self.identity.user else key
        return sha256(mine.encode()).digest()

    async def _once(
        self,
        work: Work,
        key_hash: bytes,
        request_hash: bytes,
        use_case: UseCase[T],
        again: Callable[[Work, str], Awaitable[T]],
        id_of: Callable[[T], object],
    ) -> T:
        if stored := await self.idempotency.find(work, self.identity.client, key_hash):
            if stored.request_hash != request_hash:
                raise problems.IdempotencyKeyReused
            return await again(work, stored.result_id)
        try:
            result = await use_case(work)
        except problems.Conflict:
            if await self.idempotency.find(work, self.identity.client, key_hash):
                raise Retry from None  # what it conflicts with is the same request, which was quicker
            raise
        await self.idempotency.add(work, self.identity.client, key_hash, Stored(request_hash, str(id_of(result))))
        return result


@dataclass(frozen=True, slots=True)
class Anybody:
    """A request without a token."""

    database: Database
    now: int
    request: Request[Any, Any, Any]


class Gate(Protocol):
    """Admits requests; one per app, in `app.state.gate`."""

    async def admit(self, request: Request[Any, Any, Any], needs: May) -> Caller | Anybody: ...

    async def recheck(self, request: Request[Any, Any, Any], needs: May) -> Caller: ...


class Json(AbstractDTO[T]):
    """A request body: handed on as it came (it is decoded after its caller was admitted), documented as its record."""

    @classmethod
    def of(cls, record: type[Any]) -> type[Json[Any]]:
        return type(f"Json[{record.__name__}]", (cls,), {"model_type": record})

    def decode_bytes(self, value: bytes) -> bytes:
        return value

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Nothing to build: the record is its own transfer model."""

    @classmethod
    def create_openapi_schema(cls, field_definition: Any, handler_id: str, schema_creator: Any) -> Any:
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Any:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: Any) -> bool:
        return False


class Answer(Response[Any]):
    """A record as JSON: one encoding and two messages, without all that no answer of ours has, such as cookies."""

    def __init__(self, content: Any, *, status_code: int, **_: Any) -> None:
        self.body = b"" if content is None else msgspec.json.encode(content)
        self.start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": status_code,
            "headers": [] if content is None else [*_JSON, (b"content-length", b"%d" % len(self.body))],
        }

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        await send(self.start)
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


_JSON = ((b"content-type", b"application/json"),)


def get(path: str, **options: Any) -> Callable[[Endpoint], HTTPRouteHandler]:
    return _route("GET", path, 200, options)


def post(path: str, status: int = 200, **options: Any) -> Callable[[Endpoint], HTTPRouteHandler]:
    return _route("POST", path, status, options)


def patch(path: str, **options: Any) -> Callable[[Endpoint], HTTPRouteHandler]:
    return _route("PATCH", path, 200, options)


def delete(path: str, **options: Any) -> Callable[[Endpoint], HTTPRouteHandler]:
    return _route("DELETE", path, 204, options)


def _route(
    method: Method, path: str, status: int, options: Mapping[str, Any]
) -> Callable[[Endpoint], HTTPRouteHandler]:
    def register(endpoint: Endpoint) -> HTTPRouteHandler:
        hints = get_type_hints(endpoint, include_extras=True)
        needs = _needs(hints["by"])
        body = next((name for name, hint in hints.items() if name != "return" and _is_record(hint)), None)
        handler = _handler(endpoint, hints, needs, body, re.findall(r"{(\w+):", path))
        return litestar.route(
            path,
            http_method=method,
            status_code=status,
            operation_id=f"{endpoint.__module__.split('.')[-2]}_{endpoint.__name__}",
            tags=[endpoint.__module__.split(".")[-2]],
            summary=(inspect.getdoc(endpoint) or "").split("\n")[0],
            description=inspect.getdoc(endpoint),
            operation_class=_WithinReach if needs.within else Operation,
            security=[{"oauth2": [needs.scope] if needs.scope else []}] if needs.needs_token else None,
            response_class=Answer,
            dto=Json.of(hints[body]) if body else None,
            return_dto=None,
            opt={"needs": needs},
            **options,
        )(handler)

    return register


@dataclass
class _WithinReach(Operation):
    """An operation that says in the document that it is also for callers whose reach is limited."""

    def to_schema(self) -> dict[str, Any]:
        return {**super().to_schema(), "x-within-reach": True}


def _handler(
    endpoint: Endpoint, hints: Mapping[str, Any], needs: May, body: str | None, ids: Sequence[str]
) -> Endpoint:
    """The function that Litestar calls: the endpoint's own parameters, `request` for `by`, `data` for the body."""
    decoder = msgspec.json.Decoder(hints[body]) if body else None

    async def handler(request: Request[Any, Any, Any], **values: Any) -> Any:
        values["by"] = await request.app.state.gate.admit(request, needs)
        if needs.needs_token and not all(is_id(values[id]) for id in ids if isinstance(values[id], int)):
            raise problems.NotFound
        if body is not None and decoder is not None:
            values[body] = bodies.decode(_json(request, values.pop("data")), decoder)
        return await endpoint(**values)

    names = {
        ("data" if n == body else n): _marked(h, n, body, ids) for n, h in hints.items() if n not in ("by", "return")
    }
    if "request" in names:
        raise TypeError("an endpoint takes no request: what it needs of one belongs in its signature")
    defaults = {name: p.default for name, p in inspect.signature(endpoint).parameters.items()}
    keyword = inspect.Parameter.KEYWORD_ONLY
    handler.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("request", keyword, annotation=Request),
            *(
                inspect.Parameter(n, keyword, annotation=h, default=defaults.get(n, inspect.Parameter.empty))
                for n, h in names.items()
            ),
        ],
        return_annotation=hints["return"],
    )
    handler.__annotations__ = {"request": Request, **names, "return": hints["return"]}
    handler.__doc__, handler.__name__, handler.__module__ = endpoint.__doc__, endpoint.__name__, endpoint.__module__
    return handler


def _marked(hint: Any, name: str, body: str | None, ids: Sequence[str]) -> Any:
    """The annotation with which Litestar knows where a parameter comes from."""
    if get_origin(hint) is Annotated:
        return hint
    source: Any = JSONBody if name == body else FromPath if name in ids else FromQuery
    return source[hint]


def _json(request: Request[Any, Any, Any], body: object) -> bytes:
    """The body's bytes; raises UnsupportedMediaType when it says to be something else, Malformed when there is none."""
    if "json" not in request.headers.get("content-type", "application/json"):
        raise problems.UnsupportedMediaType
    if not isinstance(body, bytes):
        raise problems.Malformed("A JSON body is needed.")
    return body


def _needs(by: Any) -> May:
    if get_origin(by) is not Annotated or not isinstance(get_args(by)[1], May):
        raise TypeError("`by` must be Annotated[Caller, may(…)] or Annotated[Anybody, anybody()]")
    needs: May = get_args(by)[1]
    return needs


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def answer_problem(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    """The problem as an RFC 9457 answer."""
    headers = {"retry-after": str(problem.retry_after)} if problem.retry_after is not None else {}
    if problem.status == 401:
        headers["www-authenticate"] = 'Bearer realm="latchwork"'
    return Response(
        msgspec.json.encode(problem.details()),
        status_code=problem.status,
        media_type=problems.MEDIA_TYPE,
        headers=headers,
    )


def as_problem(error: Exception) -> Problem:
    """Any exception as a named problem; what nobody foresaw is logged and says nothing to the caller."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationException):
        errors = _parameter_errors(error)
        no_body = any(e.field == "data" for e in errors)
        return problems.Malformed("A JSON body is needed.") if no_body else Invalid(errors=errors)
    if isinstance(error, HTTPException):
        return _by_status.get(error.status_code, problems.Malformed)()
    if isinstance(error, _DATABASE_AWAY):
        log.warning("the database cannot be used: %s", type(error).__name__)
        return problems.Unavailable()
    place = "".join(traceback.format_tb(error.__traceback__))  # without the error's text: it may quote what is stored
    log.error("unforeseen %s at\n%s", type(error).__name__, place)
    return problems.Internal()


_DATABASE_AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
)
"""It restarts, it is full, or the network is down: the transaction was rolled back."""

_by_status: dict[int, type[Problem]] = {
    401: problems.Unauthorized,
    403: problems.Forbidden,
    404: problems.NotFound,
    405: problems.MethodNotAllowed,
    413: problems.TooLarge,
    415: problems.UnsupportedMediaType,
}


def _parameter_errors(error: ValidationException) -> list[FieldError]:
    extra = error.extra if isinstance(error.extra, list) else []
    return [FieldError(str(e.get("key", "")), str(e.get("message", ""))) for e in extra if isinstance(e, dict)]
