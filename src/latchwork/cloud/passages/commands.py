"""What a door is asked to do now or never: open once, or wait for a card to enrol.

A command is a row, committed, before anybody is told; whoever holds the controller's link takes it, once. The request
waits without a connection for one of four ends: done, refused, never sent, or sent and nobody knows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from latchwork.cloud.controllers import link, store
from latchwork.cloud.controllers.facts import Witness
from latchwork.cloud.controllers.model import CommandDraft, CommandRow, Held
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.work import Work
from latchwork.cloud.passages import rules, snapshot
from latchwork.cloud.passages import store as passages
from latchwork.cloud.people import service as people
from latchwork.cloud.people import store as people_store
from latchwork.cloud.people.rules import check_reaches_no_further
from latchwork.cloud.sites import store as sites
from latchwork.policy.model import Attempt, Direction, RemoteUnlock
from latchwork.wire import facts
from latchwork.wire.api.events import EventType
from latchwork.wire.api.passages import CardEnrolmentDraft, DoorOffline, NoCardPresented, Unlocked
from latchwork.wire.api.people import Card, User
from latchwork.wire.api.problems import Conflict, Invalid, NotFound, Problem

UNLOCK_SECONDS = link.COMMANDS_WITHIN
GRACE = 1.0
"""Seconds that an outcome may take beyond the command's time to live."""
LOOK_EVERY = 0.5
"""Seconds after which a waiting request looks by itself: a hint may be lost."""

_SENTENCES = {
    "unknown": "The request was sent and nothing came back in time; the door may have opened.",
    "command_late": "The request reached the door too late; it stayed shut.",
}

# ------------------------------------------------------------------------------------------------- asking


async def unlock(work: Work, hints: Hints, door: int, user: int | None) -> CommandRow:
    """Asks a door to open once. What the decision refuses here and now is settled without asking it.

    Raises DoorOffline when nobody could tell the door.
    """
    if user is not None:
        await _check_user(work, user)
    attempt = Attempt(door, Direction.ENTRY, RemoteUnlock(user), work.now)
    judged = await snapshot.judge(work.conn, work.scope, attempt)
    if judged.decision.granted:
        controller = await _reachable(work, judged.gathered.controller)
        return await _send(work, hints, CommandDraft(door, controller, "unlock", UNLOCK_SECONDS, user))
    reason = judged.decision.reason.value
    await _record_refusal(work, door, user, reason)
    draft = CommandDraft(door, judged.gathered.controller or 0, "unlock", UNLOCK_SECONDS, user, outcome=reason)
    return await _add(work, draft)


async def enrol_card(work: Work, hints: Hints, door: int, draft: CardEnrolmentDraft) -> CommandRow:
    """Asks a door's reader to wait for the card that will be the user's. Raises DoorOffline when it cannot be told."""
    rules.check_enrolment(draft)
    user = await _check_user(work, draft.user_id)
    check_reaches_no_further(work.powers, user, None)
    found = await sites.get_door(work.conn, work.scope, door)
    controller = await _reachable(work, found.controller_id)
    return await _send(work, hints, CommandDraft(door, controller, "enrol_card", draft.seconds, draft.user_id))


async def _check_user(work: Work, user: int) -> User:
    if not is_id(user):
        raise NotFound("There is no user with this id.")
    return await people_store.get_user(work.conn, work.scope, user)


async def _reachable(work: Work, controller: int | None) -> int:
    if controller is None or not await passages.is_online(work.conn, work.scope, controller, work.now):
        raise DoorOffline
    return controller


async def _send(work: Work, hints: Hints, draft: CommandDraft) -> CommandRow:
    command = await _add(work, draft)
    data = {"commandId": command.id, "userId": draft.user}
    kind: EventType = "unlock_requested" if draft.verb == "unlock" else "card_enrolment_requested"
    events.record(work, kind, f"access_point/{draft.door}", data=data)
    work.after_commit.append(lambda: hints.give(link.commands_topic(draft.controller)))
    return command


async def _add(work: Work, draft: CommandDraft) -> CommandRow:
    id = await store.add_command(work.conn, work.scope, draft, work.actor)
    return await store.get_command(work.conn, work.scope, id)


async def _record_refusal(work: Work, door: int, user: int | None, reason: str) -> None:
    """In the history as the door itself would have put it."""
    name, site = (await sites.name_doors(work.conn, work.scope, [door]))[door]
    data = {
        "accessPointId": door,
        "accessPointName": name,
        "siteId": site,
        "direction": "entry",
        "reason": reason,
        "credential": "remote",
        "requestedBy": work.actor,
    }
    if user is not None:
        named = (await people_store.name_users(work.conn, work.scope, [user])).get(user, ("", ""))
        data |= {"userId": user, "userName": named[0], "employeeCode": named[1]}
    events.record(work, "access_refused", f"access_point/{door}", data=data)


# ------------------------------------------------------------------------------------------------- waiting


async def until_unlocked(by: Caller, command: CommandRow) -> Unlocked:
    """One of the four answers; the one that nobody was told raises DoorOffline."""
    settled = await _until_settled(by, command)
    outcome = settled.outcome or "unknown"
    if outcome == "no_link":
        raise DoorOffline
    sentence = _SENTENCES.get(outcome) or passages.sentence(outcome)
    if outcome == "unknown":
        return Unlocked(command.id, "unknown", outcome, sentence)
    return Unlocked(command.id, "done" if outcome == "granted" else "refused", outcome, sentence)


async def until_enrolled(by: Caller, command: CommandRow) -> Card:
    """The card that was presented, which is the user's now; raises what became of it otherwise."""
    settled = await _until_settled(by, command)
    card, user = settled.card, settled.user
    if card is not None and user is not None:
        return await by.read(lambda conn, scope: people_store.get_card(conn, scope, user, card))
    match settled.outcome:
        case "no_link":
            raise DoorOffline
        case "card_taken":
            raise Conflict("This card belongs to somebody else.")
        case "user_gone":
            raise NotFound("There is no user with this id any more.")
        case "invalid_card":
            raise Invalid("This card has a number that cannot be used.")
        case _:
            raise NoCardPresented


async def _until_settled(by: Caller, command: CommandRow) -> CommandRow:
    """The command when it is known what became of it, or when nobody can wait any longer."""
    hints: Hints = by.request.app.state.hints
    until = time.monotonic() + command.seconds + GRACE
    with hints.listening(link.command_topic(command.id)) as flag:
        while True:
            flag.clear()
            present = await by.read(lambda conn, scope: store.get_command(conn, scope, command.id))
            left = until - time.monotonic()
            if present.outcome is not None:
                return present
            if left <= 0:
                return await by.read(lambda conn, scope: store.give_up_command(conn, scope, command.id))
            await _sleep(flag, min(left, LOOK_EVERY))


async def _sleep(flag: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await flag.wait()
    except TimeoutError:
        return


# ------------------------------------------------------------------------------------------------- what the doors tell


def witnessing(hints: Hints) -> Witness:
    """Settles commands that a door says it refused, and gives presented cards to those they were enrolled for.

    A grant settles nothing: it is written before the strike moves, which may still be withheld. The outcome tells.
    """

    async def witness(work: Work, held: Held, told: Sequence[facts.AnyFact]) -> None:
        ids = {id for fact in told if (id := _command_of(fact)) is not None}
        commands = await store.find_commands(work.conn, work.scope, held.controller, ids) if ids else {}
        for fact in told:
            command = commands.get(_command_of(fact) or 0)
            if isinstance(fact, facts.CardPresented):
                await _take_card(work, command, fact)
            elif isinstance(fact, facts.AccessDecided) and command is not None and fact.reason != "granted":
                await store.settle_command(work.conn, held.controller, command.id, fact.reason)
        work.after_commit.extend(_news(hints, id) for id in commands)

    return witness


async def _take_card(work: Work, command: CommandRow | None, fact: facts.CardPresented) -> None:
    """A card that comes when nobody waits any longer is nobody's."""
    if command is None or command.verb != "enrol_card" or command.user is None or command.outcome is not None:
        return
    outcome, card = await _give_card(work, command.user, fact.number)
    await store.settle_command(work.conn, command.controller, command.id, outcome, card)


async def _give_card(work: Work, user: int, number: int) -> tuple[str, int | None]:
    """(what became of it, the card's id); never raises a refusal, for the fact is true in any case."""
    try:
        return "enrolled", (await people.add_card(work, user, number)).id
    except Conflict:
        return "card_taken", None
    except NotFound:
        return "user_gone", None
    except Problem:
        return "invalid_card", None


def _command_of(fact: facts.AnyFact) -> int | None:
    return fact.command if isinstance(fact, facts.AccessDecided | facts.CardPresented) else None


def _news(hints: Hints, command: int) -> Callable[[], None]:
    return lambda: hints.give(link.command_topic(command))
