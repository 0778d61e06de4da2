"""Conformal quantiles: levels corrected by the levels that held-out targets reached.

Shapes: T targets, n rows.
"""

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.halting import Exit
from sklearn_looped.learned.inference.predictor import SupportPredictor
from sklearn_looped.learned.inference.reached import conformal_levels, reached_levels
from sklearn_looped.learned.inference.support import Support

N_FOLDS = 5
MIN_ROWS = 20


def corrected_levels(predictor: SupportPredictor, exit: Exit, wanted: Array) -> list[Array]:
    """Levels that stand for the wanted ones, for each target: each fifth from the other rows.

    Rows are dealt in turn, which in the order of targets stratifies.
    """
    support = predictor.support
    output = predictor.predict_support(np.arange(len(support.X)) % N_FOLDS, exit)
    reached = reached_levels(output[..., 1:], support.Y.T)
    return [conformal_levels(each, support.weights, wanted) for each in reached]


def check_conformal(wanted: Array, support: Support) -> None:
    """Refuse few rows, and levels that the support cannot tell from more extreme ones.

    Raises
    ------
    ValueError
        If there are fewer than 20 different rows, or a level lies outside 1 / (n + 1) and
        n / (n + 1), of n rows or their summed weight.
    """
    n_rows = len(support.X)
    if n_rows < MIN_ROWS:
        raise ValueError(
            f"Got {n_rows} different support rows, but conformal=True needs at least {MIN_ROWS}: "
            "each fifth of them is predicted from the others. Use conformal=False."
        )
    weight = support.counts.sum()
    least = 1 / (weight + 1)
    if (wanted < least).any() or (wanted > 1 - least).any():
        raise ValueError(
            f"Got levels from {wanted.min():g} to {wanted.max():g}, but conformal=True with "
            f"{weight:g} support rows can correct only levels from {least:.3g} to {1 - least:.3g}. "
            "Ask for levels in this range, or use conformal=False."
        )
