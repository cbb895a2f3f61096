"""A phone in a file opens the demo's doors, with the commands that a user types."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.demo.running import LATCHWORK, Running

EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:latchwork:params:oauth:token-type:user",
    "requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token",
}


def typed(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LATCHWORK, *words], capture_output=True, text=True, timeout=60, check=False)


def tapped(demo: Running, phone: Path, door: str) -> tuple[int, str]:
    done = typed("tap", "--phone", str(phone), "--door", door, "--doors-url", demo.line["doorsUrl"])
    return done.returncode, (done.stdout or done.stderr).strip()


def test_a_phone_taps_shows_its_code_and_is_taken_away(demo: Running, tmp_path: Path) -> None:
    demo.on_time()
    bob = demo.api.post("/v1/users", json={"name": "Bob", "accessPoints": [1]}).json()["id"]
    credentials = (demo.line["clientId"], demo.line["clientSecret"])
    answer = demo.api.post("/oauth2/token", data={**EXCHANGE, "subject_token": str(bob)}, auth=credentials)
    phone = tmp_path / "phone.json"
    assert tapped(demo, phone, "Front door")[0] == 2

    session, url = answer.json()["access_token"], demo.line["baseUrl"]
    wrong = typed("phone", "enrol", str(phone), "--url", "http://127.0.0.1:9", "--session", session)
    assert wrong.returncode == 2 and "no connection" in wrong.stderr
    done = typed("phone", "enrol", str(phone), "--url", url, "--session", session, "--name", "Bob's phone")
    assert (done.returncode, "Front door: tap, code" in done.stdout) == (0, True), done.stderr
    demo.until_confirmed()
    assert tapped(demo, phone, "Front door") == (0, "granted (granted): Welcome, the door is open.")
    assert tapped(demo, phone, "Garage")[0] == 1
    assert demo.show(typed("phone", "code", str(phone)).stdout.strip()) == "granted"

    demo.link(up=False)
    assert tapped(demo, phone, "Front door")[0] == 0
    demo.link(up=True)
    manners = [(e["type"], e["data"].get("manner")) for e in demo.events() if e["data"].get("credential") == "phone"]
    assert manners[:3] == [("access_granted", "tap"), ("access_refused", "tap"), ("access_granted", "code")]

    [enrolled] = demo.api.get(f"/v1/users/{bob}/phones").json()
    assert demo.api.delete(f"/v1/users/{bob}/phones/{enrolled['id']}").status_code == 204
    demo.until_confirmed()
    assert tapped(demo, phone, "Front door") == (
        1,
        "refused (unknown_credential): This card or phone is not known here.",
    )
    assert typed("phone", "doors", str(phone)).returncode == 2
