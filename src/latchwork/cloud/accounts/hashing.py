"""Secrets and passwords as argon2id hashes (RFC 9106), made and verified off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TypeVar

import argon2

from latchwork.cloud.kernel.texts import is_text
from latchwork.wire.api.problems import TooManyRequests

T = TypeVar("T")

_hasher = argon2.PasswordHasher()
_hashing = asyncio.Semaphore(2)  # each takes 64 MiB for a twentieth of a second
_NOBODY = _hasher.hash(secrets.token_hex(16))
_MOST_WAITING = 32
_LONGEST = 500
_waiting = 0


async def hashed(secret: str) -> str:
    """Raises TooManyRequests when too many wait already, as `is_right` does."""
    return await _costly(lambda: _hasher.hash(secret))


async def is_right(secret_hash: str | None, secret: str) -> bool:
    """Whether a secret has this hash; None or empty: nobody's, which takes as long to find out."""
    if len(secret) > _LONGEST or not is_text(secret):
        return False
    return await _costly(lambda: _verified(secret_hash or _NOBODY, secret)) and bool(secret_hash)


async def _costly(work: Callable[[], T]) -> T:
    """Off the event loop, a few at a time."""
    global _waiting
    if _waiting >= _MOST_WAITING:
        raise TooManyRequests(retry_after=2)
    _waiting += 1
    try:
        async with _hashing:
            return await asyncio.to_thread(work)
    finally:
        _waiting -= 1


def _verified(secret_hash: str, secret: str) -> bool:
    try:
        return _hasher.verify(secret_hash, secret)
    except argon2.exceptions.VerificationError:
        return False
