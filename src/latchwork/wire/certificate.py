"""A reader's certificate: the organisation says which key a reader proves itself with. `docs/tap.md` explains it.

A COSE_Sign1 (RFC 9052 §4.2, tag 18) whose payload is a CWT claims set (RFC 8392) in deterministic CBOR: exp, iat, the
reader's key as confirmation (`cnf`, RFC 8747 §3.1) and one private claim, [site, reader]. Every part has a fixed size,
so a certificate is `BYTES` long and is read by its places. The same facts always give the same bytes (RFC 6979).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from latchwork.wire import p256
from latchwork.wire.cose import to_be_signed

ID_BYTES: Final = 16
"""Of a site's and of a reader's id."""
BYTES: Final = 216

_HEAD: Final = b"\xd2\x84"
_PROTECTED: Final = b"\x4d\xa2\x01\x26\x04\x48"  # {1: -7, 4: kid}, as a byte string
_READER_CLAIM: Final = b"\x3a\x00\x01\x00\x01"
"""−65538, private use (RFC 8392 §9.1): [site, reader]."""
_CERTIFICATE: Final = re.compile(
    b"".join(
        (
            re.escape(_HEAD),
            b"(" + re.escape(_PROTECTED) + b"(.{8}))",
            rb"\xa0(\x58\x83",
            rb"\xa4\x04\x1a(.{4})\x06\x1a(.{4})",  # exp, iat
            rb"\x08\xa1\x01\xa4\x01\x02\x20\x01\x21\x58\x20(.{32})\x22\x58\x20(.{32})",  # cnf: {1: COSE_Key}
            re.escape(_READER_CLAIM) + rb"\x82\x50(.{16})\x50(.{16}))",
            rb"\x58\x40(.{64})",
        )
    ),
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class ReaderCertificate:
    """What an organisation says of one reader."""

    site: bytes
    """`site_id`."""
    reader: bytes
    """`reader_id`."""
    public_key: bytes
    """P-256, uncompressed point, 65 bytes (SEC 1 §2.3.3)."""
    issued_at: int
    expires_at: int


def site_id(organisation: int, site: int) -> bytes:
    """16 bytes: organisation and site, each as 8 bytes, big-endian."""
    return organisation.to_bytes(8, "big") + site.to_bytes(8, "big")


def reader_id(access_point: int, is_exit: bool) -> bytes:
    """16 bytes: the access point as 8 bytes, big-endian; then 0 for its entry reader, 1 for its exit reader."""
    return access_point.to_bytes(8, "big") + is_exit.to_bytes(8, "big")


def certify(said: ReaderCertificate, kid: bytes, key: p256.PrivateKey) -> bytes:
    """The certificate, signed with the organisation's key for readers; raises ValueError for what none can say."""
    protected = _PROTECTED + kid
    payload = b"".join(
        (
            b"\x58\x83\xa4\x04\x1a"
            + said.expires_at.to_bytes(4, "big")
            + b"\x06\x1a"
            + said.issued_at.to_bytes(4, "big"),
            b"\x08\xa1\x01\xa4\x01\x02\x20\x01\x21\x58\x20" + said.public_key[1:33],
            b"\x22\x58\x20" + said.public_key[33:],
            _READER_CLAIM + b"\x82\x50" + said.site + b"\x50" + said.reader,
        )
    )
    signature = p256.sign_deterministically(key, to_be_signed(protected, payload))
    data = _HEAD + protected + b"\xa0" + payload + b"\x58\x40" + signature
    if _CERTIFICATE.fullmatch(data) is None or len(data) != BYTES:
        raise ValueError("a certificate cannot say this")
    return data


def read(data: bytes, find_key: Callable[[bytes], p256.PublicKey | None]) -> ReaderCertificate | None:
    """What a certificate says when a key that `find_key` knows by its kid has signed it, else None. Never raises.

    Its times are not judged here.
    """
    match = _CERTIFICATE.fullmatch(data)
    if match is None:
        return None
    protected, kid, payload, expires_at, issued_at, x, y, site, reader, signature = match.groups()
    key = find_key(kid)
    if key is None or not p256.verify(key, signature, to_be_signed(protected, payload)):
        return None
    return ReaderCertificate(
        site=site,
        reader=reader,
        public_key=b"\x04" + x + y,
        issued_at=int.from_bytes(issued_at, "big"),
        expires_at=int.from_bytes(expires_at, "big"),
    )
