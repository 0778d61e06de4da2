"""Cells that hold dates, durations and times of the day, as days."""

import datetime
import re
from typing import Any

import numpy as np
import pandas as pd

from sklearn_looped.core.arrays import Array

DAY = np.timedelta64(86_400_000_000, "us")
YEAR = r"(?:1[7-9]|2[01])\d\d"
HOUR, MINUTES = r"\d?\d", r":[0-5]\d(?::[0-5]\d(?:\.\d+)?)?"
CLOCK = HOUR + MINUTES
ISO_DATE = re.compile(rf"{YEAR}(?P<sep>[-/])\d\d((?P=sep)\d\d([T ]\d\d:\d\d.*)?)?")
# 31.12.2024 14:30
DAY_FIRST = re.compile(rf"(\d\d?)\.(\d\d?)\.({YEAR})(?:[T ]({HOUR})({MINUTES}))?")
DURATION = re.compile(rf"-?\d+ days?(,? [+-]?{CLOCK})?|{CLOCK}")  # as they are printed; 14:30


def days(values: list[Any]) -> Array:
    """Days since 1970, in UTC where the cells name a time zone; NaN for other cells.

    Examples
    --------
    >>> from sklearn_looped.learned.inference.instants import days
    >>> days(["1970-01-02", "31.12.1970 06:00", "1970/01/11", "soon"]).tolist()
    [1.0, 364.25, 10.0, nan]
    """
    found = np.full(len(values), np.nan)
    cells = {i: cell for i, value in enumerate(values) if (cell := _date(value)) is not None}
    if cells:
        when = pd.to_datetime([*cells.values()], utc=True, format="ISO8601", errors="coerce")
        since = (when.tz_localize(None).to_numpy() - np.datetime64(0, "us")) / DAY
        found[list(cells)] = np.where(when.isna(), np.nan, since)
    return found


def _date(value: Any) -> Any:
    if isinstance(value, pd.Period):
        return value.start_time
    if isinstance(value, str):
        text = value.strip()
        if dotted := DAY_FIRST.fullmatch(text):
            day, month, year, hour, minutes = dotted.groups()
            return f"{year}-{month:0>2}-{day:0>2}" + (f"T{hour:0>2}{minutes}" if hour else "")
        return text.replace("/", "-") if ISO_DATE.fullmatch(text) else None
    return value if isinstance(value, datetime.date | np.datetime64) else None


def durations(values: list[Any]) -> Array:
    """Days that durations and times of the day last; NaN for other cells.

    Examples
    --------
    >>> from sklearn_looped.learned.inference.instants import durations
    >>> durations(["06:00", "1 days 12:00:00", "noon"]).tolist()
    [0.25, 1.5, nan]
    """
    return np.array([_duration(value) for value in values], dtype=np.float64)


def _duration(value: Any) -> float:
    if isinstance(value, datetime.time):
        value = datetime.timedelta(
            hours=value.hour, minutes=value.minute, seconds=value.second,
            microseconds=value.microsecond,
        )  # fmt: skip
    if isinstance(value, str) and DURATION.fullmatch(text := value.strip()):
        text = text.replace(",", "")
        # What pandas cannot hold, beyond 292 years, is no duration, as a date may not exist.
        value = pd.to_timedelta(f"{text}:00" if text.count(":") == 1 else text, errors="coerce")
    if isinstance(value, datetime.timedelta | np.timedelta64):
        return pd.Timedelta(value) / pd.Timedelta(days=1)
    return np.nan
