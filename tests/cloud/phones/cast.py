"""Bob's phone: an app with its own key, that talks to the cloud as apps do."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey

from cloud.cast import PUBLIC_URL, Account, Client, Cloud
from latchwork.wire import p256
from latchwork.wire.api.phones import proof_bytes

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
USER = "urn:latchwork:params:oauth:token-type:user"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
TOKEN_URL = f"{PUBLIC_URL}/oauth2/token"


async def offered(cloud: Cloud, account: Account, user: int, **more: str) -> dict[str, Any]:
    """What the client cloud hands to its app."""
    form = {
        "grant_type": EXCHANGE,
        "subject_token": str(user),
        "subject_token_type": USER,
        "requested_token_type": REFRESH_TOKEN,
        "client_id": account.client_id,
        "client_secret": account.client_secret,
        **more,
    }
    response = await cloud.http.post("/oauth2/token", data=form)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@dataclass
class App:
    """An app in a phone: its session's key and token, and the phone's two keys."""

    cloud: Cloud
    user: int
    organisation: int
    refresh_token: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    tap: p256.PrivateKey = field(default_factory=p256.new_key)
    code: p256.PrivateKey = field(default_factory=p256.new_key)

    def proof(self, key: ECKey | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A fresh proof (RFC 9449 §4.2); `changes` of its claims, None: left out."""
        signer = key or self.key
        claims = {"htm": "POST", "htu": TOKEN_URL, "iat": int(time.time()), "jti": secrets.token_hex(8), **changes}
        said = {"typ": "dpop+jwt", "alg": "ES256", "jwk": signer.as_dict(private=False), **(header or {})}
        return jwt.encode(said, {k: v for k, v in claims.items() if v is not None}, signer)

    async def ask(self, token: str | None = None, proof: str | None = None, **more: str) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token or self.refresh_token, **more}
        return await self.cloud.http.post("/oauth2/token", data=form, headers={"dpop": proof or self.proof()})

    async def refresh(self, **more: str) -> Client:
        """The app with its next tokens."""
        response = await self.ask(**more)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
        self.refresh_token = answer["refresh_token"]
        return Client(self.cloud, self.organisation, answer["access_token"])

    def draft(self, **changes: Any) -> dict[str, Any]:
        """What enrols this phone."""
        tap, code = (p256.public_bytes(key.public_key()) for key in (self.tap, self.code))
        signed = proof_bytes(self.user, tap, code)
        return {
            "name": "Bob's Pixel",
            "tapKey": p256.b64url(tap),
            "codeKey": p256.b64url(code),
            "tapProof": p256.b64url(p256.sign(self.tap, signed)),
            "codeProof": p256.b64url(p256.sign(self.code, signed)),
            **changes,
        }

    @property
    def kids(self) -> set[str]:
        return {p256.kid(p256.public_bytes(key.public_key())).hex() for key in (self.tap, self.code)}

    @property
    def public_keys(self) -> list[bytes]:
        return [p256.public_bytes(key.public_key()) for key in (self.tap, self.code)]


async def installed(cloud: Cloud, account: Account, user: int, **more: str) -> App:
    """The app in a user's phone, with the token that its cloud handed to it."""
    token = (await offered(cloud, account, user, **more))["access_token"]
    return App(cloud, user, account.organisation, token)
