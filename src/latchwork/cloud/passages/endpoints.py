"""`/v1/passages`, the doors' modes, remote unlock and card enrolment, `/v1/decisions/explain`."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from litestar.params import QueryParameter

from latchwork.cloud.controllers import store as controllers
from latchwork.cloud.kernel.http import Caller, get, may, post
from latchwork.cloud.kernel.paging import Cursor, Filter, Limit, paged_by
from latchwork.cloud.passages import commands, explain, service, store
from latchwork.cloud.passages.model import Search
from latchwork.cloud.visitors import store as visitors
from latchwork.wire.api.pages import DEFAULT_LIMIT, Page
from latchwork.wire.api.passages import (
    Attendance,
    CardEnrolmentDraft,
    Credential,
    Direction,
    DoorMode,
    DoorModeDraft,
    DoorState,
    Explanation,
    Passage,
    PassageCounts,
    Question,
    UnlockDraft,
    Unlocked,
)
from latchwork.wire.api.people import Card

LOG = "events:read"
Instant = Annotated[float | None, QueryParameter(ge=0, le=2**40, description="Seconds since the epoch.")]
Shown = Literal["granted", "refused", "both"]


@get("/v1/passages")
async def page_passages(
    by: Annotated[Caller, may("events:read", within=True)],
    door: Filter = None,
    site: Filter = None,
    user: Filter = None,
    visitor: Filter = None,
    direction: Annotated[Direction | None, QueryParameter(description="Only this way.")] = None,
    credential: Annotated[Credential | None, QueryParameter(description="Only with this.")] = None,
    outcome: Annotated[Shown, QueryParameter(description="`granted`: the door opened.")] = "both",
    reason: Annotated[str | None, QueryParameter(max_length=50, description="Only with this code.")] = None,
    name: Annotated[str | None, QueryParameter(max_length=200, description="In the name, as it was then.")] = None,
    since: Instant = None,
    until: Instant = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Passage]:
    """Lists who came, went and was refused, the latest to become known first.

    A door that was offline tells late: its entries stand where they became known, so that pages stay as they are.
    `since` is inside, `until` is not.
    """
    search = Search(
        doors=_one(door),
        sites=_one(site),
        users=_one(user),
        visitors=_one(visitor),
        direction=direction,
        credentials=None if credential is None else [credential],
        granted=None if outcome == "both" else outcome == "granted",
        reason=_text(reason),
        name=_text(name),
        from_at=since,
        to_at=until,
    )
    return await paged_by(
        limit,
        cursor,
        lambda before, n: by.read(lambda c, s: store.page(c, s, search, before or None, n)),
        lambda passage: passage.number,
    )


@get("/v1/meetings/{meeting_id:int}/passages")
async def page_meeting_passages(
    meeting_id: int,
    by: Annotated[Caller, may("visitors:read", within=True)],
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Passage]:
    """Lists entries and refusals with a meeting's codes, the latest to become known first."""
    meeting = (await by.read(lambda conn, scope: visitors.get_visit(conn, scope, meeting_id))).meeting
    search = Search(visitors=[meeting.visitor.id], meetings=[meeting_id])
    return await paged_by(
        limit,
        cursor,
        lambda before, n: by.read(lambda c, s: store.page(c, s, search, before or None, n)),
        lambda passage: passage.number,
    )


@get("/v1/account/passages")
async def page_own_passages(
    by: Annotated[Caller, may(None, within=True)], limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Passage]:
    """Lists where the caller, a person, came, went and was refused, the latest to become known first."""
    search = Search(users=[by.person])
    return await paged_by(
        limit,
        cursor,
        lambda before, n: by.read(lambda c, s: store.page(c, s.whole, search, before or None, n)),
        lambda passage: passage.number,
    )


@post("/v1/account/doors/{access_point_id:int}/unlock")
async def unlock_own_door(access_point_id: int, by: Annotated[Caller, may(None, within=True)]) -> Unlocked:
    """Opens a door once, now, from afar, for the caller, a person: as the door decides about them."""
    user, hints = by.person, by.request.app.state.hints
    command = await by.own.create(
        lambda work: commands.unlock(work, hints, access_point_id, user),
        lambda work, id: controllers.get_command(work.conn, work.scope, int(id)),
    )
    return await commands.until_unlocked(by, command)


@get("/v1/passages/{number:int}")
async def get_passage(number: int, by: Annotated[Caller, may("events:read", within=True)]) -> Passage:
    """Answers one entry or refusal."""
    return await by.read(lambda conn, scope: store.get(conn, scope, number))


@get("/v1/access-points/{access_point_id:int}/mode")
async def get_mode(access_point_id: int, by: Annotated[Caller, may("sites:read", within=True)]) -> DoorMode:
    """Answers how a door stands, and whether its controller has confirmed it."""
    return await by.read(lambda conn, scope: service.get_mode(conn, scope, access_point_id, by.now))


@get("/v1/door-states")
async def page_door_states(
    by: Annotated[Caller, may("sites:read", within=True)],
    site: Filter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[DoorState]:
    """Lists how doors are now: mode, link, open or closed, alarms; with `events:read` also who was there last."""
    log = by.scope_of(LOG)
    return await paged_by(
        limit,
        cursor,
        lambda after, n: by.read(lambda c, s: service.page_states(c, s, log, site, after, n, by.now)),
        lambda state: state.access_point_id,
    )


@get("/v1/access-points/{access_point_id:int}/state")
async def get_door_state(access_point_id: int, by: Annotated[Caller, may("sites:read", within=True)]) -> DoorState:
    """Answers how a door is now: mode, link, open or closed, alarms; with `events:read` also who was there last."""
    log = by.scope_of(LOG)
    return await by.read(lambda conn, scope: service.get_state(conn, scope, log, access_point_id, by.now))


@post("/v1/access-points/{access_point_id:int}/mode")
async def set_mode(
    access_point_id: int, draft: DoorModeDraft, by: Annotated[Caller, may("doors:unlock", within=True)]
) -> DoorMode:
    """Lets a door decide, stand open or stay locked, until it is changed or for a time; also while it is offline."""
    await by.change(lambda work: service.set_mode(work, access_point_id, draft))
    return await by.read(lambda conn, scope: service.get_mode(conn, scope, access_point_id, by.now))


@post("/v1/access-points/{access_point_id:int}/unlock")
async def unlock(
    access_point_id: int, draft: UnlockDraft, by: Annotated[Caller, may("doors:unlock", within=True)]
) -> Unlocked:
    """Opens a door once, now, and answers what became of it: `done`, `refused` with a reason, or `unknown`.

    409 `door_offline`: it could not be told, and never will be. `unknown`: it was told and the link was lost; the door
    may have opened.
    """
    hints = by.request.app.state.hints
    command = await by.create(
        lambda work: commands.unlock(work, hints, access_point_id, draft.user_id),
        lambda work, id: controllers.get_command(work.conn, work.scope, int(id)),
    )
    return await commands.until_unlocked(by, command)


@post("/v1/access-points/{access_point_id:int}/enrol-card")
async def enrol_card(
    access_point_id: int, draft: CardEnrolmentDraft, by: Annotated[Caller, may("users:write", within=True)]
) -> Card:
    """Waits until a card is presented at the door's reader, and assigns it to the user; it opens nothing meanwhile."""
    hints = by.request.app.state.hints
    command = await by.create(
        lambda work: commands.enrol_card(work, hints, access_point_id, draft),
        lambda work, id: controllers.get_command(work.conn, work.scope, int(id)),
    )
    return await commands.until_enrolled(by, command)


@post("/v1/decisions/explain")
async def explain_decision(
    question: Question, by: Annotated[Caller, may("decisions:explain", within=True)]
) -> Explanation:
    """Answers what a door would decide and why; of a past event, what it decided then and what it would now.

    It is the door's own decision, on the cloud's records; `controllerHasIt` says whether the door has them too.
    """
    return await by.read(lambda conn, scope: explain.explain(conn, scope, question, time.time()))


@get("/v1/passages/hours")
async def count_passages(
    by: Annotated[Caller, may("events:read", within=True)],
    since: Annotated[int, QueryParameter(ge=0, le=2**40, description="Seconds since the epoch.")],
    hours: Annotated[int, QueryParameter(ge=1, le=168, description="How many hours from then on.")] = 24,
    site: Filter = None,
) -> PassageCounts:
    """Counts who came in and who was refused, hour by hour from an instant on, such as the midnight of a site."""
    return await by.read(lambda conn, scope: service.count_by_hour(conn, scope, site, since, hours))


@get("/v1/attendance")
async def get_attendance(
    by: Annotated[Caller, may("events:read", within=True)],
    user: Annotated[int, QueryParameter(ge=0, le=2**62, description="Whose.")],
    month: Annotated[str, QueryParameter(description="Such as 2026-10.")],
) -> Attendance:
    """Answers when somebody first came in and last went out on each day of a month, by the clocks of the sites."""
    return await by.read(lambda conn, scope: service.attendance(conn, scope, user, month))


def _text(given: str | None) -> str | None:
    """None for what cannot be in the log, or says nothing."""
    return given.replace("\0", "") or None if given else None


def _one(id: int | None) -> list[int] | None:
    return None if id is None else [id]


endpoints = [
    page_passages,
    page_own_passages,
    unlock_own_door,
    get_passage,
    count_passages,
    get_attendance,
    page_meeting_passages,
    page_door_states,
    get_door_state,
    get_mode,
    set_mode,
    unlock,
    enrol_card,
    explain_decision,
]
