"""The kernel machine: closed forms against brute force, invariances, and hard tables."""

import pickle

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.datasets import make_friedman1

from sklearn_looped.core.kernel_machine import KernelMachine, Search
from sklearn_looped.core.kernel_ridge import LEAST_PENALTY, Solution, errors_by_penalty
from sklearn_looped.core.kernels import KINDS, Kernel
from sklearn_looped.core.metric import shrunk, strengths
from sklearn_looped.core.stacking import SLACK, stacking_shares
from sklearn_looped.core.tridiagonal import Tridiagonal


def tensor(array):
    return torch.tensor(np.asarray(array, dtype=np.float64))[None]


def kernel_of(kind, rng, d, length=1.5):
    metric = tensor(rng.uniform(0.2, 2, d))
    return Kernel(torch.tensor([KINDS.index(kind)]), torch.tensor([length]).double(), metric)


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


def smooth_table(rng, n=120, d=4, noise=0.3):
    X = rng.uniform(-2, 2, (n, d))
    return X, (np.sin(2 * X[:, 0]) + X[:, 1] ** 2 + noise * rng.normal(size=n))[:, None]


def test_the_metric_finds_the_columns_that_matter(rng):
    X, y = smooth_table(rng, n=250, d=6, noise=0.1)
    for n_loops in (0, 2):
        metric = KernelMachine.fit(tensor(X), tensor(y), None, Search(n_loops=n_loops)).metric()[0]
        assert metric.mean().item() == pytest.approx(1, abs=1e-3)
        assert metric[:2].min() > 3 * metric[2:].max()


def test_a_column_without_a_trend_is_found_among_many_of_no_use():
    X, y = make_friedman1(600, 60, noise=1, random_state=0)
    X, z = tensor(X - 0.5) * 12**0.5, tensor(y[:, None] - y.mean()) / y.std()
    machine = KernelMachine.fit(X[:, :400], z[:, :400], None, Search(("gauss",)))
    shares = machine.kernel.metric[0] / machine.kernel.metric.sum()
    assert shares[2] > 0.1  # its effect is even
    assert shares[5:].sum() < 0.02
    residual = z[:, 400:] - machine.predict(X[:, 400:])[0]
    assert residual.var() < 0.1 * z[:, 400:].var()


def test_machines_without_plain_kernels_have_learned_metrics_only(rng):
    X, y = smooth_table(rng)
    for n_loops, learned in ((2, True), (0, False)):  # without rounds the plain one is all there is
        search = Search(n_loops=n_loops, plain=False)
        machine = KernelMachine.fit(tensor(X), tensor(y), None, search)
        metrics = [kernel.metric for kernel, _ in machine.parts]
        assert 1 <= len(metrics) <= len(search.kinds)
        assert all(bool((metric != 1).any()) == learned for metric in metrics)
        assert machine.relative_error < 0.5


def test_few_rows_draw_the_metric_to_what_each_column_explains(rng):
    X, y = smooth_table(rng, n=60)
    Z, w = tensor((y - y.mean()) / y.std()), torch.ones(1, 60).double()
    drawn_to = (1 + strengths(tensor(X), Z, w)) / 2

    def metrics(metric_rows):
        search = Search(("gauss",), plain=False, metric_rows=metric_rows)
        machine = KernelMachine.fit(tensor(X), tensor(y), None, search)
        return torch.stack([kernel.metric for kernel, _ in machine.parts])

    learned = metrics(0.0)
    assert (learned - drawn_to).abs().max() > 0.1
    assert torch.equal(metrics(60.0), learned)  # sixty rows are enough
    torch.testing.assert_close(metrics(120.0), (learned + drawn_to) / 2)
    torch.testing.assert_close(metrics(1e9), drawn_to[None], atol=1e-6, rtol=0)
    twice = shrunk(learned[0], 2 * drawn_to - 1, 2 * w, 240.0)
    torch.testing.assert_close(twice, metrics(120.0)[0])


def test_the_leave_one_out_error_is_that_on_new_rows(rng):
    X, y = smooth_table(rng, n=900)
    machine = KernelMachine.fit(tensor(X[:300]), tensor(y[:300]))
    missed = y[300:] - machine.predict(tensor(X[300:]))[0][0].numpy()
    assert np.mean(missed**2) / y.var() == pytest.approx(machine.relative_error.item(), rel=0.4)
    left_out = y[:300] - machine.left_out[0].numpy()
    expected = np.mean(left_out**2) / y[:300].var()
    assert machine.relative_error.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("noise", [0.05, 0.5, 2.0])
def test_intervals_cover_about_what_they_say(rng, noise):
    X, y = smooth_table(rng, n=600, noise=noise)
    machine = KernelMachine.fit(tensor(X[:200]), tensor(y[:200]))
    mean, std = (part[0].numpy() for part in machine.predict(tensor(X[200:])))
    assert 0.7 < np.mean(np.abs(y[200:] - mean) < 1.2816 * std) < 0.9
    left_out, left_out_std = machine.left_out[0].numpy(), machine.left_out_std[0].numpy()
    assert 0.7 < np.mean(np.abs(y[:200] - left_out) < 1.2816 * left_out_std) < 0.92


def test_a_batch_is_its_tables(rng):
    tables = [smooth_table(rng, n=40, noise=noise) for noise in (0.1, 3.0, 0.5)]
    X, Y = (torch.cat([tensor(part) for part in parts]) for parts in zip(*tables, strict=True))
    w = torch.tensor(rng.integers(1, 3, (3, 40))).double()
    Q = torch.tensor(rng.uniform(-2, 2, (3, 6, 4)))
    search = Search(n_rows=25)
    together = KernelMachine.fit(X, Y, w, search).predict(Q)
    for i in range(3):
        machine = KernelMachine.fit(X[i : i + 1], Y[i : i + 1], w[i : i + 1], search)
        for found, expected in zip(together, machine.predict(Q[i : i + 1]), strict=True):
            torch.testing.assert_close(found[i : i + 1], expected, atol=1e-6, rtol=0)


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


def test_order_of_columns_and_without_loops_of_rows_does_not_matter(rng):
    X, y = smooth_table(rng)
    Q, permuted, columns = tensor(rng.uniform(-2, 2, (9, 4))), rng.permutation(120), [2, 0, 3, 1]
    for n_loops, rows in ((0, permuted), (2, np.arange(120))):
        search = Search(n_loops=n_loops)  # loops take every other row
        machine = KernelMachine.fit(tensor(X), tensor(y), None, search)
        other = KernelMachine.fit(tensor(X[rows][:, columns]), tensor(y[rows]), None, search)
        (mean, std), (known, known_std) = other.predict(Q[..., columns]), machine.predict(Q)
        torch.testing.assert_close(mean, known, atol=1e-7, rtol=0)
        torch.testing.assert_close(std, known_std, atol=1e-7, rtol=0)
        torch.testing.assert_close(other.metric(), machine.metric()[:, columns], atol=1e-6, rtol=0)
        torch.testing.assert_close(other.left_out, machine.left_out[:, rows], atol=1e-7, rtol=0)


def test_learned_columns_know_no_left_out_row_even_where_they_are_as_many_as_rows(rng):
    missed, expected = 0.0, 0.0
    for _ in range(3):
        X = rng.normal(size=(400, 100))
        y = X @ rng.uniform(0, 1, (100, 1)) + rng.normal(size=(400, 1))
        machine = KernelMachine.fit(tensor(X[:100]), tensor(y[:100]), None, Search(("gauss",)))
        error = y[100:] - machine.predict(tensor(X[100:]))[0][0].numpy()
        missed += np.mean(error**2) / y.var()
        expected += machine.relative_error.item()
    assert missed < 3 * expected  # with the mean squares of one predictor's slopes eight times


def test_targets_of_one_table_are_predicted_together(rng):
    X, y = smooth_table(rng)
    both = np.column_stack([y, 5 - 1e6 * y, np.full(120, 7.0)])
    Q = tensor(rng.uniform(-2, 2, (9, 4)))
    mean, std = (part[0].numpy() for part in KernelMachine.fit(tensor(X), tensor(both)).predict(Q))
    np.testing.assert_allclose(mean[:, 1], 5 - 1e6 * mean[:, 0], rtol=1e-6)
    np.testing.assert_allclose(std[:, 1], 1e6 * std[:, 0], rtol=1e-6)
    assert (mean[:, 2] == 7).all()
    assert (std[:, 2] == 0).all()


def test_a_pickle_is_small_and_predicts_the_same(rng):
    X, y = smooth_table(rng)
    machine = KernelMachine.fit(tensor(X), tensor(y))
    text = pickle.dumps(machine)
    assert len(text) < 50_000  # the roots alone have 57,600 bytes
    for found, expected in zip(
        pickle.loads(text).predict(machine.X), machine.predict(machine.X), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)


def factorial(rng):
    grid = np.stack(np.meshgrid([-1, 0, 1], [-1, 1], [-1, 1]), -1).reshape(-1, 3)
    return np.repeat(grid.astype(float), 8, axis=0)


def collinear(rng):
    X = rng.normal(size=(60, 2))
    return np.column_stack([X, X @ [[1.0, 2], [1, -1]], X[:, :1]])


HARD = {
    "no columns": lambda rng: np.empty((20, 0)),
    "constant columns": lambda rng: np.ones((30, 3)),
    "one column varies": lambda rng: np.column_stack([np.ones(40), rng.normal(size=40)]),
    "copies": lambda rng: np.repeat(rng.normal(size=(12, 3)), 6, axis=0),
    "nearly copies": lambda rng: (
        np.repeat(rng.normal(size=(12, 3)), 6, axis=0) + 1e-9 * rng.normal(size=(72, 3))
    ),
    "factorial": factorial,
    "collinear": collinear,
    "few levels": lambda rng: rng.integers(0, 2, (80, 6)).astype(float),
    "one row apart": lambda rng: np.append(np.zeros((30, 2)), [[8.0, -8.0]], axis=0),
    "wide": lambda rng: rng.normal(size=(15, 60)),
    "two rows": lambda rng: rng.normal(size=(2, 2)),
    "three rows": lambda rng: rng.normal(size=(3, 2)),
    "large cells": lambda rng: 1e4 * rng.normal(size=(40, 3)),
    "small cells": lambda rng: 1e-4 * rng.normal(size=(40, 3)),
}
TARGETS = {
    "noise": lambda rng, X: rng.normal(size=len(X)),
    "line": lambda rng, X: X.sum(axis=1),
    "outlier": lambda rng, X: np.where(np.arange(len(X)) == 1, 1e8, rng.normal(size=len(X))),
    "labels": lambda rng, X: (rng.random(len(X)) < 0.2).astype(float),
    "constant": lambda rng, X: np.full(len(X), -3.0),
    "large": lambda rng, X: 1e150 * (1 + rng.normal(size=len(X))),
    "small": lambda rng, X: 1e-150 * rng.normal(size=len(X)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("design", HARD)
def test_hard_tables_are_predicted_within_the_range_and_no_worse_than_by_the_mean(
    design, target, rng
):
    X = HARD[design](rng)
    y = TARGETS[target](rng, X)
    Q = np.concatenate([X, 20 * X + 1])
    for weights in (None, tensor(10.0 ** rng.integers(-3, 4, len(X)))):
        machine = KernelMachine.fit(tensor(X), tensor(y)[..., None], weights)
        for mean, std in (
            machine.predict(tensor(Q)),
            (machine.left_out, machine.left_out_std),
        ):
            assert mean.isfinite().all()
            assert (std.isfinite() & (std >= 0)).all()
            slack = SLACK * np.ptp(y) + 1e-12 * np.abs(y).max()
            assert y.min() - slack <= mean.min()
            assert mean.max() <= y.max() + slack
        w = torch.ones(1, len(X)).double() if weights is None else weights
        share = (w / (w.sum(1, keepdim=True) - w))[0].numpy()
        by_mean = np.average(
            (y - np.average(y, weights=w[0])) ** 2 * (1 + share) ** 2, weights=w[0]
        )
        variance = np.average((y - np.average(y, weights=w[0])) ** 2, weights=w[0])
        worst = by_mean / variance if variance > 0 else 0
        assert machine.relative_error.item() <= worst * (1 + 1e-6) + 1e-12


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
