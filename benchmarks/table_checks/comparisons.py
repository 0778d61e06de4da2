"""Compare the predictions for a table with those for the same table, changed."""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone

from benchmarks.table_checks.changes import CHANGES, QUESTIONS
from benchmarks.table_checks.tables import Array, Table, design, is_odd, mixed_table
from sklearn_looped import KernelMachineRegressor, LoopedICLClassifier, LoopedICLRegressor

TOLERANCE = 1e-4  # of the target's standard deviation, or of a probability
N_LOOPS = 3


class Comparison(NamedTuple):
    """How far predictions moved where they should not have.

    Attributes
    ----------
    change : str
    seed : int
    distance : float
        Largest difference, in standard deviations of the target, or of a probability.
    """

    change: str
    seed: int
    distance: float


def case(seed: int) -> tuple[Any, Table]:
    """Estimator and table of a seed: every fifth table is a design, every fourth has labels."""
    rng = np.random.default_rng(seed)
    if seed % 4 == 3:
        return LoopedICLClassifier(n_loops=N_LOOPS), mixed_table(rng, labels=True)
    table = design(rng) if seed % 5 == 1 else mixed_table(rng)
    if seed % 4 == 2:
        return KernelMachineRegressor(), table
    return LoopedICLRegressor(n_loops=N_LOOPS), table


def predictions(model: Any, queries: Any) -> Array:
    """Predictions (q,), or probabilities (q, n_classes)."""
    found = model.predict_proba(queries) if hasattr(model, "classes_") else model.predict(queries)
    return np.asarray(found, dtype=float)


def compare(seed: int, changes: list[str] | None = None) -> list[Comparison]:
    """Compare a table with all its changes."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        # Expected here: identifiers left out, levels that fit did not see, compressed targets.
        warnings.filterwarnings("ignore", "Columns left out|Values that |Targets of ")
        return list(_compare(seed, changes))


def _compare(seed: int, changes: list[str] | None) -> Iterator[Comparison]:
    estimator, table = case(seed)
    model = clone(estimator).fit(table.X, table.y, table.weights)
    expected = predictions(model, table.queries)
    scale = max(float(np.std(table.y)), 1e-12) if table.y.dtype.kind == "f" else 1.0
    for place, (name, change) in enumerate(CHANGES.items()):
        rng = np.random.default_rng([seed, place])
        changed = change(rng, table) if changes is None or name in changes else None
        if name == "sign of the target" and is_odd(table):
            name = "the same, where the table is odd"
        if changed is not None:
            other = clone(estimator).fit(changed.X, changed.y, changed.weights)
            found = changed.undo(predictions(other, changed.queries))
            yield Comparison(name, seed, float(np.abs(found - expected).max()) / scale)
    for name, ask in QUESTIONS.items():
        if changes is None or name in changes:
            found = ask(np.random.default_rng(seed), model, table.queries, predictions)
            yield Comparison(name, seed, float(np.abs(found - expected).max()) / scale)
