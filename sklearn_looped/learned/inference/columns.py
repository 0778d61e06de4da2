"""One reading of a user's columns: by what their cells hold, not by the container they came in.

Shapes: n rows, d columns.
"""

import datetime
import re
from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.instants import days, durations

Series: TypeAlias = "pd.Series[Any]"

MAX_DENSE = 50_000_000  # cells of a sparse table that are held as float64: 400 MB
MANY = 10  # different values beyond which a column of text can hold measurements or identifiers
# Name of the columns' axis of an array's table: they have no names that could be in another order.
BY_PLACE = "sklearn_looped: columns by place"
STRAY = 0.05  # share of cells of another kind that a column of numbers or dates may hold
WORDS = 3  # on average, from which on the cells of a column are free text

NO_VALUE = {
    "", "-", "--", ".", "?", "na", "n/a", "nan", "nat", "none", "null", "missing", "unknown",
}  # fmt: skip
TRUTH = {"true": 1.0, "false": 0.0}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
PADDED = re.compile(r"[+-]?0\d+")  # a code such as 007
ROW_ID = re.compile(r"(.*[^A-Za-z])?(id|ID|Id|uuid|UUID|index|Unnamed: \d+)|.*[a-z](Id|ID)")


def to_table(X: Any) -> Any:
    """Turn containers whose cells need a reading into a DataFrame; dense arrays of numbers stay.

    Parameters
    ----------
    X : DataFrame of pandas or polars, Arrow table, sparse or dense array-like

    Returns
    -------
    pandas DataFrame, or X as it is, dense

    Raises
    ------
    ValueError
        If X is sparse and its dense form would have more than 50 million cells.
    TypeError
        If X is a lazy frame of polars.

    Examples
    --------
    >>> from sklearn_looped.learned.inference.columns import to_table
    >>> to_table([["clay", 1.5], ["sand", None]]).shape
    (2, 2)
    """
    if isinstance(X, pd.DataFrame):
        return X
    if sparse.issparse(X):
        if np.prod(X.shape, dtype=float) > MAX_DENSE:
            raise ValueError(
                f"Got a sparse table of {X.shape[0]} x {X.shape[1]} cells, but it is made dense, "
                f"and at most {MAX_DENSE} cells are allowed. Choose fewer columns or rows."
            )
        return to_table(X.toarray())
    if hasattr(X, "collect") and hasattr(X, "lazy"):
        raise TypeError(
            "Got a lazy frame of polars, but expected a table in memory: pass X.collect()."
        )
    if hasattr(X, "get_columns") and hasattr(X, "columns"):  # polars
        return _frame([(c.to_list(), c.dtype) for c in X.get_columns()], X.columns)
    if hasattr(X, "column_names") and hasattr(X, "schema"):  # an Arrow table
        return _frame([(c.to_pylist(), c.type) for c in X.columns], X.column_names)
    try:
        array = np.asarray(X)
    except (TypeError, ValueError):  # ragged: scikit-learn says so
        return X
    is_exact = array.dtype.kind not in "iu" or not (np.abs(array.astype(float)) > 2**53).any()
    if isinstance(X, np.ma.MaskedArray) and array.dtype.kind in "biuf" and is_exact:
        return np.where(np.ma.getmaskarray(X), np.nan, array.astype(np.float64))
    if array.ndim == 2 and (array.dtype.kind in "OSTUMm" or not is_exact):
        is_masked = np.ma.is_masked(X)
        # `mask` would round whole numbers, as objects it keeps them.
        as_objects = array.dtype.kind in "ST" or (is_masked and not is_exact)
        cells = array.astype(object) if as_objects else array
        table = pd.DataFrame(cells).rename_axis(columns=BY_PLACE)
        return table.mask(np.ma.getmaskarray(X)) if is_masked else table
    return X


def _frame(columns: list[tuple[list[Any], Any]], names: Any) -> pd.DataFrame:
    """Join lists of cells with their types to a DataFrame; what is nominal by type stays so."""
    read = [_cells(*column) for column in columns]
    return pd.DataFrame(dict(enumerate(read))).set_axis(list(names), axis=1)


def _cells(cells: list[Any], dtype: Any) -> Any:
    """Keep levels as such, and whole numbers beside missing cells, which pandas would round."""
    if _is_categorical(dtype):
        return pd.Categorical(cells)
    is_whole = str(dtype).lower().startswith(("int", "uint"))
    return np.array(cells, dtype=object) if is_whole and None in cells else cells


def _is_categorical(dtype: Any) -> bool:
    """Whether a type of pandas, polars or Arrow declares levels."""
    return str(dtype).lower().startswith(("category", "categorical", "enum", "dictionary"))


def factorized(column: Series) -> tuple[NDArray[np.intp], list[Any]]:
    """Return the number of each cell's value, (n,), -1 where it is missing; and the values.

    Raises
    ------
    TypeError
        If a cell holds something that is no number, text, boolean or date.
    """
    try:
        codes, found = pd.factorize(column.astype(object))
        values = [v.decode(errors="replace") if isinstance(v, bytes) else v for v in found]
    except TypeError:  # lists, dictionaries
        codes, values = np.zeros(0, np.intp), list(column.dropna())
    kinds = {type(value) for value in values if not _is_cell(value)}
    if kinds:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(
            f"Column {column.name!r} contains {names}, but every cell of this argument must be a "
            "string, a number, a boolean or a date. Convert the cells, for example by "
            f"table[{column.name!r}].astype(str), or leave the column out."
        )
    return codes.astype(np.intp), values


def _is_cell(value: Any) -> bool:
    if np.ndim(value) or isinstance(value, dict | set | frozenset | complex | np.complexfloating):
        return False
    return type(value).__str__ is not object.__str__ or type(value).__repr__ is not object.__repr__


def kind_of(column: Series, is_first: NDArray[np.bool_] | None = None) -> str:
    """Say what a column holds: one of the kinds of `TableEncoder`.

    Parameters
    ----------
    column : Series of length n
    is_first : ndarray of shape (n,), default=None
        Which rows are no repetition of an earlier one, as in a bootstrap sample. None: all.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If a cell holds something that is no number, text, boolean or date.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_looped.learned.inference.columns import kind_of
    >>> [kind_of(pd.Series(cells)) for cells in (["1.5", "2"], ["01", "07"], ["2024-05-31", "?"])]
    ['number', 'nominal', 'date']
    """
    dtype, first = column.dtype, column if is_first is None else column[is_first]
    if not _is_categorical(dtype) and _is_plain(dtype):
        if column.isna().all():
            return "missing"
        kind = "boolean" if pd.api.types.is_bool_dtype(dtype) else "number"
        return "identifier" if kind == "number" and _numbers_rows(first) else kind
    codes, values = factorized(column)
    if not values:
        return "missing"
    if not _is_categorical(dtype):
        counts = np.bincount(codes[codes >= 0], minlength=len(values))
        for kind in ("boolean", "number", "date", "duration"):
            if _holds(column, kind, values, counts):
                return "identifier" if kind == "number" and _numbers_rows(first) else kind
    return _nominal_kind(values, len(column) - column.isna().sum(), first.notna().sum())


def _is_plain(dtype: Any) -> bool:
    """Whether pandas holds the column as numbers or booleans."""
    return pd.api.types.is_numeric_dtype(dtype) and "decimal" not in str(dtype)


def _numbers_rows(column: Series) -> bool:
    """Whether whole numbers, each once, stand under a name such as "id"."""
    numbers = as_numbers(column)
    numbers = numbers[~np.isnan(numbers)]
    return (
        len(numbers) > MANY
        and ROW_ID.fullmatch(str(column.name)) is not None
        and bool((numbers == np.round(numbers)).all())
        and column.nunique() == len(numbers)  # integers beyond 2**53 are equal as float64
    )


def _nominal_kind(values: list[Any], n_cells: int, n_first: int) -> str:
    """Tell levels from text that is another one in (nearly) every row."""
    if len(values) > MANY and len(values) > n_cells / 2:
        if np.mean([len(str(value).split()) for value in values]) >= WORDS:
            return "text"
        if len(values) == n_first:
            return "identifier"
    return "nominal"


def _holds(column: Series, kind: str, values: list[Any], counts: NDArray[np.intp]) -> bool:
    """Whether the values are of a kind, but for cells without a value and a few stray ones."""
    if kind == "boolean":
        held = [value for value in values if _text(value) not in NO_VALUE]
        is_truth = [isinstance(value, bool | np.bool_) or _text(value) in TRUTH for value in held]
        return all(is_truth) and len(held) > 0
    read = _converted(column, kind, values)
    is_read = ~np.isnan(read)
    if not is_read.any():
        return False
    if kind == "number" and any(isinstance(v, str) and PADDED.fullmatch(v.strip()) for v in values):
        return False
    stray = ~is_read & [_text(value) not in NO_VALUE for value in values]
    if not stray.any():
        return True
    # One word among codes makes levels of them; among many measurements it is a slip.
    many = is_read.sum() > MANY
    if kind == "number":
        fractions = (read[is_read] != np.round(read[is_read])).any()
        many &= fractions or is_read.sum() > counts.sum() / 2
    return bool(many and counts[stray].sum() <= STRAY * counts.sum())


def _text(value: Any) -> str | None:
    return value.strip().lower() if isinstance(value, str) else None


def as_number(value: Any) -> float:
    """Read a number from a cell; NaN where it holds none.

    Examples
    --------
    >>> from decimal import Decimal
    >>> from sklearn_looped.learned.inference.columns import as_number
    >>> [as_number(cell) for cell in (Decimal("1.5"), " 2e3", True, "False", "web")]
    [1.5, 2000.0, 1.0, 0.0, nan]
    """
    if isinstance(value, str):
        text = value.strip()
        if NUMBER.fullmatch(text) and np.isfinite(float(text)):
            return float(text)
        return TRUTH.get(text.lower(), np.nan)
    if isinstance(value, np.timedelta64 | pd.Timedelta | datetime.timedelta):
        return np.nan
    return float(value) if isinstance(value, Real | Decimal | np.bool_) else np.nan


def _numbers(values: list[Any]) -> Array:
    numbers = np.array([as_number(value) for value in values], dtype=np.float64)
    if np.isinf(numbers).any():
        raise OverflowError("infinity or a value too large for dtype('float64')")
    return numbers


def _converted(column: Series, kind: str, values: list[Any]) -> Array:
    """Convert values to a kind; what float64 cannot hold is refused by column."""
    try:
        return CONVERSIONS[kind](values)
    except OverflowError as error:
        raise ValueError(
            f"Column {column.name!r} of X contains a number too large for float64 or infinity "
            f"({error}). Give finite numbers, and NaN for missing cells."
        ) from error


CONVERSIONS: dict[str, Callable[[list[Any]], Array]] = {
    "boolean": _numbers,
    "number": _numbers,
    "date": days,
    "duration": durations,
}


def as_numbers(column: Series, kind: str = "number") -> Array:
    """Read a column as float64, (n,): numbers, or days of dates and durations; NaN elsewhere.

    Raises
    ------
    ValueError
        If it is a column of dates or durations where numbers are expected, or a number does not
        fit into float64.
    """
    if kind in ("number", "boolean") and _is_plain(column.dtype):
        return column.to_numpy(np.float64, na_value=np.nan)
    if kind in ("number", "boolean") and is_temporal(column.dtype):
        raise ValueError(
            f"Column {column.name!r} contains {column.dtype}, but contained numbers in fit. "
            "Convert it to numbers first, such as days since a date."
        )
    codes, values = factorized(column)
    return np.append(_converted(column, kind, values), np.nan)[codes]


def is_temporal(dtype: Any) -> bool:
    """Whether pandas holds a column as dates or durations."""
    return (
        pd.api.types.is_datetime64_any_dtype(dtype)
        or pd.api.types.is_timedelta64_dtype(dtype)
        or isinstance(dtype, pd.PeriodDtype)
        or re.match("timestamp|date|time|duration", str(dtype)) is not None
    )


def has_value(column: Series) -> NDArray[np.bool_]:
    """Cells that hold something, (n,)."""
    present = column.notna().to_numpy()
    if not _is_plain(column.dtype) and present.any():
        codes, values = factorized(column)
        present = present & np.append([_text(v) not in NO_VALUE for v in values], False)[codes]
    return np.asarray(present, dtype=bool)
