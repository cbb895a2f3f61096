"""A removed person is gone: no file of a controller and no table of the cloud holds their cards, PIN or keys any more.

The history keeps who they were, and of a card its last four digits. What is looked for is looked for in every form, and
in every column of every table that there is, so that a table added later is looked through too.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cloud.cast import Client, Conn, problem
from cloud.people.cast import Integrator
from cloud.phones.cast import installed
from latchwork.edge.runner import Edge
from latchwork.policy.model import Direction

ENTRY = Direction.ENTRY


def forms(secret: int | bytes) -> set[bytes]:
    """Every way in which somebody might have written it down."""
    if isinstance(secret, bytes):
        return {secret, secret[::-1], *_texts(secret)}
    size = (secret.bit_length() + 7) // 8
    whole = [secret.to_bytes(length, order) for length in {size, 8} for order in ("big", "little")]  # type: ignore[arg-type]
    return {str(secret).encode(), f"{secret:x}".encode(), f"{secret:X}".encode(), *whole, *map(base64.b64encode, whole)}


def _texts(secret: bytes) -> list[bytes]:
    plain, url = base64.b64encode(secret), base64.urlsafe_b64encode(secret)
    return [secret.hex().encode(), secret.hex().upper().encode(), plain.rstrip(b"="), url.rstrip(b"=")]


def written(row: Mapping[str, Any]) -> bytes:
    """A row with each of its values as bytes."""
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())


async def tables_with(db: Conn, secret: int | bytes) -> set[str]:
    """The tables in which it stands, in whatever form."""
    found = set()
    for [table] in await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = [written(row) for row in await db.fetch(f"SELECT * FROM {table}")]
        if any(form in row for form in forms(secret) for row in rows):
            found.add(table)
    return found


def files_with(folder: Path, secret: int | bytes) -> set[str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {"state.db", "journal.db"} <= {file.name for file in files}
    return {file.name for file in files if any(form in file.read_bytes() for form in forms(secret))}


@dataclass
class Somebody:
    """Bob, with everything that one can have, and everything that must be forgotten of him."""

    id: int = 0
    pin_hash: bytes = b""
    cards: list[int] = field(default_factory=lambda: [secrets.randbits(61) | 2**60 for _ in range(3)])
    others: list[bytes] = field(default_factory=list)
    """His PIN's salt and hash, his phone's keys, and what repeats of requests are known by."""

    @property
    def secrets(self) -> list[int | bytes]:
        return [*self.cards, *self.others]


async def bob_is_made(alice: Client, vendor: Integrator, db: Conn, edge: Edge) -> Somebody:
    bob = Somebody()
    bob.id = await _created(alice, bob, "/v1/users", {"name": "Bob", "pin": "271828", "accessPoints": [2]})
    [pin] = await db.fetch("SELECT pin_salt, pin_hash FROM users WHERE id = $1", bob.id)
    bob.pin_hash = pin["pin_hash"]
    bob.others += [pin["pin_salt"], pin["pin_hash"]]
    schedule = await alice.post("/v1/schedules", {"name": "Bob's week", "week": [[[0, 1440]]] * 7})
    grant = {"accessPointId": 1, "scheduleId": schedule["id"], "endsAt": int(time.time()) + 9_000}
    await alice.patch(f"/v1/users/{bob.id}/permissions", {"add": [grant]})
    await _created(alice, bob, f"/v1/users/{bob.id}/cards", {"number": bob.cards[0]})
    await vendor.good("POST", vendor.card(bob.id), {"cardType": "spintly_card", "cardId": str(bob.cards[1])})
    await alice.until_confirmed(1)
    await _enrolled_at_a_reader(alice, edge, bob)
    await vendor.create("His assistant", reportingTo=bob.id)
    await alice.invite(1, visitor={"key": "vic", "host": "Bob"})
    return bob


async def _created(alice: Client, bob: Somebody, path: str, body: dict[str, Any]) -> int:
    """Made with an Idempotency-Key; nothing that is kept of it may be found by trying numbers."""
    key, content = secrets.token_hex(16), json.dumps(body).encode()
    headers = {"idempotency-key": key, "content-type": "application/json"}
    made = [(await alice.call("POST", path, content=content, headers=headers)).json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    bob.others += [key.encode(), *(sha256(start + content).digest() for start in (b"", path.encode() + b"\0"))]
    return int(made[0])


async def _enrolled_a_phone(alice: Client, bob: Somebody) -> None:
    assert alice.account is not None
    app = await installed(alice.cloud, alice.account, bob.id)
    await (await app.refresh()).post("/v1/account/phones", app.draft())
    bob.others += app.public_keys


async def _enrolled_at_a_reader(alice: Client, edge: Edge, bob: Somebody) -> None:
    asked = {"userId": bob.id, "seconds": 10}
    enrolling = asyncio.create_task(alice.post("/v1/access-points/1/enrol-card", asked))
    while not edge.controller._commands._waiting:
        await asyncio.sleep(0.01)
    await edge.controller.present(1, ENTRY, card=bob.cards[2])
    assert (await enrolling)["lastDigits"] == str(bob.cards[2])[-4:]


async def bob_goes_about(alice: Client, edge: Edge, bob: Somebody) -> None:
    """He enters, mistypes, is refused and asked about; all of which the history tells."""
    await alice.until_confirmed(1)
    await alice.patch("/v1/access-points/2", {"needsPin": True})
    await alice.until_confirmed(1)
    for card in bob.cards:
        decision, _ = await edge.controller.present(1, ENTRY, card=card)
        assert decision.granted, decision
        decision, _ = await edge.controller.present(2, ENTRY, card=card, pin="000000")
        assert decision.reason == "pin_wrong"
        await alice.post("/v1/decisions/explain", {"accessPointId": 1, "cardNumber": card})
        taken = await alice.call("POST", f"/v1/users/{bob.id + 1}/cards", json={"number": card})
        assert problem(taken)["code"] == "conflict"
    await alice.until_event("access_granted")


async def bob_is_deleted(alice: Client, vendor: Integrator, bob: Somebody, wire: str) -> None:
    if wire == "native":
        await alice.delete(f"/v1/users/{bob.id}")
    else:
        await vendor.good("POST", f"{vendor.users}/delete", {"userIds": [bob.id]})


@pytest.mark.parametrize("was_offline", [False, True])
@pytest.mark.parametrize("wire", ["native", "saams"])
async def test_a_removed_person_is_gone(
    alice: Client, vendor: Integrator, db: Conn, tmp_path: Path, wire: str, was_offline: bool
) -> None:
    async with alice.dora(1, tmp_path) as edge:
        bob = await bob_is_made(alice, vendor, db, edge)
        for card in bob.cards:
            assert await tables_with(db, card) == {"cards", "desired_records"}, "else this test would find nothing"
        await alice.until_confirmed(1)
        await _enrolled_a_phone(alice, bob)
        await alice.until_confirmed(1)
        assert files_with(tmp_path, bob.others[-1]) & {"state.db", "state.db-wal"}
        assert files_with(tmp_path, bob.pin_hash) & {"state.db", "state.db-wal"}
        assert await tables_with(db, bob.pin_hash) == {"users", "desired_records"}
        await bob_goes_about(alice, edge, bob)
        edge.link.up = not was_offline
        await bob_is_deleted(alice, vendor, bob, wire)
        edge.link.up = True
        await alice.until_confirmed(1)
        for card in bob.cards:
            decision, _ = await edge.controller.present(1, ENTRY, card=card)
            assert decision.reason == "unknown_credential"
        await _the_minute_is_over(edge)
        for secret in bob.secrets:
            assert files_with(tmp_path, secret) == set()
            assert await tables_with(db, secret) == set()
    for secret in bob.secrets:
        assert files_with(tmp_path, secret) == set()
    await _the_history_knows_him(alice, bob)


async def _the_minute_is_over(edge: Edge) -> None:
    """What the cloud has of the journal is let go of with the next mark."""
    async with asyncio.timeout(30):
        while edge.link._journal.page(1, 1) is not None:
            await asyncio.sleep(0.01)
    await asyncio.wrap_future(edge.controller.mark())


async def _the_history_knows_him(alice: Client, bob: Somebody) -> None:
    events = await alice.events()
    assert any(event["type"] == "user_deleted" and event["data"] == {"name": "Bob"} for event in events)
    assigned = [e["data"]["lastDigits"] for e in events if e["type"] == "card_assigned"]
    assert sorted(assigned) == sorted(str(card)[-4:] for card in bob.cards)
    passed = await alice.get("/v1/passages", params={"user": bob.id, "outcome": "granted"})
    assert {passage["user"]["name"] for passage in passed["items"]} == {"Bob"}


async def test_a_card_taken_away_and_a_pin_replaced_are_gone_as_well(
    alice: Client, vendor: Integrator, db: Conn, tmp_path: Path
) -> None:
    async with alice.dora(1, tmp_path) as edge:
        bob = await bob_is_made(alice, vendor, db, edge)
        await alice.patch(f"/v1/users/{bob.id}", {"pin": "314159"})
        await vendor.good("POST", vendor.card(bob.id, "unassignCredential"))
        for card in await alice.get(f"/v1/users/{bob.id}/cards"):
            await alice.delete(f"/v1/users/{bob.id}/cards/{card['id']}")
        await alice.until_confirmed(1)
        await _the_minute_is_over(edge)
        for secret in bob.secrets:
            assert files_with(tmp_path, secret) == set()
            assert await tables_with(db, secret) == set()
