"""Access history, remote unlock and door state."""

from __future__ import annotations

from typing import Any

from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.kernel.work import Work
from latchwork.cloud.passages import commands, service
from latchwork.cloud.passages.model import Search
from latchwork.cloud.saams import wire, wire_passages
from latchwork.cloud.saams.calls import call
from latchwork.cloud.saams.users import house_of
from latchwork.cloud.sites import store as sites
from latchwork.policy.reasons import Reason
from latchwork.wire.api.passages import DoorModeDraft, DoorOffline, Unlocked
from latchwork.wire.api.problems import NotFound

_LEGACY = "/v2/organisationManagement/integrator/organisations/{o}"
_ORGANISATION = "/organisationManagement"


async def _history(by: Caller, body: wire_passages.History) -> dict[str, Any]:
    part = wire.sliced(body.pagination)
    wanted = wire_passages.wanted(body.filters, await by.read(house_of)) if body.filters else Search(granted=True)
    found, total = await by.read(lambda c, s: service.search(c, s, wanted, part.skip, part.limit))
    listed, _ = await by.read(lambda c, s: sites.search_sites(c, s, "", 0, None))
    named = {site.id: site for site in listed}
    return {"accessHistory": [wire_passages.entry(p, named) for p in found], "pagination": part.answer(total)}


legacy_history = call("POST", f"{_LEGACY}/accessHistory", "events:read")(_history)
history = call("POST", _ORGANISATION + "/v11/organisations/{o}/accessHistory", "events:read")(_history)


@call("POST", _ORGANISATION + "/v2/organisations/{o}/accessPoint/{apId}/remoteUnlock", "doors:unlock")
async def remote_unlock(by: Caller, body: wire.Nothing, door: int) -> str:
    """Answers after the controller has confirmed."""
    hints = by.request.app.state.hints
    try:
        command = await by.change(lambda work: commands.unlock(work, hints, door, None))
        unlocked = await commands.until_unlocked(by, command)
    except DoorOffline:
        raise wire.DeviceOffline from None
    _raise_refused(unlocked)
    return "The door was opened."


def _raise_refused(unlocked: Unlocked) -> None:
    if unlocked.reason == Reason.LOCKDOWN.value:
        raise wire.LockedDown
    if unlocked.outcome != "done":
        raise wire.UnlockFailed(unlocked.sentence)


@call("PATCH", _ORGANISATION + "/v1/organisations/{o}/sites/{siteId}/accessPoint/{apId}/doorState", "doors:unlock")
async def door_state(by: Caller, body: wire_passages.DoorState, site: int, door: int) -> str:
    """From now on, until it is changed."""

    async def change(work: Work) -> None:
        found = await sites.get_door(work.conn, work.scope, door)
        if found.site_id != site:
            raise NotFound("There is no access point with this id at this site.")
        await service.set_mode(work, door, DoorModeDraft(body.door_state))

    await by.change(change)
    return f"The door is in the state {body.door_state}."


handlers = [legacy_history, history, remote_unlock, door_state]
