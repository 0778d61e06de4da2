"""Least squares of least norm with fewer samples than features."""

import warnings

import numpy as np
import pytest
from numpy.linalg import LinAlgError
from scipy.linalg import hadamard
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression

from sklearn_looped import ProgrammedLinearRegression
from sklearn_looped.programmed.algorithms.linalg import least_norm_of_rows


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n", "d"), [(12, 40), (12, 12), (13, 12), (1, 3)])
def test_fewer_samples_than_features_take_few_loops(rng, n, d, fit_intercept, weighted):
    X, y = rng.normal(size=(n, d)) * np.logspace(-1, 1, d) + 3, rng.normal(size=(n, 2))
    weights = rng.uniform(0.5, 2, n) if weighted else None
    theirs = LinearRegression(fit_intercept=fit_intercept).fit(X, y, weights)
    ours = ProgrammedLinearRegression(fit_intercept=fit_intercept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours.fit(X, y, weights)
    error, size = np.abs(ours.coef_ - theirs.coef_).max(), np.abs(theirs.coef_).max()
    assert error <= ours.certificate_.error_bound + 1e-11 * size
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=1e-8 * size)
    assert ours.n_loops_ < 100


@pytest.mark.parametrize("digits", [4, 12, 16])
def test_the_bound_of_the_rows_equations_holds(rng, digits):
    """All numbers are exact: B B' = d I, and M has condition number about 4 * 2**digits."""
    d, n = 8, 2.0**digits
    B = hadamard(d)[rng.choice(d, 2, replace=False)].astype(float)
    M, inverse = np.array([[n + 1, n], [n, n]]), np.array([[1, -1], [-1, (n + 1) / n]])
    b = rng.integers(-9, 9, (2, 3)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = least_norm_of_rows(M @ B, b, centred=False)
    error = np.abs(found.value - B.T @ (inverse @ b) / d).max()
    assert error <= found.certificate.error_bound
    assert found.certificate.error_bound < 1e-9 or digits > 4


def test_samples_that_depend_on_each_other_are_solved_in_their_subspace(rng):
    X, y = rng.normal(size=(6, 9)), rng.normal(size=6)
    X[1], y[1] = X[0], y[0]
    assert least_norm_of_rows(X, y[:, None], centred=False) is None
    ours = ProgrammedLinearRegression().fit(X, y)
    assert np.abs(ours.coef_ - LinearRegression().fit(X, y).coef_).max() < 1e-12
    assert ours.n_loops_ > 100


def test_too_few_loops_for_independent_samples_raise(rng):
    with pytest.raises(LinAlgError, match="after 3 loops"):
        ProgrammedLinearRegression(max_loops=3).fit(rng.normal(size=(6, 9)), rng.normal(size=6))
