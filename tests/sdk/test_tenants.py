"""Another organisation's ids behave exactly as ids that do not exist: every native operation, row by row.

Charlie calls each operation twice: with ids of Alice's, and with ids that nobody ever had. Status, type and body must
be the same, ids masked. An operation without a row fails the test; one that takes no id has a row that says what is
looked at instead.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
import pytest_asyncio
from tests.sdk.pocket import phone_of
from tests.sdk.town import CLOUD, Operation, Town

from latchwork.sdk.client import Client, Credentials
from latchwork.wire import p256
from latchwork.wire.api.accounts import ClientDraft
from latchwork.wire.api.controllers import ControllerDraft
from latchwork.wire.api.enrolment import proof_bytes
from latchwork.wire.api.passages import DoorModeDraft, UnlockDraft
from latchwork.wire.api.people import (
    CardDraft,
    GrantDraft,
    Interval,
    PermissionsPatch,
    ScheduleDraft,
    TermDraft,
    UserDraft,
)
from latchwork.wire.api.sites import AccessPointDraft, SiteDraft
from latchwork.wire.api.visitors import MeetingDraft, MeetingVisitor, VisitorDraft

MARK = "Alicia"
"""In every name that Alice gives: no answer to Charlie may hold it."""

Ids = Mapping[str, Any]

# ------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Takes:
    """Charlie's call with somebody's ids. `{name}` stands for an id of theirs, `{own_name}` for one of Charlie's."""

    body: Any = None
    path: Mapping[str, str] = field(default_factory=dict)
    """Path parameters that are not simply the id of the same name."""
    query: str = ""
    expected: int = 404


@dataclass(frozen=True)
class TakesNone:
    """An operation without ids: Charlie's answer holds nothing of Alice's."""

    body: Any = None


NOW = int(time.time())
_MEETING = {"visitor": {"key": "c"}, "startTime": NOW, "endTime": NOW + 3600, "accessPoints": ["{door}"]}
_DOOR = {"siteId": "{site}", "name": "Door"}
_ENROLMENT = {"code": "{code}", "publicKey": "{point}", "proof": "{proof}"}
_LISTS = {"adminOfSites": "site", "accessPoints": "door", "terms": "term"}
_OWN_USER = {"user_id": "{own_user}"}
_OWN_DOOR = {"access_point_id": "{own_door}"}

ROWS: dict[str, list[Takes | TakesNone]] = {
    "whoami": [TakesNone()],
    "get_organisation": [TakesNone()],
    "change_organisation": [TakesNone({"name": "Charlie & Sons"})],
    "set_identity_provider": [
        TakesNone({"name": "Own", "issuer": "https://id.example", "clientId": "c", "clientSecret": "s"})
    ],
    "get_identity_provider": [TakesNone()],
    "remove_identity_provider": [TakesNone()],
    "page_clients": [TakesNone()],
    "add_client": [TakesNone({"name": "New", "scopes": []})],
    "get_client": [Takes()],
    "change_client": [Takes({"name": "Taken"})],
    "rotate_secret": [Takes()],
    "revoke_client": [Takes()],
    "page_events": [TakesNone()],
    "last_event": [TakesNone()],
    "page_alarms": [TakesNone()],
    "acknowledge_alarm": [Takes({"note": ""})],
    "page_sites": [TakesNone()],
    "add_site": [TakesNone({"name": "New"})],
    "get_site": [Takes()],
    "change_site": [Takes({"name": "Taken"})],
    "remove_site": [Takes()],
    "page_access_points": [TakesNone(), Takes(query="?site={site}", expected=200)],
    "add_access_point": [
        Takes(_DOOR),
        Takes({**_DOOR, "siteId": "{own_site}", "controllerId": "{controller}"}),
    ],
    "get_access_point": [Takes()],
    "change_access_point": [
        Takes({"name": "Taken"}),
        Takes({"controllerId": "{controller}"}, _OWN_DOOR),
    ],
    "remove_access_point": [Takes()],
    "page_controllers": [TakesNone()],
    "add_controller": [Takes({"name": "New", "accessPoints": ["{door}"]})],
    "get_controller": [Takes()],
    "change_controller": [
        Takes({"name": "Taken"}),
        Takes({"accessPoints": ["{door}", "{own_door}"]}, {"controller_id": "{own_controller}"}),
    ],
    "remove_controller": [Takes()],
    "make_enrolment_code": [Takes()],
    "rebuild_controller": [Takes()],
    "accept_snapshot": [Takes()],
    "list_pass_keys": [TakesNone()],
    "add_pass_key": [TakesNone()],
    "activate_pass_key": [Takes({"acceptUnconfirmed": True})],
    "remove_pass_key": [Takes()],
    "page_visitors": [
        TakesNone(),
        Takes(query="?key={visitor_key}", expected=200),
    ],
    "add_visitor": [Takes({"key": "{visitor_key}", "name": "C"}, expected=201)],
    "get_visitor": [Takes()],
    "change_visitor": [Takes({"name": "Taken"})],
    "remove_visitor": [Takes()],
    "page_meetings": [
        TakesNone(),
        Takes(query="?visitor={visitor}", expected=200),
    ],
    "add_meeting": [
        Takes(_MEETING),
        Takes({**_MEETING, "accessPoints": ["{own_door}", "{door}"]}),
        Takes({**_MEETING, "visitor": {"key": "{meeting_key}"}, "accessPoints": ["{own_door}"]}, expected=201),
    ],
    "get_meeting": [Takes()],
    "change_meeting": [
        Takes({"endTime": NOW + 7200}),
        *(
            Takes({doors: ["{door}"]}, {"meeting_id": "{own_meeting}"})
            for doors in ("accessPoints", "addAccessPoints", "removeAccessPoints")
        ),
    ],
    "remove_meeting": [Takes()],
    **{name: [Takes()] for name in ("check_in", "check_out", "end_meeting", "make_visit_link")},
    **{name: [Takes()] for name in ("list_meeting_doors", "page_meeting_passages", "issue_pass")},
    "draw_svg": [Takes()],
    "draw_png": [Takes()],
    "list_hosts": [Takes(query="?search=" + MARK, expected=200)],
    "page_users": [TakesNone()],
    "import_users": [TakesNone({"csv": "name\r\nZoe\r\n"})],
    "export_users": [TakesNone()],
    "add_user": [
        *(Takes({"name": "New", **ids}) for ids in ({"homeSiteId": "{site}"}, {"reportingTo": "{user}"})),
        *(Takes({"name": "New", field: ["{" + id + "}"]}) for field, id in _LISTS.items()),
        Takes({"name": "New", "accessPoints": ["{own_door}", "{door}"]}),
    ],
    "get_user": [Takes()],
    "change_user": [
        Takes({"name": "Taken"}),
        *(Takes(body, _OWN_USER) for body in ({"homeSiteId": "{site}"}, {"adminOfSites": ["{site}"]})),
        Takes({"reportingTo": "{user}"}, _OWN_USER),
    ],
    "remove_user": [Takes()],
    "get_user_account": [Takes()],
    "invite_user": [Takes()],
    "remove_user_account": [Takes()],
    "page_permissions": [Takes()],
    "change_permissions": [
        Takes({"add": [{"accessPointId": "{own_door}"}]}),
        Takes({"add": [{"accessPointId": "{own_door}"}, {"accessPointId": "{door}"}]}, _OWN_USER),
        Takes({"add": [{"accessPointId": "{own_door}", "scheduleId": "{schedule}"}]}, _OWN_USER),
        Takes({"add": [{"accessPointId": "{door}"}], "dryRun": True}, _OWN_USER),
        Takes({"remove": ["{own_door}", "{door}"]}, _OWN_USER),
        Takes({"withdraw": ["{door}"]}, _OWN_USER),
    ],
    "page_door_permissions": [Takes()],
    "change_door_permissions": [
        Takes({"add": [{"userId": "{own_user}"}]}),
        Takes({"add": [{"userId": "{own_user}"}, {"userId": "{user}"}]}, _OWN_DOOR),
        Takes({"add": [{"userId": "{own_user}", "scheduleId": "{schedule}"}]}, _OWN_DOOR),
        *(Takes({field: ["{user}"], "dryRun": True}, _OWN_DOOR) for field in ("remove", "withdraw")),
    ],
    "list_roles": [TakesNone()],
    "list_terms": [TakesNone()],
    "add_term": [TakesNone({"name": "Term"})],
    "remove_term": [Takes()],
    "list_cards": [Takes()],
    "add_card": [
        Takes({"number": 99}),
        Takes({"number": "{card_number}"}, _OWN_USER, expected=201),
    ],
    "get_card": [Takes(), Takes(path=_OWN_USER), Takes(path={"card_id": "{own_card}"})],
    "remove_card": [Takes(), Takes(path=_OWN_USER), Takes(path={"card_id": "{own_card}"})],
    "list_phones": [Takes()],
    "remove_phone": [Takes(), Takes(path=_OWN_USER), Takes(path={"phone_id": "{own_phone}"})],
    "list_app_sessions": [Takes()],
    "end_app_session": [Takes(), Takes(path=_OWN_USER), Takes(path={"session_id": "{own_session}"})],
    "page_schedules": [TakesNone()],
    "add_schedule": [TakesNone({"name": "New", "week": [[[480, 720]]] * 7})],
    "get_schedule": [Takes()],
    "change_schedule": [Takes({"name": "Taken"})],
    "remove_schedule": [Takes()],
    "get_holidays": [Takes()],
    "set_holidays": [Takes({"dates": ["2027-01-01"]})],
    "page_passages": [
        TakesNone(),
        *(Takes(query=f"?{thing}={{{thing}}}", expected=200) for thing in ("door", "site", "user", "visitor")),
    ],
    "count_passages": [Takes(query="?site={site}&since=0", expected=200)],
    "get_attendance": [Takes(query="?user={user}&month=2026-10")],
    "page_door_states": [TakesNone(), Takes(query="?site={site}", expected=200)],
    "get_door_state": [Takes()],
    "get_passage": [Takes()],
    "get_mode": [Takes()],
    "set_mode": [Takes({"mode": "unlocked"})],
    "unlock": [Takes({}), Takes({"userId": "{user}"}, _OWN_DOOR)],
    "enrol_card": [
        Takes({"userId": "{own_user}"}),
        Takes({"userId": "{user}"}, _OWN_DOOR),
    ],
    "explain_decision": [
        Takes({"accessPointId": "{door}", "userId": "{own_user}"}),
        Takes({"accessPointId": "{own_door}", "userId": "{user}"}),
        Takes({"accessPointId": "{own_door}", "cardNumber": "{card_number}"}, expected=200),
        Takes({"accessPointId": "{own_door}", "qrData": "{qr}"}, expected=200),
        Takes({"eventNumber": "{refusal}"}),
    ],
}
PUBLIC: dict[str, Takes] = {
    "enrol": Takes(_ENROLMENT, expected=403),
    "show_visit": Takes({"token": "{link}x"}),
}
"""Operations that need no token. `pass_jwks` is compared in a test of its own: its keys are for everybody."""

LOGGING_IN = {
    *("log_in", "reset_password", "show_password_link", "choose_password", "begin_sign_in", "finish_sign_in"),
    "get_sign_in_offer",
    *(
        "list_sessions",
        "log_out",
        "end_session",
        "end_other_sessions",
        "get_account",
        "change_password",
        "page_own_doors",
        "page_own_passages",
    ),
    *("begin_own_app_session", "enrol_phone", "list_own_phones", "remove_own_phone", "get_keyring", "unlock_own_door"),
}
"""Nobody's yet, or those of whoever is logged in: tests/cloud/sessions and tests/cloud/phones ask these."""

# ------------------------------------------------------------------------------------------------- the cast's things

PATHS = {
    "client_id": "{client}",
    "site_id": "{site}",
    "access_point_id": "{door}",
    "controller_id": "{controller}",
    "kid": "{kid}",
    "visitor_id": "{visitor}",
    "meeting_id": "{meeting}",
    "user_id": "{user}",
    "card_id": "{card}",
    "phone_id": "{phone}",
    "session_id": "{session}",
    "schedule_id": "{schedule}",
    "term_id": "{term}",
    "number": "{refusal}",
}
_KINDS = (
    "client",
    "site",
    "door",
    "controller",
    "visitor",
    "meeting",
    "user",
    "card",
    "schedule",
    "term",
    "refusal",
    "phone",
    "session",
)
NOBODYS: Ids = {name: 900_000 + n for n, name in enumerate(_KINDS)}


async def things_of(cloud: Client, label: str, before: int) -> dict[str, Any]:
    """One of everything, after so many others of the organisation's own: small ids are counted per organisation."""
    sites = [await cloud.add_site(SiteDraft(f"{label} site {n}", f"{label} street")) for n in range(before + 1)]
    doors = [await cloud.add_access_point(AccessPointDraft(sites[-1].id, f"{label} {n}")) for n in range(before + 1)]
    controller = await cloud.add_controller(ControllerDraft(f"{label} Dora", [doors[-1].id]))
    client = await cloud.add_client(ClientDraft(f"{label} reader", ["sites:read"]))
    guest = MeetingVisitor(f"{label}-key", name=f"{label} Vic", company=f"{label} & Co")
    meeting = await cloud.add_meeting(MeetingDraft(guest, NOW, NOW + 3600, [doors[-1].id]))
    await cloud.add_visitor(VisitorDraft(f"{label}-other-key", f"{label} other"))
    people = await people_of(cloud, label, doors[-1].id, before)
    return {
        **people,
        "qr": meeting.current_pass.qr_data,
        "site": sites[-1].id,
        "door": doors[-1].id,
        "controller": controller.id,
        "client": client.id,
        "meeting": meeting.id,
        "visitor": meeting.visitor.id,
        "kid": (await cloud.add_pass_key()).kid,
        "visitor_key": f"{label}-other-key",
        "meeting_key": guest.key,
        "link": (await cloud.make_visit_link(meeting.id)).url.rpartition("/")[2],
        "code": (await cloud.make_enrolment_code(controller.id)).code,
    }


async def people_of(cloud: Client, label: str, door: int, before: int) -> dict[str, Any]:
    """A user with a card and a permission on a schedule, who was refused after that: the last of the log."""
    number = zlib.crc32(label.encode())
    terms = [await cloud.add_term(TermDraft(f"{label} masons {n}")) for n in range(before + 1)]
    user = await cloud.add_user(
        UserDraft(f"{label} Bob", terms=[terms[-1].id], email=f"{label.split()[0]}@example.org")
    )
    card = await cloud.add_card(user.id, CardDraft(number))
    schedule = await cloud.add_schedule(ScheduleDraft(f"{label} week", [[Interval(0, 1440)]] * 7))
    await cloud.change_permissions(user.id, PermissionsPatch([GrantDraft(door, schedule_id=schedule.id)]))
    await cloud.set_mode(door, DoorModeDraft("locked"))
    await cloud.unlock(door, UnlockDraft(user.id))
    refusal = (await cloud.page_passages(door=door)).items[0].number
    phone, session = await phone_of(cloud, user.id, f"{label} phone")
    ids = {"user": user.id, "card": card.id, "schedule": schedule.id, "term": terms[-1].id}
    ids |= {"phone": phone, "session": session}
    return {**ids, "card_number": number, "refusal": refusal}


def nobodys_things() -> dict[str, Any]:
    """Ids of the right form that nobody ever had."""
    return {
        **NOBODYS,
        "kid": p256.b64url(b"nobodys!"),
        "visitor_key": "nobodys-other-key",
        "meeting_key": "nobodys-key",
        "link": "nobodys",
        "card_number": 9_000_077,
        "qr": "LW1:NOBODYS",
        "code": f"{NOBODYS['controller']}-ABCDEFGHJKMNPQRS",
    }


def completed(things: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """With a request to enrol whose code misses by a letter, and Charlie's own ids."""
    key = p256.new_key()
    point = p256.public_bytes(key.public_key())
    code = things["code"][:-1] + ("A" if things["code"][-1] != "A" else "B")
    proof = p256.b64url(p256.sign(key, proof_bytes(code, point)))
    owned = {f"own_{name}": value for name, value in own.items()}
    return {**things, **owned, "code": code, "point": p256.b64url(point), "proof": proof}


@dataclass
class Stage:
    town: Town
    http: httpx2.AsyncClient
    """Charlie's, with his token."""
    operations: Mapping[str, Operation]
    alices: dict[str, Any]
    nobodys: dict[str, Any]


@pytest_asyncio.fixture
async def stage(town: Town) -> AsyncIterator[Stage]:
    alices = await things_of(town.client(town.alice), MARK, before=4)
    own = await things_of(town.client(town.charlie), "Charlie", before=0)
    async with httpx2.AsyncClient(transport=town.line(), base_url=CLOUD) as http:
        http.headers["authorization"] = await bearer(http, town.charlie)
        yield Stage(town, http, await town.operations(), completed(alices, own), completed(nobodys_things(), own))


async def bearer(http: httpx2.AsyncClient, who: Credentials) -> str:
    form = {"grant_type": "client_credentials", "client_id": who.client_id, "client_secret": who.client_secret}
    return f"Bearer {(await http.post('/oauth2/token', data=form)).json()['access_token']}"


# ------------------------------------------------------------------------------------------------- calling


def filled(template: Any, ids: Ids) -> Any:
    """A template with its ids: a text that is nothing but `{name}` becomes the id itself."""
    if isinstance(template, dict):
        return {name: filled(value, ids) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, ids) for value in template]
    if not isinstance(template, str):
        return template
    whole = re.fullmatch(r"{(\w+)}", template)
    return ids[whole[1]] if whole else template.format(**ids)


async def asked(stage: Stage, name: str, row: Takes, ids: Ids) -> tuple[int, str, str]:
    """Status, media type and body, without the ids that were handed in."""
    operation = stage.operations[name]
    templates = {each: row.path.get(each, PATHS[each]) for each in operation.parameters("path")}
    url = operation.path.format(**filled(templates, ids)) + row.query.format(**ids)
    answer = await stage.http.request(
        operation.method, url, json=filled(row.body, ids) if row.body is not None else None
    )
    handed_in = re.findall(r"{(?!own_)(\w+)}", f"{templates} {row.query} {row.body}")
    return answer.status_code, answer.headers.get("content-type", ""), masked(answer.text, {ids[n] for n in handed_in})


def masked(text: str, ids: set[Any]) -> str:
    for value in sorted(map(str, ids), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", "<id>", text)
    return text


async def everything_of(cloud: Client) -> list[Any]:
    """All that an organisation consists of, and its log."""
    listings = (cloud.page_sites, cloud.page_access_points, cloud.page_controllers, cloud.page_clients)
    visits = (cloud.page_visitors, cloud.page_meetings)
    people = (cloud.page_users, cloud.page_schedules, cloud.page_passages)
    rows = [[each async for each in listing()] for listing in (*listings, *visits, *people)]  # type: ignore[operator]
    held = [([p async for p in cloud.page_permissions(user.id)], await cloud.list_cards(user.id)) for user in rows[-3]]
    doors = [(await cloud.get_mode(door.id), await cloud.get_holidays(door.site_id)) for door in rows[1]]
    return [
        *rows,
        held,
        doors,
        await cloud.get_organisation(),
        await cloud.list_pass_keys(),
        await cloud.page_events(limit=200),
    ]


# ------------------------------------------------------------------------------------------------- the tests


async def test_every_operation_has_a_row(town: Town) -> None:
    assert set(await town.operations()) == {*ROWS, *PUBLIC, *LOGGING_IN, "pass_jwks"}


async def test_every_id_has_a_row(town: Town) -> None:
    """A path id, an id in a query or in a body: each stands in at least one row of its operation."""
    schemas = await _schemas(town)
    for name, operation in (await town.operations()).items():
        rows = ROWS.get(name, [])
        if operation.parameters("path") and name in ROWS:
            assert any(isinstance(row, Takes) for row in rows), name
        for parameter in operation.parameters("query") & {"site", "visitor", "key", "door", "user"}:
            assert any(isinstance(row, Takes) and row.query.startswith(f"?{parameter}=") for row in rows), name
        written = msgspec.json.encode([row.body for row in rows]).decode()
        for each in _id_fields(operation.body, schemas):
            assert f'"{each}"' in written, (name, each)


async def _schemas(town: Town) -> dict[str, Any]:
    async with httpx2.AsyncClient(transport=town.line(), base_url=CLOUD) as http:
        schemas: dict[str, Any] = (await http.get("/openapi.json")).json()["components"]["schemas"]
    return schemas


def _id_fields(operation: dict[str, Any], schemas: dict[str, Any]) -> set[str]:
    """The fields of an operation's body that hold ids of ours."""
    if "requestBody" not in operation:
        return set()
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    names = schemas[reference.rpartition("/")[2]]["properties"]
    return {
        name for name in names if (name.endswith("Id") and name != "clientId") or name.lower().endswith("accesspoints")
    }


async def test_charlie_learns_nothing_from_ids_of_alices(stage: Stage) -> None:
    before = await everything_of(stage.town.client(stage.town.alice))
    rows = [(name, row) for name, each in ROWS.items() for row in each if isinstance(row, Takes)]
    for name, row in [*rows, *PUBLIC.items()]:
        hers = await asked(stage, name, row, stage.alices)
        nobodys = await asked(stage, name, row, stage.nobodys)
        assert unstamped(hers) == unstamped(nobodys), (name, row)
        assert (hers[0], MARK in hers[2]) == (row.expected, False), (name, row, hers)
    assert await everything_of(stage.town.client(stage.town.alice)) == before


def unstamped(answer: tuple[int, str, str]) -> tuple[int, str, str]:
    """Without what differs between any two creations: the new record's own id, times, a card's end, and the pass."""
    status, kind, body = answer
    body = re.sub(r'"(id|createdAt|updatedAt|validFrom|expiresAt)":(\d+|"?<id>"?)', r'"\1":0', body)
    body = re.sub(r'"at":[0-9.]+', '"at":0', body)
    body = re.sub(r'"lastDigits":"[^"]*"', '"lastDigits":""', body)
    return status, kind, re.sub(r'"qrData":"[^"]*"', '"qrData":""', body)


async def test_what_charlie_gets_without_ids_holds_nothing_of_alices(stage: Stage) -> None:
    for name, each in ROWS.items():
        for row in each:
            if isinstance(row, TakesNone):
                answer = await stage.http.request(
                    stage.operations[name].method, stage.operations[name].path, json=row.body
                )
                assert answer.is_success, (name, answer.text)
                assert MARK not in answer.text, name
                assert "Alice" not in answer.text, name


async def test_a_cursor_of_alices_is_only_a_place_in_charlies_own_list(stage: Stage) -> None:
    alice = stage.town.client(stage.town.alice)
    for name, listing in (("sites", alice.page_sites), ("access-points", alice.page_access_points)):
        cursor = (await listing(limit=1)).next_cursor
        answer = await stage.http.get(f"/v1/{name}", params={"cursor": cursor})
        assert (answer.status_code, MARK in answer.text) == (200, False)


async def test_charlies_log_and_lists_do_not_move_when_alice_works(stage: Stage) -> None:
    charlie, alice = stage.town.client(stage.town.charlie), stage.town.client(stage.town.alice)
    before = await everything_of(charlie), await charlie.last_event()
    await things_of(alice, f"{MARK} again", before=0)
    assert (await everything_of(charlie), await charlie.last_event()) == before


async def test_one_idempotency_key_in_two_organisations_is_two_keys(stage: Stage) -> None:
    hers = await stage.town.client(stage.town.alice).add_site(SiteDraft(MARK), idempotency_key="the same")
    his = await stage.town.client(stage.town.charlie).add_site(SiteDraft("Charlie's"), idempotency_key="the same")
    assert (hers.name, his.name) == (MARK, "Charlie's")


async def test_pass_keys_are_public_the_same_for_everybody_and_without_a_private_half(stage: Stage) -> None:
    path = f"/v1/pass-keys/{stage.town.alices_id}"
    with_token = (await stage.http.get(path)).json()
    del stage.http.headers["authorization"]
    assert (await stage.http.get(path)).json() == with_token
    assert {tuple(sorted(key)) for key in with_token["keys"]} == {("alg", "crv", "kid", "kty", "use", "x", "y")}
    for unknown in (NOBODYS["site"], 2**31, 2**62):
        assert (await stage.http.get(f"/v1/pass-keys/{unknown}")).json() == {"keys": []}
