"""Signs and orders that correlations leave open, and supports that are their own images."""

import itertools

import numpy as np
import pytest
import torch

from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.inference.ties import settle

GRID = np.array([*itertools.product([-1.0, 0.0, 1.0], repeat=2)])
TARGETS = {
    "uneven in one column": GRID[:, 0] ** 2 + GRID[:, 0] ** 2 * GRID[:, 1],
    "even in both": GRID[:, 0] ** 2 - 0.5 * GRID[:, 1] ** 2,
    "a product": GRID[:, 0] * GRID[:, 1] + GRID[:, 0] ** 2,
    "columns alike": (GRID**2).sum(1) + GRID[:, 0] * GRID[:, 1],
}


def canonical(X, y, Q):
    """Sorted rows of the support, and the queries, as the network would see them."""
    X, y, Q = (torch.tensor(part)[None] for part in (X, y, Q))
    scale, mirrors = settle(Standardiser.fit(X, y), X, y)
    rows = torch.cat([scale.features(X)[0], scale.target(y)[0, :, None]], 1).numpy().round(8) + 0.0
    return rows[np.lexsort(rows.T)], mirrors.first(scale.features(Q))[0].numpy()


@pytest.mark.parametrize("target", TARGETS)
def test_designs_look_the_same_for_any_signs_and_order(target, rng):
    y, Q = TARGETS[target], rng.uniform(-1, 1, (5, 2))
    rows, queries = canonical(GRID, y, Q)
    for order, signs in itertools.product(
        ([0, 1], [1, 0]), itertools.product((1.0, -1.0), repeat=2)
    ):
        change = lambda X, order=order, signs=signs: X[:, order] * signs  # noqa: E731
        for factor in (1.0, -3.0):
            moved, asked = canonical(change(GRID), factor * y, change(Q))
            np.testing.assert_allclose(moved, rows, atol=1e-7)
            np.testing.assert_allclose(asked, queries, atol=1e-7)


def test_a_target_that_is_not_skewed_gets_a_sign_from_the_columns(rng):
    y = np.repeat([0.0, 1.0], 10)
    X = np.column_stack([rng.normal(size=20) * (1 + y), rng.normal(size=20)])
    rows, _ = canonical(X, y, X)
    np.testing.assert_allclose(canonical(-X[:, ::-1], 1 - y, X)[0], rows, atol=1e-7)


def test_missing_cells_stay_missing_and_many_open_columns_stay_as_they_are(rng):
    X = np.array([*itertools.product([-1.0, 1.0], repeat=5)])
    y = (X[:, 0] * X[:, 1]) + 0.1 * X[:, 2] * X[:, 3] * X[:, 4]
    holed = X.copy()
    holed[3, 2] = np.nan
    for table in (X, holed):
        rows, queries = canonical(table, y, table[:4])
        assert np.isnan(queries).sum() == np.isnan(table[:4]).sum()
        assert len(rows) == 32
