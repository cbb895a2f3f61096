"""Weekly schedules: the list, and the editor with a line of text for each day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from litestar import Response

from latchwork.web.forms import NOTHING_WRONG, Wrong, kept, wrong_of
from latchwork.web.hours import Bar, NoHours, drawn, read, write
from latchwork.web.look import Look, form, page
from latchwork.web.overtaken import known_in, overtaken
from latchwork.wire.api.people import Interval, Schedule, ScheduleDraft, SchedulePatch
from latchwork.wire.api.problems import Conflict, FieldError, Invalid, Outdated

READ: Final = "permissions:read"
WRITE: Final = "organisation:write"
"""A schedule belongs to no site: only whoever looks after the whole organisation changes it."""
ROWS: Final = 20
DAYS: Final = (*(f"day{n}" for n in range(7)), "holiday")
"""The fields of a form, Monday first."""


@dataclass(frozen=True, slots=True)
class DayRow:
    """A day of a drawn week."""

    field: str
    hours: str
    bars: list[Bar]


def rows_of(week: list[list[Interval]], holiday: list[Interval]) -> list[DayRow]:
    lines = zip(DAYS, [*week, holiday], drawn(week, holiday), strict=True)
    return [DayRow(field, write(intervals), bars) for field, intervals, bars in lines]


@page("/settings/schedules", needs=READ)
async def show(look: Look) -> Response[str]:
    found = await look.cloud.page_schedules(limit=ROWS, cursor=look.query.get("cursor"))
    schedules = [(each, rows_of(each.week, each.holiday)) for each in found.items]
    return look.show("settings/schedules.html", schedules=schedules, next=found.next_cursor)


@page("/settings/schedules/new", needs=WRITE)
async def new(look: Look) -> Response[str]:
    return _editor(look, None, {})


@form("/settings/schedules/new", needs=WRITE)
async def add(look: Look) -> Response[Any]:
    fields = await look.form()
    try:
        week, holiday = _read(look, fields)
        if "preview" in fields:
            return _editor(look, None, fields)
        draft = ScheduleDraft(fields.get("name", "").strip(), week, holiday)
        made = await look.cloud.add_schedule(draft, idempotency_key=await look.once())
    except Invalid as refused:
        return _editor(look, None, fields, wrong_of(refused))
    return look.go("/settings/schedules", said=look.say("schedules.made", name=made.name))


@page("/settings/schedules/{schedule_id:int}", needs=WRITE)
async def edit(look: Look, schedule_id: int) -> Response[str]:
    return _editor(look, await look.cloud.get_schedule(schedule_id))


@form("/settings/schedules/{schedule_id:int}", needs=WRITE)
async def change(look: Look, schedule_id: int) -> Response[Any]:
    fields = await look.form()
    now = await look.cloud.get_schedule(schedule_id)
    known = known_in(fields, now)
    try:
        week, holiday = _read(look, fields)
        if "preview" in fields:
            return _editor(look, known, fields)
        patch = SchedulePatch(fields.get("name", "").strip(), week, holiday)
        changed = await look.cloud.change_schedule(schedule_id, patch, version=known.version)
    except Invalid as refused:
        return _editor(look, known, fields, wrong_of(refused))
    except Outdated:
        now = await look.cloud.get_schedule(schedule_id)
        fields = kept(fields, _shown(known), _shown(now))
        return _editor(look, now, fields, await overtaken(look, known, now, f"schedule/{schedule_id}"))
    return look.go("/settings/schedules", said=look.say("schedules.changed", name=changed.name))


@form("/settings/schedules/{schedule_id:int}/delete", needs=WRITE)
async def remove(look: Look, schedule_id: int) -> Response[Any]:
    schedule = await look.cloud.get_schedule(schedule_id)
    try:
        await look.cloud.remove_schedule(schedule_id)
    except Conflict as refused:
        return _editor(look, schedule, wrong=wrong_of(refused))
    return look.go("/settings/schedules", said=look.say("schedules.deleted", name=schedule.name))


def _editor(
    look: Look, schedule: Schedule | None, fields: Mapping[str, str] | None = None, wrong: Wrong = NOTHING_WRONG
) -> Response[str]:
    """With the week as it is written in the fields, as far as it can be read; without fields as it is stored."""
    if fields is None:
        fields = _shown(schedule) if schedule else {}
    read_days = [_readable(fields.get(name, "")) for name in DAYS]
    rows = rows_of(read_days[:7], read_days[7])
    return look.show(
        "settings/schedule.html", wrong.status, schedule=schedule, fields=fields, wrong=wrong, rows=rows, days=DAYS
    )


def _shown(schedule: Schedule) -> dict[str, str]:
    """A schedule as its form's fields have it."""
    days = zip(DAYS, [*schedule.week, schedule.holiday], strict=True)
    return {"name": schedule.name, **{name: write(intervals) for name, intervals in days}}


def _readable(text: str) -> list[Interval]:
    try:
        return read(text)
    except NoHours:
        return []


def _read(look: Look, fields: Mapping[str, str]) -> tuple[list[list[Interval]], list[Interval]]:
    """The week and the holiday; raises Invalid with a sentence for each day that cannot be read."""
    days, errors = [], []
    for name in DAYS:
        try:
            days.append(read(fields.get(name, "")))
        except NoHours as unread:
            errors.append(FieldError(name, look.say(f"schedules.{unread.reason}", **unread.values)))
    if errors:
        raise Invalid(errors=errors)
    if not any(days):
        raise Invalid(errors=[FieldError("", look.say("schedules.never_opens"))])
    return days[:7], days[7]


endpoints = [show, new, add, edit, change, remove]
