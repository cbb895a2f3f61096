"""Reading what old clients send: numbers as text, empty texts and nulls where nothing is meant, days in two forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from latchwork.cloud.kernel.ids import is_id
from latchwork.cloud.people import rules
from latchwork.wire.api.problems import FieldError, Invalid

Text: TypeAlias = str | int | None
Ids: TypeAlias = list[int | str | None] | int | str | None

_LEGACY_DAY = re.compile(r"[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}")


def text(value: Text) -> str:
    """Empty where nothing was sent."""
    return "" if value is None else str(value).strip()


def some(value: Text) -> str | None:
    """None where nothing was sent, or an empty text: as a filter wants it."""
    return text(value) or None


def number(value: Text, field: str) -> int | None:
    """None where nothing was sent; raises Invalid for a text that is no whole number."""
    digits = text(value)
    if not digits:
        return None
    if not (digits.isascii() and digits.removeprefix("-").isdecimal() and len(digits) <= 20):
        raise wrong(field, f"{field} is a whole number.")
    return int(digits)


def ids(values: Ids, field: str) -> list[int]:
    """Each id once, in its order; nulls and empty texts are nothing. Raises Invalid."""
    listed = values if isinstance(values, list) else [values]
    found = (number(value, field) for value in listed)
    return list(dict.fromkeys(id for id in found if id is not None))


def some_ids(values: Ids, field: str) -> list[int] | None:
    """None where nothing was sent, as a filter wants it; what can be no id is dropped, and finds nothing."""
    asked = ids(values, field)
    return [id for id in asked if is_id(id)] if asked else None


def day(value: Text, field: str) -> str:
    """`YYYY-MM-DD` of a date in that form or as `DD-Mon-YYYY`; empty where nothing was sent. Raises Invalid."""
    written = text(value)
    if _LEGACY_DAY.fullmatch(written):
        try:
            return datetime.strptime(written.title(), "%d-%b-%Y").date().isoformat()
        except ValueError:
            raise wrong(field, f"{field} is a date: YYYY-MM-DD.") from None
    return written


def expiry(value: Text, timezone: str, field: str) -> int | None:
    """The instant that an ISO 8601 text names, in this time zone where it names none; None where nothing was sent."""
    written = text(value)
    if not written:
        return None
    try:
        return rules.expiry(written, timezone)
    except ValueError:
        raise wrong(field, not_iso(written, field)) from None


def not_both(add: Sequence[int], remove: Sequence[int]) -> None:
    """Raises Invalid for an id in both, or for more than a call may carry."""
    if both := set(add) & set(remove):
        raise wrong("permissionsToAdd", f"{min(both)} is added and removed in the same call.")
    rules.check_number([*add, *remove])


def wrong(field: str, sentence: str) -> Invalid:
    return Invalid(errors=[FieldError(field, sentence)])


def not_iso(written: str, field: str, example: str = "2030-12-31T18:00:00+01:00") -> str:
    """What to say of a text that names no instant."""
    if written.isdecimal() and len(written) in (13, 16):
        return f"{field} looks like milliseconds; it is a text such as {example}."
    return f"{field} is a text such as {example}, or a day such as 2030-12-31."
