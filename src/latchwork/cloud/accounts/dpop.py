"""Proofs that an app holds its key (DPoP, RFC 9449): pure."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, GuestProtocol

PROOF_SECONDS: Final = 60
"""How old a proof may be."""
LEEWAY: Final = 300
"""Seconds by which an app's clock may differ from ours."""
_LONGEST: Final = 4_096
_LONGEST_ID: Final = 200


class ProofRefused(Exception):
    """It proves nothing here and now; the text says why."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whoever sent it holds this key, and made it for this request."""

    thumbprint: str
    """Of the key (RFC 7638)."""
    digest: bytes
    """Of key and `jti`: no proof is good twice."""
    is_good_until: int
    """Epoch seconds after which `read` refuses it."""


def read(text: str | None, url: str, now: int) -> Proof:
    """The proof in a POST's `DPoP` header (RFC 9449 §4.3), whose time is judged here; raises ProofRefused."""
    if not text:
        raise ProofRefused("A DPoP header with a proof is needed.")
    if len(text) > _LONGEST:
        raise ProofRefused("The DPoP proof is too long.")
    try:
        proof = jwt.decode(text, _own_key, algorithms=["ES256"])
        key = _public_key(proof.header["jwk"])
    except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ProofRefused("The DPoP proof is no ES256 JWT that its own P-256 key has signed.") from None
    claims = proof.claims
    if proof.header.get("typ") != "dpop+jwt":
        raise ProofRefused("A DPoP proof's typ is dpop+jwt.")
    if claims.get("htm") != "POST" or claims.get("htu") != url:
        raise ProofRefused(f"The DPoP proof is for another request; this one is htm POST, htu {url}.")
    id, made_at = claims.get("jti"), claims.get("iat")
    if not isinstance(id, str) or not 0 < len(id) <= _LONGEST_ID:
        raise ProofRefused(f"A DPoP proof has a jti of 1 to {_LONGEST_ID} characters.")
    if not isinstance(made_at, int | float) or not now - PROOF_SECONDS - LEEWAY <= made_at <= now + LEEWAY:
        raise ProofRefused("The DPoP proof was not made just now; check the clock and make a new one.")
    thumbprint = key.thumbprint()
    digest = sha256(f"{thumbprint}\0{id}".encode("utf-8", "replace")).digest()
    return Proof(thumbprint, digest, int(made_at) + 1 + PROOF_SECONDS + LEEWAY)


def _own_key(proof: GuestProtocol) -> ECKey:
    return _public_key(proof.headers()["jwk"])


def _public_key(jwk: Any) -> ECKey:
    """Of a P-256 key, without the private half; raises ValueError, or what the key's own reading raises."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or "d" in jwk:
        raise ValueError("no public P-256 key")
    return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
