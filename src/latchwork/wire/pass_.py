"""The pass: the signed text inside a QR code. `docs/pass.md` explains it, `docs/pass-vectors.json` shows it.

`LW1:` + base45 (RFC 9285) of a COSE_Sign1 (RFC 9052 §4.2, tag 18) whose payload is a CWT claims set (RFC 8392), in
deterministic CBOR (RFC 8949 §4.2.1). The envelope and the two claims sets have one fixed shape each, so they are read
by a grammar of their bytes and not by a general decoder: whatever is not of that shape has no meaning here, and the
signature, checked last, is only ever checked over a text that would be good if it is genuine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Literal

import cbor2

from latchwork.policy.model import BrokenPass, VerifiedPass, VerifiedPhoneCode
from latchwork.policy.reasons import Reason
from latchwork.wire import base45, p256
from latchwork.wire.cose import to_be_signed

PREFIX: Final = "LW1:"
MAX_CHARACTERS: Final = 600
MAX_DOORS: Final = 64

_MEETING_CLAIM: Final = -65537
"""Private use (RFC 8392 §9.1): [visitor, meeting, the meeting's version, [doors as ascending differences]]."""

# Deterministic CBOR (RFC 8949 §4.2.1): an unsigned integer below 2^63 in its shortest form; an instant until 2106.
_UINT: Final = rb"(?:[\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....|\x1b(?!\x00{4})[\x00-\x7f].{7})"
_NUMBER: Final = b"(" + _UINT + b")"
_TIME: Final = rb"\x1a((?!\x00\x00)....)"
_PASS_ID: Final = rb"\x48(.{8})"
_STEPS: Final = rb"([\x80-\x97]|\x98[\x18-\x40])((?:(?!\x00)" + _UINT + rb")*)"

_ENVELOPE: Final = re.compile(
    rb"\xd2\x84"  # tag 18, an array of four
    rb"(\x4d\xa2\x01\x26\x04\x48(.{8}))"  # protected header {1: -7, 4: kid}, as a byte string
    rb"\xa0"  # unprotected header {}
    rb"([\x40-\x57]|\x58[\x18-\xff]|\x59(?!\x00)..)(.*)"  # payload, as a byte string: its head and its bytes
    rb"\x58\x40(.{64})",  # signature
    re.DOTALL,
)
_VISIT: Final = re.compile(
    b"".join(
        (
            rb"\xa5",
            rb"\x04" + _TIME,  # exp
            rb"\x05" + _TIME,  # nbf
            rb"\x06" + _TIME,  # iat
            rb"\x07" + _PASS_ID,  # cti
            rb"\x3a\x00\x01\x00\x00\x84" + _NUMBER + _NUMBER + _NUMBER + _STEPS,  # _MEETING_CLAIM
        )
    ),
    re.DOTALL,
)
_PHONE_CODE: Final = re.compile(rb"\xa2\x06" + _TIME + rb"\x07" + _PASS_ID, re.DOTALL)
_UINTS: Final = re.compile(_UINT, re.DOTALL)


@dataclass(frozen=True, slots=True)
class PassKey:
    """A public key that may sign; `kind` fixes the one claims set that it may sign."""

    kid: bytes
    kind: Literal["organisation", "phone"]
    public: p256.PublicKey


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visitor's pass says. Instants are whole seconds since the epoch."""

    visitor: int
    meeting: int
    version: int
    doors: tuple[int, ...]
    """Access points, ascending, each once, at most `MAX_DOORS`."""
    issued_at: int
    not_before: int
    expires_at: int
    pass_id: bytes
    """8 random bytes: the identity of the pass."""


def sign_visit(visit: Visit, kid: bytes, key: p256.PrivateKey) -> str:
    """The text of a visitor's pass; raises ValueError when `verify` would refuse it for its form."""
    claims = {
        4: visit.expires_at,
        5: visit.not_before,
        6: visit.issued_at,
        7: visit.pass_id,
        _MEETING_CLAIM: [visit.visitor, visit.meeting, visit.version, _differences(visit.doors)],
    }
    payload = cbor2.dumps(claims)
    if _read_visit(payload) is None:
        raise ValueError("a pass cannot say this")
    return _sign(payload, kid, key)


def sign_phone_code(pass_id: bytes, issued_at: int, kid: bytes, key: p256.PrivateKey) -> str:
    """The text of a user's own code; raises ValueError when `verify` would refuse it for its form."""
    payload = cbor2.dumps({6: issued_at, 7: pass_id})
    if not _PHONE_CODE.fullmatch(payload):
        raise ValueError("a phone's code cannot say this")
    return _sign(payload, kid, key)


def verify(text: str, find_key: Callable[[bytes], PassKey | None]) -> VerifiedPass | VerifiedPhoneCode | BrokenPass:
    """What a text says when a key that `find_key` knows has signed it; otherwise why it is no pass. Never raises.

    The refusals, in order: `pass_too_long`; `pass_unreadable`, the text is not our envelope; `pass_unknown_key`;
    `pass_wrong_claims`, the payload is not, byte for byte, a claims set that this key may sign; `pass_forged`.

    The identity of a pass is its `pass_id`, not its text: (r, n − s) is as genuine a signature as (r, s), and a low s
    cannot be demanded because the keystores of phones and other COSE libraries do not make one.
    """
    if len(text) > MAX_CHARACTERS:
        return BrokenPass(Reason.PASS_TOO_LONG)
    envelope = _envelope(text)
    if envelope is None:
        return BrokenPass(Reason.PASS_UNREADABLE)
    protected, kid, head, payload, signature = envelope
    key = find_key(kid)
    if key is None:
        return BrokenPass(Reason.PASS_UNKNOWN_KEY)
    said = _read_visit(payload) if key.kind == "organisation" else _read_phone_code(payload, kid)
    if said is None:
        return BrokenPass(Reason.PASS_WRONG_CLAIMS)
    if not p256.verify(key.public, signature, to_be_signed(protected, head + payload)):
        return BrokenPass(Reason.PASS_FORGED)
    return said


def jwk(point: bytes) -> dict[str, str]:
    """The public JWK (RFC 7517) of a pass key given as its uncompressed point, 65 bytes; `kid` is base64url."""
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": p256.b64url(point[1:33]),
        "y": p256.b64url(point[33:]),
        "alg": "ES256",
        "use": "sig",
        "kid": p256.b64url(p256.kid(point)),
    }


def _sign(payload: bytes, kid: bytes, key: p256.PrivateKey) -> str:
    protected, body = b"\x4d\xa2\x01\x26\x04\x48" + kid, cbor2.dumps(payload)
    signature = p256.sign(key, to_be_signed(protected, body))
    data = b"\xd2\x84" + protected + b"\xa0" + body + b"\x58\x40" + signature  # the parts of _ENVELOPE, one by one
    text = PREFIX + base45.encode(data)
    if len(text) > MAX_CHARACTERS or _read_envelope(data) is None:
        raise ValueError("a pass of this size, or with such a kid, would be refused")
    return text


def _envelope(text: str) -> tuple[bytes, ...] | None:
    """(protected as an item, kid, the payload's head, payload, signature), or None when it is not our envelope."""
    if not text.startswith(PREFIX):
        return None
    try:
        data = base45.decode(text[len(PREFIX) :])
    except ValueError:
        return None
    return _read_envelope(data)


def _read_envelope(data: bytes) -> tuple[bytes, ...] | None:
    match = _ENVELOPE.fullmatch(data)
    if match is None or len(match[4]) != _argument(match[3]):
        return None
    return match.groups()


def _read_visit(payload: bytes) -> VerifiedPass | None:
    match = _VISIT.fullmatch(payload)
    if match is None:
        return None
    expires_at, not_before, issued_at, pass_id, visitor, meeting, version, count, steps = match.groups()
    doors = tuple(accumulate(map(_argument, _UINTS.findall(steps))))
    if len(doors) != _argument(count):
        return None
    return VerifiedPass(
        pass_id=pass_id,
        visitor=_argument(visitor),
        meeting=_argument(meeting),
        version=_argument(version),
        doors=doors,
        issued_at=int.from_bytes(issued_at, "big"),
        not_before=int.from_bytes(not_before, "big"),
        expires_at=int.from_bytes(expires_at, "big"),
    )


def _read_phone_code(payload: bytes, kid: bytes) -> VerifiedPhoneCode | None:
    match = _PHONE_CODE.fullmatch(payload)
    if match is None:
        return None
    return VerifiedPhoneCode(pass_id=match[2], key=kid, issued_at=int.from_bytes(match[1], "big"))


def _argument(head: bytes) -> int:
    """The number in an item's head, whatever its type (RFC 8949 §3)."""
    return head[0] & 31 if len(head) == 1 else int.from_bytes(head[1:], "big")


def _differences(doors: tuple[int, ...]) -> list[int]:
    return [high - low for low, high in pairwise((0, *doors))]
