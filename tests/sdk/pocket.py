"""An app in a user's phone, as far as the client does not do its part."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey
from tests.sdk.town import CLOUD

from latchwork.sdk.client import Client
from latchwork.sdk.exchange import Call
from latchwork.wire import p256
from latchwork.wire.api.phones import PhoneDraft, proof_bytes


@dataclass
class AppOf:
    """A user's app, with the token that a client cloud has handed to it."""

    cloud: Client
    user: int
    refresh_token: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    @classmethod
    async def begun(cls, cloud: Client, user: int) -> AppOf:
        return cls(cloud, user, await cloud.begin_app_session(user))

    async def caller(self) -> Client:
        """Calls in the user's name, on the same way as the client cloud's."""
        http = self.cloud._exchange._http
        return Client.of_session(CLOUD, await self.token(), transport=http._transport)

    async def token(self) -> str:
        """Its access token."""
        claims = {"htm": "POST", "htu": f"{CLOUD}/oauth2/token", "iat": int(time.time()), "jti": os.urandom(8).hex()}
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        form = urlencode({"grant_type": "refresh_token", "refresh_token": self.refresh_token}).encode()
        headers = {"content-type": "application/x-www-form-urlencoded", "dpop": jwt.encode(header, claims, self.key)}
        answer = await self.cloud._exchange.answer(Call("POST", "/oauth2/token", content=form, headers=headers))
        return str(msgspec.json.decode(answer.content)["access_token"])

    def draft(self, name: str) -> PhoneDraft:
        """What enrols the phone, with new keys."""
        keys = [p256.new_key(), p256.new_key()]
        tap, code = (p256.public_bytes(key.public_key()) for key in keys)
        proofs = [p256.b64url(p256.sign(key, proof_bytes(self.user, tap, code))) for key in keys]
        return PhoneDraft(name, p256.b64url(tap), p256.b64url(code), *proofs)


async def phone_of(cloud: Client, user: int, name: str) -> tuple[int, int]:
    """(phone, app session) that a user has from now on."""
    app = await AppOf.begun(cloud, user)
    phone = await (await app.caller()).enrol_phone(app.draft(name))
    return phone.id, (await cloud.list_app_sessions(user))[0].id
