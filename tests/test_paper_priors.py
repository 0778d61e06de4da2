import numpy as np
import pytest
import torch

from benchmarks.paper.representation import (
    SLOPE,
    AutoregressivePrior,
    NetworkLayersPrior,
    RepresentationPrior,
)
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

FOUND = [RepresentationPrior(noise=0.0), AutoregressivePrior(noise=0.0)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def residual(features, y):
    """Largest residual of least squares, table by table."""
    fits = zip(features.double().numpy(), y.double().numpy(), strict=True)
    return max(np.abs(b - a @ np.linalg.lstsq(a, b, rcond=None)[0]).max() for a, b in fits)


@pytest.mark.parametrize(
    "prior",
    [RepresentationPrior(), RepresentationPrior(n_layers=0), AutoregressivePrior(order=2),
     NetworkLayersPrior(n_layers=2)],
)  # fmt: skip
@pytest.mark.parametrize("size", [(1, 10, 4), (5, 33, 8)])
def test_shapes_seeds_and_finiteness(prior, size):
    (X, y), again, other = (prior.sample(generator(seed), *size) for seed in (0, 0, 1))
    assert X.shape == size
    assert y.shape == size[:2]
    assert X.isfinite().all()
    assert y.isfinite().all()
    assert torch.equal(X, again[0])
    assert torch.equal(y, again[1])
    assert not torch.equal(y, other[1])


@pytest.mark.parametrize("prior", FOUND)
def test_least_squares_on_the_known_representation_is_exact_and_on_the_columns_is_not(prior):
    X, y = prior.sample(generator(), 10, 60, 6)
    assert residual(prior.represent(X), y) < 1e-5
    assert residual(X, y) > 0.05


@pytest.mark.parametrize("prior", FOUND)
def test_the_representation_is_the_same_in_all_tables_and_follows_the_seed(prior):
    rows = torch.randn(1, 7, 6, generator=generator()).expand(4, -1, -1)
    features = prior.represent(rows)
    assert torch.equal(features, features[:1].expand_as(features))
    assert torch.equal(features[0], prior.represent(rows[0]))  # nor does it depend on the batch
    assert not torch.equal(features, type(prior)(seed=1).represent(rows))


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_second_moment_is_that_of_the_representation_plus_noise(noise):
    for prior in (RepresentationPrior(noise=noise), AutoregressivePrior(noise=noise)):
        X, y = prior.sample(generator(), 4000, 10, 6)
        # The first row only: later windows of a sequence depend on A.
        expected = float(prior.represent(X[:, 0]).square().mean()) + noise**2
        assert float(y[:, 0].square().mean()) == pytest.approx(expected, rel=0.08)
        assert expected == pytest.approx(1 + noise**2, rel=0.4)


def test_without_layers_it_is_linear_regression_of_unit_scale():
    X, y = RepresentationPrior(n_layers=0, noise=0.0).sample(generator(), 2000, 20, 8)
    assert residual(X[:10], y[:10]) < 1e-5
    assert float(y.square().mean()) == pytest.approx(1, rel=0.06)


def test_a_window_is_the_last_one_shifted_by_what_followed():
    X, y = AutoregressivePrior(order=3).sample(generator(), 5, 20, 6)
    assert torch.equal(X[:, 1:, 2:], X[:, :-1, :-2])
    assert torch.equal(X[:, 1:, 0], y[:, :-1])


def test_long_sequences_stay_bounded():
    X, _ = AutoregressivePrior().sample(generator(), 200, 300, 6)
    assert float(X.abs().amax()) < 8  # where the network clips


def test_a_window_that_does_not_fit_the_columns_is_refused():
    with pytest.raises(ValueError, match="a multiple of order=3"):
        AutoregressivePrior(order=3).sample(generator(), 1, 5, 7)


def test_each_layer_is_least_squares_after_undoing_the_leaky_relu():
    prior = NetworkLayersPrior(n_layers=3)
    X, y = prior.sample(generator(), 6, 60, 7)
    linear = torch.where(y > 0, y, y / SLOPE)
    for layer in range(3):
        rows = X[..., 4 + layer] == 1
        assert rows.sum(1).tolist() == [20] * 6
        states = X[rows].reshape(6, 20, 7)[..., :4]
        assert residual(states, linear[rows].reshape(6, 20)) < 1e-4


def test_rows_walk_through_the_layers_of_an_example():
    prior = NetworkLayersPrior(n_layers=3)
    states = prior.states(generator(), 4, 5, 4)
    X, y = prior.sample(generator(), 4, 14, 7)  # the last example is cut after two layers
    assert torch.equal(X[..., :4].unflatten(1, (-1, 2))[:, 0, 0], states[:, 0, 0])
    assert torch.equal(X[:, 4, :4], states[:, 1, 1])
    assert torch.equal(y[:, 4], states[:, 1, 2, 0])
    assert torch.equal(X[0, :3, 4:], torch.eye(3))


def test_every_layer_keeps_the_scale():
    states = NetworkLayersPrior(n_layers=3).states(generator(), 4000, 5, 4)
    assert states.square().mean((0, 1, 3)).tolist() == pytest.approx([1] * 4, rel=0.08)


def test_a_table_without_room_for_units_is_refused():
    with pytest.raises(ValueError, match="more than n_layers=3"):
        NetworkLayersPrior(n_layers=3).sample(generator(), 1, 6, 3)


def test_meta_training_leaves_fixed_columns_as_they_are_and_brings_others_to_canonical_form():
    recipe = Recipe(1, n_features=(6, 6), n_support=(12, 12), n_query=5, rows_per_step=85)
    for prior, kept in ((RepresentationPrior(), True), (LinearPrior(), False)):
        drawn = {}

        class Spy(type(prior)):
            def sample(self, *args):
                drawn["X"], drawn["y"] = super().sample(*args)  # noqa: B023
                return drawn["X"], drawn["y"]  # noqa: B023

        prompt, target = PromptStream(Spy(), recipe, 0).prompt(0)
        assert torch.equal(prompt["X"], drawn["X"]) == kept
        assert torch.equal(torch.cat([prompt["y"], target.y], 1), drawn["y"]) == kept
