"""What a phone keeps: three keys, its session, and what it needs to know to work without a network.

A file of mode 0600 whose content replaces the former in one step. An app on a phone keeps its keys in the keystore
instead, and hands in a `Wallet` of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import msgspec

from latchwork.wire import p256
from latchwork.wire.api.phones import Keyring


class Contents(msgspec.Struct, frozen=True):
    """Keys are private scalars, 32 bytes; one per purpose."""

    url: str
    refresh_token: str
    session_key: bytes
    """Proves to the cloud that a refresh comes from this phone (RFC 9449)."""
    tap_key: bytes
    code_key: bytes
    made_at: int
    """When the keys were made, epoch seconds."""
    clock_offset: float = 0.0
    """Seconds by which the cloud's clock is ahead of this phone's."""
    keyring: Keyring | None = None


class WalletUnreadable(Exception):
    """What is kept cannot be read: it is of another version, or damaged."""


class Wallet(Protocol):
    """Where a phone keeps its contents."""

    def load(self) -> Contents | None:
        """None: nothing is kept. Raises WalletUnreadable."""
        ...

    def save(self, contents: Contents) -> None:
        """Durable when it returns: a refresh token is good once."""
        ...

    def clear(self) -> None: ...


class MemoryWallet:
    """Forgets everything with the program."""

    def __init__(self) -> None:
        self._contents: Contents | None = None

    def load(self) -> Contents | None:
        return self._contents

    def save(self, contents: Contents) -> None:
        self._contents = contents

    def clear(self) -> None:
        self._contents = None


class FileWallet:
    """A file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Contents | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Contents)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            raise WalletUnreadable(f"{self._path} holds no phone that can be read.") from error

    def save(self, contents: Contents) -> None:
        draft = self._path.with_name(f".{self._path.name}.{os.urandom(6).hex()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(contents))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            _sync(self._path.parent)
        finally:
            draft.unlink(missing_ok=True)

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def _sync(directory: Path) -> None:
    """Makes what was renamed in it durable."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def new_contents(url: str, refresh_token: str, now: int) -> Contents:
    """A phone that has just been given a session."""
    keys = (p256.private_bytes(p256.new_key()) for _ in range(3))
    session, tap, code = keys
    return Contents(url, refresh_token, session, tap, code, now)
