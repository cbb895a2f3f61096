"""Members and rooms from a file: those that are not there yet are made, here and in Latchwork."""

from __future__ import annotations

import msgspec

from harbour_desk.membership import Membership, NewMember
from harbour_desk.store import Store
from latchwork.sdk.client import Client


class NewRoom(msgspec.Struct, frozen=True):
    name: str
    doors: list[int]
    """Latchwork's access points on the way there, the room's own last."""


class Seed(msgspec.Struct, frozen=True):
    rooms: list[NewRoom]
    members: list[NewMember]


async def sow(seed: Seed, store: Store, cloud: Client) -> None:
    """Raises what the client raises; a repeat goes on where it ended."""
    known = {room.name for room in store.rooms()}
    for room in seed.rooms:
        if room.name not in known:
            await _add_room(room, store, cloud)
    for member in seed.members:
        if store.find_member(member.email) is None:
            await Membership(store, cloud).join(member)


async def _add_room(room: NewRoom, store: Store, cloud: Client) -> None:
    site = await cloud.get_site((await cloud.get_access_point(room.doors[-1])).site_id)
    address = ", ".join(part for part in (site.name, site.location) if part)
    store.add_room(room.name, room.doors, site.timezone, address)
