"""Use cases of controllers: their rows, their doors, their pass keys."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET

from latchwork.cloud.controllers import desired, store
from latchwork.cloud.controllers.model import PassKeyRow
from latchwork.cloud.events import service as events
from latchwork.cloud.events import store as event_log
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.seal import Seal
from latchwork.cloud.kernel.texts import name_errors
from latchwork.cloud.kernel.work import SYSTEM, Connection, Database, Scope, Work
from latchwork.cloud.sites import store as sites
from latchwork.wire import p256
from latchwork.wire.api.accounts import PassKey
from latchwork.wire.api.controllers import Controller, ControllerDraft, ControllerPatch, Rebuilt
from latchwork.wire.api.problems import Conflict, Invalid, NotFound
from latchwork.wire.pass_ import jwk

# ------------------------------------------------------------------------------------------------- controllers


async def add(work: Work, draft: ControllerDraft) -> Controller:
    """A new controller that waits for a program to enrol as it."""
    _check_name(draft.name)
    await event_log.lock(work.conn, work.scope)
    id = await store.add(work.conn, work.scope, draft.name, desired.GENERATION, work.now)
    work.touched.controllers.add(id)
    await _run_doors(work, id, draft.access_points)
    after = await store.get(work.conn, work.scope, id, work.now)
    events.record(work, "controller_created", f"controller/{id}", after=_lasting(after))
    return after


async def change(work: Work, id: int, patch: ControllerPatch) -> Controller:
    """Renames it, or gives it other doors; the doors it had and does not get have no controller then."""
    _check_name(patch.name)
    await event_log.lock(work.conn, work.scope)
    before = await store.get(work.conn, work.scope, id, work.now)
    if patch.name is not UNSET:
        await store.rename(work.conn, work.scope, id, patch.name)
    if patch.access_points is not UNSET:
        await _run_doors(work, id, patch.access_points)
    after = await store.get(work.conn, work.scope, id, work.now)
    if _lasting(after) != _lasting(before):
        subject = f"controller/{id}"
        events.record(work, "controller_changed", subject, before=_lasting(before), after=_lasting(after))
    return after


async def remove(work: Work, hints: Hints, id: int) -> None:
    """Its link ends, its doors have no controller."""
    await event_log.lock(work.conn, work.scope)
    controller = await store.get(work.conn, work.scope, id, work.now)
    await _run_doors(work, id, [])
    work.touched.doors.clear()  # nobody is left to tell
    await store.remove(work.conn, work.scope, id)
    work.after_commit.append(lambda: hints.give(desired.topic(id)))
    events.record(work, "controller_deleted", f"controller/{id}", before=_lasting(controller))


async def rebuild(work: Work, hints: Hints, registry: Sequence[desired.Compute], id: int) -> Rebuilt:
    """Computes the controller's whole state anew; what differed is changed and sent."""
    await store.get(work.conn, work.scope, id, work.now)
    work.touched.controllers.add(id)
    changed = await desired.bring_in_line(work, registry)
    work.after_commit.append(lambda: desired.give_news(hints, [controller for controller, _ in changed]))
    return Rebuilt(sum(records for _, records in changed))


async def compute_anew(database: Database, now: int) -> None:
    """Brings every controller in line whose state was computed by records of an older generation."""
    async with database.connection() as conn:
        outdated = await store.outdated(conn, desired.GENERATION)
    for organisation, controller in outdated:
        await database.run(Scope(organisation), SYSTEM, now, lambda work, id=controller: _compute_anew(work, id))  # type: ignore[misc]


async def _compute_anew(work: Work, id: int) -> None:
    await event_log.lock(work.conn, work.scope)
    if await store.note_generation(work.conn, work.scope, id, desired.GENERATION):
        work.touched.controllers.add(id)


async def accept_snapshot(work: Work, hints: Hints, id: int) -> Controller:
    """An administrator's word after the cloud was restored from a backup: the doors take the cloud's state as it is."""
    await store.get(work.conn, work.scope, id, work.now)
    if not await store.thaw(work.conn, work.scope, id):
        raise Conflict("This controller's state is not frozen; there is nothing to accept.")
    work.after_commit.append(lambda: hints.give(desired.topic(id)))
    events.record(work, "snapshot_accepted", f"controller/{id}")
    return await store.get(work.conn, work.scope, id, work.now)


async def _run_doors(work: Work, controller: int, doors: Sequence[int]) -> None:
    """The events are locked, which every change of a door ends with: what the controller has now, it keeps."""
    had = await sites.doors_of_controller(work.conn, work.scope, controller)
    await sites.lock_doors(work.conn, work.scope, sorted({*had, *doors}))
    await sites.assign_doors(work.conn, work.scope, controller, doors, work.now)
    work.touch_doors(*had, *doors)


def _check_name(name: object) -> None:
    if errors := name_errors(name):
        raise Invalid(errors=errors)


def _lasting(controller: Controller) -> dict[str, object]:
    """What of a controller belongs into the log: not what changes by itself."""
    return {"id": controller.id, "name": controller.name, "accessPoints": controller.access_points}


# ------------------------------------------------------------------------------------------------- pass keys


async def add_pass_key(work: Work, seal: Seal) -> PassKey:
    """A new key, staged: doors learn it now, passes are signed with it after its activation. The first is active."""
    rows = await store.pass_keys(work.conn, work.scope)
    key = p256.new_key()
    point = p256.public_bytes(key.public_key())
    sealed = seal.close(p256.private_bytes(key), f"pass {work.scope.organisation}")
    row = PassKeyRow(p256.kid(point), point, sealed, "staged" if rows else "active", work.now)
    await store.add_pass_key(work.conn, work.scope, row)
    work.touch("key", row.kid.hex())
    events.record(work, "pass_key_created", f"pass_key/{p256.b64url(row.kid)}")
    return await _pass_key(work.conn, work.scope, row)


async def activate_pass_key(work: Work, kid: str, accept_unconfirmed: bool) -> PassKey:
    """Passes are signed with it from now on; Conflict while a controller has not confirmed it, unless accepted."""
    rows = await store.lock_pass_keys(work.conn, work.scope)
    row = _find_key(rows, kid)
    if row.state == "active":
        return await _pass_key(work.conn, work.scope, row)
    if row.state == "retired":
        raise Conflict("This key was retired; make a new one.")
    missing = await store.unconfirmed(work.conn, work.scope, "key", row.kid.hex())
    if missing and not accept_unconfirmed:
        listed = ", ".join(map(str, missing))
        raise Conflict(f"Controllers {listed} have not confirmed this key; their doors would refuse what it signs.")
    for active in (r for r in rows if r.state == "active"):
        await store.set_pass_key_state(work.conn, work.scope, active.kid, "retired")
    await store.set_pass_key_state(work.conn, work.scope, row.kid, "active")
    events.record(work, "pass_key_activated", f"pass_key/{kid}", data={"unconfirmedControllers": missing})
    return await get_pass_key(work.conn, work.scope, kid)


async def remove_pass_key(work: Work, kid: str) -> None:
    """Every pass it signed is refused as soon as the doors know; the active key cannot be removed."""
    row = _find_key(await store.lock_pass_keys(work.conn, work.scope), kid)
    if row.state == "active":
        raise Conflict("This key signs the passes of today; activate another one first.")
    await store.remove_pass_key(work.conn, work.scope, row.kid)
    work.touch("key", row.kid.hex())
    events.record(work, "pass_key_deleted", f"pass_key/{kid}")


async def pass_keys(conn: Connection, scope: Scope) -> list[PassKey]:
    return [await _pass_key(conn, scope, row) for row in await store.pass_keys(conn, scope)]


async def get_pass_key(conn: Connection, scope: Scope, kid: str) -> PassKey:
    return await _pass_key(conn, scope, _find_key(await store.pass_keys(conn, scope), kid))


async def jwks(conn: Connection, organisation: int) -> dict[str, list[dict[str, str]]]:
    """The public keys with which anybody can check the organisation's passes (RFC 7517 §5)."""
    return {"keys": [jwk(row.public_key) for row in await store.pass_keys(conn, Scope(organisation))]}


def _find_key(rows: Sequence[PassKeyRow], kid: str) -> PassKeyRow:
    for row in rows:
        if p256.b64url(row.kid) == kid:
            return row
    raise NotFound


async def _pass_key(conn: Connection, scope: Scope, row: PassKeyRow) -> PassKey:
    return PassKey(
        kid=p256.b64url(row.kid),
        state=row.state,
        created_at=row.created_at,
        unconfirmed_controllers=await store.unconfirmed(conn, scope, "key", row.kid.hex()),
    )
