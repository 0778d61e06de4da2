"""What the kernel machine refuses before it runs, because it would be inexact or too large."""

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.programmed.algorithms.kernel_machine.host import (
    REDUCTION,
    heavy_ball,
    target_scale,
)
from sklearn_looped.programmed.algorithms.linalg.result import UNIT_ROUNDOFF

BATCH = 1024  # queries on one tape; they do not see each other
_LARGEST = 1e150  # of values that are squared
_SMALLEST_COEF = 1e-290  # below, float64 has few digits
_LARGEST_QUERY = 1e70  # in units of the length
_LEAST_DIGITS = 1e-6  # largest relative error of a kernel value
_MOST_LOOPS = 20_000
_MOST_BYTES = 2**31


def check_table(X: Array, y: Array, penalty: float) -> None:
    """Refuse squares and coefficients beyond float64, and tables that take more than 2 GiB.

    Raises
    ------
    ValueError
    """
    for name, values in (("X", X), ("y", y)):
        if (largest := np.abs(values).max()) > _LARGEST:
            raise ValueError(
                f"Got {name} with values up to {largest:.1e}, whose squares overflow; scale it."
            )
    if (scale := target_scale(y)) / max(1.0, penalty) < _SMALLEST_COEF:
        raise ValueError(
            f"Got y of size {scale:.1e} for penalty={penalty:g}, whose coefficients are too small "
            "for float64; scale it."
        )
    n, d = X.shape
    attention, weights = 72 * n * max(n, BATCH), 11_000 * d**2
    if attention + weights > _MOST_BYTES:
        raise ValueError(
            f"Got {n} samples and {d} features, but attention takes {attention / 2**30:.2g} GiB "
            f"and the weights {weights / 2**30:.2g} GiB, of at most 2 GiB in all; take fewer."
        )


def check_kernel(X: Array, length: float, penalty: float, n_loops: int | None) -> None:
    """Refuse rows too far apart for the scores, and conditions that take too many loops.

    Raises
    ------
    ValueError
    """
    n, d = X.shape
    far = float(np.sqrt((((X - X.mean(axis=0)) / length) ** 2).sum(axis=1).max()))
    # A weight of the metric may be d, so the score of a row with itself d times as large.
    if UNIT_ROUNDOFF * (8 * d + 14) * d * far**2 / 2 > _LEAST_DIGITS:
        raise ValueError(
            f"Got samples up to {far:.1e} lengths from their mean, for length={length:g}, where "
            "float64 leaves kernel values fewer than 6 digits; scale the features or raise length."
        )
    ball = heavy_ball(X, penalty)
    if n_loops is None and (needed := ball.n_loops(REDUCTION)) > _MOST_LOOPS:
        raise ValueError(
            f"Got penalty={penalty:g} for {n} samples: the condition number may be "
            f"{ball.condition:.1e}, which takes {needed:.3g} loops a round, of at most "
            f"{_MOST_LOOPS}; raise penalty, scale the features or set n_loops."
        )


def check_queries(X: Array, length: float) -> None:
    """Refuse queries whose scores overflow.

    Raises
    ------
    ValueError
    """
    if (largest := np.abs(X).max()) > _LARGEST_QUERY * length:
        raise ValueError(
            f"Got queries with values up to {largest:.1e}, but scores overflow beyond "
            f"{_LARGEST_QUERY:g} lengths, for length={length:g}; leave them out."
        )
