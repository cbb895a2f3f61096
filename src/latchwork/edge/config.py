"""`edge.toml`: who this controller is and where its cloud is, as enrolment wrote it."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from latchwork.policy.model import Direction
from latchwork.wire.advert import POWER

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class ConfigInvalid(ValueError):
    """The file does not say what a controller needs to know; the text is for people."""


@dataclass(frozen=True, slots=True)
class BluetoothReader:
    """An adapter of this machine that is a reader for phones: a table [[bluetooth]]."""

    transport: str
    """The adapter as bumble names it: hci-socket:0, usb:0, serial:/dev/ttyACM0."""
    door: int
    """The access point that it is at."""
    direction: Direction = Direction.ENTRY
    power: int = POWER
    """dBm at which a phone one metre away hears it."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the program needs to start."""

    url: str
    """The cloud: https://host[:port], or http:// to loopback."""
    organisation: int
    controller: int
    name: str
    cloud_id: str
    """16 bytes in hex."""
    fingerprint: str
    """SHA-256 of the cloud's TLS public key (SPKI), hex; empty: the system's certificate authorities decide."""
    data: Path
    """The folder of the key, the state and the journal."""
    system_clock: bool = True
    """Believe a synchronised system clock until the link has spoken."""
    commit_delay: float = 0
    """Seconds by which the journal's disk is made slower, for measurements."""
    bluetooth: tuple[BluetoothReader, ...] = ()

    @property
    def key(self) -> Path:
        return self.data / "controller.key"

    @property
    def reader_key(self) -> Path:
        return self.data / "reader.key"

    @property
    def folder(self) -> Path:
        """State and journal of exactly this controller of this cloud; another enrolment has another folder."""
        return self.data / f"{self.cloud_id[:8]}-{self.organisation}-{self.controller}"


def load(path: Path) -> Config:
    """The configuration in a file; raises `ConfigInvalid`."""
    try:
        config = msgspec.convert(tomllib.loads(path.read_text()), Config, dec_hook=_path)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ConfigInvalid(f"{path} cannot be read as a controller's configuration: {error}") from error
    check_url(config.url)
    if len(_hex(config.cloud_id)) != 16 or len(_hex(config.fingerprint)) not in (0, 32):
        raise ConfigInvalid(f"{path}: cloud_id is 16 bytes in hex, fingerprint 32 bytes in hex or empty")
    if not all(-127 <= reader.power <= 20 for reader in config.bluetooth):
        raise ConfigInvalid(f"{path}: a reader's power is -127 to 20 dBm")
    return config


def save(path: Path, config: Config) -> None:
    """Replaces the file in one step; readable by its owner only."""
    values = asdict(config)
    readers = values.pop("bluetooth")
    tables = [values, *readers]
    write_private(path, "\n[[bluetooth]]\n".join(map(_table, tables)).encode())


def check_url(url: str) -> None:
    """Raises `ConfigInvalid` unless it is https, or http to this machine itself."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigInvalid("this is no address of a cloud") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigInvalid("the cloud's address looks like https://access.example.org")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ConfigInvalid("plain http is spoken to this machine itself only; use https")


def write_private(path: Path, content: bytes) -> None:
    """Makes or replaces a file of mode 0600, durable and never half-written."""
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable, where folders can be opened for that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _table(values: dict[str, object]) -> str:
    return "".join(f"{name} = {json.dumps(_plain(value), ensure_ascii=False)}\n" for name, value in values.items())


def _path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b"?"
