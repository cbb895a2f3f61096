"""Use cases of sites and doors."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.bodies import given
from latchwork.cloud.kernel.versions import Versions, check_known
from latchwork.cloud.kernel.work import Work
from latchwork.cloud.sites import rules, store
from latchwork.wire.api.problems import Conflict
from latchwork.wire.api.sites import (
    AccessPoint,
    AccessPointDraft,
    AccessPointPatch,
    Site,
    SiteDraft,
    SitePatch,
)


async def add_site(work: Work, draft: SiteDraft) -> Site:
    rules.check_site(draft)
    site = await store.add_site(work.conn, work.scope, draft, work.now)
    events.record(work, "site_created", f"site/{site.id}", after=site)
    return site


async def change_site(work: Work, id: int, patch: SitePatch, known: Versions = None) -> Site:
    """Raises Outdated when the site's version is none of those that are known."""
    rules.check_site(patch)
    before = await store.lock_site(work.conn, work.scope, id)
    check_known(known, before)
    after = msgspec.structs.replace(before, **given(patch))
    if after == before:
        return before
    after = msgspec.structs.replace(after, version=before.version + 1, updated_at=work.now)
    await store.change_site(work.conn, work.scope, after)
    if after.timezone != before.timezone:
        work.touch("door", *[door.id for door in await store.page_doors(work.conn, work.scope, id, 0, 2**31 - 1)])
    events.record(work, "site_changed", f"site/{id}", before=before, after=after)
    return after


async def remove_site(work: Work, id: int) -> None:
    site = await store.lock_site(work.conn, work.scope, id)
    if dependents := await store.find_dependents(work.conn, work.scope, id):
        raise Conflict(rules.STILL_NEEDED[dependents])
    await store.remove_site(work.conn, work.scope, id)
    events.record(work, "site_deleted", f"site/{id}", before=site)


async def add_door(work: Work, draft: AccessPointDraft) -> AccessPoint:
    rules.check_door(draft)
    rules.check_ids(site=draft.site_id, controller=draft.controller_id)
    door = await store.add_door(work.conn, work.scope, draft, work.now)
    work.touch_doors(door.id)
    events.record(work, "access_point_created", f"access_point/{door.id}", after=door)
    return door


async def change_door(work: Work, id: int, patch: AccessPointPatch, known: Versions = None) -> AccessPoint:
    """Raises Outdated when the door's version is none of those that are known."""
    rules.check_door(patch)
    rules.check_ids(controller=patch.controller_id)
    if patch.controller_id is not UNSET:
        rules.check_may_rewire(work.scope)
    before = await store.lock_door(work.conn, work.scope, id)
    check_known(known, before)
    after = msgspec.structs.replace(before, **given(patch))
    if after == before:
        return before
    after = msgspec.structs.replace(after, version=before.version + 1, updated_at=work.now)
    await store.change_door(work.conn, work.scope, after)
    if after.controller_id == before.controller_id:
        work.touch("door", id)
    else:
        work.touch_doors(id)
    events.record(work, "access_point_changed", f"access_point/{id}", before=before, after=after)
    return after


async def remove_door(work: Work, id: int) -> None:
    """The door is gone: from its controller, and from every meeting."""
    door = await store.lock_door(work.conn, work.scope, id)
    await store.remove_door(work.conn, work.scope, id)
    work.touch_doors(id)
    events.record(work, "access_point_deleted", f"access_point/{id}", before=door)
