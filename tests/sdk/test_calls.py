"""How often a call is made, and how long is waited in between: decided without a network and without waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from latchwork.sdk.answers import CloudUnreachable, retry_after
from latchwork.sdk.calls import LONGEST_PAUSE, Call, Tries, pause_after
from latchwork.wire.api.problems import TooManyRequests

READ, GONE = Call("GET", "/"), Call("DELETE", "/")
ONCE = Call("POST", "/", is_safe=False)


def busy(pause: str, status: int = 503) -> httpx2.Response:
    return httpx2.Response(status, headers={"retry-after": pause, "date": format_datetime(NOON, usegmt=True)})


NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("asked", [0, 1, 7, LONGEST_PAUSE])
def test_nobody_comes_back_sooner_than_asked_nor_all_at_once(asked: int) -> None:
    pauses = {Tries(READ, 3).after(busy(str(asked))) for _ in range(50)}
    assert len(pauses) > 25
    assert all(pause is not None and asked < pause < asked + 1 for pause in pauses)


def test_pauses_grow_and_end() -> None:
    tries = Tries(READ, 4)
    pauses = [tries.after_loss(httpx2.ReadError("")) for _ in range(4)]
    assert pauses[3] is None
    assert 0.1 <= (pauses[0] or 0) <= 0.2 <= (pauses[1] or 0) <= 0.4 <= (pauses[2] or 0) <= 0.8


def test_an_answer_that_will_not_change_stands() -> None:
    assert [Tries(READ, 3).after(httpx2.Response(status)) for status in (200, 400, 401, 404, 500, 504)] == [None] * 6


def test_too_long_a_pause_is_the_callers() -> None:
    assert Tries(READ, 3).after(busy(str(LONGEST_PAUSE + 1))) is None


@pytest.mark.parametrize("error", [httpx2.ReadTimeout, httpx2.PoolTimeout, httpx2.LocalProtocolError])
def test_who_is_merely_slow_is_not_asked_again(error: type[httpx2.TransportError]) -> None:
    assert Tries(READ, 3).after_loss(error("")) is None


def test_what_a_repeat_would_change_again_is_tried_once() -> None:
    assert Tries(ONCE, 3).after_loss(httpx2.ReadError("")) is None
    assert Tries(ONCE, 3).after(busy("0")) is None


def test_a_deletion_has_succeeded_only_if_its_first_try_may_have_arrived() -> None:
    missing = httpx2.Response(404)
    refused, lost, behind_a_proxy = Tries(GONE, 3), Tries(GONE, 3), Tries(GONE, 3)
    refused.after_loss(httpx2.ConnectError(""))
    lost.after_loss(httpx2.ReadError(""))
    behind_a_proxy.after(busy("0", 502))
    assert [tries.settled(missing).status_code for tries in (refused, lost, behind_a_proxy)] == [404, 204, 204]


@pytest.mark.parametrize(("seconds", "found"), [(90, 90), (-90, 0)])
def test_retry_after_may_be_a_date(seconds: int, found: int) -> None:
    assert retry_after(busy(format_datetime(NOON + timedelta(seconds=seconds), usegmt=True))) == found


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "9" * 5000, "Thu, 01 Oct 2026 25:00:00 GMT"])
def test_what_says_no_time_is_none(text: str) -> None:
    assert retry_after(busy(text)) is None


def test_reading_along_waits_as_long_as_the_cloud_asks() -> None:
    assert 3600 < pause_after(TooManyRequests(retry_after=3600), 1) < 3601
    assert 5 <= pause_after(CloudUnreachable(), 5_000) <= 10
