"""Cards: what each format reads as, and that a misread card is no card."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.wire.cards import (
    FORMATS,
    WIEGAND_26,
    WIEGAND_34,
    WIEGAND_35,
    WIEGAND_37,
    WIEGAND_37_FACILITY,
    Format,
    Parity,
    last_digits,
    read,
)


@dataclass(frozen=True)
class Card:
    format_: Format
    bits: str
    facility: int | None
    number: int


CARDS = [
    # Read off real cards by others: facility and number are what was printed on them or shown by their tool.
    Card(WIEGAND_26, "1_01110110_0000011001000011_0", 118, 1603),
    Card(WIEGAND_26, "1_01111011_0001100100011010_0", 123, 6426),
    Card(WIEGAND_35, "01_111111111010_00000001110100110001_1", 4090, 7473),
    Card(WIEGAND_35, "00_010110011111_00101100110010101000_1", 1439, 183464),
    # Computed apart from this code, from the masks in which the formats are published.
    Card(WIEGAND_26, "0_11111111_1111111111111111_1", 255, 65535),
    Card(WIEGAND_26, "0_00000000_0000000000000000_1", 0, 0),
    Card(WIEGAND_34, "1_0000010011010010_0001011000101110_0", 1234, 5678),
    Card(WIEGAND_34, "0_1111111111111111_0000000000000001_0", 65535, 1),
    Card(WIEGAND_35, "11_010011010010_10001010101001010010_0", 1234, 567890),
    Card(WIEGAND_35, "10_111111111111_11111111111111111111_0", 4095, 1048575),
    Card(WIEGAND_35, "11_000000000000_00000000000000000001_0", 0, 1),
    Card(WIEGAND_37, "1_01011011111110111000001110000110101_0", None, 12345678901),
    Card(WIEGAND_37, "0_11111111111111111111111111111111111_1", None, 2**35 - 1),
    Card(WIEGAND_37_FACILITY, "0_0000010011010010_1010100011001001110_1", 1234, 345678),
    Card(WIEGAND_37_FACILITY, "0_1111111111111111_0000000000000000000_1", 65535, 0),
]


def shown(bits: str) -> tuple[int, int]:
    """The bits as a reader hands them over: as an integer, and how many they are."""
    return int(bits.replace("_", ""), 2), len(bits.replace("_", ""))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.format_.name} {card.facility}-{card.number}")
def test_a_card_is_known_by_its_number_at_its_facility_and_by_all_its_bits_elsewhere(card: Card) -> None:
    width = card.format_.number.stop - card.format_.number.start
    whole = ((card.facility or 0) << width) | card.number
    for formats in (FORMATS, [card.format_]):
        assert read(*shown(card.bits), formats) == whole
    if card.facility is not None:
        assert read(*shown(card.bits), facility=card.facility) == card.number


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.format_.name} {card.facility}-{card.number}")
def test_a_card_of_another_facility_is_unknown(card: Card) -> None:
    other = 0 if card.facility is None else card.facility ^ 1
    assert read(*shown(card.bits), [card.format_], facility=other) is None


def test_a_format_that_a_site_does_not_hand_out_is_unknown() -> None:
    assert read(*shown(CARDS[0].bits), [WIEGAND_34, WIEGAND_35]) is None


@pytest.mark.parametrize(
    ("bits", "length"), [(0, 0), (1, 0), (-1, 26), (1 << 26, 26), (5, -3), (0, 32), (1 << 99, 100)]
)
def test_bits_that_are_no_card_are_unknown(bits: int, length: int) -> None:
    assert read(bits, length) is None


# What holds for every format


def packed(format_: Format, data: int) -> str:
    """The bits of a card, its parity made right from the inside out (35 bits: the outermost covers the others)."""
    width = format_.number.stop - (format_.facility or format_.number).start
    start = (format_.facility or format_.number).start
    bits = list(("0" * start + f"{data:0{width}b}").ljust(format_.length, "0"))
    for parity in format_.parities:
        bits[parity.at] = str(_missing(bits, parity))
    return "".join(bits)


def _missing(bits: list[str], parity: Parity) -> int:
    return ([bits[at] for at in parity.covers].count("1") + parity.odd) % 2


def data_of(format_: Format) -> int:
    return format_.length - len(format_.parities)


formats = st.sampled_from(FORMATS)
cards = formats.flatmap(lambda format_: st.tuples(st.just(format_), st.integers(0, 2 ** data_of(format_) - 1)))


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_every_bit_of_a_format_is_parity_or_data_and_no_parity_is_left_unguarded(format_: Format) -> None:
    fields = [*range(*format_.number.indices(99)), *range(*(format_.facility or slice(0, 0)).indices(99))]
    assert sorted([*fields, *(parity.at for parity in format_.parities)]) == [*range(format_.length)]
    assert {at for parity in format_.parities for at in parity.covers} >= set(fields)
    assert all(parity.at not in parity.covers for parity in format_.parities)


@given(cards)
def test_two_cards_of_a_format_are_never_one(card: tuple[Format, int]) -> None:
    format_, data = card
    assert read(*shown(packed(format_, data)), [format_]) == data


@given(cards, st.data())
def test_a_card_with_one_wrong_bit_is_unknown(card: tuple[Format, int], data: st.DataObject) -> None:
    bits, length = shown(packed(*card))
    wrong = data.draw(st.integers(0, length - 1))
    assert read(bits ^ 1 << wrong, length) is None


@given(st.integers() | st.integers(0, 2**37), st.integers(-1, 64), st.none() | st.integers(0, 2**16))
def test_whatever_a_reader_sends_is_a_number_or_unknown(bits: int, length: int, facility: int | None) -> None:
    identity = read(bits, length, facility=facility)
    assert identity is None or 0 <= identity < 2**63


@pytest.mark.parametrize(
    ("number", "shown"),
    [(7, ""), (12, "2"), (1234, "34"), (1_000_123, "123"), (12_345_678, "5678"), (2**63 - 1, "5807")],
)
def test_at_most_half_of_a_number_is_shown(number: int, shown: str) -> None:
    assert last_digits(number) == shown
