"""Instants in forms and sentences, on the clock of a place. Pure."""

from __future__ import annotations

from datetime import datetime, tzinfo


def typed(text: str, zone: tzinfo) -> int | None:
    """The instant in a field `datetime-local` (HTML §2.3.5.5), on this clock; empty: None. Raises ValueError."""
    if not text.strip():
        return None
    at = datetime.fromisoformat(text.strip())
    return int((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp())


def field(at: int | None, zone: tzinfo) -> str:
    """What a field `datetime-local` holds for an instant; its seconds where it has any."""
    if at is None:
        return ""
    local = datetime.fromtimestamp(at, zone)
    return local.strftime("%Y-%m-%dT%H:%M:%S" if local.second else "%Y-%m-%dT%H:%M")


def written(at: float, zone: tzinfo) -> str:
    """As in a sentence: "30 Oct 2026, 13:00"."""
    local = datetime.fromtimestamp(at, zone)
    return f"{local.day} {local:%b %Y, %H:%M}"
