"""The Access SDK: what an app includes so that its user's phone opens doors.

    access = Access(url, FileWallet(path), BumbleRadio("hci-socket:0"))
    await access.log_in(session)          # a session that the app's own backend asked for
    await access.enrol("Bob's Pixel")
    await access.tap()                    # the phone is held to a reader

`docs/access-sdk.md` is the guide. After enrolment doors, taps, clicks and codes work without a network. Every method
may raise an `AccessError`: a class, a stable code and a sentence for the user each.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import StrEnum
from types import TracebackType
from typing import Final, NamedTuple, Self

import httpx2
import msgspec

from latchwork.policy.decide import TAP_METRES
from latchwork.policy.model import Ask
from latchwork.policy.reasons import Reason
from latchwork.sdk.answers import CloudUnreachable, UnexpectedAnswer
from latchwork.sdk.app_session import AppSession, clock_offset
from latchwork.sdk.client import Client
from latchwork.sdk.exchange import Exchange
from latchwork.sdk.radio import Heard, LinkLost, Radio, RadioOff, exchange
from latchwork.sdk.refusals import (
    BluetoothOff,
    CloudRefused,
    ConnectionLost,
    NoReaderNear,
    NotEnrolled,
    NotLoggedIn,
    Offline,
    ReaderNotTrusted,
    SessionOver,
    TooFar,
    WalletUnreadable,
    WalletUnwritable,
    failed,
    problem,
    refused,
    unexpected,
)
from latchwork.sdk.wallet import Contents, MemoryWallet, Wallet, fingerprint, new_contents
from latchwork.wire import p256
from latchwork.wire.api.pages import MAX_LIMIT
from latchwork.wire.api.passages import Passage
from latchwork.wire.api.phones import Keyring, KeyringDoor, Phone, PhoneDraft, PhoneLocked, ReaderKey, proof_bytes
from latchwork.wire.api.problems import Problem
from latchwork.wire.pass_ import sign_phone_code
from latchwork.wire.tap import Answer, PhoneIdentity, PhoneSide, Request, TapFailed

CODE_SECONDS: Final = 30
"""How long a code is shown before the next one is made; a door takes it five seconds longer."""
SCAN_SECONDS: Final = 3.0
"""How long readers are listened for at most; a tap ends as soon as one is near enough."""
LEAVE_SECONDS: Final = 5.0
"""How long a log-out tries to tell the cloud."""

_NO_SESSION: Final = "A session is needed, as your own backend gets it from the cloud."
_log: Final = logging.getLogger(__name__)
_REFUSED: Final = (SessionOver, CloudUnreachable, UnexpectedAnswer, Problem, WalletUnwritable)
_DONE: Final = {
    Ask.OPEN: Reason.GRANTED.sentence,
    Ask.HOLD_OPEN: "The door stands open for everybody.",
    Ask.LOCK: "The door is locked for everybody.",
    Ask.NORMAL: "The door is back to normal.",
}


class Status(StrEnum):
    """How far this phone is."""

    LOGGED_OUT = "logged_out"
    NOT_ENROLLED = "not_enrolled"
    READY = "ready"
    SESSION_OVER = "session_over"
    """The cloud has ended the session; only the keys are kept, for its user's next log-in."""


class Code(NamedTuple):
    """The user's own code. Instants are epoch seconds of this phone's clock."""

    text: str
    """To be drawn as a QR."""
    made_at: float
    next_at: float
    """When to ask for the next one."""


class Opened(NamedTuple):
    """A door did what it was asked."""

    access_point: int
    name: str
    sentence: str


class Access:
    """One phone of one user. Event loop's thread only."""

    def __init__(
        self,
        url: str,
        wallet: Wallet,
        radio: Radio | None = None,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`url`: the cloud's public one, by which it knows itself. `transport` replaces the network, `now` the phone's
        clock. Raises WalletUnreadable."""
        self._url = url.rstrip("/")
        self._wallet = wallet
        self._radio = radio
        self._way = Exchange(self._url, transport)
        self._is_own_way = transport is None
        self._now = now
        self._listeners: list[Callable[[Status], None]] = []
        self._session: AppSession | None = None
        self._trial: AppSession | None = None
        self._is_over = False
        self._codes: dict[tuple[bytes, str, float], Code] = {}
        kept = wallet.load()
        if kept is not None and _is_session(kept, self._url):
            self._session = AppSession(self._way, wallet, kept, now, self._tell)
        elif kept is not None and kept.url == self._url:
            self._is_over = kept.is_over
        self._told = self.status

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the connections; the phone stays logged in."""
        if self._is_own_way:
            await self._way.aclose()

    # ------------------------------------------------------------------------------------------------ the session

    @property
    def status(self) -> Status:
        if self._session is None:
            return Status.SESSION_OVER if self._is_over else Status.LOGGED_OUT
        keyring = self._session.contents.keyring
        return Status.NOT_ENROLLED if keyring is None or keyring.phone is None else Status.READY

    def on_status(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Calls the listener at every change from now on; the answer ends that. Its errors are logged."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def log_in(self, session: str) -> None:
        """Begins with a session token, which is good for ten minutes and once: from now on only this phone can use it.

        When it is good, whoever was logged in before is logged out. The same token again is another try of the same
        log-in, and a refresh once it has succeeded. Raises SessionOver when it is used up or wrong; when it did not get
        through, everything is as it was.
        """
        if not session or not isinstance(session, str):
            raise CloudRefused(_NO_SESSION, code="invalid")
        if self._session is not None and self._session.contents.began_with == fingerprint(session):
            await self.refresh()
            return
        trial = self._trial_of(session)
        began = self._now()
        with _in_the_apps_words():
            keyring = await Client.with_tokens(self._way, trial).get_keyring()
        former = await self._begin(trial, self._learnt(trial.contents, keyring, began))
        if former is not None:
            await self._take_leave(former, keeps_phone=former.user_id == keyring.user_id)

    async def log_out(self) -> None:
        """Forgets this phone here, then removes it and ends its session, as far as the cloud answers in five seconds.

        The keys of somebody who is bound to this phone stay for their next log-in.
        """
        session = self._session
        if session is None:
            self._acknowledge()
            return
        with suppress(SessionOver, NotLoggedIn, WalletUnreadable):
            session.look()
        left = session.contents
        try:
            self._leave(session, None)
        finally:
            is_bound = await self._take_leave(left)
        keys = left.only_keys()
        if is_bound and keys is not None and self._wallet.load() is None:
            self._wallet.save(keys)

    # ------------------------------------------------------------------------------------------------ this phone

    async def enrol(self, name: str, replaces: int | None = None) -> Phone:
        """Makes this phone known to the doors that its user may open. `replaces`: the id of a lost one.

        Raises PhoneLimitReached when one must be named, PhoneLocked when an administrator must act.
        """
        keyring = self._held().keyring or await self.refresh()
        held = self._held()
        tap, code = p256.load_private(held.tap_key), p256.load_private(held.code_key)
        points = [p256.public_bytes(key.public_key()) for key in (tap, code)]
        said = proof_bytes(keyring.user_id, *points)
        draft = PhoneDraft(
            name,
            tap_key=p256.b64url(points[0]),
            code_key=p256.b64url(points[1]),
            tap_proof=p256.b64url(p256.sign(tap, said)),
            code_proof=p256.b64url(p256.sign(code, said)),
            replaces=replaces,
        )
        async with self._asking() as cloud:
            phone = await cloud.enrol_phone(draft)
        await self.refresh()
        return phone

    async def phones(self) -> list[Phone]:
        """The user's phones."""
        async with self._asking() as cloud:
            return await cloud.list_own_phones()

    async def remove(self, phone: int) -> None:
        """Removes one of the user's phones: a lost one; its session ends."""
        async with self._asking() as cloud:
            await cloud.remove_own_phone(phone)

    # ------------------------------------------------------------------------------------------------ doors

    async def refresh(self) -> Keyring:
        """Fetches what this phone needs to know to work without a network: do so whenever the app is opened."""
        session, began = self._live(), self._now()
        async with self._asking() as cloud:
            keyring = await cloud.get_keyring()
            await session.change(lambda held: self._learnt(held, keyring, began))
        return keyring

    def doors(self) -> list[KeyringDoor]:
        """The doors that the user may open and what this phone may do there, as the cloud told last."""
        keyring = self._held().keyring
        return [] if keyring is None else keyring.doors

    async def tap(self, access_point: int | None = None, seconds: float = SCAN_SECONDS) -> Opened:
        """Opens the door to whose reader the phone is held; with `access_point` only if it is that one."""
        keyring = self._ready()
        near = await self._nearest(seconds, keyring, TAP_METRES, access_point)
        return await self._ask(near, Request(rssi=near.rssi))

    async def click(self, access_point: int, seconds: float = SCAN_SECONDS) -> Opened:
        """Opens a door from a distance, within the range that the user has."""
        return await self._steer(access_point, Ask.OPEN, seconds)

    async def hold_open(self, access_point: int, seconds: float = SCAN_SECONDS) -> Opened:
        """Lets a door stand open for everybody, until `normal`; for those whose role it is."""
        return await self._steer(access_point, Ask.HOLD_OPEN, seconds)

    async def lock(self, access_point: int, seconds: float = SCAN_SECONDS) -> Opened:
        """Locks a door for everybody, until `normal`; for those whose role it is."""
        return await self._steer(access_point, Ask.LOCK, seconds)

    async def normal(self, access_point: int, seconds: float = SCAN_SECONDS) -> Opened:
        """Lets a door decide by attempt again; for those whose role it is."""
        return await self._steer(access_point, Ask.NORMAL, seconds)

    async def unlock(self, access_point: int) -> Opened:
        """Opens a door through the cloud, from anywhere; for those who may.

        Raises Offline when the cloud was not asked, ConnectionLost when its answer was lost: the door may have opened.
        """
        async with self._asking() as cloud:
            await self._live().bearer()
            try:
                done = await cloud.unlock_own_door(access_point)
            except CloudUnreachable as lost:
                raise ConnectionLost if lost.may_be_done else Offline from None
        if done.outcome == "unknown":
            raise ConnectionLost
        if done.outcome == "refused":
            raise refused(done.reason)
        return Opened(access_point, self._name(access_point), done.sentence)

    def code(self, fresh: bool = False) -> Code:
        """The user's own code, made here; the same until `next_at`, when to ask again.

        `fresh`: another one now, for the next door: a controller takes a code once.
        """
        keyring, held = self._ready(), self._held()
        assert keyring.phone is not None
        made_of = held.code_key, keyring.phone.code_kid, held.clock_offset
        code, now = self._codes.get(made_of), self._now()
        if fresh or code is None or not code.made_at <= now < code.next_at:
            code = _new_code(*made_of, now)
            self._codes = {made_of: code}
        return code

    async def history(self, most: int = 50) -> list[Passage]:
        """Where the user came, went and was refused, the latest first."""
        found: list[Passage] = []
        async with self._asking() as cloud:
            async for passage in cloud.page_own_passages(limit=min(most, MAX_LIMIT)):
                found.append(passage)
                if len(found) == most:
                    break
        return found

    # ------------------------------------------------------------------------------------------------ over Bluetooth

    async def _steer(self, access_point: int, ask: Ask, seconds: float) -> Opened:
        keyring = self._ready()
        door = next((door for door in keyring.doors if door.access_point_id == access_point), None)
        reach = float("inf") if door is None else max(door.click_range, TAP_METRES)
        near = await self._nearest(seconds, keyring, reach, access_point)
        return await self._ask(near, Request(ask, near.metres > TAP_METRES or ask is Ask.OPEN, rssi=near.rssi))

    async def _nearest(self, seconds: float, keyring: Keyring, reach: float, access_point: int | None = None) -> Heard:
        """Our nearest reader (of one door), as soon as one is within reach, in metres; raises NoReaderNear, TooFar."""
        if self._radio is None:
            raise BluetoothOff

        def is_wanted(heard: Heard) -> bool:
            ours = heard.advert.organisation == keyring.organisation_id
            return ours and access_point in (None, heard.advert.access_point)

        try:
            every = await self._radio.scan(seconds, lambda heard: is_wanted(heard) and heard.metres <= reach)
        except RadioOff:
            raise BluetoothOff from None
        nearest = min(filter(is_wanted, every), key=lambda heard: heard.metres, default=None)
        if nearest is None:
            raise NoReaderNear
        if nearest.metres > reach:
            raise TooFar
        return nearest

    async def _ask(self, reader: Heard, asked: Request) -> Opened:
        answer = await self._answer(reader, self._side(reader, asked))
        if not answer.opened:
            raise refused(answer.reason)
        door = reader.advert.access_point
        return Opened(door, self._name(door), _DONE[asked.ask])

    async def _answer(self, reader: Heard, side: PhoneSide) -> Answer:
        assert self._radio is not None
        try:
            link = await self._radio.connect(reader)
            try:
                return await exchange(link, side)
            finally:
                await link.close()
        except RadioOff:
            raise BluetoothOff from None
        except (LinkLost, TimeoutError):
            raise ConnectionLost from None
        except TapFailed as over:
            raise failed(over.failure) from None

    def _side(self, reader: Heard, request: Request) -> PhoneSide:
        held, keyring = self._held(), self._ready()
        ours = {p256.from_b64url(key.kid): key for key in keyring.reader_keys}
        return PhoneSide(
            PhoneIdentity(p256.load_private(held.tap_key), held.made_at),
            request,
            lambda site: int.from_bytes(site[:8], "big") == keyring.organisation_id,
            lambda kid: _public(ours.get(kid)),
            self._now() + held.clock_offset,
            reader.advert.reader,
        )

    # ------------------------------------------------------------------------------------------------ what is kept

    def _live(self) -> AppSession:
        if self._session is None:
            raise SessionOver if self._is_over else NotLoggedIn
        return self._session

    def _held(self) -> Contents:
        return self._live().contents

    def _ready(self) -> Keyring:
        keyring = self._held().keyring
        if keyring is None or keyring.phone is None:
            raise NotEnrolled
        return keyring

    def _name(self, access_point: int) -> str:
        return next((door.name for door in self.doors() if door.access_point_id == access_point), "")

    async def _begin(self, trial: AppSession, contents: Contents) -> Contents | None:
        """A session takes the place of the one that is answered, if any."""
        former: Contents | None = None
        async with self._wallet.alone():
            with suppress(WalletUnreadable):
                former = self._wallet.load()
            if trial.contents.of_session(former):  # two have begun with the same text
                return None
            assert contents.user_id is not None
            trial.move(self._wallet, contents.of_user(contents.user_id, former), self._tell)
        self._session, self._trial, self._codes, self._is_over = trial, None, {}, False
        self._tell()
        return former if former is not None and _is_session(former, self._url) else None

    def _learnt(self, held: Contents, keyring: Keyring, began: float) -> Contents:
        """With what the cloud has just told, which was asked at an instant of this phone's clock."""
        ahead = clock_offset(held.clock_offset, keyring.at, began, self._now())
        return msgspec.structs.replace(held, keyring=keyring, user_id=keyring.user_id, clock_offset=ahead)

    def _trial_of(self, text: str) -> AppSession:
        """Each try with a text is made with the same key: the answer to the last one may have been lost."""
        if self._trial is None or self._trial.contents.began_with != fingerprint(text):
            contents = new_contents(self._url, text, int(self._now()))
            self._trial = AppSession(self._way, MemoryWallet(contents), contents, self._now)
        return self._trial

    def _leave(self, session: AppSession, behind: Contents | None, is_over: bool = False) -> None:
        """Forgets a session here, but for what is left behind."""
        self._session, self._codes, self._is_over = None, {}, is_over
        self._tell()
        session.leave(behind)

    def _acknowledge(self) -> None:
        """Whoever logs out knows that their session is over."""
        self._is_over = False
        self._tell()
        try:
            kept = self._wallet.load()
        except WalletUnreadable:
            self._wallet.clear()
            return
        if kept is not None and kept.url == self._url and kept.is_over:
            self._wallet.save(msgspec.structs.replace(kept, is_over=False))

    async def _take_leave(self, left: Contents, keeps_phone: bool = False) -> bool:
        """Tells the cloud, as far as it answers in time, of a session that is forgotten here.

        Answers whether its user is bound to the phone, which the cloud then keeps.
        """
        session = AppSession(self._way, MemoryWallet(left), left, self._now)
        is_bound = False
        with suppress(TimeoutError, *_REFUSED):
            async with asyncio.timeout(LEAVE_SECONDS):
                if not keeps_phone:
                    try:
                        await _remove_phone(Client.with_tokens(self._way, session), left)
                    except PhoneLocked:
                        is_bound = True
                    except _REFUSED:
                        pass
                await session.end()
        return is_bound

    def _tell(self) -> None:
        status = self.status
        if status is not self._told:
            self._told = status
            for listener in list(self._listeners):
                try:
                    listener(status)
                except Exception:
                    _log.exception("What the app does when the phone is %s has failed", status)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Client]:
        """The cloud, in the user's name; what goes wrong is told in the app's words."""
        session = self._live()
        try:
            with _in_the_apps_words():
                yield Client.with_tokens(self._way, session)
        except (SessionOver, NotLoggedIn) as gone:
            if session is self._session:
                is_over = isinstance(gone, SessionOver)
                with suppress(WalletUnwritable):
                    self._leave(session, session.contents.only_keys(is_over), is_over)
            raise


@contextmanager
def _in_the_apps_words() -> Iterator[None]:
    try:
        yield
    except CloudUnreachable:
        raise Offline from None
    except UnexpectedAnswer as error:
        raise unexpected() from error
    except Problem as refusal:
        raise problem(refusal) from refusal


def _is_session(kept: Contents, url: str) -> bool:
    """Whether a wallet holds a session at this cloud."""
    return kept.url == url and bool(kept.refresh_token)


async def _remove_phone(cloud: Client, left: Contents) -> None:
    """Also one whose enrolment was never answered: the cloud knows it by its key."""
    phone = None if left.keyring is None else left.keyring.phone
    if phone is None:
        tap_kid = p256.b64url(p256.kid(p256.public_bytes(p256.load_private(left.tap_key).public_key())))
        phone = next((each for each in await cloud.list_own_phones() if each.tap_kid == tap_kid), None)
    if phone is not None:
        await cloud.remove_own_phone(phone.id)


def _new_code(key: bytes, kid: str, clock_offset: float, now: float) -> Code:
    issued_at = int(now + clock_offset)
    text = sign_phone_code(secrets.token_bytes(8), issued_at, p256.from_b64url(kid), p256.load_private(key))
    return Code(text, now, now + CODE_SECONDS)


def _public(key: ReaderKey | None) -> p256.PublicKey | None:
    try:
        return None if key is None else p256.load_public(p256.from_b64url(key.public_key))
    except ValueError:
        raise ReaderNotTrusted from None
