"""What a site and a door may look like."""

from __future__ import annotations

from typing import Final

from msgspec import UnsetType

from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.kernel.texts import name_errors, text_errors
from latchwork.cloud.kernel.work import Scope
from latchwork.policy.schedule import is_timezone
from latchwork.wire.api.problems import FieldError, Forbidden, Invalid, NotFound
from latchwork.wire.api.sites import AccessPointDraft, AccessPointPatch, SiteDraft, SitePatch

STILL_NEEDED: Final = {
    "doors": "Doors still belong to this site; delete them first.",
    "users": "This is still the home site of users; give them another one first.",
    "admins": "Users still administer this site; take it from them first.",
}
"""Why a site cannot be deleted, by what belongs to it."""


def check_site(site: SiteDraft | SitePatch) -> None:
    """Raises Invalid with every field error."""
    errors = [*name_errors(site.name), *text_errors(site.location, "location"), *_zone_errors(site.timezone)]
    if errors:
        raise Invalid(errors=errors)


def check_door(door: AccessPointDraft | AccessPointPatch) -> None:
    """Raises Invalid with every field error."""
    errors = [
        *name_errors(door.name),
        *text_errors(door.zone, "zone"),
        *_reader_errors(door.entry_reader, "entryReader"),
        *_reader_errors(door.exit_reader, "exitReader"),
        *_seconds_errors(door.strike_seconds, "strikeSeconds", 0.5, 300),
        *_seconds_errors(door.held_seconds, "heldSeconds", 1, 86_400),
    ]
    if errors:
        raise Invalid(errors=errors)


def check_may_rewire(scope: Scope) -> None:
    """Raises Forbidden: controllers belong to no site, and run doors of several."""
    if scope.reach is not None:
        raise Forbidden("Which controller runs a door concerns the whole organisation; leave controllerId out.")


def check_ids(**ids: int | UnsetType | None) -> None:
    """Raises NotFound for a number that cannot be the id of anything; the rest is for the database to know."""
    for what, id in ids.items():
        if isinstance(id, int) and not is_id(id):
            raise NotFound(f"There is no {what} with this id.")


def _zone_errors(timezone: str | UnsetType) -> list[FieldError]:
    if isinstance(timezone, UnsetType) or is_timezone(timezone):
        return []
    return [FieldError("timezone", "An IANA time zone is needed, such as Europe/Berlin.")]


def _reader_errors(reader: str | UnsetType | None, field: str) -> list[FieldError]:
    if reader == "":
        return [FieldError(field, "The controller's name for the reader, or null where there is none.")]
    return text_errors(reader, field)


def _seconds_errors(seconds: float | UnsetType, field: str, least: float, most: float) -> list[FieldError]:
    if isinstance(seconds, UnsetType) or least <= seconds <= most:
        return []
    return [FieldError(field, f"From {least:g} to {most:g} seconds.")]
