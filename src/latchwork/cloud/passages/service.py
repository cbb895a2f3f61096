"""Use cases of history and of doors' modes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from latchwork.cloud.controllers.model import Held
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.work import SYSTEM, Connection, Database, Scope, Work
from latchwork.cloud.passages import rules, store
from latchwork.cloud.passages.model import Mode, Search
from latchwork.cloud.people import store as people
from latchwork.cloud.sites import store as sites
from latchwork.wire import facts
from latchwork.wire.api.events import Actor
from latchwork.wire.api.passages import (
    Attendance,
    AttendanceDay,
    DoorMode,
    DoorModeDraft,
    DoorState,
    HourCount,
    Passage,
    PassageCounts,
)
from latchwork.wire.api.problems import ModuleOff, NotFound


async def search(conn: Connection, scope: Scope, wanted: Search, skip: int, limit: int) -> tuple[list[Passage], int]:
    """Passages, the newest first; and how many there are in all. Users are looked up as they are now."""
    return await store.search(conn, scope, wanted, skip, limit)


async def count_by_hour(conn: Connection, scope: Scope, site: int | None, since: int, hours: int) -> PassageCounts:
    """How many came in and were refused in each of so many hours from an instant on."""
    wanted = Search(sites=None if site is None else [site], from_at=since, to_at=since + 3600 * hours)
    found = await store.count_by_hour(conn, scope, wanted, since)
    return PassageCounts([HourCount(since + 3600 * hour, *found.get(hour, (0, 0))) for hour in range(hours)])


async def attendance(conn: Connection, scope: Scope, user: int, month: str) -> Attendance:
    """First in and last out of each day of a month. Raises NotFound for who is out of reach, ModuleOff, Invalid."""
    person = await people.get_user(conn, scope, user)
    if "attendance" not in await people.modules(conn, scope):
        raise ModuleOff("The attendance module is switched off for this organisation.")
    first, last = rules.days_of(month)
    days = await store.first_and_last(conn, scope, user, first, last)
    sheet = [AttendanceDay(day.isoformat(), days[day].get("entry"), days[day].get("exit")) for day in sorted(days)]
    return Attendance(user, person.name, month, sheet)


async def get_mode(conn: Connection, scope: Scope, door: int, now: int) -> DoorMode:
    """How a door should stand now, and whether its controller has confirmed it."""
    found = await sites.get_door(conn, scope, door)
    mode = rules.mode_now(await store.find_mode(conn, scope, door), now)
    confirmed = None
    if found.controller_id is not None:
        confirmed = await store.has_confirmed(conn, scope, found.controller_id, {("mode", str(door))})
    return DoorMode(door, mode.mode, mode.until, confirmed)


async def page_states(
    conn: Connection, scope: Scope, log: Scope | None, site: int | None, after: int, limit: int, now: int
) -> list[DoorState]:
    """How doors (of a site) are now, by ascending door; `log`: where the caller may know who came, None: nowhere."""
    states = await store.page_states(conn, scope, site, after, limit, now)
    if log is None:
        return states
    latest = await store.latest_at(conn, log, [state.access_point_id for state in states])
    return [replace(state, last_passage=latest.get(state.access_point_id)) for state in states]


async def get_state(conn: Connection, scope: Scope, log: Scope | None, door: int, now: int) -> DoorState:
    """All that can be said of a door now."""
    await sites.get_door(conn, scope, door)
    [state] = await page_states(conn, scope, log, None, door - 1, 1, now)
    return state


async def note_standings(work: Work, held: Held, told: Sequence[facts.AnyFact]) -> None:
    """Remembers how doors stand after what their controller told."""
    changes = [fact for fact in told if isinstance(fact, facts.DoorChanged) and rules.is_of_standing(fact)]
    if not changes:
        return
    standings = await store.lock_standings(work.conn, work.scope, held.controller, {each.door for each in changes})
    for change in changes:
        if change.door in standings:
            standings[change.door] = rules.standing_after(standings[change.door], change)
    await store.put_standings(work.conn, work.scope, standings)


async def take_over_modes(work: Work, held: Held, told: Sequence[facts.AnyFact]) -> None:
    """What somebody asked of a door with their phone is its mode, unless that was changed later than they asked.

    A lockdown that the door did not know of then goes on.
    """
    for fact in told:
        if isinstance(fact, facts.AccessDecided) and rules.is_of_mode(fact):
            await _take_over(work, held, fact)


async def _take_over(work: Work, held: Held, fact: facts.AccessDecided) -> None:
    try:
        [door] = await sites.lock_doors(work.conn, work.scope, [fact.door])
    except NotFound:
        return
    if door.controller_id != held.controller:
        return
    at, mode = min(fact.at, work.now), rules.ASKED_MODES[fact.ask]
    if await store.mode_changed_at(work.conn, work.scope, fact.door) > at:
        return
    now = rules.mode_now(await store.find_mode(work.conn, work.scope, fact.door), work.now)
    if now.mode == "locked" and mode.mode != "locked" and not fact.in_lockdown:
        return
    await _put_mode(work, fact.door, mode, at, await _asking(work, fact.user or 0))


async def _asking(work: Work, user: int) -> Actor:
    """The user, even one who is gone."""
    named = await people.name_users(work.conn, work.scope, [user])
    gone = {} if named else await store.name_gone_users(work.conn, work.scope, [user])
    return Actor("user", str(user), named[user][0] if named else gone.get(user, ""))


async def set_mode(work: Work, door: int, draft: DoorModeDraft) -> None:
    """From now on, or until an instant; what is so already is no change."""
    wanted = rules.wanted_mode(draft, work.now)
    await sites.lock_door(work.conn, work.scope, door)
    await _put_mode(work, door, wanted)


async def _put_mode(
    work: Work, door: int, wanted: Mode, at: float | None = None, asked_by: Actor | None = None
) -> None:
    """`at`, `asked_by`: when and by whom it was asked for, where that is not now and by whoever asks."""
    before = await store.find_mode(work.conn, work.scope, door) or rules.NORMAL
    if wanted == before:
        return
    if wanted == rules.NORMAL:
        await store.remove_mode(work.conn, work.scope, door)
    else:
        await store.put_mode(work.conn, work.scope, door, wanted)
    _changed(work, door, before, wanted, at, asked_by)


async def drop_expired_modes(database: Database, now: int) -> None:
    """Clears modes away that are over; the doors have gone back by themselves."""
    async with database.connection() as conn:
        due = await store.expired_modes(conn, now)
    for organisation in sorted({organisation for organisation, _ in due}):
        doors = [door for owner, door in due if owner == organisation]
        await database.run(Scope(organisation), SYSTEM, now, lambda work, d=doors: _drop(work, d))  # type: ignore[misc]


async def _drop(work: Work, doors: list[int]) -> None:
    for door in await sites.lock_doors(work.conn, work.scope, doors):
        before = await store.find_mode(work.conn, work.scope, door.id)
        if before is not None and rules.mode_now(before, work.now) == rules.NORMAL:
            await store.remove_mode(work.conn, work.scope, door.id)
            _changed(work, door.id, before, rules.NORMAL)


def _changed(
    work: Work, door: int, before: Mode, after: Mode, at: float | None = None, asked_by: Actor | None = None
) -> None:
    work.touch("mode", door)
    subject = f"access_point/{door}"
    events.record(work, "door_mode_changed", subject, before=before, after=after, at=at, actor=asked_by)
