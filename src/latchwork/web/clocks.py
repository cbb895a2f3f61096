"""Instants in forms and sentences, on the clock of a place. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo

from latchwork.web.catalogue import Say


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


def written(at: float, zone: tzinfo, say: Say) -> str:
    """As in a sentence: "30 Oct 2026, 13:00"; with "UTC" where that stands for a zone that is not known."""
    said = in_words("written", datetime.fromtimestamp(at, zone), say)
    return f"{said} {zone}" if zone is UTC else said


def in_words(form: str, local: date, say: Say) -> str:
    """A day, or an instant on some clock, as `dates.<form>` puts it."""
    return say(
        f"dates.{form}",
        day=local.day,
        month=say("dates.months").split()[local.month - 1],
        short_month=say("dates.short_months").split()[local.month - 1],
        year=local.year,
        weekday=say("dates.weekdays").split()[local.weekday()],
        short_weekday=say("dates.short_weekdays").split()[local.weekday()],
        minute=f"{local:%H:%M}",
        clock=f"{local:%H:%M:%S}",
        zone=f"{local:%Z}",
    )
