"""Links with which people choose a password: mailed where an SMTP server is set, else shown to whoever invites."""

from __future__ import annotations

import logging
from typing import Any

from latchwork.cloud.kernel.http import Caller
from latchwork.cloud.kernel.work import Database, UseCase
from latchwork.cloud.sessions import rules, service
from latchwork.wire.api.problems import Problem
from latchwork.wire.api.sessions import Invitation

log = logging.getLogger(__name__)


async def invite(by: Caller, use_case: UseCase[tuple[str, str]]) -> Invitation:
    """Runs a use case that answers (e-mail, token), and sends the link once that is committed."""
    email, token = await by.change(use_case)
    state = by.request.app.state
    url = password_url(state.settings.public_url, token)
    text = f"You are invited to log in to Latchwork. Choose a password within three days:\n\n{url}\n"
    mailed = await state.mail.send(email, "Your log-in", text)
    return Invitation(url, by.now + rules.LINK_SECONDS, mailed)


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
