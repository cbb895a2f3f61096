"""Use cases of phones: enrolled by their users, taken away, and what they carry to work without a network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from latchwork.cloud.accounts import app_sessions
from latchwork.cloud.accounts import store as accounts
from latchwork.cloud.controllers import readers
from latchwork.cloud.controllers import store as controllers
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.work import Work
from latchwork.cloud.people import store as people
from latchwork.cloud.people.rules import check_reaches_no_further
from latchwork.cloud.phones import rules, store
from latchwork.cloud.phones.model import Enrolled
from latchwork.wire import p256
from latchwork.wire.api.people import User
from latchwork.wire.api.phones import (
    Keyring,
    KeyringDoor,
    Phone,
    PhoneDraft,
    PhoneLimitReached,
    PhoneLocked,
    ReaderKey,
)
from latchwork.wire.api.problems import Conflict, FieldError, Invalid, NotFound, Unauthorized


async def enrol(work: Work, user: int, session: int, draft: PhoneDraft) -> Phone:
    """The phone in which this session runs; the same keys again are the same phone.

    Raises Invalid, Conflict when one of its keys is another phone's, PhoneLimitReached, PhoneLocked, Unauthorized.
    """
    keys = rules.keys_of(draft, user)
    await people.hold(work.conn, work.scope.whole, [user])
    if await accounts.lock_app_session(work.conn, work.scope, user, session, work.now) is None:
        raise Unauthorized("This session is over; please log in.")
    enrolled = await store.list_enrolled(work.conn, work.scope, user)
    same = next((each for each in enrolled if each.kids == {key.kid for key in keys}), None)
    former = _replaced(enrolled, session, draft.replaces, same)
    if same is None:
        await _check_number(work, user, len(enrolled) - len(former), bool(former))
    elif former:
        await _check_lock(work, user)
    for each in former:
        await _remove(work, user, each, "replaced", keep=session)
    if same is not None:
        return await _again(work, user, session, same, draft.name)
    id = await store.add_phone(work.conn, work.scope, user, draft.name, session, keys, work.now)
    if id is None:
        raise Conflict("One of these keys was enrolled before; make new ones.")
    work.touch("phone", *(key.kid for key in keys))
    events.record(work, "phone_enrolled", f"user/{user}", data=await _named(work, user, id))
    return await store.get_phone(work.conn, work.scope, user, id)


def _replaced(
    enrolled: Sequence[Enrolled], session: int, replaces: int | None, same: Enrolled | None
) -> list[Enrolled]:
    """The phones that give way: the one that is named, and the one that was this session's."""
    if replaces is not None and not any(each.id == replaces for each in enrolled):
        raise Invalid(errors=[FieldError("replaces", "You have no such phone.")])
    return [each for each in enrolled if each is not same and (each.id == replaces or each.session == session)]


async def _check_number(work: Work, user: int, others: int, replaces: bool) -> None:
    """Raises PhoneLocked or PhoneLimitReached for one phone more beside these others."""
    if others or replaces:
        await _check_lock(work, user)
    if others >= (await accounts.get_tenant(work.conn, work.scope)).organisation.phones_per_user:
        raise PhoneLimitReached


async def _check_lock(work: Work, user: int) -> None:
    """Raises PhoneLocked for somebody who may not change their phones themselves."""
    if (await people.get_user(work.conn, work.scope.whole, user)).access.device_lock:
        raise PhoneLocked


async def _again(work: Work, user: int, session: int, phone: Enrolled, name: str) -> Phone:
    """The phone's present session takes over from a former one."""
    if phone.session not in (None, session):
        await _end_session(work, user, phone.session, "replaced")
    await store.bind_phone(work.conn, work.scope, phone.id, name, session)
    return await store.get_phone(work.conn, work.scope, user, phone.id)


async def remove_own(work: Work, user: int, id: int) -> None:
    """Raises NotFound, PhoneLocked for somebody who is bound to their phone."""
    person = await people.get_user(work.conn, work.scope.whole, user)
    await people.hold(work.conn, work.scope.whole, [user])
    phone = await _find(work, user, id)
    if person.access.device_lock:
        raise PhoneLocked
    await _remove(work, user, phone, "phone_removed")


async def remove(work: Work, user: int, id: int) -> None:
    """Raises NotFound for who is out of reach, Forbidden for who reaches further than whoever asks."""
    await _hold(work, user)
    await _remove(work, user, await _find(work, user, id), "phone_removed")


async def _find(work: Work, user: int, id: int) -> Enrolled:
    for phone in await store.list_enrolled(work.conn, work.scope, user):
        if phone.id == id:
            return phone
    raise NotFound("There is no such phone.")


async def _remove(work: Work, user: int, phone: Enrolled, why: str, keep: int | None = None) -> None:
    """The doors forget its keys, and its session ends, but not the one that is kept."""
    data = await _named(work, user, phone.id)
    await store.remove_phone(work.conn, work.scope, phone.id)
    work.touch("phone", *phone.kids)
    events.record(work, "phone_removed", f"user/{user}", data=data)
    if phone.session not in (None, keep):
        await _end_session(work, user, phone.session, why)


async def _end_session(work: Work, user: int, session: int | None, why: str) -> None:
    with suppress(NotFound):
        if session is not None:
            await app_sessions.end(work, user, session, why)


async def _named(work: Work, user: int, id: int) -> dict[str, object]:
    named = await people.name_users(work.conn, work.scope, [user])
    phone = await store.get_phone(work.conn, work.scope, user, id)
    return {"userName": named[user][0], "phoneId": id, "phoneName": phone.name}


async def end_session(work: Work, user: int, id: int) -> None:
    """Raises NotFound for who is out of reach, Forbidden for who reaches further than whoever asks."""
    await _hold(work, user)
    await app_sessions.end(work, user, id, "revoked")


async def _hold(work: Work, user: int) -> None:
    [held] = await people.lock_users(work.conn, work.scope, [user])
    check_reaches_no_further(work.powers, held, None)


async def keyring(work: Work, seal: Seal, user: int, session: int | None) -> Keyring:
    """What the phone whose session asks carries; the organisation has a key for its readers from now on."""
    if not await controllers.reader_keys(work.conn, work.scope):
        await readers.ensure_signing_key(work, seal)
    person = await people.get_user(work.conn, work.scope.whole, user)
    id = None if session is None else await store.phone_of_session(work.conn, work.scope, session)
    keys = await controllers.reader_keys(work.conn, work.scope)
    organisation = (await accounts.get_tenant(work.conn, work.scope)).organisation
    return Keyring(
        organisation_id=organisation.id,
        organisation_name=organisation.name,
        user_id=user,
        user_name=person.name,
        at=work.now,
        phone=None if id is None else await store.get_phone(work.conn, work.scope, user, id),
        reader_keys=[ReaderKey(p256.b64url(key.kid), p256.b64url(key.public_key)) for key in keys],
        doors=await _doors(work, person, id),
    )


async def _doors(work: Work, person: User, phone: int | None) -> list[KeyringDoor]:
    rows = await store.keyring_doors(work.conn, work.scope, person.id, phone)
    return [
        KeyringDoor(
            access_point_id=row["id"],
            name=row["name"],
            zone=row["zone"],
            site_id=row["site_id"],
            site_name=row["site_name"],
            timezone=row["timezone"],
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            schedule=row["schedule"],
            allows=rules.uses(
                person.access,
                rules.steers_at(person.roles, person.admin_of_sites, row["site_id"]),
                row["certified"] and row["has_reader"],
                row["has_reader"],
                row["has_controller"],
            ),
            click_range=person.access.click_range,
            is_ready=row["is_ready"],
        )
        for row in rows
    ]
