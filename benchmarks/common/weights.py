"""Which weights a row was computed with: rows of former weights are not shown as today's."""

from typing import Any

from sklearn_looped.estimators.in_context.base import InContextEstimator
from sklearn_looped.learned.checkpoints import load_checkpoint, registry

COLUMN = "checkpoint"


def checkpoint(name: str) -> dict[str, str]:
    """Return the column of rows that shipped weights computed: their name and short digest."""
    return {COLUMN: f"{name} {load_checkpoint(name).digest[:12]}"}


def checkpoint_of(model: Any) -> dict[str, str]:
    """Return the same column for an in-context estimator; no column for a baseline."""
    return checkpoint(model.weights) if isinstance(model, InContextEstimator) else {}


def is_former(value: str) -> bool:
    """Whether weights of this name and digest are not those that are shipped now."""
    name = value.partition(" ")[0]
    return name not in registry() or checkpoint(name)[COLUMN] != value
