"""A CSV file as a table and a target: separators, encodings, ragged rows, labels or numbers."""

import csv
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_looped.cli.arguments import CsvFormat
from sklearn_looped.learned.inference.columns import as_numbers, kind_of
from sklearn_looped.learned.inference.levels import level_name

MIN_ROWS = 10
SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")  # tried in turn; the last one reads any bytes
COMMA_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")
POINTED_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")


FOUND = CsvFormat()  # all found from the file


def read_csv(
    path: Path, target: str, task: str | None = None, form: CsvFormat = FOUND
) -> tuple[pd.DataFrame, np.ndarray]:
    """Read a CSV file: its columns but one, and that one, without the rows that miss it.

    What is found or left out is said in warnings.

    Parameters
    ----------
    path : Path
    target : str
        The column to predict.
    task : {"regression", "classification"}, default=None
        None: regression if the column holds numbers, more than two different ones.
    form : CsvFormat

    Returns
    -------
    X : DataFrame of shape (n, d)
    y : ndarray of shape (n,)
        float64 of a regression, text of a classification.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no CSV file of at least `MIN_ROWS` rows with such a target, or a line has more or
        fewer fields than the header.
    """
    table = _parsed(path, form)
    for name in (target, *form.drop):
        if name not in table.columns:
            raise ValueError(
                f"{path} has no column {name!r}; its columns are {', '.join(table.columns)}."
            )
    if target in form.drop:
        raise ValueError(f"Column {target!r} is the target; leave it out of --drop.")
    y = _target(table[target], path, task)
    kept = pd.notna(y)
    if kept.sum() < MIN_ROWS:
        raise ValueError(
            f"{path} has {kept.sum()} rows with a target, but at least {MIN_ROWS} are needed."
        )
    if not kept.all():
        warnings.warn(
            f"{(~kept).sum()} of {len(kept)} rows of {path} have no {target!r} and are left out.",
            stacklevel=2,
        )
    X = table.drop(columns=[target, *form.drop])[kept].reset_index(drop=True)
    if X.shape[1] == 0:
        raise ValueError(f"{path} has no column but {target!r}; give at least one to predict from.")
    return X, y[kept]


def _target(column: "pd.Series[Any]", path: Path, task: str | None) -> np.ndarray:
    """Target as float64 with NaN, or as text with None."""
    kind = kind_of(column.rename("target"))
    is_number = kind in ("number", "boolean")
    numbers = as_numbers(column) if is_number else np.full(len(column), np.nan)
    if task is None:
        counted = len(np.unique(numbers[~np.isnan(numbers)]))
        task = "regression" if kind == "number" and counted > 2 else "classification"
    if task == "regression":
        if not is_number and kind != "missing":
            raise ValueError(
                f"Column {column.name!r} of {path} holds {column.dtype} ({kind}), but a regression "
                "target must be numbers. Use --task classification for labels."
            )
        return numbers
    if kind in ("identifier", "text", "date"):
        raise ValueError(
            f"Column {column.name!r} of {path} is no target of labels: it was read as {kind}."
        )
    return np.array([None if pd.isna(cell) else level_name(cell) for cell in column], dtype=object)


def is_regression(y: np.ndarray) -> bool:
    """Whether `read_csv` has read numbers."""
    return y.dtype.kind == "f"


def _parsed(path: Path, form: CsvFormat) -> pd.DataFrame:
    """Read the file after a look at every line."""
    encoding = form.encoding or _encoding_of(path)
    try:
        sep = form.sep or _separator_of(path, encoding)
        comma = _check_lines(path, sep, encoding)
        table = pd.read_csv(path, sep=sep, encoding=encoding, index_col=False, low_memory=False,
                            decimal="," if comma else ".", skipinitialspace=True)  # fmt: skip
    except (pd.errors.ParserError, csv.Error, UnicodeError, LookupError) as error:
        raise ValueError(
            f"{path} is no CSV file that can be read: {error}. Are --sep and --encoding right?"
        ) from error
    table.columns = table.columns.str.strip()
    if comma:
        warnings.warn(f"Numbers of {path} are read with a decimal comma.", stacklevel=4)
        for name in table.select_dtypes(exclude="number"):
            table[name] = _without_points(table[name])
    return table


def _without_points(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Read 1.234,5 as a number, if every cell is of that kind."""
    texts = column.dropna().astype(str)
    if not len(texts) or not all(POINTED_NUMBER.fullmatch(text.strip()) for text in texts):
        return column
    return texts.str.replace(".", "").str.replace(",", ".").astype(float).reindex(column.index)


def _encoding_of(path: Path) -> str:
    """First encoding that reads the whole file; others than UTF-8 are said."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    for encoding in ENCODINGS:
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != ENCODINGS[0]:
            warnings.warn(
                f"{path} is not UTF-8; it is read as {encoding}. --encoding says otherwise.",
                stacklevel=5,
            )
        break
    return encoding


def _separator_of(path: Path, encoding: str) -> str:
    """Separator that cuts the header into the most fields."""
    with path.open(encoding=encoding, newline="") as file:
        header = file.readline()
    return max(SEPARATORS, key=lambda sep: len(next(csv.reader([header], delimiter=sep), [])))


def _rows(path: Path, sep: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the last line of each row and its fields, without empty lines."""
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=sep, skipinitialspace=True)
        yield from ((reader.line_num, row) for row in reader if row)


def _check_lines(path: Path, sep: str, encoding: str) -> bool:
    """Refuse rows longer or shorter than the header; say whether numbers have a decimal comma."""
    rows = _rows(path, sep, encoding)
    _, header = next(rows, (0, []))
    names = [name.strip() for name in header]
    if not any(names):
        raise ValueError(f"{path} is empty, but a header and at least {MIN_ROWS} rows are needed.")
    twice = [name for i, name in enumerate(names) if name and name in names[:i]]
    if twice:
        raise ValueError(f"{path} has several columns named {twice[0]!r}; rename one.")
    comma = False
    for line, row in rows:
        if len(row) != len(names):
            raise ValueError(
                f"Line {line} of {path} has {len(row)} fields, but the header has {len(names)} "
                f"({'more' if len(row) > len(names) else 'fewer'}; read with {sep!r} between "
                "fields). Mend the line, or say the separator with --sep."
            )
        comma = comma or (sep != "," and any(COMMA_NUMBER.fullmatch(cell.strip()) for cell in row))
    return comma
