"""Why a door says yes or no: the one decision, asked on the cloud's own records."""

from __future__ import annotations

import os

import asyncpg

from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.work import Connection, Scope
from latchwork.cloud.passages import rules, snapshot, store
from latchwork.cloud.passages.model import Judged
from latchwork.cloud.people import store as people
from latchwork.cloud.visitors import store as visitors
from latchwork.policy.model import (
    Ask,
    Attempt,
    CardRead,
    Direction,
    Evidence,
    PhoneProof,
    RemoteUnlock,
    VerifiedPass,
    VerifiedPhoneCode,
    Way,
)
from latchwork.wire.api.passages import Decided, Explained, Explanation, Question
from latchwork.wire.api.problems import NotFound


async def explain(conn: Connection, scope: Scope, question: Question, now: float) -> Explanation:
    """Raises NotFound for a door, user or event that is not the organisation's."""
    rules.check_question(question)
    if question.event_number is not None:
        return await _explain_past(conn, scope, question.event_number, now)
    assert question.access_point_id is not None
    at = now if question.at is None else question.at
    evidence = await _evidence(conn, scope, question, at)
    attempt = Attempt(_id(question.access_point_id), Direction(question.direction), evidence, at)
    return Explanation(await _explained(conn, scope, attempt, question.user_id))


async def _explain_past(conn: Connection, scope: Scope, number: int, now: float) -> Explanation:
    """What the controller decided then, and what would be decided now about the same person with the same means."""
    row = await store.get_passage(conn, scope, _event(number))
    then = Decided(number, row["granted"], row["reason"], store.sentence(row["reason"]), row["at"])
    shown = await _shown_again(conn, scope, row, now)
    if shown is None:
        return Explanation(None, then)
    attempt = Attempt(_id(row["access_point_id"] or 0), Direction(row["direction"]), shown, now)
    user = None if isinstance(shown, CardRead) else row["user_id"]
    return Explanation(await _explained(conn, scope, attempt, user), then)


async def _explained(conn: Connection, scope: Scope, attempt: Attempt, user: int | None) -> Explained:
    judged = await snapshot.judge(conn, scope, attempt, user)
    reason = judged.decision.reason
    return Explained(
        granted=judged.decision.granted,
        reason=reason.value,
        sentence=reason.sentence,
        subject=rules.subject(judged),
        access_point_id=attempt.access_point,
        direction=attempt.direction.value,
        at=attempt.at,
        controller_has_it=await _controller_has(conn, scope, judged),
    )


async def _controller_has(conn: Connection, scope: Scope, judged: Judged) -> bool | None:
    controller = judged.gathered.controller
    if controller is None:
        return None
    return await store.has_confirmed(conn, scope, controller, judged.gathered.rests_on)


async def _evidence(conn: Connection, scope: Scope, question: Question, at: float) -> Evidence:
    if question.qr_data is not None:
        return await snapshot.evidence_of_qr(conn, scope, question.qr_data)
    if question.card_number is not None:
        return CardRead(question.card_number)
    assert question.user_id is not None
    user = await people.get_user(conn, scope, _id(question.user_id))
    return snapshot.evidence_of_user(Way(question.way), user.id, at)


async def _shown_again(conn: Connection, scope: Scope, row: asyncpg.Record, now: float) -> Evidence | None:
    """The same means once more: the same card, a fresh code of the same visit. None: nobody knows what it was."""
    match row["credential"]:
        case "qr" if row["meeting_id"] is not None:
            return await _fresh_pass(conn, scope.whole, row["meeting_id"], int(now))
        case "card" if row["card_id"] is not None and row["user_id"] is not None:
            cards = await people.cards_of(conn, scope, [row["user_id"]], whole=True)
            number = next((card.number for card in cards if str(card.id) == row["card_id"]), None)
            return None if number is None else CardRead(number)
        case "phone" if row["user_id"] is not None:
            return _phone_again(row, now)
        case "remote":
            return RemoteUnlock(row["user_id"])
        case _:
            return None


def _phone_again(row: asyncpg.Record, now: float) -> VerifiedPhoneCode | PhoneProof:
    """The same use of the phone, from a distance that nobody remembers."""
    if row["manner"] in ("tap", "click"):
        return PhoneProof(b"", Ask(row["ask"]), from_afar=row["manner"] == "click")
    return VerifiedPhoneCode(b"", b"", int(now))


async def _fresh_pass(conn: Connection, scope: Scope, meeting: int, now: int) -> VerifiedPass | None:
    """What the visit's pass would say if it were made now; None: there is no such visit any more."""
    try:
        visit = (await visitors.get_visit(conn, scope, meeting)).meeting
    except NotFound:
        return None
    return VerifiedPass(
        pass_id=os.urandom(8),
        visitor=visit.visitor.id,
        meeting=visit.id,
        version=visit.version,
        doors=tuple(visit.access_points),
        issued_at=now,
        not_before=visit.start_time,
        expires_at=visit.end_time,
    )


def _id(number: int) -> int:
    if not is_id(number):
        raise NotFound
    return number


def _event(number: int) -> int:
    if not 0 < number < 2**62:
        raise NotFound
    return number
