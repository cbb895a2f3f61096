"""Members come, get other doors and leave: what each of it means in Latchwork.

Every step may be repeated after whatever interrupted it, and goes on where it ended.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from harbour_desk.members import hash_password
from harbour_desk.model import Member, Refused
from harbour_desk.store import Store
from latchwork.sdk.client import Client
from latchwork.wire.api.people import Access, GrantDraft, PermissionsPatch, RoleName, UserDraft
from latchwork.wire.api.problems import NotFound

CLICK_RANGE: Final = 15
"""Metres."""


class NewMember(msgspec.Struct, frozen=True):
    name: str
    email: str
    password: str
    doors: list[int]
    """Latchwork's access points."""
    steers: bool = False
    """Whether they may hold doors open and lock them."""


@dataclass(frozen=True, slots=True)
class Membership:
    store: Store
    cloud: Client

    async def join(self, new: NewMember) -> None:
        """A member is a user of Latchwork with permissions for doors; who steers them administers their site.

        The key of the call is kept until the member is: a user whose making was not answered is found, not made twice.
        """
        if self.store.find_member(new.email) is not None:
            raise Refused(409, "There is a member with this e-mail.")
        sites = {(await self.cloud.get_access_point(door)).site_id for door in new.doors} if new.steers else set()
        roles: list[RoleName] = ["end_user", "site_admin"] if new.steers else ["end_user"]
        access = Access(remote=True, click_range=CLICK_RANGE)
        draft = UserDraft(new.name, roles=roles, admin_of_sites=sorted(sites), access=access, access_points=new.doors)
        user = await self.cloud.add_user(draft, idempotency_key=self.store.joining_key(new.email))
        self.store.add_member(new.name, new.email, hash_password(new.password), user.id)

    async def change_doors(self, email: str, give: Sequence[int], take: Sequence[int]) -> list[int]:
        """The doors whose controllers have not confirmed it yet: they are told as soon as they are online."""
        member = self._member(email)
        patch = PermissionsPatch(add=[GrantDraft(door) for door in give], remove=list(take))
        changed = await self.cloud.change_permissions(member.user_id, patch, wait="applied")
        return sorted(each.access_point_id for each in changed.permissions if each.state != "assigned")

    async def leave(self, email: str) -> None:
        """Their visits are off, their app and their phones open nothing any more, and they log in nowhere."""
        member = self._member(email)
        for visit in self.store.visits_of(member.id, ends_after=int(time.time())):
            with suppress(NotFound):
                await self.cloud.remove_meeting(visit.meeting_id)
        with suppress(NotFound):
            await self.cloud.remove_user(member.user_id)
        self.store.remove_member(member.id)

    def _member(self, email: str) -> Member:
        found = self.store.find_member(email)
        if found is None:
            raise Refused(404, "There is no member with this e-mail.")
        return found[0]
