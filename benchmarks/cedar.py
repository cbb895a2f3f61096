"""The pure decision about a card, and the same question asked of Cedar, an engine that others would take for it.

Both get everything ready: we the snapshot, Cedar its policies, entities and context, parsed or encoded beforehand as
far as its Python API takes them so. Cedar knows no time zones and cannot look through a list of intervals, so it is
given more than we are: the weekday and the minute in local time, and the schedule as a policy of its own.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import cedarpy

from benchmarks.figures import Figure, Figures, ratio
from latchwork.policy.decide import decide
from latchwork.policy.model import Attempt, CardRead, Direction, Door, Grant, Person, Schedule, Snapshot, Way

NAMES = ("decide_us", "decide_over_cedar")

_ROUNDS, _TIMES = 41, 2_000
_DOOR, _USER, _ZONE = 1, 40, "Europe/Berlin"
_AT = datetime(2026, 6, 17, 10, 30, tzinfo=ZoneInfo(_ZONE)).timestamp()
_HOLIDAYS = frozenset({datetime(2026, 12, 25).toordinal(), datetime(2026, 12, 26).toordinal()})
_DAY = ((7 * 60, 12 * 60), (13 * 60, 19 * 60))

_POLICIES = f"""
permit (principal == User::"{_USER}", action == Action::"card", resource == Door::"{_DOOR}")
when {{ context.at >= {int(_AT) - 86_400} && context.at < {int(_AT) + 86_400} }}
when {{
    !context.isHoliday && context.weekday < 5
    && ((context.minute >= 420 && context.minute < 720) || (context.minute >= 780 && context.minute < 1140))
}};
forbid (principal, action, resource) unless {{ resource.readers.contains(context.direction) }};
forbid (principal, action, resource) when {{ resource.mode == "locked" }};
forbid (principal, action, resource)
when {{ resource has offlineLimit && context.at - context.syncedAt > resource.offlineLimit }};
forbid (principal, action, resource) unless {{ principal.isActive }};
forbid (principal, action, resource) when {{ principal has expiresAt && principal.expiresAt <= context.at }};
forbid (principal, action == Action::"card", resource) unless {{ principal.ways.contains("card") }};
"""


def run() -> Figures:
    ours, theirs = _deciding(), _asking_cedar()
    decided, asked = [], []
    for _ in range(_ROUNDS):
        decided.append(_microseconds(ours))
        asked.append(_microseconds(theirs))
    return {
        NAMES[0]: Figure(statistics.median(decided[1:]), "µs", None),
        NAMES[1]: Figure(ratio(decided[1:], asked[1:]), "×", 0.1),
    }


def _microseconds(function: Callable[[], bool]) -> float:
    began = time.perf_counter()
    for _ in range(_TIMES):
        assert function()
    return (time.perf_counter() - began) / _TIMES * 1e6


def _deciding() -> Callable[[], bool]:
    schedule = Schedule((_DAY,) * 5 + ((), ()))
    known = Snapshot(
        door=Door(_DOOR, "Front door", frozenset(Direction), offline_limit=86_400, timezone=_ZONE),
        person=Person(_USER, True, frozenset(Way), expires_at=int(_AT) + 86_400),
        grant=Grant(int(_AT) - 86_400, int(_AT) + 86_400, schedule),
        holidays=_HOLIDAYS,
        synced_at=_AT - 60,
    )
    attempt = Attempt(_DOOR, Direction.ENTRY, CardRead(4711), _AT)
    return lambda: decide(known, attempt).granted


def _asking_cedar() -> Callable[[], bool]:
    policies = cedarpy.PolicySet.from_str(_POLICIES)
    entities = cedarpy.Entities.from_json_str(json.dumps(_entities()))
    request = {
        "principal": {"type": "User", "id": str(_USER)},
        "action": {"type": "Action", "id": "card"},
        "resource": {"type": "Door", "id": str(_DOOR)},
        "context": json.dumps(_context()),
    }
    return lambda: cedarpy.is_authorized(request, policies, entities).allowed


def _entities() -> list[dict[str, object]]:
    user = {"isActive": True, "expiresAt": int(_AT) + 86_400, "ways": ["mobile", "card", "remote"]}
    door = {"readers": ["entry", "exit"], "mode": "access_control", "offlineLimit": 86_400}
    return [
        {"uid": {"type": "User", "id": str(_USER)}, "attrs": user, "parents": []},
        {"uid": {"type": "Door", "id": str(_DOOR)}, "attrs": door, "parents": []},
    ]


def _context() -> dict[str, object]:
    local = datetime.fromtimestamp(_AT, ZoneInfo(_ZONE))
    return {
        "at": int(_AT),
        "syncedAt": int(_AT) - 60,
        "direction": "entry",
        "weekday": local.weekday(),
        "minute": local.hour * 60 + local.minute,
        "isHoliday": local.toordinal() in _HOLIDAYS,
    }
