"""Cells of a spreadsheet as CSV (RFC 4180): none of them is a formula.

What a spreadsheet program would compute, such as a phone number that begins with +, is written with an apostrophe
before it (CWE-1236), which is taken away when it is read again.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Final

_FORMULA: Final = re.compile(r"'*[=+@\t\r\n\uff1d\uff0b\uff20\uff0d-]")
"""What a spreadsheet program would compute, full-width signs too, and what is already marked as text."""
UTF_8: Final = "\ufeff"
"""Begins a file, so that spreadsheet programs read it as UTF-8."""


def delimiter(text: str) -> str:
    """What stands between a sheet's columns: a semicolon where spreadsheet programs keep the comma for numbers."""
    header = text.lstrip(UTF_8 + "\r\n").partition("\n")[0]
    return ";" if ";" in header and "," not in header else ","


def write(rows: Sequence[Sequence[object]]) -> str:
    """Lines that end as RFC 4180 §2.1 says; no cell is a formula."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_marked(cell) for cell in row] for row in rows)
    return text.getvalue()


def unmarked(cell: str) -> str:
    """The text of a cell that `write` has written."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _marked(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell
