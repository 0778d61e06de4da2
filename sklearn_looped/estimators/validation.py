"""Validation of a user's table: numbers as arrays, or a DataFrame that may hold nominal columns."""

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    column_or_1d,
    validate_data,
)

Array = NDArray[np.float64]

LARGEST_SUM = 1e307  # of targets; with room to the largest float64, 1.8e308
LARGEST_WEIGHT = 1e12  # of a row; beyond, and below its inverse, float32 loses the other rows


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
        DataFrame, levels that cannot be told apart or sorted, or has other columns than in `fit`.
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
        _check_levels(X, sortable=reset)
        return X
    try:
        return validate_data(
            estimator, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
    except (TypeError, ValueError, OverflowError) as error:
        if not re.search("could not convert string|NAType|int too large", str(error)):
            raise
        raise ValueError(
            f"Got an array that holds text or other objects ({error}), but expected numbers. Give "
            "a pandas DataFrame, whose nominal columns are encoded, or encode the text first, and "
            "write NaN for missing cells."
        ) from error


def _check_levels(X: pd.DataFrame, *, sortable: bool) -> None:
    """Refuse columns of objects that cannot be levels, or, in `fit`, not those of one column."""
    for name, column in X.items():
        if column.dtype != object and not isinstance(column.dtype, pd.CategoricalDtype):
            continue
        try:
            levels = set(column.dropna())
            if any(np.ndim(level) for level in levels):
                raise TypeError
            if sortable:
                sorted(levels)
        except TypeError:
            kinds = ", ".join(sorted({type(level).__name__ for level in column.dropna()}))
            raise ValueError(
                f"Column {name!r} holds objects that are no levels of one kind ({kinds}). Turn "
                f"them into text, as by table[{name!r}].astype(str), or leave the column out."
            ) from None


def validate_training(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any = None
) -> tuple[Any, Array, Array | None]:
    """Check X, numeric y of one or two dimensions and the weights of `fit`.

    Returns
    -------
    X, as `validate_table` returns it; y; weights, or None if none were given

    Raises
    ------
    ValueError
        As `validate_table`; or if y is missing, of more dimensions, not numeric, not finite, of
        another length than X, of one row, or so large that its sum overflows; or if weights are
        negative, beyond 1e-12 to 1e12, or too few positive.
    """
    X, y = _validate_rows(estimator, X, y)
    shape = np.asarray(y).shape
    several = len(shape) == 2 and shape[1] > 0
    y = np.asarray(y) if several else column_or_1d(y, warn=True)
    try:
        if y.dtype.kind in "SU":
            raise TypeError(f"it holds text such as {str(y.flat[0])!r}")
        y = y.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"Got a target that is not numeric ({error}), but expected numbers."
        ) from error
    assert_all_finite(y, input_name="y")
    weights = _validate_weights(X, y, sample_weight)
    largest = np.abs(y).max()
    if largest > LARGEST_SUM / (len(y) if weights is None else weights.sum()):
        raise ValueError(
            f"Got targets of up to {largest:g}, whose weighted sum overflows. Divide them by a "
            "constant."
        )
    return X, y, weights


def validate_labels(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any = None
) -> tuple[Any, NDArray[Any], Array | None]:
    """Check X, labels y and the weights of `fit`, as `validate_training` does for numbers."""
    X, y = _validate_rows(estimator, X, y)
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    elif pd.isna(y).any():
        raise ValueError("Input y contains NaN: labels are missing. Leave those rows out.")
    return X, y, _validate_weights(X, y, sample_weight)


def _validate_rows(estimator: BaseEstimator, X: Any, y: Any) -> tuple[Any, Any]:
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    X = validate_table(estimator, X, reset=True)
    _refuse_complex(y, "y")
    return X, y


def _validate_weights(X: Any, y: NDArray[Any], sample_weight: Any) -> Array | None:
    """Check lengths and weights; at least two rows must count."""
    check_consistent_length(X, y)
    weights = None
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
        positive = weights[weights > 0]
        if ((positive < 1 / LARGEST_WEIGHT) | (positive > LARGEST_WEIGHT)).any():
            raise ValueError(
                f"Got sample_weight from {positive.min():g} to {positive.max():g}, but expected "
                f"how often each row counts: 0, or {1 / LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}."
            )
    n_rows = len(y) if weights is None else int(np.count_nonzero(weights))
    if n_rows < 2:
        raise ValueError(
            f"Found array with n_samples={n_rows} (1 sample), but a minimum of 2 is required: "
            "a prediction needs rows to compare."
        )
    return weights


def _refuse_complex(values: Any, name: str) -> None:
    types = values.dtypes if isinstance(values, pd.DataFrame) else [np.asarray(values).dtype]
    if any(getattr(dtype, "kind", "") == "c" for dtype in types):
        raise ValueError(
            f"Complex data not supported: {name} is complex, but expected real numbers. Give its "
            "real and imaginary parts as columns."
        )
