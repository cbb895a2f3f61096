"""Records of the event log that never leave the cloud."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deeds:
    """Which of the things that somebody did are wanted."""

    types: tuple[str, ...]
    actors: tuple[str, ...]
    since: int = 0
    """From this number on."""
