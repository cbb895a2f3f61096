"""Mail, when an SMTP server is set: links with which people choose a password."""

from __future__ import annotations

import asyncio
import logging
import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

log = logging.getLogger(__name__)


class Mail:
    """Sends through one SMTP server (`smtp://` with STARTTLS where offered, `smtps://`), or not at all."""

    def __init__(self, url: str | None, sender: str) -> None:
        """`url`: `smtp[s]://[user:password@]host[:port]`; None: nothing is sent."""
        self._server = urlsplit(url) if url else None
        self._sender = sender

    async def send(self, to: str, subject: str, text: str) -> bool:
        """Whether the server took it."""
        if self._server is None:
            return False
        try:
            await asyncio.to_thread(self._deliver, to, subject, text)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("a mail was not taken: %s", type(error).__name__)
            return False
        return True

    def _deliver(self, to: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, to, subject
        message.set_content(text)
        with self._connected() as server:
            server.send_message(message)

    def _connected(self) -> smtplib.SMTP:
        assert self._server is not None
        host, port, tls = self._server.hostname or "", self._server.port or 0, ssl.create_default_context()
        if self._server.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port or 465, timeout=20, context=tls)
        else:
            server = smtplib.SMTP(host, port or 587, timeout=20)
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=tls)
                server.ehlo()
        if self._server.username:
            server.login(unquote(self._server.username), unquote(self._server.password or ""))
        return server
