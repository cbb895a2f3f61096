"""What one running Harbour Desk is told from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    data: Path
    """The folder of its own database and key."""
    latchwork: str
    """The URL of the Latchwork cloud."""
    client_id: str
    client_secret: str = field(repr=False)
    sdk: Path
    """The folder of the built Access SDK for browsers (`sdks/typescript/dist`)."""
    url: str
    """Where members and visitors reach it: what changes something is taken from pages of this address alone."""
    proxy: str
    """Addresses of the proxy before it, whose word is taken for who asks (`X-Forwarded-For`), with commas between."""

    @property
    def is_secure(self) -> bool:
        return self.url.startswith("https://")


def read(environment: Mapping[str, str], listens: str) -> Settings:
    """The settings; raises KeyError with the name that is missing. `listens`: the URL when none is configured."""
    secret_file = environment.get("LATCHWORK_CLIENT_SECRET_FILE")
    return Settings(
        data=Path(environment["HARBOUR_DESK_DATA"]),
        latchwork=environment["LATCHWORK_URL"].rstrip("/"),
        client_id=environment["LATCHWORK_CLIENT_ID"],
        client_secret=Path(secret_file).read_text().strip() if secret_file else environment["LATCHWORK_CLIENT_SECRET"],
        sdk=Path(environment["HARBOUR_DESK_SDK"]),
        url=environment.get("HARBOUR_DESK_URL", listens).rstrip("/").lower(),
        proxy=environment.get("HARBOUR_DESK_PROXY", "127.0.0.1"),
    )
