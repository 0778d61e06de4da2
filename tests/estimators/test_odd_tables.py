"""Tables changed without a change of meaning, and odd ones: a few cases of the benchmark."""

import warnings

import numpy as np
import pandas as pd
import pytest

from benchmarks.table_checks import comparisons, odd
from sklearn_looped import (
    KernelMachineRegressor,
    LoopedICLClassifier,
    LoopedICLRegressor,
    LoopedICLRegressorCV,
)


@pytest.mark.parametrize("seed", [1, 7, 14, 25])
def test_predictions_stay_where_a_table_says_the_same(seed):
    moved = [each for each in comparisons.compare(seed) if each.distance > comparisons.TOLERANCE]
    assert not moved


def test_odd_tables_are_predicted_well_or_get_a_word():
    faults = [verdict for seed in range(0, 204, 4) if (verdict := odd.judge(seed)).fault]
    assert not faults


@pytest.mark.parametrize("cells", [1, 3])
def test_cells_far_out_do_not_hide_the_others(rng, cells):
    X = rng.normal(size=(200, 3))
    y = X[:, 0] + 0.5 * X[:, 1] * X[:, 2]
    X[:cells, 0] = 1e4
    assert LoopedICLRegressor(n_loops=2).fit(X[:120], y[:120]).score(X[120:], y[120:]) > 0.95


@pytest.mark.parametrize("model", [LoopedICLRegressor(n_loops=2), KernelMachineRegressor()])
def test_targets_far_out_are_compressed_with_a_warning(model, rng):
    X = rng.normal(size=(120, 2))
    y = X[:, 0] + X[:, 1]
    wild = y.copy()
    wild[5] = 1e4
    with pytest.warns(UserWarning, match="Targets of 1 rows lie more than 20 interquartile"):
        model.fit(X[:80], wild[:80])
    found, std = model.predict(X[80:], return_std=True)
    assert np.median(np.abs(found - y[80:])) < 3  # the mean of the targets is 125
    assert np.isfinite(std).all()
    assert (std > 0).all()
    if isinstance(model, KernelMachineRegressor):
        return
    quantiles = model.predict_quantiles(X[80:], [0.001, 0.5, 0.999])
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert quantiles.max() <= 1.01e4


def test_novelty_is_the_distance_beyond_the_range_in_ranges(rng):
    X = pd.DataFrame({"a": np.linspace(-1, 3, 30), "b": list("xyz") * 10, "c": 5.0})
    y = X["a"].to_numpy()
    far = pd.DataFrame(
        {"a": [0.0, 3.0, 7.0, -3.0, np.nan], "b": ["x", "w", "y", "z", "x"], "c": 5.0}
    )
    expected = [0, 0, 1, 0.5, 0]
    for model in (LoopedICLRegressor(n_loops=1), LoopedICLRegressorCV(n_loops=[1], cv=2)):
        found = model.fit(X, y).predict(far, return_novelty=True)[-1]
        np.testing.assert_allclose(found, expected)
    labels = LoopedICLClassifier(n_loops=1).fit(X, y > 1)
    np.testing.assert_allclose(labels.predict(far, return_novelty=True)[1], expected)
    scaled = LoopedICLRegressor(n_loops=1).fit(X.assign(a=-1e3 * X["a"]), y)
    asked = far.assign(a=-1e3 * far["a"])
    np.testing.assert_allclose(scaled.predict(asked, return_novelty=True)[1], expected)
    assert scaled.predict(asked.assign(c=6.0), return_novelty=True)[1].min() == np.inf


def test_rows_of_fit_and_levels_they_do_not_hold_are_not_novel():
    rng = np.random.default_rng(11)
    level = rng.integers(0, 12, 40)  # more than ten: encoded by their mean targets
    X = pd.DataFrame({"level": [f"s{i}" for i in level], "number": rng.normal(size=40)})
    y = 5.0 * (level == 3) + 0.3 * rng.normal(size=12)[level] + 0.1 * rng.normal(size=40)
    for model in (LoopedICLRegressor(n_loops=1, n_estimators=1).fit(X, y),
                  LoopedICLClassifier(n_loops=1, n_estimators=1).fit(X, level % 3)):  # fmt: skip
        assert not model.predict(X, return_novelty=True)[1].any()
        asked = X.assign(level=["other", *X["level"][1:]])
        assert not model.predict(asked, return_novelty=True)[1].any()


@pytest.mark.parametrize("model", [LoopedICLRegressor(n_loops=1), LoopedICLClassifier(n_loops=1)])
def test_cells_that_are_not_understood_are_said_once(rng, model):
    X = pd.DataFrame({"a": rng.normal(size=20), "b": rng.normal(size=20)})
    model.fit(X, X["a"].to_numpy() > 0)
    with pytest.warns(UserWarning, match="fit did not see") as caught:
        model.predict(X[:2].assign(b="?!"), return_novelty=True)
    assert len(caught) == 1


def test_every_member_sees_a_row_of_a_rare_class(rng):
    X, y = rng.normal(size=(600, 2)), np.zeros(600, int)
    y[:3], X[:3] = 1, X[:3] + 3
    with pytest.warns(UserWarning, match="Got 600 rows, more than max_support=60"):
        model = LoopedICLClassifier(max_support=60, random_state=0).fit(X, y)
    support = model.predictor_.support
    assert all(0 < support.Y[view.rows, 1].sum() <= 3 for view in model.predictor_.views)
    assert model.predict_proba(rng.normal(size=(50, 2)))[:, 1].mean() < 0.1


def test_warnings_name_the_line_of_the_user(rng):
    X = rng.normal(size=(30, 2))
    for model in (LoopedICLRegressor(n_loops=1, max_support=9),
                  LoopedICLRegressorCV(n_loops=[1], cv=2, max_support=9)):  # fmt: skip
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, X[:, 0])
        assert {warning.filename for warning in caught} == {__file__}


def test_the_kernel_machine_says_how_columns_were_read(rng):
    X = pd.DataFrame({"a": rng.normal(size=20), "soil": ["clay", "sand"] * 10})
    model = KernelMachineRegressor().fit(X, X["a"])
    assert model.column_kinds_ == {"a": "number", "soil": "nominal"}


def test_more_columns_than_rows_are_no_harm(rng):
    X = rng.normal(size=(160, 120))
    y = X[:, 3] - 2 * X[:, 77]
    assert LoopedICLRegressor(n_loops=1).fit(X[:100], y[:100]).score(X[100:], y[100:]) > 0.8
