"""One server: the cloud and its website behind one port."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from latchwork.cloud.app import create_app
from latchwork.cloud.kernel.postgres import embedded
from latchwork.cloud.kernel.settings import Settings, read_settings
from latchwork.web.app import Website
from latchwork.wire.link import MAX_FRAME_BYTES

_OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000


class Composed:
    """The cloud and the website as one ASGI application."""

    def __init__(self, settings: Settings, dsn: str) -> None:
        self.ending = asyncio.Event()
        """Set when the server begins to stop: what waits for news does not wait any longer."""
        self._cloud = create_app(settings, dsn, self.ending)
        secure = settings.public_url.startswith("https://")
        self._web = Website(self._cloud, secure=secure, proxy_trusted=settings.proxy_trusted, ending=self.ending)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        is_web = scope["type"] == "http" and (self._web.owns(scope["path"]) or self._is_astray(scope))
        await (self._web if is_web else self._cloud)(scope, receive, send)

    def _is_astray(self, scope: Any) -> bool:
        """Whether somebody with a browser asks for what there is not: a page tells them so."""
        accepted = dict(scope["headers"]).get(b"accept", b"")
        return b"text/html" in accepted and not self._cloud.owns(scope["path"])


class Server(uvicorn.Server):
    """A server that tells its application before it stops."""

    def __init__(self, app: Composed, **more: Any) -> None:
        super().__init__(uvicorn.Config(app, **options(**more)))
        self._ending = app.ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._ending.set()
        await super().shutdown(sockets)


def create() -> Composed:
    """For a server that makes its own processes: everything from the environment."""
    settings = read_settings(os.environ)
    if settings.database_url is None:
        raise RuntimeError("DATABASE_URL is needed")
    return _for_good(Composed(settings, settings.database_url))


def _for_good(app: Composed) -> Composed:
    """The application of this process until its end.

    What never becomes garbage is not looked at any more, and requests, which leave hardly a cycle behind, are not
    searched for them every 700 objects: a tenth of their processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    return app


@contextmanager
def database(settings: Settings, *, exclusive: bool = False) -> Iterator[str]:
    """The DSN of the operator's own PostgreSQL, or of the embedded one for as long as the context lasts."""
    if settings.database_url is not None:
        yield settings.database_url
    else:
        with embedded(settings.data, exclusive=exclusive) as dsn:
            yield dsn


def options(**more: Any) -> dict[str, Any]:
    """How uvicorn runs: measured in docs/decisions; every request is answered without a log line of its own."""
    return {
        "loop": "auto",
        "http": "httptools",
        "ws": "websockets-sansio",
        "ws_max_size": MAX_FRAME_BYTES,
        "ws_per_message_deflate": False,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "timeout_graceful_shutdown": 5,
        "log_level": "warning",
        **more,
    }


def run(
    settings: Settings, dsn: str, host: str, port: int, workers: int, certificate: Path | None, key: Path | None
) -> None:
    """Serves until SIGTERM or SIGINT."""
    tls = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)} if certificate and key else {}
    if workers == 1:
        Server(_for_good(Composed(settings, dsn)), host=host, port=port, **tls).run()
        return
    os.environ.update(_for_workers(settings, dsn))
    uvicorn.run("latchwork.serve:create", factory=True, **options(host=host, port=port, workers=workers, **tls))


def _for_workers(settings: Settings, dsn: str) -> dict[str, str]:
    """What the other processes must not work out for themselves."""
    return {
        "DATABASE_URL": dsn,
        "LATCHWORK_DATA": str(settings.data),
        "LATCHWORK_PUBLIC_URL": settings.public_url,
        "LATCHWORK_TLS_FINGERPRINT": settings.tls_fingerprint,
    }


def fingerprint(certificate: Path) -> str:
    """SHA-256 of the certificate's public key (SPKI), hex: what controllers pin."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()
