"""Reports: who came and went, by everything that can be asked, and when somebody first came and last left each day."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response
from litestar.response import Stream

from latchwork.policy.reasons import Reason
from latchwork.sdk.client import Listing
from latchwork.web import attendance, passages
from latchwork.web.catalogue import Say
from latchwork.web.forms import id_of
from latchwork.web.look import NO_STORE, Look, page
from latchwork.web.places import Places, places
from latchwork.wire import sheet
from latchwork.wire.api.pages import MAX_LIMIT
from latchwork.wire.api.passages import Passage
from latchwork.wire.api.problems import FieldError, Invalid

NEEDS: Final = "events:read"
DAYS: Final = 7
"""How far back a report goes unless it is told."""
ROWS: Final = 50
FOUND: Final = 20
"""People that a search offers."""
WAYS: Final = ("entry", "exit")
OUTCOMES: Final = ("granted", "refused")
CREDENTIALS: Final = ("qr", "card", "phone", "remote")
REASONS: Final = tuple(reason for reason in Reason if reason is not Reason.GRANTED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is about, as the form says it; empty: everything."""

    name: str
    user: str
    site: str
    door: str
    direction: str
    outcome: str
    credential: str
    reason: str
    first: date
    last: date
    """Both inside, by the clock of `zone`."""
    zone: tzinfo

    @property
    def fields(self) -> dict[str, str]:
        """As the form sends it."""
        names = ("name", "user", "site", "door", "direction", "outcome", "credential", "reason")
        given = {name: value for name in names if (value := getattr(self, name))}
        return {**given, "from": self.first.isoformat(), "to": self.last.isoformat()}

    @property
    def query(self) -> str:
        return urlencode(self.fields)


@page("/reports", needs=NEEDS)
async def history(look: Look) -> Response[str]:
    """Who came, went and was refused."""
    where = await places(look.cloud)
    zone = await _zone(look, where)
    values: dict[str, Any] = {"where": where, "choices": _choices(look.say), "zone_name": f"{datetime.now(zone):%Z}"}
    try:
        asked = _asked(look.query, zone, look.say)
    except Invalid as wrong:
        return look.show("reports/history.html", asked=None, wrong=wrong.errors[0].detail, given=look.query, **values)
    found = await _listed(look, asked, ROWS, look.query.get("cursor"))
    rows = [passages.row_of(passage, where, look.say) for passage in found.items]
    person = await _name(look, id_of(asked.user))
    return look.show(
        "reports/history.html",
        asked=asked,
        given=asked.fields,
        wrong="",
        rows=rows,
        person=person,
        next=found.next_cursor,
        is_first="cursor" not in look.query,
        **values,
    )


@page("/reports/history.csv", needs=NEEDS)
async def history_csv(look: Look) -> Response[Any]:
    """The whole report, however long, as it is read."""
    where = await places(look.cloud)
    asked = _asked(look.query, await _zone(look, where), look.say)
    first = await _listed(look, asked, 1)  # what is wrong is said before the answer begins
    head = [look.say(f"reports.column_{name}") for name in passages.COLUMNS]
    name = f"access-{asked.first}-{asked.last}.csv"
    return _sheet(_lines(look, asked, where, head, bool(first.items)), name)


@page("/reports/attendance", needs=NEEDS)
async def attended(look: Look) -> Response[str]:
    """Somebody's month, or whom it could be about."""
    if "attendance" not in look.who.modules:
        return look.show("reports/off.html")
    user, month = id_of(look.query.get("user")), look.query.get("month") or f"{date.today():%Y-%m}"
    if user is None:
        search = look.query.get("search", "").strip()[:200]
        people = await look.cloud.page_users(search=search or None, limit=FOUND)
        more = people.next_cursor is not None
        return look.show("reports/people.html", people=people.items, search=search, month=month, more=more)
    try:
        found = await look.cloud.get_attendance(user, month)
    except Invalid:
        return look.go(f"/reports/attendance?user={user}", said=look.say("reports.month_wrong"))
    return look.show("reports/attendance.html", sheet=attendance.sheet_of(found, look.say))


@page("/reports/attendance.csv", needs=NEEDS)
async def attended_csv(look: Look) -> Response[Any]:
    found = await look.cloud.get_attendance(id_of(look.query.get("user")) or 0, look.query.get("month", ""))
    rows = attendance.cells(attendance.sheet_of(found, look.say))
    head = [look.say(f"reports.column_{name}") for name in attendance.COLUMNS]

    async def lines() -> AsyncIterator[str]:
        yield sheet.UTF_8 + sheet.write([head, *rows])

    return _sheet(lines(), f"attendance-{found.user_id}-{found.month}.csv")


# ------------------------------------------------------------------------------------------------- what is asked


def _asked(query: Mapping[str, str], zone: tzinfo, say: Say) -> Asked:
    """Raises Invalid for days that are none, or in the wrong order."""
    today = datetime.fromtimestamp(time.time(), zone).date()
    last = _date(query.get("to"), today, say)
    first = _date(query.get("from"), last - timedelta(days=DAYS - 1), say)
    if first > last:
        raise Invalid(errors=[FieldError("from", say("reports.wrong_order"))])
    return Asked(
        name=query.get("name", "").strip()[:200],
        user=_id(query.get("user")),
        site=_id(query.get("site")),
        door=_id(query.get("door")),
        direction=_one_of(query.get("direction"), WAYS),
        outcome=_one_of(query.get("outcome"), OUTCOMES),
        credential=_one_of(query.get("credential"), CREDENTIALS),
        reason=_one_of(query.get("reason"), [reason.value for reason in REASONS]),
        first=first,
        last=last,
        zone=zone,
    )


def _date(text: str | None, otherwise: date, say: Say) -> date:
    try:
        day = date.fromisoformat(text) if text else otherwise
    except ValueError:
        day = date.min
    if not 1971 <= day.year <= 9000:
        raise Invalid(errors=[FieldError("from", say("reports.no_day"))])
    return day


def _id(text: str | None) -> str:
    return text if text and id_of(text) is not None else ""


def _one_of(text: str | None, known: Any) -> str:
    return text if text in known and text else ""


def _listed(look: Look, asked: Asked, limit: int, cursor: str | None = None) -> Listing[Passage]:
    direction: Any = asked.direction or None
    credential: Any = asked.credential or None
    outcome: Any = asked.outcome or "both"
    return look.cloud.page_passages(
        name=asked.name or None,
        user=id_of(asked.user),
        site=id_of(asked.site),
        door=id_of(asked.door),
        direction=direction,
        credential=credential,
        outcome=outcome,
        reason=asked.reason or None,
        since=_midnight(asked.first, asked.zone),
        until=_midnight(asked.last + timedelta(days=1), asked.zone),
        limit=limit,
        cursor=cursor,
    )


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


async def _zone(look: Look, where: Places) -> tzinfo:
    """Of the site or door asked about, else of the first site; for somebody who sees no sites, of the latest entry."""
    door = where.doors.get(id_of(look.query.get("door")) or 0)
    if where.sites:
        return where.zone(
            door.site_id if door else site if (site := id_of(look.query.get("site"))) in where.sites else None
        )
    latest = (await look.cloud.page_passages(limit=1)).items
    return passages.zone_of(latest[0].timezone if latest else None)


async def _name(look: Look, user: int | None) -> str:
    """Whom the report is about, when it is about a user."""
    return (await look.cloud.get_user(user)).name if user is not None and look.may("users:read") else ""


def _choices(say: Say) -> dict[str, list[tuple[str, str]]]:
    """What a form offers: (value, words)."""
    return {
        "direction": [(way, say(f"reports.{way}")) for way in WAYS],
        "outcome": [(outcome, say(f"reports.{outcome}")) for outcome in OUTCOMES],
        "credential": [(means, say(f"reports.means_{means}")) for means in CREDENTIALS],
        "reason": sorted(((each.value, say(f"reasons.{each.value}")) for each in REASONS), key=lambda each: each[1]),
    }


# ------------------------------------------------------------------------------------------------- sheets


async def _lines(look: Look, asked: Asked, where: Places, head: list[str], has_rows: bool) -> AsyncIterator[str]:
    """A page of passages at a time."""
    yield sheet.UTF_8 + sheet.write([head])
    cursor: str | None = None
    while has_rows:
        found = await _listed(look, asked, MAX_LIMIT, cursor)
        yield sheet.write([passages.cells(passage, where, look.say) for passage in found.items])
        cursor = found.next_cursor
        has_rows = cursor is not None


def _sheet(lines: AsyncIterator[str], name: str) -> Stream:
    headers = {**NO_STORE, "content-disposition": f'attachment; filename="{name}"'}
    return Stream(lines, media_type="text/csv", headers=headers)


endpoints = [history, history_csv, attended, attended_csv]
