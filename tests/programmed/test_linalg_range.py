"""Programmed linear algebra on the largest and smallest numbers of float64."""

import numpy as np
import pytest
from numpy.linalg import LinAlgError

from sklearn_looped.programmed.algorithms.linalg import eigh, inv, matmul, solve, transpose


@pytest.mark.parametrize(
    ("x1", "x2", "expected"),
    [
        ([[1e300, 1e-300]], [[0.0], [1e300]], [[1.0]]),
        ([[1e160, 1e-160]], [[0.0], [1e160]], [[1.0]]),
        ([[1e308, 1e-308]], [[1e-308], [1e308]], [[2.0]]),
        ([[1e308]], [[1.0]], [[1e308]]),
        ([[1e-150], [1e150]], [[1e-150, 1e150]], [[1e-300, 1.0], [1.0, 1e300]]),
        ([[1e-200]], [[1e-200]], [[0.0]]),
    ],
)
@pytest.mark.parametrize("product", ["linear", "softmax"])
def test_products_of_the_largest_and_smallest_numbers(x1, x2, expected, product):
    result = matmul(x1, x2, product=product)
    error = np.abs(result.value - expected).max()
    assert error <= result.certificate.error_bound + 1e-15 * np.abs(expected).max()
    if product == "linear":
        assert result.certificate.error_bound <= 1e-15 * np.max(expected) + 5e-324


def test_transposes_copy_all_numbers():
    a = np.array([[1.7e308, 1.0, -1e-300], [5e-324, 0.0, 1e154]])
    result = transpose(a)
    assert np.array_equal(result.value, a.T)
    assert result.certificate.error_bound == 0


def test_results_beyond_the_range_are_refused():
    for compute in (
        lambda: matmul([[1e300]], [[1e300]]),
        lambda: matmul([[1e300, -1e300]], [[1e300], [1e300]]),
        lambda: solve([[1e-300]], [1e300]),
        lambda: inv([[5e-324]]),
        lambda: eigh([[1.5e308, 1.5e308], [1.5e308, 1.5e308]]),
    ):
        with pytest.raises(LinAlgError, match="beyond the range of float64; measure"):
            compute()


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e150, 1e300])
@pytest.mark.parametrize("product", ["linear", "softmax"])
def test_bounds_hold_in_all_units(scale, product):
    tol = 1e-6 if product == "softmax" else 1e-12
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])
    units = np.array([scale, 1.0])
    inverse = inv(a * units[:, None], tol=tol, product=product)
    expected = np.linalg.inv(a) / units
    assert np.abs(inverse.value - expected).max() <= inverse.certificate.error_bound
    solution = solve(a * scale, b * scale, tol=tol, product=product)
    assert np.abs(solution.value - np.linalg.solve(a, b)).max() <= (
        solution.certificate.error_bound
    )
    result = eigh(a * scale, tol=tol, product=product)
    exact = scale * (5 + np.array([-1, 1]) * np.sqrt(5)) / 2
    error = np.abs(result.value.eigenvalues - exact).max()
    assert error <= result.certificate.error_bound + 4e-16 * exact.max()
    assert 0 < result.certificate.error_bound <= tol * exact.max()
