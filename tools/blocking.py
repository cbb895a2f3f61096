"""Writes `latchwork.sdk.blocking`, the client without await, from the asyncio one. A test holds it fresh.

What is asyncio's is replaced word by word, in code and docstrings alike, so that comments and layout stay; ruff then
sorts the imports and closes the gaps. Modules without await are shared and have no twin.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).parents[1] / "src" / "latchwork" / "sdk"
FOLDER = SDK / "blocking"
NAMES = ("client.py", "exchange.py", "listing.py", "tokens.py")
WORDS = {
    r"^ +def __await__\((?:.|\n)*?\n\n": "",
    r"\basync (?=def|for|with)": "",
    r"\bawait asyncio\.shield\((.+)\)$": r"\1",
    r"\(await (self\.\w+\(\))\)": r"\1",
    r"\bawait ": "",
    r"\bAwaitable, ": "",
    r"\bAwaitable\[Page\[T\]\]": "Page[T]",
    r"\bAsync(?=BaseTransport|Client|Iterator)": "",
    r"\b__a(?=enter__|exit__|iter__)": "__",
    r"\baclose\b": "close",
    r"^import asyncio$": "import threading\nimport time",
    r"\basyncio\.Lock\b": "threading.Lock",
    r"\basyncio\.sleep\b": "time.sleep",
    r"\blatchwork\.sdk\.(?=client|exchange|listing|tokens)": "latchwork.sdk.blocking.",
}
LEFT_OVER = re.compile(r"\b(async|await|asyncio|Async\w+|Awaitable|__a(enter|exit|iter|next|wait)__)\b")


def modules() -> dict[str, str]:
    """The text of each generated module, by file name."""
    return {name: _without_await(name) for name in NAMES}


def _without_await(name: str) -> str:
    text = (SDK / name).read_text()
    for word, instead in WORDS.items():
        text = re.sub(word, instead, text, flags=re.MULTILINE)
    if found := LEFT_OVER.search(text):
        raise ValueError(f"{name}: {found[0]} has no word in {__file__} that stands for it without await")
    text = f"# Generated from latchwork/sdk/{name} by `make generate`: change that file, not this one.\n{text}"
    return _ruff("format", text=_ruff("check", "--fix-only", "--unsafe-fixes", "--select=F401,I,UP028", text=text))


def _ruff(*arguments: str, text: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--quiet", "--stdin-filename", str(FOLDER / "client.py"), "-"]
    return subprocess.run(command, input=text, capture_output=True, check=True, text=True).stdout


if __name__ == "__main__":
    for name, text in modules().items():
        (FOLDER / name).write_text(text)
