"""The documentation's pages on the papers say what the committed rows of the benchmarks say."""

import pytest

from benchmarks.paper import pages

MOST_WORDS = 1500


def test_pages_are_generated_from_the_committed_rows():
    assert len(pages.PAGES) == 6
    for name in pages.PAGES:
        text = pages.page(name)
        committed = (pages.DOCS / f"{name}.md").read_text()
        assert committed == text, "run `python -m benchmarks paper.pages`"
        assert len(text.split()) <= MOST_WORDS, f"docs/{name}.md is too long"


def test_a_template_cannot_ask_for_a_claim_that_is_not_there():
    with pytest.raises(ValueError, match="no claim of 'linear' matches 'errs more'"):
        pages.verdict("linear", "errs more")
