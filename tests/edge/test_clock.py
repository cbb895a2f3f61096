"""Promises of controller time."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.edge.cast import NOW, Time

from latchwork.edge.clock import Clock, monotonic, synchronised_system_clock

sources = st.floats(NOW - 1e5, NOW + 1e5) | st.sampled_from([float("nan"), float("inf"), -1.0, 1e300])


def test_a_clock_that_nobody_set_is_untrusted_and_runs_on_from_the_floor() -> None:
    elapsed = Time()
    clock = Clock(NOW, elapsed=elapsed)
    elapsed.elapsed += 5
    assert clock.read().base == NOW + 5
    assert not clock.read().trusted


def test_the_link_makes_it_trusted_and_half_the_round_trip_is_added() -> None:
    elapsed = Time()
    clock = Clock(0, elapsed=elapsed)
    clock.hear(NOW, 0.4)
    elapsed.elapsed += 10
    reading = clock.read()
    assert reading.trusted
    assert reading.base == pytest.approx(NOW + 10.2)


def test_a_very_slow_answer_does_not_set_the_clock_far_ahead() -> None:
    clock = Clock(0, elapsed=Time())
    clock.hear(NOW, 60)
    assert clock.read().base <= NOW + 1


def test_a_late_message_does_not_set_the_clock_back() -> None:
    elapsed = Time()
    clock = Clock(0, elapsed=elapsed)
    clock.hear(NOW, 0)
    elapsed.elapsed += 20
    clock.hear(NOW + 15, 0)
    elapsed.elapsed += 1
    assert clock.read().base == NOW + 21


def test_a_clock_that_runs_fast_is_corrected_by_standing_still() -> None:
    elapsed = Time()
    clock = Clock(0, elapsed=elapsed)
    clock.hear(NOW + 3, 0)
    first = clock.read().base
    for _ in range(8):
        clock.hear(NOW, 0)
    assert clock.read().base == first
    elapsed.elapsed += 10
    assert clock.read().base == NOW + 10


def test_a_link_whose_time_lies_before_the_floor_does_not_move_the_clock_back() -> None:
    clock = Clock(NOW, elapsed=Time())
    clock.hear(NOW - 86400, 0)
    assert clock.read().base == NOW
    assert clock.read().trusted


def test_a_synchronised_system_clock_is_believed_until_the_link_has_spoken() -> None:
    clock = Clock(0, system=lambda: NOW, elapsed=Time())
    assert clock.read().trusted
    assert clock.read().base == NOW
    clock.hear(NOW + 7, 0)
    assert clock.read().base == NOW + 7


def test_a_system_clock_that_is_not_synchronised_is_not_believed() -> None:
    assert not Clock(0, system=lambda: None, elapsed=Time()).read().trusted


def test_the_advance_moves_what_doors_see_and_survives_the_link_and_spares_the_floor() -> None:
    clock = Clock(0, elapsed=Time())
    clock.hear(NOW, 0)
    assert clock.advance(3600) == 3600
    assert clock.advance(-600) == 3000
    clock.hear(NOW, 0)
    reading = clock.read()
    assert reading.at == NOW + 3000
    assert reading.base == NOW


def test_what_was_heard_is_an_instant_of_both_views() -> None:
    clock = Clock(0, elapsed=Time())
    assert clock.heard_at is None
    clock.advance(100)
    clock.hear(NOW, 0)
    assert (clock.heard_base, clock.heard_at) == (NOW, NOW + 100)


@given(st.floats(0, 2 * NOW), st.lists(st.tuples(sources, st.floats(0, 1e4), st.floats(0, 100))))
def test_time_never_falls_below_the_floor_or_an_earlier_reading(
    floor: float, said: list[tuple[float, float, float]]
) -> None:
    elapsed = Time()
    clock = Clock(floor, elapsed=elapsed)
    latest = floor
    for cloud_time, round_trip, passes in said:
        clock.hear(cloud_time, round_trip)
        elapsed.elapsed += passes
        reading = clock.read().base
        assert reading >= latest
        latest = reading


def test_the_monotonic_clock_passes() -> None:
    began = monotonic()
    time.sleep(0.01)
    assert 0.005 < monotonic() - began < 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="adjtimex is Linux's")
def test_the_kernel_can_be_asked_whether_its_clock_is_synchronised() -> None:
    answer = synchronised_system_clock()
    assert answer is None or abs(answer - time.time()) < 1
