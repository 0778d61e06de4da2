"""The documentation's pages on the papers say what the committed rows of the benchmarks say."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_WORDS = 1500


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "paper")
    return importlib.import_module("pages")


def test_pages_are_generated_from_the_committed_rows(pages):
    assert len(pages.PAGES) == 4
    for name in pages.PAGES:
        text = pages.page(name)
        committed = (ROOT / "docs" / f"{name}.md").read_text()
        assert committed == text, "run `python benchmarks/paper/pages.py`"
        assert len(text.split()) <= MOST_WORDS, f"docs/{name}.md is too long"


def test_a_template_cannot_ask_for_a_claim_that_is_not_there(pages):
    with pytest.raises(ValueError, match="no claim of 'linear' matches 'errs more'"):
        pages.verdict("linear", "errs more")
