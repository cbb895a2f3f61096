"""Who looks at the website: people with their roles, each logged in with a browser of their own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from tests.sdk.town import Town

from latchwork.sdk.client import Credentials
from latchwork.web.app import Website
from latchwork.wire.api.people import UserDraft
from latchwork.wire.api.sessions import PasswordChoice

PASSWORD = "correct horse battery"
ORIGIN = "http://localhost:8080"


def stranger(web: Any, host: str = "localhost:8080", **options: Any) -> httpx2.AsyncClient:
    """A browser without a session."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(web), base_url=f"http://{host}", **options)


async def employ(
    town: Town, name: str, roles: Sequence[str] = ("super_admin",), *, who: Credentials | None = None, **more: Any
) -> int:
    """A user who can log in as `<name>@example.org`; their id."""
    client = town.client(who or town.alice)
    draft = UserDraft(name, email=f"{name.lower()}@example.org", roles=list(roles), **more)  # type: ignore[arg-type]
    user = await client.add_user(draft)
    invitation = await client.invite_user(user.id)
    await client.choose_password(PasswordChoice(invitation.url.rpartition("/")[2], PASSWORD))
    return user.id


async def log_in(http: httpx2.AsyncClient, name: str, password: str = PASSWORD) -> httpx2.Response:
    return await http.post("/log-in", data={"email": f"{name.lower()}@example.org", "password": password})


@asynccontextmanager
async def browser(
    town: Town, roles: Sequence[str] = ("super_admin",), *, web: Any = None, name: str = "Ada", **more: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """The browser of somebody new who is logged in."""
    await employ(town, name, roles, **more)
    async with stranger(web or Website(town.app)) as http:
        assert (await log_in(http, name)).status_code == 303
        yield http


async def send(http: httpx2.AsyncClient, path: str, page: str | None = None, **fields: Any) -> httpx2.Response:
    """Sends a form as the page (by default the form's own path) would: with its proof."""
    return await http.post(path, data={"csrf": proof_in((await http.get(page or path)).text), **fields})


def proof_in(html: str) -> str:
    """What a form of this page proves itself with."""
    found = re.search(r'name="csrf" value="(\w+)"', html)
    assert found is not None, "the page has no form"
    return found.group(1)
