"""The pages that are drawn from the code are those of this code, and links in the docs lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def test_generated_pages_are_fresh() -> None:
    written = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
    stale = [name for name, text in written.items() if (DOCS / name).read_text() != text]
    assert not stale, f"run python docs/generate.py: {stale}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_the_docs_lead_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing
