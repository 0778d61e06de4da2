import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV

from sklearn_looped.core.ridge import PENALTIES, Ridge


def tensor(array):
    return torch.tensor(np.asarray(array, dtype=np.float64))[None]


@pytest.fixture
def table(rng):
    X = rng.normal(size=(40, 3)) @ np.diag([1.0, 5.0, 0.2]) + 2
    return X, X @ [[1.0], [0.3], [0.0]] + rng.normal(size=(40, 1))


def test_the_penalty_is_that_of_scikit_learns_ridge_cv(table):
    X, y = table
    alphas = 0.4 * np.array(PENALTIES)
    expected = RidgeCV(alphas).fit(X - X.mean(0), y[:, 0])
    found = Ridge.fit(tensor(X), tensor(y))
    np.testing.assert_allclose(found.coef[0, :, 0], expected.coef_, rtol=1e-8)


def test_a_row_is_left_out_with_all_its_copies(table, rng):
    X, y = table
    w = rng.integers(1, 4, 40).astype(float)
    found = Ridge.fit(tensor(X), tensor(y), tensor(w))
    # The chosen penalty, from the solution itself.
    centred = X - np.average(X, axis=0, weights=w)
    coef, target = found.coef[0].numpy(), y - np.average(y[:, 0], weights=w)
    missed = (w[:, None] * centred).T @ (target - centred @ coef)
    penalty = (coef * missed).sum() / (coef**2).sum()
    for i in range(40):
        rest = np.arange(40) != i
        other = SklearnRidge(penalty).fit(X[rest], y[rest], sample_weight=w[rest])
        assert other.predict(X[i : i + 1]).item() == pytest.approx(found.left_out[0, i, 0].item())


def test_each_target_is_alone_and_a_batch_is_its_tables(table, rng):
    X, y = table
    Y = np.column_stack([y, rng.normal(size=40), 1e6 * X[:, 1], np.full(40, 3.0)])
    Q = tensor(rng.normal(size=(7, 3)))
    together = Ridge.fit(tensor(X), tensor(Y))
    assert 0 < together.relative_error.item() < 1
    for i in range(4):
        alone = Ridge.fit(tensor(X).repeat(2, 1, 1), tensor(Y[:, i : i + 1]).repeat(2, 1, 1))
        for found, expected in zip(
            alone.predict(Q.repeat(2, 1, 1)), together.predict(Q), strict=True
        ):
            for batch in range(2):
                torch.testing.assert_close(found[batch], expected[0, :, i : i + 1])


def test_intervals_cover_about_what_they_say(rng):
    X = rng.normal(size=(500, 5))
    y = X @ rng.normal(size=(5, 1)) + rng.normal(size=(500, 1))
    mean, std = Ridge.fit(tensor(X[:60]), tensor(y[:60])).predict(tensor(X[60:]))
    assert 0.7 < np.mean(np.abs(y[60:] - mean[0].numpy()) < 1.2816 * std[0].numpy()) < 0.9


def test_without_columns_it_is_the_mean(rng):
    y = rng.normal(size=(6, 2))
    found = Ridge.fit(tensor(np.empty((6, 0))), tensor(y))
    np.testing.assert_allclose(found.predict(tensor(np.empty((3, 0))))[0][0], [y.mean(0)] * 3)
    np.testing.assert_allclose(found.left_out[0], (y.sum(0) - y) / 5)


@pytest.mark.parametrize("n", [2, 3, 30])
def test_collinear_and_constant_columns_are_harmless(n, rng):
    x = rng.normal(size=(n, 1))
    X = np.column_stack([x, 2 * x, np.ones(n), x])
    found = Ridge.fit(tensor(X), tensor(3 * x))
    assert found.coef.isfinite().all()
    assert found.left_out_std.isfinite().all()
    assert n < 30 or found.relative_error.item() < 1e-3
