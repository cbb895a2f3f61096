"""Who may see the website: everybody on this machine (demo), or whoever knows an API client's id and secret."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Final

from latchwork.sdk.client import Client, Credentials
from latchwork.wire.api.problems import Unauthorized

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_CLIENTS: Final = 64
"""How many pairs of credentials are remembered, each with its token."""


class Entrance:
    """Finds the client in whose name a page is made."""

    def __init__(self, client_of: Callable[[Credentials, str], Client], open_as: Credentials | None) -> None:
        self._client_of = client_of
        self._host = client_of(open_as, "127.0.0.1") if open_as else None
        self._known: OrderedDict[bytes, Client] = OrderedDict()

    @property
    def is_open(self) -> bool:
        """Whether everybody may come in."""
        return self._host is not None

    async def client(self, authorization: str | None, address: str) -> Client:
        """The client of an HTTP Basic header (RFC 7617) from an address; raises Unauthorized. Open: asks for none."""
        if self._host is not None:
            return self._host
        key = sha256((authorization or "").encode()).digest()
        if key not in self._known:
            self._remember(key, await self._proven(basic(authorization), address))
        self._known.move_to_end(key)
        return self._known[key]

    async def _proven(self, credentials: Credentials, address: str) -> Client:
        client = self._client_of(credentials, address)
        await client.whoami()
        return client

    def _remember(self, key: bytes, client: Client) -> None:
        """Bounded. Who is forgotten may still be reading: nothing is closed, for the transport is everybody's."""
        self._known[key] = client
        if len(self._known) > MOST_CLIENTS:
            self._known.popitem(last=False)


def basic(authorization: str | None) -> Credentials:
    """The credentials in an HTTP Basic header; raises Unauthorized."""
    scheme, _, value = (authorization or "").partition(" ")
    try:
        name, colon, secret = b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized from None
    if scheme.lower() != "basic" or not (colon and name and secret):
        raise Unauthorized
    return Credentials(name, secret)


def is_allowed(host: str, allowed: Collection[str] | None) -> bool:
    """Whether a Host header names us (against DNS rebinding); None: every name is ours."""
    return allowed is None or host_name(host) in allowed


def host_name(host: str) -> str:
    """The name in a Host header, without its port (RFC 9110 §7.2)."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
