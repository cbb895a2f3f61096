"""Every text of the website, by language: `texts/<language>/<page>.toml` holds a page's texts by their names."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from latchwork.policy.reasons import Reason

_HERE: Final = Path(__file__).parent / "texts"
DEFAULT: Final = "en"


class NoText(KeyError):
    """There is no text of this name."""


def _read(folder: Path) -> dict[str, str]:
    pages = {path.stem: tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))}
    return {f"{page}.{name}": text for page, texts in pages.items() for name, text in texts.items()}


_REASONS: Final = {reason.value: reason.sentence for reason in Reason}
LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {
    path.name: _read(path)
    | ({f"reasons.{code}": sentence for code, sentence in _REASONS.items()} if path.name == DEFAULT else {})
    for path in sorted(_HERE.iterdir())
}

Say = Callable[..., str]
"""`say("doors.title")`; `say("doors.opened", name="Lab")` fills in `{name}`."""


def say_in(language: str) -> Say:
    """The texts of a language; what it lacks is said in the default one. Raises NoText."""
    own, default = LANGUAGES.get(language, {}), LANGUAGES[DEFAULT]

    def say(name: str, /, **values: Any) -> str:
        text = own.get(name) or default.get(name)
        if text is None:
            raise NoText(name)
        return text.format(**values) if values else text

    return say


def reason(say: Say, code: str, sentence: str) -> str:
    """Why a door decided as it did; `sentence`: for a code that this version does not know yet."""
    return say(f"reasons.{code}") if code in _REASONS else sentence


def chosen(accept_language: str) -> str:
    """The first language of an Accept-Language header (RFC 9110 §12.5.4) that there is."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept_language.split(",")]
    return next((name for tag in wanted if (name := tag.partition("-")[0]) in LANGUAGES), DEFAULT)
