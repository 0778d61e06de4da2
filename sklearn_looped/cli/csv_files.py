"""Read a CSV file as a table and a target: separator, encoding, ragged rows, labels or numbers."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sklearn_looped.cli.arguments import CsvFormat
from sklearn_looped.core.warning import warn_user
from sklearn_looped.learned.inference.columns import as_number, as_numbers, kind_of
from sklearn_looped.learned.inference.levels import level_name
from sklearn_looped.learned.inference.lookalikes import unread_form

MIN_ROWS = 10
SHOWN = 20  # names of columns in a message
SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")  # tried in turn; the last one reads any bytes
COMMA_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")
POINTED_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?")
NO_LABELS = ("identifier", "text", "date")  # kinds of columns that are no labels
FOUND = CsvFormat()  # everything is detected from the file


def read_csv(
    path: Path, target: str, task: str | None = None, form: CsvFormat = FOUND
) -> tuple[pd.DataFrame, np.ndarray]:
    """Read the features and the target of a CSV file, without the rows whose target is missing.

    Warnings say what was detected and what is ignored.

    Parameters
    ----------
    path : Path
    target : str
        The column to predict.
    task : {"regression", "classification"}, default=None
        None: regression if the column has more than two different numbers.
    form : CsvFormat

    Returns
    -------
    X : DataFrame of shape (n, d)
    y : ndarray of shape (n,)
        float64 for a regression, text for a classification.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is not a CSV file of at least `MIN_ROWS` rows with such a target, or a line has
        more or fewer fields than the header.
    """
    table = _parsed(path, form)
    for name in (target, *form.drop):
        if name not in table.columns:
            shown = ", ".join(table.columns[:SHOWN])
            more = ", ..." if table.shape[1] > SHOWN else ""
            raise ValueError(f"{path} has no column {name!r}; its columns are {shown}{more}.")
    if target in form.drop:
        raise ValueError(f"Column {target!r} is the target; remove it from --drop.")
    y = _target(table[target], path, task)
    kept = pd.notna(y)
    if kept.sum() < MIN_ROWS:
        raise ValueError(
            f"{path} has {kept.sum()} rows with a target, but expected at least {MIN_ROWS}."
        )
    if not kept.all():
        warn_user(
            f"{(~kept).sum()} of {len(kept)} rows of {path} have no {target!r} and are ignored.",
        )
    X = table.drop(columns=[target, *form.drop])[kept].reset_index(drop=True)
    if X.shape[1] == 0:
        raise ValueError(f"{path} has no column but {target!r}, but expected at least one more.")
    return X, y[kept]


def _target(column: "pd.Series[Any]", path: Path, task: str | None) -> np.ndarray:
    """Return the target as float64 with NaN, or as text with None."""
    kind = kind_of(column.rename("target"))
    is_read = kind == "date" or (kind == "nominal" and task != "regression")
    if not is_read and (cell := unread_form(column)):
        raise ValueError(
            f"Column {column.name!r} of {path} looks like numbers or dates, but in a form that is "
            f"not read, such as {cell[:30]!r}. Convert it first."
        )
    is_number = kind in ("number", "boolean")
    numbers = as_numbers(column) if is_number else np.full(len(column), np.nan)
    if task is None:
        counted = len(np.unique(numbers[~np.isnan(numbers)]))
        task = "regression" if kind == "number" and counted > 2 else "classification"
    if task == "regression":
        if not is_number and kind != "missing":
            raise ValueError(
                f"Column {column.name!r} of {path} contains {column.dtype} ({kind}), but a "
                "regression target must be numbers. Use --task classification for labels."
            )
        return numbers
    if kind in NO_LABELS:
        raise ValueError(
            f"Column {column.name!r} of {path} is not a column of labels: it was read as {kind}."
        )
    return np.array([None if pd.isna(cell) else level_name(cell) for cell in column], dtype=object)


def is_regression(y: np.ndarray) -> bool:
    """Whether `read_csv` has read numbers."""
    return y.dtype.kind == "f"


def _parsed(path: Path, form: CsvFormat) -> pd.DataFrame:
    """Read the file after checking every line."""
    encoding = form.encoding or _encoding_of(path)
    try:
        sep = form.sep or _separator_of(path, encoding)
        comma, padded = _check_lines(path, sep, encoding)
        table = pd.read_csv(path, sep=sep, encoding=encoding, index_col=False, low_memory=False,
                            decimal="," if comma else ".", skipinitialspace=True,
                            dtype=dict.fromkeys(padded, str))  # fmt: skip
    except (pd.errors.ParserError, csv.Error, UnicodeError, LookupError) as error:
        raise ValueError(
            f"{path} is not a readable CSV file: {error}. Check --sep and --encoding."
        ) from error
    table.columns = table.columns.str.strip()
    if comma:
        warn_user(f"Numbers of {path} are read with a decimal comma.")
        for name in table.select_dtypes(exclude="number"):
            table[name] = _without_points(table[name])
    return table


def _without_points(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Read 1.234,5 as a number, if every cell has that form."""
    texts = column.dropna().astype(str)
    if not len(texts) or not all(POINTED_NUMBER.fullmatch(text.strip()) for text in texts):
        return column
    return texts.str.replace(".", "").str.replace(",", ".").astype(float).reindex(column.index)


def _encoding_of(path: Path) -> str:
    """Return the first encoding that decodes the whole file; warn if it is not UTF-8."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if b"\0" in data:
        raise ValueError(
            f"{path} contains zero bytes, so it is no text file, or one in an encoding that has to "
            "be named, as by --encoding utf-16-le."
        )
    for encoding in ENCODINGS:
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding != ENCODINGS[0]:
            warn_user(
                f"{path} is not UTF-8; it is read as {encoding}. Use --encoding for another one.",
            )
        break
    return encoding


def _separator_of(path: Path, encoding: str) -> str:
    """Return the separator that splits the header into the most fields."""
    with path.open(encoding=encoding, newline="") as file:
        header = file.readline()
    return max(SEPARATORS, key=lambda sep: len(next(csv.reader([header], delimiter=sep), [])))


def _rows(path: Path, sep: str, encoding: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line of each row and its fields, without empty lines."""
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.reader(file, delimiter=sep, skipinitialspace=True)
        yield from ((reader.line_num, row) for row in reader if row)


def _check_lines(path: Path, sep: str, encoding: str) -> tuple[bool, list[int]]:
    """Raise for rows longer or shorter than the header.

    Returns
    -------
    comma : bool
        Whether there are decimal commas.
    padded : list of int
        Columns with codes such as 007, which are no numbers.
    """
    rows = _rows(path, sep, encoding)
    _, header = next(rows, (0, []))
    names = _checked_names(path, header)
    comma, padded = False, set()
    for line, row in rows:
        if len(row) != len(names):
            raise ValueError(
                f"Line {line} of {path} has {len(row)} fields, but the header has {len(names)} "
                f"({'more' if len(row) > len(names) else 'fewer'}; read with {sep!r} between "
                "fields). Correct the line, or set the separator with --sep."
            )
        comma = comma or (sep != "," and any(COMMA_NUMBER.fullmatch(cell.strip()) for cell in row))
        padded |= {i for i, cell in enumerate(row) if cell[:1] == "0" and cell[1:].isdecimal()}
    return comma, sorted(padded)


def _checked_names(path: Path, header: list[str]) -> list[str]:
    """Return the names in a header; raise if there are none, or equal ones."""
    names = [name.strip() for name in header]
    if not any(names):
        raise ValueError(f"{path} is empty, but expected a header and at least {MIN_ROWS} rows.")
    twice = [name for i, name in enumerate(names) if name and name in names[:i]]
    if twice:
        raise ValueError(f"{path} has several columns named {twice[0]!r}; rename all but one.")
    if all(not np.isnan(as_number(name)) for name in names):
        warn_user(
            f"All names in the header of {path} are numbers; is its first line a row of the table?",
        )
    return names
