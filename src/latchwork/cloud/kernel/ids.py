"""Ids from outside: small positive integers. The database has no room for others, so nothing has them."""

from __future__ import annotations

MOST = 2**31 - 1


def is_id(number: int) -> bool:
    """Whether anything could have this id."""
    return 0 < number <= MOST
