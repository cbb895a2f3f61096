"""What an entry or refusal says to people: as a row of a report, and as a line of a sheet. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from latchwork.policy.schedule import find_zone
from latchwork.web.catalogue import Say, reason
from latchwork.web.lines import Moment, moment_in
from latchwork.web.places import Places
from latchwork.wire.api.passages import Passage

COLUMNS: Final = (
    *("time", "site", "door", "way", "outcome", "person", "employee_code", "reason", "credential", "card", "asked_by"),
    *("times", "number"),
)
"""Of a sheet; their names are texts."""


@dataclass(frozen=True, slots=True)
class Row:
    """One passage in a report."""

    number: int
    when: Moment
    who: str
    who_path: str
    where: str
    door: int
    site: str
    is_in: bool
    outcome: str
    why: str
    means: str
    count: int


def row_of(passage: Passage, where: Places, say: Say) -> Row:
    return Row(
        number=passage.number,
        when=moment_in(passage.at, zone_of(passage.timezone)),
        who=who(passage, say),
        who_path=who_path(passage),
        where=passage.access_point_name,
        door=passage.access_point_id,
        site=where.site_name(passage.site_id),
        is_in=_is_in(passage),
        outcome=say(f"reports.{passage.direction}_{_outcome(passage)}"),
        why="" if passage.granted else reason(say, passage.reason, passage.sentence),
        means=_means(passage, say),
        count=passage.count,
    )


def cells(passage: Passage, where: Places, say: Say) -> Sequence[object]:
    """A line under COLUMNS."""
    found = where.sites.get(passage.site_id) if passage.site_id is not None else None
    return (
        datetime.fromtimestamp(passage.at, zone_of(passage.timezone)).isoformat(sep=" ", timespec="seconds"),
        found.name if found else "",
        passage.access_point_name,
        say(f"reports.{passage.direction}"),
        say(f"reports.{_outcome(passage)}"),
        who(passage, say),
        passage.user.employee_code if passage.user else "",
        "" if passage.granted else reason(say, passage.reason, passage.sentence),
        say(f"reports.means_{passage.credential}"),
        passage.card_last_digits or "",
        passage.requested_by.name if passage.requested_by else "",
        passage.count,
        passage.number,
    )


def zone_of(timezone: str | None) -> tzinfo:
    """UTC where there is no site any more."""
    return (find_zone(timezone) if timezone else None) or UTC


def who_path(passage: Passage) -> str:
    """The page of the user or the visit; empty: there is none."""
    if passage.user:
        return f"/people/{passage.user.id}"
    return f"/visitors/{passage.visitor.meeting_id}" if passage.visitor and passage.visitor.meeting_id else ""


def _is_in(passage: Passage) -> bool:
    return passage.granted and not passage.withheld


def _outcome(passage: Passage) -> str:
    return "withheld" if passage.withheld else "granted" if passage.granted else "refused"


def _means(passage: Passage, say: Say) -> str:
    digits = f" …{passage.card_last_digits}" if passage.card_last_digits else ""
    return say(f"reports.means_{passage.credential}") + digits


def who(passage: Passage, say: Say) -> str:
    if passage.user:
        return passage.user.name
    if passage.visitor:
        return passage.visitor.name or passage.visitor.key
    if passage.requested_by:
        return passage.requested_by.name
    return say("doors.somebody")
