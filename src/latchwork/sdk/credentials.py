"""Who asks for a token, with which words, and what the answer grants (RFC 6749, RFC 8693)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus, urlencode

import httpx2
import msgspec

from latchwork.sdk.answers import UnexpectedAnswer, token_problem_of
from latchwork.sdk.calls import Call

PATH: Final = "/oauth2/token"
CLIENT_CREDENTIALS: Final = {"grant_type": "client_credentials"}
"""What asks for a client's own token (RFC 6749 §4.4.2)."""
EARLY: Final = 30.0
"""Seconds before its end in which a token is no longer begun with (a tenth of its life when that is less)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API client's id and secret."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header, each part form-encoded (RFC 6749 §2.3.1)."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
        return f"Basic {b64encode(pair.encode()).decode()}"


class Granted(msgspec.Struct):
    """RFC 6749 §5.1."""

    access_token: str
    expires_in: int

    @property
    def begun_with(self) -> float:
        """Seconds for which calls may be begun with it."""
        return self.expires_in - min(EARLY, self.expires_in / 10)


_granted: Final = msgspec.json.Decoder(Granted)


def exchanged_for(user: int) -> dict[str, str]:
    """What asks for a user's token (RFC 8693 §2.1)."""
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": str(user),
        "subject_token_type": "urn:latchwork:params:oauth:token-type:user",
    }


def offered_to(user: int, scopes: Collection[str]) -> dict[str, str]:
    """What asks for a one-time token for a user's app (RFC 8693 §2.1)."""
    kind = "urn:ietf:params:oauth:token-type:refresh_token"
    wanted = {"scope": " ".join(scopes)} if scopes else {}
    return {**exchanged_for(user), "requested_token_type": kind, **wanted}


def asking(form: Mapping[str, str]) -> Call:
    """The call for a token."""
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Call("POST", PATH, content=urlencode(form).encode(), headers=headers)


def granted(response: httpx2.Response) -> Granted:
    """The token in an answer; raises Unauthorized for a wrong id or secret, Invalid for no such user."""
    if response.status_code != 200:
        raise token_problem_of(response)
    try:
        return _granted.decode(response.content)
    except msgspec.MsgspecError:
        raise UnexpectedAnswer("The token endpoint's answer holds no token.") from None
