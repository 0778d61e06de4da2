"""Rows of decoders that are scored one by one, and the claims that need all of them."""

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.common.report import Store
from benchmarks.paper import decoder


@pytest.fixture
def scored(monkeypatch, tmp_path):
    """List of the networks that were scored; rows are written to a folder of their own."""
    names = []

    def stub(run, budget, seed, n_prompts, shifted):
        names.append((run.config.n_loop_blocks, run.trained))
        errors = np.random.default_rng(len(names)).random((run.n_loops, 8))
        off = {name: errors[0] for name in decoder.shifts(5)} if shifted else {}
        scores = decoder.Scores(run.trained, errors, np.ones((8, 11)), off)
        return scores, {"weights": 1, "steps": 1, "CPU s": 1.0}

    monkeypatch.setattr(decoder, "scored", stub)
    monkeypatch.setattr(decoder, "RESULTS", tmp_path)
    return names


def test_a_network_is_scored_alone_and_its_row_is_not_written_twice(scored, tmp_path):
    run = ["paper.decoder", "--budget", "laptop", "--seeds", "0", "--figures", "linear"]
    path = tmp_path / "paper_decoder.jsonl"
    main([*run, "--network", "looped"])
    main([*run, "--network", "looped"])  # is there already
    assert scored == [(1, 6)]
    (row,) = Store(path).rows
    assert (row["kind"], row["network"]) == ("score", "looped")
    main(run)
    rows = Store(path).rows
    assert [row["network"] for row in rows if row["kind"] == "score"] == [
        "looped", "unlooped", "one layer",
    ]  # fmt: skip
    assert sum(row["kind"] == "claim" for row in rows) == 8
    main(run)
    assert len(scored) == 4


def test_a_network_that_no_figure_has_is_refused(scored):
    with pytest.raises(SystemExit, match="no figure has a network 'loped'"):
        main(["paper.decoder", "--network", "loped"])
    assert not scored


@pytest.mark.parametrize("budget", decoder.BUDGETS)
def test_training_ends_with_the_columns_rows_and_loops_that_are_tested(budget):
    for figure in decoder.figures(decoder.BUDGETS[budget], 0).values():
        for run in figure.runs.values():
            last = run.recipe.draw_sizes(run.recipe.n_steps - 1, torch.Generator())
            assert last == (run.task.n_features, run.task.n_examples, run.trained)
