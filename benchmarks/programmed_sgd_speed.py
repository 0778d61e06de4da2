"""How fast is SGD inside the transformer? Sample steps a second on one core.

Every evaluation of the loop, many models at once, a plain numpy loop and scikit-learn's
SGDRegressor, at 8 features and 1,000 samples. ``python -m benchmarks programmed_sgd_speed``
prints a table and writes benchmarks/results/programmed_sgd_speed.json.
"""

import argparse
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from sklearn.linear_model import SGDRegressor

from benchmarks.common.report import report, spread
from benchmarks.common.timing import rates
from sklearn_looped import ProgrammedSGDClassifier, ProgrammedSGDRegressor
from sklearn_looped.estimators.sgd import fit_many

N_SAMPLES, N_FEATURES = 1_000, 8
LOOPS = {"dense": 8, "fast": 1_000}
BATCHES = (8, 64)

Case = tuple[str, int, Callable[[], object]]  # name, steps, what makes them


def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, N_FEATURES))
    y = X @ rng.normal(size=N_FEATURES) + 0.1 * rng.normal(size=N_SAMPLES)
    return X, y / np.abs(y).max()  # linearised products are for factors up to 4


def loops() -> Iterator[Case]:
    """Time the loop alone, by evaluation and form of product, on the punchcard of a fit."""
    X, y = problem()
    for product in ("gated", "linear", "softmax"):
        model = ProgrammedSGDRegressor(product=product, n_loops=1_000, tol=None).fit(X, y)
        state = model.punchcard_.state
        transformer = model.block_.transformer(model.punchcard_.tokens)
        for evaluation, n_loops in LOOPS.items():
            if product != "gated":
                n_loops = min(n_loops, 1 if evaluation == "dense" else 100)

            states = partial(transformer.run, state, n_loops, evaluation=evaluation)
            yield f"{product} {evaluation}", n_loops, lambda states=states: deque(states(), 0)


def fits() -> Iterator[Case]:
    """Time whole fits: order and step sizes, punchcard, loop."""
    X, y = problem()
    options = {"max_iter": 5, "tol": None, "random_state": 0}
    ours, theirs = ProgrammedSGDRegressor(**options), SGDRegressor(**options)
    yield "fit", 5 * N_SAMPLES, lambda: ours.fit(X, y)
    log_loss = ProgrammedSGDClassifier("log_loss", **options)
    yield "fit, log loss", 5 * N_SAMPLES, lambda: log_loss.fit(X, y > 0)
    for size in BATCHES:
        grid = [
            ProgrammedSGDRegressor(alpha=alpha, max_iter=1, tol=None, random_state=0)
            for alpha in np.logspace(-6, 0, size)
        ]
        yield f"fit_many of {size}", size * N_SAMPLES, lambda grid=grid: fit_many(grid, X, y)
    yield "plain numpy loop", 5 * N_SAMPLES, lambda: numpy_sgd(X, y, 5)
    yield "SGDRegressor", 5 * N_SAMPLES, lambda: theirs.fit(X, y)


def numpy_sgd(X: np.ndarray, y: np.ndarray, n_epochs: int) -> np.ndarray:
    w, b, t = np.zeros(X.shape[1]), 0.0, 0
    for _ in range(n_epochs):
        for x, target in zip(X, y, strict=True):
            t += 1
            eta = 0.01 / t**0.25
            step = eta * (w @ x + b - target)
            w = (1 - eta * 1e-4) * w - step * x
            b -= step
    return w


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    rows = []
    for make in (loops, fits):
        for name, steps, call in make():
            size = {"samples": N_SAMPLES, "columns": N_FEATURES}
            rows.append({"case": name, **size, **spread(rates(steps, call), "steps/s")})
    report(args, "programmed_sgd_speed", rows)
