"""Recipes of meta-training, and the prompts that they draw."""

from dataclasses import replace

import pytest
import torch
from small_run import RECIPE

from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Curriculum, Recipe


def test_prompts_are_in_canonical_form_and_depend_on_seed_and_step_alone():
    stream = PromptStream(LinearPrior(), RECIPE, start=0)
    prompt, target = stream.prompt(7)
    again, _ = PromptStream(LinearPrior(), RECIPE, start=7).prompt(7)
    assert torch.equal(prompt["X"], again["X"])
    assert target.y.shape[1] == RECIPE.n_query
    n_support = prompt["y"].shape[1]
    assert 6 <= n_support <= 24
    torch.testing.assert_close(prompt["y"].mean(1), torch.zeros(len(target.y)), atol=1e-5, rtol=0)
    support = prompt["X"][:, :n_support]
    torch.testing.assert_close(
        support.square().mean(1), torch.ones(len(target.y), support.shape[2])
    )


def test_prompts_of_a_network_that_does_not_centre_keep_their_zero_points():
    prompt, target = PromptStream(LinearPrior(), RECIPE, 0, centre=False).prompt(7)
    n_support = prompt["y"].shape[1]
    assert (prompt["y"].mean(1).abs() > 1e-3).all()
    # The target is still linear in the columns, without an intercept: more rows than columns.
    X, y = prompt["X"].double(), prompt["y"].double()
    w = torch.linalg.lstsq(X[:, :n_support], y[..., None]).solution
    residual = (X[:, n_support:] @ w).squeeze(-1) - target.y
    assert n_support > X.shape[2]
    assert residual.abs().median() < 1e-4


def test_sizes_cover_their_ranges_and_the_curriculum_grows_them():
    flat = Recipe(1000, n_features=(2, 9), n_support=(10, 99), n_loops=(3, 7))
    grown = replace(flat, curriculum=0.5)
    generator = torch.Generator().manual_seed(0)
    draws = [flat.draw_sizes(0, generator) for _ in range(3000)]
    assert [(min(d), max(d)) for d in zip(*draws, strict=True)] == [(2, 9), (10, 99), (3, 7)]
    early = [grown.draw_sizes(0, generator) for _ in range(500)]
    half = [grown.draw_sizes(250, generator) for _ in range(3000)]
    late = [grown.draw_sizes(500, generator) for _ in range(3000)]
    assert [max(d) for d in zip(*early, strict=True)] == [2, 10, 3]
    assert [max(d) for d in zip(*half, strict=True)] == [6, 55, 5]
    assert [max(d) for d in zip(*late, strict=True)] == [9, 99, 7]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_steps": 0}, "n_steps=0"),
        ({"n_support": (9, 4)}, r"n_support=\(9, 4\)"),
        ({"n_loops": (0, 4)}, r"n_loops=\(0, 4\)"),
        ({"decay": 1.5}, "decay=1.5"),
        ({"window": 0}, "window=0"),
        ({"n_steps": 10.0}, r"n_steps=10\.0"),
        ({"rows_per_step": "many"}, "rows_per_step='many'"),
        ({"n_loops": (1, 10**9)}, r"n_loops=\(1, 1000000000\)"),
        ({"n_features": (1, 2.5)}, r"n_features=\(1, 2\.5\)"),
        ({"n_loops": (1, 4), "loss": "gate"}, r"n_loops=\(1, 4\), but loss='gate' compares"),
        ({"max_norm": -1.0}, r"max_norm=-1\.0, but expected above 0"),
    ],
)
def test_impossible_recipes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"n_steps": 10, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"every": (0, 1, 1)}, r"every=\(0, 1, 1\), but expected three integers of at least 1"),
        ({"by": (1, -2, 2)}, r"by=\(1, -2, 2\), but expected three integers of at least 0"),
        ({"n_prompts": 0}, "n_prompts=0"),
    ],
)
def test_impossible_curricula_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Curriculum(10, **fields)
