"""From a user's table to a numeric array: nominal columns of a DataFrame become numbers."""

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    TargetEncoder,
)
from sklearn.utils.fixes import parse_version

Array = NDArray[np.float64]

MAX_ONE_HOT = 10  # levels of a nominal column that get a column each; beyond, target encoding
FAR = 1e100  # sizes of the support beyond which a query's cell is as good as infinite


class Support(NamedTuple):
    """The rows that predictions are made from.

    Attributes
    ----------
    X : ndarray of shape (n, d), or DataFrame before it is encoded
        NaN for missing cells.
    Y : ndarray of shape (n, T)
        One column a target.
    weights : ndarray of shape (n,) or None
        How often each row counts; None: once.
    rows : ndarray of shape (n,) or None
        Numbers of the rows in the table that was given; of joined rows the first one's.
    """

    X: Any
    Y: Array
    weights: Array | None
    rows: NDArray[np.intp] | None = None

    def take(self, rows: NDArray[Any]) -> "Support":
        """Return some rows, by number or by mask."""
        X = self.X.iloc[rows] if isinstance(self.X, pd.DataFrame) else self.X[rows]
        weights = None if self.weights is None else self.weights[rows]
        numbers = None if self.rows is None else self.rows[rows]
        return Support(X, self.Y[rows], weights, numbers)

    def in_canonical_order(self) -> "Support":
        """Sort the rows by their content, so that the order they came in cannot matter."""
        if isinstance(self.X, pd.DataFrame):
            keys: Any = (pd.util.hash_pandas_object(self.X, index=False).to_numpy(), *self.Y.T)
        else:
            keys = (*self.X.T, *self.Y.T)
        return self.take(np.lexsort(keys))

    def merged(self) -> "Support":
        """Join equal neighbours into one row of their summed weight: it counts the same.

        Rows of weight one get no weights.
        """
        X, Y = self.X, self.Y
        cells = (X[1:] == X[:-1]) | (np.isnan(X[1:]) & np.isnan(X[:-1]))
        new = np.append(True, ~(cells.all(axis=1) & (Y[1:] == Y[:-1]).all(axis=1)))
        weights = np.bincount(np.cumsum(new) - 1, self.weights).astype(np.float64)
        rows = None if self.rows is None else self.rows[new]
        return Support(X[new], Y[new], None if (weights == 1).all() else weights, rows)


class TableEncoder:
    """Turn a table into a float64 array; NaN stays, as information.

    Of a pandas DataFrame numeric and boolean columns pass; nominal ones become one number (two
    levels), a column a level (up to ten), or their cross-fitted mean target (more). Levels not met
    in `fit` count as missing, as no level, or as the mean target. Every column is then divided by
    a power of two near its largest size: exact, and nothing overflows in what follows.

    Parameters
    ----------
    target_type : {"continuous", "binary", "multiclass"}, default="continuous"
        What y is. Of several classes each gets a column of the target encoding.
    random_state : int, default=None
        Seeds the folds of the target encoding.

    Attributes
    ----------
    sources_ : ndarray of shape (d',)
        The column of the table that each encoded one comes from.
    """

    def __init__(self, target_type: str = "continuous", random_state: int | None = None) -> None:
        self.target_type = target_type
        self.random_state = random_state

    def fit_transform(self, X: ArrayLike | pd.DataFrame, y: Array) -> Array:
        """Learn the encoding from the support and return it encoded, (n, d) -> (n, d')."""
        encoded = self._fit_columns(X, y)
        self.sources_ = self._find_sources(encoded.shape[1])
        largest = np.fmax.reduce(np.abs(encoded), axis=0, initial=0)
        self.exponents_ = np.frexp(largest)[1]
        return self._scaled(encoded)

    def _fit_columns(self, X: ArrayLike | pd.DataFrame, y: Array) -> Array:
        self.columns_: ColumnTransformer | None = None
        if not isinstance(X, pd.DataFrame):
            return np.asarray(X, dtype=np.float64)
        self.nominal_ = [str(i) for i in range(X.shape[1]) if _is_nominal(X.iloc[:, i])]
        if not self.nominal_:
            return _numbers(X)
        self.names_ = [str(X.columns[int(i)]) for i in self.nominal_]
        table = self._prepared(X)
        levels = table[self.nominal_].nunique()
        self.columns_ = ColumnTransformer(
            [
                (
                    "binary",
                    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                    list(levels.index[levels <= 2]),
                ),
                (
                    "one_hot",
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                    list(levels.index[(levels > 2) & (levels <= MAX_ONE_HOT)]),
                ),
                (
                    "target",
                    _target_encoder(self.target_type, self.random_state),
                    list(levels.index[levels > MAX_ONE_HOT]),
                ),
            ],
            remainder="passthrough",
        )
        return np.asarray(self.columns_.fit_transform(table, y), dtype=np.float64)

    def _find_sources(self, n_encoded: int) -> NDArray[np.intp]:
        if self.columns_ is None:
            return np.arange(n_encoded)
        sources = np.empty(n_encoded, dtype=np.intp)
        names = self.columns_.feature_names_in_  # the places, as text
        for kind, encoder, columns in self.columns_.transformers_:
            places = [int(names[c] if isinstance(c, Integral) else c) for c in columns]
            counts = [1] * len(places)
            if kind == "one_hot" and places:
                counts = [len(levels) for levels in encoder.categories_]
            elif kind == "target" and places and self.target_type == "multiclass":
                counts = [len(encoder.classes_)] * len(places)
            sources[self.columns_.output_indices_[kind]] = np.repeat(places, counts)
        return sources

    def transform(self, X: ArrayLike | pd.DataFrame) -> Array:
        """Encode a table like the one of `fit_transform`."""
        return self._scaled(self._encoded(X))

    def _scaled(self, encoded: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.ldexp(encoded, -self.exponents_).clip(-FAR, FAR)

    def _encoded(self, X: ArrayLike | pd.DataFrame) -> Array:
        if self.columns_ is None:
            if isinstance(X, pd.DataFrame):
                return _numbers(X)
            return np.asarray(X, dtype=np.float64)
        if not isinstance(X, pd.DataFrame):
            raise ValueError(
                f"Got {type(X).__name__}, but the estimator was fitted on a DataFrame with nominal "
                f"columns ({', '.join(self.names_)}). Give a DataFrame."
            )
        return np.asarray(self.columns_.transform(self._prepared(X)), dtype=np.float64)

    def _prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        """Columns named by their place, numeric ones as float64, nominal ones as objects."""
        places = [str(i) for i in range(X.shape[1])]
        is_nominal = np.isin(places, self.nominal_)
        numeric = X.loc[:, ~is_nominal]
        numbers = pd.DataFrame(_numbers(numeric), X.index, np.array(places)[~is_nominal])
        nominal = X.set_axis(places, axis=1)[self.nominal_].astype(object)
        return pd.concat([numbers, nominal.where(nominal.notna(), np.nan)], axis=1)


def _target_encoder(target_type: str, random_state: int | None) -> TargetEncoder:
    """Cross-fitting target encoder; scikit-learn 1.9 moved the seed into the folds."""
    if parse_version(sklearn.__version__) < parse_version("1.9"):
        return TargetEncoder(target_type=target_type, random_state=random_state)
    folds = KFold(5, shuffle=True, random_state=random_state)
    return TargetEncoder(target_type=target_type, cv=folds)


def _is_nominal(column: "pd.Series[Any]") -> bool:
    _refuse_dates(column)
    return not pd.api.types.is_numeric_dtype(column)


def _refuse_dates(column: "pd.Series[Any]") -> None:
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise ValueError(
            f"Column {column.name!r} holds {column.dtype}, but numbers or nominal values are "
            "expected. Turn it into numbers first, such as days since a date."
        )


def _numbers(X: pd.DataFrame) -> Array:
    """Columns as float64, NaN where missing; refused by name where they hold no numbers."""
    for name, column in X.items():
        if not pd.api.types.is_numeric_dtype(column):
            _refuse_dates(column)
            try:
                column.to_numpy(np.float64, na_value=np.nan)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"Column {name!r} held numbers in fit, but holds {column.dtype} now ({error}). "
                    "Give numbers, and NaN for missing cells."
                ) from error
    return X.to_numpy(np.float64, na_value=np.nan)
