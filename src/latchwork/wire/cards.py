"""Cards: from the bits that a reader sends to the one unsigned integer by which an organisation knows a card.

A format is data: where its fields lie and what its parity bits cover. Positions count from 0, the bit sent first.

The identity of a card is
- with a facility code given: the number alone, as it is printed on the card; cards of other facilities have none;
- without: all bits but the parity bits as one integer, which is `facility << (bits of the number) | number`.

So two facilities never share their numbers by accident. Lengths tell formats apart and identities do not: a site reads
only the formats that it hands out. Both 37-bit formats have the same bits and parity, so they read alike without a
facility code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Parity:
    """The bit at a position makes the number of ones, in itself and in those that it covers, odd or even."""

    at: int
    covers: tuple[int, ...]
    odd: bool


@dataclass(frozen=True, slots=True)
class Format:
    name: str
    length: int
    """How many bits a card sends."""
    facility: slice | None
    number: slice
    """Follows the facility, if there is one, without a gap."""
    parities: tuple[Parity, ...]


def even(at: int, covers: Iterable[int]) -> Parity:
    return Parity(at, tuple(covers), odd=False)


def odd(at: int, covers: Iterable[int]) -> Parity:
    return Parity(at, tuple(covers), odd=True)


WIEGAND_26: Final = Format(
    name="Wiegand 26 (H10301)",
    length=26,
    facility=slice(1, 9),
    number=slice(9, 25),
    parities=(even(0, range(1, 13)), odd(25, range(13, 25))),
)
WIEGAND_34: Final = Format(
    name="Wiegand 34 (H10306, N10002)",
    length=34,
    facility=slice(1, 17),
    number=slice(17, 33),
    parities=(even(0, range(1, 17)), odd(33, range(17, 33))),
)
WIEGAND_35: Final = Format(
    name="Wiegand 35 (HID Corporate 1000)",
    length=35,
    facility=slice(2, 14),
    number=slice(14, 34),
    parities=(
        even(1, [at for at in range(2, 34) if at % 3 != 1]),
        odd(34, [at for at in range(1, 33) if at % 3 != 0]),
        odd(0, range(1, 35)),
    ),
)
WIEGAND_37: Final = Format(
    name="Wiegand 37 (H10302)",
    length=37,
    facility=None,
    number=slice(1, 36),
    parities=(even(0, range(1, 19)), odd(36, range(18, 36))),
)
WIEGAND_37_FACILITY: Final = Format(
    name="Wiegand 37 with facility code (H10304)",
    length=37,
    facility=slice(1, 17),
    number=slice(17, 36),
    parities=WIEGAND_37.parities,
)
FORMATS: Final = (WIEGAND_26, WIEGAND_34, WIEGAND_35, WIEGAND_37, WIEGAND_37_FACILITY)


def last_digits(number: int) -> str:
    """What is shown of a card's number: its last four digits, and never more than half of them."""
    digits = str(number)
    return digits[len(digits) - min(4, len(digits) // 2) :]


def read(bits: int, length: int, formats: Iterable[Format] = FORMATS, facility: int | None = None) -> int | None:
    """The identity of a card whose `length` bits, the first one on top, are `bits`; below 2⁶³.

    None when no format has this length, parity and, if it is given, this facility code: such a card is unknown. With a
    facility code, formats that have none read nothing.
    """
    for format_ in formats:
        if length == format_.length and 0 <= bits < 1 << length:
            identity = _identity(f"{bits:0{length}b}", format_, facility)
            if identity is not None:
                return identity
    return None


def _identity(sent: str, format_: Format, facility: int | None) -> int | None:
    if not all(_is_right(sent, parity) for parity in format_.parities):
        return None
    number = int(sent[format_.number], 2)
    if format_.facility is None:
        return number if facility is None else None
    field = sent[format_.facility]
    if facility is None:
        return int(field + sent[format_.number], 2)
    return number if int(field, 2) == facility else None


def _is_right(sent: str, parity: Parity) -> bool:
    ones = sum(sent[at] == "1" for at in (parity.at, *parity.covers))
    return ones % 2 == parity.odd
