"""Enrolment: a one-time code makes the key of a program at a door the key of a controller."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

from latchwork.cloud.controllers import desired, store
from latchwork.cloud.controllers.model import Code
from latchwork.cloud.controllers.rules import CODE_SECONDS, is_burnt
from latchwork.cloud.events import service as events
from latchwork.cloud.kernel.hints import Hints
from latchwork.cloud.kernel.work import Connection, Scope, Work
from latchwork.wire import p256
from latchwork.wire.api.controllers import EnrolmentCode
from latchwork.wire.api.enrolment import Enrolled, Enrolment, proof_bytes
from latchwork.wire.api.problems import Conflict, EnrolmentRefused

_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ0123456789"  # 32 that nobody confuses: 16 of them are 80 bits


async def make_code(work: Work, controller: int, tls_fingerprint: str, url: str = "") -> EnrolmentCode:
    """A new code, valid for 15 minutes; an older one ends. Only its hash is stored."""
    await store.get(work.conn, work.scope, controller, work.now)
    code = f"{controller}-{''.join(secrets.choice(_LETTERS) for _ in range(16))}"
    expires_at = work.now + CODE_SECONDS
    await store.put_code(work.conn, work.scope, controller, _hash(code), expires_at)
    events.record(work, "enrolment_code_created", f"controller/{controller}")
    return EnrolmentCode(f"{code}-{tls_fingerprint}" if tls_fingerprint else code, expires_at, url)


async def code_again(work: Work, id: str) -> EnrolmentCode:
    """A code is shown once: a repeat learns that it was made."""
    raise Conflict("The code was made and is shown once; make a new one if it got lost.")


async def find_organisation(conn: Connection, code: str) -> Scope:
    """Whose controller a code names; raises EnrolmentRefused."""
    row = await store.organisation_of(conn, _controller_of(code))
    if row is None:
        raise EnrolmentRefused
    return Scope(row)


async def enrol(work: Work, hints: Hints, request: Enrolment) -> Enrolled | None:
    """The controller's identity; None when the code is wrong (the miss is counted: commit it), used or expired."""
    controller = _controller_of(request.code)
    code = await store.lock_code(work.conn, controller)
    if code is None or is_burnt(code, work.now):
        return None
    if not hmac.compare_digest(code.code_hash, _hash(request.code)):
        await store.miss_code(work.conn, controller)
        return None
    public_key = _proven_key(request)
    if code.used_by is not None and code.used_by != public_key:
        return None
    if code.used_by is None:
        await _take(work, hints, code, public_key)
    found = await store.get(work.conn, work.scope, controller, work.now)
    return Enrolled(work.scope.organisation, controller, found.name, (await store.cloud_id(work.conn)).hex())


async def _take(work: Work, hints: Hints, code: Code, public_key: bytes) -> None:
    """The new key is the controller's; the old key and its link end."""
    await store.enrol(work.conn, work.scope, code.controller, public_key, work.now)
    work.after_commit.append(lambda: hints.give(desired.topic(code.controller)))
    kid = p256.b64url(p256.kid(public_key))
    events.record(work, "controller_enrolled", f"controller/{code.controller}", data={"key": kid})


def _proven_key(request: Enrolment) -> bytes:
    """The public key, when its owner signed the request; raises EnrolmentRefused."""
    try:
        point, proof = p256.from_b64url(request.public_key), p256.from_b64url(request.proof)
        key = p256.load_public(point)
    except ValueError:
        raise EnrolmentRefused("The public key or its proof cannot be read.") from None
    if not p256.verify(key, proof, proof_bytes(request.code, point)):
        raise EnrolmentRefused("The proof was not made with this key for this code.")
    return point


def _controller_of(code: str) -> int:
    number = code.partition("-")[0]
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise EnrolmentRefused
    return int(number)


def _hash(code: str) -> bytes:
    return sha256(code.encode("utf-8", "replace")).digest()
