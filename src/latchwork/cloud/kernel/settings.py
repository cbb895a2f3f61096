"""Settings: one frozen record per process, read from the environment once; a secret also as `NAME_FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator may set. `docs/operating.md` lists the variables."""

    data: Path
    """`LATCHWORK_DATA`: the data folder (embedded PostgreSQL, master key)."""
    database_url: str | None
    """`DATABASE_URL`: a PostgreSQL of your own; absent: the embedded one."""
    master_key: str | None
    """`LATCHWORK_MASTER_KEY`: 64 hex digits; absent: the file `master.key` in the data folder, made on first use."""
    public_url: str
    """`LATCHWORK_PUBLIC_URL`: how the world reaches this cloud; the issuer of its tokens (RFC 8414)."""
    tls_fingerprint: str
    """`LATCHWORK_TLS_FINGERPRINT`: hex SHA-256 of the TLS key (SPKI) that controllers see; empty: plain http."""
    proxy_trusted: bool
    """`LATCHWORK_TRUST_PROXY=1`: take a caller's address from X-Forwarded-For (a proxy of yours sets it)."""
    smtp_url: str | None
    """`LATCHWORK_SMTP_URL`: smtp[s]://[user:password@]host[:port]; absent: links are shown, not mailed."""
    mail_from: str
    """`LATCHWORK_MAIL_FROM`: whom mails come from."""
    pool_size: int
    """`LATCHWORK_POOL`: database connections per process."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in an environment; raises ValueError with a sentence for a value that cannot be used."""
    data = Path(environment.get("LATCHWORK_DATA") or Path.home() / ".local/share/latchwork")
    return Settings(
        data=data,
        database_url=_secret(environment, "DATABASE_URL"),
        master_key=_secret(environment, "LATCHWORK_MASTER_KEY"),
        public_url=environment.get("LATCHWORK_PUBLIC_URL", "http://127.0.0.1:8080").rstrip("/"),
        tls_fingerprint=environment.get("LATCHWORK_TLS_FINGERPRINT", "").lower(),
        proxy_trusted=environment.get("LATCHWORK_TRUST_PROXY", "") == "1",
        smtp_url=_secret(environment, "LATCHWORK_SMTP_URL"),
        mail_from=environment.get("LATCHWORK_MAIL_FROM", "latchwork@localhost"),
        pool_size=_positive(environment, "LATCHWORK_POOL", 10),
    )


def settings_of(data: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings of the environment, with a data folder given elsewhere."""
    found = read_settings(environment)
    return replace(found, data=data) if data else found


def _secret(environment: Mapping[str, str], name: str) -> str | None:
    if file := environment.get(f"{name}_FILE"):
        return Path(file).read_text().strip()
    return environment.get(name) or None


def _positive(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} must be a whole number from 1 upward")
    return int(text)
