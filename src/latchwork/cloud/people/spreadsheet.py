"""People as CSV (RFC 4180): read with every bad line named, and written.

Lists in a cell are divided by semicolons; what is read may have spaces or `|` there, and semicolons between columns.

No cell is a formula: `wire.sheet`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from latchwork.cloud.accounts.roles import ROLES
from latchwork.cloud.people import rules
from latchwork.wire import sheet
from latchwork.wire.api.people import BadLine, User, UserDraft, UserPatch
from latchwork.wire.api.problems import FieldError

Cells: TypeAlias = dict[str, str]
_LIST: Final = re.compile(r"[;|\s]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it was written."""

    number: int
    cells: Cells
    """By column."""


@dataclass(frozen=True, slots=True)
class Known:
    """What there is in the organisation that a line may name."""

    timezones: Mapping[int, str]
    """By site."""
    doors: Collection[int]
    terms: Collection[int]
    modules: Collection[str]
    users: Mapping[int, User]
    """Those that the lines name."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a good line asks for."""

    id: int | None
    """None: a new user."""
    user: UserDraft | UserPatch
    doors: tuple[int, ...] | None
    """The set that replaces the doors of a user who is there; None: unchanged."""


# ------------------------------------------------------------------------------------------------- single cells


def _text(cell: str) -> str:
    return cell


def _number(cell: str) -> int | None:
    if not cell:
        return None
    if not (cell.isascii() and cell.isdecimal() and len(cell) <= 10):
        raise ValueError("An id is a whole number.")
    return int(cell)


def _numbers(cell: str) -> list[int]:
    return [number for part in _LIST.split(cell) if (number := _number(part)) is not None]


def _names(cell: str) -> list[str]:
    names = [name for name in _LIST.split(cell) if name]
    if unknown := [name for name in names if name not in ROLES]:
        raise ValueError(f"There is no role {unknown[0][:50]}; there are {', '.join(ROLES)}.")
    return names


def _yes(cell: str) -> bool:
    if cell.lower() not in ("", "true", "false"):
        raise ValueError("true or false.")
    return cell.lower() != "false"


_READ: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "name": ("name", _text),
    "email": ("email", _text),
    "phone": ("phone", _text),
    "employeeCode": ("employee_code", _text),
    "homeSiteId": ("home_site_id", _number),
    "roles": ("roles", _names),
    "adminOfSites": ("admin_of_sites", _numbers),
    "terms": ("terms", _numbers),
    "reportingTo": ("reporting_to", _number),
    "joiningDate": ("joining_date", _text),
    "probationPeriod": ("probation_period", _text),
    "gender": ("gender", _text),
    "isActive": ("is_active", _yes),
    "accessPoints": ("access_points", _numbers),
}
COLUMNS: Final = ("id", *_READ, "accessExpiresAt")

# ------------------------------------------------------------------------------------------------- reading


def read(text: str) -> tuple[list[Line], list[BadLine]]:
    """The lines with their cells, and those that have not as many as there are columns."""
    lines: list[Line] = []
    bad: list[BadLine] = []
    lines_of = io.StringIO(text.removeprefix("\ufeff"), newline="")
    reader = csv.reader(lines_of, delimiter=sheet.delimiter(text), strict=True)
    columns: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            number, start = start, reader.line_num + 1
            if columns is None:
                columns = [cell.strip() for cell in cells]
                if bad := list(_bad_columns(columns)):
                    return [], bad
            elif len(cells) == len(columns):
                lines.append(Line(number, dict(zip(columns, map(_read_cell, cells), strict=True))))
            elif cells:
                sentence = f"This line has {len(cells)} cells; there are {len(columns)} columns."
                bad.append(BadLine(number, "", sentence))
    except csv.Error:
        bad.append(BadLine(start, "", "From here on this is not CSV: look for a quotation mark that is not closed."))
    return lines, bad if columns else [BadLine(1, "", "The first line names the columns.")]


def _read_cell(cell: str) -> str:
    return sheet.unmarked(cell).strip()


def _bad_columns(columns: Sequence[str]) -> Iterator[BadLine]:
    for column in sorted(set(columns)):
        if column not in COLUMNS:
            yield BadLine(1, column[:50], f"There is no such column; there are {', '.join(COLUMNS)}.")
        elif columns.count(column) > 1:
            yield BadLine(1, column, "This column stands here twice.")


def named(lines: Sequence[Line]) -> set[int]:
    """The users that the lines name, as far as they can be read."""
    cells = (line.cells.get(column, "") for line in lines for column in ("id", "reportingTo"))
    return {int(cell) for cell in cells if cell.isascii() and cell.isdecimal() and len(cell) <= 10}


def judge(lines: Sequence[Line], known: Known) -> tuple[list[Row], list[BadLine]]:
    """What the lines ask for, and everything that is wrong with them."""
    rows: list[Row] = []
    bad: list[BadLine] = []
    first: dict[int, int] = {}
    for line in lines:
        row, errors = _judged(line.cells, known)
        if row.id is not None and first.setdefault(row.id, line.number) != line.number:
            errors.append(FieldError("id", f"This user stands on line {first[row.id]} already."))
        bad += [BadLine(line.number, error.field, error.detail) for error in errors]
        rows.append(row)
    return rows, bad


def _judged(cells: Cells, known: Known) -> tuple[Row, list[FieldError]]:
    if cells.get("id"):
        cells = {column: cell for column, cell in cells.items() if cell}
    fields, errors = _fields(cells, known)
    id = fields.pop("id", None)
    before = None if id is None else known.users.get(id)
    errors += _unknown(fields, before, known)
    doors = fields.pop("access_points", None)
    if id is None:
        if not fields.pop("is_active", True):
            errors.append(FieldError("isActive", "A new user is active."))
        draft = UserDraft(**{"name": "", **fields}, access_points=doors or [])
        return Row(None, draft, None), [*errors, *rules.user_errors(draft)]
    if before is None:
        errors.append(FieldError("id", f"There is no user with the id {id}."))
    patch = UserPatch(**fields)
    return Row(id, patch, None if doors is None else tuple(doors)), [*errors, *rules.user_errors(patch)]


def _fields(cells: Cells, known: Known) -> tuple[dict[str, Any], list[FieldError]]:
    """The fields of the native API; a cell that cannot be read is an error, and no field."""
    fields: dict[str, Any] = {}
    errors: list[FieldError] = []
    readers = {**_READ, "id": ("id", _number)}
    for column, cell in cells.items():
        if column in readers:
            field, reading = readers[column]
            try:
                fields[field] = reading(cell)
            except ValueError as error:
                errors.append(FieldError(column, str(error)))
    if "accessExpiresAt" in cells:
        try:
            fields["access_expires_at"] = _expiry(cells["accessExpiresAt"], fields, known)
        except ValueError:
            errors.append(FieldError("accessExpiresAt", "A day such as 2030-12-31, or 2030-12-31T18:00:00+01:00."))
    return fields, errors


def _expiry(cell: str, fields: Mapping[str, Any], known: Known) -> int | None:
    """Without a zone it is the home site's, else the first site's."""
    before = known.users.get(fields.get("id") or 0)
    home = fields.get("home_site_id", before.home_site_id if before else None)
    first = next(iter(known.timezones.values()), "UTC")
    return rules.expiry(cell, known.timezones.get(home, first)) if cell else None


def _unknown(fields: Mapping[str, Any], before: User | None, known: Known) -> list[FieldError]:
    """What is newly referred to and not there: what was there once may be gone by now."""
    asked: list[tuple[str, str, Collection[int]]] = [
        ("homeSiteId", "site", known.timezones),
        ("adminOfSites", "site", known.timezones),
        ("terms", "term", known.terms),
        ("reportingTo", "user", known.users),
        ("accessPoints", "access point", known.doors),
    ]
    errors = [
        FieldError(column, f"There is no {kind} with the id {id}.")
        for column, kind, there in asked
        for id in sorted(_ids(fields.get(_READ[column][0])) - _ids(getattr(before, _READ[column][0], None)))
        if id not in there
    ]
    new_roles = [role for role in fields.get("roles", ()) if before is None or role not in before.roles]
    return [*errors, *rules.role_errors(new_roles, known.modules)]


def _ids(value: int | Collection[int] | None) -> set[int]:
    return set() if value is None else {value} if isinstance(value, int) else set(value)


# ------------------------------------------------------------------------------------------------- writing


def cells(user: User, doors: Sequence[int] | None) -> list[object]:
    """A user's line under COLUMNS; without `doors` that cell is not there, and its column must not be either."""
    expires = user.access_expires_at
    at = "" if expires is None else datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        user.id,
        user.name,
        user.email,
        user.phone,
        user.employee_code,
        user.home_site_id,
        ";".join(user.roles),
        _joined(user.admin_of_sites),
        _joined(user.terms),
        user.reporting_to,
        user.joining_date,
        user.probation_period,
        user.gender,
        "true" if user.is_active else "false",
        *([] if doors is None else [_joined(doors)]),
        at,
    ]


def _joined(ids: Sequence[int]) -> str:
    return ";".join(map(str, ids))
