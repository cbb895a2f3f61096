"""Two people change the same thing: what each saw travels in their form, and the second of the two is told.

    now = await look.cloud.get_site(site_id)
    known = known_in(fields, now)
    try:
        await look.cloud.change_site(site_id, patch, version=known.version)
    except Outdated:
        now = await look.cloud.get_site(site_id)
        return show_form(now, kept(fields, shown(known), shown(now)), await overtaken(look, known, now, "site/1"))

The form holds `{{ parts.known(record) }}`, and `parts.theirs` says what the other changed. Saved again, the fields are
those of whoever typed last; left, everything is as the other made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec

from latchwork.web.differences import differences
from latchwork.web.forms import Theirs, Wrong
from latchwork.web.look import Look
from latchwork.web.places import places
from latchwork.wire.api.problems import Outdated


class Versioned(Protocol):
    """A record of the API that has a version."""

    @property
    def id(self) -> int: ...

    @property
    def version(self) -> int: ...


R = TypeVar("R", bound=Versioned)


def known_in(fields: Mapping[str, str], now: R) -> R:
    """The record as whoever filled in the form saw it; as it is now, when the form does not say."""
    try:
        known = msgspec.json.decode(fields.get("known", ""), type=type(now))
    except (msgspec.DecodeError, UnicodeEncodeError):
        return now
    return known if known.id == now.id else now


async def overtaken(look: Look, known: Versioned, now: Versioned, subject: str) -> Wrong:
    """`subject`: as events name it."""
    was, became = msgspec.to_builtins(known), msgspec.to_builtins(now)
    log = f"/settings/log?subject={quote(subject)}" if look.may("events:read") else ""
    changes = differences(was, became, await places(look.cloud), look.say)
    return Wrong(status=Outdated.status, theirs=Theirs(changes, look.request.url.path, log))
