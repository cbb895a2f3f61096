"""The cloud's end of the link: one session per controller, state down, facts up (docs/sync.md, `wire.link`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeVar

import asyncpg
import msgspec

from latchwork.cloud.controllers import desired, facts, readers, store
from latchwork.cloud.controllers.model import Held
from latchwork.cloud.controllers.rules import Course, course, is_cloned
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.work import Database, Scope, Work
from latchwork.wire import link, p256
from latchwork.wire.api.events import Actor
from latchwork.wire.api.problems import NotFound, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

HELLO_WITHIN = 10.0
LOOK_EVERY = 2.0
"""Seconds between two looks at all held controllers' revisions: a lost hint heals within this."""
STAY_EVERY = 20.0
ONLINE_FOR = 60
APPLIED_WITHIN = 300.0
COMMANDS_WITHIN = 5.0
"""Seconds after which a command is not sent any more."""
ONE_STATEMENT = 2_000
"""More records than this are read with a cursor."""

RawRecord = tuple[str, str, int, bytes | None]


def commands_topic(controller: int) -> str:
    """The hint's topic: this controller has something to do."""
    return f"commands:{controller}"


def command_topic(command: int) -> str:
    """The hint's topic: it is known what became of this command."""
    return f"command:{command}"


class Socket(Protocol):
    """A WebSocket that has been accepted."""

    async def send(self, frame: bytes) -> None: ...

    async def receive(self) -> bytes:
        """The next frame; raises Closed when there will be none."""
        ...

    async def close(self, code: int) -> None: ...


class Closed(Exception):
    """The link is over."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        """What to tell the other side; None: it has gone already."""


@dataclass(slots=True)
class Session:
    """One controller's link while it lasts."""

    held: Held
    number: int
    socket: Socket
    sent: int
    news: asyncio.Event
    commands: asyncio.Event
    told: link.Committed | None
    """The latest facts that the log is known to have."""
    task: asyncio.Task[None] | None = None
    confirmed: asyncio.Event | None = None
    """Set when the batch under way has been confirmed."""
    goal: tuple[int, bytes] = (0, b"")
    """Revision and mark of the batch under way."""
    is_over: bool = False
    """The cloud has ended it."""

    @property
    def scope(self) -> Scope:
        return Scope(self.held.organisation)

    @property
    def actor(self) -> Actor:
        return Actor("controller", str(self.held.controller), self.held.name)


class Links:
    """All links of this process."""

    def __init__(
        self,
        database: Database,
        hints: Hints,
        seal: Seal,
        describers: Sequence[facts.Describe],
        witnesses: Sequence[facts.Witness],
    ) -> None:
        self._database = database
        self._hints = hints
        self._seal = seal
        self._describers = describers
        self._witnesses = witnesses
        self._sessions: dict[int, Session] = {}
        self._large_sends = asyncio.Semaphore(2)  # each holds a database connection while it lasts
        self._cloud_id = b""

    async def serve(self, socket: Socket) -> None:
        """Serves one accepted WebSocket to its end."""
        try:
            challenge, hello = await self._greet(socket)
            await self._open(socket, challenge, hello)
        except Closed as closed:
            if closed.code is not None:
                await socket.close(closed.code)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable) as error:
            log.warning("a link ends: %s", type(error).__name__)
            await socket.close(1011)

    async def watch(self) -> None:
        """Heals lost hints and keeps sessions marked as online, for ever."""
        stay_at = 0.0
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._look()
                if time.monotonic() >= stay_at:
                    stay_at = time.monotonic() + STAY_EVERY
                    await self._stay_online()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable) as error:
                log.warning("links are not looked after for now: %s", type(error).__name__)

    # --------------------------------------------------------------------------------------------- opening

    async def _greet(self, socket: Socket) -> tuple[link.Challenge, link.Hello]:
        if not self._cloud_id:
            async with self._database.connection() as conn:
                self._cloud_id = await store.cloud_id(conn)
        challenge = link.Challenge(self._cloud_id, os.urandom(32), time.time())
        await socket.send(link.from_cloud.encode(challenge))
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                message = _read(await socket.receive())
        except TimeoutError:
            raise Closed(link.Close.NOT_AUTHENTIC) from None
        if not isinstance(message, link.Hello) or not _is_plausible(message):
            raise Closed(link.Close.BAD_MESSAGE)
        return challenge, message

    async def _open(self, socket: Socket, challenge: link.Challenge, hello: link.Hello) -> None:
        held = await self._authentic(challenge, hello)
        # subscribe before the first read: what changes from here on sets the flag
        with (
            self._hints.listening(desired.topic(held.controller)) as news,
            self._hints.listening(commands_topic(held.controller)) as commands,
        ):
            number, way, committed, told = await self._database.run(
                Scope(held.organisation),
                Actor("controller", str(held.controller), held.name),
                int(time.time()),
                lambda work: _begin(work, self._seal, hello, held.public_key),
            )
            session = Session(held, number, socket, hello.revision, news, commands, told, asyncio.current_task())
            await self._supersede(session)
            try:
                await self._welcome(session, way, committed)
                await self._run(session, way)
            except asyncio.CancelledError:
                if not session.is_over or session.task is None or session.task.uncancel() > 0:
                    raise
            finally:
                await self._close(session)

    async def _authentic(self, challenge: link.Challenge, hello: link.Hello) -> Held:
        async with self._database.connection() as conn:
            held = await store.find_held(conn, hello.organisation, hello.controller)
        if held is None or held.public_key is None:
            raise Closed(link.Close.NOT_AUTHENTIC)
        key = p256.load_public(held.public_key)
        if not p256.verify(key, hello.signature, link.signed_bytes(challenge, hello)):
            raise Closed(link.Close.NOT_AUTHENTIC)
        return held

    async def _supersede(self, session: Session) -> None:
        older = self._sessions.get(session.held.controller)
        self._sessions[session.held.controller] = session
        if older is not None:
            await self._end(older, link.Close.SUPERSEDED)

    async def _welcome(self, session: Session, way: Course, committed: int) -> None:
        frozen = way is Course.FROZEN
        welcome = link.Welcome(session.number, time.time(), committed, frozen)
        await session.socket.send(link.from_cloud.encode(welcome))

    # --------------------------------------------------------------------------------------------- running

    async def _run(self, session: Session, way: Course) -> None:
        """Until one of the loops ends; then the others end too."""
        state = self._await_thaw(session) if way is Course.FROZEN else self._send_state(session, way)
        loops = [self._receive(session), self._tick(session), self._send_commands(session), state]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, session: Session) -> NoReturn:
        taking: asyncio.Task[None] | None = None
        try:
            while True:
                match _read(await session.socket.receive()):
                    case link.Applied() as applied:
                        await self._confirm(session, applied)
                    case link.Facts() as message if _is_takable(message):
                        if taking is not None and not taking.done():
                            raise Closed(link.Close.BAD_MESSAGE)
                        if taking is not None:
                            taking.result()
                        taking = asyncio.create_task(self._take_facts(session, message))
                    case link.Outcome() as outcome:
                        await self._settle(session, outcome)
                    case link.Health() as health if _is_health(health):
                        await self._note_health(session, health)
                    case _:
                        raise Closed(link.Close.BAD_MESSAGE)
        finally:
            if taking is not None:
                taking.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await taking

    async def _tick(self, session: Session) -> NoReturn:
        while True:
            await asyncio.sleep(link.TICK_SECONDS)
            await session.socket.send(link.from_cloud.encode(link.Tick(time.time())))

    async def _send_commands(self, session: Session) -> NoReturn:
        """Beside the state. Committed as this session's before they are sent: no other link ever sends them again."""
        while True:
            session.commands.clear()
            async with self._database.connection() as conn:
                commands = await store.take_commands(conn, session.held.controller, session.number, COMMANDS_WITHIN)
            for command in commands:
                timed = msgspec.structs.replace(command, until=time.time() + command.seconds)
                await session.socket.send(link.from_cloud.encode(timed))
            await session.commands.wait()

    async def _settle(self, session: Session, outcome: link.Outcome) -> None:
        if not _is_outcome(outcome):
            raise Closed(link.Close.BAD_MESSAGE)
        async with self._database.connection() as conn:
            await store.settle_sent(conn, session.held.controller, session.number, outcome.id, outcome.reason)
        self._hints.give(command_topic(outcome.id))

    async def _note_health(self, session: Session, health: link.Health) -> None:
        now = time.time()
        async with self._database.connection() as conn:
            await store.note_health(conn, session.held.controller, session.number, health, now)

    async def _send_state(self, session: Session, way: Course) -> NoReturn:
        """One batch under way at a time; what changes meanwhile comes with the next one."""
        if way is Course.SNAPSHOT:
            await self._send_all(session, after=0, snapshot=True)
        while True:
            session.news.clear()
            async with self._database.connection() as conn:
                batch = await _or_removed(
                    store.changes_after(conn, session.held.controller, session.sent, ONE_STATEMENT)
                )
            if session.sent < batch.oldest_tombstone:
                raise Closed(1012)  # what it must forget was forgotten here: its next hello gets a snapshot
            if not batch.is_complete:
                await self._send_all(session, after=session.sent, snapshot=False)
            elif batch.revision > session.sent:
                await self._send_batch(session, (batch.revision, batch.mark), _one(batch.records), snapshot=False)
            else:
                await session.news.wait()

    async def _await_thaw(self, session: Session) -> NoReturn:
        """Sends no state; ends the link when an administrator has accepted a snapshot, so that a new hello gets it."""
        while True:
            await session.news.wait()
            session.news.clear()
            async with self._database.connection() as conn:
                held = await store.find_held(conn, session.held.organisation, session.held.controller)
            if held is None or not held.frozen:
                raise Closed(1012 if held else link.Close.REMOVED)

    async def _send_all(self, session: Session, after: int, snapshot: bool) -> None:
        """As many records as there are, with flat memory: a cursor of one instant."""
        controller = session.held.controller
        async with self._large_sends, self._database.connection() as conn:
            await conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                goal = await _or_removed(store.present_revision(conn, controller))
                chunks = store.records(conn, controller, after, ONE_STATEMENT, not snapshot)
                waiting = await self._send_chunks(session, goal, chunks, snapshot)
            finally:
                await conn.execute("ROLLBACK")
        await self._until_confirmed(session, goal, waiting)

    async def _send_batch(
        self, session: Session, goal: tuple[int, bytes], chunks: AsyncIterator[list[RawRecord]], snapshot: bool
    ) -> None:
        await self._until_confirmed(session, goal, await self._send_chunks(session, goal, chunks, snapshot))

    async def _send_chunks(
        self, session: Session, goal: tuple[int, bytes], chunks: AsyncIterator[list[RawRecord]], snapshot: bool
    ) -> asyncio.Event:
        session.goal, session.confirmed = goal, asyncio.Event()
        revision, mark = goal
        first, waiting = True, list[link.Record]()
        async for frame in _frames(chunks):
            if waiting:
                await _send_changes(session, revision, mark, waiting, snapshot, first, last=False)
                first = False
            waiting = frame
        await _send_changes(session, revision, mark, waiting, snapshot, first, last=True)
        return session.confirmed

    async def _until_confirmed(self, session: Session, goal: tuple[int, bytes], confirmed: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(APPLIED_WITHIN):  # not wait_for: in Python 3.11 that may swallow a cancellation
                await confirmed.wait()
        except TimeoutError:
            raise Closed(1011) from None
        session.sent = goal[0]

    async def _confirm(self, session: Session, applied: link.Applied) -> None:
        if session.confirmed is None or (applied.revision, applied.mark) != session.goal:
            raise Closed(link.Close.BAD_MESSAGE)
        async with self._database.connection() as conn:
            written = await store.confirm(conn, session.held.controller, session.number, applied.revision, applied.mark)
        if not written:
            raise Closed(link.Close.SUPERSEDED)
        session.confirmed.set()

    async def _take_facts(self, session: Session, message: link.Facts) -> None:
        try:
            told = await self._database.run(
                session.scope,
                session.actor,
                int(time.time()),
                lambda work: facts.take(
                    work,
                    session.held,
                    session.number,
                    message,
                    self._describers,
                    self._witnesses,
                    session.told,
                ),
            )
            if told is None:
                await self._end(session, link.Close.SUPERSEDED)
                return
            session.told = told
            await session.socket.send(link.from_cloud.encode(session.told))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable, Closed) as error:
            log.warning("facts were not taken: %s", type(error).__name__)
            await self._end(session, 1011)

    # --------------------------------------------------------------------------------------------- looking after

    async def _look(self) -> None:
        sessions = dict(self._sessions)  # whoever comes during the look was not looked at
        if not sessions:
            return
        async with self._database.connection() as conn:
            present = await store.present_state(conn, sessions.keys(), COMMANDS_WITHIN)
        for controller, session in sessions.items():
            revision, number, commands = present.get(controller, (0, None, False))
            if commands:
                session.commands.set()
            if number is None:
                await self._end(session, link.Close.REMOVED)
            elif number != session.number:
                await self._end(session, link.Close.SUPERSEDED)
            elif revision > session.sent:
                session.news.set()

    async def _stay_online(self) -> None:
        now = int(time.time())
        sessions = {controller: session.number for controller, session in self._sessions.items()}
        async with self._database.connection() as conn:
            await store.stay_online(conn, sessions, now, now + ONLINE_FOR)

    async def _end(self, session: Session, code: int) -> None:
        session.is_over = True
        with contextlib.suppress(Closed, OSError, RuntimeError):
            await session.socket.close(code)
        if session.task is not None and session.task is not asyncio.current_task():
            session.task.cancel()

    async def _close(self, session: Session) -> None:
        if self._sessions.get(session.held.controller) is session:
            del self._sessions[session.held.controller]
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, Unavailable):
            async with self._database.connection() as conn:
                await store.close_session(conn, session.held.controller, session.number, int(time.time()))


async def _begin(
    work: Work, seal: Seal, hello: link.Hello, key: bytes | None
) -> tuple[int, Course, int, link.Committed | None]:
    """Opens the session: (its number, what state it gets, the next fact wanted, the latest that the log has)."""
    held = await store.lock_held(work.conn, work.scope.organisation, hello.controller)
    if held is None or held.public_key != key:  # removed or replaced since its signature was checked
        raise Closed(link.Close.REMOVED)
    known_mark = await store.find_mark(work.conn, hello.controller, hello.revision)
    way = course(held, hello, known_mark)
    subject = f"controller/{hello.controller}"
    if way is Course.FROZEN and not held.frozen:
        events.record(work, "cloud_rolled_back", subject, data={"controllerRevision": hello.revision})
    if is_cloned(held, hello.instance, work.now):
        events.record(work, "controller_cloned", subject)
    known = known_mark is not None and known_mark == hello.mark
    number = await store.open_session(work.conn, hello, known, way, work.now, work.now + ONLINE_FOR)
    told = await facts.miss(work, held, number, hello)
    await readers.note_key(work, seal, hello.controller, hello.reader_key)
    return number, way, await store.committed(work.conn, hello.controller, hello.journal), told


def _read(frame: bytes) -> link.FromController:
    try:
        return link.from_controller.decode(frame)
    except msgspec.MsgspecError:
        raise Closed(link.Close.BAD_MESSAGE) from None


def _is_plausible(hello: link.Hello) -> bool:
    numbers = (hello.organisation, hello.controller, hello.revision, hello.first, hello.next)
    texts = (hello.version, hello.tzdata, *hello.kinds)
    return (
        all(0 <= number < 2**62 for number in numbers)
        and len(hello.journal) == 16
        and len(hello.former) <= link.MOST_FORMER
        and all(len(each.journal) == 16 and 0 <= each.first < 2**62 for each in hello.former)
        and len(hello.instance) == 16
        and len(hello.kinds) <= 100
        and _is_key(hello.reader_key)
        and all(len(text) <= 100 and text.isprintable() for text in texts)
    )


def _is_key(reader_key: bytes) -> bool:
    """Whether it is none, or a point that can be certified."""
    try:
        return not reader_key or bool(p256.load_public(reader_key))
    except ValueError:
        return False


def _is_outcome(outcome: link.Outcome) -> bool:
    return 0 <= outcome.id < 2**62 and len(outcome.reason) <= 100 and outcome.reason.isprintable()


def _is_health(health: link.Health) -> bool:
    return 0 <= health.backlog < 2**62 and 0 <= health.time < 2**40  # NaN is neither


def _is_takable(message: link.Facts) -> bool:
    return len(message.journal) == 16 and 0 < message.first < 2**62


async def _or_removed(found: Awaitable[T]) -> T:
    try:
        return await found
    except NotFound:
        raise Closed(link.Close.REMOVED) from None


async def _one(records: list[RawRecord]) -> AsyncIterator[list[RawRecord]]:
    yield records


async def _frames(chunks: AsyncIterator[list[RawRecord]]) -> AsyncIterator[list[link.Record]]:
    """The records in lists that stay below a frame's size."""
    frame, size = list[link.Record](), 0
    async for chunk in chunks:
        for record in map(_record, chunk):
            length = 32 + len(record.kind) + len(record.key) + len(record.body or b"")
            if frame and size + length > link.CHUNK_BYTES:
                yield frame
                frame, size = [], 0
            frame.append(record)
            size += length
    if frame:
        yield frame


def _record(raw: RawRecord) -> link.Record:
    return link.Record(*raw)


async def _send_changes(
    session: Session,
    revision: int,
    mark: bytes,
    records: list[link.Record],
    snapshot: bool,
    first: bool,
    last: bool,
) -> None:
    message = link.Changes(revision, mark, records, snapshot, first, last)
    await session.socket.send(link.from_cloud.encode(message))
