"""The catalogue: every text that a page names exists, and no text lies idle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from latchwork.web import catalogue
from latchwork.web.lines import is_told, line_of
from latchwork.web.places import Places
from latchwork.wire.api.events import Actor, Event, EventType

WEB = Path(catalogue.__file__).parent
_NAMED = re.compile(r"say\(\s*[\"']([a-z_]+\.[a-z0-9_]+)[\"'](?!\s*~)")
_BUILT = re.compile(r"say\(\s*f?[\"']([a-z_]+\.[a-z0-9_]*)(?:\{|[\"']\s*~)")


def _sources() -> str:
    return "\n".join(path.read_text() for path in sorted(WEB.rglob("*")) if path.suffix in (".py", ".html"))


def test_every_text_that_is_named_exists() -> None:
    named = set(_NAMED.findall(_sources())) - {"doors.title", "doors.opened"}  # examples in docstrings
    assert named
    assert named <= catalogue.LANGUAGES[catalogue.DEFAULT].keys()


def test_no_text_lies_idle() -> None:
    sources = _sources()
    named, built = set(_NAMED.findall(sources)), tuple(_BUILT.findall(sources))
    idle = [name for name in catalogue.LANGUAGES["en"] if name not in named and not name.startswith(built)]
    assert [name for name in idle if f'"{name}"' not in sources] == []


def test_a_language_says_nothing_that_the_default_does_not() -> None:
    for texts in catalogue.LANGUAGES.values():
        assert texts.keys() <= catalogue.LANGUAGES[catalogue.DEFAULT].keys()


@pytest.mark.parametrize("path", sorted((WEB / "templates").rglob("*.html")), ids=lambda path: path.name)
def test_no_word_that_is_read_stands_in_a_template(path: Path) -> None:
    bare = re.sub(
        r'{#.*?#}|{%.*?%}|{{.*?}}|<code>.*?</code>|<[^>]*>|[\w-]+="[^"]*"|&\w+;', " ", path.read_text(), flags=re.DOTALL
    )
    assert re.findall(r"[^\W\d_]{2,}", bare) == []


def test_what_the_feed_says_is_said_by_the_catalogue() -> None:
    """Another language's, too: nothing is left of the sentences but what it says, and names."""

    def say(name: str, /, **values: Any) -> str:
        assert name in catalogue.LANGUAGES[catalogue.DEFAULT]
        return "".join(f"<{value}>" for value in values.values() if value)

    for type in get_args(EventType):
        data = {"accessPointId": 1, "userName": "Bob", "credential": "card", "reason": "no_permission"}
        event = Event(1, type, 0, 0, Actor("user", "1", "Ada"), "controller/1", data, None, None)
        if is_told(event):
            line = line_of(event, Places({}, {}, {}), say)
            assert not re.search(r"[^\W\d_]{2,}", re.sub("Bob|Ada|<.*>", "", f"{line.what}{line.why}{line.where}"))


def test_an_unknown_text_is_an_error() -> None:
    with pytest.raises(catalogue.NoText):
        catalogue.say_in("en")("nothing.at_all")


@pytest.mark.parametrize("header", ["", "*", "xx", "de;q=0.9,fr", "en-GB,en;q=0.5", ";;,,"])
def test_every_browser_is_answered_in_a_language_that_there_is(header: str) -> None:
    assert catalogue.chosen(header) in catalogue.LANGUAGES
