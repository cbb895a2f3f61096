"""What the client promises beyond the operations: named refusals, safe repeats, one token, silence about secrets."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

import httpx2
import msgspec
import pytest
import zxingcpp
from PIL import Image
from tests.sdk.lines import Dead, Flaky, Recorder
from tests.sdk.town import CLOUD, Town, visit

from latchwork.sdk.answers import problem_of
from latchwork.sdk.client import Client, CloudUnreachable, Credentials, UnexpectedAnswer
from latchwork.sdk.exchange import Exchange
from latchwork.sdk.tokens import Tokens
from latchwork.wire.api import problems
from latchwork.wire.api.accounts import ClientDraft
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.problems import Problem
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft


def busy(status: int = 503, pause: str = "0") -> httpx2.Response:
    return httpx2.Response(status, headers={"retry-after": pause}, text="<h1>a proxy speaks</h1>")


# ------------------------------------------------------------------------------------------------- refusals


async def test_what_does_not_exist_is_not_found(either: Town) -> None:
    with pytest.raises(problems.NotFound) as refused:
        await either.client(either.alice).get_site(77)
    assert refused.value.detail == "There is nothing with this id."


async def test_every_field_error_arrives(either: Town) -> None:
    door = AccessPointDraft(1, "", strike_seconds=0, held_seconds=0)
    with pytest.raises(problems.Invalid) as refused:
        await either.client(either.alice).add_access_point(door)
    assert {error.field for error in refused.value.errors} == {"name", "strikeSeconds", "heldSeconds"}


async def test_a_missing_scope_is_named(either: Town) -> None:
    made = await either.client(either.alice).add_client(ClientDraft("Reader", ["sites:read"]))
    reader = either.client(Credentials(made.client_id, made.client_secret or ""))
    with pytest.raises(problems.Forbidden, match="sites:write"):
        await reader.add_site(SiteDraft("Mine"))


async def test_a_key_used_for_something_else_is_refused(either: Town) -> None:
    cloud = either.client(either.alice)
    first = await cloud.add_site(SiteDraft("One"), idempotency_key="k")
    assert await cloud.add_site(SiteDraft("One"), idempotency_key="k") == first
    with pytest.raises(problems.IdempotencyKeyReused):
        await cloud.add_site(SiteDraft("Two"), idempotency_key="k")


@pytest.mark.parametrize("kind", Problem.by_code.values(), ids=Problem.by_code)
def test_every_problem_of_the_cloud_is_raised_as_itself(kind: type[Problem]) -> None:
    raised = kind("So it is.", [problems.FieldError("a.b", "Wrong.")])
    answer = httpx2.Response(raised.status, content=msgspec.json.encode(raised.details()), headers={"retry-after": "7"})
    found = problem_of(answer)
    assert type(found) is kind
    assert (found.details(), found.retry_after) == (raised.details(), 7)


def test_a_problem_of_a_newer_cloud_keeps_its_code_and_status() -> None:
    body = b'{"type":"/docs/errors#full","title":"Full","status":418,"detail":"No room.","code":"full"}'
    found = problem_of(httpx2.Response(418, content=body))
    assert type(found) is Problem
    assert (found.status, found.code, found.detail, found.retry_after) == (418, "full", "No room.", None)
    assert "full" not in Problem.by_code
    assert Problem.code == "internal_error"


async def test_nobody_there_is_said_so() -> None:
    cloud = Client(CLOUD, "lw_x", "secret-x", transport=Dead(), tries=1)
    with pytest.raises(CloudUnreachable, match=r"cloud\.test"):
        await cloud.whoami()


@pytest.mark.parametrize("answer", [httpx2.Response(200, text="<html>"), httpx2.Response(404, text="<html>")])
async def test_another_server_is_not_mistaken_for_the_cloud(either: Town, answer: httpx2.Response) -> None:
    with pytest.raises(UnexpectedAnswer):
        await either.client(either.alice, Flaky(either.line(), answer)).whoami()


# ------------------------------------------------------------------------------------------------- repeats


@pytest.mark.parametrize("fault", ["no connection", "lost answer"])
async def test_a_creation_that_fails_on_its_way_is_repeated_and_creates_once(either: Town, fault: str) -> None:
    line = Flaky(either.line(), fault)
    site = await either.client(either.alice, line).add_site(SiteDraft("Once"))
    assert line.calls == 2
    assert [each async for each in either.client(either.alice).page_sites()] == [site]


async def test_a_repeat_carries_the_key_of_its_first_try(either: Town) -> None:
    line = Recorder(either.line())
    await either.client(either.alice, Flaky(line, "lost answer")).add_site(SiteDraft("Once"))
    await either.client(either.alice, line).add_site(SiteDraft("Twice"))
    first, repeat, another = [call.headers["idempotency-key"] for call in line.calls()]
    assert first == repeat != another


async def test_a_deletion_whose_answer_was_lost_has_succeeded(either: Town) -> None:
    site = await either.client(either.alice).add_site(SiteDraft("Gone"))
    await either.client(either.alice, Flaky(either.line(), "lost answer")).remove_site(site.id)
    with pytest.raises(problems.NotFound):
        await either.client(either.alice).remove_site(site.id)


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_passing_trouble_is_waited_out(either: Town, status: int) -> None:
    line = Flaky(either.line(), busy(status), busy(status))
    assert (await either.client(either.alice, line).whoami()).organisation_id == either.alices_id
    assert line.calls == 3


async def test_repeats_are_bounded(either: Town) -> None:
    line = Flaky(either.line(), *[busy()] * 9)
    with pytest.raises(problems.Unavailable):
        await either.client(either.alice, line).whoami()
    assert line.calls == 3
    gone = Flaky(either.line(), *["no connection"] * 9)
    with pytest.raises(CloudUnreachable):
        await either.client(either.alice, gone, tries=2).whoami()
    assert gone.calls == 2


async def test_the_cloud_says_how_long_to_wait(either: Town) -> None:
    began = time.monotonic()
    await either.client(either.alice, Flaky(either.line(), busy(429, "1"))).whoami()
    assert time.monotonic() - began >= 1


async def test_too_long_a_wait_is_left_to_the_caller(either: Town) -> None:
    line = Flaky(either.line(), busy(429, "3600"))
    with pytest.raises(problems.TooManyRequests) as refused:
        await either.client(either.alice, line).whoami()
    assert (refused.value.retry_after, line.calls) == (3600, 1)


@pytest.mark.parametrize("fault", ["lost answer", busy()])
async def test_what_a_repeat_would_change_again_is_not_repeated(either: Town, fault: Any) -> None:
    controller = await either.client(either.alice).add_controller(ControllerDraft("Dora"))
    line = Flaky(either.line(), fault)
    with pytest.raises((CloudUnreachable, problems.Unavailable)):
        await either.client(either.alice, line).make_enrolment_code(controller.id)
    assert line.calls == 1


# ------------------------------------------------------------------------------------------------- tokens


async def test_callers_share_one_token(either: Town) -> None:
    line = Recorder(either.line())
    cloud = either.client(either.alice, line)
    await asyncio.gather(*(cloud.whoami() for _ in range(20)))
    await cloud.whoami()
    assert (len(line.calls("/oauth2/token")), len(line.calls())) == (1, 21)


async def test_a_caller_that_goes_away_does_not_take_the_token_with_it(either: Town) -> None:
    line = Recorder(either.line())
    cloud = either.client(either.alice, line)
    hasty, patient = asyncio.create_task(cloud.whoami()), asyncio.create_task(cloud.whoami())
    await asyncio.sleep(0.001)
    hasty.cancel()
    assert (await patient).organisation_id == either.alices_id
    assert hasty.cancelled()
    assert len(line.calls("/oauth2/token")) == 1


async def test_a_token_is_replaced_shortly_before_its_end(town: Town) -> None:
    line, now = Recorder(town.line()), [1000.0]
    tokens = Tokens(Exchange(CLOUD, line, 5, 1), town.alice, clock=lambda: now[0])
    first = await tokens.bearer()
    now[0] += 86_400 - 31
    assert await tokens.bearer() == first
    now[0] += 2
    await tokens.bearer()
    assert len(line.calls("/oauth2/token")) == 2


async def test_a_revoked_token_is_replaced_once_by_all_who_hold_it(either: Town) -> None:
    line = Recorder(either.line())
    cloud = either.client(either.alice, line)
    await cloud.whoami()
    await _revoke(either, line.calls()[-1].headers["authorization"].removeprefix("Bearer "))
    who = await asyncio.gather(*(cloud.whoami() for _ in range(5)))
    assert {each.organisation_id for each in who} == {either.alices_id}
    assert len(line.calls("/oauth2/token")) == 2


async def _revoke(town: Town, token: str) -> None:
    async with httpx2.AsyncClient(transport=town.line(), base_url=CLOUD) as http:
        pair = (town.alice.client_id, town.alice.client_secret)
        answer = await http.post("/oauth2/revoke", data={"token": token}, auth=pair)
    assert answer.status_code == 200
    await asyncio.sleep(1.2)  # every process of the cloud knows it within a second


async def test_wrong_credentials_are_refused_and_asked_for_anew(either: Town) -> None:
    line = Recorder(either.line())
    cloud = either.client(Credentials(either.alice.client_id, "wrong"), line)
    for _ in range(2):
        with pytest.raises(problems.Unauthorized, match="id or secret"):
            await cloud.whoami()
    assert (len(line.calls("/oauth2/token")), len(line.calls())) == (2, 0)


async def test_a_client_that_is_revoked_while_it_works_is_refused(either: Town) -> None:
    alice = either.client(either.alice)
    made = await alice.add_client(ClientDraft("Reader", ["sites:read"]))
    reader = either.client(Credentials(made.client_id, made.client_secret or ""))
    await reader.whoami()
    await alice.revoke_client(made.id)
    with pytest.raises(problems.Unauthorized):
        await _until_refused(reader)


async def _until_refused(reader: Client) -> None:
    for _ in range(30):
        await reader.whoami()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", ["a b+c&d%e:f", "ünïcode"])
async def test_any_credentials_survive_the_header(name: str) -> None:
    seen: list[httpx2.Request] = []

    class Ear(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            seen.append(request)
            return httpx2.Response(401, json={"error": "invalid_client"})

    with pytest.raises(problems.Unauthorized):
        await Client(CLOUD, name, name, transport=Ear()).whoami()
    pair = b64decode(seen[0].headers["authorization"].removeprefix("Basic ")).decode().split(":")
    assert [unquote_plus(part) for part in pair] == [name, name]


# ------------------------------------------------------------------------------------------------- silence


async def test_secrets_and_tokens_are_in_no_log_repr_or_error(either: Town, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    line = Recorder(either.line())
    cloud = either.client(either.alice, line)
    await cloud.whoami()
    token = line.calls()[-1].headers["authorization"].removeprefix("Bearer ")
    told = [repr(cloud), repr(either.alice), repr(line.calls("/oauth2/token")[0]), caplog.text]
    for failing in (Flaky(either.line(), "no connection"), Flaky(either.line(), httpx2.Response(200, text="?"))):
        with pytest.raises((CloudUnreachable, UnexpectedAnswer)) as failed:
            await either.client(either.alice, failing, tries=1).whoami()
        told += [repr(failed.value), repr(failed.value.__cause__)]
    assert caplog.records
    for secret in (either.alice.client_secret, token, either.alice.basic):
        assert not any(secret in text for text in told)


# ------------------------------------------------------------------------------------------------- lists


async def test_iteration_answers_everything_once_in_order(either: Town) -> None:
    cloud = either.client(either.alice)
    made = [(await cloud.add_site(SiteDraft(f"Site {n}"))).id for n in range(7)]
    assert [site.id async for site in cloud.page_sites(limit=3)] == made
    page = await cloud.page_sites(limit=3)
    assert [site.id for site in page.items] == made[:3]
    assert [site.id async for site in cloud.page_sites(limit=2, cursor=page.next_cursor)] == made[3:]


async def test_filters_hold_on_every_page(either: Town) -> None:
    cloud = either.client(either.alice)
    one, other = [await cloud.add_site(SiteDraft(name)) for name in ("One", "Other")]
    doors = [(await cloud.add_access_point(AccessPointDraft(each.id, "Door"))).site_id for each in (one, other) * 3]
    assert doors == [one.id, other.id] * 3
    assert [door.site_id async for door in cloud.page_access_points(site=other.id, limit=1)] == [other.id] * 3


async def test_an_empty_list_is_empty(either: Town) -> None:
    assert [door async for door in either.client(either.alice).page_access_points()] == []


# ------------------------------------------------------------------------------------------------- events


async def test_following_misses_nothing_and_repeats_nothing(either: Town) -> None:
    cloud = either.client(either.alice)
    until = (await cloud.last_event()).last + 30
    line = Flaky(either.line(), "lost answer", None, busy(), None, "no connection")
    following = either.client(either.alice, line, tries=1).follow(0)
    writing = asyncio.create_task(_write(cloud, 30))
    async with asyncio.timeout(20):
        numbers = [event.number async for event in _first(following, until)]
    await writing
    assert numbers == list(range(1, until + 1))
    assert line.calls > 5


async def test_following_from_now_on_tells_what_happens_next(either: Town) -> None:
    cloud = either.client(either.alice)
    await cloud.add_site(SiteDraft("Before"))
    following = either.client(either.alice).follow()
    coming = asyncio.create_task(anext(following))
    await asyncio.sleep(2)  # it has begun to wait by now
    site = await cloud.add_site(SiteDraft("After"))
    event = await asyncio.wait_for(coming, 5)
    assert (event.type, event.subject) == ("site_created", f"site/{site.id}")
    assert event.after is not None
    assert event.after["name"] == "After"


async def test_following_ends_when_it_is_refused(either: Town) -> None:
    with pytest.raises(problems.Unauthorized):
        await anext(either.client(Credentials("lw_nobody", "x")).follow(0))


async def test_waiting_for_news_ends_with_the_news(either: Town) -> None:
    cloud = either.client(either.alice)
    last = (await cloud.last_event()).last
    waiting = asyncio.create_task(cloud.page_events(last, wait=20))
    await asyncio.sleep(0.2)
    began = time.monotonic()
    await cloud.add_site(SiteDraft("News"))
    assert [event.type for event in (await waiting).events] == ["site_created"]
    assert time.monotonic() - began < 15


async def _write(cloud: Client, times: int) -> None:
    for number in range(times):
        await cloud.add_site(SiteDraft(f"Site {number}"))
        await asyncio.sleep(0.1)


async def _first(following: Any, count: int) -> Any:
    async for event in following:
        yield event
        count -= 1
        if not count:
            return


# ------------------------------------------------------------------------------------------------- a visit


async def test_a_visit_is_booked_and_its_code_is_read_from_the_picture(either: Town) -> None:
    async with either.client(either.alice) as cloud:
        site = await cloud.add_site(SiteDraft("Harbour House"))
        door = await cloud.add_access_point(AccessPointDraft(site.id, "Front door"))
        meeting = await cloud.add_meeting(visit(door.id))
        picture = Image.open(io.BytesIO(await cloud.draw_png(meeting.id)))
        assert zxingcpp.read_barcode(picture).text.startswith("LW1:")


@pytest.mark.parametrize("url", ["", "localhost:8080", "access.example.org", "ftp://access.example.org"])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="https://"):
        Client(url, "lw_x", "secret")
