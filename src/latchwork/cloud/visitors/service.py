"""Use cases of visits: invite, change, revoke, show a pass."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from msgspec import UNSET

from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.bodies import given
from latchwork.cloud.kernel.work import SYSTEM, Connection, Database, Scope, Work
from latchwork.cloud.visitors import rules, store
from latchwork.cloud.visitors.model import House, Revocation, Visit
from latchwork.cloud.visitors.signing import Signer
from latchwork.wire.api.events import EventType
from latchwork.wire.api.problems import Conflict, Forbidden, ModuleOff, NotFound
from latchwork.wire.api.visitors import (
    Meeting,
    MeetingDraft,
    MeetingPatch,
    MeetingWithPass,
    Visitor,
    VisitorDraft,
    VisitorPatch,
)

# ------------------------------------------------------------------------------------------------- visitors


async def add_visitor(work: Work, draft: VisitorDraft) -> Visitor:
    rules.raise_any(rules.visitor_errors(draft))
    await _open_house(work.conn, work.scope)
    visitor = await store.add_visitor(work.conn, work.scope, draft, work.now)
    if visitor is None:
        raise Conflict("There is a visitor with this key already.")
    events.record(work, "visitor_created", f"visitor/{visitor.id}", after=visitor)
    return visitor


async def change_visitor(work: Work, id: int, patch: VisitorPatch) -> Visitor:
    rules.raise_any(rules.visitor_errors(patch))
    before = await store.lock_visitor(work.conn, work.scope, id)
    after = msgspec.structs.replace(before, **given(patch))
    if after == before:
        return before
    await _check_reaches_all(work, id)
    after = msgspec.structs.replace(after, updated_at=work.now)
    await store.change_visitor(work.conn, work.scope, after)
    events.record(work, "visitor_changed", f"visitor/{id}", before=before, after=after)
    return after


async def _check_reaches_all(work: Work, id: int) -> None:
    """What is known of a visitor holds for all of their visits. Raises Forbidden when some to come are out of reach."""
    if await store.is_expected_elsewhere(work.conn, work.scope, id, work.now):
        raise Forbidden(
            "This visitor is also expected where your role does not reach; ask somebody who receives visitors there to"
            " change name, e-mail and the like."
        )


async def remove_visitor(work: Work, id: int) -> None:
    """The visitor goes, with all of their meetings; every pass of theirs is refused."""
    visitor = await store.lock_visitor(work.conn, work.scope, id)
    house = await store.get_house(work.conn, work.scope)
    for visit in await store.lock_visits_of(work.conn, work.scope, id):
        await _remove_visit(work, house, visit)
    await store.remove_visitor(work.conn, work.scope, id)
    events.record(work, "visitor_deleted", f"visitor/{id}", before=visitor)


# ------------------------------------------------------------------------------------------------- meetings


async def invite(work: Work, signer: Signer, draft: MeetingDraft) -> MeetingWithPass:
    """A new meeting, and a pass of it. Raises NotFound for a door that is not the organisation's."""
    house = await _open_house(work.conn, work.scope, draft.access_points)
    names = ("startTime", "endTime")
    rules.raise_any(
        [
            *rules.visitor_errors(draft.visitor, "visitor."),
            *rules.time_errors(draft.start_time, draft.end_time, work.now, house.meeting_max_days, names),
            *rules.door_errors(draft.access_points),
            *rules.pass_errors(draft.pass_seconds),
        ]
    )
    _check_doors(draft.access_points, house)
    meeting, before, is_new = await store.invite(
        work.conn,
        work.scope,
        draft.visitor,
        _drafted(draft, house, work.now),
        draft.pass_seconds is not UNSET,
        work.now,
    )
    visitor = meeting.visitor
    if is_new:
        events.record(work, "visitor_created", f"visitor/{visitor.id}", after=visitor)
    elif before is not None and before != visitor:
        await _check_reaches_all(work, visitor.id)
        events.record(work, "visitor_changed", f"visitor/{visitor.id}", before=before, after=visitor)
    events.record(work, "meeting_created", f"meeting/{meeting.id}", after=meeting)
    return _with_pass(work.scope, signer, house, meeting, work.now)


async def change_meeting(work: Work, signer: Signer, id: int, patch: MeetingPatch) -> MeetingWithPass:
    """The meeting after the change, and a pass of it; a change that changes nothing revokes nothing."""
    visit = await store.lock_visit(work.conn, work.scope, id)
    before = visit.meeting
    doors = rules.changed_doors(before.access_points, patch)
    house = await _open_house(work.conn, work.scope, [*doors, *patch.remove_access_points])
    _check_doors([*doors, *patch.remove_access_points], house)
    after = msgspec.structs.replace(
        before,
        start_time=before.start_time if patch.start_time is UNSET else patch.start_time,
        end_time=before.end_time if patch.end_time is UNSET else patch.end_time,
        access_points=doors,
    )
    if after != before:
        times = (after.start_time, after.end_time, work.now, house.meeting_max_days, ("startTime", "endTime"))
        rules.raise_any(rules.time_errors(*times))
        after = msgspec.structs.replace(after, version=before.version + 1, updated_at=work.now)
        await store.change_meeting(work.conn, work.scope, after)
        if before.end_time <= work.now:
            await store.remove_link(work.conn, work.scope, id)  # it ended with the meeting as it was
        await _revoke(work, house, visit, {*before.access_points, *after.access_points})
        events.record(work, "meeting_changed", f"meeting/{id}", before=before, after=after)
    return _with_pass(work.scope, signer, house, after, work.now)


async def check_in(work: Work, id: int) -> Meeting:
    """The visitor has come, perhaps again. Raises Conflict when the meeting is over."""
    await _open_house(work.conn, work.scope)
    before = (await store.lock_visit(work.conn, work.scope, id)).meeting
    return await _keep(work, "visitor_checked_in", before, rules.checked_in(before, work.now))


async def check_out(work: Work, id: int) -> Meeting:
    """The visitor has left; their code stays as it is. Raises Conflict."""
    before = (await store.lock_visit(work.conn, work.scope, id)).meeting
    return await _keep(work, "visitor_checked_out", before, rules.checked_out(before, work.now))


async def end_meeting(work: Work, id: int) -> Meeting:
    """The meeting is over: every pass of it is refused. Raises Conflict when it has not begun."""
    visit = await store.lock_visit(work.conn, work.scope, id)
    after = await _keep(work, "meeting_ended", visit.meeting, rules.ended(visit.meeting, work.now))
    if after.version != visit.meeting.version:
        await _revoke(work, await store.get_house(work.conn, work.scope), visit, set(after.access_points))
    return after


async def _keep(work: Work, fact: EventType, before: Meeting, after: Meeting) -> Meeting:
    """What is new of the meeting, stored and recorded."""
    if after == before:
        return before
    after = msgspec.structs.replace(after, updated_at=work.now)
    await store.change_meeting(work.conn, work.scope, after)
    events.record(work, fact, f"meeting/{after.id}", before=before, after=after)
    return after


async def remove_meeting(work: Work, id: int) -> None:
    visit = await store.lock_visit(work.conn, work.scope, id)
    await _remove_visit(work, await store.get_house(work.conn, work.scope), visit)


async def current(conn: Connection, scope: Scope, signer: Signer, id: int, now: int) -> MeetingWithPass:
    """The meeting and a fresh pass of it; writes nothing. Raises Conflict when the meeting is over."""
    visit, house = await store.get_visit_in_house(conn, scope, id)
    check_open(house)
    if visit.meeting.end_time <= now:
        raise Conflict("This meeting is over; no code can open a door for it.")
    return _with_pass(scope, signer, house, visit.meeting, now)


async def again(work: Work, signer: Signer, id: int) -> MeetingWithPass:
    """A repeated invitation's answer: the meeting as it is now, with a fresh pass."""
    return await current(work.conn, work.scope, signer, id, work.now)


async def drop_lapsed(database: Database, now: int) -> None:
    """Ends the revocations that no pass outlives any more."""
    async with database.connection() as conn:
        due = await store.lapsed(conn, now)
    for organisation in sorted({organisation for organisation, _ in due}):
        meetings = [meeting for owner, meeting in due if owner == organisation]
        await database.run(Scope(organisation), SYSTEM, now, lambda work, m=meetings: _drop(work, m))  # type: ignore[misc]


async def _drop(work: Work, meetings: list[int]) -> None:
    await store.drop_revocations(work.conn, work.scope, meetings, work.now)
    work.touch("revocation", *meetings)


async def _open_house(conn: Connection, scope: Scope, doors: Collection[int] = ()) -> House:
    """The house; raises ModuleOff when it receives no visitors."""
    house = await store.get_house(conn, scope, doors)
    check_open(house)
    return house


def check_open(house: House) -> None:
    """Raises ModuleOff when the house receives no visitors."""
    if not house.visitor_module:
        raise ModuleOff


def _check_doors(doors: Collection[int], house: House) -> None:
    if unknown := rules.unknown_doors(doors, house):
        listed = ", ".join(map(str, unknown))
        raise NotFound(f"There is no access point with the id {listed}.")


def _drafted(draft: MeetingDraft, house: House, now: int) -> Meeting:
    """The meeting before the database gave it an id and a visitor."""
    return Meeting(
        id=0,
        visitor=Visitor(0, draft.visitor.key, "", "", "", "", "", now, now),
        start_time=draft.start_time,
        end_time=draft.end_time,
        access_points=sorted(draft.access_points),
        pass_seconds=house.pass_seconds if draft.pass_seconds is UNSET else draft.pass_seconds,
        version=1,
        created_at=now,
        updated_at=now,
    )


async def _remove_visit(work: Work, house: House, visit: Visit) -> None:
    meeting = visit.meeting
    await store.remove_meeting(work.conn, work.scope, meeting.id)
    await _revoke(work, house, visit, set(meeting.access_points))
    events.record(work, "meeting_deleted", f"meeting/{meeting.id}", before=meeting)


async def _revoke(work: Work, house: House, visit: Visit, doors: set[int]) -> None:
    """Refuses every pass of the meeting as it was, at its old and new doors, until the last has expired."""
    until = rules.last_pass_expires(visit.meeting, visit.own_pass, house, work.now) + rules.SLACK
    revocation = Revocation(visit.meeting.id, visit.meeting.version + 1, tuple(sorted(doors)), until)
    await store.revoke(work.conn, work.scope, revocation)
    work.touch("revocation", visit.meeting.id)


def _with_pass(scope: Scope, signer: Signer, house: House, meeting: Meeting, now: int) -> MeetingWithPass:
    issued = signer.issue(scope.organisation, house, meeting, now)
    return MeetingWithPass(**{name: getattr(meeting, name) for name in Meeting.__struct_fields__}, current_pass=issued)
