"""A backend that keeps its people in step over the SAAMS wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from cloud.cast import Account

T = TypeVar("T")
LISTS = ("permissionAssigned", "permissionNotAssigned", "pendingPermissions")


@dataclass
class Integrator:
    http: httpx2.AsyncClient
    account: Account
    scheme: str = "Bearer "

    @property
    def o(self) -> int:
        return self.account.organisation

    @property
    def users(self) -> str:
        return f"/userManagement/integrator/v1/organisations/{self.o}/users"

    @property
    def legacy(self) -> str:
        return f"/v2/organisationManagement/integrator/organisations/{self.o}/users"

    @property
    def form(self) -> str:
        return f"/userManagement/integrator/v1/organisations/{self.o}/formData"

    def permissions(self, user: int) -> str:
        return f"/accessManagementV3/integrator/v1/organisations/{self.o}/users/{user}/permissions"

    def permissions_v4(self, user: int) -> str:
        return f"/organisationManagement/v4/organisations/{self.o}/users/{user}/permissions"

    def door(self, door: int, integrator: str = "integrator/") -> str:
        return f"/accessManagementV3/{integrator}v1/organisations/{self.o}/accessPoint/{door}/users/permissions"

    def card(self, user: int, verb: str = "assignCredential") -> str:
        return f"/organisationManagement/v1/organisations/{self.o}/users/{user}/{verb}"

    async def call(self, method: str, path: str, body: object = None) -> httpx2.Response:
        content = {} if body is None else {"json": body}
        headers = {"authorization": self.scheme + self.account.token}
        return await self.http.request(method, path, headers=headers, **content)

    async def good(self, method: str, path: str, body: object = None) -> Any:
        """The message of a success: HTTP 200, always."""
        response = await self.call(method, path, body)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer.keys() == {"type", "message"}
        assert answer["type"] == "success"
        return answer["message"]

    async def bad(self, status: int, method: str, path: str, body: object = None) -> str:
        """The sentence of an error with its true HTTP status."""
        response = await self.call(method, path, body)
        assert response.status_code == status, response.text
        answer = response.json()
        assert answer.keys() == {"type", "message"}
        assert answer["type"] == "error"
        assert answer["message"].keys() == {"errorCode", "errorMessage"}
        assert type(answer["message"]["errorCode"]) is int
        sentence = answer["message"]["errorMessage"]
        assert len(sentence) > 8
        assert sentence.endswith(".")
        return str(sentence)

    async def create(self, name: str = "Bob", **more: Any) -> int:
        made = await self.good("POST", f"{self.users}/create", {"name": name, **more})
        return int(made["userIds"][0])

    async def update(self, **fields: Any) -> None:
        assert isinstance(await self.good("PATCH", f"{self.users}/update", {"users": [fields]}), str)

    async def refused(self, status: int, **fields: Any) -> str:
        return await self.bad(status, "PATCH", f"{self.users}/update", {"users": [fields]})

    async def list(self, **filters: Any) -> list[dict[str, Any]]:
        page = await self.good("POST", self.users, {"filters": filters})
        assert page["pagination"]["total"] == len(page["users"])
        return list(page["users"])

    async def ids(self, **filters: Any) -> list[int]:
        return [user["id"] for user in await self.list(**filters)]

    async def user(self, id: int) -> dict[str, Any]:
        return next(user for user in await self.list() if user["id"] == id)

    async def roles(self) -> dict[str, int]:
        listed = (await self.good("GET", f"{self.form}?roles=roles"))["roles"]
        return {role["name"]: role["id"] for role in listed}

    async def standing(self, user: int, **body: Any) -> dict[str, list[int]]:
        """The three lists by their ids; a door stands in exactly one."""
        message = await self.good("POST", self.permissions(user), body)
        assert message.keys() == set(LISTS)
        found = {name: [item["id"] for item in message[name]] for name in LISTS}
        together = [id for ids in found.values() for id in ids]
        assert len(together) == len(set(together))
        return found

    async def change(self, user: int, add: object = (), remove: object = (), **more: Any) -> None:
        body = {"permissionsToAdd": list(add), "permissionsToRemove": list(remove), **more}  # type: ignore[call-overload]
        assert isinstance(await self.good("PATCH", self.permissions(user), body), str)


async def until(look: Callable[[], Awaitable[T]], expected: T, seconds: float = 20) -> None:
    """Looks until it is as expected."""
    found = await look()
    for _ in range(int(seconds / 0.02)):
        if found == expected:
            return
        await asyncio.sleep(0.02)
        found = await look()
    assert found == expected
