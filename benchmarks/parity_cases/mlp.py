"""Networks: random parameters on random data."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from benchmarks.parity_cases.case import Case
from benchmarks.parity_cases.sgd import BOUND, IN_A_GROUP, log_uniform
from sklearn_looped import ProgrammedMLPClassifier, ProgrammedMLPRegressor


def parameters(rng: np.random.Generator) -> dict[str, Any]:
    """Parameters that the weights of the transformer do not depend on."""
    return {
        "alpha": log_uniform(rng, 1e-6, 0.1),
        "batch_size": ["auto", 1, int(rng.integers(2, 12))][rng.integers(3)],
        "learning_rate": str(rng.choice(["constant", "invscaling", "adaptive"])),
        "learning_rate_init": log_uniform(rng, 1e-3, 0.1),
        "power_t": float(rng.uniform()),
        "max_iter": int(rng.integers(1, 5)),
        "shuffle": bool(rng.random() < 0.8),
        "random_state": int(rng.integers(1000)),
        "tol": log_uniform(rng, 1e-4, 0.1),
        "n_iter_no_change": int(rng.integers(1, 4)),
        "early_stopping": bool(rng.random() < 0.4),
        "validation_fraction": float(rng.uniform(0.2, 0.4)),
    }


def state(model: Any) -> list[Any]:
    scores = model.validation_scores_ or []
    numbers = [int(model.n_iter_), int(model.t_)]
    return [*model.coefs_, *model.intercepts_, model.loss_curve_, np.array(scores), *numbers]


def fit(kind: Any, options: dict[str, Any], how: str, y: Any, weights: Any, X: Any) -> list[Any]:
    """Fit once, or twice with a warm start, or part by part."""
    model = kind(**options)
    if how == "parts":
        first = {"classes": np.unique(y)} if hasattr(model, "predict_proba") else {}
        half = len(X) // 2
        model.partial_fit(X[:half], y[:half], **first)
        model.partial_fit(X[half:], y[half:])
        return state(model.partial_fit(X, y, sample_weight=weights))
    model.fit(X, y, sample_weight=weights)
    if how == "warm":
        model.set_params(warm_start=True).fit(X, y)
    return state(model)


def drawn(rng: np.random.Generator, n_cases: int, outputs: int) -> Iterator[Case]:
    """Cases of a regression on so many targets, or of so many classes if `outputs` < 0."""
    for start in range(0, n_cases, IN_A_GROUP):
        yield from group(rng, outputs, min(IN_A_GROUP, n_cases - start))


def group(rng: np.random.Generator, outputs: int, n_cases: int) -> Iterator[Case]:
    """Cases that differ in all but what the weights of the block depend on."""
    ours = ProgrammedMLPClassifier if outputs < 0 else ProgrammedMLPRegressor
    theirs = MLPClassifier if outputs < 0 else MLPRegressor
    d = int(rng.integers(1, 6))
    shared = {
        "hidden_layer_sizes": tuple(rng.integers(1, 7, size=rng.integers(1, 4)).tolist()),
        "activation": str(rng.choice(["identity", "logistic", "tanh", "relu"])),
        "momentum": float(rng.choice([0.0, 0.5, 0.9])),
        "nesterovs_momentum": bool(rng.random() < 0.5),
    }
    for _ in range(n_cases):
        X = rng.normal(size=(int(rng.integers(12, 30)), d))
        y = np.sin(X @ rng.normal(size=(d, max(1, outputs)))) + X[:, :1]
        if outputs < 0:
            cuts = np.quantile(y[:, 0], np.arange(1, -outputs) / -outputs)
            y = np.digitize(y[:, 0], cuts)
        elif outputs == 1:
            y = y[:, 0]
        options = shared | parameters(rng)
        how = str(rng.choice(["once", "once", "warm", "parts"]))
        options["early_stopping"] &= how != "parts"
        weights = rng.choice([0.5, 1.0, 2.0], len(X)) if rng.random() < 0.5 else None
        baseline = partial(fit, theirs, options | {"solver": "sgd"}, how, y, weights)
        yield Case(partial(fit, ours, options, how, y, weights), baseline, X, BOUND)
