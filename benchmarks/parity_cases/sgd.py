"""SGD: random parameters on random data."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.linear_model import SGDClassifier, SGDRegressor

from benchmarks.parity_cases.case import Case
from sklearn_looped import ProgrammedSGDClassifier, ProgrammedSGDRegressor

BOUND = 1e-12
IN_A_GROUP = 10  # cases that share one block


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(10 ** rng.uniform(np.log10(low), np.log10(high)))


def parameters(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters that both kinds of estimator have, but the loss."""
    return {
        "alpha": log_uniform(rng, 1e-5, 1.0),
        "l1_ratio": float(rng.uniform()),
        "fit_intercept": bool(rng.random() < 0.8),
        "max_iter": int(rng.integers(1, 5)),
        "tol": [None, 1e-3, 0.1][rng.integers(3)],
        "shuffle": bool(rng.random() < 0.8),
        "epsilon": float(rng.uniform(0, 0.5)),
        "random_state": int(rng.integers(1000)),
        "learning_rate": str(rng.choice(["constant", "optimal", "invscaling", "adaptive"])),
        "eta0": log_uniform(rng, 1e-3, 0.3),
        "power_t": float(rng.uniform()),
        "early_stopping": bool(rng.random() < 0.3),
        "validation_fraction": float(rng.uniform(0.2, 0.4)),
        "n_iter_no_change": int(rng.integers(1, 4)),
    }


def state(model: Any) -> list[Any]:
    return [model.coef_, model.intercept_, int(model.n_iter_), int(model.t_)]


def fit(kind: Any, options: dict[str, Any], how: str, y: Any, weights: Any, X: Any) -> list[Any]:
    """Fit once, or twice with a warm start, or part by part."""
    model = kind(**options)
    if how == "parts":
        first = {"classes": np.unique(y)} if hasattr(model, "class_weight") else {}
        half = len(X) // 2
        model.partial_fit(X[:half], y[:half], **first)
        return state(model.partial_fit(X[half:], y[half:]))
    model.fit(X, y, sample_weight=weights)
    if how == "warm":
        model.set_params(warm_start=True).fit(X, y)
    return state(model)


def group(
    rng: np.random.Generator, kinds: tuple[Any, Any], classes: int, n_cases: int
) -> Iterator[Case]:
    """Cases that differ in all but what the weights of the block depend on."""
    losses = ["squared_error", "huber", "epsilon_insensitive"]
    losses = losses if classes == 0 else [*losses, "hinge", "log_loss", "hinge", "log_loss"]
    penalty = ["l2", "l1", "elasticnet", None][rng.integers(4)]
    shared = {"loss": str(rng.choice(losses)), "penalty": penalty}
    average = [False, False, True, 7][rng.integers(4)]
    d = int(rng.integers(1, 7))
    for _ in range(n_cases):
        n = int(rng.integers(10, 30)) * (2 if classes else 1)
        X = rng.normal(size=(n, d))
        y = X @ rng.normal(size=d) + 0.3 * rng.normal(size=n)
        options = shared | parameters(rng) | {"average": average}
        if classes:
            y = np.digitize(y, np.quantile(y, np.arange(1, classes) / classes))
            weights = ["balanced", None, {0: 2.0, 1: 0.5}][rng.integers(3)]
            options |= {"class_weight": weights}
        # Scikit-learn's average is another where a model goes on from an earlier one.
        how = "once" if average else str(rng.choice(["once", "once", "warm", "parts"]))
        if how == "parts":
            options["early_stopping"] = False
            options["class_weight" if classes else "average"] = None if classes else False
        # Zeros may fill the rows that early stopping holds out, which both refuse.
        factors = [0.5, 1.0, 2.0] if options["early_stopping"] else [0.0, 0.5, 1.0, 2.0]
        weights = rng.choice(factors, n) if rng.random() < 0.5 else None
        fits = [partial(fit, kind, options, how, y, weights) for kind in kinds]
        yield Case(*fits, X, BOUND)


def drawn(rng: np.random.Generator, n_cases: int, classes: int) -> Iterator[Case]:
    """Cases with parameters drawn at random, for a number of classes, or 0 for a regression."""
    ours = ProgrammedSGDClassifier if classes else ProgrammedSGDRegressor
    theirs = SGDClassifier if classes else SGDRegressor
    for start in range(0, n_cases, IN_A_GROUP):
        yield from group(rng, (ours, theirs), classes, min(IN_A_GROUP, n_cases - start))
