"""A demo's house with somebody in it: people, visits and what happened at the doors, so that no page is empty."""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Browser, BrowserContext
from tests.demo.running import Running

from latchwork.web.app import Website

CARD = 4_711_000_001
WEEK = [[[480, 1080]]] * 5 + [[], []]
DEEDS = {
    "/static/{name}",
    "/live",
    "/log-in/callback",
    "/visitors/hosts",
    "/people/names",
}
"""What a browser can get that is no page to look at: files, the feed, a way back, a part of a page."""


def pages() -> list[str]:
    """The templates of all pages of the website; what ends like a file is a download."""
    found = {path for path in Website("http://localhost").pages() if not re.search(r"\.\w+$", path)}
    assert found >= DEEDS, "something is called no page that is not there"
    return sorted(found - DEEDS)


class House:
    """A running demo with life in it, and where each page of it is."""

    def __init__(self, demo: Running) -> None:
        self.demo = demo
        self.doors = [door["id"] for door in demo.line["accessPoints"]]
        self._make("PATCH", "/v1/organisation", {"attendanceModule": True})
        self.bob = self._employ("Bob Builder", "bob@harbour.example", self.doors[:2])
        self._make("POST", f"/v1/users/{self.bob}/cards", {"number": CARD})
        for name in ("Zoë Miller", "Chris O’Connor", "Maximiliane Freifrau von Hohenlohe-Langenburg"):
            self._employ(name, f"{name[:3].lower()}@harbour.example", self.doors[1:])
        invitation = self._make("POST", f"/v1/users/{self.bob}/invitation")["url"]
        self._visit("Nadia Kern", "Kern & Söhne", 86_400)
        over = self._visit("Otto Gone", "", -60)
        self._make("POST", f"/v1/meetings/{over['id']}/end")
        self.visit = self._visit("Vic Visitor", "Harbour Supplies Ltd", -60)
        self._life()
        self.parts = {
            "schedule_id": self._make("POST", "/v1/schedules", {"name": "Office hours", "week": WEEK})["id"],
            "client_id": self.demo.api.get("/v1/clients").json()["items"][0]["id"],
            "door_id": self.doors[0],
            "site_id": demo.line["siteId"],
            "controller_id": demo.controller()["id"],
            "user_id": self.bob,
            "meeting_id": self.visit["id"],
            "token": invitation.rpartition("/")[2],
            "secret": self._make("POST", f"/v1/meetings/{self.visit['id']}/link")["url"].rpartition("/")[2],
        }
        self.queries = {"/why": f"?event={self._refusal()}", "/reports/attendance": f"?user={self.bob}"}

    def path(self, page: str) -> str:
        """Where a page is, given its template; a KeyError: say in `parts` what the page is about."""
        return page.format_map(self.parts) + self.queries.get(page, "")

    def enter(self, browser: Browser, **options: Any) -> BrowserContext:
        """A browser in which the administrator is logged in."""
        context = browser.new_context(base_url=self.demo.line["baseUrl"], **options)
        page = context.new_page()
        log_in(page, self.demo)
        page.close()
        return context

    def _employ(self, name: str, email: str, doors: list[int]) -> int:
        draft = {"name": name, "email": email, "accessPoints": doors, "employeeCode": f"E-{len(name)}"}
        return int(self._make("POST", "/v1/users", draft)["id"])

    def _visit(self, name: str, company: str, begins_in: int) -> dict[str, Any]:
        start = int(time.time()) + begins_in
        who = {"key": name, "name": name, "company": company, "host": "Bob Builder"}
        draft = {"visitor": who, "startTime": start, "endTime": start + 3600, "accessPoints": self.doors[:1]}
        return self._make("POST", "/v1/meetings", draft)

    def _life(self) -> None:
        """Entries, refusals and an alarm."""
        front, office, _, garage = self.doors
        self.demo.until_confirmed()
        self.demo.present(front, card=CARD)
        self.demo.present(garage, card=CARD)
        self.demo.present(office, card=CARD + 1)
        self.demo.show(self.visit["pass"]["qrData"], door=front)
        self.demo.show(self.visit["pass"]["qrData"], door=office)
        for is_open in (True, False):
            self.demo.doors.post(f"/doors/{office}/contact", json={"open": is_open})
        self.demo.until(lambda: len(self._decisions()) >= 5)

    def _refusal(self) -> int:
        refused = (e for e in self._decisions() if e["type"] == "access_refused")
        return int(next(e["number"] for e in refused if "userId" in e["data"]))

    def _decisions(self) -> list[dict[str, Any]]:
        return [e for e in self.demo.events() if e["type"] in ("access_granted", "access_refused")]

    def _make(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.demo.api.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()


def log_in(page: Any, demo: Running) -> None:
    """As the demo's administrator."""
    page.goto("/log-in")
    form = page.locator("form[action='/log-in']")
    form.get_by_label("E-mail").fill(demo.line["admin"]["email"])
    form.get_by_label("Password").fill(demo.line["admin"]["password"])
    form.get_by_role("button").click()
    page.get_by_role("heading", name="Now", exact=True).wait_for()
