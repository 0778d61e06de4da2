"""The shipped weights do on raw data what their cards say."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.learned.checkpoints import load_checkpoint, registry
from sklearn_looped.learned.priors import PRIORS, IllConditionedLinearPrior
from sklearn_looped.learned.training.held_out import HELD_OUT
from sklearn_looped.learned.training.pretrainings import PRETRAININGS

N_PROMPTS, N_QUERY = 48, 8


@pytest.mark.parametrize("name", registry())
def test_weights_are_of_the_network_that_their_pretraining_makes(name):
    config = load_checkpoint(name).network.config
    gated = PRETRAININGS[name].gate is not None
    assert (config.n_gate_units > 0) == gated
    assert replace(config, n_gate_units=0) == PRETRAININGS[name].network


def test_every_shipped_file_has_one_recipe():
    assert set(PRETRAININGS) == set(registry())


def test_more_loops_help_on_ill_conditioned_inputs():
    prior = IllConditionedLinearPrior((100.0, 100.0))
    X, y = (part.numpy() for part in prior.sample(seeded_generator(HELD_OUT, 99), 24, 48, 20))
    tables = [(a[:40], b[:40], a[40:]) for a, b in zip(X, y, strict=True)]

    def error(weights, n_loops):
        model = LoopedICLRegressor(weights=weights, n_loops=n_loops)
        return np.mean((np.array(predict_many(model, tables)) - y[:, 40:]) ** 2) / 20

    after = {n_loops: error("ill-conditioned-linear", n_loops) for n_loops in (8, 24, 48)}
    assert after[24] < after[8]
    assert after[48] < after[8]
    assert after[24] < 0.5 * error("linear", 24)


@pytest.mark.parametrize(
    ("weights", "n_examples", "bound"),
    [
        # Yang et al. 2024: 7.79e-4, 6.12e-4 and .18 for their looped transformer, of the trees no
        # number: gradient boosting on the same prompts.
        ("linear", 40, 7.8e-4),
        ("sparse-linear", 40, 6.1e-4),
        ("decision-tree", 100, GradientBoostingRegressor(random_state=0)),
        ("relu-network", 100, 0.18),
    ],
)
def test_function_classes_are_learned_in_context(weights, n_examples, bound):
    X, y = PRIORS[weights].sample(
        seeded_generator(HELD_OUT, 99), N_PROMPTS, n_examples + N_QUERY, 20
    )
    units = 1000 * X.numpy(), 0.01 * y.numpy()  # the estimator undoes units
    tables = [(a[:n_examples], b[:n_examples], a[n_examples:]) for a, b in zip(*units, strict=True)]
    predictions = np.array(predict_many(LoopedICLRegressor(weights=weights), tables))
    truth = units[1][:, n_examples:]
    error = np.mean((predictions - truth) ** 2) / 0.01**2 / np.square(y.numpy()).mean()
    if not isinstance(bound, float):
        answers = np.array([bound.fit(X, y).predict(queries) for X, y, queries in tables])
        bound = np.mean((answers - truth) ** 2) / 0.01**2 / np.square(y.numpy()).mean()
    assert error <= bound
