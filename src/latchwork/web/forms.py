"""What a form says and what is wrong with it: fields as records take them, errors by field."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from latchwork.web.differences import Difference
from latchwork.wire.api.problems import FieldError, Invalid, Problem

T = TypeVar("T")

MOMENT: Final = 10
"""Seconds within which a form may come twice, by a double click or because no answer came."""


@dataclass(frozen=True, slots=True)
class Theirs:
    """What somebody else changed while a form was filled in."""

    changes: Sequence[Difference]
    """Empty: nothing that is shown."""
    form: str
    """Where it stands as they left it."""
    log: str
    """Where it says who they are; empty: not for this reader."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a form comes back: a sentence for all of it, and one for each field by its name in the API."""

    sentence: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    theirs: Theirs | None = None


NOTHING_WRONG: Final = Wrong()


def wrong_of(problem: Problem) -> Wrong:
    """What the cloud, or the form itself, has against it."""
    fields = {error.field: error.detail for error in problem.errors if error.field}
    general = " ".join(error.detail for error in problem.errors if not error.field)
    return Wrong("" if fields else general or problem.detail, fields, problem.status)


def kept(typed: Mapping[str, T], was: Mapping[str, T], now: Mapping[str, T], *together: Set[str]) -> dict[str, T]:
    """The fields that somebody changed as they typed them, the others as they are now; `together`: all or none."""
    names = {**now, **was, **typed}
    mine = {name for name in names if typed.get(name) != was.get(name)}
    mine.update(*(group for group in together if group & mine))
    chosen = {name: typed if name in mine else now for name in names}
    return {name: fields[name] for name, fields in chosen.items() if name in fields}


class Named(Protocol):
    """A site or a door."""

    @property
    def id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def created_at(self) -> int: ...


def check_name(name: str, others: Iterable[Named], sentence: str, own: int | None = None) -> None:
    """Raises Invalid when another is called the same; `own`: the id of what gets the name, None when it is new.

    What is new and was made a moment ago may be this very form, sent twice.
    """
    before = time.time() - MOMENT
    for other in others:
        if other.name.casefold() == name.casefold() and other.id != own and (own or other.created_at < before):
            raise Invalid(errors=[FieldError("name", sentence)])


def whole(text: str, field: str, sentence: str) -> int:
    """A whole number that somebody typed; raises Invalid at this field."""
    number = decimal(text, field, sentence)
    if number != int(number):
        raise Invalid(errors=[FieldError(field, sentence)])
    return int(number)


def decimal(text: str, field: str, sentence: str) -> float:
    """A number that somebody typed, with a point or a comma; raises Invalid at this field."""
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        number = float("nan")
    if not abs(number) < 2**53:
        raise Invalid(errors=[FieldError(field, sentence)])
    return number


def id_of(text: str | None) -> int | None:
    """An id in a field or a query; None for whatever is none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None
