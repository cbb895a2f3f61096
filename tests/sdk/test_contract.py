"""The client and the OpenAPI document of the real app say the same, operation by operation and field by field."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from copy import copy
from dataclasses import replace
from typing import Any

import asyncpg
import httpx2
import msgspec
import pytest
from oidc_provider_mock import User as Person
from oidc_provider_mock import run_server_in_thread
from tests.sdk.lines import Recorder
from tests.sdk.pocket import AppOf
from tests.sdk.town import Town, visit

from latchwork.sdk.client import Client
from latchwork.wire import p256
from latchwork.wire.api.accounts import ClientDraft, ClientPatch, OrganisationPatch
from latchwork.wire.api.controllers import ControllerDraft, ControllerPatch
from latchwork.wire.api.enrolment import Enrolment, proof_bytes
from latchwork.wire.api.passages import CardEnrolmentDraft, DoorModeDraft, DoorOffline, Question, UnlockDraft
from latchwork.wire.api.people import (
    CardDraft,
    DoorGrantDraft,
    DoorPermissionsPatch,
    GrantDraft,
    Holidays,
    Interval,
    PermissionsPatch,
    ScheduleDraft,
    SchedulePatch,
    TermDraft,
    UserDraft,
    UserPatch,
    UsersImport,
)
from latchwork.wire.api.problems import NotFound, Outdated
from latchwork.wire.api.sessions import (
    IdentityProviderDraft,
    LogIn,
    PasswordChange,
    PasswordChoice,
    PasswordReset,
    PasswordToken,
    SignedIn,
    SignInDraft,
)
from latchwork.wire.api.sites import AccessPointDraft, AccessPointPatch, SiteDraft, SitePatch
from latchwork.wire.api.visitors import MeetingPatch, VisitorDraft, VisitorPatch, VisitToken

BEYOND = {"aclose", "follow", "acting_for", "of_session", "begin_app_session"}
"""What the client offers beside the operations."""
CREATIONS = {
    *("add_site", "add_access_point", "add_controller", "add_client", "add_visitor", "add_meeting"),
    *("add_user", "add_card", "add_schedule", "add_term", "unlock", "enrol_card", "import_users"),
    *("enrol_phone", "unlock_own_door", "make_visit_link", "invite_user"),
}
_NAMES = {
    "endsAfter": "ends_after",
    "endsBefore": "ends_before",
    "startsAfter": "starts_after",
    "startsBefore": "starts_before",
    "if-match": "version",
}
"""What the client calls otherwise than the document."""


def methods() -> dict[str, inspect.Signature]:
    public = {name: f for name, f in vars(Client).items() if inspect.isfunction(f) and not name.startswith("_")}
    return {name: inspect.signature(function) for name, function in public.items() if name not in BEYOND}


async def test_each_operation_has_a_method_and_each_method_an_operation(town: Town) -> None:
    assert set(methods()) == set(await town.operations())


async def test_each_method_takes_what_its_operation_takes(town: Town) -> None:
    for name, operation in (await town.operations()).items():
        parameters = methods()[name].parameters.keys() - {"self", "idempotency_key"}
        named = {_NAMES.get(each, each) for each in operation.parameters("query") | operation.parameters("header")}
        wanted = operation.parameters("path") | named
        assert parameters >= wanted, name
        assert len(parameters) == len(wanted) + operation.has_body, name


async def test_creations_take_an_idempotency_key(town: Town) -> None:
    taking = {name for name, signature in methods().items() if "idempotency_key" in signature.parameters}
    assert taking == CREATIONS


class Tour:
    """Calls methods and holds each to its operation: its call is made, and no field of its answer is lost."""

    def __init__(self, town: Town, operations: dict[str, Any]) -> None:
        self._town = town
        self._recorder = Recorder(town.line())
        self._operations = operations
        self._cloud = town.client(town.alice, self._recorder)
        self.app_cloud = replace(town, blocking=False).client(town.alice)
        """What a user's app speaks to."""
        self.seen: set[str] = set()

    def of_session(self, token: str) -> Tour:
        """The same tour for somebody who is logged in."""
        other = copy(self)
        other._cloud = self._town.client_of_session(token, self._recorder)
        return other

    async def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        answer: Any = getattr(self._cloud, name)(*arguments, **options)
        result = await answer if isinstance(answer, Awaitable) else answer
        exchanged = self._recorder.passed[-1]
        assert self._operations[name].matches(exchanged.request.method, exchanged.request.url.path), name
        assert ("idempotency-key" in exchanged.request.headers) == (name in CREATIONS), name
        self._check_answer(name, exchanged.response.content, result)
        self.seen.add(name)
        return result

    def _check_answer(self, name: str, body: bytes, result: Any) -> None:
        if isinstance(result, bytes | str) or result is None:
            assert body == (result.encode() if isinstance(result, str) else result or b""), name
        else:
            assert msgspec.json.decode(body) == msgspec.to_builtins(result), name


async def test_every_method_makes_its_call_and_reads_its_whole_answer(either: Town) -> None:
    operations = await either.operations()
    call = Tour(either, operations)
    await call("whoami")
    version = (await call("get_organisation")).version
    await call("change_organisation", OrganisationPatch(meeting_max_days=30), version=version)
    with pytest.raises(Outdated):
        await call("change_organisation", OrganisationPatch(meeting_max_days=31), version=version)
    assert (await call("get_organisation")).meeting_max_days == 30
    await _tour_accounts(call)
    await _tour_doors(call, either.dsn)
    await _tour_pass_keys(call, either.alices_id)
    await _tour_visits(call)
    await _tour_people(call)
    await _tour_permissions(call)
    await _tour_passages(call)
    await _tour_log_in(call)
    await _tour_phones(call)
    last = (await call("last_event")).last
    assert (await call("page_events", last - 3, limit=2, wait=1)).last == last - 1
    assert call.seen == set(operations)


async def _tour_accounts(call: Tour) -> None:
    made = await call("add_client", ClientDraft("Reader", ["sites:read"]))
    assert made.client_secret
    assert (await call("change_client", made.id, ClientPatch(name="Looker"))).name == "Looker"
    assert (await call("rotate_secret", made.id)).client_secret != made.client_secret
    await call("revoke_client", made.id)
    assert (await call("get_client", made.id)).revoked_at
    assert len((await call("page_clients")).items) == 2


async def _tour_log_in(call: Tour) -> None:
    ada = await call("add_user", UserDraft("Ada", email="ada@example.org"))
    link = (await call("invite_user", ada.id)).url
    assert (await call("show_password_link", PasswordToken(link.rpartition("/")[2]))).email == "ada@example.org"
    await call("choose_password", PasswordChoice(link.rpartition("/")[2], "correct horse battery"))
    await call("reset_password", PasswordReset("nobody@example.org"))
    assert (await call("get_user_account", ada.id)).has_password
    with run_server_in_thread(user_claims=[Person(sub="ada", claims={"email": "ada@example.org"})]) as server:
        issuer = f"http://localhost:{server.server_port}"
        await call("set_identity_provider", IdentityProviderDraft("Own", issuer, "latchwork", "secret"))
        assert (await call("get_identity_provider")).issuer == issuer
        assert (await call("get_sign_in_offer")).is_offered
        begun = await call("begin_sign_in", SignInDraft())
        async with httpx2.AsyncClient() as http:
            back = httpx2.URL((await http.post(begun.url, data={"sub": "ada"})).headers["location"]).params
        await call("finish_sign_in", SignedIn(begun.state, back["code"]))
    await call("remove_identity_provider")
    session = await call("log_in", LogIn("ada@example.org", "correct horse battery"))
    hers = call.of_session(session.token)
    assert (await hers("get_account")).user_id == ada.id
    assert (await hers("page_own_doors")).items == (await hers("page_own_passages")).items == []
    assert (await hers("begin_own_app_session")).token.startswith("lwr_")
    other = next(each for each in await hers("list_sessions") if not each.is_current)
    await hers("end_session", other.id)
    await hers("end_other_sessions")
    await hers("change_password", PasswordChange("correct horse battery", "another long one"))
    await hers("log_out")
    await call("remove_user_account", ada.id)


async def _tour_phones(call: Tour) -> None:
    ida = await call("add_user", UserDraft("Ida"))
    app = await AppOf.begun(call.app_cloud, ida.id)
    hers = call.of_session(await app.token())
    phone = await hers("enrol_phone", app.draft("Ida's phone"))
    assert [phone] == await hers("list_own_phones") == await call("list_phones", ida.id)
    assert (await hers("get_keyring")).phone == phone
    door = (await call("page_access_points")).items[-1]
    assert (await hers("unlock_own_door", door.id)).reason == "lockdown"
    [session] = await call("list_app_sessions", ida.id)
    assert session.phone_id == phone.id
    await call("remove_phone", ida.id, phone.id)
    again = await AppOf.begun(call.app_cloud, ida.id)
    hers = call.of_session(await again.token())
    await hers("remove_own_phone", (await hers("enrol_phone", again.draft("Another"))).id)
    await call.app_cloud.begin_app_session(ida.id)
    await call("end_app_session", ida.id, (await call("list_app_sessions", ida.id))[0].id)


async def _tour_doors(call: Tour, dsn: str) -> None:
    site = await call("add_site", SiteDraft("Harbour House"))
    berlin = SitePatch(timezone="Europe/Berlin")
    assert (await call("change_site", site.id, berlin, version=site.version)).timezone == "Europe/Berlin"
    door = await call("add_access_point", AccessPointDraft(site.id, "Front door"))
    lobby = AccessPointPatch(zone="Lobby")
    assert (await call("change_access_point", door.id, lobby, version=door.version)).zone == "Lobby"
    controller = await call("add_controller", ControllerDraft("Dora"))
    assert (await call("change_controller", controller.id, ControllerPatch(access_points=[door.id]))).revision > 0
    await _tour_enrolment(call, controller.id)
    assert (await call("rebuild_controller", controller.id)).changed == 0
    await _freeze(dsn, controller.id)
    assert not (await call("accept_snapshot", controller.id)).frozen
    assert (await call("get_controller", controller.id)).access_points == [door.id]
    assert (await call("page_controllers")).items[0].enrolled_at
    assert (await call("get_access_point", door.id)).controller_id == controller.id
    assert (await call("page_access_points", site=site.id, limit=1)).items[0].zone == "Lobby"
    assert (await call("get_site", site.id)) == (await call("page_sites")).items[0]
    await call("remove_controller", controller.id)
    await call("remove_access_point", door.id)
    await call("remove_site", site.id)


async def _freeze(dsn: str, controller: int) -> None:
    """As when the controller knew more than a cloud that was restored from a backup."""
    conn = await asyncpg.connect(dsn)
    await conn.execute("UPDATE controller_links SET frozen = true WHERE controller_id = $1", controller)
    await conn.close()


async def _tour_enrolment(call: Tour, controller: int) -> None:
    code = (await call("make_enrolment_code", controller)).code
    key = p256.new_key()
    point = p256.public_bytes(key.public_key())
    proof = p256.sign(key, proof_bytes(code, point))
    enrolled = await call("enrol", Enrolment(code, p256.b64url(point), p256.b64url(proof)))
    assert enrolled.controller_id == controller


async def _tour_pass_keys(call: Tour, organisation: int) -> None:
    first = (await call("list_pass_keys"))[0]
    key = await call("add_pass_key")
    assert (await call("activate_pass_key", key.kid)).state == "active"
    await call("remove_pass_key", first.kid)
    assert [each["kid"] for each in (await call("pass_jwks", organisation))["keys"]] == [key.kid]


async def _tour_visits(call: Tour) -> None:
    site = await call("add_site", SiteDraft("Annexe"))
    door = await call("add_access_point", AccessPointDraft(site.id, "Gate"))
    vic = await call("add_visitor", VisitorDraft("vic", "Vic"))
    assert (await call("change_visitor", vic.id, VisitorPatch(company="Visits & Sons"))).company == "Visits & Sons"
    meeting = await call("add_meeting", visit(door.id))
    assert meeting.visitor.id == vic.id
    changed = await call("change_meeting", meeting.id, MeetingPatch(end_time=meeting.end_time + 60))
    assert changed.current_pass.qr_data.startswith("LW1:")
    assert (await call("get_meeting", meeting.id)).version == changed.version
    assert (await call("page_meetings", visitor=vic.id, ends_after=meeting.end_time)).items[0].id == meeting.id
    assert (await call("issue_pass", meeting.id)).usable
    assert (await call("draw_svg", meeting.id)).startswith(b"<svg")
    assert (await call("draw_png", meeting.id, scale=2)).startswith(b"\x89PNG")
    assert (await call("get_visitor", vic.id)) == (await call("page_visitors", key="vic")).items[0]
    await _tour_the_desk(call, meeting.id, door.id)
    await call("remove_meeting", meeting.id)
    await call("remove_visitor", vic.id)


async def _tour_the_desk(call: Tour, meeting: int, door: int) -> None:
    assert (await call("check_in", meeting)).checked_in_at
    assert (await call("check_out", meeting)).checked_out_at
    link = await call("make_visit_link", meeting)
    shown = await call("show_visit", VisitToken(link.url.rpartition("/")[2]))
    assert (shown.visitor, shown.places[0].doors, shown.current_pass.usable) == ("Vic", ["Gate"], True)
    ended = await call("end_meeting", meeting)
    at = ended.start_time
    found = await call("page_meetings", search="viSI", starts_after=at, starts_before=at + 1, order="-start")
    assert [ended] == found.items == (await call("page_meetings", ends_before=ended.end_time, order="start")).items
    assert [each.access_point_id for each in await call("list_meeting_doors", meeting)] == [door]
    assert (await call("page_meeting_passages", meeting)).items == []
    host = await call("add_user", UserDraft("Hanna Host"))
    assert [each.name for each in await call("list_hosts", "hos")] == ["Hanna Host"]
    await call("remove_user", host.id)


async def _tour_people(call: Tour) -> None:
    bob = await call("add_user", UserDraft("Bob Builder", pin="2468"))
    changed = await call("change_user", bob.id, UserPatch(employee_code="B-7"), version=bob.version)
    assert (changed.employee_code, changed.version) == ("B-7", bob.version + 1)
    with pytest.raises(Outdated):
        await call("change_user", bob.id, UserPatch(employee_code="B-8"), version=bob.version)
    assert (await call("page_users", search="buil", active=True)).items == [changed]
    assert (await call("page_users", search="buil", active=False)).items == []
    term = await call("add_term", TermDraft("Masons"))
    assert await call("list_terms") == [term]
    await call("remove_term", term.id)
    assert b"Bob Builder" in await call("export_users", after=0, most=5)
    assert "end_user" in [role.name for role in await call("list_roles")]
    card = await call("add_card", bob.id, CardDraft(4711))
    assert (await call("get_card", bob.id, card.id)).number == 4711
    assert [each.last_digits for each in await call("list_cards", bob.id)] == ["11"]
    assert (await call("get_user", bob.id)).cards == 1
    await call("remove_card", bob.id, card.id)
    everybody = (await call("export_users")).decode()
    assert (await call("import_users", UsersImport(everybody, dry_run=True))).changed == 1
    assert (await call("import_users", UsersImport(everybody))).changed == 1
    await call("remove_user", bob.id)


async def _tour_permissions(call: Tour) -> None:
    site = await call("add_site", SiteDraft("Works"))
    door = await call("add_access_point", AccessPointDraft(site.id, "Hall"))
    bob = await call("add_user", UserDraft("Bob"))
    draft = ScheduleDraft("Mornings", [[Interval(480, 720)]] * 7)
    mornings = await call("add_schedule", draft)
    early = SchedulePatch(name="Early")
    assert (await call("change_schedule", mornings.id, early, version=mornings.version)).name == "Early"
    assert [await call("get_schedule", mornings.id)] == (await call("page_schedules")).items
    patch = PermissionsPatch(add=[GrantDraft(door.id, schedule_id=mornings.id)])
    changed = await call("change_permissions", bob.id, patch, wait="applied", timeout=1)
    assert changed.permissions == (await call("page_permissions", bob.id)).items
    from_the_door = DoorPermissionsPatch(add=[DoorGrantDraft(bob.id, schedule_id=mornings.id)], dry_run=True)
    assert (await call("change_door_permissions", door.id, from_the_door)).changes == []
    assert (await call("page_door_permissions", door.id)).items[0].schedule_id == mornings.id
    assert (await call("change_permissions", bob.id, PermissionsPatch(remove=[door.id]))).permissions == []
    await call("remove_schedule", mornings.id)
    days = await call("set_holidays", site.id, Holidays(["2027-01-01"]))
    assert (await call("get_holidays", site.id)) == days


async def _tour_passages(call: Tour) -> None:
    """A door without a controller: unlocking is refused by the decision, and no reader can be told to wait."""
    door = (await call("page_access_points")).items[-1]
    bob = (await call("page_users", search="bob")).items[0]
    assert not (await call("explain_decision", Question(door.id, user_id=bob.id))).decision.granted
    refused = await call("unlock", door.id, UnlockDraft(bob.id))
    assert (refused.outcome, refused.reason) == ("refused", "way_off")
    shown = await call("page_passages", door=door.id, user=bob.id, direction="entry", outcome="refused", since=1.5)
    assert [passage.reason for passage in shown.items] == ["way_off"]
    assert [await call("get_passage", shown.items[0].number)] == shown.items
    assert (await call("page_passages", outcome="granted", until=shown.items[0].at)).items == []
    assert (
        sum(hour.refusals for hour in (await call("count_passages", int(shown.items[0].at) - 60, hours=1)).hours) == 1
    )
    await call("change_organisation", OrganisationPatch(attendance_module=True))
    assert (await call("get_attendance", bob.id, "2026-10")).days == []
    assert (await call("page_alarms", open=True)).items == []
    with pytest.raises(NotFound):
        await call("acknowledge_alarm", shown.items[0].number)
    call.seen.add("acknowledge_alarm")
    locked = await call("set_mode", door.id, DoorModeDraft("locked", minutes=5))
    assert (await call("get_mode", door.id)) == locked
    assert (await call("get_door_state", door.id)).mode == "locked"
    assert (await call("page_door_states", site=door.site_id, limit=1)).items == [await call("get_door_state", door.id)]
    with pytest.raises(DoorOffline):
        await call("enrol_card", door.id, CardEnrolmentDraft(bob.id))
    # A card can only be presented at a door; `test_commands.py` holds the answer.
    call.seen.add("enrol_card")
