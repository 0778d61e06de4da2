"""Sample weights that are relative count as many rows as there are."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import AdaBoostClassifier

from sklearn_looped import (
    KernelMachineClassifier,
    KernelMachineRegressor,
    LoopedICLClassifier,
    LoopedICLRegressor,
    ProgrammedLinearRegression,
    ProgrammedRidge,
)

N_ROWS = 40


@pytest.mark.parametrize("model", [LoopedICLRegressor(n_loops=2), KernelMachineRegressor()])
@pytest.mark.parametrize("weight", [1 / N_ROWS, 0.3, 0.83])
def test_equal_weights_below_one_are_no_weights(model, weight, rng):
    X, Q = rng.normal(size=(N_ROWS, 3)), rng.normal(size=(5, 3))
    y = X[:, 0] + np.sin(2 * X[:, 1])
    weights = np.full(N_ROWS, weight)  # .83 over its mean is 1 and the last bit
    plain, weighted = (
        np.stack(model.fit(X, y, w).predict(Q, return_std=True)) for w in (None, weights)
    )
    np.testing.assert_allclose(weighted, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", [LoopedICLClassifier(n_loops=2), KernelMachineClassifier()])
def test_relative_weights_say_the_same_in_any_unit(model, rng):
    X, Q = rng.normal(size=(N_ROWS, 2)), rng.normal(size=(5, 2))
    y, w = (X[:, 0] > 0).astype(int), rng.uniform(0.1, 1, N_ROWS)
    one, other = (model.fit(X, y, w / unit).predict_proba(Q) for unit in (w.sum(), 1.01 * w.mean()))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        LoopedICLRegressor(n_loops=2),
        KernelMachineRegressor(),
        ProgrammedLinearRegression(),
        ProgrammedRidge(),
    ],
)
def test_nothing_of_a_row_of_weight_zero_counts(model, several, rng):
    X, Q = rng.normal(size=(N_ROWS, 3)), rng.normal(size=(5, 3))
    y = X[:, 0] + np.sin(2 * X[:, 1])
    y = np.column_stack([y, X[:, 2]]) if several else y
    weights = rng.integers(1, 3, N_ROWS)
    expected = model.fit(X, y, weights).predict(Q)
    score = getattr(model, "loo_score_", None)
    for cell, target in ((0.0, 1e200), (1e100, 0.0)):
        rows = np.vstack([np.full(3, cell), X]), np.concatenate([y[:1] * 0 + target, y])
        found = model.fit(*rows, np.append(0, weights)).predict(Q)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert getattr(model, "loo_score_", None) == pytest.approx(score)


def test_conformal_levels_do_not_ask_for_counts(rng):
    X = rng.normal(size=(60, 2))
    y = X[:, 0] + 0.5 * rng.normal(size=60)
    model = LoopedICLRegressor(n_loops=2)
    plain = model.fit(X, y).predict_quantiles(X[:4], [0.2, 0.8], conformal=True)
    weights = np.full(60, 1 / 60)
    weighted = model.fit(X, y, weights).predict_quantiles(X[:4], [0.2, 0.8], conformal=True)
    np.testing.assert_allclose(weighted, plain, rtol=1e-4, atol=1e-5)


def test_adaboost_is_not_far_from_its_first_member():
    X, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order], y[order]
    member = LoopedICLClassifier(n_loops=2, n_estimators=1)
    boosted = AdaBoostClassifier(member, n_estimators=2, random_state=0).fit(X[:100], y[:100])
    alone = member.fit(X[:100], y[:100]).score(X[100:200], y[100:200])
    assert boosted.score(X[100:200], y[100:200]) > alone - 0.1
