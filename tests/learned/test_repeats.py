"""Queries that equal support rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor

N_ROWS = 60


def rows_and_own_parts():
    """Rows, and a part of each target that its columns do not tell."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 3))
    return X, X[:, 0], rng.normal(size=N_ROWS), rng


@pytest.fixture(scope="module")
def copies():
    """Half of the rows come twice, with equal targets."""
    X, known, own, _ = rows_and_own_parts()
    numbers = np.append(np.arange(N_ROWS), np.arange(N_ROWS // 2))
    return X, known + own, numbers, LoopedICLRegressor().fit(X[numbers], (known + own)[numbers])


def test_equal_rows_with_equal_targets_are_repeated(copies):
    X, y, _, model = copies
    assert np.abs(model.predict(X) - y).max() < 0.1 * y.std()


def test_rows_that_are_new_are_predicted_as_without_repeats(copies):
    X, y, _, model = copies
    near = model.predict(X + 1e-6)
    assert np.abs(near - y).max() > y.std()


def test_equal_rows_of_independent_targets_are_averaged_as_ever():
    X, known, _, rng = rows_and_own_parts()
    X, known = np.repeat(X, 2, axis=0), np.repeat(known, 2)
    model = LoopedICLRegressor().fit(X, known + rng.normal(size=len(X)))
    assert_allclose(model.predict(X), model.predict(X + 1e-9), atol=0.2)


def test_a_weight_of_two_is_a_second_row(copies):
    X, y, numbers, model = copies
    weights = np.bincount(numbers).astype(float)
    weighted = LoopedICLRegressor().fit(X, y, sample_weight=weights)
    assert_allclose(weighted.predict(X), model.predict(X), atol=1e-9)


def test_quantiles_of_repeated_rows_are_narrower_and_in_order(copies):
    X, _, _, model = copies
    levels = [0.1, 0.5, 0.9]
    repeated, new = (model.predict_quantiles(each, levels) for each in (X, X + 1e-6))
    assert np.all(np.diff(repeated, axis=1) >= 0)
    width = np.ptp(repeated, axis=1) / np.ptp(new, axis=1)
    assert np.all(width < 0.5)


def test_labels_of_equal_rows_are_repeated_as_far_as_they_agree(copies):
    X, _, numbers, _ = copies
    rng = np.random.default_rng(1)
    labels = rng.choice(["a", "b", "c"], N_ROWS)
    agreeing = LoopedICLClassifier().fit(X[numbers], labels[numbers])
    known = agreeing.classes_ == labels[:, None]
    assert agreeing.predict_proba(X)[known].min() > 0.9
    assert agreeing.predict_proba(X + 1e-6)[known].mean() < 0.6  # new rows, if ever so near
    independent = rng.choice(["a", "b", "c"], 4 * N_ROWS)
    other = LoopedICLClassifier().fit(np.repeat(X, 4, axis=0), independent)
    assert_allclose(other.predict_proba(X), other.predict_proba(X + 1e-9), atol=0.15)
