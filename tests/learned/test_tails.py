"""Cells far out are compressed, all others stay."""

import numpy as np
import pytest

from sklearn_looped.learned.inference.tails import FAR_OUT, TARGETS, Tails


@pytest.mark.parametrize("strength", [1.0, TARGETS])
def test_values_keep_their_order_and_come_back(rng, strength):
    X = np.column_stack([rng.standard_cauchy(500), np.exp(4 * rng.normal(size=500))])
    tails = Tails.fit(X, strength=strength)
    compressed = tails.compress(X)
    np.testing.assert_array_equal(compressed.argsort(axis=0), X.argsort(axis=0))
    np.testing.assert_allclose(tails.restore(compressed), X, rtol=1e-9)
    width = np.quantile(X, 0.75, axis=0) - np.quantile(X, 0.25, axis=0)
    near = np.abs(X - np.median(X, axis=0)) < 0.99 * FAR_OUT * width
    np.testing.assert_array_equal(compressed[near], X[near])
    farthest = np.abs(compressed - tails.median).max(axis=0)
    assert (farthest < np.abs(X - tails.median).max(axis=0)).all()
    assert np.isfinite(tails.restore(1e6 * compressed)).all()


def test_plain_columns_and_those_of_one_common_value_stay(rng):
    X = np.column_stack(
        [rng.normal(size=99), np.where(np.arange(99) < 20, 1e9, 0.0), np.full(99, 7.0)]
    )
    X[3, 0] = np.nan
    tails = Tails.fit(X)
    assert tails.is_idle()
    np.testing.assert_array_equal(tails.compress(X), X)
    np.testing.assert_array_equal(tails.restore(X), X)


def test_weights_count_as_repetition_and_units_do_not_matter(rng):
    X, weights = rng.standard_cauchy((60, 1)), rng.integers(0, 4, 60)
    one, other = Tails.fit(X, weights.astype(float)), Tails.fit(np.repeat(X, weights, axis=0))
    np.testing.assert_allclose(one.median, other.median, rtol=1e-15)
    np.testing.assert_allclose(one.limit, other.limit, rtol=1e-15)
    turned = Tails.fit(5 - 1e3 * X, weights.astype(float))
    np.testing.assert_allclose(turned.compress(5 - 1e3 * X), 5 - 1e3 * one.compress(X), rtol=1e-9)
