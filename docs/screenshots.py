"""Writes docs/screenshots.md and its pictures, from the demo in a real browser: python docs/screenshots.py"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from tests.browser.chromium import chromium  # noqa: E402
from tests.browser.house import House, pages  # noqa: E402
from tests.demo.running import start  # noqa: E402

PICTURES = FOLDER / "screenshots"
SCREENS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
}
COLOURS = 26
MOST_BYTES = 3_000_000


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.png"):
        old.unlink()
    demo = start(None)
    try:
        house = House(demo)
        with chromium() as browser:
            for name, picture in photographed(browser, house):
                optimised(picture).save(PICTURES / f"{name}.png", optimize=True)
    finally:
        demo.stop()
    (FOLDER / "screenshots.md").write_text(page())
    size = sum(picture.stat().st_size for picture in PICTURES.glob("*.png"))
    assert size < MOST_BYTES, f"the pictures are {size} bytes together: take fewer colours"


def photographed(browser: Browser, house: House) -> Iterator[tuple[str, bytes]]:
    """Each page's name with its picture as PNG: light and dark, desk and phone."""
    for screen, options in SCREENS.items():
        for scheme in ("light", "dark"):
            look: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce", **options}
            inside = house.enter(browser, **look)
            outside = browser.new_context(base_url=house.demo.line["baseUrl"], **look)
            insider, guest = inside.new_page(), outside.new_page()
            for template in pages():
                shown = guest if template == "/log-in" else insider  # who is logged in is sent on from there
                shown.goto(house.path(template))
                yield f"{named(template)}-{screen}-{scheme}", shown.screenshot()
            inside.close()
            outside.close()


def optimised(picture: bytes) -> Image.Image:
    """With few colours, by the method that keeps the rare ones: an alarm stays red."""
    with Image.open(io.BytesIO(picture)) as image:
        return image.convert("RGB").quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def named(template: str) -> str:
    """A file's name for a page: `/doors/{door_id}/change` is `doors-door-change`."""
    words = template.replace("{", "").replace("_id}", "").replace("}", "").strip("/")
    return words.replace("/", "-") or "now"


def page() -> str:
    """The page of pictures."""
    parts = ["# The website, page by page\n", "<!-- Written by docs/screenshots.py. -->\n"]
    parts.append("The demo's house as its administrator sees it, on a desk and on a phone, light and dark.\n")
    for template in pages():
        name = named(template)
        parts.append(f"## `{template}`\n")
        for screen in SCREENS:
            row = (f"![{name}, {screen}, {how}](screenshots/{name}-{screen}-{how}.png)" for how in ("light", "dark"))
            parts.append(" ".join(row) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    main()
