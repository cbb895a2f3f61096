"""The controller's end of the link (`wire/link.py`): state comes down, facts go up, and the doors wait for neither."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as version_of
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import websockets.asyncio.client as client
from websockets.exceptions import ConnectionClosed, WebSocketException

from latchwork.edge import tls
from latchwork.edge.clock import Clock
from latchwork.edge.config import Config
from latchwork.edge.journal import Journal, JournalUnavailable, Page
from latchwork.edge.store import BatchRefused, Store
from latchwork.policy.reasons import Reason
from latchwork.wire import link as wire
from latchwork.wire import p256, state
from latchwork.wire.link import (
    Applied,
    Challenge,
    Changes,
    Close,
    Command,
    Committed,
    Facts,
    Health,
    Hello,
    Outcome,
    Tick,
    Welcome,
)

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 30.0
REFUSED_PAUSE: Final = 60.0
"""Seconds between attempts when the cloud does not want this controller, or another one has taken its place."""
GOOD_SESSION: Final = 5.0
"""A session that lasted so many seconds resets the pauses."""
SILENCE: Final = 3 * wire.TICK_SECONDS
"""Seconds without a word from the cloud after which the line is taken for dead."""
FACTS_AT_ONCE: Final = 500

_AHEAD: Final = 4
"""Chunks taken in before the one being applied is done."""

_COMMANDS_REMEMBERED: Final = 10_000

Message = TypeVar("Message", Challenge, Welcome)
Obey = Callable[[Command, float], Awaitable[str]]
"""Carries out a command that arrived at an instant of the monotonic clock; what became of it."""


class LinkBroken(Exception):
    """The cloud said something that does not make sense here; the session ends and the next one begins anew."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this controller is."""

    organisation: int
    controller: int
    key: p256.PrivateKey
    cloud_id: bytes
    reader_key: bytes = b""
    """The public half of what its readers prove themselves with; empty: it has none for phones."""


class Link:
    """Keeps one session with the cloud for as long as `run` runs. Event loop's thread only."""

    def __init__(self, config: Config, identity: Identity, store: Store, journal: Journal, clock: Clock) -> None:
        self._config = config
        self._identity = identity
        self._store = store
        self._journal = journal
        self._clock = clock
        self._instance = os.urandom(16)
        self._versions = version_of("latchwork"), version_of("tzdata")
        self._tls = tls.context(config.fingerprint) if config.url.startswith("https:") else None
        self._up = asyncio.Event()
        self._up.set()
        self._keeping: asyncio.Task[None] | None = None
        self.session: int | None = None
        """The session the cloud has opened; None: no link now."""
        self.on_welcome: Callable[[], Future[int] | None] = lambda: None
        """Called when the cloud has let this controller in; no state is taken before its future is done."""
        self.on_command: Obey = _know_no_door
        """Called with each command and when it arrived (`Clock.elapsed`)."""
        self.on_heard: Callable[[bool], None] = lambda ticked: None
        """Called when the cloud has taken facts (False), and with each tick, after the clock has heard it (True)."""

    @property
    def up(self) -> bool:
        """Whether the network is there; setting it to False cuts the line in the middle of whatever it carries."""
        return self._up.is_set()

    @up.setter
    def up(self, up: bool) -> None:
        if up:
            self._up.set()
            return
        self._up.clear()
        if self._keeping is not None:
            self._keeping.cancel()

    async def run(self) -> None:
        """Connects, and connects again, until cancelled."""
        while True:
            await self._up.wait()
            self._keeping = asyncio.create_task(self._keep())
            try:
                await asyncio.wait({self._keeping})
            finally:
                self._keeping.cancel()
                await asyncio.wait({self._keeping})

    async def _keep(self) -> None:
        pauses = Pauses()
        while True:
            began = time.monotonic()
            refused = await self._try_session()
            pause = pauses.next(refused, time.monotonic() - began)
            await asyncio.sleep(pause)

    async def _try_session(self) -> bool:
        """One session from connect to its end, whatever ends it; True when the cloud does not want this controller."""
        try:
            await self._connect()
        except ConnectionClosed as error:
            return _refused(error.rcvd.code if error.rcvd else None)
        except tls.WrongCloud as error:
            log.error("no link: %s", error)
            return True
        except (OSError, TimeoutError, WebSocketException, LinkBroken, BatchRefused, JournalUnavailable) as error:
            log.info("no link: %s: %s", type(error).__name__, error)
        except Exception as error:
            log.error("the link failed: %s", type(error).__name__)
        return False

    async def _connect(self) -> None:
        socket = await client.connect(
            link_url(self._config.url),
            compression=None,
            max_size=wire.MAX_FRAME_BYTES,
            ping_interval=None,
            proxy=None,
            ssl=self._tls,
        )
        try:
            if self._tls is not None and self._config.fingerprint:
                tls.check_pin(socket.transport.get_extra_info("ssl_object"), self._config.fingerprint)
            await self._talk(socket)
        finally:
            self.session = None
            socket.transport.abort()

    async def _talk(self, socket: client.ClientConnection) -> None:
        welcome = await self._introduce(socket)
        self._check_journal(welcome.committed)
        self.session = welcome.session
        log.info("linked, session %d%s", welcome.session, ", state frozen by the cloud" if welcome.frozen else "")
        await self._remember_welcome()
        session = Session(socket, self._store, self._journal, self._clock)
        session.on_command, session.on_heard = self.on_command, self.on_heard
        await session.run()

    async def _remember_welcome(self) -> None:
        remembered = self.on_welcome()
        if remembered is not None:
            with suppress(JournalUnavailable):
                await asyncio.wrap_future(remembered)

    async def _introduce(self, socket: client.ClientConnection) -> Welcome:
        challenge = await _receive(socket, Challenge)
        if challenge.cloud != self._identity.cloud_id:
            raise tls.WrongCloud("another cloud answered than the one this controller was enrolled at")
        asked = time.monotonic()
        await socket.send(wire.from_controller.encode(self._hello(challenge)))
        welcome = await _receive(socket, Welcome)
        self._clock.hear(welcome.time, time.monotonic() - asked)
        return welcome

    def _hello(self, challenge: Challenge) -> Hello:
        self._journal.offer_again()
        held = self._store.held
        unsigned = Hello(
            organisation=self._identity.organisation,
            controller=self._identity.controller,
            signature=b"",
            revision=held.revision,
            mark=held.mark,
            journal=self._journal.id,
            first=self._journal.first,
            next=self._journal.next,
            instance=self._instance,
            version=self._versions[0],
            tzdata=self._versions[1],
            kinds=state.KINDS,
            former=self._journal.former,
            reader_key=self._identity.reader_key,
        )
        signature = p256.sign(self._identity.key, wire.signed_bytes(challenge, unsigned))
        return msgspec.structs.replace(unsigned, signature=signature)

    def _check_journal(self, committed: int) -> None:
        """A cloud that has more of this journal than was ever written has met this program's future.

        That is a machine set back while it ran, memory and all: what happens from now on gets numbers of its own.
        """
        if committed > self._journal.next:
            log.error("the cloud knows more of this journal than was written here: another one begins")
            self._journal.renew()


class Session:
    """What happens between a welcome and the end of the line."""

    def __init__(self, socket: client.ClientConnection, store: Store, journal: Journal, clock: Clock) -> None:
        self._socket = socket
        self._store = store
        self._journal = journal
        self._clock = clock
        self._chunks: asyncio.Queue[Changes] = asyncio.Queue(_AHEAD)
        self._news = asyncio.Event()
        self._commands: dict[int, None] = {}
        """Their ids, the oldest first: what comes twice is done once."""
        self._obeying: set[asyncio.Task[None]] = set()
        self.on_command: Obey = _know_no_door
        self.on_heard: Callable[[bool], None] = lambda ticked: None
        self._telling: Page | None = None
        """Sent, and not answered yet."""
        self._backlog = 0
        """What the cloud was told of it: when it is gone, the cloud is told at once."""
        self._told = asyncio.Event()

    async def run(self) -> None:
        """Returns never; raises what ended the session."""
        await self._say_health()
        loop = asyncio.get_running_loop()

        def appended() -> None:
            loop.call_soon_threadsafe(self._news.set)

        self._journal.on_appended = appended
        tasks = [asyncio.create_task(each) for each in (self._listen(), self._apply(), self._tell())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._journal.on_appended = lambda: None
            tasks += self._obeying
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            async with asyncio.timeout(SILENCE):
                message = _decode(await self._socket.recv())
            match message:
                case Changes():
                    await self._chunks.put(message)
                case Committed():
                    self._let_go(message)
                case Tick():
                    self._clock.hear(message.time, 0)
                    self.on_heard(True)
                    await self._say_health()
                case Command():
                    self._begin(message)
                case _:
                    raise LinkBroken("the cloud introduced itself twice")

    def _begin(self, command: Command) -> None:
        """Carries out a command beside everything else, unless it came before."""
        if command.id in self._commands:
            return
        if len(self._commands) >= _COMMANDS_REMEMBERED:
            del self._commands[next(iter(self._commands))]
        self._commands[command.id] = None
        task = asyncio.create_task(self._obey(command, self._clock.elapsed()))
        self._obeying.add(task)
        task.add_done_callback(self._obeying.discard)

    async def _obey(self, command: Command, arrived: float) -> None:
        """The outcome of a command is for this session only; what it did goes into the journal."""
        reason = await self.on_command(command, arrived)
        with suppress(ConnectionClosed):
            await self._send(Outcome(command.id, reason))

    async def _apply(self) -> None:
        while True:
            held = await self._store.apply(await self._chunks.get())
            if held is not None:
                await self._send(Applied(held.revision, held.mark))

    async def _tell(self) -> None:
        """Sends facts as soon as they exist, one batch under way at a time."""
        while True:
            self._news.clear()
            page = self._journal.page(FACTS_AT_ONCE, wire.CHUNK_BYTES)
            if page is None:
                if self._backlog:
                    await self._say_health()
                await self._news.wait()
                continue
            self._told.clear()
            self._telling = page
            await self._send(Facts(page.journal, page.first, page.bodies))
            async with asyncio.timeout(SILENCE):
                await self._told.wait()

    def _let_go(self, committed: Committed) -> None:
        """Takes the answer to what was sent.

        The cloud may know more of an earlier journal, for this may be an older copy of the file, but not of this one.
        """
        page, self._telling = self._telling, None
        if page is None or committed.journal != page.journal or committed.next < page.next:
            raise LinkBroken("the cloud committed something else than what was sent")
        if page.journal == self._journal.id and committed.next > self._journal.next:
            raise LinkBroken("the cloud committed what was not sent")
        self._journal.committed(page, committed.revision)
        self.on_heard(False)
        self._told.set()

    async def _say_health(self) -> None:
        self._backlog = self._journal.backlog
        await self._send(Health(self._backlog, self._clock.read().base, self._clock.is_own))

    async def _send(self, message: wire.FromController) -> None:
        await self._socket.send(wire.from_controller.encode(message))


class Pauses:
    """How long to wait before the next attempt: doubling with jitter, short again after a good session."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE

    def next(self, refused: bool, lasted: float) -> float:
        """Seconds; `lasted`: how long the attempt took that has just ended."""
        if refused:
            return REFUSED_PAUSE * _jitter()
        if lasted >= GOOD_SESSION:
            self._pause = FIRST_PAUSE
        pause = self._pause * _jitter()
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        return pause


def link_url(url: str) -> str:
    """The link's address at the cloud with this address."""
    parts = urlsplit(url)
    return parts._replace(
        scheme="wss" if parts.scheme == "https" else "ws", path=parts.path.rstrip("/") + wire.PATH
    ).geturl()


def _refused(code: int | None) -> bool:
    """Says why the cloud hung up; True when coming back soon would not help."""
    reasons = {
        Close.SUPERSEDED: "another program with this controller's key has taken over",
        Close.REMOVED: "this controller was removed or replaced; enrol it again",
        Close.NOT_AUTHENTIC: "the cloud does not accept this controller's key; enrol it again",
    }
    if code in reasons:
        log.error("no link: %s; trying again every minute", reasons[code])
        return True
    log.info("link lost, code %s", code)
    return False


async def _receive(socket: client.ClientConnection, wanted: type[Message]) -> Message:
    async with asyncio.timeout(SILENCE):
        message = _decode(await socket.recv())
    if not isinstance(message, wanted):
        raise LinkBroken(f"{wanted.__name__} was due")
    return message


def _decode(frame: str | bytes) -> wire.FromCloud:
    try:
        return wire.from_cloud.decode(frame if isinstance(frame, bytes) else frame.encode())
    except msgspec.MsgspecError as error:
        raise LinkBroken("a frame is no message of ours") from error


async def _know_no_door(command: Command, arrived: float) -> str:
    return Reason.UNKNOWN_DOOR.value


def _jitter() -> float:
    return random.uniform(0.5, 1)  # noqa: S311 - spreads controllers, guards nothing
