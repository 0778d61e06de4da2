from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_looped.bridge.algoformer import AlgoFormerConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe
from sklearn_looped.programmed import algoformer

RNG = np.random.default_rng(0)
WEIGHTS = tuple(
    tuple(map(tuple, W.tolist())) for W in (RNG.normal(size=(3, 5)) / 2, RNG.normal(size=(5, 4)))
)
CONFIG = AlgoFormerConfig(3, weights=WEIGHTS, step_size=0.2)
NEWTON = replace(CONFIG, newton=True, trained=("representation", "whitening"))


def table(n=2):
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(n, 16, 3, generator=generator, dtype=torch.float64)
    return X, torch.randn(n, 12, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("config", "method"),
    [(CONFIG, "descent"), (replace(CONFIG, weights=()), "descent"), (NEWTON, "newton")],
)
def test_as_built_it_computes_what_the_programmed_network_computes(config, method):
    X, y = table()
    outputs = config.build()(X, y, n_loops=6, window=6)[..., 0].detach().numpy()
    options = {"step_size": 0.2, "weights": config.weights, "method": method, "n_loops": 6}
    for i in range(2):
        expected = algoformer.regress(X[i, :12], y[i], X[i, 12:], **options)
        np.testing.assert_allclose(outputs[:, i], expected, rtol=0, atol=1e-12)


def test_learned_representations_run_in_the_programmed_network():
    recipe = Recipe(
        n_steps=30, n_features=(3, 3), n_support=(12, 12), n_query=4, n_loops=(4, 4), window=1,
        rows_per_step=256, lr=0.03, muon_lr=0.03, weight_decay=0.0, average=0.9,
    )  # fmt: skip
    run = meta_train(replace(CONFIG, trained=("representation",)), LinearPrior(), recipe)
    assert np.mean(run.losses[-5:]) < 0.9 * np.mean(run.losses[:5])
    weights = [W.detach().numpy() for W in run.network.representation]
    assert not np.allclose(weights[0], WEIGHTS[0], atol=1e-3)
    X, y = table()
    expected = algoformer.regress(
        X[0, :12], y[0], X[0, 12:], weights=weights, step_size=0.2, n_loops=4
    )
    output = run.network(X[:1], y[:1], n_loops=4)[0, 0, :, 0].detach()
    np.testing.assert_allclose(output, expected[-1], rtol=0, atol=1e-12)


def test_random_weights_are_those_named_and_follow_the_seed():
    names = {"representation": "representation.", "step_size": "log_step_size"}
    for random in (tuple(names), ("momentum", "preconditioner"), ("whitening",)):
        config = replace(CONFIG, newton=True, trained=CONFIG.trainable, random=random)
        torch.manual_seed(0)
        first, second = config.build(), config.build()
        torch.manual_seed(0)
        again, built = config.build(), replace(config, random=()).build()
        state, expected = first.state_dict(), built.state_dict()
        drawn = {name for name, value in state.items() if not torch.equal(value, expected[name])}
        wanted = {"growth", "whitening"} if random == ("whitening",) else set(random)
        assert {name.split(".")[0].removeprefix("log_") for name in drawn} == wanted
        for name, value in state.items():
            assert torch.equal(value, again.state_dict()[name])
            assert torch.equal(value, second.state_dict()[name]) == (name not in drawn)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": WEIGHTS[1:]}, r"shapes \[\(5, 4\)\] for n_features=3"),
        ({"weights": (((1.0, 2.0), (1.0,), (2.0,)),)}, r"shapes \[\(3, 1, 2\)\]"),
        ({"step_size": 0.0}, "step_size=0.0"),
        ({"slope": 0.0}, "slope=0.0"),
        ({"random": ("whitening",)}, "random=.*but trained are"),
        ({"trained": ("weights",)}, "trained=.*representation"),
    ],
)
def test_impossible_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)
