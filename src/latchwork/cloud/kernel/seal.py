"""Seals: private keys at rest, encrypted with the installation's master key (AES-256-GCM, NIST SP 800-38D)."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class WrongMasterKey(Exception):
    """The database's keys were sealed with another master key."""


class Seal:
    """Seals and opens small secrets; `purpose` binds a sealed secret to what it is for."""

    def __init__(self, master_key: bytes) -> None:
        self._cipher = AESGCM(master_key)
        self._derivation = hmac.digest(master_key, b"latchwork derivation", "sha256")

    def close(self, secret: bytes, purpose: str) -> bytes:
        """nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes)."""
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, secret, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """The secret; raises WrongMasterKey when it was not sealed with this key for this purpose."""
        try:
            return self._cipher.decrypt(sealed[:12], sealed[12:], purpose.encode())
        except InvalidTag:
            raise WrongMasterKey("the master key does not open this database's keys") from None

    def derive(self, secret: bytes, purpose: str) -> bytes:
        """32 bytes that follow from a secret and that nobody without the master key can tell (HMAC, RFC 2104)."""
        return hmac.digest(self._derivation, purpose.encode() + b"\0" + secret, "sha256")


def read_master_key(given: str | None, data: Path) -> bytes:
    """The 32 bytes of the master key: as given (64 hex digits), or from `master.key` (0600, made on first use)."""
    text = given if given is not None else _key_file(data / "master.key")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("the master key must be 64 hex digits")
    return bytes.fromhex(text)


def _key_file(path: Path) -> str:
    """The file's text; the first of several starters makes it, completely or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".master.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
