"""Promises of tokens, clients, limits and keys that make a repeat harmless."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from cloud.cast import PUBLIC_URL, Client, Cloud, Conn, problem, serving, settings
from latchwork.cloud import admin

FORM = {"grant_type": "client_credentials"}


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def made(alice: Client, *scopes: str, **more: Any) -> dict[str, Any]:
    """A new client with its secret."""
    return await alice.post("/v1/clients", {"name": "Bob's script", "scopes": scopes, **more})


async def token_of(cloud: Cloud, client: dict[str, Any], **form: str) -> str:
    body = {**FORM, "client_id": client["clientId"], "client_secret": client["clientSecret"], **form}
    response = await cloud.http.post("/oauth2/token", data=body)
    assert response.status_code == 200, response.text
    return response.json()["access_token"]


async def status(cloud: Cloud, token: str, path: str = "/v1/whoami") -> int:
    return (await cloud.http.get(path, headers={"authorization": f"Bearer {token}"})).status_code


async def until_status(cloud: Cloud, token: str, wanted: int, path: str = "/v1/whoami") -> None:
    """Until a call with this token is answered so: within a second, where the machine has nothing else to do."""
    began = time.monotonic()
    while await status(cloud, token, path) != wanted:
        assert time.monotonic() - began < 10
        await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------------- RFC 6749, 7009, 8414


async def test_a_client_authenticates_by_basic_or_in_the_body(alice: Client) -> None:
    client = await made(alice, "sites:read", "sites:write")
    secret = client["clientSecret"]
    in_body = {"client_id": client["clientId"], "client_secret": secret}
    http = alice.cloud.http
    for response in (
        await http.post("/oauth2/token", data=FORM, headers=basic(client["clientId"], secret)),
        await http.post("/oauth2/token", data={**FORM, **in_body}),
    ):
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        body = response.json()
        assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
        assert body["token_type"] == "Bearer"
        assert body["expires_in"] == 86_400
        assert set(body["scope"].split()) == {"sites:read", "sites:write"}


def test_a_secret_is_hashed_at_the_cost_that_the_standard_advises() -> None:
    """RFC 9106, section 4, the second recommended option; in a process of its own, since tests hash quicker."""
    program = (
        "import asyncio; from latchwork.cloud.accounts.hashing import hashed; print(asyncio.run(hashed('secret')))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_a_client_says_when_it_was_last_used_without_a_note_for_each_token(alice: Client, db: Conn) -> None:
    client = await made(alice, "sites:read")
    assert client["lastUsedAt"] is None
    now = int(time.time())
    for before, is_noted in ((None, True), (now - 100, False), (now - 301, True)):
        await db.fetch("UPDATE clients SET last_used_at = $1 WHERE client_id = $2", before, client["clientId"])
        await token_of(alice.cloud, client)
        found = await alice.get(f"/v1/clients/{client['id']}")
        assert (found["lastUsedAt"] != before) == is_noted


async def test_a_token_is_a_jwt_that_anybody_can_verify(alice: Client) -> None:
    jwks = (await alice.cloud.http.get("/.well-known/jwks.json")).json()
    assert all("d" not in key for key in jwks["keys"])
    token = jwt.decode(alice.token, KeySet.import_key_set(jwks), algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    assert (token.claims["iss"], token.claims["aud"]) == (PUBLIC_URL, PUBLIC_URL)
    assert token.claims.keys() >= {"sub", "client_id", "scope", "iat", "exp", "jti"}


async def test_the_metadata_names_every_endpoint(alice: Client) -> None:
    found = (await alice.cloud.http.get("/.well-known/oauth-authorization-server")).json()
    assert found["issuer"] == PUBLIC_URL
    assert found["token_endpoint"] == f"{PUBLIC_URL}/oauth2/token"
    assert found["revocation_endpoint"] == f"{PUBLIC_URL}/oauth2/revoke"
    assert found["grant_types_supported"] == [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "refresh_token",
    ]
    assert (await alice.cloud.http.get(found["jwks_uri"].removeprefix(PUBLIC_URL))).status_code == 200


async def test_token_errors_are_those_of_the_standard(alice: Client, db: Conn) -> None:
    client = await made(alice, "sites:read")
    mine = {"client_id": client["clientId"], "client_secret": client["clientSecret"]}
    before = await db.counts()
    form = "application/x-www-form-urlencoded"
    for status_code, error, content, headers in (
        (401, "invalid_client", {**FORM, **mine, "client_secret": "wrong"}, {}),
        (401, "invalid_client", {**FORM, **mine, "client_secret": "x" * 5000}, {}),
        (401, "invalid_client", {**FORM, **mine, "client_id": "nobody\0"}, {}),
        (401, "invalid_client", FORM, {}),
        (401, "invalid_client", FORM, basic(client["clientId"], "wrong")),
        (401, "invalid_client", FORM, {"authorization": "Basic %%%"}),
        (401, "invalid_client", FORM, {"authorization": f"Bearer {alice.token}"}),
        (400, "invalid_request", {**FORM, **mine}, basic(client["clientId"], client["clientSecret"])),
        (400, "unsupported_grant_type", {**mine, "grant_type": "password"}, {}),
        (400, "unsupported_grant_type", mine, {}),
        (400, "invalid_scope", {**FORM, **mine, "scope": "clients:write"}, {}),
        (400, "invalid_scope", {**FORM, **mine, "scope": "sites:read \0"}, {}),
        (400, "invalid_request", b"grant_type=client_credentials&grant_type=x", {"content-type": form}),
        (400, "invalid_request", b"grant_type=%ff%fe", {"content-type": form}),
        (400, "invalid_request", b'{"grant_type": "client_credentials"}', {"content-type": "application/json"}),
    ):
        body = {"content": content} if isinstance(content, bytes) else {"data": content}
        response = await alice.cloud.http.post("/oauth2/token", headers=headers, **body)
        assert (response.status_code, response.json()["error"]) == (status_code, error), (content, response.text)
        assert response.headers["cache-control"] == "no-store"
        assert ("www-authenticate" in response.headers) == (status_code == 401)
    assert await db.counts() == before


async def test_a_token_may_ask_for_fewer_scopes(alice: Client) -> None:
    client = await made(alice, "sites:read", "visitors:read")
    token = await token_of(alice.cloud, client, scope="sites:read")
    assert await status(alice.cloud, token, "/v1/sites") == 200
    assert await status(alice.cloud, token, "/v1/visitors") == 403


async def test_a_client_may_revoke_its_own_token_and_no_other(alice: Client, other_cloud: Cloud) -> None:
    client, stranger = await made(alice, "sites:read"), await made(alice, "sites:read")
    first, second = await token_of(alice.cloud, client), await token_of(alice.cloud, client)
    assert [await status(other_cloud, token) for token in (first, second)] == [200, 200]

    async def revoke(by: dict[str, Any], token: str) -> int:
        form = {"client_id": by["clientId"], "client_secret": by["clientSecret"], "token": token}
        return (await alice.cloud.http.post("/oauth2/revoke", data=form)).status_code

    assert await revoke(stranger, first) == 200
    assert await revoke(client, "no token at all") == 200
    assert await revoke({**client, "clientSecret": "wrong"}, first) == 401
    await asyncio.sleep(0.6)
    assert await status(other_cloud, first) == 200
    assert await revoke(client, first) == 200
    await until_status(other_cloud, first, 401)
    await until_status(alice.cloud, first, 401)
    assert await status(other_cloud, second) == 200


# ------------------------------------------------------------------------------------------------- reach


async def test_a_revoked_client_is_refused_everywhere_within_a_second(alice: Client, other_cloud: Cloud) -> None:
    client = await made(alice, "sites:read")
    token = await token_of(alice.cloud, client)
    assert await status(other_cloud, token) == 200
    await alice.delete(f"/v1/clients/{client['id']}")
    await until_status(other_cloud, token, 401)
    await until_status(alice.cloud, token, 401)
    body = {**FORM, "client_id": client["clientId"], "client_secret": client["clientSecret"]}
    assert (await other_cloud.http.post("/oauth2/token", data=body)).status_code == 401
    listed = await alice.get(f"/v1/clients/{client['id']}")
    assert listed["revokedAt"] is not None


async def test_a_revocation_needs_no_hint(alice: Client, dsn: str) -> None:
    async with serving(dsn) as deaf:
        deaf.state.hints._waiting.clear()  # as if every NOTIFY were lost from here on
        client = await made(alice, "sites:read")
        token = await token_of(alice.cloud, client)
        assert await status(deaf, token) == 200
        await alice.delete(f"/v1/clients/{client['id']}")
        await until_status(deaf, token, 401)


async def test_a_process_whose_pool_is_exhausted_hears_of_revocations_afterwards(alice: Client, dsn: str) -> None:
    async with serving(dsn, pool_size=1) as busy:
        client = await made(alice, "sites:read")
        token = await token_of(alice.cloud, client)
        assert await status(busy, token) == 200
        async with busy.state.database.connection():
            await asyncio.sleep(6)  # longer than anybody waits for a connection
        await alice.delete(f"/v1/clients/{client['id']}")
        await until_status(busy, token, 401)


async def test_a_rotated_secret_ends_the_old_one_and_its_tokens_at_once(alice: Client, other_cloud: Cloud) -> None:
    client = await made(alice, "sites:read")
    old = await token_of(alice.cloud, client)
    assert await status(other_cloud, old) == 200
    rotated = await alice.post(f"/v1/clients/{client['id']}/secret")
    assert rotated["clientSecret"] != client["clientSecret"]
    new = await token_of(other_cloud, rotated)
    assert await status(other_cloud, new) == 200, "a token of the new secret is good from its first second"
    await until_status(other_cloud, old, 401)
    assert await status(alice.cloud, new) == 200
    body = {**FORM, "client_id": client["clientId"], "client_secret": client["clientSecret"]}
    assert (await other_cloud.http.post("/oauth2/token", data=body)).status_code == 401


async def test_scopes_taken_away_are_gone_from_tokens_already_issued(alice: Client, other_cloud: Cloud) -> None:
    client = await made(alice, "sites:read", "visitors:read")
    token = await token_of(alice.cloud, client)
    assert await status(other_cloud, token, "/v1/visitors") == 200
    await alice.patch(f"/v1/clients/{client['id']}", {"scopes": ["sites:read"]})
    await until_status(other_cloud, token, 403, "/v1/visitors")
    assert await status(other_cloud, token, "/v1/sites") == 200


async def test_a_renamed_client_acts_under_its_new_name(alice: Client, other_cloud: Cloud) -> None:
    client = await made(alice, "sites:read", "sites:write")
    bob = Client(other_cloud, alice.organisation, await token_of(other_cloud, client))
    await bob.post("/v1/sites", {"name": "before"})
    await alice.patch(f"/v1/clients/{client['id']}", {"name": "Carol's script"})
    await asyncio.sleep(0.6)
    await bob.post("/v1/sites", {"name": "after"})
    names = [e["actor"]["name"] for e in await alice.events() if e["actor"]["id"] == client["clientId"]]
    assert names == ["Bob's script", "Carol's script"]


async def test_a_retired_signing_key_ends_its_tokens_in_every_running_process(
    alice: Client, other_cloud: Cloud
) -> None:
    assert await status(other_cloud, alice.token) == 200
    async with admin.open_office(settings(), alice.cloud.dsn) as office:
        await admin.rotate_token_key(office, retire_old=True)
    await until_status(other_cloud, alice.token, 401)
    await until_status(alice.cloud, alice.token, 401)
    assert alice.account is not None
    again = {"clientId": alice.account.client_id, "clientSecret": alice.account.client_secret}
    token = await token_of(alice.cloud, again)
    assert await status(alice.cloud, token) == 200
    assert await status(other_cloud, token) == 200


async def test_nobody_hands_out_more_than_they_have(alice: Client, charlie: Client, db: Conn) -> None:
    client = await made(alice, "clients:read", "clients:write", "sites:read")
    strong = await made(alice, "visitors:write", "clients:read")
    bob = Client(alice.cloud, alice.organisation, await token_of(alice.cloud, client))
    before = await db.value("SELECT last FROM event_counters WHERE organisation_id = $1", alice.organisation)
    for method, path, body in (
        ("POST", "/v1/clients", {"name": "x", "scopes": ["visitors:write"]}),
        ("POST", "/v1/clients", {"name": "x", "scopes": ["sites:read", "organisation:write"]}),
        ("PATCH", f"/v1/clients/{client['id']}", {"scopes": ["clients:write", "visitors:write"]}),
        ("POST", f"/v1/clients/{strong['id']}/secret", None),
    ):
        assert problem(await bob.call(method, path, **({"json": body} if body else {})))["code"] == "forbidden"
    assert await db.value("SELECT last FROM event_counters WHERE organisation_id = $1", alice.organisation) == before
    assert (await bob.post("/v1/clients", {"name": "x", "scopes": ["sites:read"]}))["scopes"] == ["sites:read"]
    assert (await charlie.call("POST", f"/v1/clients/{client['id']}/secret")).status_code == 404


async def test_without_its_scope_every_operation_is_forbidden(alice: Client) -> None:
    """Walks the document: each operation says what it needs, and that is what it needs."""
    client = await made(alice)
    nobody = Client(alice.cloud, alice.organisation, await token_of(alice.cloud, client))
    document = (await alice.cloud.http.get("/openapi.json")).json()
    checked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            needs = [scope for rule in operation.get("security", ()) for scope in rule.get("oauth2", ())]
            if needs:
                concrete = path.replace("{kid}", "x")
                for name in [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"]:
                    concrete = concrete.replace("{" + name + "}", "1")
                asked = [p for p in operation.get("parameters", ()) if p["in"] == "query" and p.get("required")]
                query = {p["name"]: "2026-10" if p["name"] == "month" else 1 for p in asked}
                response = await nobody.call(method.upper(), concrete, content=b"{}", params=query)
                assert response.status_code == 403, (method, path, response.text)
                assert needs[0] in response.json()["detail"]
                checked += 1
    assert checked > 40


# ------------------------------------------------------------------------------------------------- limits


async def test_a_client_that_calls_too_fast_is_told_when_to_come_back(alice: Client) -> None:
    client = await made(alice, "sites:read")
    bob = Client(alice.cloud, alice.organisation, await token_of(alice.cloud, client))
    assert (await bob.call("GET", "/v1/sites")).headers["ratelimit-policy"] == '"default";q=200;w=4'
    async with admin.open_office(settings(), alice.cloud.dsn) as office:
        await admin.set_rate(office, alice.organisation, client["id"], 1, 3)
    await asyncio.sleep(0.7)
    answers = [await bob.call("GET", "/v1/sites") for _ in range(6)]
    assert [a.status_code for a in answers[:3]] == [200, 200, 200]
    refused = answers[-1]
    assert problem(refused)["code"] == "too_many_requests"
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 3
    assert answers[0].headers["ratelimit"].startswith('"default";r=2')
    for answer in answers:
        assert answer.headers["ratelimit-policy"] == '"default";q=3;w=3'
        assert "ratelimit" in answer.headers
    saams = await alice.cloud.http.get("/saamsIdm/oauth/organisation", headers={"authorization": bob.token})
    assert saams.status_code == 429
    assert "retry-after" in saams.headers
    assert (await alice.call("GET", "/v1/sites")).status_code == 200, "others go on"
    await asyncio.sleep(1.2)
    assert (await bob.call("GET", "/v1/sites")).status_code == 200


async def test_an_address_that_guesses_secrets_and_codes_is_slowed_down(cloud: Cloud) -> None:
    async def guess() -> int:
        return (await cloud.http.post("/v1/enrol", json={"code": "x", "publicKey": "", "proof": ""})).status_code

    answers = [await guess() for _ in range(130)]
    assert 429 in answers
    assert answers.index(429) >= 100


# ------------------------------------------------------------------------------------------------- idempotency

NOW = int(time.time())
CREATIONS = [
    ("/v1/sites", {"name": "Branch"}, {"name": "Other"}),
    ("/v1/access-points", {"siteId": 1, "name": "Back"}, {"siteId": 1, "name": "Side"}),
    ("/v1/controllers", {"name": "Eve"}, {"name": "Mallory"}),
    ("/v1/clients", {"name": "x", "scopes": []}, {"name": "y", "scopes": []}),
    ("/v1/visitors", {"key": "vic"}, {"key": "bob"}),
    (
        "/v1/meetings",
        {"visitor": {"key": "vic"}, "startTime": NOW, "endTime": NOW + 7200, "accessPoints": [1]},
        {"visitor": {"key": "vic"}, "startTime": NOW, "endTime": NOW + 7201, "accessPoints": [1]},
    ),
]


@pytest.mark.parametrize(("path", "body", "other"), CREATIONS)
async def test_a_repeated_creation_creates_once(
    alice: Client, charlie: Client, db: Conn, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    key = {"idempotency-key": "a-key-of-alices"}
    first = await alice.call("POST", path, json=body, headers=key)
    assert first.status_code == 201
    made, last = first.json(), await alice.last_event()
    again = await alice.call("POST", path, json=body, headers=key)
    assert (again.status_code, again.json()["id"]) == (201, made["id"])
    assert await alice.last_event() == last
    assert problem(await alice.call("POST", path, json=other, headers=key))["code"] == "idempotency_key_reused"
    assert await alice.last_event() == last
    burst = {"idempotency-key": "another-key"}
    together = await asyncio.gather(*(alice.call("POST", path, json=other, headers=burst) for _ in range(8)))
    assert {response.status_code for response in together} == {201}
    assert len({response.json()["id"] for response in together}) == 1
    assert await alice.last_event() - last <= 2
    theirs = await charlie.call("POST", path, json=body, headers=key)
    assert theirs.status_code == 201
    rows = await db.fetch("SELECT * FROM idempotency_keys")
    assert len(rows) == 3
    kept = {"organisation_id", "client_id", "key_hash", "request_hash", "result_id", "created_at"}
    assert all(set(row.keys()) == kept for row in rows)
    assert all(len(row["key_hash"]) == len(row["request_hash"]) == 32 for row in rows)


async def test_a_refused_creation_does_not_use_its_key_up(alice: Client) -> None:
    key = {"idempotency-key": "k"}
    assert (await alice.call("POST", "/v1/sites", json={"name": ""}, headers=key)).status_code == 400
    assert (await alice.call("POST", "/v1/sites", json={"name": "Branch"}, headers=key)).status_code == 201


async def test_a_repeated_client_does_not_show_its_secret_again(alice: Client) -> None:
    key = {"idempotency-key": "k"}
    first = await alice.call("POST", "/v1/clients", json={"name": "x", "scopes": []}, headers=key)
    again = await alice.call("POST", "/v1/clients", json={"name": "x", "scopes": []}, headers=key)
    assert first.json()["clientSecret"]
    assert again.json()["clientSecret"] is None
