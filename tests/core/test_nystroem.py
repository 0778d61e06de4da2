"""Kernel machines through landmarks, warped columns and the division of rows."""

import numpy as np
import pytest
import torch

from sklearn_looped.core import column_warp, kernel_machine, nystroem
from sklearn_looped.core.column_warp import ColumnWarp
from sklearn_looped.core.kernel_ridge import Solution
from sklearn_looped.core.kernels import KINDS, Kernel
from sklearn_looped.core.nystroem import LargeKernelMachine, NystroemRidge
from sklearn_looped.core.partition import Partition


@pytest.fixture
def kernel():
    return Kernel(torch.tensor([KINDS.index("gauss")]), torch.ones(1).double(), torch.ones(1, 2))


def test_a_row_is_left_out_with_all_its_copies(kernel, rng, monkeypatch):
    """Brute force, with the same landmarks and penalty; blocks of five rows."""
    monkeypatch.setattr(nystroem, "BLOCK", 5)
    monkeypatch.setattr(nystroem, "PENALTIES", (0.1,))
    X = torch.tensor(rng.normal(size=(13, 2)))
    Y, w = torch.tensor(rng.normal(size=(13, 2))), torch.tensor(rng.integers(1, 4, 13)).double()
    found = NystroemRidge.fit(kernel, X, Y, w, X[:6])
    for i in range(13):
        rest = [j for j in range(13) if j != i]
        other = NystroemRidge.fit(kernel, X[rest], Y[rest], w[rest], X[:6])
        torch.testing.assert_close(found.left_out[i], other.predict(X[i : i + 1])[0])


def test_with_all_rows_as_landmarks_it_is_kernel_ridge(kernel, rng, monkeypatch):
    monkeypatch.setattr(nystroem, "PENALTIES", (0.3,))
    X, Q = (torch.tensor(rng.normal(size=(n, 2))) for n in (20, 5))
    Y, w = torch.tensor(rng.normal(size=(20, 1))), torch.ones(20).double()
    found = NystroemRidge.fit(kernel, X, Y, w, X).predict(Q)
    penalty = torch.tensor([0.3]).double()
    known = Solution.of(kernel(X[None], X[None]), Y[None], w[None], penalty)
    expected = (kernel(Q[None], X[None]) @ known.coef + known.intercept)[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_warp_sharpens_steps(rng, monkeypatch):
    monkeypatch.setattr(nystroem, "N_LANDMARKS", 128)
    X, w = torch.tensor(rng.uniform(-1, 1, size=(800, 3))), torch.ones(800).double()
    y = (X[:, 0] > 0.2).double() + (X[:, 1] > -0.3) * (X[:, 0] > -0.5)
    y = ((y - y.mean()) / y.std())[:, None]
    warped = LargeKernelMachine.fit(X, y, w, "manhattan")
    plain = LargeKernelMachine.fit(X, y, w, "manhattan", n_warps=0)
    assert plain.warp is None
    error, without = (float((y - each.left_out).square().mean()) for each in (warped, plain))
    assert error < 0.7 * without
    assert warped.metric(X, w).argmin() == 2  # the column that says nothing


def test_the_length_that_few_rows_choose_is_corrected_by_many(rng, monkeypatch):
    monkeypatch.setattr(nystroem, "N_LANDMARKS", 64)
    search = kernel_machine.Search(("gauss",), lengths=(2.0,))
    monkeypatch.setattr(nystroem, "Search", lambda kinds: search)
    X, w = torch.tensor(rng.uniform(-1, 1, size=(500, 1))), torch.ones(500).double()
    y = torch.sin(12 * X) + 0.1 * torch.tensor(rng.normal(size=(500, 1)))
    tuned = LargeKernelMachine.fit(X, y, w, "gauss").ridge
    monkeypatch.setattr(nystroem, "TRIED", (1.0,))
    plain = LargeKernelMachine.fit(X, y, w, "gauss").ridge
    torch.testing.assert_close(tuned.features.kernel.length, plain.features.kernel.length / 2)
    assert tuned.error(y, w) < 0.9 * plain.error(y, w)


def test_a_warp_has_to_save_more_than_it_learns_by_heart(rng, monkeypatch):
    X, w = torch.tensor(rng.uniform(-1, 1, size=(200, 4))), torch.ones(200).double()
    y = X[:, :1] + X[:, 1:2] * X[:, 2:3] + 0.5 * torch.tensor(rng.normal(size=(200, 1)))
    assert LargeKernelMachine.fit(X, y, w, "manhattan").warp is None
    monkeypatch.setattr(nystroem, "WARP_ROWS", 0)
    assert LargeKernelMachine.fit(X, y, w, "manhattan").warp is not None


def test_slopes_of_a_warp_are_its_derivatives(rng):
    X = torch.tensor(np.column_stack([rng.normal(size=300), rng.integers(0, 2, 300), [3.0] * 300]))
    warp = ColumnWarp.fit(X, X, X.square(), torch.ones(300))
    P = torch.tensor([[0.1234, 0.5, 3.0], [-0.4321, 0.25, 3.0]]).double()
    steps = 1e-6 * torch.eye(3).double()
    found = warp.slopes(P)
    for j in (0, 1):
        change = (warp(P + steps[j]) - warp(P - steps[j]))[:, j] / 2e-6
        torch.testing.assert_close(found[:, j], change, rtol=1e-4, atol=1e-6)
    assert (found[:, 2] == 0).all()


@pytest.mark.parametrize(("n_rows", "used"), [(7, 7), (9, 8), (15, 8), (17, 8), (100, 8)])
def test_a_warp_is_made_from_no_more_rows_than_it_says(n_rows, used, rng, monkeypatch):
    seen = []
    monkeypatch.setattr(column_warp, "N_ROWS", 8)
    edges = column_warp._edges
    monkeypatch.setattr(column_warp, "_edges", lambda c: seen.append(len(c)) or edges(c))
    X = torch.tensor(rng.normal(size=(n_rows, 2)))
    ColumnWarp.fit(X, X, X.square(), torch.ones(n_rows))
    assert seen == [used, used]


def test_parts_hold_every_row_once_and_queries_find_the_part_of_equal_rows(rng):
    X = torch.tensor(np.column_stack([rng.normal(size=500), rng.integers(0, 3, 500) / 9]))
    partition = Partition(X, 40)
    assert torch.cat(partition.parts).sort().values.tolist() == list(range(500))
    assert max(map(len, partition.parts)) <= 40
    for number, rows in enumerate(partition.parts):
        assert (partition.of(X[rows]) == number).all()


def test_equal_rows_are_not_divided():
    X = torch.cat([torch.zeros(50, 2), torch.ones(3, 2)]).double()
    assert sorted(map(len, Partition(X, 10).parts)) == [3, 50]
