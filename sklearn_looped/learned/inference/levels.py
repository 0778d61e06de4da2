"""Nominal columns as numbers: one number, a column a level, or the level's mean target.

Shapes: n rows, C targets of the encoding, K levels.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.columns import as_number, factorized

MAX_ONE_HOT = 10  # levels of a nominal column that get a column each; beyond, target encoding
N_FOLDS = 5
DIGITS = 10  # decimals of a mean target of size one


class EncodingTarget(NamedTuple):
    """What columns of many levels are encoded by.

    Attributes
    ----------
    Y : ndarray of shape (n, C)
        The target, or an indicator of each class.
    weights : ndarray of shape (n,)
        How often each row counts.
    folds : ndarray of shape (n,)
        Fold of each row, whose mean comes from the others.
    """

    Y: Array
    weights: Array
    folds: NDArray[np.intp]


class Levels:
    """The levels of a nominal column, met again in other types: 1, 1.0 and "1" are one level.

    Text that reads as a number, such as "01", is also met by the number, unless two levels do.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_looped.learned.inference.levels import Levels
    >>> levels = Levels(pd.Series(["1", "2", "web", "07"]))
    >>> levels.codes(pd.Series([2, 7, 3])).tolist()
    [2, 0, -1]
    """

    def __init__(self, column: "pd.Series[Any]") -> None:
        _, values = factorized(column)
        self.names = sorted({level_name(value) for value in values})
        self._code = {name: code for code, name in enumerate(self.names)}
        numbers = [as_number(name) for name in self.names]
        times = Counter(numbers)
        self._by_number = {
            number: code
            for code, number in enumerate(numbers)
            if times[number] == 1 and not np.isnan(number)
        }

    def codes(self, column: "pd.Series[Any]") -> NDArray[np.intp]:
        """Return each cell's level, (n,): -1 where it was not met, -2 where it is missing."""
        codes, values = factorized(column)
        return np.array([*map(self._find, values), -2], dtype=np.intp)[codes]

    def _find(self, value: Any) -> int:
        by_number = self._by_number.get(as_number(value), -1)
        return self._code.get(level_name(value), by_number)


def level_name(value: Any) -> str:
    """Text of a level, the same for one number in several types."""
    if isinstance(value, str):
        return value.strip()
    number = as_number(value)
    if isinstance(value, bool | np.bool_) or np.isnan(number):
        return str(value)
    return str(int(number)) if number.is_integer() else repr(number)


class NominalEncoder:
    """Encode a nominal column by the number of its levels.

    Two levels become 0 and 1, up to ten a column each (and one for missing cells), more the mean
    target of the level. A single level with missing cells becomes 1 and 0. A level not met in
    `fit` counts as missing, as no level, or as the mean target.
    """

    def fit_transform(self, column: "pd.Series[Any]", target: EncodingTarget) -> Array:
        """Learn the levels and return them encoded, (n, k)."""
        self.levels_ = Levels(column)
        codes = self.levels_.codes(column)
        self.has_missing_ = bool((codes == -2).any())
        self.means_: Array | None = None
        if len(self.levels_.names) <= MAX_ONE_HOT:
            return self._encoded(codes)
        encoded = np.empty_like(target.Y)
        n_levels = len(self.levels_.names)
        for fold in range(N_FOLDS):
            here = target.folds == fold
            means = shrunken_means(codes[~here], target.Y[~here], target.weights[~here], n_levels)
            encoded[here] = means[codes[here].clip(min=-1)]
        self.means_ = shrunken_means(codes, target.Y, target.weights, n_levels)
        return encoded

    def transform(self, column: "pd.Series[Any]") -> tuple[Array, NDArray[np.bool_]]:
        """Encode other cells, (q, k); and say which hold a level that was not met, (q,)."""
        codes = self.levels_.codes(column)
        return self._encoded(codes), codes == -1

    def _encoded(self, codes: NDArray[np.intp]) -> Array:
        if self.means_ is not None:
            return self.means_[codes.clip(min=-1)]
        n_levels = len(self.levels_.names)
        if n_levels == 1 and self.has_missing_:
            return np.where(codes == -1, np.nan, codes == 0)[:, None]
        if n_levels <= 2:
            return np.where(codes < 0, np.nan, codes)[:, None]
        shown = [*range(n_levels), -2] if self.has_missing_ else [*range(n_levels)]
        return (codes[:, None] == shown).astype(np.float64)


def shrunken_means(codes: NDArray[np.intp], Y: Array, weights: Array, n_levels: int) -> Array:
    r"""Mean target of each level, shrunk to the mean of all rows; the last row is that mean.

    The best linear unbiased prediction of a random effect, with the variances between and within
    levels by the method of moments [1]_: :math:`\lambda_l = n_l \tau^2 / (n_l \tau^2 + \sigma^2)`.
    Levels that say nothing are all shrunk to the mean, and so is one met once among such. Unlike
    scikit-learn's `TargetEncoder`, whose variance of a level met once is 0, a row's own target
    does not come back as its level's mean; and it knows weights.

    Parameters
    ----------
    codes : ndarray of shape (n,)
        Level of each row; below 0: none.
    Y : ndarray of shape (n, C)
    weights : ndarray of shape (n,)
    n_levels : int

    Returns
    -------
    ndarray of shape (n_levels + 1, C)

    References
    ----------
    .. [1] S. R. Searle, G. Casella, C. E. McCulloch, "Variance Components", 1992, Section 3.6.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.levels import shrunken_means
    >>> y = np.array([1.0, 1.2, 5.0, 5.2, 3.0])[:, None]
    >>> shrunken_means(np.array([0, 0, 1, 1, 2]), y, np.ones(5), 3)[:, 0].round(2)
    array([1.1 , 5.1 , 3.  , 3.08])
    """
    mean = np.average(Y, axis=0, weights=weights)
    kept = codes >= 0
    codes, weights, deviations = codes[kept], weights[kept], Y[kept] - mean
    size = np.bincount(codes, weights, n_levels)
    met = size > 0
    sums = [np.bincount(codes, weights * column, n_levels) for column in deviations.T]
    levels = np.stack(sums, axis=1) / np.where(met, size, 1)[:, None]
    within = (weights[:, None] * (deviations - levels[codes]) ** 2).sum(axis=0)
    between = (size[:, None] * levels**2).sum(axis=0)
    n_rows, n_met = size.sum(), int(met.sum())
    if n_met < 2 or n_rows <= n_met:  # no level repeats: no effect can be separated from noise
        return np.tile(mean, (n_levels + 1, 1))
    noise = within / (n_rows - n_met)
    spread = (between - (n_met - 1) * noise) / (n_rows - (size**2).sum() / n_rows)
    spread = spread.clip(min=0)
    total = size[:, None] * spread + noise
    shrinkage = size[:, None] * spread / np.where(total > 0, total, 1)
    # Rounded, so that the order of a sum makes no difference between levels.
    return (np.vstack([shrinkage * levels, np.zeros_like(mean)]).round(DIGITS) + mean).round(DIGITS)
