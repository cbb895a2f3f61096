"""Members and rooms from a file: those that are not there yet are made, here and in Latchwork."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from harbour_desk.members import hash_password
from harbour_desk.store import Store
from latchwork.sdk.client import Client
from latchwork.wire.api.people import Access, RoleName, UserDraft

CLICK_RANGE = 15
"""Metres."""


class NewRoom(msgspec.Struct, frozen=True):
    name: str
    doors: list[int]
    """Latchwork's access points on the way there, the room's own last."""


class NewMember(msgspec.Struct, frozen=True):
    name: str
    email: str
    password: str
    doors: list[int]
    steers: bool = False
    """Whether they may hold doors open and lock them."""


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
            await _add_member(member, store, cloud)


async def _add_room(room: NewRoom, store: Store, cloud: Client) -> None:
    site = await cloud.get_site((await cloud.get_access_point(room.doors[-1])).site_id)
    address = ", ".join(part for part in (site.name, site.location) if part)
    store.add_room(room.name, room.doors, site.timezone, address)


async def _add_member(member: NewMember, store: Store, cloud: Client) -> None:
    """A member is a user of Latchwork with permissions for doors; who steers them administers their site."""
    access = Access(remote=True, click_range=CLICK_RANGE)
    sites = {(await cloud.get_access_point(door)).site_id for door in member.doors} if member.steers else set()
    roles: list[RoleName] = ["end_user", "site_admin"] if member.steers else ["end_user"]
    draft = UserDraft(member.name, roles=roles, admin_of_sites=sorted(sites), access=access, access_points=member.doors)
    key = sha256(member.email.casefold().encode()).hexdigest()
    user = await cloud.add_user(draft, idempotency_key=f"harbour-desk-member-{key}")
    store.add_member(member.name, member.email, hash_password(member.password), user.id)
