"""Far-out values, compressed: one wild cell must not hide all others.

Shapes: n rows, d columns.
"""

from dataclasses import dataclass, replace

import numpy as np

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.warning import warn_user

FAR_OUT = 20.0  # interquartile ranges from the median
TARGETS = 5.0  # strength for targets: a wild one does not hide the others, tails keep their means


@dataclass(frozen=True)
class Tails:
    """A map of each column that compresses what lies far from its median, and its inverse.

    Up to L, 20 interquartile ranges, distances from the median stay; a larger one, r, becomes
    L + S ln(1 + (r - L) / S). So the order of values stays. Columns without such cells, or where
    half of the cells are the same, stay as they are.

    Attributes
    ----------
    median : ndarray of shape (d,)
    limit : ndarray of shape (d,)
        L; infinite where nothing is to be compressed.
    scale : ndarray of shape (d,)
        S.
    farthest : ndarray of shape (d,)
        Largest distance from the median, compressed: none beyond is restored.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.tails import Tails
    >>> column = np.append(np.linspace(0, 1, 99), 1e6)[:, None]
    >>> tails = Tails.fit(column)
    >>> tails.compress(column)[[1, 98, 99], 0].round().astype(int)
    array([  0,   1, 128])
    """

    median: Array
    limit: Array
    scale: Array
    farthest: Array

    @classmethod
    def fit(cls, X: Array, weights: Array | None = None, strength: float = 1) -> "Tails":
        """Find what is far out in columns X (n, d), NaN where a cell is missing; S is L / strength.

        Features take a strength of one, because some members see them by their ranks anyway.
        """
        low, median, high = np.array([_quartiles(c, weights) for c in X.T]).reshape(-1, 3).T
        with np.errstate(over="ignore"):
            limit = FAR_OUT * (high - low)
        farthest = np.fmax.reduce(np.abs(X - median), initial=0)
        limit[(limit == 0) | (farthest <= limit)] = np.inf
        tails = cls(median, limit, limit / strength, farthest)
        return replace(tails, farthest=tails.compress(median + farthest) - median)

    def is_idle(self) -> bool:
        """Whether nothing is far out in any column."""
        return bool(np.isinf(self.limit).all())

    def compress(self, X: Array) -> Array:
        """Compress columns (n, d)."""
        distance = np.abs(X - self.median)
        with np.errstate(divide="ignore", invalid="ignore"):
            compressed = self.limit + self.scale * np.log1p((distance - self.limit) / self.scale)
        compressed = self.median + np.copysign(compressed, X - self.median)
        return np.where(distance > self.limit, compressed, X)

    def restore(self, X: Array) -> Array:
        """Undo `compress`."""
        distance = np.abs(X - self.median)
        with np.errstate(invalid="ignore"):
            beyond = np.minimum(distance, self.farthest) - self.limit
            restored = self.limit + self.scale * np.expm1(beyond / self.scale)
        restored = self.median + np.copysign(restored, X - self.median)
        return np.where(distance > self.limit, restored, X)


def tails_of_targets(Y: Array, weights: Array | None) -> Tails:
    """Tails of targets (n, T), with a warning where some are far out."""
    kept = slice(None) if weights is None else weights > 0
    tails = Tails.fit(Y[kept], None if weights is None else weights[kept], strength=TARGETS)
    if not tails.is_idle():
        n_rows = int((np.abs(Y - tails.median) > tails.limit).any(axis=1).sum())
        warn_user(
            f"Targets of {n_rows} rows lie more than {FAR_OUT:g} interquartile ranges from the "
            "median and are compressed. Check them; if they are right, transform the target, for "
            "example by np.log in a TransformedTargetRegressor."
        )
    return tails


def _quartiles(column: Array, weights: Array | None) -> tuple[float, float, float]:
    """Quartiles of the cells present: of the weighted distribution, between steps the middle."""
    present = ~np.isnan(column)
    if not present.any():
        return 0.0, 0.0, 0.0
    w = np.ones(len(column)) if weights is None else weights
    values, w = column[present], w[present]
    order = np.argsort(values, kind="stable")
    below, values = np.cumsum(w[order]), values[order]
    levels = np.array([0.25, 0.5, 0.75]) * below[-1]
    low, high = (np.searchsorted(below, levels, side) for side in ("left", "right"))
    middle = (values[low] + values[high.clip(max=len(values) - 1)]) / 2
    return middle[0], middle[1], middle[2]
