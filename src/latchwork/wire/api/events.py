"""The event log as its readers see it."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

_AtDoors: TypeAlias = Literal[
    "access_granted",
    "access_refused",
    "pass_shared_suspected",
    "strike_withheld",
    "card_presented",
    "door_opened",
    "door_closed",
    "door_forced",
    "door_held",
    "door_secured",
    "door_unlocked",
    "door_locked_down",
    "door_back_to_normal",
    "request_to_exit",
    "fire_released",
    "fire_cleared",
]
_OfControllers: TypeAlias = Literal[
    "controller_started",
    "controller_enrolled",
    "controller_cloned",
    "cloud_rolled_back",
    "snapshot_accepted",
    "journal_gap",
    "record_rejected",
    "unreadable_fact",
]
_AskedOfDoors: TypeAlias = Literal[
    "alarm_acknowledged",
    "door_mode_changed",
    "unlock_requested",
    "card_enrolment_requested",
]
_People: TypeAlias = Literal[
    "user_created",
    "user_changed",
    "user_activated",
    "user_deactivated",
    "user_deleted",
    "permission_granted",
    "permission_changed",
    "permission_withdrawn",
    "card_assigned",
    "card_unassigned",
    "phone_enrolled",
    "phone_removed",
]
_Visits: TypeAlias = Literal[
    "visitor_created",
    "visitor_changed",
    "visitor_deleted",
    "meeting_created",
    "meeting_changed",
    "meeting_deleted",
    "meeting_ended",
    "visitor_checked_in",
    "visitor_checked_out",
    "visit_link_made",
]
_LogIns: TypeAlias = Literal[
    "user_invited",
    "session_begun",
    "session_ended",
    "app_session_begun",
    "app_session_ended",
    "app_session_contested",
    "password_changed",
    "account_removed",
    "identity_provider_changed",
    "identity_provider_removed",
]
_Settings: TypeAlias = Literal[
    "organisation_created",
    "organisation_changed",
    "site_created",
    "site_changed",
    "site_deleted",
    "holidays_changed",
    "access_point_created",
    "access_point_changed",
    "access_point_deleted",
    "controller_created",
    "controller_changed",
    "controller_deleted",
    "enrolment_code_created",
    "client_created",
    "client_changed",
    "client_secret_rotated",
    "client_revoked",
    "pass_key_created",
    "pass_key_activated",
    "pass_key_deleted",
    "term_created",
    "term_deleted",
    "schedule_created",
    "schedule_changed",
    "schedule_deleted",
]
EventType: TypeAlias = Literal[_AtDoors, _OfControllers, _AskedOfDoors, _People, _Visits, _LogIns, _Settings]
"""Everything that this version records; a reader may meet the types of a newer one."""
ALARMS: Final[frozenset[str]] = frozenset(
    {
        *("door_forced", "door_held", "fire_released", "strike_withheld", "pass_shared_suspected"),
        *("controller_cloned", "cloud_rolled_back", "journal_gap", "record_rejected", "unreadable_fact"),
    }
)
"""The types of events that somebody has to see to."""


Deed: TypeAlias = Literal["doors", "people", "visitors", "accounts", "settings"]
"""What somebody does: steers doors, changes people and permissions, visits, log-ins, or the organisation itself."""

DEEDS: Final[dict[Deed, tuple[str, ...]]] = {
    "doors": get_args(_AskedOfDoors),
    "people": get_args(_People),
    "visitors": get_args(_Visits),
    "accounts": get_args(_LogIns),
    "settings": get_args(_Settings),
}
"""The types of each."""

ActorKind: TypeAlias = Literal["client", "user", "controller", "admin", "system"]


class Actor(msgspec.Struct, frozen=True):
    """Who did it, by id and by the name they had then."""

    kind: ActorKind
    id: str
    name: str


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """One fact of the organisation's append-only log; `number` is its place in it, without gaps."""

    number: int
    type: str
    at: float
    """When it happened, as its witness saw it."""
    recorded_at: float
    actor: Actor
    subject: str
    """What it is about: `meeting/17`, `access_point/3` …"""
    data: dict[str, Any]
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """Events in order; ask again with `after` = `last` to miss nothing, of the newest first with `before` = `last`."""

    events: list[Event]
    last: int
    """How far was looked; 0, of the newest first: there is nothing older."""


class Alarm(msgspec.Struct, frozen=True, rename="camel"):
    """An event that somebody has to see to, and who did."""

    event: Event
    acknowledged_at: int | None
    """Null: it is open."""
    acknowledged_by: Actor | None
    note: str


class Acknowledgement(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    note: str = ""
    """What was found, or done about it."""
