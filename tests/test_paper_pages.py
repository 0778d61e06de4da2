"""The documentation's pages on the papers say what the committed rows of the benchmarks say."""

import pytest

from benchmarks.paper import pages, seeds

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


def claim(seed, verdict, text="looped errs less", value=-1.0):
    span = {"value": value, "low": value, "high": value}
    return {"kind": "claim", "seed": seed, "claim": text, "verdict": verdict, "spans": [span]}


def test_verdicts_of_seeds_are_counted_one_claim_a_seed():
    rows = [claim(0, "holds", value=-2.0), claim(1, "does not hold", value=1.0), claim(2, "holds")]
    assert seeds.verdict_of_seeds(rows, "errs less") == "holds 2/3, does not hold 1/3"
    assert seeds.verdict_of_seeds(rows[:1], "errs less") == "holds 1/1"
    assert seeds.verdict_of_seeds(rows, "errs more") == "not run"
    assert seeds.margins(rows, "errs less") == "-0.667 [-2, 1]"
    with pytest.raises(ValueError, match="several claims of a seed match 'looped'"):
        seeds.verdict_of_seeds([*rows, claim(2, "holds", "looped stays")], "looped")
    assert seeds.spread([3862.4, 3771.0]) == "3,817 [3,771, 3,862]"


def test_means_over_seeds_are_of_the_settings_that_are_asked_for(monkeypatch):
    row = {"kind": "score", "network": "looped"}
    rows = [
        row | {"figure": figure, "seed": seed, "by loop": {"1": error, "2": error / 2}}
        for figure, error in (("linear", 1.0), ("trees", 3.0), ("b and T", 9.0))
        for seed in (0, 1)
    ]
    monkeypatch.setattr(pages, "rows", lambda name: rows)
    found = pages.means_table("any", "by loop", [1, 2], "figure", figure=["linear", "trees"])
    assert [line.split() for line in found.splitlines()[1:-1]] == [
        ["1", "2"], ["linear", "1", "0.5"], ["trees", "3", "1.5"],
    ]  # fmt: skip
    assert pages.means_table("any", "by loop", [1], "figure", figure="ReLU") == "(not run)"


def test_tables_keep_budgets_apart(monkeypatch, capsys):
    rows = [{"language": "hops", "budget": budget} for budget in ("laptop", "night", "laptop")]
    monkeypatch.setattr(pages, "rows", lambda name: rows)
    shown = []
    pages.show_groups("any", "language", lambda name, found: shown.append((name, len(found))))
    assert shown == [("hops", 2), ("hops", 1)]
    assert capsys.readouterr().out.split() == ["budget", "laptop", "budget", "night"]
