"""The tap: over Bluetooth a phone and a reader prove themselves to each other, and the phone says what it asks for.

PKOC's ECDHE flow (Public Key Open Credential, PSIA), with a certificate for the reader and a request for the door.
`docs/tap.md` explains it, `docs/tap-vectors.json` shows it. Messages are records of tag, length (one byte) and value:

    reader                                             phone
    version, transient key, reader, site    →                     knows this site?
                                            ←   transient key, version
    certificate, signature                  →                     is it this reader, of this site, here and now?
                                            ←   sealed: public key, signature, time of the keys, request
    response, sealed: response, reason      →

Nothing that tells one phone from another crosses the air before the reader has proved itself, and then only sealed
(AES-256-CCM under the secret that both transient keys give). Both signatures cover site ‖ reader ‖ phone's transient x
‖ reader's transient x, so what was said to one reader is worth nothing at another, or later.

`ReaderSide` and `PhoneSide` are pure: bytes and instants in, bytes out. A side that has raised is over.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from latchwork.policy.model import Ask
from latchwork.wire import certificate, p256

VERSION: Final = b"\x03\x00\x00\x00\x01"
"""Of the PKOC specification 3, its vendor's 0.0, and the feature AES-CCM."""
ANSWER_SECONDS: Final = 2.0
"""How long a phone has from the reader's proof to its own: who relays an exchange from afar has no more time."""
EXCHANGE_SECONDS: Final = 10.0
LEEWAY: Final = 300
"""Seconds by which a phone's clock and a certificate's may differ."""
MOST_BYTES: Final = 512
"""Of one message: what a Bluetooth attribute holds."""
RSSI_UNKNOWN: Final = 127
"""What Bluetooth says where it cannot tell (Core 5.4, vol 4 part E §7.5.4)."""

_ASKS: Final = (Ask.OPEN, Ask.HOLD_OPEN, Ask.LOCK, Ask.NORMAL)
_FROM_PHONE: Final = b"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01"
_FROM_READER: Final = b"\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01"
"""Nonces: each key seals one message each way."""


class Tag:
    """PKOC's, and two of ours in the range that it leaves to vendors."""

    PUBLIC_KEY: Final = 0x01
    TRANSIENT_COMPRESSED: Final = 0x02
    SIGNATURE: Final = 0x03
    RESPONSE: Final = 0x04
    TRANSIENT: Final = 0x07
    UPDATED_AT: Final = 0x09
    VERSION: Final = 0x0C
    READER: Final = 0x0D
    SITE: Final = 0x0E
    CERTIFICATE: Final = 0x10
    SEALED: Final = 0x40
    REQUEST: Final = 0xF1
    REASON: Final = 0xF2


class TapFailure(StrEnum):
    """Why an exchange ended without a decision."""

    MALFORMED = "malformed"
    """What came is no message of this flow, or not the one whose turn it is."""
    FORGED = "forged"
    """A signature or a seal is not genuine."""
    LATE = "late"
    """The other side took longer than somebody who is here takes."""
    UNKNOWN_SITE = "unknown_site"
    """This phone opens nothing at that site."""
    WRONG_READER = "wrong_reader"
    """It is not the reader that was asked for."""
    NOT_TRUSTED = "not_trusted"
    """The reader has no certificate that holds now."""


class TapFailed(Exception):
    """The exchange is over and nothing was asked of the door, or nothing is known of its answer."""

    def __init__(self, failure: TapFailure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Request:
    """What the phone asks for."""

    ask: Ask = Ask.OPEN
    from_afar: bool = False
    """A click at a distance; False: the phone is held to the reader."""
    access_point: int = 0
    """Which of the doors behind this reader; 0: the reader's own."""
    rssi: int = RSSI_UNKNOWN
    """dBm at which the phone hears the reader."""


@dataclass(frozen=True, slots=True)
class ReaderIdentity:
    """What a reader proves itself with."""

    site: bytes
    reader: bytes
    key: p256.PrivateKey
    certificate: bytes


@dataclass(frozen=True, slots=True)
class PhoneIdentity:
    """What a phone proves itself with."""

    key: p256.PrivateKey
    updated_at: int
    """When the key was made, epoch seconds."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A phone holds this key, is here now, and asks for this."""

    public_key: bytes
    """P-256, uncompressed point, 65 bytes."""
    request: Request


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reader decided; `reason` is a `policy.reasons.Reason`'s code, or of a newer reader's."""

    opened: bool
    reason: str


class ReaderSide:
    """The reader's side of one exchange. Instants are seconds of a monotonic clock."""

    def __init__(self, identity: ReaderIdentity, now: float, transient: p256.PrivateKey | None = None) -> None:
        """`transient`: for reproducible vectors; absent, a new key."""
        self._identity = identity
        self._transient = transient or p256.new_key()
        self._heard = _Heard()
        self._until = now + EXCHANGE_SECONDS
        self._transcript = b""
        self._seal: AESCCM | None = None
        self._answers_request: bool | None = None

    @property
    def opening(self) -> bytes:
        """The first message."""
        return _records(
            (
                (Tag.VERSION, VERSION),
                (Tag.TRANSIENT_COMPRESSED, p256.compressed(self._transient.public_key())),
                (Tag.READER, self._identity.reader),
                (Tag.SITE, self._identity.site),
            )
        )

    def receive(self, data: bytes, now: float) -> bytes | Proven | None:
        """What to send now, or who has proved themselves, or None while the message is not whole. Raises TapFailed."""
        if self._answers_request is not None:
            raise TapFailed(TapFailure.MALFORMED)
        if now > self._until:
            raise TapFailed(TapFailure.LATE)
        if self._seal is None:
            said = self._heard.complete(data, {Tag.TRANSIENT, Tag.VERSION})
            return None if said is None else self._prove(said, now)
        said = self._heard.complete(data, {Tag.SEALED}, {Tag.VERSION})
        return None if said is None else self._unseal(said[Tag.SEALED])

    def answer(self, answer: Answer) -> bytes:
        """The last message, once `receive` has told who is there; the door's reason is sealed."""
        if self._seal is None or self._answers_request is None:
            raise RuntimeError("nobody has proved themselves")
        response = (Tag.RESPONSE, b"\x01" if answer.opened else b"\x00")
        if not self._answers_request:
            return _records((response,))
        said = _records((response, (Tag.REASON, answer.reason.encode()[:64])))
        return _records((response, (Tag.SEALED, self._seal.encrypt(_FROM_READER, said, None))))

    def _prove(self, said: Mapping[int, bytes], now: float) -> bytes:
        me = self._identity
        theirs = _point(said[Tag.TRANSIENT])
        self._transcript = _transcript(me.site, me.reader, said[Tag.TRANSIENT], self._transient.public_key())
        self._seal = _seal(self._transient, theirs)
        self._until = min(self._until, now + ANSWER_SECONDS)
        signature = p256.sign(me.key, self._transcript)
        return _records(((Tag.CERTIFICATE, me.certificate), (Tag.SIGNATURE, signature)))

    def _unseal(self, sealed: bytes) -> Proven:
        assert self._seal is not None
        said = _opened(self._seal, _FROM_PHONE, sealed)
        wanted = {Tag.PUBLIC_KEY, Tag.SIGNATURE}
        if not wanted <= said.keys() <= wanted | {Tag.UPDATED_AT, Tag.REQUEST}:
            raise TapFailed(TapFailure.MALFORMED)
        key = _point(said[Tag.PUBLIC_KEY])
        if not p256.verify(key, said[Tag.SIGNATURE], self._transcript):
            raise TapFailed(TapFailure.FORGED)
        self._answers_request = Tag.REQUEST in said
        return Proven(said[Tag.PUBLIC_KEY], _request(said.get(Tag.REQUEST)))


class PhoneSide:
    """The phone's side of one exchange."""

    def __init__(
        self,
        identity: PhoneIdentity,
        request: Request,
        sites: Callable[[bytes], bool],
        find_key: Callable[[bytes], p256.PublicKey | None],
        now: float,
        reader: bytes | None = None,
        transient: p256.PrivateKey | None = None,
    ) -> None:
        """`sites`: whether the phone opens doors at a site; `find_key`: the organisation's key for readers with a kid;
        `now`: epoch seconds; `reader`: the only one that is meant; `transient`: for reproducible vectors."""
        self._identity = identity
        self._request = request
        self._sites = sites
        self._find_key = find_key
        self._now = now
        self._wanted = reader
        self._transient = transient or p256.new_key()
        self._heard = _Heard()
        self._site = self._reader = self._transcript = b""
        self._seal: AESCCM | None = None
        self._has_proved = False

    def receive(self, data: bytes) -> bytes | Answer | None:
        """What to send now, or the reader's answer, or None while the message is not whole. Raises TapFailed."""
        if self._seal is None:
            said = self._heard.complete(data, {Tag.VERSION, Tag.TRANSIENT_COMPRESSED, Tag.READER, Tag.SITE})
            return None if said is None else self._begin(said)
        if not self._has_proved:
            said = self._heard.complete(data, {Tag.CERTIFICATE, Tag.SIGNATURE})
            return None if said is None else self._prove(said)
        said = self._heard.complete(data, {Tag.RESPONSE, Tag.SEALED})
        return None if said is None else self._told(said[Tag.SEALED])

    def _begin(self, said: Mapping[int, bytes]) -> bytes:
        self._site, self._reader = said[Tag.SITE], said[Tag.READER]
        if not self._sites(self._site):
            raise TapFailed(TapFailure.UNKNOWN_SITE)
        if self._wanted not in (None, self._reader):
            raise TapFailed(TapFailure.WRONG_READER)
        theirs = _compressed_point(said[Tag.TRANSIENT_COMPRESSED])
        own = p256.public_bytes(self._transient.public_key())
        self._transcript = _transcript(self._site, self._reader, own, theirs)
        self._seal = _seal(self._transient, theirs)
        return _records(((Tag.TRANSIENT, own), (Tag.VERSION, VERSION)))

    def _prove(self, said: Mapping[int, bytes]) -> bytes:
        """Says who we are, to a reader that has proved itself."""
        assert self._seal is not None
        self._check(certificate.read(said[Tag.CERTIFICATE], self._find_key), said[Tag.SIGNATURE])
        self._has_proved = True
        me, asked = self._identity, self._request
        told = _records(
            (
                (Tag.PUBLIC_KEY, p256.public_bytes(me.key.public_key())),
                (Tag.SIGNATURE, p256.sign(me.key, self._transcript)),
                (Tag.UPDATED_AT, me.updated_at.to_bytes(4, "big")),
                (Tag.REQUEST, _encoded(asked)),
            )
        )
        return _records(((Tag.SEALED, self._seal.encrypt(_FROM_PHONE, told, None)),))

    def _check(self, found: certificate.ReaderCertificate | None, signature: bytes) -> None:
        if found is None or (found.site, found.reader) != (self._site, self._reader):
            raise TapFailed(TapFailure.NOT_TRUSTED)
        if not found.issued_at - LEEWAY <= self._now < found.expires_at + LEEWAY:
            raise TapFailed(TapFailure.NOT_TRUSTED)
        if not p256.verify(_point(found.public_key), signature, self._transcript):
            raise TapFailed(TapFailure.FORGED)

    def _told(self, sealed: bytes) -> Answer:
        assert self._seal is not None
        said = _opened(self._seal, _FROM_READER, sealed)
        if said.keys() != {Tag.RESPONSE, Tag.REASON}:
            raise TapFailed(TapFailure.MALFORMED)
        return Answer(said[Tag.RESPONSE] == b"\x01", said[Tag.REASON].decode("ascii", "replace"))


class _Heard:
    """What has come of one message."""

    def __init__(self) -> None:
        self._data = b""

    def complete(self, data: bytes, needed: Collection[int], allowed: Collection[int] = ()) -> dict[int, bytes] | None:
        """The message's values by tag once all that are needed have come whole; raises TapFailed for anything else."""
        self._data += data
        if len(self._data) > MOST_BYTES:
            raise TapFailed(TapFailure.MALFORMED)
        said, rest = _split(self._data)
        if not said.keys() <= {*needed, *allowed}:
            raise TapFailed(TapFailure.MALFORMED)
        if rest or not said.keys() >= set(needed):
            return None
        self._data = b""
        return said


def _records(values: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes((tag, len(value))) + value for tag, value in values)


def _split(data: bytes) -> tuple[dict[int, bytes], bytes]:
    """The whole records at the beginning, and what is left; raises TapFailed when a tag comes twice."""
    said: dict[int, bytes] = {}
    while len(data) >= 2 and len(data) >= 2 + data[1]:
        tag, end = data[0], 2 + data[1]
        if tag in said:
            raise TapFailed(TapFailure.MALFORMED)
        said[tag], data = data[2:end], data[end:]
    return said, data


def _opened(seal: AESCCM, nonce: bytes, sealed: bytes) -> dict[int, bytes]:
    try:
        said, rest = _split(seal.decrypt(nonce, sealed, None))
    except (InvalidTag, ValueError):
        raise TapFailed(TapFailure.FORGED) from None
    if rest:
        raise TapFailed(TapFailure.MALFORMED)
    return said


def _seal(own: p256.PrivateKey, theirs: p256.PublicKey) -> AESCCM:
    return AESCCM(sha256(p256.shared_secret(own, theirs)).digest(), tag_length=16)


def _transcript(site: bytes, reader: bytes, phone: bytes, readers: p256.PublicKey) -> bytes:
    """site ‖ reader ‖ the phone's transient x ‖ the reader's transient x, 96 bytes."""
    return site + reader + phone[1:33] + p256.compressed(readers)[1:]


def _point(data: bytes) -> p256.PublicKey:
    try:
        return p256.load_public(data)
    except ValueError:
        raise TapFailed(TapFailure.MALFORMED) from None


def _compressed_point(data: bytes) -> p256.PublicKey:
    try:
        return p256.load_compressed(data)
    except ValueError:
        raise TapFailed(TapFailure.MALFORMED) from None


def _encoded(request: Request) -> bytes:
    """What is asked, from afar or not, dBm as a signed byte, the access point as 8 bytes, big-endian."""
    fixed = bytes((_ASKS.index(request.ask), request.from_afar)) + request.rssi.to_bytes(1, "big", signed=True)
    return fixed + request.access_point.to_bytes(8, "big")


def _request(data: bytes | None) -> Request:
    """Without one, as other makers' phones come: opens the reader's own door."""
    if data is None:
        return Request()
    if len(data) != 11 or data[0] >= len(_ASKS) or data[1] > 1:
        raise TapFailed(TapFailure.MALFORMED)
    rssi = int.from_bytes(data[2:3], "big", signed=True)
    return Request(_ASKS[data[0]], data[1] == 1, int.from_bytes(data[3:], "big"), rssi)
