"""Regression problems from a CSV file, from OpenML and from scikit-learn."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold

N_FOLDS = 5
MIN_ROWS = 2 * N_FOLDS

Split = tuple[np.ndarray, np.ndarray]


class Problem(NamedTuple):
    """A regression problem with its folds."""

    name: str
    target: str
    X: pd.DataFrame
    y: np.ndarray
    splits: list[Split]


def read_csv(path: Path, target: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Read a CSV file: its columns but one, and that one, without the rows that miss it.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is no CSV file of at least `MIN_ROWS` rows with a target of numbers.
    """
    try:
        table = pd.read_csv(path)
    except pd.errors.EmptyDataError as error:
        raise ValueError(
            f"{path} is empty, but a header and at least {MIN_ROWS} rows are needed."
        ) from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file that pandas can read: {error}") from error
    if target not in table.columns:
        raise ValueError(
            f"{path} has no column {target!r}; its columns are {', '.join(table.columns)}."
        )
    if not pd.api.types.is_numeric_dtype(table[target]):
        raise ValueError(
            f"Column {target!r} of {path} holds {table[target].dtype}, but a regression target "
            "must be numbers."
        )
    table = table[table[target].notna()]
    if len(table) < MIN_ROWS:
        raise ValueError(
            f"{path} has {len(table)} rows with a target, but at least {MIN_ROWS} are needed."
        )
    X, y = table.drop(columns=target), table[target].to_numpy("float64")
    if X.shape[1] == 0:
        raise ValueError(f"{path} has no column but {target!r}; give at least one to predict from.")
    return X.reset_index(drop=True), y


def diabetes() -> Problem:
    """Return scikit-learn's diabetes data in five folds."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return Problem("diabetes", "disease progression", X, y.to_numpy(), _five_folds(len(X)))


def from_csv(path: Path, target: str) -> Problem:
    """Return a CSV file in five folds."""
    X, y = read_csv(path, target)
    return Problem(path.name, target, X, y, _five_folds(len(X)))


def from_openml(task_id: int) -> Problem:
    """Return an OpenML task in the first five of its own folds."""
    import openml

    try:
        # The task's class, and so its attributes, depend on what the server says.
        task: Any = openml.tasks.get_task(task_id, download_splits=True)
        dataset: Any = task.get_dataset()
        X, y, *_ = dataset.get_data(target=task.target_name)
    except (openml.exceptions.PyOpenMLError, OSError) as error:
        raise ValueError(f"OpenML task {task_id} could not be had: {error}") from error
    if not pd.api.types.is_numeric_dtype(y):
        raise ValueError(f"OpenML task {task_id} is no regression task: its target is nominal.")
    n_folds = min(N_FOLDS, task.get_split_dimensions()[1])
    splits = [task.get_train_test_split_indices(fold=fold) for fold in range(n_folds)]
    return Problem(dataset.name, task.target_name, X, y.to_numpy("float64"), splits)


def _five_folds(n_rows: int) -> list[Split]:
    return list(KFold(N_FOLDS, shuffle=True, random_state=0).split(np.zeros(n_rows)))
