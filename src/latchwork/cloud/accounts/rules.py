"""What an organisation and a client may look like."""

from __future__ import annotations

from typing import get_args

from msgspec import UNSET

from latchwork.cloud.accounts.model import UserAccount
from latchwork.cloud.kernel.texts import name_errors
from latchwork.wire.api.accounts import ClientDraft, ClientPatch, OrganisationPatch, Scope
from latchwork.wire.api.problems import FieldError, Invalid

ALL_SCOPES: tuple[str, ...] = get_args(Scope)
LONGEST_TOKEN = 90 * 86_400
LONGEST_USER_TOKEN = 15 * 60
USE_NOTED_EVERY = 5 * 60
ACT = "users:act"
"""The scope of clients that may act for users."""


def check_organisation(patch: OrganisationPatch) -> None:
    """Raises Invalid with every field error."""
    errors = name_errors(patch.name)
    if isinstance(patch.pass_seconds, int) and not 5 <= patch.pass_seconds <= 86_400:
        errors.append(FieldError("passSeconds", "A QR lives 5 to 86400 seconds; null makes it static."))
    if isinstance(patch.meeting_max_days, int) and not 1 <= patch.meeting_max_days <= 3660:
        errors.append(FieldError("meetingMaxDays", "Meetings may last 1 to 3660 days."))
    if isinstance(patch.offline_limit, int) and not 60 <= patch.offline_limit <= 2**31 - 1:
        errors.append(FieldError("offlineLimit", "At least 60 seconds; null means for ever."))
    if isinstance(patch.phones_per_user, int) and not 1 <= patch.phones_per_user <= 20:
        errors.append(FieldError("phonesPerUser", "A user may have 1 to 20 phones."))
    if errors:
        raise Invalid(errors=errors)


def check_client(draft: ClientDraft | ClientPatch) -> None:
    """Raises Invalid with every field error."""
    errors = name_errors(draft.name)
    if isinstance(draft.token_seconds, int) and not 60 <= draft.token_seconds <= LONGEST_TOKEN:
        errors.append(FieldError("tokenSeconds", "A token lives from 60 seconds to 90 days."))
    if draft.scopes is not UNSET and len(set(draft.scopes)) != len(draft.scopes):
        errors.append(FieldError("scopes", "The same scope stands here twice."))
    if errors:
        raise Invalid(errors=errors)


def is_use_news(last_used_at: int | None, now: int) -> bool:
    """Whether a client's use is worth writing down again."""
    return last_used_at is None or now - last_used_at >= USE_NOTED_EVERY


def may_act(user: UserAccount, now: float) -> bool:
    """Whether a client may act for the user."""
    return user.is_active and (user.access_expires_at is None or now < user.access_expires_at)


def user_token_expires(user: UserAccount, token_seconds: int, now: int) -> int:
    """The instant at which a token of the user ends: never later than their access does."""
    ends = now + min(token_seconds, LONGEST_USER_TOKEN)
    return ends if user.access_expires_at is None else min(ends, user.access_expires_at)


def passes_get_shorter(before: int | None, after: int | None) -> bool:
    """Whether a pass issued under the setting before may outlive one issued after (None: static, the longest)."""
    return after is not None and (before is None or after < before)
