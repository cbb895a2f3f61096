"""Makes docs/tap-vectors.json: adverts, readers' certificates, proofs of enrolment, and whole taps with what is wrong
with the broken ones.

It builds every byte with `cbor2` and `cryptography` alone, so it is a second witness and not a mirror of `wire.tap`;
keys are fixed and signatures deterministic (RFC 6979), so the same file comes out every time:

    .venv/bin/python -m tests.wire.make_tap_vectors
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from tests.wire.make_pass_vectors import Key

FILE = Path(__file__).parents[2] / "docs" / "tap-vectors.json"
NOW = 1_800_000_000
DAY = 86_400
VERSION = bytes.fromhex("0300000001")
UNKNOWN = 127
ASKS = ("open", "hold_open", "lock", "normal")

READERS = Key("Alice's readers", "readers", known=True)
CHARLIES = Key("Charlie's readers", "readers", known=False)
READER = Key("the front door's reader", "reader", known=True)
OTHER_READER = Key("the back door's reader", "reader", known=True)
PHONE = Key("Bob's phone, for taps", "tap", known=True)
CODES = Key("Bob's phone, for codes", "code", known=True)
VICS = Key("Vic's phone", "tap", known=False)
PHONES_TRANSIENT = Key("what Bob's phone made up for this tap", "transient", known=True)
READERS_TRANSIENT = Key("what the reader made up for this tap", "transient", known=True)
LATER_TRANSIENT = Key("what the reader made up for the next tap", "transient", known=True)


def point(key: Key) -> bytes:
    return b"\x04" + key.x + key.y


def compressed(key: Key) -> bytes:
    return bytes([2 + key.y[31] % 2]) + key.x


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


SITE = number(3) + number(11)
"""Organisation 3, site 11."""
FRONT = number(42) + number(0)
"""The entry reader of access point 42."""
BACK = number(43) + number(1)


def records(*values: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([tag, len(value)]) + value for tag, value in values)


# Certificates


@dataclass(frozen=True)
class Certificate:
    site: bytes = SITE
    reader: bytes = FRONT
    key: Key = READER
    issued_at: int = NOW - DAY
    expires_at: int = NOW + 365 * DAY
    signer: Key = READERS
    kid: bytes | None = None
    protected: Any = None
    unprotected: Any = None
    claims: Any = None
    tag: int = 18

    def encode(self) -> bytes:
        head = cbor2.dumps(self.protected or {1: -7, 4: self.kid or self.signer.kid})
        payload = cbor2.dumps(self.claims or self.usual())
        signature = self.signer.sign(cbor2.dumps(["Signature1", head, b"", payload]))
        return cbor2.dumps(cbor2.CBORTag(self.tag, [head, self.unprotected or {}, payload, signature]))

    def usual(self) -> dict[int, Any]:
        cose_key = {1: 2, -1: 1, -2: self.key.x, -3: self.key.y}
        return {4: self.expires_at, 6: self.issued_at, 8: {1: cose_key}, -65538: [self.site, self.reader]}


CERTIFICATE = Certificate()
GENUINE = CERTIFICATE.encode()


def good_certificates() -> Iterator[tuple[str, Certificate]]:
    yield "the front door's reader", CERTIFICATE
    yield "an exit reader", Certificate(reader=BACK, key=OTHER_READER)
    large = (2**63 - 1).to_bytes(8, "big")
    yield "large numbers", Certificate(site=large + large, reader=large + number(1))
    yield "expired: its times are judged by whoever relies on it", Certificate(issued_at=NOW - DAY, expires_at=NOW)


def bad_certificates() -> Iterator[tuple[str, bytes]]:
    usual = CERTIFICATE.usual()
    yield "empty", b""
    yield "cut by one byte", GENUINE[:-1]
    yield "a trailing byte", GENUINE + b"\0"
    yield "no tag", GENUINE[1:]
    yield "COSE_Mac0", replace(CERTIFICATE, tag=17).encode()
    yield "another organisation", replace(CERTIFICATE, signer=CHARLIES).encode()
    yield "another organisation in Alice's name", replace(CERTIFICATE, signer=CHARLIES, kid=READERS.kid).encode()
    yield "signed by the reader itself", replace(CERTIFICATE, signer=READER, kid=READERS.kid).encode()
    yield "another algorithm", replace(CERTIFICATE, protected={1: -8, 4: READERS.kid}).encode()
    yield "something in the unprotected map", replace(CERTIFICATE, unprotected={-70000: 1}).encode()
    yield "a visitor's pass by the same key", replace(CERTIFICATE, claims={4: NOW, 5: NOW, 6: NOW}).encode()
    yield "one claim more", replace(CERTIFICATE, claims={2: "front", **usual}).encode()
    yield "a site of 15 bytes", replace(CERTIFICATE, claims=usual | {-65538: [SITE[1:], FRONT]}).encode()
    wrong_curve = {1: {1: 2, -1: 2, -2: READER.x, -3: READER.y}}
    yield "a key of another curve", replace(CERTIFICATE, claims=usual | {8: wrong_curve}).encode()
    yield "another reader written over it", GENUINE.replace(FRONT, BACK)
    yield "a later expiry written over it", GENUINE.replace(cbor2.dumps(NOW + 365 * DAY), cbor2.dumps(NOW + 999 * DAY))
    yield "one bit of the signature", GENUINE[:-1] + bytes([GENUINE[-1] ^ 1])
    yield "a signature of zeros", GENUINE[:-64] + bytes(64)


def certificates() -> Iterator[dict[str, Any]]:
    for name, said in good_certificates():
        yield {
            "name": name,
            "certificate": said.encode().hex(),
            "result": "certificate",
            "site": said.site.hex(),
            "reader": said.reader.hex(),
            "publicKey": point(said.key).hex(),
            "issuedAt": said.issued_at,
            "expiresAt": said.expires_at,
        }
    for name, data in bad_certificates():
        yield {"name": name, "certificate": data.hex(), "result": "refused"}


# Taps


@dataclass(frozen=True)
class Exchange:
    """One whole tap; every part of it can be replaced by a wrong one."""

    ask: str = "open"
    from_afar: bool = False
    access_point: int = 0
    rssi: int = UNKNOWN
    opened: bool = True
    reason: str = "granted"
    site: bytes = SITE
    reader: bytes = FRONT
    certificate: bytes = GENUINE
    reader_key: Key = READER
    phone_key: Key = PHONE
    phones: Key = PHONES_TRANSIENT
    readers: Key = READERS_TRANSIENT
    at: int = NOW
    has_request: bool = True

    @property
    def request(self) -> bytes:
        fixed = bytes([ASKS.index(self.ask), self.from_afar]) + self.rssi.to_bytes(1, "big", signed=True)
        return fixed + number(self.access_point)

    @property
    def secret(self) -> bytes:
        return self.phones.private.exchange(ec.ECDH(), self.readers.private.public_key())

    @property
    def seal_key(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    @property
    def transcript(self) -> bytes:
        return self.site + self.reader + self.phones.x + self.readers.x

    def seal(self, nonce: str, said: bytes) -> bytes:
        return AESCCM(self.seal_key, tag_length=16).encrypt(bytes.fromhex(nonce), said, None)

    def opening(self, transient: bytes | None = None) -> bytes:
        mine = transient or compressed(self.readers)
        return records((0x0C, VERSION), (0x02, mine), (0x0D, self.reader), (0x0E, self.site))

    def begin(self) -> bytes:
        return records((0x07, point(self.phones)), (0x0C, VERSION))

    def proof(self) -> bytes:
        return records((0x10, self.certificate), (0x03, self.reader_key.sign(self.transcript)))

    @property
    def identity(self) -> bytes:
        said = [(0x01, point(self.phone_key)), (0x03, self.phone_key.sign(self.transcript)), (0x09, updated_at())]
        return records(*said, *([(0xF1, self.request)] if self.has_request else []))

    def say(self, identity: bytes | None = None) -> bytes:
        return records((0x40, self.seal("000000000000000100000001", identity or self.identity)))

    @property
    def told(self) -> bytes:
        return records((0x04, bytes([self.opened])), (0xF2, self.reason.encode()))

    def answer(self, told: bytes | None = None) -> bytes:
        response = (0x04, bytes([self.opened]))
        if not self.has_request:
            return records(response)
        return records(response, (0x40, self.seal("000000000000000200000001", told or self.told)))


def updated_at() -> bytes:
    return (NOW - 7 * DAY).to_bytes(4, "big")


TAP = Exchange()


def exchanges() -> Iterator[tuple[str, str, Exchange]]:
    yield "tap", "The phone is held to the reader; the worked example of tap.md.", TAP
    click = Exchange(from_afar=True, access_point=43, rssi=-78)
    yield "click", "From a distance, for another door of the same controller.", click
    yield "hold open", "A role that may, asks the door to stay open.", Exchange(ask="hold_open", rssi=-40)
    yield (
        "lock",
        "… to open for nobody, and the door refuses.",
        Exchange(ask="lock", opened=False, reason="not_your_role"),
    )
    yield "normal", "… and to decide by attempt again.", Exchange(ask="normal", rssi=-128)
    large = Exchange(access_point=2**53 - 1, from_afar=True, rssi=20)
    yield "large numbers", "The largest access point that every JSON parser reads unharmed (RFC 7493 §2.2).", large
    long = Exchange(opened=False, reason="a_reason_of_a_newer_reader_that_this_phone_has_never_heard_of_0")
    yield "unknown reason", "A reason of a newer reader, 63 characters.", long
    other = Exchange(has_request=False)
    yield "another maker's phone", "It sends no request and is answered in clear, as PKOC has it.", other


def exchange(name: str, about: str, said: Exchange) -> dict[str, Any]:
    fields = {
        "name": name,
        "about": about,
        "request": request(said) if said.has_request else None,
        "response": {"opened": said.opened, "reason": said.reason} if said.has_request else {"opened": said.opened},
        "readerTransient": scalar(said.readers),
        "phoneTransient": scalar(said.phones),
        "sharedSecret": said.secret.hex(),
        "sealKey": said.seal_key.hex(),
        "transcript": said.transcript.hex(),
        "messages": [message.hex() for message in messages(said)],
        "identity": said.identity.hex(),
        "identitySignature": said.phone_key.sign(said.transcript).hex(),
    }
    return fields | ({"answer": said.told.hex()} if said.has_request else {})


def request(said: Exchange) -> dict[str, Any]:
    return {"ask": said.ask, "fromAfar": said.from_afar, "accessPoint": said.access_point, "rssi": said.rssi}


def messages(said: Exchange) -> list[bytes]:
    return [said.opening(), said.begin(), said.proof(), said.say(), said.answer()]


def scalar(key: Key) -> str:
    return key.private.private_numbers().private_value.to_bytes(32, "big").hex()


def long_reason() -> bytes:
    return records((0x04, b"\x01"), (0xF2, b"granted"), (0x01, point(PHONE)))


def what_a_phone_refuses() -> Iterator[tuple[str, str, Sequence[bytes], dict[str, Any]]]:
    """(name, why, what comes from the reader; the last of it is refused, anything other than usual)"""
    opening, proof = TAP.opening(), TAP.proof()
    yield "a site where it opens nothing", "unknown_site", [replace(TAP, site=number(4) + number(11)).opening()], {}
    yield "another reader than the one meant", "wrong_reader", [opening], {"wanted": BACK.hex()}
    yield "a transient key that is no point", "malformed", [TAP.opening(b"\x02" + b"\xff" * 32)], {}
    yield "a transient key of x alone", "malformed", [TAP.opening(READERS_TRANSIENT.x)], {}
    yield "a record that does not belong here", "malformed", [records((0x04, b"\x01"))], {}
    yield "a record twice", "malformed", [records((0x0C, VERSION), (0x0C, VERSION))], {}
    yield "a message that never ends", "malformed", [records((0x0C, VERSION)) + b"\x0d\xff" + bytes(252)] * 2, {}
    yield "no proof, an answer at once", "malformed", [opening, TAP.answer()], {}
    charlie = replace(TAP, certificate=replace(CERTIFICATE, signer=CHARLIES).encode())
    yield "a certificate of another organisation", "not_trusted", [opening, charlie.proof()], {}
    broken = replace(TAP, certificate=GENUINE[:-1] + bytes([GENUINE[-1] ^ 1]))
    yield "a forged certificate", "not_trusted", [opening, broken.proof()], {}
    back = replace(TAP, certificate=replace(CERTIFICATE, reader=BACK).encode())
    yield "a certificate of another reader", "not_trusted", [opening, back.proof()], {}
    moved = replace(TAP, certificate=replace(CERTIFICATE, site=number(3) + number(12)).encode())
    yield "a certificate for another site", "not_trusted", [opening, moved.proof()], {}
    yield "a certificate that has expired", "not_trusted", [opening, proof], {"now": NOW + 365 * DAY + 300}
    yield "a certificate of the future", "not_trusted", [opening, proof], {"now": NOW - DAY - 301}
    yield "a reader with another key", "forged", [opening, replace(TAP, reader_key=OTHER_READER).proof()], {}
    yield "the proof of another tap", "forged", [opening, replace(TAP, readers=LATER_TRANSIENT).proof()], {}
    yield "a signature of 63 bytes", "forged", [opening, proof[:-65] + b"\x3f" + proof[-63:]], {}
    yield "an answer with another seal", "forged", [opening, proof, replace(TAP, readers=LATER_TRANSIENT).answer()], {}
    yield "its own words for an answer", "forged", [opening, proof, records((4, b"\x01")) + TAP.say()], {}
    yield "an answer too short for a seal", "forged", [opening, proof, records((4, b"\x01"), (0x40, bytes(15)))], {}
    yield "an answer without a reason", "malformed", [opening, proof, TAP.answer(records((4, b"\x01")))], {}
    yield "an answer with more", "malformed", [opening, proof, TAP.answer(long_reason())], {}
    yield "an answer that ends inside a record", "malformed", [opening, proof, TAP.answer(TAP.told[:-1])], {}


def what_a_reader_refuses() -> Iterator[tuple[str, str, Sequence[tuple[float, bytes]]]]:
    """(name, why, what comes from the phone after how many seconds; the last of it is refused)"""
    begin, say = (0.5, TAP.begin()), (1.0, TAP.say())
    yield "a phone that says who it is at once", "malformed", [say]
    yield "a transient key that is no point", "malformed", [(0.5, records((7, b"\x04" + bytes(64)), (12, VERSION)))]
    yield "a transient key in 33 bytes", "malformed", [(0.5, records((7, compressed(PHONE)), (12, VERSION)))]
    yield "a record that does not belong here", "malformed", [(0.5, records((1, point(PHONE))))]
    yield "a message that never ends", "malformed", [(0.5, b"\x07\x41" + bytes(65) + b"\x0c\xff" + bytes(200))] * 2
    yield "a phone that begins late", "late", [(10.1, TAP.begin())]
    yield "a phone that answers late", "late", [begin, (2.6, TAP.say())]
    yield "its own proof sent back", "malformed", [begin, (1.0, TAP.proof())]
    replayed = replace(TAP, readers=LATER_TRANSIENT)
    yield "the words of another tap", "forged", [begin, (1.0, replayed.say())]
    yield "the signature of another tap", "forged", [begin, (1.0, TAP.say(replayed.identity))]
    relayed = replace(TAP, reader=BACK)
    yield "what was said to another reader", "forged", [begin, (1.0, TAP.say(relayed.identity))]
    yield "what was said at another site", "forged", [begin, (1.0, TAP.say(replace(TAP, site=number(4) * 2).identity))]
    stolen = TAP.identity.replace(point(PHONE), point(VICS))
    yield "another phone's key", "forged", [begin, (1.0, TAP.say(stolen))]
    yield "one bit of the seal", "forged", [begin, (1.0, say[1][:-1] + bytes([say[1][-1] ^ 1]))]
    yield "a seal too short", "forged", [begin, (1.0, records((0x40, bytes(15))))]
    yield "no signature", "malformed", [begin, (1.0, TAP.say(records((1, point(PHONE)))))]
    yield "more than it may say", "malformed", [begin, (1.0, TAP.say(TAP.identity + records((0x0D, FRONT))))]
    yield "a public key in 33 bytes", "malformed", [begin, (1.0, TAP.say(_short_key()))]
    unknown_ask = TAP.identity.replace(TAP.request, b"\x04" + TAP.request[1:])
    yield "an ask that nobody knows", "malformed", [begin, (1.0, TAP.say(unknown_ask))]
    neither = TAP.identity.replace(TAP.request, b"\x00\x02" + TAP.request[2:])
    yield "neither held to it nor from afar", "malformed", [begin, (1.0, TAP.say(neither))]
    yield "a request of 10 bytes", "malformed", [begin, (1.0, TAP.say(_short_request()))]
    yield "the same once more", "malformed", [begin, say, say]


def _short_key() -> bytes:
    return records((1, compressed(PHONE)), (3, PHONE.sign(TAP.transcript)))


def _short_request() -> bytes:
    return TAP.identity[:-13] + records((0xF1, TAP.request[:-1]))


# Adverts, and proofs that a phone holds the keys that it enrols


def adverts() -> Iterator[dict[str, Any]]:
    for organisation, access_point, is_exit, power in (
        (3, 42, False, -59),
        (3, 43, True, -65),
        (2**53 - 1, 1, True, 4),
    ):
        data = number(organisation) + number(access_point) + bytes([is_exit]) + power.to_bytes(1, "big", signed=True)
        said = {"organisation": organisation, "accessPoint": access_point, "isExit": is_exit, "power": power}
        yield {"data": data.hex(), "result": "advert", **said}
    data = number(3) + number(42) + b"\0\xc5"
    for wrong in (b"", data[:-1], data + b"\0", data[:16] + b"\2" + data[17:]):
        yield {"data": wrong.hex(), "result": "refused"}


def distances() -> Iterator[dict[str, float]]:
    for rssi, metres in ((-59, 1.0), (-65, 1.995), (-79, 10.0), (-99, 100.0), (-39, 0.1)):
        yield {"rssi": rssi, "power": -59, "metres": metres}


def enrolment() -> dict[str, Any]:
    """What both keys of a phone sign when user 7 enrols it."""
    said = b"latchwork phone v1\x007\x00" + point(PHONE) + point(CODES)
    return {
        "user": 7,
        "tapKey": point(PHONE).hex(),
        "codeKey": point(CODES).hex(),
        "proofBytes": said.hex(),
        "tapProof": PHONE.sign(said).hex(),
        "codeProof": CODES.sign(said).hex(),
    }


def holder(key: Key) -> dict[str, Any]:
    return {"owner": key.owner, "privateKey": scalar(key), "publicKey": point(key).hex(), "kid": key.kid.hex()}


def document() -> dict[str, Any]:
    refused_by_phone = [
        {"name": name, "reason": why, "receives": [part.hex() for part in parts], **other}
        for name, why, parts, other in what_a_phone_refuses()
    ]
    refused_by_reader = [
        {"name": name, "reason": why, "receives": [{"after": after, "data": part.hex()} for after, part in parts]}
        for name, why, parts in what_a_reader_refuses()
    ]
    return {
        "about": "Taps between Bob's phone and the entry reader of access point 42, at site 11 of Alice's organisation "
        "(3). Made by tests/wire/make_tap_vectors.py; explained in tap.md. Bytes are in hex. The keys are for tests. "
        "`now` is the phone's clock; a reader began at 0 s. What is refused uses the transient keys of the first tap.",
        "now": NOW,
        "site": SITE.hex(),
        "reader": FRONT.hex(),
        "updatedAt": NOW - 7 * DAY,
        "readersSigningKey": holder(READERS),
        "readerKey": holder(READER),
        "phoneKey": holder(PHONE),
        "certificate": GENUINE.hex(),
        "exchanges": [exchange(*case) for case in exchanges()],
        "refusedByPhone": refused_by_phone,
        "refusedByReader": refused_by_reader,
        "certificates": list(certificates()),
        "adverts": list(adverts()),
        "distances": list(distances()),
        "enrolment": enrolment(),
    }


def rendered() -> str:
    return json.dumps(document(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered())
