"""Shares of stacked predictors against solvers of scipy."""

import numpy as np
import pytest
import scipy.optimize
import torch
from kernel_tables import tensor

from sklearn_looped.core.stacking import stacking_shares


def test_shares_are_those_of_non_negative_least_squares(rng):
    Z, w = rng.normal(size=50), rng.uniform(0.5, 2, 50)
    gains = np.outer(Z, [0.5, 0.1, -0.3, 0.4]) + rng.normal(size=(50, 4))
    expected, _ = scipy.optimize.nnls(gains * np.sqrt(w)[:, None], Z * np.sqrt(w))
    assert 0 < np.count_nonzero(expected) < 4
    found = stacking_shares(tensor(gains)[:, :, None], tensor(Z)[..., None], tensor(w))
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-6)


def test_shares_add_up_to_at_most_one_and_equal_members_do_no_harm(rng):
    Z = tensor(rng.normal(size=(30, 1)))
    ones = torch.ones_like(Z[..., 0])
    double = stacking_shares(torch.stack([Z / 2, Z / 2, 0 * Z], -1), Z, ones)
    torch.testing.assert_close(double.sum(-1), torch.ones_like(double[..., 0]))
    gains = tensor(np.outer(Z[0], [0.5, 0.4, -0.3]) + 0.3 * rng.normal(size=(30, 3)))[:, :, None]
    found = stacking_shares(gains, Z, ones)[0, 0].numpy()
    expected = scipy.optimize.minimize(
        lambda shares: np.mean((Z[0, :, 0].numpy() - gains[0, :, 0].numpy() @ shares) ** 2),
        np.full(3, 0.3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "ineq", "fun": lambda shares: 1 - shares.sum()},
        tol=1e-12,
    ).x
    assert found.sum() == pytest.approx(1)  # without the bound it is larger
    np.testing.assert_allclose(found, expected, atol=1e-4)
    nothing = stacking_shares(torch.stack([-Z, 0 * Z, 1e-17 * Z], -1), Z, ones)
    assert nothing.max() < 1e-6
