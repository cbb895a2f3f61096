"""Why a door refused: what its controller decided then, what would be decided now, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from litestar import Response

from latchwork.policy.reasons import Reason
from latchwork.web import clocks
from latchwork.web.lines import moment
from latchwork.web.look import Look, page
from latchwork.web.people import sites
from latchwork.web.person_form import number
from latchwork.web.places import Places, everything
from latchwork.wire.api.passages import Explained, Explanation, Question
from latchwork.wire.api.people import User
from latchwork.wire.api.problems import Forbidden, NotFound
from latchwork.wire.api.sites import AccessPoint

WAYS: Final = ("card", "mobile", "remote")

_REMEDIES: Final[dict[str, str]] = {
    Reason.NO_PERMISSION: "give",
    Reason.PERMISSION_NOT_BEGUN: "limits",
    Reason.PERMISSION_ENDED: "limits",
    Reason.OUTSIDE_SCHEDULE: "schedule",
    Reason.DEACTIVATED: "activate",
    Reason.ACCESS_EXPIRED: "expiry",
    Reason.WAY_OFF: "way",
    Reason.PIN_NEEDED: "pin",
    Reason.PIN_WRONG: "pin",
    Reason.UNKNOWN_CREDENTIAL: "card",
    Reason.SLOWED_DOWN: "wait",
    Reason.LOCKDOWN: "lockdown",
    Reason.UNKNOWN_DOOR: "controller",
    Reason.NOT_SYNCED: "controller",
    Reason.OFFLINE_TOO_LONG: "controller",
    Reason.CLOCK_UNTRUSTED: "clock",
    Reason.JOURNAL_UNAVAILABLE: "controller",
    Reason.NO_READER: "reader",
    Reason.PASS_UNREADABLE: "code",
    Reason.PASS_TOO_LONG: "code",
    Reason.PASS_UNKNOWN_KEY: "code",
    Reason.PASS_FORGED: "code",
    Reason.PASS_WRONG_CLAIMS: "code",
    Reason.PASS_FROM_FUTURE: "refresh",
    Reason.PASS_NOT_YET_VALID: "early",
    Reason.PASS_EXPIRED: "refresh",
    Reason.PASS_REVOKED: "refresh",
    Reason.PASS_WRONG_DOOR: "visit_door",
    Reason.ALREADY_USED: "refresh",
}
"""What helps against each reason, by the name of its text."""
_OF_USER: Final = {"give", "limits", "schedule", "activate", "expiry", "way", "pin"}
"""Remedies that are found on a person's page."""
_OF_VISIT: Final = {"visit_door", "early"}
"""Remedies that are found where a visit is changed."""
_OF_DOOR: Final = {"lockdown", "controller", "clock", "reader"}
"""Remedies that are found on a door's page."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do, in words, and where."""

    name: str
    """Of its texts."""
    path: str
    """Where it is done; empty: nowhere on this website."""
    place: str = "person"
    """What is there: `person`, `visit` or `door`."""


def remedy(reason: str, user: int | None, door: int | None, visit: int | None = None) -> Remedy | None:
    """What helps against a refusal of a user, or of a visit's code; None: nothing is known to."""
    # a controller knows nobody who has none of its doors
    name = "give" if reason == Reason.UNKNOWN_CREDENTIAL and user is not None else _REMEDIES.get(reason)
    if name is None:
        return None
    if name in _OF_DOOR:
        return Remedy(name, f"/doors/{door}" if door is not None else "", "door")
    if name in _OF_VISIT:
        return Remedy(name, f"/visitors/{visit}/change" if visit is not None else "", "visit")
    if name not in _OF_USER or user is None:
        return Remedy("ask" if name in _OF_USER else name, "")
    paths = {
        "limits": f"/people/{user}/doors/{door}",
        "schedule": f"/people/{user}/doors/{door}",
        "expiry": f"/people/{user}/edit",
        "way": f"/people/{user}/edit",
    }
    return Remedy(name, paths.get(name, f"/people/{user}"))


@dataclass(frozen=True, slots=True)
class Now:
    """What would be decided now."""

    explained: Explained
    rule: str
    """The kind of what decided, as the log names its subjects: `permission`, `user` …; `unknown`: nothing at the door
    is about this person; empty: not known."""
    user: User | None
    expired_at: str
    """When their access expired, where that is why."""


@page("/why", needs="decisions:explain")
async def show(look: Look) -> Response[str]:
    """`?event=` a refusal or entry; or `?person=`, and then `&door=&way=`: what would be decided now."""
    event, person = number(look.query.get("event")), number(look.query.get("person"))
    if event is not None:
        return await _past(look, event)
    if person is not None:
        return await _now(look, person)
    return look.go("/people", said=look.say("why.choose"))


async def _past(look: Look, event: int) -> Response[str]:
    told = await look.cloud.explain_decision(Question(event_number=event))
    passage = await look.cloud.get_passage(event)
    where = await sites(look)
    user = passage.user.id if passage.user else None
    visit = passage.visitor.meeting_id if passage.visitor else None
    reason = _to_mend(told)
    return look.show(
        "why/past.html",
        passage=passage,
        when=moment(passage.at, where, passage.site_id),
        now=await _judged(look, told.decision, user, where),
        remedy=remedy(reason, user, passage.access_point_id, visit) if reason else None,
        door=passage.access_point_id,
    )


def _to_mend(told: Explanation) -> str:
    """The reason that is in the way now, or was; empty: nothing is any more."""
    if told.decision is not None:
        return "" if told.decision.granted else told.decision.reason
    return told.then.reason if told.then is not None and not told.then.granted else ""


async def _now(look: Look, person: int) -> Response[str]:
    user, where = await look.cloud.get_user(person), await sites(look)
    doors = sorted(await everything(look.cloud.page_access_points()), key=lambda door: door.name.casefold())
    door, way = number(look.query.get("door")), look.query.get("way", "card")
    told = None
    if door is not None and way in WAYS:
        told = await look.cloud.explain_decision(Question(door, user_id=person, way=way))  # type: ignore[arg-type]
    decision = told.decision if told else None
    return look.show(
        "why/now.html",
        user=user,
        doors=[(each, _at(each, where)) for each in doors],
        door=door,
        way=way,
        ways=WAYS,
        now=await _judged(look, decision, person, where),
        remedy=remedy(decision.reason, person, door) if decision and not decision.granted else None,
    )


def _at(door: AccessPoint, where: Places) -> str:
    """Where a door is, when there is more than one place."""
    return where.site_name(door.site_id)


async def _judged(look: Look, decision: Explained | None, user_id: int | None, where: Places) -> Now | None:
    if decision is None:
        return None
    user = await _user(look, user_id)
    at = user.access_expires_at if user and decision.reason == Reason.ACCESS_EXPIRED else None
    expired = clocks.written(at, where.zone(user.home_site_id), look.say) if user and at is not None else ""
    unknown = user is not None and decision.reason == Reason.UNKNOWN_CREDENTIAL
    return Now(decision, "unknown" if unknown else decision.subject.partition("/")[0], user, expired)


async def _user(look: Look, user_id: int | None) -> User | None:
    """None: nobody, or deleted since, or out of reach."""
    if user_id is None or not look.may("users:read"):
        return None
    try:
        return await look.cloud.get_user(user_id)
    except (NotFound, Forbidden):
        return None


@page("/people/explain", needs="decisions:explain")
async def explain(look: Look) -> Response[str]:
    """The same by its other name."""
    query = look.request.url.query
    return look.go(f"/why?{query}" if query else "/why")


endpoints = [show, explain]
