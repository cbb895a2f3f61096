"""Who may come in: sessions as cookies, and the cloud in the name of whoever holds one."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, unquote

from litestar import Request, Response

from latchwork.sdk.client import Client
from latchwork.web.catalogue import chosen, say_in
from latchwork.web.look import Look, csrf_of
from latchwork.wire.api.problems import Unauthorized
from latchwork.wire.api.sessions import LogIn, NewSession

MOST_CLIENTS: Final = 256
"""How many sessions' clients are remembered."""

ClientOf = Callable[[str | None, str], Client]
"""A client of the cloud with a session's token (None: without), calling from an address."""


class Entrance:
    """Knows sessions by their cookie. `secure`: the website is reached by https alone."""

    def __init__(self, client_of: ClientOf, secure: bool, proxy_trusted: bool) -> None:
        self._client_of = client_of
        self.secure = secure
        self._proxy_trusted = proxy_trusted
        self._cookie = "__Host-latchwork" if secure else "latchwork"
        self._known: OrderedDict[bytes, Client] = OrderedDict()

    async def look(self, request: Request[Any, Any, Any]) -> Look:
        """Who asks; raises Unauthorized when nobody is logged in there."""
        session = self._session(request)
        if session is None:
            raise Unauthorized
        cloud = self._client(session, self.address(request))
        who = await cloud.whoami()
        language = chosen(request.headers.get("accept-language", ""))
        return Look(cloud, who, say_in(language), language, session, csrf_of(session, who), request)

    async def is_in(self, request: Request[Any, Any, Any]) -> bool:
        """Whether somebody is logged in there."""
        try:
            await self.look(request)
        except Unauthorized:
            return False
        return True

    def guest(self, request: Request[Any, Any, Any]) -> Client:
        """The cloud for somebody who is not logged in."""
        return self._client_of(None, self.address(request))

    async def log_in(self, request: Request[Any, Any, Any], email: str, password: str) -> NewSession:
        """Raises what the cloud answers."""
        device = device_of(request.headers.get("user-agent", ""))
        return await self.guest(request).log_in(LogIn(email, password, device))

    def let_in(self, response: Response[Any], session: NewSession) -> Response[Any]:
        """The browser is logged in from now on."""
        seconds = max(1, session.expires_at - int(time.time()))
        response.set_cookie(
            self._cookie,
            session.token,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self.secure,
            max_age=seconds,
        )
        return response

    def let_out(self, request: Request[Any, Any, Any], response: Response[Any]) -> Response[Any]:
        """The browser is logged out from now on."""
        if session := self._session(request):
            self._known.pop(sha256(session.encode()).digest(), None)
        response.delete_cookie(self._cookie, path="/")
        return response

    def send_away(self, response: Response[Any], state: str, next: str) -> Response[Any]:
        """The browser goes to sign in elsewhere; it alone may come back with this state, and goes on to `next`."""
        value = f"{state} {quote(next)}"
        response.set_cookie(
            self._cookie + "-away", value, path="/", httponly=True, samesite="lax", secure=self.secure, max_age=600
        )
        return response

    def sent_away(self, request: Request[Any, Any, Any]) -> tuple[str, str]:
        """(state, next) of a browser that was sent away; empty when it was not."""
        state, _, next = (request.cookies.get(self._cookie + "-away") or "").partition(" ")
        return state, unquote(next)

    def address(self, request: Request[Any, Any, Any]) -> str:
        """The browser's, as the cloud takes it to be: behind a proxy that is trusted what that says."""
        forwarded = request.headers.get("x-forwarded-for") if self._proxy_trusted else None
        if forwarded:
            return forwarded.rpartition(",")[2].strip()
        return request.client.host if request.client else ""

    def _session(self, request: Request[Any, Any, Any]) -> str | None:
        return request.cookies.get(self._cookie) or None

    def _client(self, session: str, address: str) -> Client:
        """Bounded. Who is forgotten may still be reading: nothing is closed, for the transport is everybody's."""
        key = sha256(session.encode()).digest()
        client = self._known.get(key)
        if client is None:
            client = self._known[key] = self._client_of(session, address)
            if len(self._known) > MOST_CLIENTS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return client


_BROWSERS: Final = ("Edg", "OPR", "Firefox", "Chrome", "Safari")
_SYSTEMS: Final = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Mac OS": "Mac", "Windows": "Windows", "Linux": "Linux",
}  # fmt: skip


def device_of(user_agent: str) -> str:
    """A few words for the list of sessions: "Firefox on Linux"."""
    browser = next((name for name in _BROWSERS if f"{name}/" in user_agent), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in user_agent), "")
    name = {"Edg": "Edge", "OPR": "Opera"}.get(browser, browser)
    return " on ".join(part for part in (name, system) if part) or "Unknown device"


def is_allowed(host: str, allowed: Collection[str] | None) -> bool:
    """Whether a Host header names us (against DNS rebinding); None: every name is ours."""
    return allowed is None or host_name(host) in allowed


def host_name(host: str) -> str:
    """The name in a Host header, without its port (RFC 9110 §7.2)."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
