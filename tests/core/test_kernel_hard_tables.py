"""Kernel machines on hard tables."""

import numpy as np
import pytest
import torch
from kernel_tables import tensor

from sklearn_looped.core.kernel_machine import KernelMachine
from sklearn_looped.core.stacking import SLACK


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
