from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_looped.bridge import DescentConfig
from sklearn_looped.bridge.layers import AffineLayers
from sklearn_looped.learned.priors import IllConditionedLinearPrior
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe
from sklearn_looped.programmed.algorithms.descent import chebyshev_steps, descend
from sklearn_looped.programmed.algorithms.linalg.newton import _newton_block

CONFIGS = [
    DescentConfig(4),
    DescentConfig(4, n_steps=3, condition=4.0, momentum=0.1, trained=("momentum",)),
    DescentConfig(4, n_steps=2, newton=True, trained=("whitening", "preconditioner")),
]
PRIOR = IllConditionedLinearPrior(condition=(10.0, 1000.0))
RECIPE = Recipe(
    n_steps=40, n_features=(3, 4), n_support=(24, 24), n_query=8, n_loops=(1, 6), window=1,
    rows_per_step=256, lr=0.03, muon_lr=1e-3, weight_decay=0.0, average=0.9,
)  # fmt: skip


def prompt(seed=1):
    return PromptStream(PRIOR, replace(RECIPE, seed=seed, rows_per_step=2048), 0).prompt(0)


@pytest.mark.parametrize("config", CONFIGS)
def test_as_built_it_computes_what_the_programmed_block_computes(config):
    tables, _ = prompt()
    X, y = tables["X"].double(), tables["y"].double()
    outputs = config.build()(X, y, n_loops=7, window=7)[..., 0].detach().numpy()
    for table in range(3):
        arguments = X[table, :24].numpy(), y[table].numpy(), X[table, 24:].numpy()
        expected = np.array(list(descend(*arguments, steps=config.steps, n_loops=7)))
        np.testing.assert_allclose(outputs[:, table], expected, rtol=0, atol=1e-12)


def test_as_built_it_is_gradient_descent_in_numpy():
    tables, _ = prompt()
    X, y = tables["X"][0].double().numpy(), tables["y"][0].double().numpy()
    support = X[:24]
    sizes = [step.size for step in chebyshev_steps(2, 9.0)] * 5
    w = np.zeros(X.shape[1])
    for size in sizes:
        w += size / np.linalg.norm(support.T @ support) * support.T @ (y - support @ w)
    network = DescentConfig(4, n_steps=2, condition=9.0).build()
    output = network(tables["X"][:1], tables["y"][:1], n_loops=5)
    np.testing.assert_allclose(output[0, 0, :, 0].detach(), X[24:] @ w, rtol=0, atol=1e-12)


def test_learned_weights_are_those_of_the_programmed_layers():
    """Any values, not only the first ones: the module's matrices are the construction's."""
    network = CONFIGS[2].build()
    values = np.random.default_rng(0).normal(size=4 * 2 + 16)
    found = network._layers.weights(torch.tensor(values))
    for layer, matrices in zip(network._construct(values).layers, found, strict=True):
        for name, expected in layer.weights():
            torch.testing.assert_close(matrices[name], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "config",
    [
        DescentConfig(4, n_steps=3, condition=4.0, trained=("step_size", "momentum")),
        DescentConfig(4, newton=True, trained=("step_size", "whitening", "preconditioner")),
    ],
)
def test_training_lowers_the_held_out_error_and_moves_what_it_is_told_to(config):
    tables, target = prompt(seed=2)
    run = meta_train(config, PRIOR, replace(RECIPE, n_loops=(4, 4)))
    before, after = (
        float(config.loss()(network(tables["X"], tables["y"], 4).detach(), target))
        for network in (config.build(), run.network)
    )
    assert after < before - 0.15  # decimal logarithm of the normalised squared error
    parameters = zip(config.build().named_parameters(), run.network.parameters(), strict=True)
    moved = {name for (name, old), new in parameters if not torch.equal(old, new)}
    names = {"step_size": {"log_step_size"}, "whitening": {"growth", "whitening"}}
    assert moved == set().union(*(names.get(name, {name}) for name in config.trained))
    assert all(p.dtype is torch.float64 for p in run.network.parameters())


def test_learned_steps_run_in_the_programmed_block():
    names = ("step_size", "whitening", "preconditioner")
    config = DescentConfig(4, newton=True, trained=names)
    network = meta_train(config, PRIOR, replace(RECIPE, n_steps=5, n_features=(4, 4))).network
    stream = PromptStream(PRIOR, replace(RECIPE, n_features=(4, 4)), 0)
    tables, _ = stream.prompt(0)
    X, y = tables["X"][0].double().numpy(), tables["y"][0].double().numpy()
    P, options = network.preconditioner.detach(), {"steps": network.steps(), "n_loops": 4}
    *_, expected = descend(X[:24], y, X[24:], preconditioner=P, **options)
    output = network(tables["X"][:1], tables["y"][:1], n_loops=4)[0, 0, :, 0]
    np.testing.assert_allclose(output.detach(), expected, rtol=0, atol=1e-12)


def test_a_run_goes_on_from_its_folder_and_refuses_another_network(tmp_path):
    config, recipe = CONFIGS[0], replace(RECIPE, n_steps=4)
    first = meta_train(config, PRIOR, recipe, folder=tmp_path)
    again = meta_train(config, PRIOR, recipe, folder=tmp_path)
    assert again.losses == first.losses
    assert again.network.steps() == first.network.steps()
    with pytest.raises(ValueError, match=r"another network \(differs in momentum\)"):
        meta_train(replace(config, momentum=0.5), PRIOR, recipe, folder=tmp_path)


def test_gradients_through_the_last_loops_only_change_no_output():
    tables, target = prompt()
    network = CONFIGS[1].build()
    full, cut = (network(tables["X"], tables["y"], 6, 2, n_grad) for n_grad in (None, 2))
    assert torch.equal(full, cut)
    gradients = [
        torch.autograd.grad(network.config.loss()(output, target), network.momentum)[0]
        for output in (full, cut)
    ]
    assert not torch.allclose(*gradients)


def test_queries_do_not_see_each_other():
    tables, _ = prompt()
    network = CONFIGS[2].build()
    X, y = tables["X"], tables["y"]
    alone = network(X[:, :25], y, 5)
    torch.testing.assert_close(alone, network(X, y, 5)[:, :, :1], rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_steps": 0}, "n_steps=0"),
        ({"condition": 0.5}, "condition=0.5"),
        ({"condition": float("nan")}, "condition=nan"),
        ({"trained": ("steps",)}, "trained=.'steps'"),
        ({"trained": ()}, r"trained=\(\)"),
        ({"trained": ("whitening",)}, "set newton=True"),
    ],
)
def test_impossible_configurations_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DescentConfig(4, **fields)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ValueError, match="exit gate of a regressor"):
        meta_train(CONFIGS[0], PRIOR, replace(RECIPE, loss="ouro"))
    with pytest.raises(ValueError, match="up to 9 columns, but the network reads 4"):
        meta_train(CONFIGS[0], PRIOR, replace(RECIPE, n_features=(3, 9)))
    with pytest.raises(ValueError, match="softmax or graph heads"):
        AffineLayers(lambda _: _newton_block(2, 0, "softmax").layers, 1)
