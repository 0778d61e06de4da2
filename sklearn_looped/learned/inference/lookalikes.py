"""Cells that are not what they look like: numbers and dates in forms that are not read or held."""

import re
from typing import Any

import numpy as np
import pandas as pd

from sklearn_looped.learned.inference.columns import (
    MANY,
    PADDED,
    STRAY,
    as_number,
    as_numbers,
    factorized,
)

FORM = re.compile(
    r"""[$€£¥]?\ ?[+−-]?[$€£¥]?\ ?  # $1,200.50, 1 200,5 or 12 %
        (\d+|\d{1,3}([,.'\ ]\d{3})+)([.,]\d+)?\ ?[%$€£¥]?
      | \d{1,4}(?P<sep>[/.-])\d\d?(?P=sep)\d{2,4}([ T]\d.*)?  # 05/31/2024 or 31-05-24
      | \d\d?[ -][^\W\d]{3,9}\.?[ -]\d{2,4}  # 31 May 2024
      | [^\W\d]{3,9}\.?\ \d\d?,?\ \d{4}  # May 31, 2024""",
    re.VERBOSE,
)
WHOLE = re.compile(r"[+-]?\d+")
EXACT = 2.0**53  # beyond which float64 does not hold every whole number


def unread_form(column: "pd.Series[Any]") -> str | None:
    """Return a cell of a column of many values whose text looks like numbers or dates, or None.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_looped.learned.inference.lookalikes import unread_form
    >>> unread_form(pd.Series([f"${i},000.00" for i in range(1, 99)]))
    '$1,000.00'
    >>> unread_form(pd.Series([f"room {i}" for i in range(99)]))
    """
    if isinstance(column.dtype, pd.CategoricalDtype):  # declared as levels
        return None
    _, values = factorized(column)
    texts = [value.strip() for value in values if isinstance(value, str)]
    found = [text for text in texts if FORM.fullmatch(text) and not _is_code_or_number(text)]
    if len(values) <= MANY or len(found) < (1 - STRAY) * len(values):
        return None
    return found[0]


def merged_integers(column: "pd.Series[Any]") -> str | None:
    """Say what becomes of whole numbers that float64 cannot distinguish, or None.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_looped.learned.inference.lookalikes import merged_integers
    >>> merged_integers(pd.Series([2**60 + i for i in range(40)]))
    '40 values, 1 as float64'
    >>> merged_integers(pd.Series([2**60, 2**61]))
    """
    if pd.api.types.is_float_dtype(column.dtype) or not (np.abs(as_numbers(column)) > EXACT).any():
        return None
    _, values = factorized(column)
    integers = {int(value) for value in values if WHOLE.fullmatch(str(value).strip())}
    floats = {float(integer) for integer in integers}
    if len(floats) == len(integers):
        return None
    return f"{len(integers)} values, {len(floats)} as float64"


def _is_code_or_number(text: str) -> bool:
    return PADDED.fullmatch(text) is not None or not np.isnan(as_number(text))
