"""ES256, the one signature algorithm of all our keys: P-256 with SHA-256, raw r‖s (RFC 7518 §3.4, RFC 9053 §2.1)."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey

_ES256 = ec.ECDSA(hashes.SHA256())
_ES256_DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_CURVE = ec.SECP256R1()


def new_key() -> PrivateKey:
    return ec.generate_private_key(_CURVE)


def private_bytes(key: PrivateKey) -> bytes:
    """The private scalar, 32 bytes."""
    return key.private_numbers().private_value.to_bytes(32, "big")


def load_private(scalar: bytes) -> PrivateKey:
    """The key of a scalar; raises ValueError when it is none."""
    return ec.derive_private_key(int.from_bytes(scalar, "big"), _CURVE)


def public_bytes(key: PublicKey) -> bytes:
    """The uncompressed point, 65 bytes (SEC 1 §2.3.3)."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def compressed(key: PublicKey) -> bytes:
    """The compressed point, 33 bytes (SEC 1 §2.3.3)."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)


def load_compressed(point: bytes) -> PublicKey:
    """The key of a compressed point; raises ValueError when it is not 33 bytes or not on the curve."""
    if len(point) != 33:
        raise ValueError("a compressed P-256 point has 33 bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)


def shared_secret(key: PrivateKey, other: PublicKey) -> bytes:
    """ECDH: the x coordinate that both sides get, 32 bytes (SEC 1 §3.3.1)."""
    return key.exchange(ec.ECDH(), other)


def load_public(point: bytes) -> PublicKey:
    """The key of an uncompressed point; raises ValueError when it is not 65 bytes or not on the curve."""
    if len(point) != 65:
        raise ValueError("an uncompressed P-256 point has 65 bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point)


def sign(key: PrivateKey, message: bytes) -> bytes:
    """The signature, 64 bytes."""
    return _raw(key.sign(message, _ES256))


def sign_deterministically(key: PrivateKey, message: bytes) -> bytes:
    """As `sign`, always the same for the same key and message (RFC 6979)."""
    return _raw(key.sign(message, _ES256_DETERMINISTIC))


def verify(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """True when the signature is 64 bytes and genuine."""
    if len(signature) != 64:
        return False
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, message, _ES256)
    except InvalidSignature:
        return False
    return True


def kid(point: bytes) -> bytes:
    """8 bytes of the key's COSE thumbprint (RFC 9679 §4: SHA-256 of deterministic {1: 2, -1: 1, -2: x, -3: y})."""
    return sha256(b"\xa4\x01\x02\x20\x01\x21\x58\x20" + point[1:33] + b"\x22\x58\x20" + point[33:]).digest()[:8]


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    """The bytes of unpadded base64url; raises ValueError on anything else."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64url(data) != text:
        raise ValueError("not base64url without padding")
    return data


def _raw(der: bytes) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")
