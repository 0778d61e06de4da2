"""The closed forms of kernel machines against brute force."""

import pytest
import torch
from kernel_tables import kernel_of, tensor

from sklearn_looped.core.kernel_ridge import LEAST_PENALTY, Solution, errors_by_penalty
from sklearn_looped.core.kernels import KINDS, Kernel
from sklearn_looped.core.tridiagonal import Tridiagonal


@pytest.fixture
def table(rng):
    X, w = rng.normal(size=(14, 3)), rng.integers(1, 4, 14)
    return tensor(X), tensor(rng.normal(size=(14, 2))), tensor(w)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_predictor(kind, table, rng):
    X, Y, _ = table
    kernel, P = kernel_of(kind, rng, 3), torch.cat([X[:, :4], X[:, 4:6] + 0.1], 1)
    steps = 1e-5 * torch.eye(3).double()
    expected = [(kernel(P + step, X) - kernel(P - step, X)) @ Y / 2e-5 for step in steps]
    found = kernel.gradients(P, X, Y)
    torch.testing.assert_close(found, torch.stack(expected, 2), atol=1e-8, rtol=0)


def test_a_row_is_left_out_with_all_its_copies(table, rng):
    X, Y, w = table
    kernel, penalty = kernel_of("laplace", rng, 3), torch.tensor([0.3]).double()
    K = kernel(X, X)
    solution = Solution.of(K, Y, w, penalty)
    for i in range(X.shape[1]):
        rest = [j for j in range(X.shape[1]) if j != i]
        other = Solution.of(K[:, rest][:, :, rest], Y[:, rest], w[:, rest], penalty)
        prediction = other.intercept[:, 0] + K[:, i, rest] @ other.coef[0]
        torch.testing.assert_close(Y[:, i] - prediction, solution.residual[:, i])


def test_errors_of_many_penalties_are_those_of_each(table, rng):
    X, Y, w = table
    K = kernel_of("gauss", rng, 3)(X, X)
    penalties = torch.tensor([1e-4, 0.1, 10.0]).double()
    expected = [Solution.of(K, Y, w, penalty[None]).error(w) for penalty in penalties]
    torch.testing.assert_close(errors_by_penalty(K, Y, w, penalties)[0], torch.cat(expected))


@pytest.mark.parametrize("n_rows", [2, 3, 70])
def test_one_reduction_serves_all_inverses(n_rows, rng):
    factors = torch.tensor(rng.normal(size=(3, n_rows, n_rows // 2 + 1)))  # not of full rank
    A, sides = factors @ factors.mT, torch.tensor(rng.normal(size=(3, n_rows, 4)))
    penalties = torch.tensor([1e-5, 1.0]).double()
    diagonals, solved = Tridiagonal.of(A).inverses(sides, penalties)
    for place, penalty in enumerate(penalties):
        inverse = torch.linalg.inv(A + penalty * torch.eye(n_rows))
        expected = inverse.diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(diagonals[..., place], expected, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(solved[..., place], inverse @ sides, rtol=1e-6, atol=1e-4)


def test_rounding_of_huge_matrices_makes_no_inverse_negative(rng):
    x = 1e9 * torch.tensor(rng.normal(size=(1, 50, 1)))
    diagonals, solved = Tridiagonal.of(x @ x.mT).inverses(x, torch.tensor([1e-5]).double())
    assert (diagonals > 0).all()
    assert torch.isfinite(solved).all()


def test_a_weight_counts_as_repetition(table, rng):
    X, Y, w = table
    kernel, penalty = kernel_of("gauss", rng, 3), torch.tensor([0.3]).double()
    repeated = w[0].long()
    many_X, many_Y = (part.repeat_interleave(repeated, 1) for part in (X, Y))
    Q = torch.linspace(-2, 2, 15).double().reshape(1, 5, 3)
    predictions = []
    for rows, targets, weights in ((X, Y, w), (many_X, many_Y, torch.ones_like(many_Y[..., 0]))):
        solution = Solution.of(kernel(rows, rows), targets, weights, penalty)
        predictions.append(solution.intercept + kernel(Q, rows) @ solution.coef)
    torch.testing.assert_close(*predictions)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", [1e-5, 2e-3])
def test_variances_are_those_of_the_inverse(kind, penalty, rng):
    X = tensor(rng.uniform(-2, 2, (300, 4)))
    Q = torch.cat([X + 1e-3, X[:, ::3], 2 * X], 1)
    kernel, w = kernel_of(kind, rng, 4, length=4.0), tensor(rng.integers(1, 3, 300))
    penalty = torch.tensor([penalty]).double()
    solution = Solution.of(kernel(X, X), X[..., :1], w, penalty)
    K, own = kernel(Q, X), kernel.variances(Q)
    inverse = torch.linalg.inv(kernel(X, X) + torch.diag_embed(penalty / w))
    u = inverse.sum(-1, keepdim=True)
    explained = ((K @ inverse) * K).sum(-1) - (1 - K @ u)[..., 0].square() / u.sum()
    expected = own + penalty - explained
    found = solution.variances(K, own)
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-3 if penalty < 1e-4 else 1e-7)


@pytest.mark.parametrize("penalty", [1e-9, 1e-5, 0.3])
@pytest.mark.parametrize("length", [0.5, 20.0])
@pytest.mark.parametrize("kind", KINDS)
def test_coarse_variances_hold_to_a_thousandth_however_small_they_are(kind, length, penalty, rng):
    """Queries from rows of the support, where rounding counts most, to far from all of them."""
    X, w = tensor(rng.normal(size=(300, 3))), tensor(rng.integers(1, 4, 300))
    Q = torch.cat([X[:, :20], X[:, :20] + 0.01, tensor(4 * rng.normal(size=(20, 3)))], 1)
    kernel, penalties = kernel_of(kind, rng, 3, length), torch.tensor([penalty]).double()
    K, own = kernel(Q, X), kernel.variances(Q)
    solution = Solution.of(kernel(X, X), X[..., :1], w, penalties)
    found = solution.variances(K, own, coarse=True)
    torch.testing.assert_close(found, solution.variances(K, own), rtol=1e-3, atol=0)
    if penalty == 0.3:  # else too few variances are large
        assert not torch.equal(found, solution.variances(K, own))


def test_rows_of_a_huge_weight_need_no_penalty_of_their_own(table):
    X, Y, _ = table
    twice = torch.cat([X, X], 1)
    solution = Solution.of(
        Kernel(torch.tensor([2]), torch.tensor([50.0]).double(), torch.ones(1, 3).double())(
            twice, twice
        ),
        torch.cat([Y, -Y], 1),
        torch.full((1, 28), 1e12).double(),
        torch.tensor([1e-5]).double(),
    )
    assert solution.coef.isfinite().all()
    assert LEAST_PENALTY > 1e-5 / 1e12
