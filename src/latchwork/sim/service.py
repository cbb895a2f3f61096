"""The virtual doors' HTTP service (design §8).

It opens doors without a password. So it listens on loopback only, and answers only requests that name it by a loopback
name and its own port, and that post JSON: what a page of another website makes a browser send has neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple, Protocol, TypeVar

import msgspec
from litestar import Litestar, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler

from latchwork.edge.controller import Answer
from latchwork.edge.doors import LiveDoor
from latchwork.edge.runner import Edge
from latchwork.policy.model import Direction
from latchwork.sim.doors import VirtualWiring

MAX_BODY_BYTES: Final = 64 * 1024
LONGEST_ADVANCE: Final = 10 * 366 * 86400
"""Seconds."""

Body = TypeVar("Body", bound=msgspec.Struct)
Asked = Request[object, object, State]

_SENTENCES: Final[Mapping[int, str]] = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: f"A request's body is at most {MAX_BODY_BYTES} bytes long.",
    500: "Something went wrong at the virtual building; nothing was opened.",
}


class Shown(msgspec.Struct):
    """What somebody shows at a reader: a QR's text or a card's number, never both; `pin` is entered behind a card."""

    qr: str | None = None
    card: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    pin: str | None = None
    direction: Direction = Direction.ENTRY


class Leaf(msgspec.Struct):
    open: bool


class Network(msgspec.Struct):
    up: bool


class Shift(msgspec.Struct):
    """Seconds to move the virtual building's clock on; negative ones move it back. Requests add up."""

    advance: Annotated[float, msgspec.Meta(ge=-LONGEST_ADVANCE, le=LONGEST_ADVANCE)]


class Told(msgspec.Struct):
    """The reader's answer; `at` is the controller's view of time, seconds since the epoch."""

    granted: bool
    reason: str
    sentence: str
    at: float


class DoorSeen(msgspec.Struct, rename="camel"):
    """One door, as somebody standing before it sees it."""

    id: int
    name: str
    state: str
    strike: str
    """`on`: released; `off`: locked."""
    contact: str
    """`open` or `closed`."""
    directions: list[str]
    """The sides that have a reader."""
    mode: str
    """`access_control`, `unlocked` or `locked`, as it holds now."""
    last_decision: Told | None


class RadioSeen(msgspec.Struct):
    hci: str
    """The adapter with which a phone joins, as bumble names it."""
    rssi: int
    """With how many dBm everybody hears everybody."""


class Distance(msgspec.Struct):
    rssi: Annotated[int, msgspec.Meta(ge=-127, le=20)]


class ClockSeen(msgspec.Struct):
    at: float
    advance: float
    """The whole advance so far, seconds."""
    trusted: bool


class Refused(HTTPException):
    """A request that is answered with a sentence and changed nothing."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(status_code=status, detail=sentence)


class Radio(Protocol):
    """What there is to turn at the virtual radio."""

    rssi: int


class Air(NamedTuple):
    """The virtual radio, and how a phone joins it."""

    hci: str
    radio: Radio


class Building:
    """What the requests are about: one running controller and its virtual doors."""

    def __init__(self, edge: Edge, wiring: VirtualWiring, air: Air | None) -> None:
        self.edge = edge
        self.wiring = wiring
        self._air = air

    def air(self) -> Air:
        """The radio and its address; raises `Refused` where there is none."""
        if self._air is None:
            raise Refused(HTTPStatus.NOT_FOUND, "This building has no radio: pip install 'latchwork[bluetooth]'.")
        return self._air

    def door(self, text: str) -> int:
        """The id of one of the controller's doors; raises `Refused`."""
        known = re.fullmatch("[0-9]{1,18}", text) and int(text) in self.edge.controller.doors
        if not known:
            raise Refused(HTTPStatus.NOT_FOUND, "The virtual building has no such door.")
        return int(text)

    def seen(self, door: int) -> DoorSeen:
        live = self.edge.controller.doors[door]
        virtual = self.wiring(door)
        return DoorSeen(
            id=door,
            name=live.record.name,
            state=live.state,
            strike="on" if virtual.strike_is_on else "off",
            contact="open" if virtual.is_open else "closed",
            directions=_directions(live),
            mode=live.mode,
            last_decision=live.last and _told(Answer(*live.last)),
        )


@get("/doors")
async def doors(request: Asked) -> list[DoorSeen]:
    building = _building(request)
    return [building.seen(door) for door in sorted(building.edge.controller.doors)]


@post("/doors/{door:str}/present", status_code=HTTPStatus.OK)
async def present(door: str, request: Asked) -> Told:
    building = _building(request)
    known = building.door(door)
    shown = await _body(request, Shown)
    if (shown.qr is None) is (shown.card is None):
        raise Refused(HTTPStatus.BAD_REQUEST, "Present either a qr or a card, not both and not neither.")
    controller = building.edge.controller
    return _told(await controller.present(known, shown.direction, qr=shown.qr, card=shown.card, pin=shown.pin))


@post("/doors/{door:str}/contact", status_code=HTTPStatus.OK)
async def push(door: str, request: Asked) -> DoorSeen:
    building = _building(request)
    known = building.door(door)
    leaf = await _body(request, Leaf)
    building.wiring(known).push(leaf.open)
    return building.seen(known)


@post("/link", status_code=HTTPStatus.OK)
async def link(request: Asked) -> Network:
    network = await _body(request, Network)
    _building(request).edge.link.up = network.up
    return network


@post("/clock", status_code=HTTPStatus.OK)
async def clock(request: Asked) -> ClockSeen:
    shift = await _body(request, Shift)
    moved = _building(request).edge.clock
    advance = moved.advance(shift.advance)
    _building(request).edge.controller.follow_modes()
    reading = moved.read()
    return ClockSeen(reading.at, advance, reading.trusted)


@get("/radio")
async def radio(request: Asked) -> RadioSeen:
    hci, air = _building(request).air()
    return RadioSeen(hci, air.rssi)


@post("/radio", status_code=HTTPStatus.OK)
async def move(request: Asked) -> RadioSeen:
    hci, air = _building(request).air()
    air.rssi = (await _body(request, Distance)).rssi
    return RadioSeen(hci, air.rssi)


def service(edge: Edge, wiring: VirtualWiring, port: int, air: Air | None = None) -> Litestar:
    """The service over one running controller, for requests that name this port."""
    return Litestar(
        [doors, present, push, link, clock, radio, move],
        guards=[_only_to_us, _only_json],
        state=State({"building": Building(edge, wiring, air), "hosts": _our_names(port)}),
        exception_handlers={Exception: _problem},
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=None,
        logging_config=None,
    )


def _only_to_us(connection: ASGIConnection[BaseRouteHandler, object, object, State], _: BaseRouteHandler) -> None:
    """A request that calls us by another name was sent by somebody else's page (DNS rebinding)."""
    if connection.headers.getall("host", []) not in connection.app.state.hosts:
        raise Refused(
            HTTPStatus.MISDIRECTED_REQUEST, "The virtual doors answer to a loopback name and their port only."
        )


def _only_json(connection: ASGIConnection[BaseRouteHandler, object, object, State], _: BaseRouteHandler) -> None:
    media_type = connection.headers.get("content-type", "").split(";")[0].strip().lower()
    if connection.scope.get("method") == "POST" and media_type != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send a body of type application/json.")


def _our_names(port: int) -> list[list[str]]:
    names = ("127.0.0.1", "localhost", "[::1]")
    return [[f"{name}:{port}"] for name in names] + ([[name] for name in names] if port == 80 else [])


async def _body(request: Asked, wanted: type[Body]) -> Body:
    """The body as the wanted record; raises `Refused`."""
    try:
        return msgspec.json.decode(await request.body(), type=wanted)
    except msgspec.ValidationError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The body does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from None


def _problem(_: Asked, error: Exception) -> Response[dict[str, object]]:
    """RFC 9457 problem details; a sentence for people and never the inside of the program."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    sentence = error.detail if isinstance(error, Refused) else _SENTENCES.get(status, status.description)
    content: dict[str, object] = {"status": int(status), "title": status.phrase, "detail": sentence}
    return Response(content, status_code=status, media_type="application/problem+json")


def _building(request: Asked) -> Building:
    building: Building = request.app.state.building
    return building


def _directions(live: LiveDoor) -> list[str]:
    sides = ((Direction.ENTRY, live.record.entry_reader), (Direction.EXIT, live.record.exit_reader))
    return [side.value for side, reader in sides if reader is not None]


def _told(answer: Answer) -> Told:
    reason = answer.decision.reason
    return Told(answer.decision.granted, reason.value, reason.sentence, answer.at)
