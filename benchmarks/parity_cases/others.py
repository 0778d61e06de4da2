"""Least squares, components, clusters and kernels: random parameters on random data."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge

from benchmarks.parity_cases.case import Case
from benchmarks.parity_cases.sgd import log_uniform
from sklearn_looped import (
    ProgrammedKernelMachineRegressor,
    ProgrammedKernelRegressor,
    ProgrammedKMeans,
    ProgrammedLinearRegression,
    ProgrammedPCA,
    ProgrammedRidge,
)


def attributes(kind: Any, options: dict[str, Any], names: tuple[str, ...], y: Any, X: Any) -> list:
    model = kind(**options).fit(X, y)
    return [np.ravel(getattr(model, name)) for name in names]


def predictions(kind: Any, options: dict[str, Any], y: Any, X: Any) -> list:
    return [kind(**options).fit(X, y).predict(X + 0.1)]


def table(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    d = int(rng.integers(1, 7))
    X = rng.normal(size=(int(rng.integers(d + 8, 40)), d)) @ rng.normal(size=(d, d))
    return X, X @ rng.normal(size=d) + rng.normal(size=len(X))


def linear(rng: np.random.Generator, n_cases: int) -> Iterator[Case]:
    """Least squares and ridge regression, with one target or three."""
    for i in range(n_cases):
        X, y = table(rng)
        y = y if rng.random() < 0.7 else np.stack([y, y**2, X[:, 0]], axis=1)
        options: dict[str, Any] = {"fit_intercept": bool(rng.random() < 0.8)}
        kinds = (ProgrammedLinearRegression, LinearRegression)
        if i % 2:
            kinds, options["alpha"] = (ProgrammedRidge, Ridge), log_uniform(rng, 1e-3, 100)
        names = ("coef_", "intercept_")
        yield Case(*(partial(attributes, kind, options, names, y) for kind in kinds), X, 1e-8)


def components(rng: np.random.Generator, n_cases: int) -> Iterator[Case]:
    """Variances, means and projections: what close variances leave determined."""
    for _ in range(n_cases):
        X, _ = table(rng)
        options = {"n_components": int(rng.integers(1, X.shape[1] + 1))}
        names = ("explained_variance_", "explained_variance_ratio_", "mean_")
        kinds = (ProgrammedPCA, PCA)
        yield Case(*(partial(attributes, kind, options, names, None) for kind in kinds), X, 1e-12)


def clusters(rng: np.random.Generator, n_cases: int) -> Iterator[Case]:
    """Lloyd's algorithm from the same start."""
    for _ in range(n_cases):
        X, _ = table(rng)
        options = {"n_clusters": int(rng.integers(1, 6)), "random_state": int(rng.integers(1000))}
        options |= {"init": str(rng.choice(["k-means++", "random"]))}
        names = ("labels_", "cluster_centers_", "inertia_", "n_iter_")
        fits = [partial(attributes, ProgrammedKMeans, options, names, None)]
        fits.append(partial(attributes, KMeans, options | {"n_init": 1}, names, None))
        yield Case(*fits, X, 1e-12)


def kernels(rng: np.random.Generator, n_cases: int) -> Iterator[Case]:
    """Nadaraya and Watson's smoother, and kernel ridge regression in its metric of ones."""
    for i in range(n_cases):
        X, y = table(rng)
        X /= X.std(axis=0)
        if i % 2:
            h = float(rng.uniform(0.3, 3))
            ours = partial(predictions, ProgrammedKernelRegressor, {"bandwidth": h}, y)
            yield Case(ours, partial(smoothed, h, y), X, 1e-12)
            continue
        length, penalty = float(rng.uniform(0.5, 5)), log_uniform(rng, 0.1, 10)
        options = {"length": length, "penalty": penalty, "n_rounds": 0}
        ours = partial(predictions, ProgrammedKernelMachineRegressor, options, y)
        yield Case(ours, partial(kernel_ridge, length, penalty, y), X, 1e-9)


def squares(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Squared distances."""
    return ((A[:, None] - B[None]) ** 2).sum(axis=2)


def smoothed(h: float, y: np.ndarray, X: np.ndarray) -> list:
    """Evaluate the formula of Nadaraya and Watson."""
    scores = -squares(X + 0.1, X) / (2 * h * h)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return [weights @ y / weights.sum(axis=1)]


def kernel_ridge(length: float, penalty: float, y: np.ndarray, X: np.ndarray) -> list:
    """Solve for a Gaussian kernel with a small linear part and an intercept, in numpy."""
    centre, n, d = X.mean(axis=0), *X.shape

    def kernel(A: np.ndarray) -> np.ndarray:
        linear = (A - centre) @ (X - centre).T
        return np.exp(-squares(A, X) / (2 * length**2)) + 0.1 * linear / d

    system = np.ones((n + 1, n + 1))
    system[:n, :n] = kernel(X) + penalty * np.eye(n)
    system[n, n] = 0
    solution = np.linalg.solve(system, np.append(y, 0.0))
    slack = 0.5 * np.ptp(y)
    answer = kernel(X + 0.1) @ solution[:n] + solution[n]
    return [np.clip(answer, y.min() - slack, y.max() + slack)]
