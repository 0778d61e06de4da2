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


def attributes(
    kind: Any, options: dict[str, Any], names: tuple[str, ...], y: Any, weights: Any, X: Any
) -> list:
    given = {} if weights is None else {"sample_weight": weights}
    model = kind(**options).fit(X, y, **given)
    return [np.asarray(getattr(model, name)) for name in names]


def predictions(kind: Any, options: dict[str, Any], y: Any, X: Any) -> list:
    return [kind(**options).fit(X, y).predict(X + 0.1)]


def table(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    d = int(rng.integers(1, 7))
    X = rng.normal(size=(int(rng.integers(d + 8, 40)), d)) @ rng.normal(size=(d, d))
    return X, X @ rng.normal(size=d) + rng.normal(size=len(X))


def some_weights(rng: np.random.Generator, n: int) -> np.ndarray | None:
    """Weights of the rows, of which some are 0, in half of the cases."""
    return rng.choice([0.0, 0.5, 1.0, 2.0], n) if rng.random() < 0.5 else None


def linear(rng: np.random.Generator, n_cases: int, ridge: bool) -> Iterator[Case]:
    """Least squares or ridge regression; a third of the tables have dependent columns."""
    kinds = (ProgrammedRidge, Ridge) if ridge else (ProgrammedLinearRegression, LinearRegression)
    for _ in range(n_cases):
        X, y = table(rng)
        if rng.random() < 1 / 3:
            X = X @ rng.normal(size=(X.shape[1], X.shape[1] + int(rng.integers(1, 4))))
        y = [y, y[:, None], np.stack([y, y**2, X[:, 0]], axis=1)][rng.integers(3)]
        options: dict[str, Any] = {"fit_intercept": bool(rng.random() < 0.8)}
        options |= {"alpha": log_uniform(rng, 1e-3, 100)} if ridge else {}
        more = ("coef_", "intercept_"), y, some_weights(rng, len(X))
        yield Case(*(partial(attributes, kind, options, *more) for kind in kinds), X, 1e-8)


def components(rng: np.random.Generator, n_cases: int) -> Iterator[Case]:
    """Variances, means and their number: what close variances leave determined."""
    for _ in range(n_cases):
        X, _ = table(rng)
        asked = [int(rng.integers(1, X.shape[1] + 1)), float(rng.uniform(0.2, 0.99)), "mle", None]
        options = {"n_components": asked[rng.integers(4 if X.shape[1] > 1 else 2)]}
        names = ("explained_variance_", "explained_variance_ratio_", "mean_", "n_components_")
        kinds = (ProgrammedPCA, PCA)
        yield Case(
            *(partial(attributes, kind, options, names, None, None) for kind in kinds), X, 1e-12
        )


def clusters(rng: np.random.Generator, n_cases: int) -> Iterator[Case]:
    """Lloyd's algorithm from the same start, which in a third of the cases leaves some empty."""
    for _ in range(n_cases):
        X, _ = table(rng)
        k = int(rng.integers(1, 6))
        far = X[rng.integers(len(X), size=k)] * rng.choice([1.0, 5.0], size=(k, 1))
        options = {"n_clusters": k, "random_state": int(rng.integers(1000))}
        options |= {"init": ["k-means++", "random", far][rng.integers(3)]}
        names = ("labels_", "cluster_centers_", "inertia_", "n_iter_")
        more = names, None, some_weights(rng, len(X))
        fits = [partial(attributes, ProgrammedKMeans, options, *more)]
        fits.append(partial(attributes, KMeans, options | {"n_init": 1}, *more))
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
