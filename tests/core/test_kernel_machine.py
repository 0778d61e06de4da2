"""The kernel machine: its metric, errors, intervals and invariances."""

import pickle

import numpy as np
import pytest
import torch
from kernel_tables import smooth_table, tensor
from sklearn.datasets import make_friedman1

from sklearn_looped.core.kernel_machine import KernelMachine, Search
from sklearn_looped.core.metric import shrunk, strengths


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
