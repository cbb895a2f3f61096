"""A real Chromium, the system's own, as somebody at a desk or with a phone has it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


class NoBrowser(Exception):
    """There is no browser to look with; the text says what to install."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Raises NoBrowser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        yield browser
        browser.close()


def executable() -> str:
    found = os.environ.get("LATCHWORK_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NoBrowser(
            "The website's tests need a browser: install Chromium (apt-get install chromium), "
            "or name one in LATCHWORK_CHROMIUM."
        )
    return found
