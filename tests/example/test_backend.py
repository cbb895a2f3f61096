"""Harbour Desk's backend against a real cloud: who gets in, what is booked, and what an outage leaves behind."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import uvicorn
from tests.example.desk import PASSWORDS, URL, House, draft

from harbour_desk.__main__ import server
from harbour_desk.members import MOST_MISSES
from harbour_desk.membership import NewMember
from harbour_desk.seed import Seed, sow
from latchwork.sdk.client import Client
from latchwork.wire.api.people import GrantDraft, Interval, PermissionsPatch, ScheduleDraft, UserPatch

MIA, NOAH = PASSWORDS


@asynccontextmanager
async def listening(server: uvicorn.Server) -> AsyncIterator[str]:
    """The server on a free port; answers its URL."""
    with socket.create_server(("127.0.0.1", 0)) as line:
        running = asyncio.create_task(server.serve(sockets=[line]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{line.getsockname()[1]}"
        server.should_exit = True
        await running


async def test_a_member_logs_in_and_out(house: House) -> None:
    async with house.browser() as browser:
        assert (await browser.get("/api/me")).status_code == 401
        answer = await browser.post("/api/log-in", json={"email": MIA.upper(), "password": PASSWORDS[MIA]})
        assert answer.json() == {"name": "Mia", "email": MIA}
        assert {"HttpOnly", "SameSite=strict"} <= set(answer.headers["set-cookie"].split("; "))
        assert (await browser.get("/api/me")).json()["name"] == "Mia"
        session = dict(browser.cookies)
        assert (await browser.post("/api/log-out", json={})).status_code == 204
        browser.cookies.update(session)
        assert (await browser.get("/api/me")).status_code == 401


async def test_the_app_of_whoever_is_logged_in_is_handed_a_session_of_theirs(house: House) -> None:
    async with house.browser(MIA) as browser, house.browser() as nobody:
        assert (await nobody.post("/api/app-session", json={})).status_code == 401
        tokens = [(await browser.post("/api/app-session", json={})).json()["token"] for _ in range(2)]
    assert all(token.startswith("lwr_") for token in tokens) and len(set(tokens)) == 2
    users = {user.name: user.id async for user in house.building.page_users()}
    sessions = {name: len(await house.building.list_app_sessions(id)) for name, id in users.items()}
    assert sessions == {"Mia": 2, "Noah": 0}


async def test_a_wrong_password_and_an_unknown_e_mail_are_answered_alike(house: House) -> None:
    async with house.browser() as browser:
        wrong = await browser.post("/api/log-in", json={"email": MIA, "password": "guess"})
        unknown = await browser.post("/api/log-in", json={"email": "eve@harbour.example", "password": "guess"})
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())
    assert wrong.json() == {"sentence": "This e-mail and password do not belong together."}


async def test_whoever_guesses_has_to_wait_also_when_guessing_all_at_once(house: House) -> None:
    async with house.browser() as browser:
        tries = [browser.post("/api/log-in", json={"email": MIA, "password": f"guess {n}"}) for n in range(12)]
        answers = [answer.status_code for answer in await asyncio.gather(*tries)]
        assert sorted(answers) == [401] * MOST_MISSES + [429] * (12 - MOST_MISSES)
        right = await browser.post("/api/log-in", json={"email": MIA, "password": PASSWORDS[MIA]})
        assert right.status_code == 429
        assert (await browser.post("/api/log-in", json={"email": NOAH, "password": PASSWORDS[NOAH]})).is_success


async def test_what_another_website_sends_changes_nothing(house: House) -> None:
    async with house.browser(MIA) as browser:
        for origin in ("https://evil.example", "null", "", f"{URL}.evil.example"):
            answer = await browser.post("/api/visits", json=draft(), headers={"origin": origin})
            assert answer.status_code == 403, origin
        del browser.headers["origin"]
        assert (await browser.post("/api/visits", json=draft())).status_code == 403
        assert (await browser.get("/api/visits")).json() == []


async def test_what_its_own_pages_send_arrives_whatever_a_proxy_calls_the_host(house: House) -> None:
    async with house.browser(MIA) as browser:
        behind = await browser.post("/api/visits", json=draft(), headers={"host": "10.0.0.7:8081"})
        assert behind.is_success, behind.text
        rebound = {"host": "evil.example", "origin": "http://evil.example"}
        answer = await browser.post("/api/visits", json=draft(), headers=rebound)
        assert answer.status_code == 403 and URL in answer.json()["sentence"]


@pytest.mark.parametrize(("proxy", "status"), [("127.0.0.1", 200), ("10.0.0.7", 429)])
async def test_who_guesses_behind_the_proxy_keeps_nobody_else_out(house: House, proxy: str, status: int) -> None:
    behind = replace(house.desk, settings=replace(house.desk.settings, proxy=proxy))
    async with listening(server(behind)) as url, httpx2.AsyncClient(base_url=url, headers={"origin": URL}) as browser:

        async def answered(address: str, password: str) -> int:
            said = {"email": MIA, "password": password}
            return (await browser.post("/api/log-in", json=said, headers={"x-forwarded-for": address})).status_code

        assert [await answered("192.0.2.1", "guess") for _ in range(MOST_MISSES)] == [401] * MOST_MISSES
        assert await answered("192.0.2.1", PASSWORDS[MIA]) == 429
        assert await answered("192.0.2.2", PASSWORDS[MIA]) == status


async def test_nobody_invites_through_a_door_that_is_not_theirs(house: House) -> None:
    async with house.browser(MIA) as browser:
        assert [room["name"] for room in (await browser.get("/api/rooms")).json()] == ["Lobby"]
        answer = await browser.post("/api/visits", json=draft(room=2))
        assert answer.status_code == 403 and answer.json()["sentence"].endswith(".")
        assert (await browser.post("/api/visits", json=draft(room=1))).is_success
    assert len([meeting async for meeting in house.building.page_meetings()]) == 1


async def test_whose_permission_is_taken_or_does_not_hold_for_the_visit_invites_no_more(house: House) -> None:
    [noah] = [user.id async for user in house.building.page_users() if user.name == "Noah"]
    office, now = house.doors[1], int(time.time())
    schedule = await house.building.add_schedule(ScheduleDraft("Mornings", [[Interval(480, 720)]] * 7))
    lacking = [
        PermissionsPatch(add=[GrantDraft(office, ends_at=now + 600)]),
        PermissionsPatch(add=[GrantDraft(office, starts_at=now + 86_400)]),
        PermissionsPatch(add=[GrantDraft(office, schedule_id=schedule.id)]),
        PermissionsPatch(remove=[office]),
    ]
    async with house.browser(NOAH) as browser:
        for patch in lacking:
            await house.building.change_permissions(noah, patch)
            assert (await browser.post("/api/visits", json=draft(room=2))).status_code == 403, patch
            assert (await browser.post("/api/visits", json=draft(room=1))).is_success
        await house.building.change_user(noah, UserPatch(is_active=False))
        assert (await browser.post("/api/visits", json=draft(room=1))).status_code == 403
        assert (await browser.get("/api/rooms")).json() == []


async def test_an_invited_visitor_sees_a_code_that_is_new_each_time(house: House) -> None:
    async with house.browser(NOAH) as browser:
        visit = (await browser.post("/api/visits", json=draft(room=2))).json()
        assert (await browser.get("/api/visits")).json() == [visit]
    async with house.browser() as phone:
        answers = [await phone.post("/api/visit", json={"link": visit["url"].partition("#")[2]}) for _ in range(2)]
    first, second = (answer.json() for answer in answers)
    assert (first["visitor"], first["host"], first["room"]) == ("Vic", "Noah", "Office")
    assert first["address"] == "Harbour House, Pier 4"
    assert first["code"]["text"].startswith("LW1:") and first["code"]["text"] != second["code"]["text"]
    assert 55 <= first["code"]["expiresAt"] - first["now"] <= 60
    assert answers[0].headers["cache-control"] == "no-store"
    [meeting] = [meeting async for meeting in house.building.page_meetings()]
    assert meeting.access_points == house.doors and meeting.visitor.host == "Noah"


async def test_before_the_visit_there_is_no_code_and_after_it_none_any_more(house: House) -> None:
    async with house.browser(MIA) as browser:
        visit = (await browser.post("/api/visits", json=draft(begins_in=3600))).json()
        link = visit["url"].partition("#")[2]
        assert (await browser.post("/api/visit", json={"link": link})).json()["code"] is None
        over = await house.desk.visits.show(link, visit["startsAt"])
        assert over.code is not None
        assert (await browser.delete(f"/api/visits/{visit['id']}")).status_code == 204
        gone = await browser.post("/api/visit", json={"link": link})
    assert gone.status_code == 404 and "ask your host" in gone.json()["sentence"]
    assert [meeting async for meeting in house.building.page_meetings()] == []


async def test_nobody_sees_or_cancels_somebody_elses_visit(house: House) -> None:
    async with house.browser(MIA) as mia, house.browser(NOAH) as noah, house.browser() as nobody:
        visit = (await mia.post("/api/visits", json=draft())).json()
        assert (await noah.get("/api/visits")).json() == []
        others = await noah.delete(f"/api/visits/{visit['id']}")
        for number in ("4711", "9" * 23):
            none = await noah.delete(f"/api/visits/{number}")
            assert (others.status_code, others.text) == (none.status_code, none.text) == (404, none.text)
        for path in ("/api/me", "/api/rooms", "/api/visits"):
            assert (await nobody.get(path)).status_code == 401
        assert (await nobody.post("/api/visits", json=draft())).status_code == 401
        assert len((await mia.get("/api/visits")).json()) == 1


async def test_a_draft_belongs_to_whoever_sent_it_and_books_once(house: House) -> None:
    sent = draft()
    async with house.browser(MIA) as mia, house.browser(NOAH) as noah:
        answers = await asyncio.gather(*(mia.post("/api/visits", json=sent) for _ in range(3)))
        assert len({answer.text for answer in answers}) == 1
        assert (await noah.post("/api/visits", json=sent)).json()["id"] != answers[0].json()["id"]
    assert len([meeting async for meeting in house.building.page_meetings()]) == 2


async def test_a_draft_with_something_else_in_it_is_refused_and_not_dropped(house: House) -> None:
    sent = draft()
    async with house.browser(NOAH) as browser:
        assert (await browser.post("/api/visits", json=sent)).is_success
        for other in ({"visitor": "Vera"}, {"room": 2}, draft(minutes=90, draft=sent["draft"])):
            answer = await browser.post("/api/visits", json={**sent, **other})
            assert answer.status_code == 409 and "open it again" in answer.json()["sentence"], other
        [visit] = (await browser.get("/api/visits")).json()
        assert (visit["visitor"], visit["room"]) == ("Vic", "Lobby")


async def test_a_draft_whose_visit_was_cancelled_books_nothing_and_says_so(house: House) -> None:
    sent = draft()
    async with house.browser(MIA) as browser:
        visit = (await browser.post("/api/visits", json=sent)).json()
        assert (await browser.delete(f"/api/visits/{visit['id']}")).is_success
        for again in (sent, {**sent, "visitor": "Vera"}):
            answer = await browser.post("/api/visits", json=again)
            assert answer.status_code == 409 and "again" in answer.json()["sentence"], answer.text
        assert (await browser.get("/api/visits")).json() == []


async def test_a_link_cannot_be_guessed(house: House) -> None:
    async with house.browser(MIA) as browser:
        visit = (await browser.post("/api/visits", json=draft())).json()
        id, proof = visit["url"].partition("#")[2].split(".")
        guesses = [
            "",
            id,
            f"{id}.",
            f"{id}.{'A' * 24}",
            f"2.{proof}",
            f"0{id}.{proof}",
            f"{id}.{proof}=",
            f"{id}.\u2603",
        ]
        for guess in (*guesses, "x" * 5000, f"99999999999999.{proof}"):
            assert (await browser.post("/api/visit", json={"link": guess})).status_code == 404, guess


async def test_a_strange_name_is_a_name(house: House) -> None:
    async with house.browser(MIA) as browser:
        for name in ("<img src=x onerror=alert(1)>", "Robert'); drop table visits;--", "مريم", "𝒱𝒾𝒸 ☕️", "a" * 80):
            visit = await browser.post("/api/visits", json=draft(visitor=f"  {name} "))
            assert visit.json()["visitor"] == name
            assert name in [each["visitor"] for each in (await browser.get("/api/visits")).json()]


WRONG: list[dict[str, Any]] = [
    {"visitor": ""},
    {"visitor": " \t "},
    {"visitor": "a" * 81},
    {"visitor": "Vic\u0000"},
    {"visitor": "Vic\u202egnp.exe"},
    {"visitor": 7},
    {"room": 9},
    {"room": "first"},
    {"draft": "x"},
    {"starts": "tomorrow"},
    {"starts": "2026-13-01T10:00"},
    {"ends": "0001-01-01T00:00"},
    {"starts": "2001-01-01T10:00", "ends": "2001-01-01T11:00"},
    {"ends": "2099-01-01T10:00"},
    {"starts": "9999-12-30T10:00", "ends": "9999-12-30T11:00"},
    {"room": 10**30},
]


async def test_what_cannot_be_booked_is_refused_in_a_sentence(house: House) -> None:
    async with house.browser(MIA) as browser:
        for wrong in WRONG:
            answer = await browser.post("/api/visits", json=draft(**wrong))
            assert answer.status_code == 400 and answer.json()["sentence"].endswith("."), wrong
        assert (await browser.get("/api/visits")).json() == []
    assert [meeting async for meeting in house.building.page_meetings()] == []


async def test_what_is_no_request_is_refused_in_a_sentence(house: House) -> None:
    async with house.browser(MIA) as browser:
        answers = [
            await browser.post("/api/visits", content=b"{"),
            await browser.post("/api/visits", content=b'"' + b"a" * 20_000 + b'"'),
            await browser.post("/api/visits", json=[]),
            await browser.get("/api/nothing"),
            await browser.get("/../harbour_desk/web.py"),
            await browser.put("/api/visits", json={}),
            await browser.delete("/api/visits/x"),
        ]
    assert [answer.status_code for answer in answers] == [400, 413, 400, 404, 404, 405, 404]
    assert all(answer.json()["sentence"].endswith(".") for answer in answers)


async def test_while_the_cloud_is_away_nothing_is_half_booked(house: House) -> None:
    settings = house.desk.settings
    sent = draft()
    async with Client("http://127.0.0.1:9", settings.client_id, settings.client_secret, tries=1) as nowhere:
        away = replace(house.desk, visits=replace(house.desk.visits, cloud=nowhere))
        async with house.browser(MIA, away) as browser:
            answer = await browser.post("/api/visits", json=sent)
            assert answer.status_code == 503 and "Please try again" in answer.json()["sentence"]
            assert (await browser.get("/api/visits")).json() == []
    async with house.browser(MIA) as browser:
        visit = (await browser.post("/api/visits", json=sent)).json()
        async with Client("http://127.0.0.1:9", settings.client_id, settings.client_secret, tries=1) as nowhere:
            away = replace(house.desk, visits=replace(house.desk.visits, cloud=nowhere))
            async with house.browser(MIA, away) as offline:
                assert (await offline.delete(f"/api/visits/{visit['id']}")).status_code == 503
        assert (await browser.get("/api/visits")).json() == [visit], "a visit whose codes still open is not forgotten"


async def test_a_booking_whose_answer_was_lost_is_found_again(house: House) -> None:
    sent = draft()
    settings = house.desk.settings

    class Losing(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            response = await super().handle_async_request(request)
            if request.url.path == "/v1/meetings":
                raise httpx2.ReadTimeout("the answer was lost")
            return response

    async with Client(settings.latchwork, settings.client_id, settings.client_secret, transport=Losing()) as losing:
        away = replace(house.desk, visits=replace(house.desk.visits, cloud=losing))
        async with house.browser(MIA, away) as browser:
            assert (await browser.post("/api/visits", json=sent)).status_code == 503
    async with house.browser(MIA) as browser:
        assert (await browser.post("/api/visits", json=sent)).is_success
    assert len([meeting async for meeting in house.building.page_meetings()]) == 1


async def test_members_are_users_with_permissions_and_are_made_once(house: House) -> None:
    again = Seed([], [NewMember("Mia", MIA, "another", house.doors)])
    await sow(again, house.desk.store, house.desk.visits.cloud)
    users = {user.name: user async for user in house.building.page_users()}
    assert set(users) == {"Mia", "Noah"}
    assert users["Noah"].roles == ["end_user", "site_admin"] and users["Noah"].admin_of_sites
    doors = [each.access_point_id async for each in house.building.page_permissions(users["Mia"].id)]
    assert doors == house.doors[:1]


async def test_the_files_of_the_app_come_with_a_strict_policy(house: House) -> None:
    async with house.browser() as browser:
        page = await browser.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        worker = (await browser.get("/service-worker.js")).text
        kept = worker.partition("FILES = ")[2].partition(";\n")[0]
        assert {"/", "/app.js", "/app.css", "/config.json"} <= set(json.loads(kept))
        assert "/visit" not in json.loads(kept)
