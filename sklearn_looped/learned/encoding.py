"""From a user's table to a numeric array: nominal columns of a DataFrame become numbers."""

from typing import Any

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
                    _target_encoder(self.random_state),
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


def _target_encoder(random_state: int | None) -> TargetEncoder:
    """Cross-fitting target encoder; scikit-learn 1.9 moved the seed into the folds."""
    if parse_version(sklearn.__version__) < parse_version("1.9"):
        return TargetEncoder(target_type="continuous", random_state=random_state)
    folds = KFold(5, shuffle=True, random_state=random_state)
    return TargetEncoder(target_type="continuous", cv=folds)


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
