"""Promises about bad input: a 4xx with a sentence, never a 500, nothing changed, nothing secret told or logged."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from cloud.cast import Client, Conn, Script, nothing_changes, problem
from latchwork.wire import p256

NOW = int(time.time())
MEETING = {"visitor": {"key": "vic"}, "startTime": NOW - 10, "endTime": NOW + 3600, "accessPoints": [1]}
SAAMS_MEETING = {"userId": "vic", "startTime": NOW - 10, "endTime": NOW + 3600, "permissionsToAdd": [1]}
SITE = {"name": "Branch"}
DOOR = {"siteId": 1, "name": "Back door"}
BIG = 2**63


def refused(response: httpx2.Response) -> Any:
    """A 4xx in the form of the dialect that was spoken."""
    assert 400 <= response.status_code < 500, f"{response.status_code} {response.text[:500]}"
    if response.request.url.path.startswith("/v1"):
        return problem(response)
    message = response.json()["message"]
    assert type(message["errorCode"]) is int
    assert message["errorMessage"].endswith(".")
    return message


# ------------------------------------------------------------------------------------------------- bodies

NATIVE = [
    ("POST", "/v1/sites"),
    ("PATCH", "/v1/sites/1"),
    ("POST", "/v1/access-points"),
    ("PATCH", "/v1/access-points/1"),
    ("POST", "/v1/controllers"),
    ("PATCH", "/v1/controllers/1"),
    ("POST", "/v1/clients"),
    ("PATCH", "/v1/clients/1"),
    ("PATCH", "/v1/organisation"),
    ("POST", "/v1/visitors"),
    ("POST", "/v1/meetings"),
    ("PATCH", "/v1/meetings/1"),
    ("POST", "/v1/users"),
    ("PATCH", "/v1/users/1"),
    ("PATCH", "/v1/users/1/permissions"),
    ("PATCH", "/v1/access-points/1/permissions"),
    ("POST", "/v1/terms"),
    ("POST", "/v1/users/1/cards"),
    ("POST", "/v1/schedules"),
    ("PATCH", "/v1/schedules/1"),
    ("POST", "/v1/sites/1/holidays"),
    ("POST", "/v1/access-points/1/mode"),
    ("POST", "/v1/access-points/1/unlock"),
    ("POST", "/v1/access-points/1/enrol-card"),
    ("POST", "/v1/decisions/explain"),
    ("POST", "/v1/enrol"),
]
SAAMS = [
    ("POST", "/organisationManagement/v2/integrator/organisations/1/sites"),
    ("POST", "/organisationManagement/v1/integrator/organisations/1/sites/1/accessPoints/list"),
    ("POST", "/visitorManagementV3/integrator/v1/organisations/1/meeting"),
    ("PATCH", "/visitorManagementV3/integrator/v1/organisations/1/meeting/1/update"),
    ("POST", "/saamsIdm/oauth/token"),
]
NOT_JSON = [
    b"{",
    b'{"name": 5',
    b'{"name": 5, "x": [[[',
    b'{"name": "a",}',
    b"{'name': 'a'}",
    b"\xff\xfe\x00",
    b'{"name": "\xff"}',
    b'{"name": "\\ud800"}',
    b'{"name": "a", "userId": "\\udc00x"}',
    b'{"name": "a\\u0000b"}',
    b'{"name": "a", "note": "\\u0000"}',
    b'{"name": NaN}',
    b'{"name": 1e400, "startTime": 1e400}',
    b'{"name": Infinity}',
    b"[]",
    b"null",
    b'"text"',
    b"7",
    b"\0",
    b"[" * 20_000,
    b'{"name":' + b"[" * 20_000,
    b'{"x":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"name": ' + b"9" * 10_000 + b"}",
    b'{"startTime": ' + b"9" * 10_000 + b', "pagination": 5}',
]


async def test_what_is_no_json_of_the_right_shape_is_refused_everywhere(alice: Client, db: Conn) -> None:
    await alice.invite(1)
    async with nothing_changes(db):
        for method, path in NATIVE + SAAMS:
            for content in NOT_JSON:
                response = await alice.call(method, path, content=content, headers={"content-type": "application/json"})
                ignored = (method, path) in SAAMS and response.status_code == 200  # a field that nobody reads there
                assert ignored or 400 <= response.status_code < 500, (method, path, content[:40], response.text[:300])
                assert ignored or refused(response)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_a_body_that_is_not_json_by_its_own_word_is_refused(alice: Client, db: Conn, media_type: str) -> None:
    async with nothing_changes(db):
        response = await alice.call("POST", "/v1/sites", content=b"name=x", headers={"content-type": media_type})
        assert problem(response)["code"] in ("unsupported_media_type", "malformed")


@pytest.mark.parametrize("path", ["/v1/meetings", SAAMS[2][1], "/saamsIdm/oauth/token", "/oauth2/token", "/v1/enrol"])
async def test_an_oversized_body_is_refused_as_too_large(alice: Client, db: Conn, path: str) -> None:
    async with nothing_changes(db):
        content = b'{"name": "' + b"x" * (2 * 1024 * 1024) + b'"}'
        form = {
            "content-type": "application/x-www-form-urlencoded" if path.startswith("/oauth2") else "application/json"
        }
        response = await alice.call("POST", path, content=content, headers=form)
        assert response.status_code == 413
        assert "too large" in response.text


async def test_an_oversized_body_without_a_length_is_refused_too(alice: Client, db: Conn) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    async with nothing_changes(db):
        assert (await alice.call("POST", "/v1/meetings", content=endless())).status_code == 413


FIELDS: list[tuple[str, str, dict[str, Any], set[str]]] = [
    ("POST", "/v1/meetings", {}, {"visitor", "startTime", "endTime", "accessPoints"}),
    ("POST", "/v1/meetings", {**MEETING, "visitor": {}}, {"visitor.key"}),
    ("POST", "/v1/meetings",
     {"visitor": {"key": 5, "nme": "x"}, "startTime": "soon", "endTime": None, "accessPoints": "1"},
     {"visitor.key", "visitor.nme", "startTime", "endTime", "accessPoints"}),
    ("POST", "/v1/meetings", {**MEETING, "startTime": NOW * 1000, "endTime": NOW * 1_000_000},
     {"startTime", "endTime"}),
    ("POST", "/v1/meetings", {**MEETING, "endTime": NOW - 20}, {"endTime"}),
    ("POST", "/v1/meetings", {**MEETING, "startTime": NOW - 100, "endTime": NOW - 20}, {"endTime"}),
    ("POST", "/v1/meetings", {**MEETING, "endTime": NOW + 367 * 86_400}, {"endTime"}),
    ("POST", "/v1/meetings", {**MEETING, "startTime": -5, "endTime": 0}, {"startTime", "endTime"}),
    ("POST", "/v1/meetings", {**MEETING, "startTime": BIG, "endTime": -BIG}, {"startTime", "endTime"}),
    ("POST", "/v1/meetings", {**MEETING, "startTime": 1.5, "endTime": True}, {"startTime", "endTime"}),
    ("POST", "/v1/meetings", {**MEETING, "accessPoints": [1, 1]}, {"accessPoints"}),
    ("POST", "/v1/meetings", {**MEETING, "accessPoints": list(range(1, 66))}, {"accessPoints"}),
    ("POST", "/v1/meetings", {**MEETING, "accessPoints": [1.5]}, {"accessPoints"}),
    ("POST", "/v1/meetings", {**MEETING, "passSeconds": 0}, {"passSeconds"}),
    ("POST", "/v1/meetings", {**MEETING, "passSeconds": BIG}, {"passSeconds"}),
    ("POST", "/v1/meetings", {**MEETING, "visitor": {"key": ""}}, {"visitor.key"}),
    ("POST", "/v1/meetings", {**MEETING, "visitor": {"key": "x" * 129}}, {"visitor.key"}),
    ("POST", "/v1/meetings",
     {**MEETING, "endTime": 5, "visitor": {"key": "a\tb", "email": "x", "phone": "5" * 41, "name": "\x07"}},
     {"endTime", "visitor.key", "visitor.email", "visitor.phone", "visitor.name"}),
    ("PATCH", "/v1/meetings/1", {"startTime": NOW * 1000}, {"startTime"}),
    ("PATCH", "/v1/meetings/1", {"endTime": NOW - 11}, {"endTime"}),
    ("PATCH", "/v1/meetings/1", {"accessPoints": [1], "addAccessPoints": [2]}, {"accessPoints"}),
    ("PATCH", "/v1/meetings/1", {"addAccessPoints": [2], "removeAccessPoints": [2]}, {"addAccessPoints"}),
    ("PATCH", "/v1/meetings/1", {"visitor": {"key": "bob"}}, {"visitor"}),
    ("POST", "/v1/visitors", {"key": "", "email": "nobody"}, {"key", "email"}),
    ("POST", "/v1/sites", {"name": " ", "timezone": "Mars/Olympus", "location": "x" * 2000},
     {"name", "timezone", "location"}),
    ("POST", "/v1/sites", {**SITE, "timezone": "../../etc/passwd"}, {"timezone"}),
    ("POST", "/v1/sites", {**SITE, "id": 7}, {"id"}),
    ("PATCH", "/v1/sites/1", {"name": None}, {"name"}),
    ("POST", "/v1/access-points",
     {"siteId": "1", "name": "", "strikeSeconds": 0, "heldSeconds": 1e9, "entryReader": "", "degraded": "open"},
     {"siteId", "degraded"}),
    ("POST", "/v1/access-points", {**DOOR, "strikeSeconds": 0, "heldSeconds": 1e9, "entryReader": "", "name": "\n"},
     {"strikeSeconds", "heldSeconds", "entryReader", "name"}),
    ("PATCH", "/v1/organisation", {"passSeconds": 4, "meetingMaxDays": 0, "offlineLimit": -1, "name": ""},
     {"passSeconds", "meetingMaxDays", "offlineLimit", "name"}),
    ("PATCH", "/v1/organisation", {"passSeconds": BIG, "meetingMaxDays": BIG, "offlineLimit": BIG},
     {"passSeconds", "meetingMaxDays", "offlineLimit"}),
    ("POST", "/v1/clients", {"name": "x", "scopes": ["root"], "tokenSeconds": "1"}, {"scopes", "tokenSeconds"}),
    ("POST", "/v1/clients", {"name": "", "scopes": ["sites:read", "sites:read"], "tokenSeconds": 10**9},
     {"name", "scopes", "tokenSeconds"}),
    ("POST", "/v1/controllers", {"name": "x" * 201}, {"name"}),
    ("POST", "/v1/users", {}, {"name"}),
    ("POST", "/v1/users",
     {"name": "\t", "email": "bob", "phone": "call me", "employeeCode": "x" * 101, "joiningDate": "2026-02-30",
      "pin": "12", "accessExpiresAt": NOW * 1000, "access": {"clickRange": -1}, "roles": ["manager", "manager"],
      "adminOfSites": [1, 1], "gender": "\x07", "probationPeriod": "x" * 101},
     {"name", "email", "phone", "employeeCode", "joiningDate", "pin", "accessExpiresAt", "access.clickRange", "roles",
      "adminOfSites", "gender", "probationPeriod"}),
    *(("POST", "/v1/users", {"name": "Bob", "email": email}, {"email"})
      for email in ("a@b", "a b@c.de", "@c.de", "a@@c.de", "a@c..de", "a@c.de\n", "x" * 250 + "@c.de")),
    *(("POST", "/v1/users", {"name": "Bob", "phone": phone}, {"phone"})
      for phone in ("12", "+49 30 x", "5" * 41, "123\n", "\u0661\u0662\u0663")),
    *(("POST", "/v1/users", {"name": "Bob", "joiningDate": day}, {"joiningDate"})
      for day in ("2026-W01-1", "20260101", "1.1.2026", "2026-1-1", "0000-01-01")),
    *(("POST", "/v1/users", {"name": "Bob", "pin": pin}, {"pin"})
      for pin in ("", "123", "123456789", "12 34", "\u0661\u0662\u0663\u0664", "abcd")),
    ("POST", "/v1/users", {"name": "Bob", "roles": ["owner"]}, {"roles"}),
    ("POST", "/v1/users", {"name": "Bob", "terms": [1, 1]}, {"terms"}),
    ("PATCH", "/v1/users/{user}", {"reportingTo": "x", "terms": [1.5]}, {"reportingTo", "terms"}),
    ("POST", "/v1/users", {"name": "Bob", "roles": ["manager"]}, {"roles"}),
    ("POST", "/v1/terms", {"name": " "}, {"name"}),
    ("PATCH", "/v1/users/{user}", {"name": None, "isActive": "no"}, {"name", "isActive"}),
    ("PATCH", "/v1/users/{user}", {"id": 7}, {"id"}),
    ("PATCH", "/v1/users/{user}/permissions", {"add": [{"accessPointId": 1}], "remove": [1]}, {"add"}),
    ("PATCH", "/v1/users/{user}/permissions", {"add": [{"accessPointId": 1}], "withdraw": [1]}, {"add"}),
    ("PATCH", "/v1/users/{user}/permissions", {"add": [{"accessPointId": 1}, {"accessPointId": 1}]}, {"add"}),
    ("PATCH", "/v1/users/{user}/permissions", {"remove": [*range(1, 10_002)]}, {""}),
    ("PATCH", "/v1/users/{user}/permissions",
     {"add": [{"accessPointId": 1, "startsAt": NOW * 1000, "endsAt": -1},
              {"accessPointId": 2, "startsAt": NOW, "endsAt": NOW}]},
     {"add.0.startsAt", "add.0.endsAt", "add.1.endsAt"}),
    *(("POST", "/v1/users/{user}/cards", {"number": number}, {"number"}) for number in (0, -1, BIG, 2**70, "7", 1.5)),
    ("POST", "/v1/schedules", {"name": "", "week": [[]] * 7}, {"name", "week"}),
    ("POST", "/v1/schedules", {"name": "Never", "week": [[]] * 7}, {"week"}),
    *(("POST", "/v1/schedules", {"name": "W", "week": [day] * 7}, {"week"})
      for day in ([[5, 5]], [[9, 5]], [[-5, 5]], [[0, 2**70]], [[0, 60], [30, 90]], [[0, 60, 90]], [["0", 1]])),
    ("POST", "/v1/schedules", {"name": "W", "week": [[[0, 60]]] * 6}, {"week"}),
    ("PATCH", "/v1/schedules/{schedule}", {"week": [[]] * 7}, {"week"}),
    ("POST", "/v1/sites/1/holidays", {"dates": ["2026-02-29", "2026-W01-1", "", "today"]},
     {"dates.0", "dates.1", "dates.2", "dates.3"}),
    ("POST", "/v1/access-points/1/mode", {"mode": "ajar"}, {"mode"}),
    ("POST", "/v1/access-points/1/mode", {"mode": "unlocked", "until": NOW - 1}, {"until"}),
    ("POST", "/v1/access-points/1/mode", {"mode": "unlocked", "until": BIG - 1}, {"until"}),
    ("POST", "/v1/access-points/1/mode", {"mode": "access_control", "minutes": 5}, {"until"}),
    ("POST", "/v1/access-points/1/mode", {"mode": "locked", "until": NOW + 99, "minutes": 5}, {"minutes"}),
    ("POST", "/v1/access-points/1/mode", {"mode": "locked", "minutes": 0}, {"minutes"}),
    ("POST", "/v1/access-points/1/enrol-card", {"userId": 1, "seconds": 4}, {"seconds"}),
    ("POST", "/v1/decisions/explain", {"accessPointId": 1}, {""}),
    ("POST", "/v1/decisions/explain", {"accessPointId": 1, "userId": 1, "cardNumber": 1}, {""}),
    ("POST", "/v1/decisions/explain", {"userId": 1}, {"accessPointId"}),
    ("POST", "/v1/decisions/explain", {"eventNumber": 1, "userId": 1}, {"eventNumber"}),
    ("POST", "/v1/decisions/explain", {"accessPointId": 1, "cardNumber": BIG}, {"cardNumber"}),
    ("POST", "/v1/decisions/explain", {"accessPointId": 1, "cardNumber": 1, "at": -1}, {"at"}),
]  # fmt: skip


async def bob_at_work(alice: Client) -> dict[str, Any]:
    """Bob, a card of his and a schedule: their ids."""
    user = (await alice.post("/v1/users", {"name": "Bob"}))["id"]
    card = (await alice.post(f"/v1/users/{user}/cards", {"number": 4711}))["id"]
    schedule = (await alice.post("/v1/schedules", {"name": "Week", "week": [[[0, 1440]]] * 7}))["id"]
    return {"user": user, "card": card, "schedule": schedule}


async def test_every_field_error_is_told_at_once(alice: Client, db: Conn) -> None:
    await alice.invite(1)
    bobs = await bob_at_work(alice)
    async with nothing_changes(db):
        for method, path, body, fields in FIELDS:
            answer = problem(await alice.call(method, path.format(**bobs), json=body))
            assert (answer["status"], answer["code"], "errors" in answer) == (400, "invalid", True), (
                path,
                body,
                answer,
            )
            assert {error["field"].partition("[")[0] for error in answer["errors"]} == fields, (path, body, answer)
            assert all(error["detail"].endswith(".") for error in answer["errors"])


@pytest.mark.parametrize("id", [0, -1, 99, 2**31 - 1, 2**31, 2**40, BIG, 2**64, 10**40])
async def test_ids_of_nothing_are_not_found_wherever_they_stand(alice: Client, db: Conn, id: int) -> None:
    await alice.invite(1)
    bob = "/v1/users/{user}".format(**await bob_at_work(alice))
    async with nothing_changes(db):
        for method, path, body in (
            ("POST", "/v1/meetings", {**MEETING, "accessPoints": [1, id]}),
            ("PATCH", "/v1/meetings/1", {"addAccessPoints": [id]}),
            ("PATCH", "/v1/meetings/1", {"removeAccessPoints": [id]}),
            ("PATCH", "/v1/meetings/1", {"accessPoints": [id]}),
            ("POST", "/v1/access-points", {**DOOR, "siteId": id}),
            ("POST", "/v1/access-points", {**DOOR, "controllerId": id}),
            ("PATCH", "/v1/access-points/1", {"controllerId": id}),
            ("POST", "/v1/controllers", {"name": "Eve", "accessPoints": [1, id]}),
            ("PATCH", "/v1/controllers/1", {"accessPoints": [id]}),
            ("GET", f"/v1/meetings/{id}", None),
            ("DELETE", f"/v1/visitors/{id}", None),
            ("POST", f"/v1/clients/{id}/secret", None),
            ("POST", f"/v1/controllers/{id}/rebuild", None),
            ("POST", "/v1/users", {"name": "Eve", "homeSiteId": id}),
            ("POST", "/v1/users", {"name": "Eve", "adminOfSites": [1, id]}),
            ("POST", "/v1/users", {"name": "Eve", "reportingTo": id}),
            ("POST", "/v1/users", {"name": "Eve", "accessPoints": [1, id]}),
            ("POST", "/v1/users", {"name": "Eve", "terms": [id]}),
            ("DELETE", f"/v1/terms/{id}", None),
            ("PATCH", "/v1/access-points/1/permissions", {"add": [{"userId": id}]}),
            ("PATCH", "/v1/access-points/1/permissions", {"remove": [id], "dryRun": True}),
            ("PATCH", f"/v1/access-points/{id}/permissions", {"add": []}),
            ("PATCH", bob, {"homeSiteId": id}),
            ("PATCH", bob, {"adminOfSites": [id]}),
            ("PATCH", bob, {"reportingTo": id}),
            ("PATCH", f"/v1/users/{id}", {"name": "Eve"}),
            ("DELETE", f"/v1/users/{id}", None),
            ("PATCH", f"{bob}/permissions", {"add": [{"accessPointId": 1}, {"accessPointId": id}]}),
            ("PATCH", f"{bob}/permissions", {"add": [{"accessPointId": 1, "scheduleId": id}]}),
            ("PATCH", f"{bob}/permissions", {"remove": [1, id]}),
            ("PATCH", f"{bob}/permissions", {"withdraw": [id]}),
            ("PATCH", f"{bob}/permissions", {"add": [{"accessPointId": id}], "dryRun": True}),
            ("PATCH", f"/v1/users/{id}/permissions", {"add": [{"accessPointId": 1}]}),
            ("GET", f"/v1/access-points/{id}/permissions", None),
            ("POST", f"/v1/users/{id}/cards", {"number": 7}),
            ("DELETE", f"{bob}/cards/{id}", None),
            ("DELETE", f"/v1/schedules/{id}", None),
            ("POST", f"/v1/sites/{id}/holidays", {"dates": []}),
            ("POST", f"/v1/access-points/{id}/mode", {"mode": "locked"}),
            ("POST", f"/v1/access-points/{id}/unlock", {"userId": None}),
            ("POST", "/v1/access-points/1/unlock", {"userId": id}),
            ("POST", "/v1/access-points/1/enrol-card", {"userId": id}),
            ("POST", "/v1/decisions/explain", {"accessPointId": 1, "userId": id}),
            ("POST", "/v1/decisions/explain", {"accessPointId": id, "cardNumber": 4711}),
            ("POST", "/v1/decisions/explain", {"eventNumber": id}),
        ):
            response = await alice.call(method, path, **({"json": body} if body else {}))
            assert problem(response)["code"] == "not_found", (method, path, body, response.text)


async def test_a_card_that_somebody_else_has_stays_theirs(alice: Client, charlie: Client, db: Conn) -> None:
    await bob_at_work(alice)
    eve = (await alice.post("/v1/users", {"name": "Eve"}))["id"]
    async with nothing_changes(db):
        answer = problem(await alice.call("POST", f"/v1/users/{eve}/cards", json={"number": 4711}))
        assert (answer["status"], answer["detail"]) == (409, "This card belongs to Bob.")
    charlies = (await charlie.post("/v1/users", {"name": "Charlie"}))["id"]
    assert (await charlie.post(f"/v1/users/{charlies}/cards", {"number": 4711}))["lastDigits"] == "11"


async def test_a_schedule_in_use_stays(alice: Client, db: Conn) -> None:
    bobs = await bob_at_work(alice)
    grant = {"accessPointId": 1, "scheduleId": bobs["schedule"]}
    await alice.patch(f"/v1/users/{bobs['user']}/permissions", {"add": [grant]})
    async with nothing_changes(db):
        answer = problem(await alice.call("DELETE", f"/v1/schedules/{bobs['schedule']}"))
        assert answer["code"] == "conflict"


@pytest.mark.parametrize(
    "name", ["Zoë Šimůnková", "李小龍", "محمد الأمين", "Ἀριστοτέλης", "👩🏽‍🔧", "O’Brien-Ng", "อนันต์"]
)
async def test_a_name_in_any_script_stays_as_it_is(alice: Client, name: str) -> None:
    made = await alice.post("/v1/users", {"name": name})
    assert (await alice.get(f"/v1/users/{made['id']}"))["name"] == name


VERSIONED = {
    "/v1/users/{user}": ({"phone": "+49 30 1"}, {"email": "bob@example.org"}, {"gender": "m"}),
    "/v1/sites/1": ({"name": "Annexe"}, {"location": "Pier 5"}, {"timezone": "Asia/Tokyo"}),
    "/v1/access-points/1": ({"name": "Gate"}, {"zone": "Yard"}, {"needsPin": True}),
    "/v1/organisation": ({"name": "Alice & Co"}, {"meetingMaxDays": 3}, {"singleUse": True}),
    "/v1/schedules/{schedule}": ({"name": "Days"}, {"holiday": [[0, 60]]}, {"week": [[]] * 6 + [[[0, 60]]]}),
}
"""What two may change at the same time, and what they change."""


@pytest.mark.parametrize("path", VERSIONED)
async def test_of_two_who_change_the_same_version_one_is_told(alice: Client, path: str) -> None:
    await alice.invite(1)
    changes, path = VERSIONED[path], path.format(**await bob_at_work(alice))
    seen = (await alice.call("GET", path)).headers["etag"]
    answers = await asyncio.gather(
        *(alice.call("PATCH", path, json=body, headers={"if-match": seen}) for body in changes)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412]
    won = next(n for n, answer in enumerate(answers) if answer.status_code == 200)
    now = await alice.call("GET", path)
    assert now.headers["etag"] == answers[won].headers["etag"] != seen
    assert now.json() == answers[won].json()
    for other in (answers[n] for n in range(3) if n != won):
        assert problem(other)["code"] == "outdated"


@pytest.mark.parametrize("path", VERSIONED)
async def test_who_names_no_version_changes_what_is_there_now(alice: Client, path: str) -> None:
    await alice.invite(1)
    changes, path = VERSIONED[path], path.format(**await bob_at_work(alice))
    first = (await alice.get(path))["version"]
    for body in (*changes, changes[-1]):
        now = await alice.patch(path, body)
    assert now["version"] == first + len(changes), "a change that changes nothing makes no version"


async def test_a_door_that_went_to_another_controller_is_another_version(alice: Client) -> None:
    await alice.invite(1)
    seen = await alice.call("GET", "/v1/access-points/1")
    other = {"name": "Other", "accessPoints": [1]}
    await alice.post("/v1/controllers", other)
    late = await alice.call(
        "PATCH", "/v1/access-points/1", json={"name": "Gate"}, headers={"if-match": seen.headers["etag"]}
    )
    assert problem(late)["code"] == "outdated"


@pytest.mark.parametrize("etag", ["", "x", '"x"', '"-1"', "W/x", '"8", "9"', "9" * 30, "\u00e9"])
async def test_an_if_match_that_is_no_etag_of_ours_changes_nothing(alice: Client, db: Conn, etag: str) -> None:
    user = f"/v1/users/{(await bob_at_work(alice))['user']}"
    async with nothing_changes(db):
        response = await alice.call("PATCH", user, json={"name": "X"}, headers={"if-match": etag.encode("latin-1")})
        assert problem(response)["status"] in (400, 412), response.text


async def test_ten_thousand_ids_in_one_call_are_taken_or_refused_as_one(alice: Client, db: Conn) -> None:
    user = (await bob_at_work(alice))["user"]
    many = [*range(1, 10_001)]
    async with nothing_changes(db):
        for body in ({"add": [{"accessPointId": id} for id in many]}, {"remove": many}, {"withdraw": many}):
            began = time.monotonic()
            response = await alice.call("PATCH", f"/v1/users/{user}/permissions", json=body)
            assert problem(response)["code"] == "not_found"
            assert time.monotonic() - began < 10


QUERIES = [
    ("/v1/sites", "limit", ["0", "-1", "201", "1.5", "x", "", "9" * 30, "1e3", "nan"]),
    ("/v1/sites", "cursor", ["x", "", "%00", base64.urlsafe_b64encode(b"id:-1").decode(), "aWQ6MQ==", "é", "a" * 5000]),
    ("/v1/events", "after", ["-1", str(2**63), "9" * 5000, "x"]),
    ("/v1/events", "wait", ["-1", "31", "1e400", "inf", "x"]),
    ("/v1/sites", "cursor", [p256.b64url(b"id:%d" % number) for number in (2**31, 2**61, 2**63, 2**70)]),
    ("/v1/access-points", "site", ["-1", str(2**31), str(BIG), str(2**70), "x", "1.5"]),
    ("/v1/meetings", "visitor", ["-1", str(2**31), str(BIG), str(2**70), "x"]),
    ("/v1/meetings", "endsAfter", ["-1", str(2**63), "soon"]),
    ("/v1/users", "search", ["x" * 5000, "%00"]),
    ("/v1/users", "active", ["maybe", "2"]),
    *(("/v1/passages", thing, ["-1", str(2**31), "x"]) for thing in ("door", "site", "user", "visitor")),
    *(("/v1/passages", name, ["-1", "soon", str(2**63)]) for name in ("since", "until")),
    *(("/v1/passages", name, ["", "x"]) for name in ("direction", "credential", "outcome")),
    ("/v1/meetings/1/pass.png", "scale", ["0", "21", "-1", "1e9"]),
]


async def test_parameters_that_cannot_be_are_refused(alice: Client) -> None:
    await alice.invite(1)
    for path, name, values in QUERIES:
        for value in values:
            answer = problem(await alice.call("GET", f"{path}?{name}={value}"))
            assert (answer["status"], answer["code"]) == (400, "invalid"), (path, name, value, answer)


async def test_parameters_that_name_nothing_find_nothing(alice: Client) -> None:
    huge = p256.b64url(b"id:%d" % (2**31 - 1))
    for path in (
        *(f"/v1/{things}?cursor={huge}" for things in ("sites", "access-points", "controllers", "clients", "visitors")),
        f"/v1/meetings?cursor={huge}",
        *(f"/v1/access-points?site={id}" for id in (0, 99, 2**31 - 1)),
        *(f"/v1/meetings?visitor={id}" for id in (0, 99, 2**31 - 1)),
        "/v1/visitors?key=%00",
        "/v1/visitors?key=%ED%A0%80",
        "/v1/visitors?key=" + "x" * 5000,
        *(
            f"/v1/users?search={text}"
            for text in ("a%26b%7C%21", "%27%22%3A*", "%C3%9F%C2%BD", "%5C", "%27", "%ED%A0%80")
        ),
        "/v1/passages?user=99",
        "/v1/access-points/1/permissions",
    ):
        assert (await alice.get(path))["items"] == [], path
    async with asyncio.timeout(30):
        assert (await alice.call("GET", f"/v1/events?after={2**61}&wait=nan")).status_code in (200, 400)


async def test_nobody_waits_for_a_door_for_ever(alice: Client, dora: Script) -> None:
    user = (await bob_at_work(alice))["user"]
    path = f"/v1/users/{user}/permissions?wait=applied&timeout="
    async with dora.linked(), asyncio.timeout(30):
        for timeout in ("nan", "0"):
            give = {"add": [{"accessPointId": 1, "endsAt": NOW + 60 * len(timeout)}]}
            response = await alice.call("PATCH", path + timeout, json=give)
            assert response.status_code in (200, 400), response.text
        for timeout in ("-1", "31", "inf", "x"):
            assert problem(await alice.call("PATCH", path + timeout, json={}))["code"] == "invalid"
    assert problem(await alice.call("PATCH", path.replace("applied", "soon") + "1", json={}))["code"] == "invalid"


async def test_paths_that_are_none_are_not_found(alice: Client) -> None:
    for path in (
        "/v1/sites/x",
        "/v1/sites/1e3",
        "/v1/sites/" + "9" * 6000,
        "/v1/sites/%00",
        "/v1/nothing",
        "/v1/sites/1/2",
    ):
        assert (await alice.call("GET", path)).status_code == 404, path
    saams = "/visitorManagementV3/integrator/v1/organisations/1"
    for path in (
        "/visitor/%00",
        "/visitor/%ED%A0%80",
        "/visitor/" + "x" * 500,
        "/meeting/%00",
        "/meeting/" + "9" * 5000,
    ):
        refused(await alice.call("DELETE", saams + path))
    assert (await alice.call("PUT", "/v1/sites/1", json=SITE)).status_code == 405
    for organisation in (0, 99, 2**31, 2**70):
        assert (await alice.get(f"/v1/pass-keys/{organisation}")) == {"keys": []}


async def test_huge_headers_do_no_harm(alice: Client, db: Conn) -> None:
    async with nothing_changes(db):
        for headers in (
            {"authorization": "Bearer " + "x" * 60_000},
            {"authorization": "Bearer " + "." * 4_000},
            {"authorization": "é" * 100},
            {"idempotency-key": "k" * 256},
            {"idempotency-key": ""},
            {"content-type": "application/" + "j" * 60_000},
        ):
            raw = {k: v.encode("latin-1") for k, v in headers.items()}
            response = await alice.call("POST", "/v1/sites", content=b'{"name": 5}', headers=raw)
            assert 400 <= response.status_code < 500, headers


# ------------------------------------------------------------------------------------------------- tokens


async def forged_tokens(alice: Client) -> dict[str, str]:
    """Tokens that look like Alice's and are not."""
    head, claims, signature = alice.token.split(".")
    header = json.loads(p256.from_b64url(head))
    body = json.loads(p256.from_b64url(claims))
    stranger = ECKey.generate_key("P-256")
    tokens = alice.cloud.state.tokens
    genuine = tokens._private

    def made(key: ECKey, head: dict[str, Any], changes: dict[str, Any]) -> str:
        return jwt.encode({**header, **head}, {**body, **changes}, key)

    def b64(value: object) -> str:
        return p256.b64url(json.dumps(value).encode())

    return {
        "another key": made(stranger, {}, {}),
        "another kid": made(genuine, {"kid": "AAAAAAAAAAA"}, {}),
        "alg none": f"{b64({**header, 'alg': 'none'})}.{claims}.",
        "alg none with a signature": f"{b64({**header, 'alg': 'none'})}.{claims}.{signature}",
        "alg HS256": f"{b64({**header, 'alg': 'HS256'})}.{claims}.{signature}",
        "expired": made(genuine, {}, {"exp": NOW - 1}),
        "another issuer": made(genuine, {}, {"iss": "http://evil.test"}),
        "another audience": made(genuine, {}, {"aud": "http://evil.test"}),
        "another type": made(genuine, {"typ": "JWT"}, {}),
        "unknown client": made(genuine, {}, {"client_id": "lw_0000000000000000"}),
        "no client": made(genuine, {}, {"client_id": None}),
        "no expiry": made(genuine, {}, {"exp": "never"}),
        "altered claims": f"{head}.{b64({**body, 'scope': 'everything'})}.{signature}",
        "altered signature": f"{head}.{claims}.{signature[:-4]}AAAA",
        "cut": alice.token[:-5],
        "no signature": f"{head}.{claims}.",
        "not base64": "a.b.c",
        "not JSON": f"{p256.b64url(b'hello')}.{claims}.{signature}",
        "a list": f"{b64([])}.{claims}.{signature}",
        "deep": f"{p256.b64url(b'[' * 2900)}.{claims}.{signature}",
        "no utf-8": f"{p256.b64url(bytes([255]) * 9)}.{claims}.{signature}",
        "kid is a list": f"{b64({**header, 'kid': []})}.{claims}.{signature}",
        "crit": f"{b64({**header, 'crit': ['x'], 'x': 1})}.{claims}.{signature}",
        "dots": "..",
        "four parts": f"{alice.token}.x",
    }


async def test_a_token_that_is_not_ours_or_not_good_any_more_is_refused(alice: Client, db: Conn) -> None:
    async with nothing_changes(db):
        for name, token in (await forged_tokens(alice)).items():
            response = await alice.cloud.http.get("/v1/whoami", headers={"authorization": f"Bearer {token}"})
            assert problem(response)["code"] == "unauthorized", (name, response.text)
            assert response.headers["www-authenticate"].startswith("Bearer")
            saams = await alice.cloud.http.get("/saamsIdm/oauth/organisation", headers={"authorization": token})
            assert saams.status_code == 401, (name, saams.text)


async def test_without_a_token_nothing_is_told(alice: Client, db: Conn) -> None:
    async with nothing_changes(db):
        for method, path in NATIVE[:-1]:
            response = await alice.cloud.http.request(method, path, content=b"{")
            assert problem(response)["code"] == "unauthorized", path


# ------------------------------------------------------------------------------------------------- logs


class Pages(logging.Handler):
    """Everything that anybody logs, at whatever level, with tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("httpcore2", "httpx2", "hypothesis")):  # the test's own client
            self.text += self.format(record) + "\n"


async def test_nothing_secret_is_ever_logged(alice: Client, db: Conn) -> None:
    pages, root = Pages(), logging.getLogger()
    before = root.level
    root.addHandler(pages)
    root.setLevel(logging.DEBUG)
    try:
        made = await alice.post("/v1/clients", {"name": "temporary", "scopes": ["sites:read"]})
        form = {
            "grant_type": "client_credentials",
            "client_id": made["clientId"],
            "client_secret": made["clientSecret"],
        }
        token = (await alice.cloud.http.post("/oauth2/token", data=form)).json()["access_token"]
        await alice.cloud.http.post("/oauth2/token", data={**form, "client_secret": "wr0ng-secret\0"})
        await alice.cloud.http.post("/oauth2/revoke", data={**form, "token": token})
        await alice.cloud.http.get("/v1/whoami", headers={"authorization": f"Bearer {token}x"})
        code = (await alice.post("/v1/controllers/1/enrolment-code"))["code"]
        await alice.cloud.http.post("/v1/enrol", json={"code": code, "publicKey": "x", "proof": "y"})
        meeting = await alice.invite(1, key="secret-visitor-key")
        qr = meeting["pass"]["qrData"]
        await alice.call("GET", f"/v1/meetings/{meeting['id']}/pass.svg")
        await alice.call("POST", "/v1/visitors", json={"key": qr, "x": 1})
        await alice.call("POST", "/v1/visitors", content=b'{"key": "' + qr.encode() + b'", "name": "\\ud800"}')
    finally:
        root.removeHandler(pages)
        root.setLevel(before)
    for secret in (made["clientSecret"], token, token.split(".")[2], code, qr, "wr0ng-secret", alice.token):
        assert secret not in pages.text
    stored = json.dumps([dict(row) for row in await db.fetch("SELECT * FROM events")], default=str)
    for secret in (made["clientSecret"], token, code, qr):
        assert secret not in stored


# ------------------------------------------------------------------------------------------------- anything at all

_text = st.text(max_size=20) | st.sampled_from(["\0", "1", "-1", "vic", "\x7f", "x" * 300, "9" * 40])
_number = (
    st.integers(-3, 5)
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, 10**13, NOW, NOW + 99])
    | st.floats(allow_nan=False)
)
_json = st.recursive(
    st.none() | st.booleans() | _number | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=8,
)


def _like(schema: dict[str, Any], schemas: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Objects with the schema's field names and whatever in them, or nearly what belongs there."""
    if "$ref" in schema:
        return _like(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "properties" in schema:
        fields = {name: _like(field, schemas) for name, field in schema["properties"].items()}
        required = {n: f for n, f in fields.items() if n in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional={n: f for n, f in fields.items() if n not in required}) | _json
    kinds = {"integer": st.integers(0, 5) | _number, "string": _text, "boolean": st.booleans(), "number": _number}
    if schema.get("type") == "array":
        return st.lists(_like(schema.get("items", {}), schemas), max_size=5) | _json
    for option in schema.get("oneOf", ()) or schema.get("anyOf", ()):
        return _like(option, schemas) | st.none() | _json
    return kinds.get(schema.get("type", ""), _json) | _json


async def test_no_request_that_the_document_allows_or_not_is_ever_a_500(alice: Client, charlie: Client) -> None:
    document = (await alice.cloud.http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1") and "wait" not in {p["name"] for p in operation.get("parameters", ())}
    ]
    assert len(operations) > 40
    await alice.invite(1)
    loop = asyncio.get_running_loop()
    seen: set[int] = set()

    async def send(method: str, path: str, query: dict[str, str], content: bytes | None) -> httpx2.Response:
        return await alice.call(method, path, params=query, content=content)

    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.data())
    def anything(data: st.DataObject) -> None:
        method, path, operation = data.draw(st.sampled_from(operations))
        query = {}
        for parameter in operation.get("parameters", ()):
            value = data.draw(_text | _number.map(str))
            if parameter["in"] == "path":
                some = data.draw(st.sampled_from(["1", "2"]) | st.just(value))
                path = path.replace("{" + parameter["name"] + "}", quote(some, safe=""))
            elif data.draw(st.booleans()):
                query[parameter["name"]] = value
        content = None
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            content = json.dumps(data.draw(_like(schema, schemas))).encode()
        response = asyncio.run_coroutine_threadsafe(send(method, path, query, content), loop).result(30)
        seen.add(response.status_code)
        assert response.status_code < 500, (method, path, query, content, response.text)

    await asyncio.to_thread(anything)
    assert {200, 400, 404} <= seen
