"""What a phone keeps: three keys, its session, and what it needs to know to work without a network.

When the cloud has ended the session of somebody who is known, the keys of their phone stay, and nothing else: with the
same keys it is the same phone when they log in again, also for who is bound to theirs.

A file of mode 0600 whose content replaces the former in one step; several programs may use the same one. An app on a
phone keeps its keys in the keystore instead, and hands in a `Wallet` of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec.structs import replace

from latchwork.sdk.refusals import WalletUnreadable, WalletUnwritable
from latchwork.wire import p256
from latchwork.wire.api.phones import Keyring

BUSY_SECONDS: Final = 60.0
"""How long another program may keep a wallet to itself: a token fetched on a slow network takes some seconds."""
_LOOK_SECONDS: Final = 0.02


class Contents(msgspec.Struct, frozen=True):
    """Keys are private scalars, 32 bytes; one per purpose."""

    url: str
    refresh_token: str
    """Empty: there is no session, only the tap and the code key."""
    session_key: bytes
    """Proves to the cloud that a refresh comes from this phone (RFC 9449)."""
    tap_key: bytes
    code_key: bytes
    made_at: int
    """When the tap and the code key were made, epoch seconds."""
    clock_offset: float = 0.0
    """Seconds by which the cloud's clock is ahead of this phone's."""
    keyring: Keyring | None = None
    user_id: int | None = None
    """Whose the tap and the code key are; None: the cloud has not told yet."""
    began_with: str = ""
    """SHA-256 of the text that began the session, in hexadecimal."""
    is_over: bool = False
    """The cloud has ended the session, and nobody has logged in or out since."""

    def __repr__(self) -> str:
        return f"Contents({self.url!r})"

    def of_session(self, other: Contents | None) -> bool:
        """Whether both are of one session."""
        return other is not None and other.session_key == self.session_key

    def only_keys(self, is_over: bool = False) -> Contents | None:
        """What stays of a session that has ended; None: nothing."""
        if self.user_id is None:
            return None
        keys = self.tap_key, self.code_key, self.made_at
        return Contents(self.url, "", b"", *keys, user_id=self.user_id, is_over=is_over)

    def of_user(self, user_id: int, former: Contents | None) -> Contents:
        """With the keys of whoever was here before, if that was the same user."""
        is_same = former is not None and (former.url, former.user_id) == (self.url, user_id)
        keys = former if former is not None and is_same else self
        return replace(self, tap_key=keys.tap_key, code_key=keys.code_key, made_at=keys.made_at, user_id=user_id)


class Wallet(Protocol):
    """Where a phone keeps its contents. What cannot be kept raises WalletUnwritable, and leaves what was there."""

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Nobody else who is alone changes what is kept meanwhile, in whatever process."""
        ...

    def load(self) -> Contents | None:
        """None: nothing is kept. Raises WalletUnreadable."""
        ...

    def save(self, contents: Contents) -> None:
        """Durable when it returns: a refresh token is good once. Only who is alone saves or clears."""
        ...

    def clear(self) -> None: ...


class MemoryWallet:
    """Forgets everything with the program."""

    def __init__(self, contents: Contents | None = None) -> None:
        self._contents = contents
        self._turn = asyncio.Lock()

    def alone(self) -> AbstractAsyncContextManager[None]:
        return self._turn

    def load(self) -> Contents | None:
        return self._contents

    def save(self, contents: Contents) -> None:
        self._contents = contents

    def clear(self) -> None:
        self._contents = None


class FileWallet:
    """A file that only its owner can read. Who is alone with it holds a lock on another file, which stays beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.draft")
        """One name for all: what a program that died has left is replaced by the next, and goes with the file."""

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        with self._writing():
            lock = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._writing():
                await self._until_locked(lock)
            yield
        finally:
            os.close(lock)

    def load(self) -> Contents | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Contents)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise WalletUnreadable(f"{self._path} holds no phone that can be read; remove it, log in anew.") from error

    def save(self, contents: Contents) -> None:
        with self._writing():
            self._draft.unlink(missing_ok=True)
            try:
                with os.fdopen(os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(msgspec.json.encode(contents))
                    file.flush()
                    os.fsync(file.fileno())
                self._draft.replace(self._path)
                _sync(self._path.parent)
            finally:
                self._draft.unlink(missing_ok=True)

    def clear(self) -> None:
        with self._writing():
            for path in (self._path, self._draft):
                path.unlink(missing_ok=True)
            _sync(self._path.parent)

    async def _until_locked(self, lock: int) -> None:
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                while not _is_locked(lock):
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            why = f"{self._path} is in use by another program"
            raise WalletUnwritable(f"{why}; please end that one and try again.") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = f"{self._path} cannot be written ({error.strerror or type(error).__name__})"
            raise WalletUnwritable(f"{why}; please free some space or let this program write there.") from error


def _is_locked(lock: int) -> bool:
    """Whether the lock is ours now."""
    import fcntl  # of POSIX: an app elsewhere has a wallet of its own

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(directory: Path) -> None:
    """Makes what was renamed in it durable."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def new_contents(url: str, session: str, now: int) -> Contents:
    """A phone that has just been given a session's text."""
    return Contents(url, session, _new_key(), _new_key(), _new_key(), now, began_with=fingerprint(session))


def fingerprint(session: str) -> str:
    """By which the text that began a session is known again."""
    return sha256(session.encode()).hexdigest()


def _new_key() -> bytes:
    return p256.private_bytes(p256.new_key())
