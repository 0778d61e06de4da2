"""The in-context regressor on a network that listens to closed-form experts, end to end."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.feature_selection import SelectFromModel

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.inspection import AttentionDisplay
from sklearn_looped.learned.checkpoints import save_checkpoint
from sklearn_looped.learned.inference import members
from sklearn_looped.learned.inference.experts import Experts
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Weights of an untrained network, whose corrections are small but not zero."""
    config = NetworkConfig(width=32, n_heads=4, n_loops=3, experts=True, n_views=2, n_bases=3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LoopedNetwork(config)
        torch.nn.init.normal_(network.readout.correction.output.weight, std=0.1)
    path = tmp_path_factory.mktemp("weights") / "experts.safetensors"
    save_checkpoint(network, path)
    return path


@pytest.fixture
def table(rng):
    X = rng.uniform(-2, 2, size=(80, 3))
    X[::9, 2] = np.nan
    Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 1] ** 2, -X[:, 0]])
    return X[:60], Y[:60], X[60:], Y[60:]


@pytest.fixture
def fits(monkeypatch):
    """Targets of each fit of experts."""
    counts, fit = [], Experts.fit.__func__

    def recording(cls, X, *args, **kwargs):
        counts.append(len(X))
        return fit(cls, X, *args, **kwargs)

    monkeypatch.setattr(Experts, "fit", classmethod(recording))
    return counts


def test_an_untrained_network_predicts_as_its_experts_do(path, table):
    X, Y, queries, truth = table
    model = LoopedICLRegressor(path).fit(X, Y[:, 0])
    assert model.score(queries, truth[:, 0]) > 0.8
    mean, std = model.predict(queries, return_std=True)
    assert mean.shape == std.shape == (20,)
    assert model.predict_quantiles(queries).shape == (20, 3)


def test_several_targets_are_predicted_as_each_alone(path, table):
    X, Y, queries, _ = table
    together = LoopedICLRegressor(path).fit(X, Y).predict(queries)
    for target, found in zip(Y.T, together.T, strict=True):
        alone = LoopedICLRegressor(path).fit(X, target).predict(queries)
        np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5)


def test_a_weight_is_a_repetition(path, table):
    X, Y, queries, _ = table
    weights = np.arange(60) % 3
    weighted = LoopedICLRegressor(path).fit(X, Y[:, 0], weights)
    repeated = LoopedICLRegressor(path).fit(*(np.repeat(p, weights, axis=0) for p in (X, Y[:, 0])))
    np.testing.assert_allclose(
        weighted.predict(queries), repeated.predict(queries), rtol=1e-5, atol=1e-6
    )


def test_other_queries_and_the_order_of_rows_do_not_matter(path, table, rng):
    X, Y, queries, _ = table
    model = LoopedICLRegressor(path).fit(X, Y[:, 0])
    expected = model.predict(queries)
    one_by_one = np.concatenate([model.predict(query[None]) for query in queries])
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-4, atol=1e-5)
    order = rng.permutation(60)
    moved = LoopedICLRegressor(path).fit(X[order], Y[order, 0]).predict(queries)
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)
    [many] = predict_many(LoopedICLRegressor(path), [(X, Y[:, 0], queries)])
    np.testing.assert_allclose(many, expected, rtol=1e-4, atol=1e-5)


def test_of_more_columns_than_the_network_reads_the_experts_see_all(path, rng):
    X = rng.normal(size=(90, 40))
    y = X[:, 36:39].sum(axis=1)
    model = LoopedICLRegressor(path, n_estimators=1).fit(X[:70], y[:70])
    assert len(model.predictor_.views[0].columns) == 40
    assert model.score(X[70:], y[70:]) > 0.8
    order = rng.permutation(40)
    moved = LoopedICLRegressor(path, n_estimators=1).fit(X[:70, order], y[:70])
    np.testing.assert_allclose(
        moved.predict(X[70:, order]), model.predict(X[70:]), rtol=1e-3, atol=1e-4
    )


def test_a_pickle_carries_no_matrix_of_the_experts_and_is_loaded_without_work(path, rng, fits):
    X = rng.normal(size=(150, 2))
    model = LoopedICLRegressor(path).fit(X, X[:, 0])
    data = pickle.dumps(model)
    assert len(data) < path.stat().st_size + 30_000  # an expert's matrix alone takes 180 kB
    fits.clear()
    again = pickle.loads(data)
    assert fits == []
    assert len(pickle.dumps(again)) == pytest.approx(len(data), abs=1000)
    assert np.array_equal(again.predict(X[:9]), model.predict(X[:9]))
    assert fits == [2]  # both members at once


def test_more_loops_than_in_fit_take_the_same_experts(path, table, fits):
    X, Y, queries, _ = table
    model = LoopedICLRegressor(path).fit(X, Y[:, 0]).set_params(n_loops=5)
    assert fits == [2]  # both members at once
    more = model.predict(queries)
    assert fits == [2]  # both members at once
    direct = LoopedICLRegressor(path, n_loops=5).fit(X, Y[:, 0]).predict(queries)
    assert np.array_equal(more, direct)


@pytest.mark.parametrize("n_loops", [3, "auto"])
def test_experts_are_fitted_target_by_target_where_memory_is_short(
    path, table, fits, monkeypatch, n_loops
):
    X, Y, queries, _ = table
    expected = LoopedICLRegressor(path, n_loops=n_loops).fit(X, Y).predict(queries, True, True)
    fits.clear()
    monkeypatch.setattr(members, "KEPT", 0)
    monkeypatch.setattr(members, "PART", 1)
    model = LoopedICLRegressor(path, n_loops=n_loops).fit(X, Y)
    assert fits == []
    for found, known in zip(model.predict(queries, True, True), expected, strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-4, atol=1e-5)
    assert fits == [1] * 3 * 2
    kept = list(model.attention_by_loop(queries, 1))
    monkeypatch.undo()
    whole = LoopedICLRegressor(path, n_loops=n_loops).fit(X, Y)
    for found, known in zip(kept, whole.attention_by_loop(queries, 1), strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-4, atol=1e-5)


def test_attention_is_drawn(path, table):
    pytest.importorskip("matplotlib").use("agg")
    X, Y, queries, _ = table
    model = LoopedICLRegressor(path).fit(X, Y)
    display = AttentionDisplay.from_estimator(model, queries, target=2, member=1)
    assert display.weights.shape == (3, 20, 60)
    np.testing.assert_allclose(display.weights.sum(axis=2), 1, rtol=1e-5)


def test_columns_that_matter_are_important_under_whatever_name_and_order(path, rng):
    X = rng.normal(size=(80, 4))
    soil = rng.choice(["clay", "sand", "silt", "peat"], 80)
    y = np.sin(2 * X[:, 1]) + 2 * (soil == "sand") + 0.1 * rng.normal(size=80)
    table = pd.DataFrame(X, columns=list("abcd")).assign(soil=soil)
    found = LoopedICLRegressor(path).fit(table, y).feature_importances_
    assert found.shape == (5,)
    assert np.isclose(found.sum(), 1)
    assert set(np.argsort(-found)[:2]) == {1, 4}
    turned = LoopedICLRegressor(path).fit(table[["soil", *"dcba"]], -3 * y + 1)
    np.testing.assert_allclose(turned.feature_importances_, found[::-1], rtol=1e-6)
    chosen = SelectFromModel(LoopedICLRegressor(path), max_features=1).fit(X[:, :4], X[:, 2] ** 2)
    assert chosen.get_support().tolist() == [False, False, True, False]


def test_weights_without_experts_know_no_importances(rng):
    X = rng.normal(size=(20, 2))
    model = LoopedICLRegressor("linear", n_loops=1).fit(X, X[:, 0])
    with pytest.raises(AttributeError, match="'linear' have no experts"):
        model.feature_importances_  # noqa: B018


def test_members_with_less_error_count_more(path, rng):
    """Principal components hide the one column that matters; columns as they are do not."""
    X = rng.normal(size=(120, 12))
    y = np.abs(X[:, 0])
    model = LoopedICLRegressor(path, n_estimators=3).fit(X, y)
    (plain, _), _, (whitened, _) = (view[0] for view in model.predictor_.memories.members)
    ratio = whitened.support.opinions.unit().double() / plain.support.opinions.unit().double()
    assert ratio > 1.2
    expected = ratio**4 / members.TRANSFORMED
    torch.testing.assert_close(plain.importance() / whitened.importance(), expected)
    first, _, last = model.predictor_.memories.weighing(model.n_loops_).shares[0]
    assert first == pytest.approx(last * float(expected))
