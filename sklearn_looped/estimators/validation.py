"""Validation of a user's table: an array of numbers, or a DataFrame that is read by column."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    column_or_1d,
    validate_data,
)

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.learned.inference.columns import is_temporal, to_table

LARGEST_SUM = 1e307  # of targets, somewhat below the largest float64, 1.8e308
LARGEST_WEIGHT = 1e12  # of a row; beyond it, or below its inverse, float32 loses the other rows


def validate_table(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Check X, and set or check the number and names of the estimator's features.

    Parameters
    ----------
    estimator : estimator
    X : array-like, sparse, or DataFrame of shape (n_samples, n_features)
        Anything that `sklearn_looped.learned.inference.columns.to_table` accepts. NaN is allowed,
        infinite values are not.
    reset : bool
        True in `fit`, False in `predict`.

    Returns
    -------
    X : DataFrame or ndarray of float64
        The columns of a DataFrame are read later, each by its kind.

    Raises
    ------
    ValueError
        If X is complex, not two-dimensional or empty, has infinite values, is sparse and too large
        to be made dense, or has other columns than in `fit`.
    TypeError
        If X is a lazy frame of polars.
    """
    X = to_table(X)
    _refuse_complex(X, "X")
    if not isinstance(X, pd.DataFrame):
        return validate_data(
            estimator, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
        )
    names = pd.Index([*map(str, X.columns)])  # by which columns are told apart
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise ValueError(f"Got several columns named {twice!r}; give each column its own name.")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if X.empty:
        raise ValueError(f"Found array with shape {X.shape}, but at least one row and column "
                         "are required.")  # fmt: skip
    for name, column in X.select_dtypes("number").items():
        if not is_temporal(column.dtype):
            numbers = column.to_numpy(np.float64, na_value=np.nan)
            assert_all_finite(numbers, allow_nan=True, input_name=f"X, column {name!r},")
    return X


def validate_training(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any = None
) -> tuple[Any, Array, Array | None]:
    """Check X, numeric y of one or two dimensions, and the sample weights of `fit`.

    Returns
    -------
    X : DataFrame or ndarray of float64
        As `validate_table` returns it.
    y : ndarray of float64
        Rows of weight 0 have the target of another row, so that theirs decides nothing.
    weights : ndarray of float64 or None
        None if no weights were given.

    Raises
    ------
    ValueError
        As in `validate_table`; or if y is missing, not numeric or not finite, has more than two
        dimensions, another length than X or a single row, or is so large that its sum overflows;
        or if weights are negative, outside 1e-12 to 1e12, or fewer than two of them are positive.
    """
    X, y = _validate_rows(estimator, X, y)
    shape = np.asarray(y).shape
    several = len(shape) == 2 and shape[1] > 0
    y = np.asarray(y) if several else column_or_1d(y, warn=True)
    y = _as_numbers(y)
    weights = _validate_weights(X, y, sample_weight)
    if weights is not None:
        y[weights == 0] = y[weights > 0][0]  # y is a copy
    largest = np.abs(y).max()
    if largest > LARGEST_SUM / (len(y) if weights is None else weights.sum()):
        raise ValueError(
            f"Got targets of up to {largest:g}, whose weighted sum overflows. Divide them by a "
            "constant."
        )
    return X, y, weights


def _as_numbers(y: NDArray[Any]) -> Array:
    """Return targets as float64, a copy; refuse what is no finite number."""
    if y.dtype.kind == "O":
        y = np.where(pd.isna(y), np.nan, y)  # pandas.NA too
    try:
        if y.dtype.kind in "Mm":
            raise TypeError(f"it contains {y.dtype}; turn it into numbers, such as days")
        numbers: Array = y.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"Got a target that is not numeric ({error}), but expected numbers."
        ) from error
    assert_all_finite(numbers, input_name="y")
    return numbers


def validate_numbers(
    estimator: BaseEstimator, X: Any, y: Any, **options: Any
) -> tuple[Array, Array]:
    """Check X and y of a programmed regressor, which takes numbers only.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,) or, with ``multi_output=True``, (n_samples, n_targets)
    **options
        Those of scikit-learn's `validate_data`.

    Returns
    -------
    X, y : ndarray of float64
        Copies: estimators keep them, and the caller may change theirs.

    Raises
    ------
    ValueError
        If there is anything but finite numbers, or an entry is masked.
    TypeError
        If X or y is sparse.
    """
    if sparse.issparse(y):
        raise TypeError("Got sparse targets, but expected dense ones: pass y.toarray().")
    X, y = validate_samples(estimator, X, y, y_numeric=True, copy=True, **options)
    return X, _as_numbers(y)


def validate_samples(
    estimator: BaseEstimator, X: Any, y: Any = "no_validation", **options: Any
) -> Any:
    """As scikit-learn's `validate_data`, to float64, but masked entries are refused.

    Raises
    ------
    ValueError
        As there, or if an entry of X or y is masked.
    """
    refuse_masked(X=X, y=y)
    return validate_data(estimator, X, y, dtype=np.float64, **options)


def without_constants(X: Array) -> tuple[Array, Array]:
    """Set columns of one value to 0, so that its size costs the others no precision.

    Returns
    -------
    X : ndarray of shape (n, d)
    constants : ndarray of shape (d,)
        The values that were subtracted; 0 for columns that vary.
    """
    constants = np.where((X[0] == X).all(axis=0), X[0], 0.0)
    return X - constants, constants


def validate_labels(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any = None
) -> tuple[Any, NDArray[Any], Array | None]:
    """Check X, labels y and sample weights of `fit`, as `validate_training` does for numbers."""
    X, y = _validate_rows(estimator, X, y)
    y = column_or_1d(y, warn=True)
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    elif pd.isna(y).any():
        raise ValueError("Input y contains NaN: labels are missing. Remove those rows.")
    return X, y, _validate_weights(X, y, sample_weight)


def weights_of_classes(
    class_weight: Any, classes: NDArray[Any], y: NDArray[Any], sample_weight: Array | None
) -> Array:
    """Return the weight of each class, as scikit-learn's `compute_class_weight`; all positive.

    Unlike there, a row of weight two counts as the row twice in the frequencies of "balanced".

    Raises
    ------
    ValueError
        If a weight is not positive or not finite, or the dict names no class of y.
    """
    if class_weight == "balanced":
        counts = np.bincount(np.searchsorted(classes, y), sample_weight)
        weights = counts.sum() / (len(classes) * counts)
    else:
        weights = compute_class_weight(class_weight, classes=classes, y=y)
    wrong = ~((weights > 0) & np.isfinite(weights))
    if wrong.any():
        raise ValueError(
            f"Got class_weight={weights[wrong][0]:g} for class {classes[wrong][0]}, but expected "
            "a positive, finite number. To exclude a class, remove its rows."
        )
    return np.asarray(weights, dtype=np.float64)


def _validate_rows(estimator: BaseEstimator, X: Any, y: Any) -> tuple[Any, Any]:
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    X = validate_table(estimator, X, reset=True)
    _refuse_complex(y, "y")
    refuse_masked(y=y)
    return X, y


def _validate_weights(X: Any, y: NDArray[Any], sample_weight: Any) -> Array | None:
    """Check lengths and weights; at least two rows must have a positive weight.

    Weights below one on average cannot be counts of rows. They are taken as relative and divided by
    their mean, so that normalised weights, such as AdaBoost's, add up to the number of rows.
    """
    check_consistent_length(X, y)
    weights = validate_weights(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
    if weights is not None:
        positive = weights[weights > 0]
        if len(positive) and positive.mean() < 1:
            weights, positive = weights / positive.mean(), positive / positive.mean()
        if ((positive < 1 / LARGEST_WEIGHT) | (positive > LARGEST_WEIGHT)).any():
            raise ValueError(
                f"Got sample_weight from {positive.min():g} to {positive.max():g}, but expected "
                f"the number of times that each row counts: 0, or from {1 / LARGEST_WEIGHT:g} to "
                f"{LARGEST_WEIGHT:g}."
            )
    n_rows = len(y) if weights is None else int(np.count_nonzero(weights))
    if n_rows < 2:
        raise ValueError(
            f"Found array with n_samples={n_rows}, but at least 2 rows of positive weight are "
            "required."
        )
    return weights


def validate_weights(sample_weight: Any, X: Any, **options: Any) -> Array | None:
    """Check sample weights, (n_samples,), of the rows of X; None stays None.

    Parameters
    ----------
    sample_weight : array-like, number or None
    X : array-like of shape (n_samples, ...)
    **options
        Those of scikit-learn's `_check_sample_weight`.

    Raises
    ------
    ValueError
        As there, or if an entry is masked.
    """
    if sample_weight is None:
        return None
    refuse_masked(sample_weight=sample_weight)
    weights: Array = _check_sample_weight(sample_weight, X, **options)
    return weights


def _refuse_complex(values: Any, name: str) -> None:
    types = values.dtypes if isinstance(values, pd.DataFrame) else [np.asarray(values).dtype]
    if any(getattr(dtype, "kind", "") == "c" for dtype in types):
        raise ValueError(
            f"Complex data not supported: {name} is complex, but expected real numbers. Pass the "
            "real and imaginary parts as columns."
        )


def finite_column(values: Any, name: str) -> Array:
    """Return numbers, (n,); refuse those that are missing, masked or infinite.

    Raises
    ------
    ValueError
        If there are such, or they are no numbers in one dimension.
    """
    refuse_masked(**{name: values})
    column: Array = column_or_1d(values, dtype=np.float64)
    assert_all_finite(column, input_name=name)
    return column


def check_levels(quantiles: Any) -> Array:
    """Return levels of quantiles, (n_quantiles,); refuse those that are not in (0, 1).

    Raises
    ------
    ValueError
        If there is such a level, or they are no numbers in one dimension.
    """
    wanted = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
    if wanted.ndim != 1 or not ((wanted > 0) & (wanted < 1)).all():
        raise ValueError(f"Got quantiles={quantiles!r}, but expected levels in (0, 1).")
    return wanted


def check_bounds(bounds: Any, Y: Array) -> tuple[float, float]:
    """Return the lowest and highest value that a target can have; None becomes infinite.

    Raises
    ------
    ValueError
        If `bounds` is not an increasing pair, or a target of `fit` lies outside of it.
    """
    try:
        low, high = (None, None) if bounds is None else bounds
        low = -np.inf if low is None else float(low)
        high = np.inf if high is None else float(high)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not low < high:
        raise ValueError(
            f"Got bounds={bounds!r}, but expected an increasing pair, such as (0, None)."
        )
    if Y.min() < low or Y.max() > high:
        raise ValueError(
            f"Got bounds={bounds!r}, but the targets of fit range from {Y.min():g} to {Y.max():g}."
        )
    return low, high
