"""Validation of a user's table: numbers as arrays, or a DataFrame that may hold nominal columns."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import assert_all_finite, column_or_1d, validate_data


def validate_table(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Check X, set or check the estimator's number and names of features.

    Parameters
    ----------
    estimator : estimator
    X : array-like or DataFrame of shape (n_samples, n_features)
        NaN is allowed, infinite values are not.
    reset : bool
        True in `fit`, False in `predict`.

    Returns
    -------
    DataFrame as it is, or ndarray of float64

    Raises
    ------
    ValueError
        If X is sparse, complex, not two-dimensional, empty, infinite, holds text outside a
        DataFrame, or has other columns than in `fit`.
    """
    _refuse_complex(X, "X")
    if isinstance(X, pd.DataFrame):
        if not X.columns.is_unique:
            twice = X.columns[X.columns.duplicated()][0]
            raise ValueError(
                f"Got several columns named {twice!r}; give every column its own name."
            )
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if X.empty:
            raise ValueError(f"Found array with shape {X.shape}, but at least one row and column "
                             "are required.")  # fmt: skip
        assert_all_finite(X.select_dtypes("number").to_numpy("float64"), allow_nan=True)
        return X
    try:
        return validate_data(
            estimator, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
    except ValueError as error:
        if "could not convert string" not in str(error):
            raise
        raise ValueError(
            f"Got an array that holds text ({error}), but expected numbers. Give a pandas "
            "DataFrame, whose nominal columns are encoded, or encode the text first."
        ) from error


def validate_training(estimator: BaseEstimator, X: Any, y: Any) -> tuple[Any, NDArray[np.float64]]:
    """Check X and y of `fit`: as `validate_table`, and y numeric, finite, at least two rows.

    Raises
    ------
    ValueError
        As `validate_table`; or if y is missing, not one-dimensional, not numeric, not finite, of
        another length than X, or of one row.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    X = validate_table(estimator, X, reset=True)
    _refuse_complex(y, "y")
    y = column_or_1d(y, warn=True)
    try:
        if y.dtype.kind in "SU":
            raise TypeError(f"it holds text such as {str(y[0])!r}")
        y = y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Got a target that is not numeric ({error}), but expected numbers."
        ) from error
    assert_all_finite(y, input_name="y")
    check_consistent_length(X, y)
    if len(y) < 2:
        raise ValueError(
            f"Found array with n_samples={len(y)} (1 sample), but a minimum of 2 is required: "
            "a prediction needs rows to compare."
        )
    return X, y


def _refuse_complex(values: Any, name: str) -> None:
    types = values.dtypes if isinstance(values, pd.DataFrame) else [np.asarray(values).dtype]
    if any(getattr(dtype, "kind", "") == "c" for dtype in types):
        raise ValueError(
            f"Complex data not supported: {name} is complex, but expected real numbers. Give its "
            "real and imaginary parts as columns."
        )
