"""The audit log: who changed what, with before and after."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final, get_args
from urllib.parse import urlencode

from litestar import Response

from latchwork.web.catalogue import Say
from latchwork.web.differences import Difference, differences
from latchwork.web.lines import Moment, moment
from latchwork.web.look import Look, page
from latchwork.web.places import Places, places
from latchwork.wire.api.events import DEEDS, ActorKind, Event
from latchwork.wire.api.problems import Problem

ROWS: Final = 50
ACTORS: Final = tuple(kind for kind in get_args(ActorKind) if kind != "controller")
_KNOWN: Final = frozenset(fact for facts in DEEDS.values() for fact in facts)
FEW: Final = 3
"""Fields of something new or gone that are shown without being asked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Who did what."""

    number: int
    who: str
    kind: str
    what: str
    about: str
    subject: str
    when: Moment
    differences: list[Difference]

    @property
    def is_long(self) -> bool:
        """Whether the fields stand behind a fold: what has changed never does."""
        return len(self.differences) > FEW and not any(each.before and each.after for each in self.differences)


@page("/settings/log", needs="events:read")
async def show(look: Look) -> Response[str]:
    where = await places(look.cloud)
    fields = _wanted(look.query)
    zone = where.zone(None)
    found = await look.cloud.page_events(
        order="newest",
        limit=ROWS,
        before=_number(look.query.get("before")),
        deed=fields.get("deed", "any"),  # type: ignore[arg-type]  # one of DEEDS
        actor=fields.get("actor"),  # type: ignore[arg-type]  # one of ACTORS
        subject=fields.get("subject"),
        since=_midnight(fields.get("from"), zone, 0),
        until=_midnight(fields.get("until"), zone, 1),
    )
    names = await _names(look, found.events)
    older = "/settings/log?" + urlencode({**fields, "before": found.last}) if found.last else ""
    return look.show(
        "settings/log.html",
        entries=[entry_of(event, where, names, look.say) for event in found.events],
        fields=fields,
        older=older,
        newest="/settings/log?" + urlencode(fields) if "before" in look.query else "",
        deeds=list(DEEDS),
        actors=ACTORS,
    )


async def _names(look: Look, events: Sequence[Event]) -> dict[str, str]:
    """What users and the organisation are called now, by subject, as far as the reader may know."""
    wanted = {event.subject for event in events} | {f"user/{e.actor.id}" for e in events if e.actor.kind == "user"}
    ids = [id for kind, _, id in (each.partition("/") for each in wanted) if kind == "user" and id.isdecimal()]
    found = await asyncio.gather(*(_user_name(look, int(id)) for id in ids)) if look.may("users:read") else []
    names = {f"user/{id}": name for id, name in zip(ids, found, strict=False) if name}
    return {**names, f"organisation/{look.who.organisation_id}": look.who.organisation_name}


async def _user_name(look: Look, id: int) -> str:
    try:
        return (await look.cloud.get_user(id)).name
    except Problem:
        return ""


def _wanted(query: Mapping[str, str]) -> dict[str, str]:
    """The filters that are set, and make sense."""
    sound = {
        "deed": query.get("deed", "") in DEEDS,
        "actor": query.get("actor", "") in ACTORS,
        "subject": re.fullmatch(r"[a-z_]{1,40}/[\w-]{1,50}", query.get("subject", "")) is not None,
        "from": _day(query.get("from")) is not None,
        "until": _day(query.get("until")) is not None,
    }
    return {name: query[name] for name, is_sound in sound.items() if is_sound}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and 0 < len(text) < 19 and int(text) else None


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if 1971 <= day.year <= 9000 else None


def _midnight(text: str | None, zone: tzinfo, later: int) -> int | None:
    """The instant at which a day begins, or the day after it."""
    day = _day(text)
    return None if day is None else int(datetime.combine(day + timedelta(days=later), time(), zone).timestamp())


# ------------------------------------------------------------------------------------------------- what a row says


def entry_of(event: Event, where: Places, names: Mapping[str, str], say: Say) -> Entry:
    """`names`: what users and the organisation are called, by subject."""
    what = say(f"audit.type_{event.type}") if event.type in _KNOWN else event.type.replace("_", " ")
    return Entry(
        number=event.number,
        who=event.actor.name or names.get(f"user/{event.actor.id}") or say(f"audit.actor_{event.actor.kind}"),
        kind=say(f"audit.actor_{event.actor.kind}") if event.actor.kind in (*ACTORS, "controller") else "",
        what=what,
        about=_about(event, where, names, say),
        subject=event.subject,
        when=moment(event.recorded_at, where, None),
        differences=differences(event.before, event.after, where, say, event.data),
    )


def _about(event: Event, where: Places, known_names: Mapping[str, str], say: Say) -> str:
    """What it is called now, in the event, or by its id."""
    kind, _, id = event.subject.partition("/")
    known: Mapping[str, Mapping[int, Any]] = {
        "site": where.sites,
        "access_point": where.doors,
        "controller": where.controllers,
    }
    found = known.get(kind, {}).get(int(id)) if id.isdecimal() and len(id) < 19 else None
    visitor = ((event.after or event.before or {}).get("visitor") or {}).get("name")
    data = event.data
    names = (
        (event.after or {}).get("name"), (event.before or {}).get("name"), data.get("userName"), data.get("name"),
        visitor, found.name if found else "", known_names.get(event.subject),
    )  # fmt: skip
    name = next((str(name) for name in names if name), "")
    return name or f"{say(f'audit.kind_{kind}') if kind in _KINDS else kind.replace('_', ' ')} {id}"


_KINDS: Final = frozenset(
    {
        *("organisation", "site", "access_point", "controller", "client", "pass_key", "term", "schedule"),
        *("user", "visitor", "meeting"),
    }
)


endpoints = [show]
