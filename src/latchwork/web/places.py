"""Where things are: the organisation's sites, doors and controllers, as the website needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final, TypeVar

from latchwork.policy.schedule import find_zone
from latchwork.sdk.client import Client, Listing
from latchwork.wire.api.controllers import Controller
from latchwork.wire.api.problems import Forbidden
from latchwork.wire.api.sites import AccessPoint, Site

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Places:
    """Sites, doors and controllers by id."""

    sites: Mapping[int, Site]
    doors: Mapping[int, AccessPoint]
    controllers: Mapping[int, Controller]

    def zone(self, site: int | None) -> tzinfo:
        """A site's time zone; where there is no site the first one's, and without any UTC."""
        found = self.sites.get(site) if site is not None else next(iter(self.sites.values()), None)
        return (find_zone(found.timezone) if found else None) or UTC

    def site_name(self, site: int | None) -> str:
        """A site's name, where there is more than one to confuse it with."""
        found = self.sites.get(site) if site is not None and len(self.sites) > 1 else None
        return found.name if found else ""


NOWHERE: Final = Places({}, {}, {})
"""For somebody who may not read sites."""


async def places(cloud: Client) -> Places:
    """As they are now; what the caller's role does not include is not there."""
    sites, doors, controllers = await asyncio.gather(
        allowed(cloud.page_sites()), allowed(cloud.page_access_points()), allowed(cloud.page_controllers())
    )
    return Places({s.id: s for s in sites}, {d.id: d for d in doors}, {c.id: c for c in controllers})


async def allowed(listing: Listing[T]) -> list[T]:
    """Everything, or nothing for somebody whose role does not include it."""
    try:
        return await everything(listing)
    except Forbidden:
        return []


async def everything(listing: Listing[T]) -> list[T]:
    return [item async for item in listing]
