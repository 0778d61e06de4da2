"""Tables and kernels for the tests of kernel machines."""

import numpy as np
import torch

from sklearn_looped.core.kernels import KINDS, Kernel


def tensor(array):
    return torch.tensor(np.asarray(array, dtype=np.float64))[None]


def kernel_of(kind, rng, d, length=1.5):
    metric = tensor(rng.uniform(0.2, 2, d))
    return Kernel(torch.tensor([KINDS.index(kind)]), torch.tensor([length]).double(), metric)


def smooth_table(rng, n=120, d=4, noise=0.3):
    X = rng.uniform(-2, 2, (n, d))
    return X, (np.sin(2 * X[:, 0]) + X[:, 1] ** 2 + noise * rng.normal(size=n))[:, None]
