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
    }


def state(options: dict[str, Any], kind: Any, y: Any, X: Any) -> list[Any]:
    model = kind(**options).fit(X, y)
    return [*model.coefs_, *model.intercepts_, model.loss_curve_]


def drawn(rng: np.random.Generator, n_cases: int, outputs: int) -> Iterator[Case]:
    """Cases of a regression on so many targets, or of so many classes if `outputs` < 0."""
    ours = ProgrammedMLPClassifier if outputs < 0 else ProgrammedMLPRegressor
    theirs = MLPClassifier if outputs < 0 else MLPRegressor
    for _ in range(-(-n_cases // IN_A_GROUP)):
        d = int(rng.integers(1, 6))
        shared = {
            "hidden_layer_sizes": tuple(rng.integers(1, 7, size=rng.integers(1, 4)).tolist()),
            "activation": str(rng.choice(["identity", "logistic", "tanh", "relu"])),
            "momentum": float(rng.choice([0.0, 0.5, 0.9])),
            "nesterovs_momentum": bool(rng.random() < 0.5),
        }
        for _ in range(IN_A_GROUP):
            X = rng.normal(size=(int(rng.integers(8, 25)), d))
            y = np.sin(X @ rng.normal(size=(d, max(1, outputs)))) + X[:, :1]
            if outputs < 0:
                cuts = np.quantile(y[:, 0], np.arange(1, -outputs) / -outputs)
                y = np.digitize(y[:, 0], cuts)
            elif outputs == 1:
                y = y[:, 0]
            options = shared | parameters(rng)
            baseline = partial(state, options | {"solver": "sgd"}, theirs, y)
            yield Case(partial(state, options, ours, y), baseline, X, BOUND)
