"""How exact and how fast is linear algebra inside the transformer?

Inverse and solution over condition numbers, eigenvectors over gaps, products against their
bounds, and the estimators against scikit-learn's, each beside numpy or scikit-learn in the same
run. ``python -m benchmarks programmed_linalg`` prints four tables and writes
benchmarks/results/programmed_linalg_{systems,eigenvectors,products,estimators}.json.
"""

import argparse
import warnings
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, Ridge

from benchmarks.common.report import report, spread
from benchmarks.common.timing import N_REPEATS, timed
from sklearn_looped import (
    ProgrammedKernelRegressor,
    ProgrammedKMeans,
    ProgrammedLinearRegression,
    ProgrammedPCA,
    ProgrammedRidge,
)
from sklearn_looped.programmed.algorithms.linalg import eigh, inv, matmul, solve, transpose

N = 20
CONDITIONS = 10.0 ** np.arange(9)
GAPS = 10.0 ** -np.arange(1, 13, 2)
KINDS = ("linear", "softmax")


def timed_again(run: Callable[[], Any]) -> tuple[Any, float]:
    """Return the result and CPU seconds of a second run; the first one builds the weights."""
    run()
    return timed(run)[:2]


def orthogonal(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def systems() -> list[dict[str, Any]]:
    """Errors relative to the largest entry, against the construction's exact answers.

    The construction is rounded itself, which moves the answers by about 1e-16 times the
    condition number: numpy's column shows it.
    """
    rows = []
    for product in KINDS:
        for condition in CONDITIONS:
            for task in ("inv", "solve"):
                row = {"task": task, "product": product, "condition": condition}
                rows.append(row | _system(task, product, condition))
    return rows


def _system(task: str, product: str, condition: float) -> dict[str, Any]:
    columns: dict[str, list[float]] = {}
    for seed in range(N_REPEATS):
        rng = np.random.default_rng(seed)
        U, V, s = orthogonal(rng, N), orthogonal(rng, N), np.geomspace(1, 1 / condition, N)
        a, x = U * s @ V, rng.normal(size=N)
        if task == "inv":
            exact = V.T / s @ U.T
            ours, theirs = lambda a=a: inv(a, product=product), lambda a=a: np.linalg.inv(a)
        else:
            exact, b = x, U @ (s * (V @ x))
            ours = lambda a=a, b=b: solve(a, b, product=product)  # noqa: E731
            theirs = lambda a=a, b=b: np.linalg.solve(a, b)  # noqa: E731
        size = np.abs(exact).max()
        numpys, numpy_time = timed_again(theirs)
        try:
            result, seconds = timed_again(ours)
        except np.linalg.LinAlgError:
            columns.setdefault("refused", []).append(1.0)
            continue
        found = {
            "loops": result.n_loops,
            "error": np.abs(result.value - exact).max() / size,
            "bound": result.certificate.error_bound / size,
            "numpy error": np.abs(numpys - exact).max() / size,
            "ms": 1e3 * seconds,
            "times numpy": seconds / numpy_time,
        }
        for name, value in found.items():
            columns.setdefault(name, []).append(float(value))
    refused = len(columns.pop("refused", []))
    return {"refused": refused, **_spreads(columns)}


def _spreads(columns: dict[str, list[float]]) -> dict[str, float]:
    return dict(chain.from_iterable(spread(v, name).items() for name, v in columns.items()))


def eigenvectors() -> list[dict[str, Any]]:
    """Two close eigenvalues on top: loops to part them, and what is left of the eigenvector."""
    rows = []
    for product in KINDS:
        for gap in GAPS:
            columns: dict[str, list[float]] = {}
            for seed in range(N_REPEATS):
                rng = np.random.default_rng(seed)
                Q = orthogonal(rng, N)
                values = np.r_[np.linspace(0.1, 0.5, N - 2), 1 - gap, 1]
                a = Q * values @ Q.T
                a = (a + a.T) / 2
                (_, v), numpy_time = timed_again(lambda a=a: np.linalg.eigh(a))
                result, seconds = timed_again(lambda a=a, p=product: eigh(a, 1, product=p))
                top = result.value.eigenvectors[:, 0]
                found = {
                    "loops": result.n_loops,
                    "value error": abs(result.value.eigenvalues[0] - 1),
                    "bound": result.certificate.error_bound,
                    "vector error": min(np.linalg.norm(top - s * Q[:, -1]) for s in (1, -1)),
                    "numpy vector error": min(
                        np.linalg.norm(v[:, -1] - s * Q[:, -1]) for s in (1, -1)
                    ),
                    "ms": 1e3 * seconds,
                    "times numpy": seconds / numpy_time,
                }
                for name, value in found.items():
                    columns.setdefault(name, []).append(float(value))
            rows.append({"product": product, "gap": gap, **_spreads(columns)})
    return rows


def products() -> list[dict[str, Any]]:
    """Largest error of a product and its bound, over random matrices of several sizes."""
    rows = []
    for product in KINDS:
        for n in (4, 20, 60):
            rng = np.random.default_rng(n)
            for name, function in (("matmul", matmul), ("transpose", transpose)):
                errors, shares = [], []
                for _ in range(N_REPEATS):
                    a, b = rng.normal(size=(2, n, n))
                    inputs = (a, b) if name == "matmul" else (a,)
                    result = function(*inputs, product=product)
                    exact = a.astype(np.longdouble) @ b if name == "matmul" else a.T
                    errors.append(float(np.abs(result.value - exact).max()))
                    bound = result.certificate.error_bound
                    shares.append(errors[-1] / bound if bound else 0.0)
                row = {"task": name, "product": product, "n": n, "bound": bound}
                rows.append(row | _spreads({"error": errors, "error / bound": shares}))
    return rows


def estimators() -> list[dict[str, Any]]:
    """Largest differences to scikit-learn's fitted attributes, relative to the attribute's size."""
    rows = []
    wine, diabetes, iris = load_wine().data, load_diabetes(), load_iris().data
    iris = iris + np.random.default_rng(0).uniform(-0.05, 0.05, size=iris.shape)
    linear, pca = ("coef_", "intercept_"), ("components_", "explained_variance_")
    options = {"random_state": 0}
    targets = load_wine().target.astype(float)
    for data, X, y in (("diabetes", diabetes.data, diabetes.target), ("wine", wine, targets)):
        rows.append(_compare(data, X, y, ProgrammedLinearRegression(), LinearRegression(), linear))
        rows.append(_compare(data, X, y, ProgrammedRidge(), Ridge(), linear))
        rows.append(_compare(data, X, y, ProgrammedKernelRegressor(), Formula(), ()))
    for data, X in (("iris", iris), ("wine", wine), ("diabetes", diabetes.data)):
        rows.append(_compare(data, X, None, ProgrammedPCA(2), PCA(2), pca))
        theirs = KMeans(3, n_init=1, algorithm="lloyd", **options)
        names = ("cluster_centers_", "labels_", "inertia_", "n_iter_")
        rows.append(_compare(data, X, None, ProgrammedKMeans(3, **options), theirs, names))
    return rows


class Formula:
    """Nadaraya-Watson in plain numpy, bandwidth 1."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Formula":
        """Keep the samples."""
        self.X, self.y = X, y
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Weigh the targets."""
        scores = -((X[:, None] - self.X) ** 2).sum(axis=2) / 2
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return weights @ self.y / weights.sum(axis=1)


def _compare(
    data: str, X: np.ndarray, y: Any, ours: Any, theirs: Any, names: tuple[str, ...]
) -> dict[str, Any]:
    """One estimator on one table: fit it and let it predict or transform the table itself."""
    method = "transform" if isinstance(ours, ProgrammedPCA) else "predict"
    output, seconds = timed_again(lambda: getattr(ours.fit(X, y), method)(X))
    expected, their_seconds = timed_again(lambda: getattr(theirs.fit(X, y), method)(X))
    pairs = [(output, expected)]
    pairs += [(getattr(ours, name), getattr(theirs, name)) for name in names]
    worst = max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
    return {
        "estimator": type(ours).__name__,
        "data": f"{data} {X.shape[0]} x {X.shape[1]}",
        "largest difference": float(worst),
        "loops": getattr(ours, "n_loops_", 1),
        "ms": 1e3 * seconds,
        "times scikit-learn": seconds / their_seconds,
    }


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # the tables show it
    for make in (systems, eigenvectors, products, estimators):
        report(args, f"programmed_linalg_{make.__name__}", make())
