"""Members' shares and the number of loops, by predictions of the support without its targets."""

import numpy as np
import pytest
from scipy.optimize import minimize

from sklearn_looped.learned.inference.left_out import PRIOR_ROWS, fewest_loops, shares_of, weigh
from sklearn_looped.learned.inference.support import Support

N_ROWS = 60


@pytest.fixture
def residuals(rng):
    shared = rng.normal(size=N_ROWS)
    return np.stack([shared + scale * rng.normal(size=N_ROWS) for scale in (0.3, 0.5, 2.0)])


def test_shares_are_the_minimum_of_the_penalised_error(residuals):
    gram, prior = residuals @ residuals.T, np.array([0.2, 0.3, 0.5])
    shares = shares_of(gram, prior, N_ROWS)
    penalty = PRIOR_ROWS * (prior @ gram @ prior) / N_ROWS

    def loss(w):
        return w @ gram @ w + penalty * ((w - prior) ** 2).sum()

    constraint = {"type": "eq", "fun": lambda w: w.sum() - 1}
    known = minimize(loss, prior, bounds=[(0, None)] * 3, constraints=constraint, tol=1e-12)
    np.testing.assert_allclose(shares, known.x, atol=1e-4)
    assert shares.sum() == pytest.approx(1, abs=1e-12)
    assert shares[2] < prior[2]


def test_a_member_that_is_always_wrong_gets_next_to_nothing(rng):
    right = rng.normal(size=N_ROWS) * 0.1
    both = np.stack([right, right + 5])
    assert 0 <= shares_of(both @ both.T, np.array([0.9, 0.1]), N_ROWS)[1] < 0.003


def test_members_without_error_keep_their_prior_shares():
    assert np.array_equal(shares_of(np.zeros((2, 2)), np.array([0.3, 0.7]), 5), [0.3, 0.7])


@pytest.mark.parametrize("unit", [1e-150, 1.0, 1e150])
def test_units_of_targets_do_not_matter_and_weights_count_rows(rng, unit):
    Y = rng.normal(size=(N_ROWS, 2))
    left_out = [Y.T[..., None] + rng.normal(size=(3, 2, N_ROWS, 1)) for _ in range(2)]
    importance = [np.array([1.0, 0.5]), np.array([0.5, 0.5])]
    counts = rng.integers(1, 4, N_ROWS)
    weights = counts.astype(float)
    known = weigh(left_out, importance, Support(None, Y, weights), 3)
    scaled = weigh(
        [unit * each for each in left_out], importance, Support(None, unit * Y, weights), 3
    )
    np.testing.assert_allclose(scaled.shares, known.shares, rtol=1e-9)
    assert np.array_equal(scaled.enough(), known.enough())
    rows = np.repeat(np.arange(N_ROWS), counts)
    repeated = weigh(
        [each[:, :, rows] for each in left_out], importance, Support(None, Y[rows], None), 3
    )
    np.testing.assert_allclose(repeated.shares, known.shares, rtol=1e-9)
    assert known.shares.shape == (3, 2, 2)
    np.testing.assert_allclose(known.shares.sum(1), 1, rtol=1e-12)


def test_without_predictions_shares_go_by_importance_and_all_loops_are_taken():
    found = weigh(
        [None, None], [np.array([3.0]), np.array([1.0])], Support(None, np.ones((4, 1)), None), 5
    )
    assert np.array_equal(found.shares, np.tile([[[0.75], [0.25]]], (5, 1, 1)))
    assert found.enough() == 5


def test_loops_end_before_the_first_that_is_of_little_use_for_each_target():
    errors = np.array([[9, 9, 1, 0], [5, 5, 1, 0], [3, 3, 1, 0], [2.995, 2, 1, 0], [1, 1, 0, 0]])
    assert fewest_loops(errors).tolist() == [3, 5, 3, 3]
    assert [fewest_loops(errors[:n, :2]).tolist() for n in (1, 2, 3)] == [[1, 1], [2, 2], [3, 3]]
    assert fewest_loops(errors[:4]).tolist() == [3, 4, 3, 3]  # as far as is known
