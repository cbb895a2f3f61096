"""Base45: the standard's own examples, its refusals, and that bytes and texts correspond one to one."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latchwork.wire import base45

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"AB", "BB8"),  # RFC 9285 §4.3, examples 1 to 3
        (b"Hello!!", "%69 VD92EX0"),
        (b"base-45", "UJCLQE7W581"),
        (b"ietf!", "QED8WEX0"),  # §4.4
        (b"\xff\xff", "FGW"),
        (b"\xff", "U5"),
    ],
)
def test_the_examples_of_the_standard(data: bytes, text: str) -> None:
    assert base45.encode(data) == text
    assert base45.decode(text) == data


@pytest.mark.parametrize(
    "text",
    [
        "GGW",  # 65536, RFC 9285 §6
        ":::",
        "V5",  # 256
        "::",
        "0",
        "BB80",
        "bb8",
        "BB_",
        "BBé",
        "BB☃",
        "BB\x00",
        "BB\n",
        "BB\ud800",
        "００8",  # digits of another script
    ],
)
def test_what_is_not_base45_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        base45.decode(text)


@settings(deadline=None)
@given(st.binary(max_size=500))
def test_bytes_survive(data: bytes) -> None:
    assert base45.decode(base45.encode(data)) == data


@settings(deadline=None)
@given(st.text(ALPHABET, max_size=60) | st.text(max_size=20))
@example("U5")
def test_a_text_that_decodes_is_the_only_text_of_its_bytes(text: str) -> None:
    try:
        data = base45.decode(text)
    except ValueError:
        return
    assert base45.encode(data) == text
