"""What a reader advertises: its vectors, that it is read as it was meant, and how far a strength is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latchwork.wire import advert
from latchwork.wire.advert import Advert

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "tap-vectors.json").read_text())
ids = st.integers(0, 2**63 - 1)


@given(st.builds(Advert, ids, ids, st.booleans(), st.integers(-128, 127)))
def test_an_advert_is_read_as_it_was_meant(said: Advert) -> None:
    assert advert.read(said.encode()) == said


@given(st.binary(max_size=40) | st.binary(min_size=advert.BYTES, max_size=advert.BYTES))
def test_whatever_is_advertised_is_read_as_one_advert_or_none(data: bytes) -> None:
    said = advert.read(data)
    assert said is None or said.encode() == data


def test_an_advert_fits_where_bluetooth_puts_it() -> None:
    """31 bytes hold flags (3) and the service data's length, type and 16-bit service (4)."""
    assert 3 + 4 + len(Advert(1, 2, False).encode()) <= 31


@pytest.mark.parametrize("vector", VECTORS["adverts"], ids=lambda vector: vector["data"])
def test_a_vector_is_read_as_it_says(vector: dict[str, Any]) -> None:
    said = advert.read(bytes.fromhex(vector["data"]))
    if vector["result"] == "refused":
        assert said is None
    else:
        assert said == Advert(vector["organisation"], vector["accessPoint"], vector["isExit"], vector["power"])


@pytest.mark.parametrize("vector", VECTORS["distances"], ids=lambda vector: str(vector["rssi"]))
def test_a_distance_is_that_of_the_vector(vector: dict[str, Any]) -> None:
    assert advert.metres(vector["rssi"], vector["power"]) == pytest.approx(vector["metres"], rel=1e-3)


@given(st.integers(-128, 126), st.integers(-128, 127))
def test_who_is_heard_less_is_further_away(rssi: int, power: int) -> None:
    assert advert.metres(rssi, power) > advert.metres(rssi + 1, power) > 0
