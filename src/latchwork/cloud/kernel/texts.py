"""What a text from outside may look like."""

from __future__ import annotations

import re
from unicodedata import category

from msgspec import UNSET

from latchwork.wire.api.problems import FieldError

LONGEST_NAME = 200
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cf"})
"""Blanks, and marks that only say how to show what stands beside them."""


def is_text(text: str, longest: int = 1_000) -> bool:
    """At most that long, and nothing that a terminal or a database trips over: control characters, lone surrogates."""
    return len(text) <= longest and _FORBIDDEN.search(text) is None


def is_name(text: str) -> bool:
    """A name for people: 1 to 200 characters, at least one of which can be seen."""
    return is_text(text, LONGEST_NAME) and any(category(ch) not in _UNSEEN for ch in text)


def name_errors(name: object, field: str = "name") -> list[FieldError]:
    """What is wrong with a name that was given; nothing for one that is absent."""
    if name is UNSET or (isinstance(name, str) and is_name(name)):
        return []
    return [FieldError(field, "A name has 1 to 200 characters, and no control characters.")]


def text_errors(text: object, field: str, longest: int = LONGEST_NAME) -> list[FieldError]:
    """What is wrong with a text that may be empty or absent."""
    if not isinstance(text, str) or is_text(text, longest):
        return []
    return [FieldError(field, f"At most {longest} characters, and no control characters.")]
