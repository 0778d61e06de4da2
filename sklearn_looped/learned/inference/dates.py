"""Dates as numbers: days, and where several periods have been seen, the place in the period."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.columns import as_numbers, has_value

PERIODS = (1.0, 7.0, 365.2425)  # days: time of the day, day of the week, time of the year
SEEN = 2  # periods that a column spans before its place in them is given


class DateEncoder:
    """Encode a column of dates as days since 1970 and as sine and cosine of what recurs.

    Time of the day, day of the week and time of the year are given where the dates span at least
    two such periods and differ in them. Dates with a time zone are taken in UTC, others as they
    are.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_looped.learned.inference.dates import DateEncoder
    >>> days = pd.Series(["2024-01-01", "2024-01-02", "2024-02-01"])
    >>> DateEncoder().fit_transform(days).shape  # days, and the day of the week
    (3, 3)
    """

    def fit_transform(self, column: "pd.Series[Any]", target: Any = None) -> Array:
        """Choose the periods and return the column encoded, (n, k)."""
        days = as_numbers(column, "date")
        span = np.nanmax(days) - np.nanmin(days)
        phases = {period: days[~np.isnan(days)] % period for period in PERIODS}
        self.periods_ = [
            period
            for period, phase in phases.items()
            if span >= SEEN * period and np.ptp(phase) > 1e-6 * period
        ]
        return self._encoded(days)

    def transform(self, column: "pd.Series[Any]") -> tuple[Array, NDArray[np.bool_]]:
        """Encode other cells, (q, k); and say which hold no date, (q,)."""
        days = as_numbers(column, "date")
        return self._encoded(days), has_value(column) & np.isnan(days)

    def _encoded(self, days: Array) -> Array:
        angles = [2 * np.pi * days / period for period in self.periods_]
        return np.column_stack([days, *(f(angle) for angle in angles for f in (np.sin, np.cos))])
