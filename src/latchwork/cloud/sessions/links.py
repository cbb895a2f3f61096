"""Links with which people choose a password: mailed where an SMTP server is set, else shown to whoever invites."""

from __future__ import annotations

import logging
from typing import Any

from msgspec.structs import replace

from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.kernel.work import Database, UseCase, Work
from latchwork.cloud.sessions import rules, service
from latchwork.wire.api.problems import Problem
from latchwork.wire.api.sessions import Invitation

log = logging.getLogger(__name__)


async def invite(by: Caller, use_case: UseCase[tuple[str, str]]) -> Invitation:
    """Runs a use case that answers (e-mail, token), and sends the link once that is committed."""
    state = by.request.app.state

    async def make(work: Work) -> tuple[str, Invitation]:
        email, token = await use_case(work)
        url = password_url(state.settings.public_url, token)
        return email, Invitation(url, by.now + rules.LINK_SECONDS, mailed=False)

    email, invitation = await by.create(make, _made_already, id_of=lambda made: made[1].expires_at)
    if not invitation.url:
        return invitation
    text = f"You are invited to log in to Latchwork. Choose a password within three days:\n\n{invitation.url}\n"
    return replace(invitation, mailed=await state.mail.send(email, "Your log-in", text))


async def _made_already(work: Work, expires_at: str) -> tuple[str, Invitation]:
    """Of a repeated request no link is made and none is told: only the first answer had it."""
    return "", Invitation("", int(expires_at), mailed=False)


async def reset(database: Database, state: Any, email: str, now: int) -> None:
    """Mails a link to whoever has an account with this e-mail."""
    try:
        if (token := await service.offer_reset(database, email, now)) is not None:
            url = password_url(state.settings.public_url, token)
            text = f"Choose a new password within three days:\n\n{url}\n\nDid you not ask? Do nothing.\n"
            await state.mail.send(email, "Your new password", text)
    except Problem as problem:
        log.warning("a reset was not possible: %s", problem.code)


def password_url(public_url: str, token: str) -> str:
    """The page of the website where the password is chosen."""
    return f"{public_url}/password/{token}"
