"""From a user's table to numeric arrays that the network reads.

`TableEncoder` turns nominal columns of a DataFrame into numbers; `View` is what one ensemble
member sees of the table: some rows, some columns, a transformation of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)

Array = NDArray[np.float64]

MAX_ONE_HOT = 10  # levels of a nominal column that get a column each; beyond, target encoding
VIEWS = ("standard", "whitened", "quantile")  # what members see, in turn
MIN_VARIANCE = 1e-7  # principal components with a smaller share of the variance are rounding noise


def in_canonical_order(X: Any, y: Array) -> tuple[Any, Array]:
    """Sort the rows by their content, so that the order they came in cannot matter."""
    if isinstance(X, pd.DataFrame):
        hashes = pd.util.hash_pandas_object(X, index=False).to_numpy()
        order = np.lexsort((hashes, y))
        return X.iloc[order], y[order]
    order = np.lexsort((*X.T, y))
    return X[order], y[order]


class TableEncoder:
    """Turn a table into a float64 array; NaN stays, as information.

    Arrays pass as they are. Of a pandas DataFrame numeric and boolean columns pass; nominal ones
    become one number (two levels), a column a level (up to ten), or their cross-fitted mean target
    (more). Levels not met in `fit` count as missing, as no level, or as the mean target.

    Parameters
    ----------
    random_state : int, default=None
        Seeds the folds of the target encoding.
    """

    def __init__(self, random_state: int | None = None) -> None:
        self.random_state = random_state

    def fit_transform(self, X: ArrayLike | pd.DataFrame, y: Array) -> Array:
        """Learn the encoding from the support and return it encoded, (n, d) -> (n, d')."""
        self.columns_: ColumnTransformer | None = None
        if not isinstance(X, pd.DataFrame):
            return _as_numbers(X)
        nominal = [name for name in X.columns if _is_nominal(X[name])]
        levels = {name: X[name].nunique() for name in nominal}
        if not nominal:
            return _as_numbers(_numeric_part(X))
        self.nominal_ = nominal
        self.columns_ = ColumnTransformer(
            [
                (
                    "binary",
                    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                    [name for name in nominal if levels[name] <= 2],
                ),
                (
                    "one_hot",
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                    [name for name in nominal if 2 < levels[name] <= MAX_ONE_HOT],
                ),
                (
                    "target",
                    TargetEncoder(target_type="continuous", random_state=self.random_state),
                    [name for name in nominal if levels[name] > MAX_ONE_HOT],
                ),
            ],
            remainder="passthrough",
        )
        return _as_numbers(self.columns_.fit_transform(self._prepared(X), y))

    def transform(self, X: ArrayLike | pd.DataFrame) -> Array:
        """Encode a table like the one of `fit_transform`."""
        if self.columns_ is None:
            return _as_numbers(_numeric_part(X) if isinstance(X, pd.DataFrame) else X)
        if not isinstance(X, pd.DataFrame):
            raise ValueError(
                f"Got {type(X).__name__}, but the estimator was fitted on a DataFrame with nominal "
                f"columns ({', '.join(map(str, self.nominal_))}). Give a DataFrame."
            )
        return _as_numbers(self.columns_.transform(self._prepared(X)))

    def _prepared(self, X: pd.DataFrame) -> pd.DataFrame:
        """Numeric columns as float64, nominal ones as plain objects, missing ones as NaN."""
        numeric = _numeric_part(X.drop(columns=self.nominal_))
        nominal = X[self.nominal_].astype(object)
        return pd.concat([numeric, nominal.where(nominal.notna(), np.nan)], axis=1)


def _is_nominal(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_datetime64_any_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        raise ValueError(
            f"Column {column.name!r} holds {column.dtype}, but numbers or nominal values are "
            "expected. Turn it into numbers first, such as days since a date."
        )
    return not pd.api.types.is_numeric_dtype(column)


def _numeric_part(X: pd.DataFrame) -> pd.DataFrame:
    """Columns as float64; pandas' own missing values become NaN."""
    return X.astype("float64")


def _as_numbers(X: ArrayLike | pd.DataFrame) -> Array:
    return np.asarray(X, dtype=np.float64)


@dataclass
class View:
    """What one ensemble member sees of the encoded table.

    Attributes
    ----------
    columns : ndarray of int
        Columns it sees.
    rows : ndarray of int or None
        Support rows it sees; None: all.
    transformer : transformer or None
        Fitted on its part of the support; None: the columns as they are.
    """

    columns: NDArray[np.intp]
    rows: NDArray[np.intp] | None
    transformer: TransformerMixin | None

    def support(self, X: Array, y: Array) -> tuple[Array, Array]:
        """Return its part of the encoded support, (n, d) -> (s, d') and (n,) -> (s,)."""
        if self.rows is not None:
            X, y = X[self.rows], y[self.rows]
        return self.query(X), y

    def query(self, X: Array) -> Array:
        """Return its part of encoded queries, (q, d) -> (q, d')."""
        X = X[:, self.columns]
        return X if self.transformer is None else self.transformer.transform(X)


def fit_views(
    X: Array, y: Array, n_views: int, max_columns: int, max_rows: int, rng: np.random.RandomState
) -> list[View]:
    """Choose and fit what each ensemble member sees.

    Members take the `VIEWS` in turn: columns as they are, whitened principal components, columns
    mapped to a normal distribution. Constant columns go. Of more than `max_columns` each member
    sees the half of `max_columns` most correlated with y and a share of the rest, dealt so that
    members see different ones; of more than `max_rows` rows a random subsample each.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Encoded support, NaN for missing cells.
    y : ndarray of shape (n,)
    n_views, max_columns, max_rows : int
    rng : RandomState

    Returns
    -------
    list of View
    """
    n_rows = len(X)
    columns = _varying_columns(X)
    dealer = _ColumnDealer(X, y, columns, max_columns, rng)
    views = []
    for index in range(n_views):
        rows = None
        if n_rows > max_rows:
            rows = np.sort(rng.choice(n_rows, max_rows, replace=False))
        chosen = dealer.deal()
        part = X[:, chosen] if rows is None else X[np.ix_(rows, chosen)]
        views.append(View(chosen, rows, _fit_transformer(VIEWS[index % len(VIEWS)], part)))
    return views


def _varying_columns(X: Array) -> NDArray[np.intp]:
    """Columns with at least two different values; the first column if there are none."""
    varying = np.flatnonzero(
        [np.ptp(present) > 0 if len(present := c[~np.isnan(c)]) else False for c in X.T]
    )
    return varying if len(varying) else np.zeros(1, dtype=np.intp)


class _ColumnDealer:
    """Deals columns to members when there are more than the network reads."""

    def __init__(
        self, X: Array, y: Array, columns: NDArray[np.intp], limit: int, rng: np.random.RandomState
    ) -> None:
        self.limit, self.rng, self.columns = limit, rng, columns
        if len(columns) > limit:
            strength = _correlations(X[:, columns], y)
            ranked = columns[np.argsort(-strength, kind="stable")]
            self.always, self.rest = ranked[: limit // 2], ranked[limit // 2 :]
            self.deck: NDArray[np.intp] = self.rest[:0]

    def deal(self) -> NDArray[np.intp]:
        if len(self.columns) <= self.limit:
            return self.columns
        share = self.limit - len(self.always)
        if len(self.deck) < share:  # a new deck once the rest has been dealt
            self.deck = self.rng.permutation(self.rest)
        hand, self.deck = self.deck[:share], self.deck[share:]
        return np.sort(np.concatenate([self.always, hand]))


def _correlations(X: Array, y: Array) -> Array:
    """Absolute correlation of each column with y over the cells that are present."""
    Z = StandardScaler().fit_transform(X)
    centred = StandardScaler().fit_transform(y[:, None])
    return np.abs(np.nanmean(Z * centred, axis=0)).round(6)


def _fit_transformer(view: str, X: Array) -> TransformerMixin | None:
    """Fit the transformation of a view; whitening needs two columns and two rows that differ."""
    if view == "quantile":
        return QuantileTransformer(
            n_quantiles=min(len(X), 256), output_distribution="normal", subsample=None
        ).fit(X)
    if view == "whitened" and X.shape[1] > 1:
        impute_scale = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
        Z = impute_scale.fit_transform(X)
        spread = np.linalg.svd(Z - Z.mean(0), compute_uv=False) ** 2
        rank = int((spread > MIN_VARIANCE * spread.sum()).sum())
        pca = PCA(max(rank, 1), whiten=True, svd_solver="full").fit(Z)
        return make_pipeline(*(step for _, step in impute_scale.steps), pca)
    return None
