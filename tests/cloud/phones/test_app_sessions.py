"""Promises of sessions in apps: one-time to begin, bound to the app's key, ended within a second."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Any

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from cloud.cast import Account, Client, Cloud, Conn, problem
from cloud.phones.cast import EXCHANGE, REFRESH_TOKEN, USER, App, installed, offered
from cloud.test_acting import until_ended
from latchwork.wire import p256


def error(response: httpx2.Response) -> str:
    body = response.json()
    assert response.status_code == 400
    assert response.headers["cache-control"] == "no-store"
    assert body["error_description"][-1] in ".;"
    return str(body["error"])


async def test_the_client_gets_a_token_for_the_app_that_is_no_access_token(
    alice: Client, accounts: dict[str, Account], bob: int
) -> None:
    answer = await offered(alice.cloud, accounts["alice"], bob)
    assert answer == {
        "access_token": answer["access_token"],
        "issued_token_type": REFRESH_TOKEN,
        "token_type": "N_A",
        "expires_in": 600,
    }
    assert answer["access_token"].startswith("lwr_")
    refused = await Client(alice.cloud, alice.organisation, answer["access_token"]).call("GET", "/v1/whoami")
    assert refused.status_code == 401


async def test_a_client_hands_on_no_scope_that_it_lacks(alice: Client, bob: int) -> None:
    made = await alice.post("/v1/clients", {"name": "Backend", "scopes": ["users:act", "sites:read"]})
    form = {
        "grant_type": EXCHANGE,
        "subject_token": str(bob),
        "subject_token_type": USER,
        "requested_token_type": REFRESH_TOKEN,
        "client_id": made["clientId"],
        "client_secret": made["clientSecret"],
    }
    for scope, status in (("sites:read", 200), ("visitors:write", 400), ("sites:read visitors:write", 400)):
        answer = await alice.cloud.http.post("/oauth2/token", data={**form, "scope": scope})
        assert answer.status_code == status, answer.text
    assert answer.json()["error"] == "invalid_scope"
    assert "visitors:write" in answer.json()["error_description"]


async def test_the_app_calls_as_its_user_and_nothing_more(alice: Client, app: App, bob: int) -> None:
    response = await app.ask()
    answer = response.json()
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 600, "")
    jwks = (await alice.cloud.http.get("/.well-known/jwks.json")).json()
    claims = jwt.decode(answer["access_token"], KeySet.import_key_set(jwks), algorithms=["ES256"]).claims
    assert claims["sub"] == f"user/{bob}"
    [session] = await alice.get(f"/v1/users/{bob}/app-sessions")
    assert claims["sid"] == session["id"]
    me = await Client(alice.cloud, alice.organisation, answer["access_token"]).get("/v1/whoami")
    assert (me["userId"], me["userName"]) == (bob, "Bob")


async def test_a_session_is_no_wider_than_its_client_asked(
    alice: Client, accounts: dict[str, Account], bob: int
) -> None:
    await alice.patch(f"/v1/users/{bob}", {"roles": ["super_admin"]})
    plain = (await (await installed(alice.cloud, accounts["alice"], bob)).ask(scope="events:read")).json()
    assert plain["scope"] == "", "not even an administrator's app, unless it was asked for"
    app = Client(alice.cloud, alice.organisation, plain["access_token"])
    assert (await app.call("GET", "/v1/users")).status_code == 403
    wide = await installed(alice.cloud, accounts["alice"], bob, scope="events:read users:read")
    assert set((await wide.ask()).json()["scope"].split()) == {"events:read", "users:read"}
    assert (await wide.ask(scope="events:read clients:write")).json()["scope"] == "events:read"


async def test_every_token_is_good_once_and_the_newest_goes_on(app: App) -> None:
    seen = {app.refresh_token}
    for _ in range(5):
        await (await app.refresh()).get("/v1/whoami")
        assert app.refresh_token not in seen
        seen.add(app.refresh_token)


async def test_whoever_lost_the_answer_asks_again_and_gets_the_same_token(app: App) -> None:
    await app.refresh()
    first, second = [(await app.ask()).json()["refresh_token"] for _ in range(2)]
    assert first == second
    both = await asyncio.gather(*(app.ask(first) for _ in range(4)))
    assert len({response.json()["refresh_token"] for response in both}) == 1


async def test_a_lost_first_answer_is_given_again_to_the_same_key_only(app: App) -> None:
    assert (await app.ask()).status_code == 200
    assert (await app.ask()).status_code == 200
    assert error(await app.ask(proof=app.proof(ECKey.generate_key("P-256")))) == "invalid_grant"


async def test_a_token_that_was_used_long_ago_by_the_same_key_ends_the_session(
    alice: Client, app: App, bob: int
) -> None:
    copied = app.refresh_token
    await app.refresh()
    caller = await app.refresh()
    last = await alice.last_event()
    assert error(await app.ask(copied)) == "invalid_grant"
    await until_ended(caller)
    assert error(await app.ask()) == "invalid_grant"
    told = await alice.until_event("app_session_ended", last)
    assert told["subject"] == f"user/{bob}"
    assert told["data"]["why"] == "reused"


async def test_another_key_gets_nothing_and_ends_nothing(app: App) -> None:
    await app.refresh()
    assert error(await app.ask(proof=app.proof(ECKey.generate_key("P-256")))) == "invalid_grant"
    await app.refresh()


def with_another_turn(text: str) -> str:
    """As of somebody who has seen the beginning of a token."""
    return "lwr_" + p256.b64url(p256.from_b64url(text.removeprefix("lwr_"))[:16] + secrets.token_bytes(32))


async def test_whoever_has_seen_a_spent_token_can_end_nothing(app: App) -> None:
    spent = app.refresh_token
    tampered = with_another_turn(spent)
    for _ in range(2):
        await app.refresh()
    for text in (spent, tampered):
        assert error(await app.ask(text, app.proof(ECKey.generate_key("P-256")))) == "invalid_grant"
        assert (await app.cloud.http.post("/oauth2/revoke", data={"token": text})).status_code == 200
    await app.refresh()


async def test_a_text_of_which_only_the_beginning_was_seen_ends_no_session_that_has_not_begun(app: App) -> None:
    tampered = with_another_turn(app.refresh_token)
    assert error(await app.ask(tampered, app.proof(ECKey.generate_key("P-256")))) == "invalid_grant"
    assert (await app.cloud.http.post("/oauth2/revoke", data={"token": tampered})).status_code == 200
    await app.refresh()


@pytest.mark.parametrize("turns", [1, 2], ids=["the one-time token", "a later one"])
async def test_a_second_key_for_a_session_is_told_once_by_the_user_s_name(
    alice: Client, app: App, bob: int, turns: int
) -> None:
    last = await alice.last_event()
    for _ in range(turns):
        copied = app.refresh_token
        await app.refresh()
    await asyncio.gather(*(app.ask(copied, app.proof(ECKey.generate_key("P-256"))) for _ in range(3)))
    assert error(await app.ask(copied, app.proof(ECKey.generate_key("P-256")))) == "invalid_grant"
    events = (await alice.get("/v1/events", params={"after": last, "limit": 200}))["events"]
    [told] = [event for event in events if event["type"] == "app_session_contested"]
    [session] = await alice.get(f"/v1/users/{bob}/app-sessions")
    assert (told["subject"], told["actor"]["kind"]) == (f"user/{bob}", "system")
    assert told["data"] == {"appSessionId": session["id"], "userName": "Bob"}
    logged = (await alice.get("/v1/events", params={"order": "newest", "deed": "accounts"}))["events"]
    assert told in logged


async def test_another_session_of_the_same_user_is_told_of_too(
    alice: Client, accounts: dict[str, Account], app: App, bob: int
) -> None:
    last = await alice.last_event()
    for each in (app, await installed(alice.cloud, accounts["alice"], bob)):
        copied = each.refresh_token
        await each.refresh()
        await each.ask(copied, each.proof(ECKey.generate_key("P-256")))
    events = (await alice.get("/v1/events", params={"after": last, "limit": 200}))["events"]
    assert len({e["data"]["appSessionId"] for e in events if e["type"] == "app_session_contested"}) == 2


async def test_a_proof_is_needed_and_good_once(app: App) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": app.refresh_token}
    assert error(await app.cloud.http.post("/oauth2/token", data=form)) == "invalid_dpop_proof"
    proof = app.proof()
    assert (await app.ask(proof=proof)).status_code == 200
    assert error(await app.ask(proof=proof)) == "invalid_dpop_proof"


async def test_an_instant_may_have_a_fraction(app: App) -> None:
    assert (await app.ask(proof=app.proof(iat=time.time()))).status_code == 200


def _bad_proofs(app: App) -> dict[str, str]:
    now, other = int(time.time()), ECKey.generate_key("P-256")
    return {
        "no JWT": "nothing",
        "old": app.proof(iat=now - 3600),
        "of the future": app.proof(iat=now + 3600),
        "another method": app.proof(htm="GET"),
        "another place": app.proof(htu="https://elsewhere.example/oauth2/token"),
        "no id": app.proof(jti=None),
        "a long id": app.proof(jti="x" * 300),
        "no time": app.proof(iat=None),
        "no instant": app.proof(iat=float("nan")),
        "another type": app.proof(header={"typ": "JWT"}),
        "another's key": app.proof(header={"jwk": other.as_dict(private=False)}),
        "the private key": app.proof(header={"jwk": app.key.as_dict(private=True)}),
        "a symmetric key": app.proof(header={"jwk": {"kty": "oct", "k": "c2VjcmV0"}}),
        "too long": app.proof(more="x" * 5000),
    }


@pytest.mark.parametrize("which", sorted(_bad_proofs(App(None, 0, 0, ""))))  # type: ignore[arg-type]
async def test_a_proof_that_proves_nothing_is_refused(app: App, which: str) -> None:
    assert error(await app.ask(proof=_bad_proofs(app)[which])) == "invalid_dpop_proof"
    assert (await app.ask()).status_code == 200


@pytest.mark.parametrize("token", ["", "lwr_", "lwr_AAAA", "lwr_" + "A" * 64, "nonsense", "lwr_\0"])
async def test_what_is_no_refresh_token_is_none(app: App, token: str) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    response = await app.cloud.http.post("/oauth2/token", data=form, headers={"dpop": app.proof()})
    assert error(response) == "invalid_grant"


async def test_a_token_that_the_app_did_not_use_in_time_is_over(app: App, db: Conn) -> None:
    await db.fetch("UPDATE app_sessions SET expires_at = $1", int(time.time()) - 1)
    assert error(await app.ask()) == "invalid_grant"


async def test_a_session_that_is_used_lasts_ninety_days_more(app: App, db: Conn) -> None:
    await app.refresh()
    left = await db.value("SELECT expires_at FROM app_sessions") - int(time.time())
    assert 90 * 86_400 - 10 < left <= 90 * 86_400


async def _deactivated(alice: Client, app: App, bob: int) -> None:
    await alice.patch(f"/v1/users/{bob}", {"isActive": False})


async def _deleted(alice: Client, app: App, bob: int) -> None:
    await alice.delete(f"/v1/users/{bob}")


async def _revoked_by_the_app(alice: Client, app: App, bob: int) -> None:
    assert (await app.cloud.http.post("/oauth2/revoke", data={"token": app.refresh_token})).status_code == 200


async def _revoked_by_the_client(alice: Client, app: App, bob: int) -> None:
    assert alice.account is not None
    mine = {"client_id": alice.account.client_id, "client_secret": alice.account.client_secret}
    form = {"token": app.refresh_token, **mine}
    assert (await app.cloud.http.post("/oauth2/revoke", data=form)).status_code == 200


async def _ended_by_an_administrator(alice: Client, app: App, bob: int) -> None:
    [session] = await alice.get(f"/v1/users/{bob}/app-sessions")
    await alice.delete(f"/v1/users/{bob}/app-sessions/{session['id']}")
    assert await alice.get(f"/v1/users/{bob}/app-sessions") == []


async def _without_its_phone(alice: Client, app: App, bob: int) -> None:
    [phone] = await alice.get(f"/v1/users/{bob}/phones")
    await alice.delete(f"/v1/users/{bob}/phones/{phone['id']}")


ENDS = [
    _deactivated,
    _deleted,
    _revoked_by_the_app,
    _revoked_by_the_client,
    _ended_by_an_administrator,
    _without_its_phone,
]


@pytest.mark.parametrize("end", ENDS)
async def test_a_session_ends_within_a_second_in_every_process(
    alice: Client, other_cloud: Cloud, app: App, bob: int, end: Any
) -> None:
    caller = await app.refresh()
    await caller.post("/v1/account/phones", app.draft())
    elsewhere = Client(other_cloud, alice.organisation, caller.token)
    await elsewhere.get("/v1/whoami")
    await end(alice, app, bob)
    await until_ended(caller)
    await until_ended(elsewhere)
    assert error(await app.ask()) == "invalid_grant"


async def test_coming_back_does_not_bring_the_session_back(alice: Client, app: App, bob: int) -> None:
    await app.refresh()
    for is_active in (False, True):
        await alice.patch(f"/v1/users/{bob}", {"isActive": is_active})
    assert error(await app.ask()) == "invalid_grant"


async def test_a_revoked_client_s_sessions_are_over(alice: Client, bob: int) -> None:
    made = await alice.post("/v1/clients", {"name": "App cloud", "scopes": ["users:act"]})
    client = Account(alice.organisation, made["id"], made["clientId"], made["clientSecret"], "")
    app = await installed(alice.cloud, client, bob)
    caller = await app.refresh()
    await alice.delete(f"/v1/clients/{made['id']}")
    await until_ended(caller)
    assert error(await app.ask()) == "invalid_grant"
    assert await alice.get(f"/v1/users/{bob}/app-sessions") == []


async def test_a_client_that_may_act_no_more_carries_no_session_on(alice: Client, bob: int) -> None:
    made = await alice.post("/v1/clients", {"name": "App cloud", "scopes": ["users:act", "events:read"]})
    client = Account(alice.organisation, made["id"], made["clientId"], made["clientSecret"], "")
    app = await installed(alice.cloud, client, bob)
    caller = await app.refresh()
    await alice.patch(f"/v1/clients/{made['id']}", {"scopes": ["events:read"]})
    await until_ended(caller)
    assert error(await app.ask()) == "access_denied"


async def test_a_client_ends_only_what_it_began(
    alice: Client, accounts: dict[str, Account], app: App, bob: int
) -> None:
    charlie = accounts["charlie"]
    caller = await app.refresh()
    form = {"token": app.refresh_token, "client_id": charlie.client_id, "client_secret": charlie.client_secret}
    assert (await app.cloud.http.post("/oauth2/revoke", data=form)).status_code == 200
    await asyncio.sleep(0.5)
    await caller.get("/v1/whoami")
    [session] = await alice.get(f"/v1/users/{bob}/app-sessions")
    theirs = alice.cloud.client(charlie)
    for method, path in (("GET", ""), ("DELETE", f"/{session['id']}")):
        assert problem(await theirs.call(method, f"/v1/users/{bob}/app-sessions{path}"))["status"] == 404


async def test_who_is_over_for_now_gets_nothing_but_keeps_the_session(alice: Client, app: App, bob: int) -> None:
    await app.refresh()
    await alice.patch(f"/v1/users/{bob}", {"accessExpiresAt": int(time.time()) - 1})
    assert error(await app.ask()) == "access_denied"  # no end of the session: an app keeps its keys
    await alice.patch(f"/v1/users/{bob}", {"accessExpiresAt": None})
    await app.refresh()


async def test_no_token_is_kept_or_written_to_a_log(
    alice: Client, app: App, db: Conn, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = [app.refresh_token]
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            await app.refresh()
            tokens.append(app.refresh_token)
        await app.ask(tokens[0])
    kept = await db.fetch("SELECT s::text AS t FROM app_sessions s UNION ALL SELECT e::text FROM events e")
    for token in tokens:
        assert token not in caplog.text
        assert all(token not in row["t"] for row in kept)


async def test_scripts_of_other_origins_may_call_the_api_and_read_no_pages(cloud: Cloud, alice: Client) -> None:
    asks = {"origin": "https://app.example", "access-control-request-method": "POST"}
    for path in ("/v1/account/phones", "/oauth2/token", "/oauth2/revoke"):
        answer = await cloud.http.options(path, headers=asks)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        allowed = answer.headers["access-control-allow-headers"].split(", ")
        assert {"authorization", "content-type", "dpop", "idempotency-key"} <= set(allowed)
    for answer in (await alice.call("GET", "/v1/whoami"), await cloud.http.get("/v1/whoami")):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    for path in ("/reference", "/docs/errors", "/healthz"):
        assert "access-control-allow-origin" not in (await cloud.http.get(path)).headers
        assert "access-control-allow-origin" not in (await cloud.http.options(path, headers=asks)).headers
