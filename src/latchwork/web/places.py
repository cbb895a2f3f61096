"""Where things are: the organisation's sites and controllers, as the website needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from latchwork.sdk.client import Client, Listing
from latchwork.wire.api.controllers import Controller
from latchwork.wire.api.problems import Forbidden
from latchwork.wire.api.sites import Site

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Places:
    """Sites and controllers by id."""

    sites: Mapping[int, Site]
    controllers: Mapping[int, Controller]

    def zone(self, site: int | None) -> tzinfo:
        """A site's time zone; where there is no site the first one's, and without any UTC."""
        found = self.sites.get(site) if site is not None else next(iter(self.sites.values()), None)
        try:
            return ZoneInfo(found.timezone) if found else UTC
        except (ZoneInfoNotFoundError, ValueError):
            return UTC

    def site_name(self, site: int | None) -> str:
        """A site's name, where there is more than one to confuse it with."""
        found = self.sites.get(site) if site is not None and len(self.sites) > 1 else None
        return found.name if found else ""


NOWHERE: Final = Places({}, {})
"""For somebody who may not read sites."""


async def places(cloud: Client) -> Places:
    """As they are now."""
    sites, controllers = await asyncio.gather(everything(cloud.page_sites()), _controllers(cloud))
    return Places({site.id: site for site in sites}, {controller.id: controller for controller in controllers})


async def _controllers(cloud: Client) -> list[Controller]:
    """None for somebody who may not read them."""
    try:
        return await everything(cloud.page_controllers())
    except Forbidden:
        return []


async def everything(listing: Listing[T]) -> list[T]:
    return [item async for item in listing]
