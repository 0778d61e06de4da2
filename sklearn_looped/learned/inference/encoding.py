"""From a user's table to a numeric array: columns are read by what they hold, then encoded."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.warning import warn_user
from sklearn_looped.learned.inference.columns import (
    BY_PLACE,
    as_numbers,
    has_value,
    kind_of,
    to_table,
)
from sklearn_looped.learned.inference.dates import DateEncoder
from sklearn_looped.learned.inference.levels import N_FOLDS, EncodingTarget, Levels, NominalEncoder
from sklearn_looped.learned.inference.lookalikes import merged_integers, unread_form
from sklearn_looped.learned.inference.support import canonical_order, class_ranks, sorting_target
from sklearn_looped.learned.inference.tails import Tails

FAR = 1e100  # sizes of the support beyond which a query's cell is as good as infinite
LEFT_OUT = {"identifier": "another value in every row", "text": "free text"}


class _NumberEncoder:
    """Keep a column of numbers, booleans (0 and 1) or durations (days)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def fit_transform(self, column: "pd.Series[Any]", target: EncodingTarget) -> Array:
        """Return the numbers, (n, 1)."""
        return as_numbers(column, self.kind)[:, None]

    def transform(self, column: "pd.Series[Any]") -> tuple[Array, NDArray[np.bool_]]:
        """Return the numbers, (q, 1), and which cells hold something else, (q,)."""
        numbers = as_numbers(column, self.kind)
        return numbers[:, None], has_value(column) & np.isnan(numbers)


class _NothingEncoder:
    """Stand in for a column that takes no part: missing as a whole, or not there."""

    def __init__(self, kind: str) -> None:
        self.is_missing = kind == "missing"

    def fit_transform(self, column: "pd.Series[Any]", target: EncodingTarget) -> Array:
        """Return NaN, (n, 1), or nothing, (n, 0)."""
        return np.full((len(column), int(self.is_missing)), np.nan)

    def transform(self, column: "pd.Series[Any]") -> tuple[Array, NDArray[np.bool_]]:
        """Return the same of queries, and which cells were missing in all of `fit`, (q,)."""
        present = has_value(column) if self.is_missing else np.zeros(len(column), dtype=bool)
        return np.full((len(column), int(self.is_missing)), np.nan), present


class TableEncoder:
    """Turn a table into a float64 array; NaN stays, as information.

    An array of numbers is returned as it is. Of any other table each column is read by what its
    cells contain (`sklearn_looped.learned.inference.columns`): numbers, also as text, objects or
    `Decimal`, stay; dates become days and their periodic parts (`DateEncoder`); nominal columns
    become one number (two levels), a column per level (up to ten levels), or the mean target of the
    level (more levels), which for the rows of the support comes from the other folds. Identifiers
    and free text are left out with a warning. A column has the same kind in `transform` as in
    `fit`. Every column is then divided by a power of two near its largest absolute value, which is
    exact and prevents overflow. Cells far from the median are compressed (`Tails`).

    The encoding depends neither on the order of rows or columns nor on units, and changes its
    sign with `y`.

    Parameters
    ----------
    target_type : {"continuous", "binary", "multiclass"}, default="continuous"
        What y is. Each of several classes gets a column of the target encoding.

    Attributes
    ----------
    column_kinds_ : dict of str
        What each column was read as: "number", "boolean", "date", "duration", "nominal",
        "missing" (no value at all), or "identifier" and "text", which are left out.
    sources_ : ndarray of shape (d',)
        The column of the table that each encoded one comes from.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn_looped.learned.inference.encoding import TableEncoder
    >>> table = pd.DataFrame({"area": ["30.5", "?", "80"], "soil": ["clay", "sand", "clay"]})
    >>> encoder = TableEncoder()
    >>> encoder.fit_transform(table, np.arange(3.0)).shape
    (3, 2)
    >>> encoder.column_kinds_
    {'area': 'number', 'soil': 'nominal'}
    """

    def __init__(self, target_type: str = "continuous") -> None:
        self.target_type = target_type

    def fit_transform(
        self, X: ArrayLike | pd.DataFrame, y: Array, sample_weight: Array | None = None
    ) -> Array:
        """Learn the encoding from the support and return it encoded, (n, d) -> (n, d').

        Targets y are of shape (n,) or (n, T); each gets a column of the target encoding.
        """
        encoded, again = self._fit_columns(to_table(X), y.reshape(len(y), -1), sample_weight)
        largest = np.fmax.reduce(np.abs(encoded), axis=0, initial=0)
        self.exponents_ = np.frexp(largest)[1]
        again = self._scaled(again)  # whose means are those of queries
        self.lowest_ = np.fmin.reduce(again, axis=0, initial=np.inf)
        self.highest_ = np.fmax.reduce(again, axis=0, initial=-np.inf)
        scaled = self._scaled(encoded)
        self.tails_ = Tails.fit(scaled, sample_weight)
        return self.tails_.compress(scaled)

    def _fit_columns(self, X: Any, Y: Array, sample_weight: Array | None) -> tuple[Array, Array]:
        """Return the rows of the support encoded, and as they are once they are queries."""
        self.encoders_: list[Any] | None = None
        if not isinstance(X, pd.DataFrame):
            X = np.asarray(X, dtype=np.float64)
            self.column_kinds_ = {f"x{i}": "number" for i in range(X.shape[1])}
            self.sources_ = np.arange(X.shape[1])
            return X, X
        columns = [X.iloc[:, i] for i in range(X.shape[1])]
        is_first = _first_occurrences(X)
        kinds = [kind_of(column, is_first) for column in columns]
        self.column_kinds_ = dict(zip(map(str, X.columns), kinds, strict=True))
        _say_what_is_not_read(self.column_kinds_, columns)
        self.encoders_ = [_encoder_of(kind) for kind in kinds]
        weights = np.ones(len(X)) if sample_weight is None else sample_weight
        folds = np.zeros(len(X), np.intp)
        if "nominal" in kinds:
            folds = _folds(columns, kinds, sorting_target(Y, weights), self.target_type)
        target = EncodingTarget(self._encoding_target(Y, weights), weights, folds)
        pairs = zip(self.encoders_, columns, strict=True)
        parts = [encoder.fit_transform(column, target) for encoder, column in pairs]
        sources = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
        self.sources_ = sources if len(sources) else np.zeros(1, dtype=np.intp)
        again, said = self._transformed(X, self.encoders_)
        _say("Cells of another kind than their column count as missing", said)
        return _joined(parts), again

    def _encoding_target(self, Y: Array, weights: Array) -> Array:
        """Targets (n, T) of sizes up to one: deviations from the middle, or classes' indicators.

        A power of two divides, and no square overflows.
        """
        if self.target_type == "multiclass":
            return (np.unique(Y) == Y).astype(np.float64)
        Y = np.ldexp(Y, -np.frexp(np.abs(Y).max(axis=0))[1])
        Y = Y - np.average(Y, axis=0, weights=weights)
        return np.ldexp(Y, -np.frexp(np.abs(Y).max(axis=0))[1])

    def transform(self, X: ArrayLike | pd.DataFrame) -> Array:
        """Encode a table like the one of `fit_transform`.

        Cells that hold something else than in `fit`, such as text among numbers, count as missing,
        with one warning for all columns; of levels that were not met it is said where a whole
        column holds no other.
        """
        return self.tails_.compress(self.read(X))

    def read(self, X: ArrayLike | pd.DataFrame) -> Array:
        """Encode a table as `transform` does, but for the cells far out, which stay, (q, d')."""
        return self._scaled(self._encoded(to_table(X)))

    def novelty(self, cells: Array) -> Array:
        """How far each row of what `read` returns lies outside what was met in `fit`, (q,).

        The largest of its columns' distances beyond the column's range in `fit`, in units of that
        range: 0 within all ranges, 1 one range beyond. Infinite where a column that had one value
        has another. Missing cells and levels that were not met do not count.
        """
        beyond = np.fmax(self.lowest_ - cells, cells - self.highest_)
        beyond[:, np.isinf(self.lowest_)] = 0  # no value in `fit`
        span = self.highest_ - self.lowest_
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.where(beyond > 0, beyond / span, 0.0)
        return np.asarray(distance.max(axis=1))

    def shares_of_columns(self, weights: Array, n_columns: int) -> Array:
        """Sum the weights of encoded columns (d',) by the table's columns, to a sum of one."""
        sums = np.bincount(self.sources_, weights, n_columns)
        return np.asarray(sums / max(sums.sum(), np.finfo(np.float64).tiny))

    def _scaled(self, encoded: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(encoded, -self.exponents_).clip(-FAR, FAR)

    def _encoded(self, X: Any) -> Array:
        if not isinstance(X, pd.DataFrame):
            if self.encoders_ is None:
                return np.asarray(X, dtype=np.float64)
            X = pd.DataFrame(X).rename_axis(columns=BY_PLACE)
        if X.columns.name != BY_PLACE:
            _refuse_other_order(list(map(str, X.columns)), list(self.column_kinds_))
        encoders = self.encoders_ or [_NumberEncoder("number")] * X.shape[1]
        encoded, said = self._transformed(X, encoders)
        _say("Values that fit did not see count as missing or as the mean target", said)
        return encoded

    def _transformed(self, X: pd.DataFrame, encoders: list[Any]) -> tuple[Array, list[str]]:
        """Encode each column, and say in which of them cells were not understood."""
        parts, said = [], []
        for i, (name, encoder) in enumerate(zip(self.column_kinds_, encoders, strict=True)):
            column = X.iloc[:, i]
            part, unseen = encoder.transform(column)
            parts.append(part)
            known = column.notna().to_numpy() & ~unseen
            if unseen.any() and not (isinstance(encoder, NominalEncoder) and known.any()):
                example = str(column.to_numpy()[unseen][0])[:30]
                said.append(f"{name!r} ({unseen.sum()} of {len(X)}, such as {example!r})")
        return _joined(parts), said


def _refuse_other_order(names: list[str], known: list[str]) -> None:
    """Raise if columns are those of `fit` in another order; scikit-learn compares only text."""
    if names != known and sorted(names) == sorted(known):
        first = next(i for i, name in enumerate(names) if name != known[i])
        raise ValueError(
            f"The columns are those of fit in another order: column {first} is {names[first]!r}, "
            f"but was {known[first]!r}. Select them in the order of fit."
        )


def _say(what: str, columns: list[str]) -> None:
    """Warn once of all columns, if there are any."""
    if columns:
        warn_user(f"{what}: {', '.join(columns)}.")


def _say_what_is_not_read(kinds: dict[str, str], columns: list[Any]) -> None:
    """Warn of columns that take no part, and of those that pass for labels."""
    left_out = [f"{name!r} ({LEFT_OUT[kind]})" for name, kind in kinds.items() if kind in LEFT_OUT]
    _say("Columns left out", left_out)
    pairs = [
        (name, kind, column) for (name, kind), column in zip(kinds.items(), columns, strict=True)
    ]
    merged = {name: merged_integers(column) for name, kind, column in pairs if kind == "number"}
    _say(
        "Whole numbers beyond 2**53 become equal as float64; subtract a constant or make them text",
        [f"{name!r} ({what})" for name, what in merged.items() if what],
    )
    labels = {name: column for name, kind, column in pairs if kind in ("nominal", *LEFT_OUT)}
    forms = {name: unread_form(column) for name, column in labels.items()}
    _say(
        "Columns look like numbers or dates, but in a form that is not read; convert them first, "
        "as by pd.to_datetime or read_csv(decimal=',')",
        [f"{name!r} (such as {cell[:30]!r})" for name, cell in forms.items() if cell],
    )


def _encoder_of(kind: str) -> Any:
    if kind == "nominal":
        return NominalEncoder()
    if kind == "date":
        return DateEncoder()
    return _NothingEncoder(kind) if kind == "missing" or kind in LEFT_OUT else _NumberEncoder(kind)


def _first_occurrences(X: pd.DataFrame) -> NDArray[np.bool_] | None:
    """Rows that repeat no earlier one; None if cells cannot be compared, which is said later."""
    try:
        # By place: pandas does not find a column whose name is NaN.
        return ~X.set_axis(range(X.shape[1]), axis=1).duplicated().to_numpy()
    except TypeError:
        return None


def _joined(parts: list[Array]) -> Array:
    """Columns side by side; one that is missing as a whole if none is left."""
    joined = np.column_stack(parts)
    return joined if joined.shape[1] else np.full((len(joined), 1), np.nan)


def _folds(columns: list[Any], kinds: list[str], y: Array, target_type: str) -> NDArray[np.intp]:
    """Fold of each row, (n,): different rows are dealt in canonical order, equal ones are one."""
    codes = _codes(columns, kinds)
    ranks = [np.unique(part, return_inverse=True)[1] for part in (*codes.T, y)]  # NaN is a value
    _, first, row = np.unique(
        np.stack(ranks, axis=1), axis=0, return_index=True, return_inverse=True
    )
    taking_part = [k for k in kinds if k != "missing" and k not in LEFT_OUT]
    nominal = np.array(taking_part) == "nominal"
    codes, y = codes[first], y[first]
    if target_type == "multiclass":
        y = class_ranks(codes, y, nominal)
    folds = np.empty(len(first), np.intp)
    folds[canonical_order(codes, y, nominal)] = np.arange(len(first)) % N_FOLDS
    return folds[row.ravel()]


def _codes(columns: list[Any], kinds: list[str]) -> Array:
    """Columns that take part as numbers, (n, d), nominal ones by the number of the level."""
    parts = []
    for column, kind in zip(columns, kinds, strict=True):
        if kind == "nominal":
            codes = Levels(column).codes(column)
            parts.append(np.where(codes < 0, np.nan, codes))
        elif kind != "missing" and kind not in LEFT_OUT:
            parts.append(as_numbers(column, kind))
    return np.column_stack(parts)
