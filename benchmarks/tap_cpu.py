"""A whole tap, phone and reader, against the P-256 operations that it cannot do without."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.figures import Figure, Figures, ratio
from latchwork.wire import certificate, p256
from latchwork.wire.certificate import ReaderCertificate
from latchwork.wire.tap import Answer, PhoneIdentity, PhoneSide, Proven, ReaderIdentity, ReaderSide, Request

NAMES = ("tap_cpu_over_p256",)

_ROUNDS, _TIMES = 41, 50
_NOW = 1_800_000_000


def run() -> Figures:
    tapping, bare = _tapping(), _bare()
    tapped, floor = [], []
    for _ in range(_ROUNDS):
        tapped.append(_cpu_seconds(tapping))
        floor.append(_cpu_seconds(bare))
    return {NAMES[0]: Figure(ratio(tapped[1:], floor[1:]), "×", 2)}


def _cpu_seconds(function: Callable[[], None]) -> float:
    began = time.process_time()
    for _ in range(_TIMES):
        function()
    return time.process_time() - began


def _tapping() -> Callable[[], None]:
    """Both sides of a tap, from the opening to the phone's knowing the answer."""
    signer, own, phone = p256.new_key(), p256.new_key(), PhoneIdentity(p256.new_key(), _NOW)
    site, reader = certificate.site_id(1, 1), certificate.reader_id(1, False)
    said = ReaderCertificate(site, reader, p256.public_bytes(own.public_key()), _NOW, _NOW + 1000)
    kid = p256.kid(p256.public_bytes(signer.public_key()))
    identity = ReaderIdentity(site, reader, own, certificate.certify(said, kid, signer))
    known = {kid: signer.public_key()}

    def once() -> None:
        there = ReaderSide(identity, 0)
        here = PhoneSide(phone, Request(), {site}.__contains__, known.get, _NOW)
        proof = there.receive(_sent(here.receive(there.opening)), 0)
        assert isinstance(there.receive(_sent(here.receive(_sent(proof))), 0), Proven)
        assert isinstance(here.receive(there.answer(Answer(True, "granted"))), Answer)

    return once


def _sent(message: object) -> bytes:
    assert isinstance(message, bytes)
    return message


def _bare() -> Callable[[], None]:
    """Two key pairs, two ECDH, two signatures, three verifications, with everything else made ready before."""
    curve, es256, message = ec.SECP256R1(), ec.ECDSA(hashes.SHA256()), os.urandom(96)
    key = ec.generate_private_key(curve)
    public, signature = key.public_key(), key.sign(message, es256)

    def once() -> None:
        one, other = ec.generate_private_key(curve), ec.generate_private_key(curve)
        one.exchange(ec.ECDH(), public)
        other.exchange(ec.ECDH(), public)
        for _ in range(2):
            key.sign(message, es256)
        for _ in range(3):
            public.verify(signature, message, es256)

    return once
