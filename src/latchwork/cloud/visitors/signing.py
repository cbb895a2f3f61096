"""Signing passes with the organisation's key, which is unsealed once per process."""

from __future__ import annotations

import os

from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.visitors.model import House
from latchwork.cloud.visitors.rules import pass_times
from latchwork.wire import p256, pass_
from latchwork.wire.api.visitors import Meeting, Pass


class Signer:
    """Makes passes. A key that was retired is simply not asked for any more."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._keys: dict[tuple[int, bytes], p256.PrivateKey] = {}

    def issue(self, organisation: int, house: House, meeting: Meeting, now: int) -> Pass:
        """A pass of the meeting as it is now."""
        expires_at, not_before = pass_times(meeting, now)
        visit = pass_.Visit(
            visitor=meeting.visitor.id,
            meeting=meeting.id,
            version=meeting.version,
            doors=tuple(meeting.access_points),
            issued_at=now,
            not_before=not_before,
            expires_at=expires_at,
            pass_id=os.urandom(8),
        )
        text = pass_.sign_visit(visit, house.kid, self._key(organisation, house))
        usable = bool(meeting.access_points) and not_before <= now < expires_at
        return Pass(text, not_before, expires_at, usable)

    def _key(self, organisation: int, house: House) -> p256.PrivateKey:
        key = self._keys.get((organisation, house.kid))
        if key is None:
            scalar = self._seal.open(house.sealed_private_key, f"pass {organisation}")
            key = self._keys[organisation, house.kid] = p256.load_private(scalar)
        return key
