"""Tables fitted as one batch and cut apart are as if each had been fitted by itself."""

import pytest
import torch

from sklearn_looped.core import tables
from sklearn_looped.core.kernel_machine import KernelMachine
from sklearn_looped.core.kernels import Kernel
from sklearn_looped.core.tables import fit_alike

CALL = Kernel.__call__


@pytest.fixture
def three():
    """A smooth table, a linear one of the same shape, and one of another shape."""
    generator = torch.manual_seed(0)
    X = torch.randn(3, 40, 4, dtype=torch.float64, generator=generator)
    Y = torch.stack([torch.sin(3 * X[0, :, :1]), X[1] @ X.new_tensor([[1.0], [2], [0], [0]]),
                     X[2, :, :1].abs()])  # fmt: skip
    w = torch.ones(3, 40, dtype=torch.float64)
    w[:, ::3] = 2
    rows = slice(0, 40), slice(0, 40), slice(0, 30)
    return [(X[i : i + 1, s], Y[i : i + 1, s], w[i : i + 1, s]) for i, s in enumerate(rows)]


def kernels_used(machine, queries, monkeypatch):
    used = []
    monkeypatch.setattr(Kernel, "__call__", lambda *args: used.append(0) or CALL(*args))
    found = *machine.predict(queries), machine.metric()
    return found, len(used)


def test_machines_cut_from_a_batch_are_those_of_each_table(three, monkeypatch):
    sizes = []

    def fit(X, Y, weights):
        sizes.append(len(X))
        return KernelMachine.fit(X, Y, weights)

    together = fit_alike(fit, three)
    assert sorted(sizes) == [1, 2]  # those of one shape are a batch
    queries = torch.randn(1, 5, 4, dtype=torch.float64)
    for machine, table in zip(together, three, strict=True):
        found, n_kernels = kernels_used(machine, queries, monkeypatch)
        alone, n_alone = kernels_used(KernelMachine.fit(*table), queries, monkeypatch)
        for part, expected in zip(found, alone, strict=True):
            torch.testing.assert_close(part, expected, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(machine.left_out, KernelMachine.fit(*table).left_out)
        assert n_kernels == n_alone  # nothing is computed for the sake of other tables


def test_batches_are_bounded_and_keep_their_order(three, monkeypatch):
    sizes = []

    def fit(X, _):
        sizes.append(len(X))
        return [X]

    twice = [(torch.cat([X, X + i]), None) for i, (X, _, _) in enumerate(three[:2] * 2)]
    monkeypatch.setattr(tables, "PAIRS", 4 * 40**2)
    found = fit_alike(fit, twice)
    assert sizes == [4, 4]  # two of two tables each
    assert all(torch.equal(part, X) for [part], (X, _) in zip(found, twice, strict=True))
    monkeypatch.setattr(tables, "PAIRS", 0)
    assert len(fit_alike(fit, twice)) == 4
    assert sizes[2:] == [2, 2, 2, 2]
