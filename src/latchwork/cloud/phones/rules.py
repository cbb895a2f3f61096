"""What a phone may look like, and what it may do at a door: pure."""

from __future__ import annotations

from collections.abc import Collection

from latchwork.cloud.kernel.texts import name_errors
from latchwork.cloud.phones.model import PhoneKey, Purpose
from latchwork.wire import p256
from latchwork.wire.api.people import Access
from latchwork.wire.api.phones import PhoneDraft, Use, proof_bytes
from latchwork.wire.api.problems import FieldError, Invalid


def keys_of(draft: PhoneDraft, user: int) -> tuple[PhoneKey, PhoneKey]:
    """The tap key and the code key of a phone whose proofs are genuine; raises Invalid with every field error."""
    errors = name_errors(draft.name)
    tap, code = _point(draft.tap_key), _point(draft.code_key)
    errors += [
        FieldError(field, "A P-256 key is needed: its uncompressed point, 65 bytes, in base64url without padding.")
        for field, point in (("tapKey", tap), ("codeKey", code))
        if point is None
    ]
    if tap is None or code is None:
        raise Invalid(errors=errors)
    if tap == code:
        errors.append(FieldError("codeKey", "The tap key and the code key are two keys."))
    signed = proof_bytes(user, tap, code)
    errors += [
        FieldError(field, "The proof is not this key's signature (ES256) over user and keys.")
        for field, point, proof in (("tapProof", tap, draft.tap_proof), ("codeProof", code, draft.code_proof))
        if not _is_signed(point, proof, signed)
    ]
    if errors:
        raise Invalid(errors=errors)
    return _key("tap", tap), _key("code", code)


def uses(access: Access, steers: bool, taps: bool, has_reader: bool, has_controller: bool) -> list[Use]:
    """What a phone may do at a door. `steers`: its user may hold it open; `taps`: its readers know Bluetooth."""
    near: list[Use] = []
    if taps and access.mobile:
        near += ["tap"] if access.tap else []
        near += ["click"] if access.click_range > 0 else []
    found: list[Use] = [*near]
    if access.mobile and has_reader:
        found.append("code")
    if access.remote and has_controller:
        found.append("remote")
    return [*found, "hold_open", "lock"] if near and steers else found


def steers_at(roles: Collection[str], admin_of: Collection[int], site: int) -> bool:
    """Whether somebody may hold open and lock the doors of a site."""
    return "super_admin" in roles or ("site_admin" in roles and site in admin_of)


def _key(purpose: Purpose, point: bytes) -> PhoneKey:
    return PhoneKey(p256.kid(point).hex(), purpose, point)


def _point(text: str) -> bytes | None:
    """The point in a text; None: it is none of P-256."""
    try:
        point = p256.from_b64url(text)
        p256.load_public(point)
    except ValueError:
        return None
    return point


def _is_signed(point: bytes, proof: str, message: bytes) -> bool:
    try:
        return p256.verify(p256.load_public(point), p256.from_b64url(proof), message)
    except ValueError:
        return False
