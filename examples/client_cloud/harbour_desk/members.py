"""Harbour Desk's own log-in: Latchwork never learns a member's password, nor a phone our client secret."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict, deque
from hashlib import sha256
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from harbour_desk.model import LogIn, Member, Refused
from harbour_desk.store import Store

SESSION_SECONDS: Final = 30 * 86_400
MOST_MISSES: Final = 5
MISSES_COUNT_FOR: Final = 300
"""Seconds."""

_hasher: Final = PasswordHasher()
_NOBODYS: Final = _hasher.hash(secrets.token_hex())
"""Checked when there is no such member, so that an answer takes as long as any other."""


def hash_password(password: str) -> str:
    return _hasher.hash(password)


class Gate:
    """Lets members in, and slows down whoever guesses."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._misses: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)

    async def log_in(self, asked: LogIn, address: str, now: int) -> str:
        """The token of a new session; raises Refused. Who guesses keeps nobody at another network address out."""
        who = (asked.email.casefold(), address)
        misses = self._recent(who, now)
        if len(misses) >= MOST_MISSES:
            raise Refused(429, "Too many wrong passwords. Please wait five minutes.")
        misses.append(now)  # counts until the password has proved right, so that many at once are no way around
        found = self._store.find_member(asked.email)
        member, password_hash = found or (None, _NOBODYS)
        if not await asyncio.to_thread(_matches, password_hash, asked.password) or member is None:
            raise Refused(401, "This e-mail and password do not belong together.")
        self._misses.pop(who, None)
        token = secrets.token_urlsafe(32)
        self._store.add_session(_hash(token), member.id, now + SESSION_SECONDS)
        return token

    def member(self, token: str | None, now: int) -> Member:
        """Whose session it is; raises Refused."""
        found = None if token is None else self._store.find_session(_hash(token), now)
        if found is None:
            raise Refused(401, "Please log in.")
        return found

    def log_out(self, token: str | None, now: int) -> None:
        if token is not None:
            self._store.remove_sessions(_hash(token), now)

    def _recent(self, who: tuple[str, str], now: int) -> deque[int]:
        for known in [each for each, at in self._misses.items() if at[-1] <= now - MISSES_COUNT_FOR]:
            del self._misses[known]
        misses = self._misses[who]
        while misses and misses[0] <= now - MISSES_COUNT_FOR:
            misses.popleft()
        return misses


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except VerificationError:
        return False


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()
