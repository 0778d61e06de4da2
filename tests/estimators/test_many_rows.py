"""Tables that are divided: the same promises as for a table that is attended to as a whole."""

import pickle
import warnings

import numpy as np
import pytest

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor
from sklearn_looped.core import nystroem
from sklearn_looped.estimators.in_context import predict_many
from sklearn_looped.learned.inference import divided, overview


@pytest.fixture(autouse=True)
def _few_rows_are_many(monkeypatch):
    monkeypatch.setattr(divided, "WHOLE", 60)
    monkeypatch.setattr(divided, "PART", 60)
    monkeypatch.setattr(nystroem, "N_LANDMARKS", 64)


@pytest.fixture
def split(rng):
    X = rng.normal(size=(240, 3))
    y = np.sin(X[:, 0]) + (X[:, 1] > 0)
    return X[:200], y[:200], X[200:], y[200:]


def regressor(**parameters):
    return LoopedICLRegressor(n_loops=2, n_estimators=1, **parameters)


def test_all_rows_count_without_a_warning_and_parts_are_small(split):
    X, y, Q, truth = split
    with warnings.catch_warnings(action="error"):
        model = regressor().fit(X, y)
        assert model.score(Q, truth) > 0.95
    sizes = [len(part.support.X) for part in model.predictor_.parts]
    assert len(sizes) > 2
    assert max(sizes) <= 60
    assert sum(sizes) == 200
    assert model.feature_importances_[2] < 0.05


def test_parts_are_smaller_than_what_is_attended_to_as_a_whole(split, monkeypatch):
    X, y, *_ = split
    monkeypatch.setattr(divided, "PART", 40)
    model = LoopedICLRegressor(n_loops=1)
    assert len(model.fit(X[:60], y[:60]).predictor_.views) == 4
    parts = model.fit(X[:61], y[:61]).predictor_.parts
    assert sorted(len(part.support.X) for part in parts) == [30, 31]
    assert [len(part.views) for part in parts] == [2, 2]


def test_order_units_copies_and_other_queries_do_not_matter(split, rng):
    X, y, Q, _ = split
    prediction = regressor().fit(X, y).predict(Q)

    def same(X, y, Q, weights=None, **parameters):
        return regressor(**parameters).fit(X, y, weights).predict(Q)

    rows = rng.permutation(200)
    assert np.abs(same(X[rows], y[rows], Q, random_state=1, n_jobs=2) - prediction).max() < 1e-4
    units = np.array([2.0, -3.0, 1.0])
    assert np.abs(same(X * units + 5, -y, Q * units + 5) + prediction).max() < 1e-4
    assert np.abs(same(X, y, Q[:3]) - prediction[:3]).max() < 1e-5
    weights = rng.integers(0, 3, 200)
    copies = np.repeat(np.arange(200), weights)
    assert np.abs(same(X, y, Q, weights) - same(X[copies], y[copies], Q)).max() < 1e-4


def test_everything_that_a_whole_table_can_do(split):
    X, y, Q, truth = split
    model = regressor().fit(X, y)
    prediction = model.predict(Q)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(Q), prediction)
    *_, last = model.staged_predict(Q)
    assert np.abs(last - prediction).max() < 1e-5
    many = predict_many(regressor(), [(X, y, Q), (X[:30], y[:30], Q[:4])])
    assert np.abs(many[0] - prediction).max() < 1e-5
    assert model.predict_quantiles(Q, [0.2, 0.8], conformal=True).shape == (40, 2)
    model.set_params(n_loops="auto", exit_rule="holdout")
    assert (np.ptp(model.predict(Q, return_n_loops=True)[1])) == 0
    both = regressor().fit(X, np.column_stack([y, X[:, 2]]))
    assert both.score(Q, np.column_stack([truth, Q[:, 2]])) > 0.95
    with pytest.raises(ValueError, match="Set max_support to a number"):
        next(model.attention_by_loop(Q))


def test_no_row_of_a_small_part_is_held_out(monkeypatch, rng):
    monkeypatch.setattr(divided, "PART", 40)
    X = np.append(np.zeros(5), np.ones(80))[:, None]
    model = LoopedICLRegressor(exit_rule="holdout").fit(X, X[:, 0] + rng.normal(size=85))
    assert sorted(len(part.support.X) for part in model.predictor_.parts) == [5, 40]
    assert np.ptp(model.predict(X, return_n_loops=True)[1]) == 0


def test_a_whole_table_whose_target_has_steps_gets_an_overview(rng, monkeypatch):
    monkeypatch.setattr(divided, "WHOLE", 400)
    monkeypatch.setattr(nystroem, "N_LANDMARKS", 300)
    X = rng.uniform(size=(500, 3))
    smooth = np.sin(3 * X[:, 0]) + X[:, 1] + 0.1 * rng.normal(size=500)
    steps = np.floor(4 * X[:, 0]) + 2.0 * ((X[:, 1] > 0.3) & (X[:, 2] > 0.6))
    y, Q = steps + 0.1 * rng.normal(size=500), X[300:]
    without = regressor().fit(X[:300], y[:300])
    monkeypatch.setattr(overview, "FEWEST", 300)
    assert regressor().fit(X[:300], smooth[:300]).predictor_.overview is None
    model = regressor().fit(X[:300], y[:300])
    assert without.predictor_.overview is None
    assert model.predictor_.overview is not None
    assert 1 - model.score(Q, steps[300:]) < 0.7 * (1 - without.score(Q, steps[300:]))
    prediction, rows = model.predict(Q), rng.permutation(300)
    assert np.abs(regressor().fit(X[rows], y[rows]).predict(Q) - prediction).max() < 1e-4
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(Q), prediction)
    many = predict_many(regressor(), [(X[:300], y[:300], Q), (X[:30], y[:30], Q[:4])])
    assert np.abs(many[0] - prediction).max() < 1e-5
    assert next(model.attention_by_loop(Q[:3])).shape[2:] == (3, 300)
    assert model.predict_quantiles(Q, [0.2, 0.8], conformal=True).shape == (200, 2)


def test_rows_that_are_all_the_same_to_the_metric_are_thinned(rng):
    X = rng.integers(0, 2, size=(300, 1)).astype(float)
    y = X[:, 0] + rng.normal(size=300)
    model = regressor().fit(X, y)
    assert [len(part.support.X) for part in model.predictor_.parts] == [60, 60]
    assert np.abs(model.predict([[0.0], [1.0]]) - [0, 1]).max() < 0.4
    assert np.isfinite(model.predict_quantiles(X[:5], [0.2, 0.8], conformal=True)).all()


def test_parts_know_of_classes_that_they_did_not_see(split):
    X, _, Q, _ = split
    labels = np.where(X[:, 0] > 0.7, "high", np.where(X[:, 0] < -0.7, "low", "middle"))
    labels[:3] = "rare"
    model = LoopedICLClassifier(n_loops=2, n_estimators=1).fit(X, labels)
    seen = [(part.support.Y.sum(axis=0) > 0).sum() for part in model.predictor_.parts]
    assert min(seen) < 4
    proba = model.predict_proba(Q)
    assert (proba > 0).all()
    assert np.abs(proba.sum(axis=1) - 1).max() < 1e-6
    assert proba[:, list(model.classes_).index("rare")].mean() < 0.05
    expected = np.where(Q[:, 0] > 0.7, "high", np.where(Q[:, 0] < -0.7, "low", "middle"))
    assert (model.predict(Q) == expected).mean() > 0.9


def test_columns_that_weights_without_experts_do_not_read_are_said(rng):
    X = rng.normal(size=(30, 24))
    with pytest.warns(UserWarning, match="24 columns, more than the 20 that the weights 'linear'"):
        LoopedICLRegressor("linear", n_loops=1).fit(X, X[:, 0])


@pytest.mark.parametrize("n_few", [1, 2, 3])
def test_conformal_quantiles_take_parts_of_a_few_rows(n_few, monkeypatch, rng):
    monkeypatch.setattr(divided, "PART", 40)
    X = np.append(np.zeros(n_few), np.ones(80))[:, None]
    model = LoopedICLRegressor(n_loops=1).fit(X, X[:, 0] + rng.normal(size=len(X)))
    assert sorted(len(part.support.X) for part in model.predictor_.parts) == [n_few, 40]
    assert np.isfinite(model.predict_quantiles(X[:4], [0.2, 0.8], conformal=True)).all()
