"""Meta-training: what a run learns and what it depends on."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_run import NETWORK, RECIPE

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import LinearPrior, OwnTables
from sklearn_looped.learned.training.held_out import score_by_loop
from sklearn_looped.learned.training.metatrain import _built, meta_train
from sklearn_looped.learned.training.recipe import Recipe


@pytest.mark.parametrize(
    "mode", [torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_a_run_does_not_see_the_callers_modes(mode):
    recipe = replace(RECIPE, n_steps=3)
    plain = meta_train(NETWORK, LinearPrior(), recipe)
    with mode():
        same = meta_train(NETWORK, LinearPrior(), recipe)
    assert same.losses == plain.losses


def test_threads_do_not_draw_each_others_weights():
    def weights(_):
        return torch.cat([p.flatten() for p in _built(NETWORK, RECIPE, None).parameters()])

    alone, state = weights(0), torch.get_rng_state()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(torch.equal(each, alone) for each in pool.map(weights, range(100)))
    finally:
        sys.setswitchinterval(interval)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_seed_repeats_a_run_and_another_does_not():
    recipe = replace(RECIPE, n_steps=5)
    one, same = (meta_train(NETWORK, LinearPrior(), recipe) for _ in range(2))
    other = meta_train(NETWORK, LinearPrior(), replace(recipe, seed=1))
    assert one.losses == same.losses
    assert one.losses != other.losses


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
def test_workers_that_draw_prompts_ahead_change_nothing():
    recipe = replace(RECIPE, n_steps=5)
    alone, helped = (
        meta_train(NETWORK, LinearPrior(), recipe, n_workers=n_workers) for n_workers in (0, 2)
    )
    assert alone.losses == helped.losses


def test_a_recipe_wider_than_the_network_is_refused():
    with pytest.raises(ValueError, match="up to 9 columns, but the network reads 3"):
        meta_train(NETWORK, LinearPrior(), replace(RECIPE, n_features=(1, 9)))


def test_a_loss_that_is_not_finite_stops_the_run():
    class Broken(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            X, y = super().sample(generator, n_tables, n_rows, n_features)
            return X, y * torch.nan

    with pytest.raises(FloatingPointError, match="at step 1"):
        meta_train(NETWORK, Broken(), RECIPE)


def test_meta_training_learns_linear_regression_and_more_loops_do_not_hurt():
    recipe = Recipe(
        n_steps=300, n_features=(2, 2), n_support=(6, 24), n_query=16, n_loops=(2, 6),
        rows_per_step=768, lr=3e-3, muon_lr=0.02,
    )  # fmt: skip
    network = NetworkConfig(n_features=2, width=32, n_heads=2, n_quantiles=7)
    run = meta_train(network, LinearPrior(), recipe)
    early, late = (sum(run.losses[part]) / 20 for part in (slice(20), slice(-20, None)))
    assert late < 0.35 * early

    class TwoColumns(LinearPrior):
        def sample(self, generator, n_tables, n_rows, n_features):
            return super().sample(generator, n_tables, n_rows, 2)

    scores = score_by_loop(run.network, TwoColumns(), n_loops=12)
    assert scores[5] > 0.8
    assert scores[5] > scores[0]
    assert scores[11] > scores[5] - 0.02


def test_fine_tuning_on_own_tables_improves_on_them(tmp_path):
    """Weights of another function class know no waves; data sets of them teach."""

    def wave(seed):
        draw = np.random.default_rng(seed)
        X = draw.uniform(-3, 3, size=(400, 1))
        return X, np.sin(4 * X[:, 0] + draw.uniform(0, 6))

    start = load_checkpoint("relu-network")
    recipe = Recipe(
        20, n_features=(1, 1), n_support=(40, 40), n_query=24, n_loops=(4, 8), rows_per_step=512,
        lr=2e-4, muon_lr=2e-3,
    )  # fmt: skip
    prior = OwnTables([wave(seed) for seed in range(6)])
    tuned = meta_train(start.network.config, prior, recipe, start=start).network
    save_checkpoint(tuned, tmp_path / "waves.safetensors")
    scores = []
    for weights in ("relu-network", tmp_path / "waves.safetensors"):
        model = LoopedICLRegressor(weights, n_estimators=1)
        X, y = wave(99)
        scores.append(model.fit(X[:40], y[:40]).score(X[40:], y[40:]))
    assert 1 - scores[1] < 0.7 * (1 - scores[0])
