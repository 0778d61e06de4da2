"""Default parameters on scikit-learn's tables, standardised."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from benchmarks.common.report import Rows
from benchmarks.parity_cases import mlp, sgd
from benchmarks.parity_cases.case import Case, compare
from sklearn_looped import (
    ProgrammedMLPClassifier,
    ProgrammedMLPRegressor,
    ProgrammedSGDClassifier,
    ProgrammedSGDRegressor,
)

Load = Callable[..., Any]
LOADERS: dict[str, Load] = {
    load.__name__.removeprefix("load_"): load
    for load in (load_iris, load_wine, load_digits, load_breast_cancer, load_diabetes)
}
CLASSES = [name for name in LOADERS if name != "diabetes"]
NAMES = [
    *[(f"SGDClassifier, {loss}", table) for loss in ("hinge", "log_loss") for table in CLASSES],
    ("SGDRegressor", "diabetes"),
    ("MLPRegressor", "diabetes"),
    *[("MLPClassifier", table) for table in CLASSES],
]


def standardised(load: Load) -> tuple[np.ndarray, np.ndarray]:
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def case_of(estimator: str, X: np.ndarray, y: np.ndarray, epochs: int) -> Case:
    """Defaults but the loss, and the solver and the number of epochs of networks."""
    name, _, loss = estimator.partition(", ")
    options: dict[str, Any] = {"random_state": 0} | ({"loss": loss} if loss else {})
    if name.startswith("SGD"):
        kinds = {
            "SGDClassifier": (ProgrammedSGDClassifier, SGDClassifier),
            "SGDRegressor": (ProgrammedSGDRegressor, SGDRegressor),
        }[name]
        fits = [partial(sgd.fit, kind, options, "once", y, None) for kind in kinds]
        return Case(*fits, X, sgd.BOUND)
    ours, theirs = {
        "MLPClassifier": (ProgrammedMLPClassifier, MLPClassifier),
        "MLPRegressor": (ProgrammedMLPRegressor, MLPRegressor),
    }[name]
    options |= {"max_iter": epochs}
    mine = partial(mlp.fit, ours, options, "once", y, None)
    return Case(
        mine, partial(mlp.fit, theirs, options | {"solver": "sgd"}, "once", y, None), X, sgd.BOUND
    )


def job(table: str, estimator: str, most: int) -> Rows:
    """Compare both on a table; networks are trained for at most so many epochs."""
    X, y = standardised(LOADERS[table])
    case = case_of(estimator, X, y, most)
    outcome = compare(case, np.random.default_rng(0))
    if outcome is None:
        raise RuntimeError(f"{estimator} diverged on {table}")
    own = {"difference": outcome.difference, "scikit-learn's own": outcome.own}
    epochs = max(int(np.asarray(a)) for a in case.theirs(X)[-2:-1])
    return [{"epochs": epochs, **own, "chaotic": "yes" if outcome.chaotic else ""}]
