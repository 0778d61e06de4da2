"""The rows that predictions are made from, in an order of their own.

Shapes: n rows, d columns, T targets.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_looped.core.arrays import Array

DIGITS = 10  # decimals of a column's largest size beyond which values count as equal
ROUNDS = 3  # in which rows are told apart by the rows that share their levels


class Support(NamedTuple):
    """The rows that predictions are made from.

    Attributes
    ----------
    X : ndarray of shape (n, d), or a table before it is encoded
        NaN for missing cells.
    Y : ndarray of shape (n, T)
        One column a target.
    weights : ndarray of shape (n,) or None
        How often each row counts; None: once.
    rows : ndarray of shape (n,) or None
        Numbers of the rows in the table that was given; of joined rows the first one's.
    known : ndarray of shape (n, T) or None
        Predictions of the rows by a model that did not see them (`Overview`).
    prior : ndarray of shape (T,) or None
        Of a part of a table with classes, their shares of all rows.
    """

    X: Any
    Y: Array
    weights: Array | None
    rows: NDArray[np.intp] | None = None
    known: Array | None = None
    prior: Array | None = None

    @property
    def counts(self) -> Array:
        """How often each row counts, (n,)."""
        return np.ones(len(self.Y)) if self.weights is None else self.weights

    def take(self, rows: NDArray[Any]) -> "Support":
        """Return some rows, by number or by mask."""
        X = self.X.iloc[rows] if isinstance(self.X, pd.DataFrame) else self.X[rows]
        weights = None if self.weights is None else self.weights[rows]
        numbers = None if self.rows is None else self.rows[rows]
        known = None if self.known is None else self.known[rows]
        return Support(X, self.Y[rows], weights, numbers, known, self.prior)

    def frequencies(self) -> Array:
        """Weighted mean of each target, (T,)."""
        return np.asarray(np.average(self.Y, axis=0, weights=self.weights))

    def shares(self) -> Array:
        """Weighted mean of each target, (T,); the prior has the weight of one row."""
        means = self.frequencies()
        if self.prior is None:
            return means
        total = self.counts.sum()
        return np.asarray((total * means + self.prior) / (total + 1))

    def as_queries(self) -> "Queries":
        """Return the rows of an encoded support as rows to be predicted."""
        return Queries(self.X, self.known)

    def of_targets(self, targets: slice | NDArray[np.intp]) -> "Support":
        """Return the rows with some of the targets."""
        known = None if self.known is None else self.known[:, targets]
        return self._replace(Y=self.Y[:, targets], known=known)

    def in_canonical_order(self) -> "Support":
        """Sort the rows of an encoded support by `canonical_order`, the last target first."""
        return self.take(canonical_order(np.column_stack([self.X, self.Y[:, :-1]]), self.Y[:, -1]))

    def merged(self) -> "Support":
        """Sort the rows by their content and join equal ones into one of their summed weight.

        It counts the same. Rows of weight one get no weights.
        """
        support = self.take(np.lexsort((*self.X.T, *self.Y.T)))
        X, Y = support.X, support.Y
        cells = (X[1:] == X[:-1]) | (np.isnan(X[1:]) & np.isnan(X[:-1]))
        new = np.append(True, ~(cells.all(axis=1) & (Y[1:] == Y[:-1]).all(axis=1)))
        weights = np.bincount(np.cumsum(new) - 1, support.weights).astype(np.float64)
        rows = None if support.rows is None else support.rows[new]
        return Support(X[new], Y[new], None if (weights == 1).all() else weights, rows)


@dataclass(frozen=True)
class Queries:
    """Encoded rows to be predicted, a sequence of them.

    Attributes
    ----------
    X : ndarray of shape (q, d)
        NaN for missing cells.
    known : ndarray of shape (q, T) or None
        Predictions of the rows by the model that gave the support's.
    """

    X: Array
    known: Array | None = None

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Queries":
        return Queries(self.X[rows], None if self.known is None else self.known[rows])


def canonical_order(
    X: Array, y: Array, nominal: NDArray[np.bool_] | None = None
) -> NDArray[np.intp]:
    """Order of rows that does not depend on the order they came in.

    Rows are sorted by the target, equal targets by `row_keys`, and rows that agree in these by
    their content. Of the rising and the falling order that one is taken whose keys come first. So
    neither the sign of the target matters, nor units, signs and order of columns, nor names of
    levels, but for rows that mirror each other.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        NaN for missing cells.
    y : ndarray of shape (n,)
    nominal : ndarray of shape (d,), default=None
        Columns that hold numbers of levels, whose order means nothing. None: no column.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped.learned.inference.support import canonical_order
    >>> X, y = np.array([[0.5], [2.0], [0.1]]), np.array([1.0, 0.0, 1.0])
    >>> canonical_order(X, y).tolist() == canonical_order(-3 * X, -y).tolist()
    True
    """
    content = np.empty(len(X), np.intp)
    content[np.lexsort(X.T)] = np.arange(len(X))
    ordered = []
    for keys, target in zip(row_keys(X, y, nominal), (y, -y), strict=True):
        order = np.lexsort((content, keys, target))
        ordered.append((keys[order].tolist(), order))
    return min(ordered, key=lambda each: each[0])[1]


def row_keys(
    X: Array, y: Array, nominal: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Hash each row's content to a number, (n,), the same for any order and units of columns.

    A cell counts by its rank among the column's different values, from the end that makes ranks
    rise with those of the target, or from the nearer end where they are not correlated; a nominal
    one by the keys of its level's rows, so that names of levels do not matter; a column by how
    many values these are. A row's cells are hashed and summed. The second keys are those for -y.
    """
    _, target = np.unique(y, return_inverse=True)
    ends = target, target.max() - target
    keys: list[NDArray[np.uint64]] = [pd.util.hash_array(end.astype(np.uint64)) for end in ends]
    levels = []
    nominal = np.zeros(X.shape[1], dtype=bool) if nominal is None else nominal
    for column, is_nominal in zip(X.T, nominal, strict=True):
        present = ~np.isnan(column)
        largest = np.abs(column[present]).max(initial=0)
        scaled = np.ldexp(column[present], -np.frexp(largest)[1])  # exact
        values, rank = np.unique(scaled.round(DIGITS), return_inverse=True)
        if len(values) == int(present.all()):  # says nothing
            continue
        if is_nominal:
            levels.append((present, rank))
            continue
        for key, end in zip(keys, _from_both_ends(rank, target[present], len(values)), strict=True):
            cells = np.zeros(len(X), dtype=np.uint64)
            cells[present] = end + 1 + (len(values) << 32)
            key += pd.util.hash_array(cells)
    for _ in range(ROUNDS):
        keys = [sum((_level_keys(key, *level) for level in levels), key) for key in keys]
    return keys[0], keys[1]


def _level_keys(
    keys: NDArray[np.uint64], present: NDArray[np.bool_], level: NDArray[np.intp]
) -> NDArray[np.uint64]:
    """Hash what the rows of each cell's level are, (n,); 0 where it is missing."""
    sums = np.zeros(level.max(initial=0) + 1, np.uint64)
    np.add.at(sums, level, keys[present])
    found = np.zeros(len(keys), np.uint64)
    found[present] = pd.util.hash_array(sums)[level]
    return found


def class_ranks(
    X: Array, y: Array, nominal: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Rank labels y (n,) by how many rows have them, then by these rows' content.

    So that neither their names nor their order matter where rows are sorted by the target.
    """
    classes, label = np.unique(y, return_inverse=True)
    keys, _ = row_keys(X, np.zeros(len(X)), nominal)
    sums = np.zeros((len(classes), 2), np.uint64)
    np.add.at(sums[:, 0], label, np.uint64(1))
    np.add.at(sums[:, 1], label, keys)
    order = np.lexsort((sums[:, 1], sums[:, 0]))
    return np.argsort(order)[label].astype(np.float64)


def _from_both_ends(
    rank: NDArray[np.intp], target: NDArray[np.intp], n_values: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Ranks that rise with the target, and that rise with its negative."""
    other_end = n_values - 1 - rank
    covariance = _covariance(rank, target)
    if covariance == 0:
        rank = other_end = np.minimum(rank, other_end)
    return (rank, other_end) if covariance >= 0 else (other_end, rank)


def _covariance(a: NDArray[np.intp], b: NDArray[np.intp]) -> int:
    """Covariance of whole numbers up to a positive factor, exact."""
    return len(a) * int(a @ b) - int(a.sum()) * int(b.sum())


def sorting_target(Y: Array, weights: Array | None = None) -> Array:
    """One number a row that rows are sorted by, (n,): the only target of (n, T), or a distance.

    Of several targets that vary, the mean of their squared deviations in units of their variances:
    neither their signs nor units nor order matter.
    """
    Y = np.ldexp(Y, -np.frexp(np.abs(Y).max(axis=0))[1])  # exact, and no square overflows
    varies = np.ptp(Y, axis=0) > 0
    if varies.sum() < 2:
        return np.asarray(Y[:, varies.argmax()])
    squares = (Y[:, varies] - np.average(Y[:, varies], axis=0, weights=weights)) ** 2
    return np.asarray(
        (squares / np.average(squares, axis=0, weights=weights)).mean(1).round(DIGITS)
    )
