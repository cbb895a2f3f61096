"""The promise of permissions as a whole: whatever is changed, and whatever happens to links and controllers meanwhile,
in the end every door decides as the cloud's own records and the house rules say; and nothing is shown as assigned that
the door does not hold.

Real controllers in this process, on real links. Each seed is one history, printed when it fails.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cloud.cast import Client, Conn
from cloud.people.cast import LISTS, Integrator
from cloud.people.rulebook import Allowed, Entrance, House, Week, Worker
from cloud.phones.cast import installed
from latchwork.cloud.kernel.work import Scope
from latchwork.cloud.passages import snapshot
from latchwork.edge.config import Config
from latchwork.edge.runner import Edge, running
from latchwork.edge.snapshot import gather
from latchwork.policy.decide import decide
from latchwork.policy.model import (
    Ask,
    Attempt,
    CardRead,
    Direction,
    PhoneProof,
    RemoteUnlock,
    VerifiedPhoneCode,
)
from latchwork.policy.reasons import Reason
from latchwork.sim.doors import VirtualWiring

HISTORIES = 2
"""More of them look deeper: 100 take a quarter of an hour."""
STEPS = 60
SETTLED_EVERY = 10
ASKED = 400
"""Questions to the doors each time all is settled; the cloud is asked every fifth of them."""
DAY = 86_400
ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca")


@dataclass
class Box:
    """A controller: its program, its files, and a copy of what it once held."""

    id: int
    config: Config
    copy: Path
    program: AsyncExitStack = field(default_factory=AsyncExitStack)
    edge: Edge | None = None

    @property
    def file(self) -> Path:
        return self.config.folder / "state.db"

    async def start(self) -> None:
        self.program = AsyncExitStack()
        self.edge = await self.program.enter_async_context(running(self.config, VirtualWiring()))

    async def stop(self) -> None:
        self.edge = None
        await self.program.aclose()

    def cut(self) -> None:
        assert self.edge is not None
        self.edge.link.up = False

    async def is_linked(self) -> None:
        async with asyncio.timeout(30):
            while self.edge is None or self.edge.link.session is None:
                await asyncio.sleep(0.005)

    def keep_a_copy(self) -> None:
        self.copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.file)) as here, closing(sqlite3.connect(self.copy)) as there:
            here.backup(there)

    def forget_files(self) -> None:
        for file in self.config.folder.glob("state.db*"):
            file.unlink()

    def held(self) -> dict[tuple[str, str], int]:
        """(kind, key) of every record in the file, and its revision."""
        with closing(sqlite3.connect(self.file)) as conn:
            return {(kind, key): n for kind, key, n in conn.execute("SELECT kind, key, revision FROM records")}


@dataclass
class World:
    """The house as its administrators know it, and what can happen in it. A change is made here and by the API."""

    alice: Client
    vendor: Integrator
    db: Conn
    boxes: dict[int, Box]
    chance: random.Random
    now: int = field(default_factory=lambda: int(time.time()))
    house: House = field(default_factory=House)
    gone_cards: list[int] = field(default_factory=lambda: [1])
    story: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    # What may happen to people

    async def enter(self) -> None:
        doors, default = self._some(self.house.entrances), await self._default_doors()
        draft: dict[str, Any] = {"name": "Somebody", "accessPoints": doors, "accessExpiresAt": self._instant()}
        pin = self._pin()
        made = await self.alice.post("/v1/users", {**draft, "pin": pin})
        allowed = {door: Allowed() for door in {*doors, *default}}
        self.house.workers[made["id"]] = Worker(expires=draft["accessExpiresAt"], pin=pin, doors=allowed)

    async def leave(self) -> None:
        if len(self.house.workers) > 2:
            id = self._worker()
            await self.alice.delete(f"/v1/users/{id}")
            self.gone_cards += self.house.workers.pop(id).cards

    async def turn_off_or_on(self) -> None:
        id = self._worker()
        self.house.workers[id].is_active ^= self.chance.random() < 0.8
        await self.alice.patch(f"/v1/users/{id}", {"isActive": self.house.workers[id].is_active})

    async def let_expire(self) -> None:
        id = self._worker()
        self.house.workers[id].expires = self._instant()
        await self.alice.patch(f"/v1/users/{id}", {"accessExpiresAt": self.house.workers[id].expires})

    async def switch_a_way(self) -> None:
        id, way = self._worker(), self.chance.choice(["card", "remote"])
        ways = self.house.workers[id].ways
        ways ^= {way}
        await self.alice.patch(f"/v1/users/{id}", {"access": {way: way in ways}})

    async def turn_over_saams(self) -> None:
        """As the other wire says it: somebody comes back, or goes, and has these doors from now on."""
        id = self._worker()
        worker, doors = self.house.workers[id], self._some(self.house.entrances)
        worker.is_active = self.chance.random() < 0.7
        worker.doors = {door: worker.doors.get(door, Allowed()) for door in doors}
        await self.vendor.update(id=id, deactivateUser=not worker.is_active, accessPoints=doors)

    async def change_pin(self) -> None:
        id = self._worker()
        self.house.workers[id].pin = self._pin()
        await self.alice.patch(f"/v1/users/{id}", {"pin": self.house.workers[id].pin})

    async def change_role(self) -> None:
        """Who steers which doors with a phone, and from how far it clicks; neither concerns cards."""
        id, site = self._worker(), self.chance.choice(sorted(self.house.zones))
        role = self.chance.choice(["end_user", "site_admin", "super_admin"])
        sites = [site] if role == "site_admin" else []
        await self.alice.patch(f"/v1/users/{id}", {"roles": [role], "adminOfSites": sites})
        access = {"clickRange": self.chance.choice([0, 3, 10]), "tap": self.chance.random() < 0.8}
        await self.alice.patch(f"/v1/users/{id}", {"access": access})

    async def enrol_phone(self) -> None:
        id, account = self._worker(), self.alice.account
        worker = self.house.workers[id]
        assert account is not None
        if worker.is_active and (worker.expires is None or worker.expires > self.now):
            phone = await installed(self.alice.cloud, account, id)
            caller = await phone.refresh()
            former = await self.alice.get(f"/v1/users/{id}/phones")
            replaces = former[0]["id"] if len(former) > 1 else None
            await caller.post("/v1/account/phones", phone.draft(replaces=replaces))

    async def lose_phone(self) -> None:
        id = self._worker()
        for phone in (await self.alice.get(f"/v1/users/{id}/phones"))[:1]:
            await self.alice.delete(f"/v1/users/{id}/phones/{phone['id']}")

    # … to their permissions

    async def give(self) -> None:
        id = self._worker()
        add = {door: self._limits() for door in self._some(self.house.entrances)}
        remove = [door for door in self._some(self.house.entrances) if door not in add]
        grants = [{"accessPointId": door, **_limits(limits)} for door, limits in add.items()]
        await self.alice.patch(f"/v1/users/{id}/permissions", {"add": grants, "remove": remove})
        self._allow(id, add, remove)

    async def give_at_a_door(self) -> None:
        door, chosen = self._door(), self._some(self.house.workers)
        limits = self._limits()
        remove = [id for id in self._some(self.house.workers) if id not in chosen]
        add = [{"userId": id, **_limits(limits)} for id in chosen]
        await self.alice.patch(f"/v1/access-points/{door}/permissions", {"add": add, "remove": remove})
        for id in chosen:
            self._allow(id, {door: limits}, [])
        for id in remove:
            self._allow(id, {}, [door])

    async def take_and_give_back(self) -> None:
        """Within one breath, so that a controller without a link never hears of the first half."""
        id = self._worker()
        doors = dict(self.house.workers[id].doors)
        await self.alice.patch(f"/v1/users/{id}/permissions", {"remove": list(doors)})
        grants = [{"accessPointId": door, **_limits(limits)} for door, limits in doors.items()]
        await self.alice.patch(f"/v1/users/{id}/permissions", {"add": grants})

    async def give_back_behind_a_cut_link(self) -> None:
        """What the doors have let go of is given again when they cannot hear of it."""
        id = self._worker()
        doors = dict(self.house.workers[id].doors)
        await self.alice.patch(f"/v1/users/{id}/permissions", {"remove": list(doors)})
        self.house.workers[id].doors = {}
        await self.settle()
        for box in self.boxes.values():
            box.cut()
        grants = [{"accessPointId": door, **_limits(limits)} for door, limits in doors.items()]
        await self.alice.patch(f"/v1/users/{id}/permissions", {"add": grants})
        self.house.workers[id].doors = doors

    async def try_in_vain(self) -> None:
        """A dry run, and a call with one bad id in it: neither changes anything."""
        id, doors = self._worker(), [{"accessPointId": door} for door in self.house.entrances]
        path = f"/v1/users/{id}/permissions"
        await self.alice.patch(path, {"add": doors, "dryRun": True})
        assert (await self.alice.call("PATCH", path, json={"add": [*doors, {"accessPointId": 99}]})).status_code == 404

    # … to their cards

    async def give_card(self) -> None:
        id, number = self._worker(), self.chance.choice([self.chance.getrandbits(62) | 1, *self.gone_cards])
        if self.house.holder(number) is None:
            await self.alice.post(f"/v1/users/{id}/cards", {"number": number})
            self.house.workers[id].cards.add(number)

    async def take_card(self) -> None:
        taken = await self._take_card()
        if taken is not None:
            self.gone_cards.append(taken)

    async def move_card(self) -> None:
        """One's card becomes another's."""
        number, id = await self._take_card(), self._worker()
        if number is not None:
            await self.alice.post(f"/v1/users/{id}/cards", {"number": number})
            self.house.workers[id].cards.add(number)

    async def _take_card(self) -> int | None:
        id = self._worker()
        cards = await self.alice.get(f"/v1/users/{id}/cards")
        if not cards:
            return None
        card = await self.alice.get(f"/v1/users/{id}/cards/{self.chance.choice(cards)['id']}")
        await self.alice.delete(f"/v1/users/{id}/cards/{card['id']}")
        self.house.workers[id].cards.remove(card["number"])
        return int(card["number"])

    # … to schedules, sites and doors

    async def add_schedule(self) -> None:
        week = self._week()
        made = await self.alice.post("/v1/schedules", {"name": "W", "week": week.days, "holiday": week.holiday})
        self.house.weeks[made["id"]] = week

    async def change_schedule(self) -> None:
        if self.house.weeks:
            id, week = self.chance.choice(sorted(self.house.weeks)), self._week()
            self.house.weeks[id] = week
            await self.alice.patch(f"/v1/schedules/{id}", {"week": week.days, "holiday": week.holiday})

    async def remove_schedule(self) -> None:
        used = {limits.schedule for worker in self.house.workers.values() for limits in worker.doors.values()}
        for id in sorted(self.house.weeks.keys() - used)[:1]:
            await self.alice.delete(f"/v1/schedules/{id}")
            del self.house.weeks[id]

    async def set_holidays(self) -> None:
        site = self.chance.choice(sorted(self.house.zones))
        days = {date.fromtimestamp(self.now + n * DAY) for n in self._some(range(-2, 5))}
        self.house.holidays[site] = days
        await self.alice.post(f"/v1/sites/{site}/holidays", {"dates": [day.isoformat() for day in days]})

    async def move_site(self) -> None:
        site = self.chance.choice(sorted(self.house.zones))
        self.house.zones[site] = self.chance.choice(ZONES)
        await self.alice.patch(f"/v1/sites/{site}", {"timezone": self.house.zones[site]})

    async def move_door(self) -> None:
        entrance = self.house.entrances[door := self._door()]
        entrance.controller = self.chance.choice([None, *self.boxes, *self.boxes])
        await self.alice.patch(f"/v1/access-points/{door}", {"controllerId": entrance.controller})

    async def set_door(self) -> None:
        entrance = self.house.entrances[door := self._door()]
        entrance.needs_pin = self.chance.random() < 0.5
        entrance.has_exit_reader = self.chance.random() < 0.8
        patch = {
            "needsPin": entrance.needs_pin,
            "exitReader": "exit" if entrance.has_exit_reader else None,
            "isDefault": self.chance.random() < 0.3,
        }
        await self.alice.patch(f"/v1/access-points/{door}", patch)

    async def set_mode(self) -> None:
        entrance = self.house.entrances[door := self._door()]
        mode = self.chance.choice(["access_control", "access_control", "unlocked", "locked"])
        until = None if mode == "access_control" else self.chance.choice([None, self.now + DAY])
        body = {"mode": mode} if until is None else {"mode": mode, "until": until}
        await self.alice.post(f"/v1/access-points/{door}/mode", body)
        entrance.locked_until = (until or 2.0**40) if mode == "locked" else None

    async def rebuild_door(self) -> None:
        """A door is pulled down and another one built."""
        door = self._door()
        await self.alice.delete(f"/v1/access-points/{door}")
        del self.house.entrances[door]
        for worker in self.house.workers.values():
            worker.doors.pop(door, None)
        site, controller = self.chance.choice(sorted(self.house.zones)), self.chance.choice(sorted(self.boxes))
        draft = {"siteId": site, "name": "New", "exitReader": "exit", "controllerId": controller}
        made = await self.alice.post("/v1/access-points", draft)
        self.house.entrances[made["id"]] = Entrance(site, controller)

    # … and to controllers

    async def cut_link(self) -> None:
        self._box().cut()

    async def restore_links(self) -> None:
        for box in self.boxes.values():
            assert box.edge is not None
            box.edge.link.up = True

    async def restart(self) -> None:
        box = self._box()
        await box.stop()
        await box.start()

    async def copy_store(self) -> None:
        self._box().keep_a_copy()

    async def restore_store(self) -> None:
        """A controller comes back with what it held long ago; until it has said so nobody can know."""
        box = self._box()
        if box.copy.exists():
            await box.stop()
            box.forget_files()
            shutil.copy(box.copy, box.file)
            await box.start()
            await box.is_linked()

    async def lose_store(self) -> None:
        box = self._box()
        await box.stop()
        box.forget_files()
        await box.start()
        await box.is_linked()

    # What must be so

    async def never_shown_too_early(self) -> None:
        """Whatever is shown as assigned, on either wire, is in the file of the door's controller."""
        for id in self.house.workers:
            shown = {
                p["accessPointId"]: p["state"] for p in (await self.alice.get(f"/v1/users/{id}/permissions"))["items"]
            }
            assert shown.keys() >= self.house.workers[id].doors.keys()
            for door in (door for door, state in shown.items() if state == "assigned"):
                controller = self.house.entrances[door].controller
                assert controller is not None
                assert ("grant", f"{id}.{door}") in self.boxes[controller].held(), (id, door, controller)

    async def settle(self) -> None:
        await self.restore_links()
        for box in self.boxes.values():
            await box.is_linked()
            await self.alice.until_confirmed(box.id, 30)
            held = await self.db.fetch(
                "SELECT kind, key FROM desired_records WHERE controller_id = $1 AND body IS NOT NULL", box.id
            )
            assert set(box.held()) == {(row["kind"], row["key"]) for row in held}
            assert await self.alice.rebuilt(box.id) == 0

    async def all_is_shown_as_it_is(self) -> None:
        """After everything has been confirmed: assigned at every door with a controller, on both wires and sides."""
        at_doors: dict[int, dict[int, str]] = {door: {} for door in self.house.entrances}
        for id, worker in self.house.workers.items():
            expected = {
                d: "pending" if self.house.entrances[d].controller is None else "assigned" for d in worker.doors
            }
            shown = (await self.alice.get(f"/v1/users/{id}/permissions"))["items"]
            assert {p["accessPointId"]: p["state"] for p in shown} == expected
            assert [Allowed(p["startsAt"], p["endsAt"], p["scheduleId"]) for p in shown] == [
                worker.doors[door] for door in sorted(worker.doors)
            ]
            for door, state in expected.items():
                at_doors[door][id] = state
        for door, expected_there in at_doors.items():
            there = (await self.alice.get(f"/v1/access-points/{door}/permissions", params={"limit": 200}))["items"]
            assert {p["userId"]: p["state"] for p in there} == expected_there
        await self._the_other_wire_agrees(self._worker())

    async def _the_other_wire_agrees(self, id: int) -> None:
        doors, message = self.house.workers[id].doors, await self.vendor.good("POST", self.vendor.permissions(id))
        assigned, free, pending = ({item["id"] for item in message[name]} for name in LISTS)
        assert assigned == {door for door in doors if self.house.entrances[door].controller is not None}
        assert pending == doors.keys() - assigned
        assert free == self.house.entrances.keys() - doors.keys()
        assert not any("pending" in item for item in message["permissionNotAssigned"]), "a removal that was confirmed"

    async def every_door_decides_alike(self) -> None:
        for n, attempt in enumerate(self._attempts()):
            told = self._edge_says(attempt)
            self._by_the_rules(attempt, told)
            if n % 5 == 0:
                async with self.alice.cloud.state.database.connection() as conn:
                    judged = await snapshot.judge(conn, Scope(self.alice.organisation), attempt)
                assert judged.decision.reason is told, attempt
        await self._phones_are_judged_alike()
        await self._present_at_real_doors()

    async def _phones_are_judged_alike(self) -> None:
        """Taps, clicks and codes of all phones, and of one that nobody has: the doors and the cloud say the same."""
        rows = await self.db.fetch("SELECT kid FROM phone_keys ORDER BY phone_id, purpose")
        keys = [b"nobodys!", *(bytes.fromhex(row["kid"]) for row in rows)]
        linked = [door for door, entrance in self.house.entrances.items() if entrance.controller is not None]
        instants = self._instants()
        for _ in range(ASKED // 10 if linked else 0):
            shown, at = self._phone_shown(self.chance.choice(keys)), self.chance.choice(instants)
            attempt = Attempt(self.chance.choice(linked), Direction.ENTRY, shown, at)
            async with self.alice.cloud.state.database.connection() as conn:
                judged = await snapshot.judge(conn, Scope(self.alice.organisation), attempt)
            assert judged.decision.reason is self._edge_says(attempt), attempt

    def _phone_shown(self, key: bytes) -> PhoneProof | VerifiedPhoneCode:
        if self.chance.random() < 0.3:
            return VerifiedPhoneCode(self.chance.randbytes(8), key, self.now)
        metres = self.chance.choice([None, 1.0, 5.0])
        return PhoneProof(key, self.chance.choice(list(Ask)), self.chance.random() < 0.5, metres)

    def _edge_says(self, attempt: Attempt) -> Reason:
        controller = self.house.entrances[attempt.access_point].controller
        assert controller is not None
        edge = self.boxes[controller].edge
        assert edge is not None
        here = edge.controller
        return decide(gather(here._store, here._journal, attempt, attempt.at), attempt).reason

    def _by_the_rules(self, attempt: Attempt, told: Reason) -> None:
        against = self._refusals(attempt)
        self.seen[told.value] += 1
        assert told in against or (told is Reason.GRANTED and not against), (attempt, told, against)
        if told in (Reason.PIN_WRONG, Reason.PIN_NEEDED, Reason.PIN_NOT_SET):
            assert against == {told}, "a PIN that was tried tells of nothing but itself"

    def _refusals(self, attempt: Attempt) -> set[str]:
        door, at = attempt.access_point, attempt.at
        match attempt.evidence:
            case CardRead(number, pin):
                return self.house.refusals(door, attempt.direction.value, number, pin, at)
            case RemoteUnlock(int(user)):
                return self.house.refusals_from_afar(door, user, at)
            case _:
                raise AssertionError(attempt)

    async def _present_at_real_doors(self) -> None:
        """The whole way: clock, journal and strike; wrong PINs and unknown cards are slowed down, so none of those."""
        for id, worker in self.house.workers.items():
            door = self._door()
            controller = self.house.entrances[door].controller
            if controller is None or not worker.cards:
                continue
            edge, card = self.boxes[controller].edge, min(worker.cards)
            assert edge is not None
            pin = worker.pin if self.house.entrances[door].needs_pin else None
            against = self.house.refusals(door, "entry", card, pin, time.time())
            if not against & {"unknown_credential", "pin_wrong"}:
                decision, at = await edge.controller.present(door, Direction.ENTRY, card=card, pin=pin)
                assert abs(at - time.time()) < 5
                if decision.reason is not Reason.JOURNAL_UNAVAILABLE:  # a busy machine's disk
                    assert decision.reason in against or (decision.granted and not against), (id, door, decision)

    def _attempts(self) -> list[Attempt]:
        linked = [door for door, entrance in self.house.entrances.items() if entrance.controller is not None]
        cards = [card for worker in self.house.workers.values() for card in worker.cards]
        if not linked or not cards:
            return []
        return [self._attempt(linked, cards, self._instants()) for _ in range(ASKED)]

    def _attempt(self, linked: list[int], cards: list[int], instants: list[float]) -> Attempt:
        """Mostly at a door that the card, or whoever asks from afar, may open at some time."""
        card, user = self.chance.choice([*cards, *cards, *self.gone_cards]), self.chance.choice([self._worker(), 1])
        asks = self.chance.random() < 0.2
        worker = self.house.workers.get(user) if asks else self.house.holder(card)
        own = [door for door in linked if worker is not None and door in worker.doors]
        return Attempt(
            self.chance.choice([*linked, *own, *own, *own]),
            self.chance.choice([Direction.ENTRY, Direction.ENTRY, Direction.EXIT]),
            RemoteUnlock(user) if asks else self._shown(card),
            self.chance.choice(instants),
        )

    def _shown(self, card: int) -> CardRead:
        worker = self.house.holder(card)
        own = None if worker is None else worker.pin
        return CardRead(card, self.chance.choice([own, own, own, None, "00000000"]))

    def _instants(self) -> list[float]:
        """Now, the edges of every limit, and times of day of two weeks."""
        workers = self.house.workers.values()
        limits = {worker.expires for worker in workers}
        for allowed in (allowed for worker in workers for allowed in worker.doors.values()):
            limits |= {allowed.starts, allowed.ends}
        edges = [at + by for at in limits if at is not None for by in (-0.25, 0.0)]
        drawn = [
            self.now + self.chance.randrange(-7 * DAY, 7 * DAY, 60) + self.chance.choice([0, -0.25]) for _ in edges
        ]
        return [float(self.now)] * 9 + [*map(float, edges), *drawn]

    # What chance gives

    def _worker(self) -> int:
        return self.chance.choice(sorted(self.house.workers))

    def _door(self) -> int:
        return self.chance.choice(sorted(self.house.entrances))

    def _box(self) -> Box:
        return self.boxes[self.chance.choice(sorted(self.boxes))]

    def _some(self, of: Any) -> list[int]:
        return [one for one in sorted(of) if self.chance.random() < 0.5]

    def _pin(self) -> str | None:
        return self.chance.choice([None, f"{self.chance.randrange(10**6):06}"])

    def _instant(self) -> int | None:
        """Hours away from now, so that nothing ends while the test looks."""
        return self.chance.choice(
            [None, None, self.now + self.chance.choice([-1, 1]) * self.chance.randrange(9, 90) * 997]
        )

    def _limits(self) -> Allowed:
        starts, ends = self._instant(), self._instant()
        if starts is not None and ends is not None and ends <= starts:
            starts = None
        return Allowed(starts, ends, self.chance.choice([None, *sorted(self.house.weeks)]))

    def _week(self) -> Week:
        def day() -> list[list[int]]:
            bounds = sorted(self.chance.sample(range(0, 1441, 5), 4))
            spans = [bounds[:2], bounds[2:]][: self.chance.choice([0, 1, 2, 2])]
            if spans and self.chance.random() < 0.4:
                spans[-1] = [spans[-1][0], min(spans[-1][0] + 1440, spans[-1][1] + 700)]
            return spans

        return Week([[[0, 1440]], *(day() for _ in range(6))], day())

    def _allow(self, id: int, add: dict[int, Allowed], remove: list[int]) -> None:
        doors = self.house.workers[id].doors
        doors.update(add)
        for door in remove:
            doors.pop(door, None)

    async def _default_doors(self) -> list[int]:
        doors = (await self.alice.get("/v1/access-points", params={"limit": 200}))["items"]
        return [door["id"] for door in doors if door["isDefault"]]


def _limits(allowed: Allowed) -> dict[str, int | None]:
    return {"startsAt": allowed.starts, "endsAt": allowed.ends, "scheduleId": allowed.schedule}


LIKELY = (
    "enter", "turn_off_or_on", "let_expire", "give", "give", "give_at_a_door", "give_card", "give_card", "move_card",
    "change_schedule", "move_door", "cut_link", "cut_link", "take_and_give_back", "switch_a_way", "enrol_phone",
)  # fmt: skip
EVERYTHING = (
    *LIKELY, "leave", "give_back_behind_a_cut_link", "turn_over_saams", "change_pin", "try_in_vain", "take_card",
    "add_schedule", "remove_schedule", "set_holidays", "move_site", "set_door", "set_mode", "rebuild_door",
    "change_role", "lose_phone", "restore_links", "restart", "copy_store", "restore_store", "lose_store",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_whatever_is_changed_every_door_decides_by_the_records_and_the_rules(
    alice: Client, vendor: Integrator, db: Conn, tmp_path: Path, seed: int
) -> None:
    world = await _founded(alice, vendor, db, tmp_path, seed)
    try:
        for box in world.boxes.values():
            await box.start()
        await _live(world)
    except BaseException:
        print("\n".join(world.story))
        raise
    finally:
        for box in world.boxes.values():
            await box.stop()
    assert world.seen["granted"]
    assert len(world.seen) > 5


async def _founded(alice: Client, vendor: Integrator, db: Conn, folder: Path, seed: int) -> World:
    await alice.post("/v1/sites", {"name": "Annex", "timezone": "Australia/Lord_Howe"})
    await alice.post("/v1/access-points", {"siteId": 2, "name": "Annex door", "exitReader": "exit"})
    eve = (await alice.post("/v1/controllers", {"name": "Eve", "accessPoints": [3, 4]}))["id"]
    boxes = {}
    for id in (1, eve):
        (folder / str(id)).mkdir()
        boxes[id] = Box(id, await alice.enrol(id, folder / str(id)), folder / f"copy-{id}")
    world = World(alice, vendor, db, boxes, random.Random(seed))
    world.house.zones = {1: "Europe/Berlin", 2: "Australia/Lord_Howe"}
    places = {1: (1, 1), 2: (1, 1), 3: (1, eve), 4: (2, eve)}
    world.house.entrances = {door: Entrance(*place) for door, place in places.items()}
    for step in ("add_schedule", "add_schedule", *["enter"] * 4, *["give_card"] * 6):
        await getattr(world, step)()
    return world


async def _live(world: World) -> None:
    for step in range(1, STEPS + 1):
        name = world.chance.choice(world.chance.choice([LIKELY, EVERYTHING]))
        world.story.append(name)
        await getattr(world, name)()
        await world.never_shown_too_early()
        if step % SETTLED_EVERY == 0:
            world.story.append("settle")
            await world.settle()
            await world.all_is_shown_as_it_is()
            await world.every_door_decides_alike()
