"""The Access SDK: what an app includes so that its user's phone opens doors.

    access = Access(url, FileWallet(path), BumbleRadio("hci-socket:0"))
    await access.log_in(session)          # a session that the app's own backend asked for
    await access.enrol("Bob's Pixel")
    await access.tap()                    # the phone is held to a reader

`docs/access-sdk.md` is the guide. After enrolment everything but `refresh`, `unlock` and `history` works without a
network. Every method may raise an `AccessError`: a class, a stable code and a sentence for the user each.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
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
    ConnectionLost,
    DoorOffline,
    NoReaderNear,
    NotEnrolled,
    NotLoggedIn,
    Offline,
    ReaderNotTrusted,
    SessionOver,
    TooFar,
    WalletUnwritable,
    failed,
    refused,
)
from latchwork.sdk.wallet import Contents, Wallet, new_contents
from latchwork.wire import p256
from latchwork.wire.api import passages
from latchwork.wire.api.passages import Passage
from latchwork.wire.api.phones import Keyring, KeyringDoor, Phone, PhoneDraft, ReaderKey, proof_bytes
from latchwork.wire.api.problems import Problem
from latchwork.wire.pass_ import sign_phone_code
from latchwork.wire.tap import Answer, PhoneIdentity, PhoneSide, Request, TapFailed

CODE_SECONDS: Final = 30
"""How long a code is shown before the next one is made; a door takes it five seconds longer."""
SCAN_SECONDS: Final = 3.0
"""How long readers are listened for at most; a tap ends as soon as one is near enough."""

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
    """The cloud has ended the session; nothing of it is kept."""


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
        self._transport = transport
        self._now = now
        self._listeners: list[Callable[[Status], None]] = []
        self._contents = wallet.load()
        self._cloud: Client | None = None
        self._session: AppSession | None = None
        self._is_over = False
        self._codes: dict[tuple[bytes, str, float], Code] = {}
        self._told = self.status
        if self._contents is not None:
            self._connect(self._contents)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the connections; the phone stays logged in."""
        if self._cloud is not None and self._transport is None:
            await self._cloud.aclose()

    # ------------------------------------------------------------------------------------------------ the session

    @property
    def status(self) -> Status:
        if self._contents is None:
            return Status.SESSION_OVER if self._is_over else Status.LOGGED_OUT
        keyring = self._contents.keyring
        return Status.NOT_ENROLLED if keyring is None or keyring.phone is None else Status.READY

    def on_status(self, listener: Callable[[Status], None]) -> Callable[[], None]:
        """Calls the listener at every change from now on; the answer ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    async def log_in(self, session: str) -> None:
        """Begins with a session token, which is good for ten minutes and once: from now on only this phone can use it.

        Whoever was logged in before is logged out; the same token again is another try of the same log-in, with the
        same key. Raises SessionOver when the token is used up or wrong.
        """
        held = self._contents
        if held is not None and held.refresh_token == session:
            begun = msgspec.structs.replace(held, url=self._url)
        else:
            if held is not None:
                await self.log_out()
            begun = new_contents(self._url, session, int(self._now()))
        self._is_over = False
        async with self._wallet.alone():
            self._keep(begun)
        self._connect(begun)
        await self.refresh()

    async def log_out(self) -> None:
        """Removes this phone and ends its session; whatever the cloud says to that, it is forgotten here."""
        cloud, phone, session = self._cloud, self._phone(), self._session
        if cloud is not None and session is not None:
            if phone is not None:
                with suppress(*_REFUSED):
                    await cloud.remove_own_phone(phone.id)
            with suppress(*_REFUSED):
                await session.end()
            await self.aclose()
        await self._forget()

    # ------------------------------------------------------------------------------------------------ this phone

    async def enrol(self, name: str, replaces: int | None = None) -> Phone:
        """Makes this phone known to the doors that its user may open. `replaces`: the id of a lost one.

        Raises `wire.api.phones.PhoneLimitReached` when one must be named, `PhoneLocked` when an administrator must act.
        """
        held = self._held()
        keyring = held.keyring or await self.refresh()
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
        began = self._now()
        async with self._asking() as cloud:
            keyring = await cloud.get_keyring()
            async with self._alone() as kept:
                ahead = clock_offset(kept.clock_offset, keyring.at, began, self._now())
                self._keep(msgspec.structs.replace(kept, keyring=keyring, clock_offset=ahead))
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
        """Opens a door through the cloud, from anywhere; for those who may."""
        async with self._asking() as cloud:
            try:
                done = await cloud.unlock_own_door(access_point)
            except passages.DoorOffline:
                raise DoorOffline from None
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
        async with self._asking() as cloud:
            return list((await cloud.page_own_passages(limit=most)).items)

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

    def _held(self) -> Contents:
        if self._contents is None:
            raise SessionOver if self._is_over else NotLoggedIn
        return self._contents

    def _ready(self) -> Keyring:
        keyring = self._held().keyring
        if keyring is None or keyring.phone is None:
            raise NotEnrolled
        return keyring

    def _phone(self) -> Phone | None:
        keyring = self._contents.keyring if self._contents else None
        return keyring.phone if keyring else None

    def _name(self, access_point: int) -> str:
        return next((door.name for door in self.doors() if door.access_point_id == access_point), "")

    def _connect(self, contents: Contents) -> None:
        key, token = p256.load_private(contents.session_key), contents.refresh_token

        def session(way: Exchange) -> AppSession:
            self._session = AppSession(
                way, self._url, key, token, self._alone_with_token, self._keep_token, self._now, contents.clock_offset
            )
            return self._session

        self._cloud = Client.with_tokens(self._url, session, transport=self._transport)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Contents]:
        """What is kept, as other programs with the same wallet have left it; they change nothing meanwhile.

        Raises SessionOver when that is of another session, or nothing.
        """
        async with self._wallet.alone():
            kept = self._wallet.load()
            if kept is None or not _is_same(kept, self._held()):
                raise SessionOver
            self._contents = kept
            self._tell()
            yield kept

    @asynccontextmanager
    async def _alone_with_token(self) -> AsyncIterator[str]:
        async with self._alone() as kept:
            yield kept.refresh_token

    def _keep_token(self, refresh_token: str, clock_offset: float) -> None:
        kept = msgspec.structs.replace(self._held(), refresh_token=refresh_token, clock_offset=clock_offset)
        self._keep(kept)

    def _keep(self, contents: Contents) -> None:
        self._wallet.save(contents)
        self._contents = contents
        self._tell()

    async def _forget(self, is_over: bool = False) -> None:
        """Here, and in the wallet, unless that holds another session by now."""
        held = self._contents
        self._contents = self._cloud = self._session = None
        self._codes = {}
        self._is_over = is_over
        self._tell()
        async with self._wallet.alone():
            if _is_same(self._wallet.load(), held):
                self._wallet.clear()

    def _tell(self) -> None:
        status = self.status
        if status is not self._told:
            self._told = status
            for listener in list(self._listeners):
                listener(status)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Client]:
        """The cloud, in the user's name; what goes wrong is told in the app's words."""
        self._held()
        assert self._cloud is not None
        try:
            yield self._cloud
        except SessionOver:
            with suppress(WalletUnwritable):
                await self._forget(is_over=True)
            raise
        except CloudUnreachable:
            raise Offline from None


def _new_code(key: bytes, kid: str, clock_offset: float, now: float) -> Code:
    issued_at = int(now + clock_offset)
    text = sign_phone_code(secrets.token_bytes(8), issued_at, p256.from_b64url(kid), p256.load_private(key))
    return Code(text, now, now + CODE_SECONDS)


def _is_same(one: Contents | None, other: Contents | None) -> bool:
    """Whether both are of one session."""
    return one is not None and other is not None and one.session_key == other.session_key


def _public(key: ReaderKey | None) -> p256.PublicKey | None:
    try:
        return None if key is None else p256.load_public(p256.from_b64url(key.public_key))
    except ValueError:
        raise ReaderNotTrusted from None
