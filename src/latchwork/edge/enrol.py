"""Enrolment: the controller makes its own key, shows that it holds it, and learns who it is (`POST /v1/enrol`)."""

from __future__ import annotations

import http.client
import re
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from latchwork.edge import config, tls
from latchwork.edge.config import BluetoothReader, Config, ConfigInvalid
from latchwork.wire import p256
from latchwork.wire.api.enrolment import Enrolled, Enrolment, proof_bytes

PATH: Final = "/v1/enrol"

_CODE: Final = re.compile(r"([0-9]{1,18}-[0-9A-Za-z]{16})(?:-([0-9A-Fa-f]{64}))?", re.ASCII)
_TIMEOUT: Final = 15.0
_LONGEST_ANSWER: Final = 64 * 1024


class EnrolmentFailed(Exception):
    """The controller is not enrolled; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class ShownCode:
    """The parts of a code as the website shows it."""

    code: str
    """What the cloud wants back: id and secret."""
    fingerprint: str
    """SHA-256 of the cloud's TLS key in hex; empty when the code has none."""


def split_code(shown: str) -> ShownCode:
    """The parts of `<controller id>-<16 letters and digits>[-<fingerprint>]`; raises `EnrolmentFailed`."""
    match = _CODE.fullmatch(shown.strip())
    if match is None:
        raise EnrolmentFailed("a code looks like 12-AB34CD56EF78GH90, possibly with a long fingerprint behind it")
    return ShownCode(match[1], (match[2] or "").lower())


def enrol(shown: str, url: str, path: Path, data: Path) -> Config:
    """Enrols this machine and writes `path` (edge.toml); repeating it with the same code and folder is harmless.

    Raises `EnrolmentFailed` with a sentence for people.
    """
    code = split_code(shown)
    try:
        config.check_url(url)
        key = own_key(data / "controller.key")
        enrolled = _ask(url, code.fingerprint, _request(code.code, key))
        made = replace(_config(enrolled, url.rstrip("/"), code, data), bluetooth=_readers(path))
        config.save(path, made)
    except (ConfigInvalid, tls.WrongCloud) as error:
        raise EnrolmentFailed(str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise EnrolmentFailed(f"enrolment at {url} did not work: {error or type(error).__name__}") from error
    return made


def own_key(path: Path) -> p256.PrivateKey:
    """The controller's key from its file, which is made if there is none (64 hex digits, mode 0600)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        config.write_private(path, p256.private_bytes(p256.new_key()).hex().encode() + b"\n")
    try:
        return p256.load_private(bytes.fromhex(path.read_text()))
    except ValueError:
        raise EnrolmentFailed(f"{path} does not hold a controller's key; move it away to make a new one") from None


def _readers(path: Path) -> tuple[BluetoothReader, ...]:
    """What the machine's wiring was told to be before stays so."""
    try:
        return config.load(path).bluetooth
    except ConfigInvalid:
        return ()


def _request(code: str, key: p256.PrivateKey) -> Enrolment:
    public = p256.public_bytes(key.public_key())
    proof = p256.sign(key, proof_bytes(code, public))
    return Enrolment(code=code, public_key=p256.b64url(public), proof=p256.b64url(proof))


def _config(enrolled: Enrolled, url: str, code: ShownCode, data: Path) -> Config:
    """What the cloud's answer makes of this controller; raises `EnrolmentFailed` when it makes no sense."""
    is_ours = str(enrolled.controller_id) == code.code.split("-")[0] and enrolled.organisation_id > 0
    if not is_ours or not re.fullmatch("[0-9a-f]{32}", enrolled.cloud_id):
        raise EnrolmentFailed("the cloud's answer does not fit this controller")
    return Config(
        url=url,
        organisation=enrolled.organisation_id,
        controller=enrolled.controller_id,
        name=enrolled.name,
        cloud_id=enrolled.cloud_id,
        fingerprint=code.fingerprint,
        data=data.absolute(),
    )


def _ask(url: str, fingerprint: str, enrolment: Enrolment) -> Enrolled:
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, fingerprint)
    try:
        connection.connect()
        if fingerprint and isinstance(connection.sock, ssl.SSLSocket):
            tls.check_pin(connection.sock, fingerprint)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        connection.request("POST", parts.path.rstrip("/") + PATH, msgspec.json.encode(enrolment), headers)
        response = connection.getresponse()
        return _answer(response.status, response.read(_LONGEST_ANSWER))
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: int | None, fingerprint: str) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=tls.context(fingerprint))


def _answer(status: int, body: bytes) -> Enrolled:
    if not 200 <= status < 300:
        raise EnrolmentFailed(_problem(body) or f"the cloud refused the enrolment (HTTP {status})")
    try:
        return msgspec.json.decode(body, type=Enrolled)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise EnrolmentFailed("what answered is not a Latchwork cloud") from None


class _Problem(msgspec.Struct):
    """RFC 9457 §3.1, as far as people read it."""

    title: str = ""
    detail: str = ""


def _problem(body: bytes) -> str:
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    return "".join(each for each in problem.detail or problem.title if each.isprintable())[:500]
