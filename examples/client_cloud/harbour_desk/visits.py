"""Visits: booked here and in Latchwork as one, and shown to the visitor with a code that is always fresh."""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from unicodedata import category
from zoneinfo import ZoneInfo

from harbour_desk.model import Code, Member, OwnVisit, Refused, Room, Visit, VisitDraft, VisitSeen
from harbour_desk.store import Store
from latchwork.sdk.client import Client
from latchwork.wire.api.people import OwnDoor
from latchwork.wire.api.problems import Conflict, IdempotencyKeyReused, Invalid, NotFound
from latchwork.wire.api.visitors import MeetingDraft, MeetingVisitor

LONGEST_NAME: Final = 80
LONGEST_VISIT: Final = 86_400
FURTHEST_AHEAD: Final = 366 * 86_400
"""Seconds."""
_DRAFT: Final = re.compile(r"[0-9a-f-]{36}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
_NOT_YOURS: Final = (
    "You cannot invite to this room then: not all doors on the way are yours. The front desk can change that."
)
_ANOTHER: Final = "This form was sent before, with something else in it. Please open it again."
_CANCELLED: Final = "This visit was booked and cancelled. Please open the form again to invite anew."
_GONE: Final = "There is no such visit. Please ask your host for a new link."


@dataclass(frozen=True, slots=True)
class Links:
    """The secret in the link of a visitor's page: the visit's number, and proof that we gave it out.

    Nothing is stored; a link ends with its visit.
    """

    key: bytes
    """32 random bytes."""

    def link(self, visit_id: int) -> str:
        mac = hmac.digest(self.key, b"visit %d" % visit_id, "sha256")[:18]
        return f"{visit_id}.{urlsafe_b64encode(mac).decode()}"

    def visit_id(self, link: str) -> int | None:
        number = link.partition(".")[0]
        if not re.fullmatch("[0-9]{1,12}", number):
            return None
        id = int(number)
        return id if hmac.compare_digest(self.link(id).encode(), link.encode()) else None


@dataclass(frozen=True, slots=True)
class Visits:
    """`url`: where visitors reach us."""

    store: Store
    cloud: Client
    links: Links
    url: str

    async def rooms(self, host: Member, now: int) -> list[Room]:
        """Those to which the host may invite now."""
        own = await self._own_doors(host, now, now)
        return [room for room in self.store.rooms() if own.issuperset(room.doors)]

    async def invite(self, host: Member, draft: VisitDraft, now: int) -> VisitSeen:
        """Books a visit, once per draft; raises Refused, or what the client raises, and then nothing is booked here.

        Nobody gives away more than they have: every door on the way must be the host's own until the visit ends.
        """
        room = self.store.find_room(draft.room)
        if room is None:
            raise Refused(400, "There is no such room.")
        visitor, starts_at, ends_at = _checked(draft, room, now)
        if (known := self.store.find_drafted(host.id, draft.draft)) is not None:
            return self._again(known, (visitor, room.id, starts_at, ends_at))
        if not (await self._own_doors(host, now, ends_at)).issuperset(room.doors):
            raise Refused(403, _NOT_YOURS)
        key = f"visit-{host.id}-{draft.draft}"
        who = MeetingVisitor(key, name=visitor, host=host.name)
        meeting_id = await self._book(MeetingDraft(who, starts_at, ends_at, room.doors))
        self.store.add_visit(host.id, draft.draft, visitor, room.id, starts_at, ends_at, meeting_id)
        booked = self.store.find_drafted(host.id, draft.draft)
        assert booked is not None
        return self.seen(booked)

    async def cancel(self, host: Member, visit_id: int) -> None:
        """Ends every code of the visit, then forgets it. Somebody else's visit is none."""
        visit = self.store.find_visit(visit_id)
        if visit is None or visit.member_id != host.id:
            raise Refused(404, "You have no such visit.")
        with suppress(NotFound):  # somebody who runs the building may have been quicker
            await self.cloud.remove_meeting(visit.meeting_id)
        self.store.remove_visit(visit.id)

    def upcoming(self, host: Member, now: int) -> list[VisitSeen]:
        """Visits that are not over, the soonest first."""
        return [self.seen(visit) for visit in self.store.visits_of(host.id, ends_after=now)]

    async def show(self, link: str, now: int) -> OwnVisit:
        """What the visitor sees. The code is new with every call and lives for a minute."""
        id = self.links.visit_id(link)
        visit = None if id is None else self.store.find_visit(id)
        if visit is None:
            raise Refused(404, _GONE)
        if visit.ends_at <= now:
            raise Refused(410, "This visit is over. Thank you for coming!")
        return _own(visit, None if visit.starts_at > now else await self._code(visit), now)

    async def _own_doors(self, host: Member, now: int, until: int) -> set[int]:
        """Which the host opens now and until then, at any hour. The deactivated, for whom nobody may act, have none.

        A door with a weekly schedule is not among them: a visitor's code knows no schedule.
        """
        doors = self.cloud.acting_for(host.user_id).page_own_doors()
        try:
            return {door.access_point_id async for door in doors if _is_held(door, now, until)}
        except Invalid:
            return set()

    async def _book(self, meeting: MeetingDraft) -> int:
        """The key makes the call safe to repeat: a booking whose answer was lost is found again, not made twice."""
        try:
            booked = await self.cloud.add_meeting(meeting, idempotency_key=f"harbour-desk-{meeting.visitor.key}")
        except IdempotencyKeyReused:
            raise Refused(409, _ANOTHER) from None
        except (NotFound, Conflict):
            raise Refused(409, _CANCELLED) from None
        return booked.id

    def _again(self, known: Visit, said: tuple[str, int, int, int]) -> VisitSeen:
        """The visit that this draft has booked; raises Refused when the draft says something else by now."""
        if (known.visitor, known.room.id, known.starts_at, known.ends_at) != said:
            raise Refused(409, _ANOTHER)
        return self.seen(known)

    async def _code(self, visit: Visit) -> Code:
        try:
            fresh = await self.cloud.issue_pass(visit.meeting_id)
        except (NotFound, Conflict):
            raise Refused(404, _GONE) from None
        return Code(fresh.qr_data, fresh.expires_at)

    def seen(self, visit: Visit) -> VisitSeen:
        """The secret stands behind a #, which browsers tell no server: it is in nobody's log."""
        return VisitSeen(
            id=visit.id,
            visitor=visit.visitor,
            room=visit.room.name,
            timezone=visit.room.timezone,
            starts_at=visit.starts_at,
            ends_at=visit.ends_at,
            url=f"{self.url}/visit#{self.links.link(visit.id)}",
        )


def _is_held(door: OwnDoor, now: int, until: int) -> bool:
    has_begun = door.starts_at is None or door.starts_at <= now
    lasts = door.ends_at is None or door.ends_at >= until
    return has_begun and lasts and door.schedule is None


def _own(visit: Visit, code: Code | None, now: int) -> OwnVisit:
    return OwnVisit(
        visitor=visit.visitor,
        host=visit.host,
        room=visit.room.name,
        address=visit.room.address,
        timezone=visit.room.timezone,
        starts_at=visit.starts_at,
        ends_at=visit.ends_at,
        now=now,
        code=code,
    )


def _checked(draft: VisitDraft, room: Room, now: int) -> tuple[str, int, int]:
    """The visitor's name, start and end; raises Refused."""
    if not _DRAFT.fullmatch(draft.draft):
        raise Refused(400, "Please open the form again.")
    visitor = " ".join(draft.visitor.split())
    if not 1 <= len(visitor) <= LONGEST_NAME or any(category(sign)[0] == "C" for sign in visitor):
        raise Refused(400, f"Please give your visitor's name, in at most {LONGEST_NAME} letters.")
    starts_at, ends_at = _instant(draft.starts, room), _instant(draft.ends, room)
    if not 0 < ends_at - starts_at <= LONGEST_VISIT:
        raise Refused(400, "A visit ends after it starts, within a day.")
    if ends_at <= now:
        raise Refused(400, "This time is over. Please choose a later one.")
    if starts_at > now + FURTHEST_AHEAD:
        raise Refused(400, "This is too far ahead. Please choose a day within a year.")
    return visitor, starts_at, ends_at


def _instant(local: str, room: Room) -> int:
    try:
        if not _MOMENT.fullmatch(local):
            raise ValueError
        return int(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(room.timezone)).timestamp())
    except (ValueError, OverflowError):
        raise Refused(400, "Please choose a day, and when the visit starts and ends.") from None
