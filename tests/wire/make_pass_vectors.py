"""Makes docs/pass-vectors.json: passes, codes and what is wrong with the broken ones.

It builds every byte with `cbor2` and `cryptography` alone, so it is a second witness and not a mirror of `wire.pass_`;
keys are fixed and signatures deterministic (RFC 6979), so the same file comes out every time:

    .venv/bin/python tests/wire/make_pass_vectors.py
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

FILE = Path(__file__).parents[2] / "docs" / "pass-vectors.json"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ISSUED = 1_800_000_000
PASS_ID = bytes.fromhex("c0ffee0000000001")


class Key:
    """A signing key derived from its owner's name: for tests only."""

    def __init__(self, owner: str, kind: str, known: bool) -> None:
        self.owner, self.kind, self.known = owner, kind, known
        scalar = int.from_bytes(hashlib.sha256(b"latchwork test key: " + owner.encode()).digest(), "big")
        self.private = ec.derive_private_key(scalar, ec.SECP256R1())
        numbers = self.private.public_key().public_numbers()
        self.x, self.y = (n.to_bytes(32, "big") for n in (numbers.x, numbers.y))
        thumbprint = cbor2.dumps({1: 2, -1: 1, -2: self.x, -3: self.y}, canonical=True)  # RFC 9679 §4
        self.kid = hashlib.sha256(thumbprint).digest()[:8]

    def sign(self, message: bytes) -> bytes:
        der = self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def record(self) -> dict[str, Any]:
        x, y, kid = (base64.urlsafe_b64encode(b).rstrip(b"=").decode() for b in (self.x, self.y, self.kid))
        jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "ES256", "use": "sig", "kid": kid}
        return {"owner": self.owner, "kind": self.kind, "known": self.known, "jwk": jwk}


ALICE = Key("Alice's organisation", "organisation", known=True)
CHARLIE = Key("Charlie's organisation", "organisation", known=False)
BOB = Key("Bob's phone", "phone", known=True)


def base45(data: bytes) -> str:
    text = ""
    for at in range(0, len(data), 2):
        group = data[at : at + 2]
        number = int.from_bytes(group, "big")
        for _ in range(len(group) + 1):
            number, digit = divmod(number, 45)
            text += ALPHABET[digit]
    return text


def text_of(data: bytes) -> str:
    return "LW1:" + base45(data)


def visit(doors: list[int], *, issued: int = ISSUED, begins: int = ISSUED - 900, ends: int = 0) -> dict[int, Any]:
    steps = [high - low for low, high in zip([0, *doors], doors, strict=False)]
    return {4: ends or issued + 60, 5: begins, 6: issued, 7: PASS_ID, -65537: [4321, 98765, 3, steps]}


def cose(
    claims: Any,
    key: Key = ALICE,
    *,
    protected: Any = None,
    unprotected: Any = None,
    payload: bytes | None = None,
    tag: int = 18,
    encode: Callable[[Any], bytes] = cbor2.dumps,
) -> bytes:
    """A COSE_Sign1, genuinely signed; every part of it can be replaced by a wrong one."""
    head = protected if isinstance(protected, bytes) else cbor2.dumps(protected or {1: -7, 4: key.kid})
    body = encode(claims) if payload is None else payload
    signature = key.sign(cbor2.dumps(["Signature1", head, b"", body]))
    return cbor2.dumps(cbor2.CBORTag(tag, [head, unprotected or {}, body, signature]))


def twin(data: bytes) -> bytes:
    """The same pass with its other genuine signature (r, n − s)."""
    return data[:-32] + (ORDER - int.from_bytes(data[-32:], "big")).to_bytes(32, "big")


FOUR = visit([1, 2, 5, 12])
GENUINE = cose(FOUR)
PAYLOAD = cbor2.dumps(FOUR)
BOBS = {6: ISSUED, 7: PASS_ID}
CODE = cose(BOBS, BOB)
LONG_FORMS = {  # of 23, 255, 65535 and 2^32 - 1
    "1 byte": b"\x18\x17",
    "2 bytes": b"\x19\x00\xff",
    "4 bytes": b"\x1a\x00\x00\xff\xff",
    "8 bytes": b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff",
}


def good() -> Iterator[tuple[str, str, bytes, dict[int, Any]]]:
    """(name, about, COSE bytes, claims)"""
    cases = [
        ("one door", "A dynamic pass: it expires 60 seconds after it was made.", visit([1])),
        ("four doors", "The worked example of pass.md. Doors 1, 2, 5 and 12.", FOUR),
        ("sixteen doors", "The QR code stays small.", visit(list(range(1, 32, 2)))),
        ("sixty-four doors", "As many as a pass may list.", visit(list(range(3, 64 * 3 + 1, 3)))),
        ("no door", "Genuine, and opens nothing.", visit([])),
        ("static", "It expires when the visit ends.", visit([1], ends=ISSUED + 7200)),
        ("before the visit", "Made before the visit begins, so it expires first.", visit([1], begins=ISSUED + 3600)),
    ]
    for name, about, claims in cases:
        yield name, about, cose(claims), claims
    large = visit([1]) | {-65537: [2**32, 2**63 - 1, 65536, [255, 256, 65535, 65536]]}
    yield "large numbers", "Every length of integer.", cose(large), large
    yield "the other signature", "(r, n − s) of the pass for four doors: as genuine as (r, s).", twin(GENUINE), FOUR
    yield "phone", "A user's own code, signed by the user's phone.", cose(BOBS, BOB), BOBS


def no_text() -> Iterator[tuple[str, str, str]]:
    text = text_of(GENUINE)
    yield "empty", "", "pass_unreadable"
    yield "prefix alone", "LW1:", "pass_unreadable"
    yield "no prefix", text[4:], "pass_unreadable"
    yield "prefix in lower case", "lw1:" + text[4:], "pass_unreadable"
    yield "another version", "LW2:" + text[4:], "pass_unreadable"
    yield "a web address", "https://example.org/", "pass_unreadable"
    yield "lower case", "LW1:" + text[4:].lower(), "pass_unreadable"
    yield "a space before", " " + text, "pass_unreadable"
    yield "a line end after", text + "\n", "pass_unreadable"
    yield "a zero character", text[:50] + "\0" + text[51:], "pass_unreadable"
    yield "a lone surrogate", text[:50] + "\ud800" + text[51:], "pass_unreadable"
    yield "cut by one character", text[:-1], "pass_unreadable"
    yield "cut by three characters", text[:-3], "pass_unreadable"
    yield "cut in half", text[: len(text) // 2], "pass_unreadable"
    yield "a group above 65535", text[:-5] + ":::" + text[-2:], "pass_unreadable"
    yield "601 characters", "LW1:" + "0" * 597, "pass_too_long"
    yield "a genuine pass that is too long", text_of(cose(visit([d << 40 for d in range(1, 65)]))), "pass_too_long"


def no_envelope() -> Iterator[tuple[str, bytes]]:
    head = cbor2.dumps({1: -7, 4: ALICE.kid})
    signature = GENUINE[-64:]
    yield "not CBOR", b"\xff" * 100
    yield "a trailing byte", GENUINE + b"\0"
    yield "a second pass behind it", GENUINE + GENUINE
    yield "no tag", GENUINE[1:]
    yield "COSE_Mac0", cose(FOUR, tag=17)
    yield "the CWT tag around it", b"\xd8\x3d" + GENUINE
    yield "a long form of the tag", b"\xd8\x12" + GENUINE[1:]
    yield "an array of five", cbor2.dumps(cbor2.CBORTag(18, [head, {}, PAYLOAD, signature, 0]))
    yield "an array without a fixed length", b"\xd2\x9f" + GENUINE[2:] + b"\xff"
    yield "a shared reference", b"\xd8\x1c\xd2\x84\xd8\x1d\0"
    yield "arrays in arrays", b"\x81" * 300
    yield "another algorithm", cose(FOUR, protected={1: -8, 4: ALICE.kid})
    yield "no algorithm", cose(FOUR, protected={4: ALICE.kid})
    yield "algorithm by name", cose(FOUR, protected={1: "ES256", 4: ALICE.kid})
    yield "no kid", cose(FOUR, protected={1: -7})
    yield "a short kid", cose(FOUR, protected={1: -7, 4: ALICE.kid[:4]})
    yield "kid before alg", cose(FOUR, protected={4: ALICE.kid, 1: -7})
    yield "one more protected header", cose(FOUR, protected={1: -7, 4: ALICE.kid, 16: 61})
    yield "alg twice", cose(FOUR, protected=b"\xa3\x01\x26\x01\x26\x04\x48" + ALICE.kid)
    yield "a trailing byte in the protected header", cose(FOUR, protected=head + b"\0")
    yield "no protected header", cose(FOUR, protected=b"\xa0")
    yield "kid in the unprotected map", cose(FOUR, protected={1: -7}, unprotected={4: ALICE.kid})
    yield "kid in both maps", cose(FOUR, unprotected={4: ALICE.kid})
    yield "something in the unprotected map", cose(FOUR, unprotected={-70000: 1})
    yield "no payload", cbor2.dumps(cbor2.CBORTag(18, [head, {}, None, signature]))
    yield "the payload as text", cbor2.dumps(cbor2.CBORTag(18, [head, {}, "payload", signature]))
    yield "a long form of the payload's length", GENUINE[:17] + b"\x59\x00" + GENUINE[18:]
    yield "a long form of a short payload's length", b"\x58\x11".join(CODE.split(b"\x51", 1))
    yield "a payload shorter than it says", GENUINE[:18] + bytes([GENUINE[18] + 1]) + GENUINE[19:]
    yield "a payload longer than it says", GENUINE[:18] + bytes([GENUINE[18] - 1]) + GENUINE[19:]
    yield "the payload in pieces", GENUINE[:17] + b"\x5f" + GENUINE[17:-66] + b"\xff" + GENUINE[-66:]
    yield "a signature of 63 bytes", cbor2.dumps(cbor2.CBORTag(18, [head, {}, PAYLOAD, signature[1:]]))
    der = ALICE.private.sign(b"", ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    yield "a signature in DER", cbor2.dumps(cbor2.CBORTag(18, [head, {}, PAYLOAD, der]))


def other_claims() -> Iterator[tuple[str, bytes]]:
    yield "a phone's key with a visitor's claims", cose(FOUR, BOB)
    yield "an organisation's key with a phone's claims", cose(BOBS)
    yield "a phone's code with an expiry", cose({4: ISSUED + 9999, **BOBS}, BOB)
    yield "one claim missing", cose({label: FOUR[label] for label in (4, 6, 7, -65537)})
    yield "one claim more", cose({2: "vic", **FOUR})
    yield "claims by name", cose({"exp": ISSUED + 60, "iat": ISSUED})
    yield "claims in another order", cose(dict(reversed(FOUR.items())))
    yield "a claim twice", cose(None, payload=b"\xa6" + PAYLOAD[1:7] + PAYLOAD[1:])
    yield "a trailing byte in the payload", cose(None, payload=PAYLOAD + b"\0")
    yield "a map without a fixed length", cose(None, payload=b"\xbf" + PAYLOAD[1:] + b"\xff")
    for length, form in LONG_FORMS.items():
        yield f"a visitor's number in a long form, {length}", cose(None, payload=PAYLOAD.replace(b"\x19\x10\xe1", form))
        yield f"a door in a long form, {length}", cose(None, payload=PAYLOAD[:-1] + form)
    yield "the number of doors in a long form", cose(None, payload=PAYLOAD[:-5] + b"\x98\x04" + PAYLOAD[-4:])
    yield "an instant in a long form", cose(None, payload=PAYLOAD.replace(b"\x05\x1a", b"\x05\x1b" + bytes(4)))
    yield "an instant of less than 65536", cose(None, payload=PAYLOAD[:9] + b"\x00\x00" + PAYLOAD[11:])
    yield "an empty payload", cose(None, payload=b"")
    yield "a payload cut short", cose(None, payload=PAYLOAD[:-1])
    yield "a list for a payload", cose([FOUR])
    yield "an instant with a fraction", cose(FOUR | {4: ISSUED + 60.5})
    yield "an instant as a date", cose(FOUR | {4: cbor2.CBORTag(1, ISSUED + 60)})
    yield "an instant in milliseconds", cose(FOUR | {4: (ISSUED + 60) * 1000})
    yield "an instant before 1970", cose(FOUR | {5: -1})
    yield "an instant beyond 64 bits", cose(FOUR | {4: 2**64})
    yield "an identity of 7 bytes", cose(FOUR | {7: PASS_ID[1:]})
    yield "an identity that is text", cose(FOUR | {7: "c0ffee00"})
    yield "true for a version", cose(FOUR | {-65537: [4321, 98765, True, [1]]})
    yield "a negative version", cose(FOUR | {-65537: [4321, 98765, -1, [1]]})
    yield "a number of 2^63", cose(FOUR | {-65537: [2**63, 98765, 3, [1]]})
    yield "a number beyond 64 bits", cose(FOUR | {-65537: [2**64, 98765, 3, [1]]})
    yield "three numbers", cose(FOUR | {-65537: [4321, 98765, 3]})
    yield "five numbers", cose(FOUR | {-65537: [4321, 98765, 3, [1], 0]})
    yield "a door twice", cose(FOUR | {-65537: [4321, 98765, 3, [1, 0]]})
    yield "doors that descend", cose(FOUR | {-65537: [4321, 98765, 3, [5, -1]]})
    yield "door 0", cose(FOUR | {-65537: [4321, 98765, 3, [0]]})
    yield "sixty-five doors", cose(FOUR | {-65537: [4321, 98765, 3, [1] * 65]})
    yield "fewer doors than said", cose(None, payload=PAYLOAD[:-5] + b"\x85" + PAYLOAD[-4:])
    yield "a door inside a list", cose(FOUR | {-65537: [4321, 98765, 3, [[1]]]})


def other_signers() -> Iterator[tuple[str, bytes, str]]:
    yield "another organisation", cose(FOUR, CHARLIE), "pass_unknown_key"
    yield "another organisation in Alice's name", cose(FOUR, CHARLIE, protected={1: -7, 4: ALICE.kid}), "pass_forged"
    yield "a phone in Alice's name", cose(FOUR, BOB, protected={1: -7, 4: ALICE.kid}), "pass_forged"
    later = PAYLOAD.replace(cbor2.dumps(ISSUED + 60), cbor2.dumps(ISSUED + 6000))
    yield "a later expiry", GENUINE.replace(PAYLOAD, later), "pass_forged"
    yield "another door", GENUINE.replace(PAYLOAD, PAYLOAD[:-1] + b"\x08"), "pass_forged"
    yield "one bit of the signature", GENUINE[:-1] + bytes([GENUINE[-1] ^ 1]), "pass_forged"
    yield "a signature of zeros", GENUINE[:-64] + bytes(64), "pass_forged"
    yield "a signature of ones", GENUINE[:-64] + b"\xff" * 64, "pass_forged"
    yield "the signature of another pass", GENUINE[:-64] + cose(visit([1]))[-64:], "pass_forged"
    yield "s left out of r and s", GENUINE[:-32] + bytes(32), "pass_forged"


def readable(claims: dict[int, Any]) -> dict[str, Any]:
    """The claims in JSON: labels as text, bytes in hex."""
    return {str(label): value.hex() if isinstance(value, bytes) else value for label, value in claims.items()}


def accepted(name: str, about: str, data: bytes, claims: dict[int, Any]) -> dict[str, Any]:
    result = "pass" if -65537 in claims else "phone_code"
    return {
        "name": name,
        "about": about,
        "text": text_of(data),
        "cose": data.hex(),
        "result": result,
        "claims": readable(claims),
    }


def refused(name: str, text: str, reason: str) -> dict[str, Any]:
    return {"name": name, "text": text, "result": "refused", "reason": reason}


def document() -> dict[str, Any]:
    vectors = [accepted(*case) for case in good()]
    vectors += [refused(*case) for case in no_text()]
    vectors += [refused(name, text_of(data), "pass_unreadable") for name, data in no_envelope()]
    vectors += [refused(name, text_of(data), "pass_wrong_claims") for name, data in other_claims()]
    vectors += [refused(name, text_of(data), reason) for name, data, reason in other_signers()]
    return {
        "about": "Texts of passes and what a door of Alice's organisation reads in them. Made by "
        "tests/wire/make_pass_vectors.py; explained in pass.md. The keys are for tests; `known` are those that the "
        "door knows.",
        "keys": [key.record() for key in (ALICE, BOB, CHARLIE)],
        "vectors": vectors,
    }


def rendered() -> str:
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered())
