"""Whom the controller talks to: the cloud whose TLS key was pinned at enrolment."""

from __future__ import annotations

import hmac
import ssl
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class WrongCloud(Exception):
    """What answered is not the cloud this controller was enrolled at; nothing was said to it."""


def context(fingerprint: str) -> ssl.SSLContext:
    """For a pinned key the certificate does not matter; without one the system's authorities decide."""
    if not fingerprint:
        return ssl.create_default_context()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def check_pin(peer: ssl.SSLObject | ssl.SSLSocket, fingerprint: str) -> None:
    """Raises `WrongCloud` unless the peer proved to hold the pinned key."""
    certificate = peer.getpeercert(binary_form=True)
    if certificate is None or not hmac.compare_digest(fingerprint_of(certificate), fingerprint.lower()):
        raise WrongCloud("the cloud's TLS key is not the one pinned at enrolment")


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 in hex of the public key (SubjectPublicKeyInfo) in a DER certificate."""
    public = x509.load_der_x509_certificate(certificate).public_key()
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
