"""Promises of the virtual doors' HTTP service, as a process of its own, over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.edge.cast import BOB, BOBS_CARD, FRONT, LAB, Organisation, card, door, grant, mode, person
from tests.edge.site import Site

from latchwork.edge import config
from latchwork.sim import building, scan

POST_ROOM = 3


class Doors:
    """A building under test and how to talk to it."""

    def __init__(self, url: str, child: subprocess.Popen[bytes], site: Site, alice: Organisation) -> None:
        self.url, self.child, self.site, self.alice = url, child, site, alice
        self.port = int(url.rsplit(":", 1)[1])

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and decoded answer; a body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, content, {"Content-Type": "application/json"} | (headers or {}))
        response = connection.getresponse()
        answer = json.loads(response.read() or b"null")
        connection.close()
        return response.status, answer

    async def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return await asyncio.to_thread(self.ask, "POST", path, body, headers)

    async def door(self, door: int = FRONT) -> dict[str, Any]:
        _, doors = await asyncio.to_thread(self.ask, "GET", "/doors")
        return next(each for each in doors if each["id"] == door)

    def invite(self, **changes: object) -> str:
        return self.alice.invite(time.time(), **changes)


@pytest.fixture(scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    folder = tmp_path_factory.mktemp("building")
    site, alice = Site(folder), Organisation()
    site.furnish(alice)
    site.peer.put("door", LAB, door(LAB, name="Lab", exit_reader=None, strike_seconds=0.2).body)
    site.peer.put("door", POST_ROOM, door(name="Post room", needs_pin=True).body)
    for record in (card("9001", BOBS_CARD, BOB), person(BOB, pin="4711"), grant(BOB), grant(BOB, POST_ROOM)):
        site.peer.put(record.kind, record.key, record.body)
    site.peer.publish()
    async with site.peer.serving() as url:
        config.save(folder / "edge.toml", site.config(url))
        child, doors_url = await asyncio.to_thread(building.start, folder / "edge.toml")
        await site.peer.until_applied()
        yield Doors(doors_url, child, site, alice)
        assert child.stdin is not None
        child.stdin.close()
        assert await asyncio.to_thread(child.wait, 10) == 0


async def test_a_pass_opens_its_door_and_the_answer_is_the_contract(doors: Doors) -> None:
    status, answer = await doors.post(f"/doors/{FRONT}/present", {"qr": doors.invite()})
    assert status == 200
    assert abs(answer.pop("at") - time.time()) < 5
    assert answer == {"granted": True, "reason": "granted", "sentence": "Welcome, the door is open."}
    seen = await doors.door()
    assert (seen["name"], seen["state"], seen["strike"], seen["contact"]) == ("Front door", "released", "on", "closed")
    assert seen["lastDecision"]["reason"] == "granted"
    assert seen["directions"] == ["entry", "exit"]


async def test_a_card_opens_its_door_with_its_pin_where_one_is_needed(doors: Doors) -> None:
    present = f"/doors/{POST_ROOM}/present"
    for body, reason in [
        ({"card": BOBS_CARD}, "pin_needed"),
        ({"card": BOBS_CARD, "pin": "0000"}, "pin_wrong"),
        ({"card": BOBS_CARD, "pin": "4711"}, "granted"),
        ({"card": BOBS_CARD, "pin": "4711", "direction": "exit"}, "granted"),
        ({"card": BOBS_CARD, "pin": None}, "pin_needed"),
    ]:
        _, answer = await doors.post(present, body)
        assert answer["reason"] == reason


async def test_a_doors_mode_is_seen_and_ends_when_the_clock_is_moved_on(doors: Doors) -> None:
    assert (await doors.door())["mode"] == "access_control"
    locked = mode(LAB, "locked", time.time() + 600)
    doors.site.peer.put("mode", LAB, locked.body)
    await doors.site.peer.until_applied(doors.site.peer.publish())
    seen = await doors.door(LAB)
    assert (seen["mode"], seen["state"], seen["strike"]) == ("locked", "lockdown", "off")
    await doors.post("/clock", {"advance": 601})
    seen = await doors.door(LAB)
    assert (seen["mode"], seen["state"]) == ("access_control", "locked")
    await doors.post("/clock", {"advance": -601})
    assert (await doors.door(LAB))["mode"] == "locked"
    doors.site.peer.put("mode", LAB, None)
    await doors.site.peer.until_applied(doors.site.peer.publish())
    assert (await doors.door(LAB))["mode"] == "access_control"


async def test_refusals_are_answers_too(doors: Doors) -> None:
    present = f"/doors/{LAB}/present"
    for body, reason in [
        ({"qr": ""}, "pass_unreadable"),
        ({"qr": "x" * 60_000}, "pass_too_long"),
        ({"qr": doors.invite(doors=(LAB,)), "direction": "exit"}, "no_reader"),
        ({"card": 1234567}, "unknown_credential"),
        ({"card": 2**63 - 1, "pin": "1234"}, "unknown_credential"),
        ({"qr": doors.invite(), "card": None}, "pass_wrong_door"),
    ]:
        status, answer = await doors.post(present, body)
        assert (status, answer["granted"], answer["reason"]) == (200, False, reason)
        assert answer["sentence"].endswith(".")
    assert (await doors.door(LAB))["strike"] == "off"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"null", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"qr":null}', 400),
        (b'{"qr":5}', 400),
        (b'{"qr":["x"]}', 400),
        (b'{"qr":"x","card":5}', 400),
        (b'{"card":-1}', 400),
        (b'{"card":1.5}', 400),
        (b'{"card":"12"}', 400),
        (b'{"card":true}', 400),
        (b'{"card":99999999999999999999999}', 400),
        (b'{"card":NaN}', 400),
        (b'{"qr":"x","direction":"sideways"}', 400),
        (b'{"qr":"x","pin":1234}', 400),
        (b'{"qr":"\\ud800"}', 400),
        (b'{"x":' * 10_000, 400),
        (b'{"qr":"' + b"x" * 70_000 + b'"}', 413),
    ],
)
async def test_a_body_that_does_not_fit_gets_a_sentence_and_changes_nothing(
    doors: Doors, body: bytes, status: int
) -> None:
    before = await doors.door(LAB)
    answered, problem = await doors.post(f"/doors/{LAB}/present", body)
    assert (answered, problem["status"]) == (status, status)
    assert problem["detail"].endswith(".")
    assert await doors.door(LAB) == before


@pytest.mark.parametrize("path", ["99", "0", "-1", "1e0", "front", "1%00", "١", "../1", "1" * 5000, "%2e%2e"])
async def test_an_unknown_door_is_not_found(doors: Doors, path: str) -> None:
    status, problem = await doors.post(f"/doors/{quote(path, safe='%/.')}/present", {"qr": "x"})
    assert (status, problem["status"]) == (404, 404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", f"/doors/{FRONT}/present", 405),
        ("DELETE", "/doors", 405),
        ("PUT", "/link", 405),
        ("GET", "/openapi.json", 404),
        ("GET", "/schema", 404),
        ("OPTIONS", f"/doors/{FRONT}/present", 204),
    ],
)
async def test_other_addresses_and_methods(doors: Doors, method: str, path: str, status: int) -> None:
    answered, _ = await asyncio.to_thread(doors.ask, method, path)
    assert answered == status


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_only_json_is_taken(doors: Doors, media_type: str) -> None:
    status, _ = await doors.post("/link", {"up": True}, {"Content-Type": media_type})
    assert status == 415


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "", "0.0.0.0:{port}"]
)
async def test_a_request_that_calls_it_by_another_name_is_refused(doors: Doors, host: str) -> None:
    for method, path in (("POST", f"/doors/{FRONT}/present"), ("GET", "/doors"), ("POST", "/clock")):
        headers = {"Host": host.format(port=doors.port)}
        status, _ = await asyncio.to_thread(doors.ask, method, path, {"qr": doors.invite()}, headers)
        assert status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}"])
async def test_its_own_names_are_answered(doors: Doors, host: str) -> None:
    status, _ = await asyncio.to_thread(doors.ask, "GET", "/doors", None, {"Host": host.format(port=doors.port)})
    assert status == 200


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /doors HTTP/1.1\r\n\r\n",
        b"GET /doors HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n",
        b"POST /link HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: -5\r\n"
        b"Content-Type: application/json\r\n\r\n",
        b"POST /link HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 99999999999\r\n"
        b"Content-Type: application/json\r\n\r\n{",
        b"A" * 100_000,
    ],
)
async def test_what_is_hardly_http_opens_nothing(doors: Doors, raw: bytes) -> None:
    def send() -> bytes:
        with socket.create_connection(("127.0.0.1", doors.port), timeout=5) as line:
            line.sendall(raw.replace(b"{port}", str(doors.port).encode()))
            line.shutdown(socket.SHUT_WR)
            try:
                return line.recv(100)
            except ConnectionResetError:
                return b""

    answer = await asyncio.to_thread(send)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert (await doors.door(LAB))["strike"] == "off"


async def test_the_clock_moves_for_the_doors_and_back(doors: Doors) -> None:
    text = doors.invite(doors=(LAB,))
    status, moved = await doors.post("/clock", {"advance": 3600})
    assert (status, moved["advance"], moved["trusted"]) == (200, 3600, True)
    assert abs(moved["at"] - time.time() - 3600) < 5
    _, answer = await doors.post(f"/doors/{LAB}/present", {"qr": text})
    assert answer["reason"] == "pass_expired"
    assert abs(answer["at"] - time.time() - 3600) < 5
    _, moved = await doors.post("/clock", {"advance": -3600})
    assert moved["advance"] == 0
    _, answer = await doors.post(f"/doors/{LAB}/present", {"qr": text})
    assert answer["granted"]


@pytest.mark.parametrize(
    "body", [b'{"advance":NaN}', b'{"advance":1e999}', b'{"advance":"5"}', b"{}", b'{"advance":1e12}']
)
async def test_a_clock_cannot_be_moved_by_nonsense(doors: Doors, body: bytes) -> None:
    status, _ = await doors.post("/clock", body)
    assert status == 400
    _, moved = await doors.post("/clock", {"advance": 0})
    assert moved["advance"] == 0


async def test_the_network_can_be_cut_and_restored(doors: Doors) -> None:
    assert await doors.post("/link", {"up": False}) == (200, {"up": False})
    text = doors.invite()
    _, answer = await doors.post(f"/doors/{FRONT}/present", {"qr": text})
    assert answer["granted"]
    sessions = doors.site.peer.sessions
    assert await doors.post("/link", {"up": True}) == (200, {"up": True})
    await doors.site.peer.until_linked(sessions + 1)
    assert (await doors.post("/link", {"up": "yes"}))[0] == 400


async def test_the_radio_tells_how_to_join_it_and_how_far_everybody_is(doors: Doors) -> None:
    status, told = await asyncio.to_thread(doors.ask, "GET", "/radio")
    assert (status, told["rssi"]) == (200, -50)
    assert re.fullmatch(r"tcp-client:127\.0\.0\.1:\d+", told["hci"])
    assert await doors.post("/radio", {"rssi": -81}) == (200, told | {"rssi": -81})
    assert await doors.post("/radio", {"rssi": -50}) == (200, told)
    for wrong in ({}, {"rssi": 21}, {"rssi": -128}, {"rssi": "near"}):
        status, _ = await doors.post("/radio", wrong)
        assert status == 400


async def test_a_leaf_can_be_opened_and_closed_by_hand(doors: Doors) -> None:
    await asyncio.sleep(0.3)
    status, seen = await doors.post(f"/doors/{LAB}/contact", {"open": True})
    assert (status, seen["state"], seen["contact"]) == (200, "forced", "open")
    status, seen = await doors.post(f"/doors/{LAB}/contact", {"open": False})
    assert (seen["state"], seen["contact"]) == ("locked", "closed")
    assert (await doors.post(f"/doors/{LAB}/contact", {"open": 1}))[0] == 400


async def test_scanned_codes_find_their_door_by_name_or_id(doors: Doors) -> None:
    for name in ("front DOOR", str(FRONT)):
        told = await asyncio.to_thread(scan.present, doors.url, name, doors.invite())
        assert told.granted
    with pytest.raises(scan.NoSuchDoor, match="Front door"):
        await asyncio.to_thread(scan.present, doors.url, "Cellar", doors.invite())


async def latchwork(*arguments: str) -> tuple[int, str]:
    """The command's status and what it said."""
    command = [sys.executable, "-m", "latchwork.cli", *arguments]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--card", str(BOBS_CARD), "--door", "front door"], 0, "granted (granted)"),
        (["--card", str(BOBS_CARD), "--door", "post room", "--pin", "4711"], 0, "granted (granted)"),
        (["--card", str(BOBS_CARD), "--door", str(POST_ROOM)], 1, "refused (pin_needed)"),
        (["--card", "12", "--door", "Front door"], 1, "refused (unknown_credential)"),
        (["--card", str(BOBS_CARD), "--door", "Cellar"], 3, "no door is called"),
        (["--card", "twelve", "--door", "Front door"], 2, "--card"),
        (["--card", "-1", "--door", "Front door"], 2, "--card"),
        (["--card", "9223372036854775808", "--door", "Front door"], 2, "--card"),
    ],
)
async def test_a_card_is_tapped_from_the_command_line(
    doors: Doors, arguments: list[str], status: int, said: str
) -> None:
    ended, output = await latchwork("tap", *arguments, "--doors-url", doors.url)
    assert (ended, said in output) == (status, True), output


async def test_a_tap_at_doors_that_do_not_answer_says_so(doors: Doors) -> None:
    ended, output = await latchwork("tap", "--card", "1", "--door", "1", "--doors-url", "http://127.0.0.1:9")
    assert ended == 3
    assert "do not answer" in output


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from([f"/doors/{LAB}/present", f"/doors/{LAB}/contact", "/link", "/clock"]),
    body=st.binary(max_size=200)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["qr", "card", "pin", "direction"]), json_values).map(
        lambda value: json.dumps(value).encode()
    ),
)
def test_no_body_is_answered_with_a_500(doors: Doors, path: str, body: bytes) -> None:
    status, answer = doors.ask("POST", path, body)
    assert status in (200, 400), (status, answer)


def test_it_listens_on_loopback_only() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "8.8.8.8"):
        with pytest.raises(ValueError, match="loopback"):
            building.loopback_socket(host, 0)
    with building.loopback_socket("127.0.0.1", 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that starts a building and prints the child's process id."""
    site = Site(tmp_path)
    config.save(tmp_path / "edge.toml", site.config("http://127.0.0.1:9"))
    code = (
        "import sys, time; from pathlib import Path; from latchwork.sim import building\n"
        f"child, url = building.start(Path({str(tmp_path / 'edge.toml')!r}))\n"
        "print(child.pid, url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_the_building_does_not_outlive_its_parent(parent: subprocess.Popen[str], ending: signal.Signals) -> None:
    assert parent.stdout is not None
    pid, url = parent.stdout.readline().split()
    assert url.startswith("http://127.0.0.1:")
    os.kill(parent.pid, ending)
    for _ in range(100):
        if not _is_running(int(pid)):
            return
        time.sleep(0.1)
    raise AssertionError("the building is still running")


def _is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_configuration_that_makes_no_sense_ends_it_with_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "latchwork.sim.building", "--config", str(tmp_path / "none.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
