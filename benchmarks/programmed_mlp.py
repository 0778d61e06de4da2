"""How fast is backpropagation inside the transformer, and how far from scikit-learn's?

Sample steps a second on one core: every evaluation of the loop, whole fits, a plain numpy loop and
scikit-learn's networks with the same settings (sigmoid, SGD, batches of one, no momentum), at 8
features and 500 samples; and the largest difference of any weight and of any epoch's loss after
the fits. ``python -m benchmarks programmed_mlp`` prints two tables and writes
benchmarks/results/programmed_mlp.json and programmed_mlp_parity.json.
"""

import argparse
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.common.report import report, spread
from benchmarks.common.timing import rates
from sklearn_looped import ProgrammedMLPClassifier, ProgrammedMLPRegressor

N_SAMPLES, N_FEATURES, N_EPOCHS = 500, 8, 4
LOOPS = {"dense": 4, "fast": N_SAMPLES}
SHAPES = [(16,), (100,), (16, 16)]
OPTIONS = {"learning_rate_init": 0.05, "max_iter": N_EPOCHS, "random_state": 0}
OPTIONS |= {"activation": "logistic", "batch_size": 1, "momentum": 0}

Run = Callable[[], object]


def problem(n_classes: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, N_FEATURES))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=N_SAMPLES)
    if n_classes:
        y = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    return X, y


def pair(sizes: tuple[int, ...], n_classes: int) -> tuple:
    """Unfitted estimators of one setting, ours and scikit-learn's."""
    kinds = (
        (ProgrammedMLPClassifier, MLPClassifier)
        if n_classes
        else (ProgrammedMLPRegressor, MLPRegressor)
    )
    options = {"hidden_layer_sizes": sizes, **OPTIONS}
    return kinds[0](**options), kinds[1](**options, solver="sgd")


def name_of(sizes: tuple[int, ...], n_classes: int) -> str:
    return "-".join(map(str, sizes)) + (f", {n_classes} classes" if n_classes else "")


def numpy_backpropagation(X: np.ndarray, y: np.ndarray, sizes: tuple[int, ...]) -> list:
    """Run the plain loop, one sample at a time, on a network with one output."""
    rng, eta, alpha = np.random.default_rng(0), 0.05, 1e-4
    shapes = zip((X.shape[1], *sizes), (*sizes, 1), strict=True)
    layers = [(rng.normal(size=shape), np.zeros(shape[1])) for shape in shapes]
    for _ in range(N_EPOCHS):
        for x, target in zip(X, y, strict=True):
            activations = [x]
            for w, b in layers[:-1]:
                activations.append(expit(activations[-1] @ w + b))
            w, b = layers[-1]
            delta = activations[-1] @ w + b - target
            for i in range(len(layers) - 1, -1, -1):
                (w, b), a = layers[i], activations[i]
                step = eta * delta
                delta = w @ delta * a * (1 - a)
                w *= 1 - eta * alpha
                w -= np.outer(a, step)
                b -= step
    return layers


def cases() -> Iterator[tuple[str, str, int, Run]]:
    """Network, what runs it, steps, and the run."""
    for sizes in SHAPES:
        X, y = problem()
        ours, theirs = pair(sizes, 0)
        name = name_of(sizes, 0)
        ours.fit(X, y)
        state = ours.punchcard_.state
        transformer = ours.block_.transformer(ours.punchcard_.tokens)
        for evaluation, n_loops in LOOPS.items():
            states = partial(transformer.run, state, n_loops, evaluation=evaluation)
            yield name, evaluation, n_loops, lambda states=states: deque(states(), 0)
        steps = N_EPOCHS * N_SAMPLES
        yield name, "fit", steps, partial(ours.fit, X, y)
        yield name, "numpy loop", steps, partial(numpy_backpropagation, X, y, sizes)
        yield name, "scikit-learn", steps, partial(theirs.fit, X, y)
        yield name, "predict", N_SAMPLES, partial(ours.predict, X)
    for n_classes in (2, 3):
        X, y = problem(n_classes)
        ours, theirs = pair((16,), n_classes)
        name = name_of((16,), n_classes)
        yield name, "fit", N_EPOCHS * N_SAMPLES, partial(ours.fit, X, y)
        yield name, "scikit-learn", N_EPOCHS * N_SAMPLES, partial(theirs.fit, X, y)


def parity() -> Iterator[dict]:
    """Largest differences from scikit-learn after a fit, shuffled, with an adaptive rate."""
    for sizes in SHAPES:
        for n_classes in (0, 2, 3):
            X, y = problem(n_classes)
            ours, theirs = (
                model.set_params(learning_rate="adaptive", alpha=1e-3, max_iter=10).fit(X, y)
                for model in pair(sizes, n_classes)
            )
            weights = [(*model.coefs_, *model.intercepts_) for model in (ours, theirs)]
            yield {
                "network": name_of(sizes, n_classes),
                "steps": ours.n_loops_,
                "max |weight - sklearn's|": max(
                    float(np.abs(mine - other).max()) for mine, other in zip(*weights, strict=True)
                ),
                "max |loss - sklearn's|": float(
                    np.abs(np.subtract(ours.loss_curve_, theirs.loss_curve_)).max()
                ),
            }


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    rows = []
    for network, name, steps, call in cases():
        speed = spread(rates(steps, call), "steps/s")
        rows.append({"network": network, "run by": name, **speed})
    report(args, "programmed_mlp", rows)
    report(args, "programmed_mlp_parity", list(parity()))
